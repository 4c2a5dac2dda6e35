"""The nest language: loops over index letters, a scalar body, reads at computed places, and a combiner.

A nest function is written over a builder `n` and its operands, and says for every element of the output what it
is. Matrix product and gather, for instance:

    def matmul(n, a, b):
        i, k, j = n.letter(a.sizes[0]), n.letter(a.sizes[1]), n.letter(b.sizes[1])
        return n.out([i, j], n.sum([k], a[i, k] * b[k, j]))

    def take(n, x, index):
        (i,) = n.letters(index.sizes)
        return n.out([i], x[index[i]])

The same function gives the op's types (the letters' extents), its reference kernel (`nest_arrays`), and C and
CUDA loops. A read outside of the operand is an error; `n.guard(inside, read, other)` reads only where it may.

What lives here: the language and its records. Scatters use it too (`n.scatter`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .dtypes import DType, bool_, int64
from .errors import ArgumentError, ShapeError
from .scalar import TREES, Const, Expr, SizeLeaf
from .sizes import Size, SizeExpr, equal
from .types import TensorType, Type

__all__ = [
    "COMBINERS",
    "Letter",
    "Nest",
    "NestBuilder",
    "NestOutput",
    "Operand",
    "Read",
    "Scatter",
    "build_nest",
]

# Combiner: (the value of an empty reduction, or None where there is none; whether the result is an index)
COMBINERS: Final[dict[str, tuple[Any, bool]]] = {
    "sum": (0, False),
    "prod": (1, False),
    "max": (None, False),
    "min": (None, False),
    "any": (False, False),
    "all": (True, False),
    "argmax": (None, True),
    "argmin": (None, True),
}


class Letter(Expr):
    """A loop index from 0 to its extent."""

    __slots__ = ("extent", "number")

    def __init__(self, number: int, extent: Size) -> None:
        self.number = number
        self.extent = extent
        super().__init__("leaf", (), int64)
        self._hash = hash(("letter", number))

    def key(self) -> tuple[Any, ...]:
        return self.number, self.extent

    def __repr__(self) -> str:
        return f"i{self.number}"


class Read(Expr):
    """The element of operand `operand` at the given indices."""

    __slots__ = ("operand",)

    def __init__(self, operand: int, indices: tuple[Expr, ...], dtype: DType) -> None:
        self.operand = operand
        super().__init__("read", indices, dtype)
        self._hash = hash(("read", operand, indices))

    def key(self) -> tuple[Any, ...]:
        return self.operand, self.args

    def __repr__(self) -> str:
        return f"x{self.operand}[{', '.join(map(repr, self.args))}]"


@dataclass(frozen=True, slots=True)
class Reduced:
    """A body combined over letters; only an output may hold one."""

    combiner: str
    over: tuple[Letter, ...]
    body: Expr

    @property
    def dtype(self) -> DType:
        return int64 if COMBINERS[self.combiner][1] else self.body.dtype


@dataclass(frozen=True, slots=True)
class NestOutput:
    """One output: its letters (whose extents are its sizes), its scalar body and how that is combined."""

    letters: tuple[Letter, ...]
    body: Expr
    combiner: str | None = None
    over: tuple[Letter, ...] = ()

    @property
    def dtype(self) -> DType:
        if self.combiner is not None and COMBINERS[self.combiner][1]:
            return int64
        return self.body.dtype

    @property
    def type(self) -> TensorType:
        return TensorType(self.dtype, tuple(letter.extent for letter in self.letters))


@dataclass(frozen=True, slots=True)
class Scatter:
    """`out = base; for letters: out[at] = combine(out[at], value)`. `base` is an operand's number, or a fill value
    with the output's type. Combiners: set (the last write wins), sum, prod, max, min."""

    type: TensorType
    base: int | Const
    letters: tuple[Letter, ...]
    at: tuple[Expr, ...]
    value: Expr
    combiner: str


@dataclass(frozen=True, slots=True)
class Nest:
    """What a nest function built: one record per output, over operands of the given types."""

    operands: tuple[Type, ...]
    outputs: tuple[NestOutput | Scatter, ...]

    @property
    def types(self) -> tuple[TensorType, ...]:
        return tuple(output.type for output in self.outputs)


