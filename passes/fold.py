"""Constant folding: what depends on constants alone is computed now."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ir.builder import Builder
from ..ir.dtypes import DType
from ..ir.errors import IngotError
from ..ir.graph import Graph, InsertionPoint, Node, Value
from ..ir.sizes import SizeExpr
from ..ir.types import KEY, ScalarType, TensorType, Type, of_number
from .changes import permit
from .facts import CONSTANT, NOT_CONSTANT, constant_of, is_removable
from .registered import register_pass

__all__ = ["FoldOptions", "fold"]


@dataclass(frozen=True, slots=True)
class FoldOptions:
    """Options of `fold`.

    Attributes:
        max_bytes: results larger than this are left to run time, unless they are smaller than what they are
            computed from.
    """

    max_bytes: int = 1 << 16


@register_pass(options=FoldOptions)
def fold(graph: Graph, options: FoldOptions) -> bool:
    """Replace nodes whose inputs are all constants with constants, computed by the ops' kernels.

    State is not constant. A node that fails on its operands stays, so that the error comes at run time, with the
    user's line. Constants that nobody uses any more go.
    """
    changed = False
    for node in graph.nodes():
        if node.op is CONSTANT or not _may_fold(node, options):
            continue
        results = _results(node)
        if results is not None and permit("fold", node):
            _replace(node, results)
            changed = True
    return changed


def _may_fold(node: Node, options: FoldOptions) -> bool:
    inputs = node.inputs
    if node.blocks or not node.outputs or any(constant_of(value) is NOT_CONSTANT for value in inputs):
        return False
    if any(_is_symbolic(attribute) for attribute in node.attrs.values()):
        return False
    sizes = [_byte_count(output.type) for output in node.outputs]
    if any(size is None for size in sizes):
        return False
    total = sum(filter(None, sizes))
    return total <= options.max_bytes or total <= sum(_byte_count(value.type) or 0 for value in inputs)


def _is_symbolic(attribute: Any) -> bool:
    if isinstance(attribute, tuple):
        return any(map(_is_symbolic, attribute))
    return isinstance(attribute, SizeExpr)


def _byte_count(type_: Type) -> int | None:
    """The size of a value in memory; None when it is not known, or not of a type that a constant may have."""
    if type_ is KEY:
        return 16
    if isinstance(type_, ScalarType):
        return 8
    if not isinstance(type_, TensorType) or not type_.is_static:
        return None
    return math.prod(type_.sizes) * type_.dtype.itemsize


def _results(node: Node) -> list[Any] | None:
    """What a node computes, as numbers and read-only arrays of the types of its outputs, or None when it does not."""
    operands = [constant_of(value) for value in node.inputs]
    try:
        found = node.op.kernel(*operands, **node.attrs)
    except (IngotError, ArithmeticError, IndexError, TypeError, ValueError):
        return None
    arrays = found if isinstance(found, tuple) else (found,)
    if len(arrays) != len(node.outputs):
        return None
    if not all(_has_type(x, output.type) for x, output in zip(arrays, node.outputs, strict=True)):
        return None
    return [x if isinstance(x, (bool, int, float)) else _read_only(x) for x in arrays]


def _has_type(array: Any, type_: Type) -> bool:
    if isinstance(type_, ScalarType):
        return isinstance(array, (bool, int, float)) and of_number(array) is type_
    if type_ is KEY:
        return isinstance(array, np.ndarray) and array.dtype == np.uint64 and array.shape == (2,)
    return (
        isinstance(type_, TensorType)
        and isinstance(array, (np.ndarray, np.generic))
        and DType.of(array.dtype) is type_.dtype
        and array.shape == type_.sizes
    )


def _read_only(array: Any) -> np.ndarray[Any, Any]:
    copy = np.array(array, order="C")
    copy.flags.writeable = False
    return copy


def _replace(node: Node, results: list[Any]) -> None:
    builder = Builder(node.block, InsertionPoint.before(node))  # type: ignore[arg-type]
    sources = {value.node: None for value in node.inputs if value.node is not None}
    new: list[Value] = []
    for output, array in zip(node.outputs, results, strict=True):
        made = builder.emit(
            CONSTANT, (), {"value": array}, (output.type,), node.location, node.path, names=(output.name,)
        )
        new.append(made.output)
    names = [output.name for output in node.outputs]
    node.replace_with(new)
    for value, name in zip(new, names, strict=True):
        value.name = name
    for source in sources:
        if not any(output.use_count for output in source.outputs) and is_removable(source):
            source.erase()
