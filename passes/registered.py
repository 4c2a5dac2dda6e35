"""The table of passes: what a pass is, and `register_pass`, by which a file adds one.

A pass is a function `name(graph, options) -> bool` that changes the graph in place and says whether it did. The
pass, its file and its folder of goldens share its name.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..ir.errors import ArgumentError, UnsupportedError
from ..ir.graph import Graph

__all__ = ["NoOptions", "Pass", "PassFunction", "all_passes", "find_pass", "register_pass", "unregister_pass"]

PassFunction = Callable[[Graph, Any], bool]


@dataclass(frozen=True, slots=True)
class NoOptions:
    """The options of a pass that has none."""


@dataclass(frozen=True, slots=True)
class Pass:
    """A registered pass.

    Attributes:
        name: what pipelines call it.
        run: changes a graph in place; returns whether it changed anything.
        options: a frozen dataclass with a default for every field.
        kinds: what each of these fields holds, by name, in order.
    """

    name: str
    run: PassFunction
    options: type[Any]
    kinds: dict[str, OptionKind]

    @property
    def doc(self) -> str:
        """What the pass does, in its own words."""
        return (self.run.__doc__ or "").strip()


_passes: dict[str, Pass] = {}


def register_pass(options: type[Any] = NoOptions) -> Callable[[PassFunction], PassFunction]:
    """Decorator that makes a function known as a pass, under its own name.

    Args:
        options: a frozen dataclass; each field has a default and is an int, a float, a bool, a string, one of
            these or None, or a tuple of one of these.

    Raises:
        ArgumentError: when the name is taken, or the options are not such a dataclass.
    """
    kinds = _option_kinds(options)

    def register(run: PassFunction) -> PassFunction:
        name = run.__name__
        if name in _passes:
            raise ArgumentError(f"pass {name} is already registered")
        _passes[name] = Pass(name, run, options, kinds)
        return run

    return register


def unregister_pass(name: str) -> None:
    """Forget a pass, so that a test or a notebook can register it again."""
    _passes.pop(name, None)


def find_pass(name: str) -> Pass:
    """The pass of that name.

    Raises:
        UnsupportedError: when there is none; the message lists close names.
    """
    found = _passes.get(name)
    if found is None:
        close = difflib.get_close_matches(name, _passes, 3)
        raise UnsupportedError(
            f"no pass {name!r}",
            expected=f"one of {', '.join(sorted(_passes))}",
            advice=f"close names: {', '.join(close)}" if close else "",
        )
    return found


def all_passes() -> Iterator[Pass]:
    """Every registered pass, by name."""
    return iter([_passes[name] for name in sorted(_passes)])


# -- options


@dataclass(frozen=True, slots=True)
class OptionKind:
    """What an option's annotation asks for: a kind of number or text, whether several, and whether None will do."""

    item: type
    many: bool
    optional: bool

    def __str__(self) -> str:
        name = "text" if self.item is str else self.item.__name__
        return (f"[{name}, ...]" if self.many else name) + (" or none" if self.optional else "")


def _option_kinds(options: type[Any]) -> dict[str, OptionKind]:
    """The kinds of a pass's options, by name, in order; refuses what cannot be options."""
    if not dataclasses.is_dataclass(options) or not options.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise ArgumentError(f"register_pass: {options!r} is not a frozen dataclass")
    for field in dataclasses.fields(options):
        if field.default is dataclasses.MISSING:
            raise ArgumentError(f"register_pass: option {field.name} of {options.__name__} has no default")
    hints = typing.get_type_hints(options)
    return {field.name: _kind(options, field.name, hints[field.name]) for field in dataclasses.fields(options)}


def _kind(options: type[Any], name: str, hint: Any) -> OptionKind:
    optional = many = False
    if isinstance(hint, types.UnionType) and type(None) in typing.get_args(hint):
        optional = True
        (hint,) = [arg for arg in typing.get_args(hint) if arg is not type(None)]
    if typing.get_origin(hint) is tuple and typing.get_args(hint)[1:] == (...,):
        many = True
        hint = typing.get_args(hint)[0]
    if hint not in (int, float, bool, str):
        raise ArgumentError(
            f"{options.__name__}.{name} cannot be an option",
            expected="int, float, bool, str, one of these or None, or a tuple of one of these",
            found=str(hint),
        )
    return OptionKind(hint, many, optional)
