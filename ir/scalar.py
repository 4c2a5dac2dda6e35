"""The scalar language: typed expression trees over the primitives, and the algebras a scalar body runs over.

A scalar body is a function of an algebra `s` and its operands, such as
`lambda s, x, alpha: s.where(x > 0, x, alpha * s.expm1(x))`. Two algebras interpret it: `TREES` builds an `Expr`
(for C, CUDA and NumPy source, fusion, folding), `ARRAYS` computes on NumPy arrays (the eager kernel). Trees are
typed strictly: operands of one dtype, casts written out; Python numbers take the dtype of the other operand.

Not here: what each primitive means (`primitives`), loops around scalars (`nest`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from .dtypes import DType, bool_, int64
from .errors import ArgumentError, DTypeError
from .primitives import PRIMITIVES, Primitive
from .select import select
from .sizes import SizeExpr

__all__ = [
    "ARRAYS",
    "TREES",
    "Arg",
    "Const",
    "Expr",
    "SizeLeaf",
    "arguments",
    "evaluate",
    "trace_scalar",
    "walk",
]

Number = bool | int | float


class Expr:
    """A typed scalar expression: a primitive applied to expressions, or a leaf (the subclasses).

    `op` is the primitive's name, `"where"` or `"cast"`; leaves have `op == "leaf"`.
    """

    __slots__ = ("_hash", "args", "dtype", "op")

    def __init__(self, op: str, args: tuple[Expr, ...], dtype: DType) -> None:
        self.op = op
        self.args = args
        self.dtype = dtype
        self._hash = hash((op, args, dtype.name))

    def key(self) -> tuple[Any, ...]:
        """What makes two expressions equal."""
        return self.op, self.args, self.dtype

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return type(self) is type(other) and self._hash == hash(other) and self.key() == other.key()

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        inner = ", ".join(map(repr, self.args))
        return f"{self.dtype.short}({inner})" if self.op == "cast" else f"{self.op}({inner})"

    def __bool__(self) -> bool:
        raise ArgumentError(
            "a scalar body branches on a run-time number",
            found=repr(self),
            advice="use s.where(condition, a, b)",
        )

    def __add__(self, other: Any) -> Expr:
        return TREES.add(self, other)

    def __radd__(self, other: Any) -> Expr:
        return TREES.add(other, self)

    def __sub__(self, other: Any) -> Expr:
        return TREES.sub(self, other)

    def __rsub__(self, other: Any) -> Expr:
        return TREES.sub(other, self)

    def __mul__(self, other: Any) -> Expr:
        return TREES.mul(self, other)

    def __rmul__(self, other: Any) -> Expr:
        return TREES.mul(other, self)

    def __truediv__(self, other: Any) -> Expr:
        return TREES.div(self, other)

    def __rtruediv__(self, other: Any) -> Expr:
        return TREES.div(other, self)

    def __floordiv__(self, other: Any) -> Expr:
        return TREES.floordiv(self, other)

    def __rfloordiv__(self, other: Any) -> Expr:
        return TREES.floordiv(other, self)

    def __mod__(self, other: Any) -> Expr:
        return TREES.mod(self, other)

    def __neg__(self) -> Expr:
        return TREES.neg(self)

    def __lt__(self, other: Any) -> Expr:
        return TREES.lt(self, other)

    def __le__(self, other: Any) -> Expr:
        return TREES.le(self, other)

    def __gt__(self, other: Any) -> Expr:
        return TREES.gt(self, other)

    def __ge__(self, other: Any) -> Expr:
        return TREES.ge(self, other)

    def __and__(self, other: Any) -> Expr:
        return TREES.and_(self, other)

    def __or__(self, other: Any) -> Expr:
        return TREES.or_(self, other)

    def __xor__(self, other: Any) -> Expr:
        return TREES.xor(self, other)

    def __invert__(self) -> Expr:
        return TREES.not_(self)


class Arg(Expr):
    """The operand number `index` of a scalar body."""

    __slots__ = ("index",)

    def __init__(self, index: int, dtype: DType) -> None:
        self.index = index
        super().__init__("leaf", (), dtype)
        self._hash = hash(("arg", index, dtype.name))

    def key(self) -> tuple[Any, ...]:
        return self.index, self.dtype

    def __repr__(self) -> str:
        return f"x{self.index}"


class Const(Expr):
    """A literal of a given dtype."""

    __slots__ = ("value",)

    def __init__(self, value: Number, dtype: DType) -> None:
        self.value = value
        super().__init__("leaf", (), dtype)
        # repr tells 0.0 from -0.0 and makes NaN equal to itself.
        self._hash = hash(("const", repr(value), dtype.name))

    def key(self) -> tuple[Any, ...]:
        return repr(self.value), self.dtype

    def __repr__(self) -> str:
        return repr(self.value)


class SizeLeaf(Expr):
    """A symbolic size as an int64 scalar."""

    __slots__ = ("size",)

    def __init__(self, size: SizeExpr) -> None:
        self.size = size
        super().__init__("leaf", (), int64)
        self._hash = hash(("size", size))

    def key(self) -> tuple[Any, ...]:
        return (self.size,)

    def __repr__(self) -> str:
        return str(self.size)


def _result(primitive: Primitive, args: tuple[Expr, ...]) -> DType:
    first = args[0].dtype
    if any(arg.dtype is not first for arg in args):
        raise DTypeError(
            f"scalar {primitive.name}: operands differ in dtype",
            found=", ".join(arg.dtype.name for arg in args),
            advice="write the cast out: s.cast(x, dtype)",
        )
    rule = primitive.typing
    if (rule in ("float", "test") and first.kind != "float") or (rule == "number" and first.kind == "bool"):
        raise DTypeError(f"scalar {primitive.name} is not defined for {first.name}")
    if rule == "bits" and first.kind == "float":
        raise DTypeError(f"scalar {primitive.name} is not defined for {first.name}")
    return bool_ if rule in ("compare", "test") else first


class Trees:
    """The algebra that builds expressions. Every primitive is a method."""

    def where(self, condition: Any, a: Any, b: Any) -> Expr:
        """`a` where the condition holds, else `b`; the branch not taken is not evaluated."""
        a, b = self._operands(a, b)
        if condition.dtype is not bool_:
            raise DTypeError(f"scalar where: the condition is {condition.dtype.name}, not bool")
        if a.dtype is not b.dtype:
            raise DTypeError(f"scalar where: branches are {a.dtype.name} and {b.dtype.name}")
        return Expr("where", (condition, a, b), a.dtype)

    def cast(self, x: Expr, dtype: DType) -> Expr:
        """`x` as another dtype: floats to integers truncate, anything to bool is `x != 0`. A float outside of
        the integer's range gives an unspecified integer, and never traps."""
        return x if x.dtype is dtype else Expr("cast", (x,), dtype)

    def const(self, value: Number, like: Expr | DType) -> Expr:
        """The literal `value` in the dtype of `like`."""
        return Const(value, like if isinstance(like, DType) else like.dtype)

    def dtype(self, x: Expr) -> DType:
        """The dtype of an operand."""
        return x.dtype

    def _operands(self, *values: Any) -> tuple[Expr, ...]:
        if all(isinstance(value, Expr) for value in values):
            return values
        like = next((v for v in values if isinstance(v, Expr)), None)
        if like is None:
            raise ArgumentError("a scalar primitive needs an expression among its operands")
        return tuple(v if isinstance(v, Expr) else _literal(v, like.dtype) for v in values)

    def __getattr__(self, name: str) -> Callable[..., Expr]:
        primitive = PRIMITIVES.get(name)
        if primitive is None:
            raise AttributeError(f"the scalar language has no primitive {name!r}")

        def apply(*values: Any) -> Expr:
            if len(values) != primitive.arity:
                raise ArgumentError(f"scalar {name} takes {primitive.arity} operands, not {len(values)}")
            args = self._operands(*values)
            return Expr(name, args, _result(primitive, args))

        apply.__name__ = name
        setattr(self, name, apply)
        return apply


