"""Ops as loops: what printers share before any text is written.

Every op of kind `elementwise`, `nest` or `scatter` becomes one record, the `Nest`, here; `scan` and `sort` become a
`Line`. Element-wise ops are nests whose sizes are all variables, so that one function serves every layout:
an operand that is broadcast has stride 0. Outputs over the same letters share one loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ..ir.dtypes import DType, bool_, float64, int64
from ..ir.errors import UnsupportedError
from ..ir.families import broadcast_sizes, elementwise_dtype, elementwise_tree, nest_of, normalise_dim
from ..ir.nest import Letter, Nest, NestOutput, Read, Scatter
from ..ir.registry import Op
from ..ir.scalar import Arg, Expr, SizeLeaf, walk
from ..ir.sizes import Size, SizeExpr, free_vars, var, variables
from ..ir.types import NONE, ScalarType, TensorType, Type

__all__ = [
    "Group",
    "Line",
    "check_operands",
    "elementwise_nest",
    "groups",
    "line_of",
    "loops_of",
    "merge_guards",
    "nest_sizes",
    "printable",
    "scalar_dtype",
    "size_variables",
]

KINDS: Final = ("elementwise", "nest", "scatter", "scan", "sort")
_SCALARS: Final = {"int": int64, "float": float64, "bool": bool_}


@dataclass(frozen=True, slots=True)
class Line:
    """A scan or a sort of one operand along one dimension, line by line."""

    operand: TensorType
    dim: int
    outputs: tuple[TensorType, ...]
    combiner: str = ""  # of a scan: "sum" or "prod"
    descending: bool = False  # of a sort


@dataclass(frozen=True, slots=True)
class Group:
    """Outputs of a nest that share their loops, with their positions among all outputs."""

    positions: tuple[int, ...]
    outputs: tuple[NestOutput, ...]

    @property
    def letters(self) -> tuple[Letter, ...]:
        return self.outputs[0].letters

    @property
    def over(self) -> tuple[Letter, ...]:
        return self.outputs[0].over


def printable(op: Op) -> str | None:
    """Why an op cannot be printed as loops, or None when it can."""
    if op.kind in KINDS:
        return None
    if op.kind == "composite":
        return "it is written in other ops: decompose the graph first"
    return "it has a kernel alone, and no body to print"


def loops_of(op: Op, types: Sequence[Type], attrs: Mapping[str, Any]) -> Nest | Line:
    """The loops of an op for operands of the given types.

    Raises:
        UnsupportedError: for an op without a body that can be printed.
    """
    reason = printable(op)
    if reason is not None:
        raise UnsupportedError(f"{op.name} cannot be printed as loops: {reason}")
    if op.kind == "elementwise":
        return elementwise_nest(op, types, attrs)
    if op.kind in ("scan", "sort"):
        return line_of(op, types, attrs)
    return merge_guards(nest_of(op, types, attrs))


def scalar_dtype(type_: ScalarType) -> DType:
    """The dtype in which a run-time number is handed over: int64, float64 or bool."""
    return _SCALARS[type_.name]


# -- element-wise ops as nests


def elementwise_nest(op: Op, types: Sequence[Type], attrs: Mapping[str, Any], rank: int | None = None) -> Nest:
    """An element-wise op as a nest over `rank` letters whose extents are variables.

    Args:
        rank: the number of loops; by default that of the broadcast result. The operands' own sizes play no part, so
            operands of any sizes and layout that need no more loops can be handed to the same function.
    """
    if rank is None:
        rank = len(broadcast_sizes(op.schema, types))
    taken = {name for value in attrs.values() if isinstance(value, SizeExpr) for name in free_vars(value)}
    letters = tuple(Letter(i, var(_unused(f"d{i}", taken))) for i in range(rank))
    sizes = tuple(letter.extent for letter in letters)
    operands = [t.with_(sizes=sizes) if isinstance(t, TensorType) else t for t in types]
    own = [_element(i, type_, letters) for i, type_ in enumerate(operands)]
    common = elementwise_dtype(op, types) if op.promotes else None

    def operand(arg: Arg) -> Expr:
        return _as(own[arg.index], common if op.schema.inputs[arg.index].name in op.promotes else arg.dtype)

    body = replace_operands(elementwise_tree(op, types, attrs), operand)
    return Nest(tuple(operands), (NestOutput(letters, body),))


def _unused(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _element(index: int, type_: Type, letters: tuple[Letter, ...]) -> Expr:
    if isinstance(type_, TensorType):
        return Read(index, letters, type_.dtype)
    assert isinstance(type_, ScalarType)
    return Arg(index, scalar_dtype(type_))


def _as(expr: Expr, dtype: DType | None) -> Expr:
    return expr if dtype is None or expr.dtype is dtype else Expr("cast", (expr,), dtype)


def replace_operands(tree: Expr, operand: Callable[[Arg], Expr]) -> Expr:
    """The tree of a scalar body with other expressions in its operands' places."""
    made: dict[Expr, Expr] = {}
    for node in walk(tree):
        if isinstance(node, Arg):
            made[node] = operand(node)
        elif node.op == "leaf":
            made[node] = node
        else:
            made[node] = Expr(node.op, tuple(made[arg] for arg in node.args), node.dtype)
    return made[tree]


