"""`prim::If` and `prim::Loop` as ONNX's If and Loop, which mean the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...ir.dtypes import DType, bool_, float64, int64
from ...ir.errors import ExportError
from ...ir.graph import Block, Node
from ...ir.sizes import Size
from ...ir.types import BOOL, FLOAT, INT, TensorType, Type
from .algebra import OnnxAlgebra
from .opsets import ELEMENT_TYPES
from .values import OnnxValue, Scope

__all__ = ["MAX_DEPTH", "Translate", "own_outputs", "tensor_type", "write_if", "write_loop"]

MAX_DEPTH = 30
"""Bodies inside of each other. Protocol buffers may be nested 100 messages deep, and each body takes three."""

# Writes the nodes of a block; gives what it hands out.
Translate = Callable[[Block, Sequence[OnnxValue]], list[OnnxValue]]


def tensor_type(type_: Type, what: str) -> tuple[DType, tuple[Size, ...]]:
    """The dtype and sizes of a value's ONNX tensor; a number is a tensor without dimensions.

    Raises:
        ExportError: for a key, a tuple, a list or none.
    """
    if isinstance(type_, TensorType):
        if type_.dtype not in ELEMENT_TYPES:
            raise ExportError(f"ONNX has no tensors of {type_.dtype.name}", found=what)
        return type_.dtype, type_.sizes
    numbers: dict[Type, DType] = {INT: int64, FLOAT: float64, BOOL: bool_}
    if type_ not in numbers:
        raise ExportError(f"{what} is of type {type_}, which ONNX does not have")
    return numbers[type_], ()


def write_if(E: OnnxAlgebra, node: Node, condition: OnnxValue, translate: Translate) -> list[OnnxValue]:
    """Both blocks as bodies of an If."""
    types = [tensor_type(value.type, f"what {node.op.short} gives") for value in node.outputs]
    if not types:
        return []
    bodies = [_body(E, block, (), translate) for block in node.blocks]
    return E.structured("If", [condition], types, then_branch=bodies[0], else_branch=bodies[1])


def write_loop(E: OnnxAlgebra, node: Node, inputs: Sequence[OnnxValue], translate: Translate) -> list[OnnxValue]:
    """The block as the body of a Loop, whose body gets the condition as a further input."""
    types = [tensor_type(value.type, f"what {node.op.short} gives") for value in node.outputs]
    body = _body(E, node.blocks[0], [value.type for value in node.blocks[0].params], translate)
    body.inputs.insert(1, OnnxValue(bool_, (), body, E.names.take("condition")))
    return E.structured("Loop", inputs, types, body=body)


def _body(E: OnnxAlgebra, block: Block, types: Sequence[Type], translate: Translate) -> Scope:
    scope = Scope(E.scope)
    if scope.depth > MAX_DEPTH:
        raise ExportError("branches and loops lie too deep inside each other", expected=f"at most {MAX_DEPTH} deep")
    for param, type_ in zip(block.params, types, strict=True):
        dtype, sizes = tensor_type(type_, f"%{param.name}")
        scope.inputs.append(OnnxValue(dtype, sizes, scope, E.names.take(param.name)))
    with E.inside(scope):
        E.sizes.bind_shapes(scope.inputs)
        scope.outputs = own_outputs(E, translate(block, scope.inputs))
    return scope


def own_outputs(E: OnnxAlgebra, values: Sequence[Any]) -> list[OnnxValue]:
    """What a scope hands out: results of its own nodes, each once, as ONNX wants it."""
    found: list[OnnxValue] = []
    for operand in values:
        value = E.value(operand)
        if value.node is None or value.scope is not E.scope or value in found:
            value = E.renamed(value)
        found.append(value)
    return found
