"""Which of a scripted function's number arguments the run decides, as TorchScript's do, and which are constants.

A parameter that is annotated `int`, `float` or `bool` takes run-time numbers; another one does from the second number
on that it is called with. Where the function cannot be captured so, because a number decides what only Python can, such
as a type, its parameters are constants: one capture for each number.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from ..mode import mode
from ..module import Module
from ..tensor_base import TensorBase

__all__ = ["Chosen", "NumberArguments", "WithNumbers"]

Chosen = frozenset[Any]  # positions and keywords
_NUMBERS: Final = {bool: np.bool_, int: np.int64, float: np.float64}
_ANNOTATIONS: Final = {bool: bool, int: int, float: float, "bool": bool, "int": int, "float": float}


class NumberArguments:
    """What is known about the number parameters of one callable.

    Attributes:
        constant: whether numbers have turned out to have to be constants.
    """

    def __init__(self, original: Any) -> None:
        self.constant = False
        self._seen: dict[Any, Any] = {}
        self._annotated: set[Any] = set()
        parameters = _parameters(original)
        for place, parameter in enumerate(parameters):
            if parameter.annotation in _ANNOTATIONS:
                self._annotated |= {place, parameter.name}

    def chosen(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Chosen:
        """The numbers of a call that the run is to decide."""
        if self.constant:
            return frozenset()
        numbers: list[tuple[Any, Any]] = [(i, x) for i, x in enumerate(args) if x.__class__ in _NUMBERS]
        numbers += [(key, x) for key, x in kwargs.items() if x.__class__ in _NUMBERS]
        return frozenset([place for place, x in numbers if self._varies(place, x)]) if numbers else frozenset()

    def _varies(self, place: Any, value: Any) -> bool:
        if value.__class__ is int and not -(2**63) <= value < 2**63:
            return False
        if place in self._annotated:
            return True
        first = self._seen.setdefault(place, value)
        if first.__class__ is value.__class__ and first != value:
            self._annotated.add(place)
            return True
        return False


def _parameters(original: Any) -> list[inspect.Parameter]:
    target = original.forward if isinstance(original, Module) else original
    try:
        return list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):  # no signature to be had
        return []


class WithNumbers:
    """A callable that takes some numbers as tensors without dimensions, and hands them on as run-time numbers."""

    def __init__(self, scripted: Callable[..., Any], original: Any, chosen: Chosen) -> None:
        if isinstance(original, Module):
            self.__name__ = self.__qualname__ = type(original).__name__
        else:
            functools.update_wrapper(self, original, updated=())
        self._scripted = scripted
        self._original = original
        self._chosen = chosen

    @property
    def __ingot_original__(self) -> Any:
        return self._original

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._scripted(
            *[_number(x) if i in self._chosen else x for i, x in enumerate(args)],
            **{key: _number(x) if key in self._chosen else x for key, x in kwargs.items()},
        )

    def packed(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """A call's arguments with the chosen numbers as arrays."""
        return (
            [_array(x) if i in self._chosen else x for i, x in enumerate(args)],
            {key: _array(x) if key in self._chosen else x for key, x in kwargs.items()},
        )


def _array(value: Any) -> np.ndarray:
    return np.array(value, _NUMBERS[value.__class__])


def _number(value: Any) -> Any:
    if isinstance(value, TensorBase):
        return mode.tracer.item(value) if mode.tracer is not None else value.item()  # type: ignore[attr-defined]
    return value.item()