# -- guards


def merge_guards(nest: Nest) -> Nest:
    """The same nest with conditions inside one another made one: `c ? (d ? x : y) : y` is `c & d ? x : y`."""
    return Nest(nest.operands, tuple(_with_merged_guards(output) for output in nest.outputs))


def _with_merged_guards(output: NestOutput | Scatter) -> NestOutput | Scatter:
    if isinstance(output, NestOutput):
        return replace(output, body=_merged(output.body))
    return replace(output, at=tuple(map(_merged, output.at)), value=_merged(output.value))


def _merged(tree: Expr) -> Expr:
    made: dict[Expr, Expr] = {}
    for node in walk(tree):
        args = tuple(made[arg] for arg in node.args)
        made[node] = node if args == node.args else _rebuilt(node, args)
        if node.op == "where":
            made[node] = _merged_where(made[node])
    return made[tree]


def _rebuilt(node: Expr, args: tuple[Expr, ...]) -> Expr:
    return Read(node.operand, args, node.dtype) if isinstance(node, Read) else Expr(node.op, args, node.dtype)


def _merged_where(node: Expr) -> Expr:
    outer, taken, other = node.args
    if taken.op != "where" or taken.args[2] != other or any(part.op == "read" for part in walk(taken.args[0])):
        return node
    inner, read, _ = taken.args
    for part in _conjuncts(inner):
        outer = Expr("and_", (outer, part), bool_)
    return Expr("where", (outer, read, other), node.dtype)


def _conjuncts(condition: Expr) -> list[Expr]:
    """The conditions of a chain of `and_`, as they are written."""
    found: list[Expr] = []
    while condition.op == "and_":
        condition, last = condition.args
        found.append(last)
    return [condition, *reversed(found)]


# -- scans and sorts


def line_of(op: Op, types: Sequence[Type], attrs: Mapping[str, Any]) -> Line:
    """A scan or sort as lines along its dimension."""
    (operand,) = types
    assert isinstance(operand, TensorType)
    outputs = op.infer(types, attrs)
    assert all(isinstance(t, TensorType) for t in outputs)
    dim = normalise_dim(op.short, attrs["dim"], max(operand.ndim, 1))
    return Line(operand, dim, outputs, op.extras.get("combiner", ""), bool(attrs.get("descending", False)))  # type: ignore[arg-type]


# -- what is asked of nests


def groups(nest: Nest) -> list[Group | Scatter]:
    """The outputs in order, neighbours with the same letters together."""
    found: list[Group | Scatter] = []
    for position, output in enumerate(nest.outputs):
        last = found[-1] if found else None
        if isinstance(output, Scatter):
            found.append(output)
        elif isinstance(last, Group) and (last.letters, last.over) == (output.letters, output.over):
            found[-1] = Group((*last.positions, position), (*last.outputs, output))
        else:
            found.append(Group((position,), (output,)))
    return found


def size_variables(sizes: Sequence[Size]) -> tuple[SizeExpr, ...]:
    """The variables in some sizes, without repetition, ordered by name."""
    found = {str(v): v for size in sizes for v in variables(size)}
    return tuple(found[name] for name in sorted(found))


def nest_sizes(nest: Nest) -> list[Size]:
    """Every size that a nest mentions: of operands, letters, results and bodies."""
    sizes: list[Size] = [s for t in nest.operands if isinstance(t, TensorType) for s in t.sizes]
    for output in nest.outputs:
        sizes += output.type.sizes
        sizes += [letter.extent for letter in output.letters]
        roots = (output.body,) if isinstance(output, NestOutput) else (*output.at, output.value)
        if isinstance(output, NestOutput):
            sizes += [letter.extent for letter in output.over]
        sizes += [node.size for root in roots for node in walk(root) if isinstance(node, SizeLeaf)]
    return sizes


def check_operands(op: Op, types: Sequence[Type]) -> None:
    """Refuse operands that no loop can read.

    Raises:
        UnsupportedError: for keys and containers.
    """
    for type_ in types:
        if not isinstance(type_, (TensorType, ScalarType)) and type_ is not NONE:
            raise UnsupportedError(f"{op.name} cannot be printed as loops: an operand has the type {type_}")