def _literal(value: Any, dtype: DType) -> Expr:
    if isinstance(value, SizeExpr):
        if dtype is not int64:
            return Expr("cast", (SizeLeaf(value),), dtype)
        return SizeLeaf(value)
    if isinstance(value, float) and dtype.kind != "float":
        raise DTypeError(f"scalar body: the number {value!r} meets an operand of dtype {dtype.name}")
    if dtype.kind == "int" and not dtype.holds(value):
        raise DTypeError(f"scalar body: the number {value!r} does not fit {dtype.name}")
    return Const(value, dtype)


class Arrays:
    """The algebra that computes on arrays at once; `xp` is the array library (NumPy or CuPy)."""

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        self.where = select if xp is np else xp.where
        for name, primitive in PRIMITIVES.items():
            source = primitive.source.removeprefix("np.")
            setattr(self, name, getattr(xp, source) if source else primitive.array)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the scalar language has no primitive {name!r}")

    def cast(self, x: Any, dtype: DType) -> Any:
        """`x` as another dtype."""
        return x.astype(dtype.np) if hasattr(x, "astype") else dtype.np.type(x)

    def const(self, value: Number, like: Any) -> Any:
        """The literal `value` in the dtype of `like`."""
        return (like.np if isinstance(like, DType) else like.dtype).type(value)

    def dtype(self, x: Any) -> DType:
        """The dtype of an operand."""
        return DType.of(x.dtype)


TREES: Final = Trees()
ARRAYS: Final = Arrays(np)


def trace_scalar(body: Callable[..., Any], dtypes: tuple[DType, ...], attrs: Mapping[str, Any]) -> Expr:
    """The tree that a scalar body builds for operands of the given dtypes.

    >>> from .dtypes import float32
    >>> trace_scalar(lambda s, x, y: x + s.exp(y), (float32, float32), {})
    add(x0, exp(x1))
    """
    found = body(TREES, *(Arg(i, d) for i, d in enumerate(dtypes)), **attrs)
    if isinstance(found, Expr):
        return found
    return _literal(found, dtypes[0])


def walk(expr: Expr) -> list[Expr]:
    """Every distinct sub-expression, operands before their users."""
    seen: dict[Expr, None] = {}
    stack: list[tuple[Expr, bool]] = [(expr, False)]
    while stack:
        node, ready = stack.pop()
        if node in seen:
            continue
        if ready or not node.args:
            seen[node] = None
            continue
        stack.append((node, True))
        stack.extend((arg, False) for arg in reversed(node.args))
    return list(seen)


def arguments(expr: Expr) -> list[int]:
    """The indices of the operands that an expression reads, in order."""
    return sorted({node.index for node in walk(expr) if isinstance(node, Arg)})


def evaluate(expr: Expr, leaf: Callable[[Expr], Any], algebra: Any = ARRAYS) -> Any:
    """Compute an expression over an algebra; `leaf` gives the value of every leaf but literals."""
    values: dict[Expr, Any] = {}
    for node in walk(expr):
        if isinstance(node, Const):
            values[node] = node.dtype.np.type(node.value)
        elif node.op == "leaf":
            values[node] = leaf(node)
        elif node.op == "cast":
            values[node] = algebra.cast(values[node.args[0]], node.dtype)
        else:
            values[node] = getattr(algebra, node.op)(*(values[arg] for arg in node.args))
    return values[expr]
