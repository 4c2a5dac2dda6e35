"""`ingot.autograd`: gradients by name, and the switches of recording."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from . import function
from .function import Function
from .gradcheck import GradcheckError, gradcheck, gradgradcheck
from .mode import mode
from .tape import backward, grad

__all__ = [
    "Function",
    "GradcheckError",
    "backward",
    "enable_grad",
    "function",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
]

__path__: list[str] = []  # so that `import ingot.autograd.function` asks for the public name


class set_grad_enabled:
    """Switch recording on or off, at once; as a context manager, until its end; as a decorator, within a function.

    >>> import ingot
    >>> x = ingot.ones(2, requires_grad=True)
    >>> with ingot.set_grad_enabled(False):
    ...     (x * 2).requires_grad
    False
    """

    def __init__(self, mode: bool) -> None:
        self._wanted = bool(mode)
        self._previous = _switch(self._wanted)

    def __enter__(self) -> None:
        _switch(self._wanted)

    def __exit__(self, *_: Any) -> None:
        _switch(self._previous)


def _switch(wanted: bool) -> bool:
    previous, mode.grad = mode.grad, wanted
    return previous


class _Switch:
    _wanted = False

    def __init__(self) -> None:
        self._previous: list[bool] = []

    def __enter__(self) -> None:
        self._previous.append(_switch(self._wanted))

    def __exit__(self, *_: Any) -> None:
        _switch(self._previous.pop())

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def switched(*args: Any, **kwargs: Any) -> Any:
            previous = _switch(self._wanted)
            try:
                return function(*args, **kwargs)
            finally:
                _switch(previous)

        return switched


class no_grad(_Switch):
    """Do not record operations: as a context manager or a decorator.

    >>> import ingot
    >>> x = ingot.ones(2, requires_grad=True)
    >>> with ingot.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    _wanted = False


class inference_mode(no_grad):
    """The same as `no_grad`.

    Args:
        mode: False makes it do nothing.
    """

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self._wanted = not mode and is_grad_enabled()


class enable_grad(_Switch):
    """Record operations again, inside of `no_grad`."""

    _wanted = True


def is_grad_enabled() -> bool:
    """Whether operations are being recorded."""
    if mode.tracer is not None:
        mode.tracer.ledger.read("grad", "whether gradients are recorded", mode.grad)
    return mode.grad
