"""The registry: every op that exists, each with all that is known about it.

An `Op` is made by a declaration (see `families`) and never changed. Other code asks an op's kind and its facts,
not its name. The table is closed for files: a name in a file either is here or is refused.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .errors import ArgumentError, UnsupportedError
from .schema import Schema
from .types import Type

if TYPE_CHECKING:
    from .graph import Node

__all__ = [
    "NamedKernel",
    "NotDifferentiable",
    "NotExportable",
    "Op",
    "StopsGradient",
    "all_ops",
    "lookup",
    "names",
    "register",
    "unregister",
]


@dataclass(frozen=True, slots=True)
class NotDifferentiable:
    """Stands in a declaration in place of a gradient, and says why there is none."""

    why: str


@dataclass(frozen=True, slots=True)
class StopsGradient(NotDifferentiable):
    """Stands in place of a gradient where none flows on purpose: asking for it is no mistake."""


@dataclass(frozen=True, slots=True)
class NotExportable:
    """Stands in a declaration in place of an ONNX form, and says why there is none."""

    why: str


@dataclass(frozen=True, slots=True)
class NamedKernel:
    """A kernel that emitted source calls by its op's name, since its text cannot be copied: a user's function."""

    op: str
    function: Callable[..., Any]

    def __call__(self, *arrays: Any, **attrs: Any) -> Any:
        return self.function(*arrays, **attrs)


Infer = Callable[[Sequence[Type], Mapping[str, Any]], tuple[Type, ...]]


@dataclass(frozen=True, eq=False, slots=True)
class Op:
    """One operator and every fact about it.

    Attributes:
        name: the full name, `"ingot::relu"`.
        kind: the family: elementwise, nest, scatter, scan, sort, composite, opaque or prim.
        infer: input types and attributes to output types; raises ShapeError and its kin.
        kernel: raw arrays (or Python numbers, or None where absent) and attributes to one array, or a tuple for
            several outputs. It may return a view for ops with `view` set, and never changes its operands.
        body: what the family is about: the scalar body, the nest function or the decomposition.
        fast: the optional quick array kernel, `fast(np, *inputs, out=None, scratch=None, **attrs)`.
        scratch: buffers that `fast` can use again: types and attributes to a tuple of tensor types. Eager kernels hand
            `fast` the function `arrays.workspace` instead of a tuple.
        grad: input name to gradient function, or why there is none. A tuple of names shares one function, which
            returns a gradient for each; see `gradient`.
        onnx: the ONNX form, or why there is none.
        view: the result shares the input's memory; `inverse(F, base, new, **attrs)` writes a changed view back.
        promotes: for elementwise ops, the inputs that are brought to one dtype; and how ("same" or "float").
        verify: further rules for a node, beyond its types (control flow).
    """

    name: str
    schema: Schema
    kind: str
    infer: Infer
    kernel: Callable[..., Any]
    body: Callable[..., Any] | None = None
    fast: Callable[..., Any] | None = None
    scratch: Callable[..., Any] | None = None
    grad: Mapping[str | tuple[str, ...], Callable[..., Any]] | NotDifferentiable = NotDifferentiable(
        "no gradient declared"
    )
    onnx: Any = NotExportable("no ONNX form declared")
    view: bool = False
    inverse: Callable[..., Any] | None = None
    promotes: tuple[str, ...] = ()
    promotion: str = "same"
    random: bool = False
    verify: Callable[[Node], None] | None = None
    version: int = 1
    doc: str = ""
    extras: dict[str, Any] = field(default_factory=dict)

    @property
    def short(self) -> str:
        """The name without the namespace."""
        return self.schema.name

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def __deepcopy__(self, memo: object) -> Op:
        return self


_ops: dict[str, Op] = {}


def register(op: Op) -> Op:
    """Add an op to the registry.

    Raises:
        ArgumentError: when the name is taken.
    """
    if op.name in _ops:
        raise ArgumentError(f"op {op.name} is already registered")
    _ops[op.name] = op
    return op


def unregister(name: str) -> None:
    """Remove a user's op, so that a test or a notebook can declare it again."""
    if name.startswith(("ingot::", "prim::")):
        raise ArgumentError(f"{name} is built in and cannot be removed")
    _ops.pop(name, None)


def lookup(name: str) -> Op:
    """The op of that name; `"relu"` means `"ingot::relu"`.

    Raises:
        UnsupportedError: when there is none; the message lists close names.
    """
    found = _ops.get(name) or _ops.get(f"ingot::{name}")
    if found is None:
        close = difflib.get_close_matches(name, _ops, 3)
        raise UnsupportedError(f"unknown op {name!r}", advice=f"close names: {', '.join(close)}" if close else "")
    return found


def find(name: str) -> Op | None:
    """The op of that full name, or None."""
    return _ops.get(name)


def names() -> list[str]:
    """The full names of all ops, sorted."""
    return sorted(_ops)


def all_ops() -> Iterator[Op]:
    """Every registered op, in the order of registration."""
    return iter(tuple(_ops.values()))