class Operand:
    """An input of a nest function: its type, and reads by indexing."""

    __slots__ = ("index", "type")

    def __init__(self, index: int, type: TensorType) -> None:
        self.index = index
        self.type = type

    @property
    def sizes(self) -> tuple[Size, ...]:
        return self.type.sizes

    @property
    def dtype(self) -> DType:
        return self.type.dtype

    @property
    def ndim(self) -> int:
        return len(self.type.sizes)

    def __getitem__(self, indices: Any) -> Read:
        found = tuple(indices) if isinstance(indices, (tuple, list)) else (indices,)
        if len(found) != self.ndim:
            raise ArgumentError(f"nest: {len(found)} indices for an operand of type {self.type}")
        return Read(self.index, tuple(as_index(i) for i in found), self.dtype)


def as_index(value: Any) -> Expr:
    """An index expression: int64 expressions, integers and symbolic sizes are taken; other integers are cast."""
    if isinstance(value, Expr):
        return value if value.dtype is int64 else TREES.cast(value, int64)
    if isinstance(value, SizeExpr):
        return SizeLeaf(value)
    return Const(int(value), int64)


class NestBuilder:
    """What a nest function is written over. `n.s` is the scalar language."""

    s: Final = TREES

    def __init__(self, op: str) -> None:
        self.op = op
        self._count = 0

    def letter(self, extent: Size) -> Letter:
        """A new loop index."""
        self._count += 1
        return Letter(self._count - 1, extent)

    def letters(self, sizes: Sequence[Size]) -> list[Letter]:
        """One new loop index for each size."""
        return [self.letter(size) for size in sizes]

    def out(self, letters: Sequence[Letter], value: Expr | Reduced) -> NestOutput:
        """An output indexed by `letters`."""
        if isinstance(value, Reduced):
            return NestOutput(tuple(letters), value.body, value.combiner, value.over)
        return NestOutput(tuple(letters), value)

    def reduce(self, combiner: str, over: Sequence[Letter], body: Expr) -> Reduced:
        """`body` combined over the letters `over`."""
        identity, _ = COMBINERS[combiner]
        if identity is None and any(letter.extent == 0 for letter in over):
            raise ShapeError(f"{self.op}: {combiner} over no elements has no value")
        if combiner in ("any", "all") and body.dtype is not bool_:
            body = TREES.cast(body, bool_)
        return Reduced(combiner, tuple(over), body)

    def sum(self, over: Sequence[Letter], body: Expr) -> Reduced:
        """The sum; float16 and bfloat16 accumulate in float32."""
        return self.reduce("sum", over, body)

    def guard(self, inside: Expr | Sequence[Expr], read: Expr, other: Any) -> Expr:
        """`read` where all conditions hold, else `other`."""
        conditions = [inside] if isinstance(inside, Expr) else list(inside)
        for condition in reversed(conditions):
            read = TREES.where(condition, read, other)
        return read

    def scatter(
        self,
        base: Operand | TensorType,
        letters: Sequence[Letter],
        at: Sequence[Any],
        value: Expr,
        combiner: str,
        fill: Any = 0,
    ) -> Scatter:
        """`base` (an operand, or a type filled with `fill`) with `value` combined in at computed places."""
        type_ = base.type if isinstance(base, Operand) else base
        start = base.index if isinstance(base, Operand) else Const(fill, base.dtype)
        return Scatter(type_, start, tuple(letters), tuple(as_index(i) for i in at), value, combiner)

    def require_equal(self, what: str, left: str, a: Size, right: str, b: Size) -> None:
        """Refuse operands unless two sizes agree; `left` and `right` name them in the op's parameters.

        Raises:
            ShapeError: with both names and both sizes.
        """
        if equal(a, b) is not True:
            raise ShapeError(f"{self.op}: {what}", expected=f"{left} == {right}", found=f"{a} != {b}")

    def require(self, condition: bool, what: str, expected: str = "", found: str = "") -> None:
        """Refuse operands unless a condition holds."""
        if not condition:
            raise ShapeError(f"{self.op}: {what}", expected=expected, found=found)


def build_nest(op: str, function: Callable[..., Any], types: Sequence[Any], attrs: Mapping[str, Any]) -> Nest:
    """Run a nest function over types. Absent operands are passed as None, a `Tensor[]` as a tuple."""
    flat: list[Type] = []

    def operand(item: Any) -> Any:
        if isinstance(item, tuple):
            return tuple(operand(x) for x in item)
        flat.append(item)
        return Operand(len(flat) - 1, item) if isinstance(item, TensorType) else None

    operands = [operand(item) for item in types]
    found = function(NestBuilder(op), *operands, **attrs)
    outputs = found if isinstance(found, tuple) else (found,)
    return Nest(tuple(flat), outputs)
