"""What the plain parts of a graph's structure become: constants, sizes, keys, assertions, containers and
fusion groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from ...ir import philox
from ...ir.dtypes import DType
from ...ir.errors import ShapeError
from ...ir.graph import Node, Value
from ...ir.ops.prims import assertion_text
from ...ir.raised import RAISED
from ...ir.sizes import SizeExpr, bounds, product
from ...ir.types import TensorType, TupleType
from .emitter import Emitter
from .nodes import emit_group
from .seats import Seat
from .text import message, number, small_array

__all__ = ["STRUCTURE"]


def _constant(e: Emitter, node: Node) -> None:
    value = node.attrs["value"]
    if node.output in e.scalars:
        e.seat_scalar(node.output, e.literal(DType.of(value.dtype), value.item()))
    elif isinstance(value, np.ndarray):
        e.seats[node.output] = Seat(emit_constant_array(e, value), static=True, contiguous=True)
    elif isinstance(value, SizeExpr):
        e.seat_loose(node.output, f"({e.size(value)})", fresh=False)
    else:
        e.seat_loose(node.output, "None" if value is None else _number_text(value), fresh=False)


def _number_text(value: bool | int | float) -> str:
    text = number(value)
    return f"({text})" if text.startswith("-") else text


def emit_constant_array(e: Emitter, value: np.ndarray) -> str:
    """The name of a constant array in the plan."""
    name = e.names.new("c")
    text = small_array(value)
    if text is None:
        e.constants[name] = value
        text = f'constants["{name}"]'
    return e.plan_line(name, text)


def _size(e: Emitter, node: Node) -> None:
    value = node.attrs["value"]
    e.seat_loose(node.output, f"({e.size(value)})" if isinstance(value, SizeExpr) else str(value), fresh=False)


def _bind(e: Emitter, node: Node) -> None:
    variable = node.attrs["variable"]
    value, text = node.inputs[0], e.seats[node.inputs[0]].text
    plain = _counts(value) or (value.node is not None and value.node.op.name in ("prim::Item", "prim::Size"))
    name = e.bind(str(variable), text if plain else f"int({text})")
    lo, hi = bounds(variable)
    low = lo is not None and not (lo <= 0 and _counts(value))
    limits = [f"{name} < {lo}"] * low + [f"{name} > {hi}"] * (hi is not None)
    if limits:
        what = message(f"size {variable} is out of its bounds")
        e.line(f"if {' or '.join(limits)}: raise {e.embed(ShapeError)}({what}, found=str({name}))", node)


def _counts(value: Value) -> bool:
    """Whether a value is the number of an iteration, which is no negative number."""
    return value.node is None and value.block.parent is not None and value.index == 0


def _item(e: Emitter, node: Node) -> None:
    type_ = node.inputs[0].type
    assert isinstance(type_, TensorType)
    seat = e.seats[node.inputs[0]]
    if seat.scalar:
        call = f"{type_.dtype.kind}({seat.scalar})"
    else:
        call = f"{seat.text}.item()" if product(type_.sizes) == 1 else f"{e.embed(node.op.kernel)}({seat.text})"
    e.seat_loose(node.output, e.assign(e.names.new("v"), call, node), fresh=True)


def _assert(e: Emitter, node: Node) -> None:
    error = node.attrs["error"]
    text = message(assertion_text(node.attrs["message"], error))
    e.line(f"if not {e.decides(node.inputs[0])}: raise {e.embed(RAISED[error])}({text})", node)


def _watch(e: Emitter, node: Node) -> None:
    e.line(f"{e.embed(node.op.kernel)}({e.seats[node.inputs[0]].text}, place={node.attrs['place']})", node)


def _split(e: Emitter, node: Node) -> None:
    names = [e.names.new("v") for _ in node.outputs]
    e.function.assigned.update(names)
    e.line(f"{', '.join(names)} = {e.embed(philox.split)}({e.seats[node.inputs[0]].text})", node)
    for value, name in zip(node.outputs, names, strict=True):
        e.seat_loose(value, name, fresh=True)


def _container(e: Emitter, node: Node) -> None:
    """A tuple or list of copies: what it holds must outlast the memory that its values are computed in."""
    copied = e.helper("copied")
    is_tuple = isinstance(node.output.type, TupleType)
    items = "".join(f"{copied}({text}), " for text in e.texts(node.inputs))
    name = e.assign(e.names.new("v"), f"({items})" if is_tuple else f"[{items}]", node)
    e.seat_loose(node.output, name, fresh=False)


def _untuple(e: Emitter, node: Node) -> None:
    names = [e.names.new("v") for _ in node.outputs]
    e.function.assigned.update(names)
    e.line(f"{', '.join(names)}, = {e.seats[node.inputs[0]].text}" if names else "pass", node)
    for value, name in zip(node.outputs, names, strict=True):
        e.seat_loose(value, name, fresh=False)


def _group(e: Emitter, node: Node) -> None:
    if not node.outputs:  # dead code that was fused
        return
    block = node.blocks[0]
    inputs = list(zip(block.params, node.inputs, strict=True))
    nodes = []
    for inner in block.nodes:
        if inner.op.name != "prim::Constant":
            nodes.append(inner)
        elif isinstance(inner.attrs["value"], np.ndarray):
            e.seats[inner.output] = Seat(emit_constant_array(e, inner.attrs["value"]), static=True, contiguous=True)
            inputs.append((inner.output, inner.output))
    emit_group(e, node, inputs, nodes, block.returns)


STRUCTURE: Final[dict[str, Callable[[Emitter, Node], None]]] = {
    "prim::Constant": _constant,
    "prim::Size": _size,
    "prim::Bind": _bind,
    "prim::Item": _item,
    "prim::Assert": _assert,
    "prim::Watch": _watch,
    "prim::Split": _split,
    "prim::Tuple": _container,
    "prim::List": _container,
    "prim::Untuple": _untuple,
    "prim::FusionGroup": _group,
}
