"""The example call of a program: which parameter gets what, how it is given, and what stands for one left out.

What lives here: the binding of example inputs to a function's parameters, and the call of the function with other
values in their place. What a program's own call does is `frontend.calling`'s subject.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Any, Final

from ...ir.errors import ArgumentError
from ...ir.trees import Tree, flatten
from ..module import Module

__all__ = ["ExampleCall", "Runtime", "bind_example", "runtime"]

_KINDS: Final = {
    inspect.Parameter.POSITIONAL_ONLY: "/",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "",
    inspect.Parameter.KEYWORD_ONLY: "=",
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}


@dataclass(frozen=True, slots=True)
class Runtime:
    """A number among example inputs that each call gives anew; see `runtime`."""

    value: bool | int | float
    min: int | None = None
    max: int | None = None

    @property
    def kind(self) -> str:
        """`"bool"`, `"int"` or `"float"`."""
        return type(self.value).__name__


def runtime(value: bool | int | float, *, min: int | EllipsisType | None = ..., max: int | None = None) -> Runtime:
    """Mark a number among the example inputs of `trace` as an input of the program; others are constants of it.

    Args:
        value: the example. An int becomes a dynamic size in the program, a float a number that it computes with, a
            bool a condition for `jit.script` and `ingot.cond`.
        min, max: the smallest and largest value of an int, or None for no limit; calls with others are refused. The
            smallest is 0 where the example is not negative and nothing else is said, so that the number can be a size.

    Raises:
        ArgumentError: for anything but a number, or one out of its bounds.

    >>> import ingot
    >>> program = ingot.jit.trace(lambda x, k: x * k, (ingot.ones(2), ingot.jit.runtime(0.5)))
    >>> program(ingot.ones(2), 3.0)
    tensor([3., 3.])
    """
    if type(value) not in (bool, int, float):
        raise ArgumentError(
            f"runtime: a value of type {type(value).__name__}",
            expected="an int, a float or a bool",
            advice="strings are constants: trace an entry point for each" if isinstance(value, str) else "",
        )
    if type(value) is not int:
        if min is not ... or max is not None:
            raise ArgumentError(f"runtime: {value!r} with bounds", expected="bounds for an int alone")
        return Runtime(value)
    low = (0 if value >= 0 else None) if isinstance(min, EllipsisType) else min
    if (low is not None and value < low) or (max is not None and value > max):
        raise ArgumentError(f"runtime: {value} is out of its bounds", expected=f"min={low}, max={max}")
    return Runtime(value, low, max)


@dataclass(frozen=True, slots=True)
class ExampleCall:
    """An example call.

    Attributes:
        values: what each parameter is given, in order; one that was left out has its default.
        kinds: how each is given, as `Signature.kinds` says.
        defaults: a tree for every parameter that has a default of plain data.
        given: the parameters that the example gives, in their order.
    """

    values: dict[str, Any]
    kinds: tuple[str, ...]
    defaults: dict[str, Tree]
    given: tuple[str, ...]

    def call(self, func: Callable[..., Any], values: Mapping[str, Any]) -> Any:
        """Call a function with other values for its parameters."""
        positional: list[Any] = []
        named: dict[str, Any] = {}
        by_name = False
        for name, kind in zip(self.values, self.kinds, strict=True):
            if kind == "*":
                positional += values[name]
            elif kind == "**":
                named |= values[name]
            elif kind == "=" or by_name:
                named[name] = values[name]
            elif name in self.given or kind == "/":
                positional.append(values[name])
            else:  # left out: those behind it are given by name
                by_name = True
                named[name] = values[name]
        return func(*positional, **named)

    def places(self) -> list[tuple[str, Any]]:
        """The given arguments in order: a parameter and None, or the number or name of one in `*args` or `**kwargs`."""
        found: list[tuple[str, Any]] = []
        for name, kind in zip(self.values, self.kinds, strict=True):
            if name not in self.given:
                continue
            inner = self.values[name]
            found += [(name, key) for key in range(len(inner))] if kind == "*" else []
            found += [(name, key) for key in inner] if kind == "**" else []
            found += [(name, None)] if kind not in ("*", "**") else []
        return found


def bind_example(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> ExampleCall:
    """Bind example inputs to the parameters of a function or module.

    Raises:
        ArgumentError: when they do not fit.
    """
    target = func.forward if isinstance(func, Module) else func
    try:
        found = inspect.signature(target).bind(*args, **kwargs)
    except TypeError as error:
        raise ArgumentError(f"trace: the example inputs do not fit the program: {error}") from None
    except ValueError:  # a function without a signature, such as many built in ones
        if kwargs:
            raise ArgumentError("trace: a function of unknown signature takes arguments by position alone") from None
        values = {f"x{i}": value for i, value in enumerate(args)}
        return ExampleCall(values, ("/",) * len(values), {}, tuple(values))
    values, kinds, defaults = {}, [], {}
    for name, parameter in found.signature.parameters.items():
        default = _plain_tree(parameter.default)
        if name not in found.arguments and default is None:
            continue
        values[name] = found.arguments.get(name, parameter.default)
        kinds.append(_KINDS[parameter.kind])
        if default is not None:
            defaults[name] = default
    return ExampleCall(values, tuple(kinds), defaults, tuple(found.arguments))


def _plain_tree(default: Any) -> Tree | None:
    """The tree of a default that is a number, a string, None or a tuple of those; None for any other."""
    if isinstance(default, (list, dict)) or default is inspect.Parameter.empty:
        return None
    try:
        return flatten(default, lambda x: False)[1]
    except ArgumentError:
        return None
