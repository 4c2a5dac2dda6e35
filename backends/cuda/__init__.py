"""Graphs as CUDA kernels.

>>> from ingot.ir.registry import lookup
>>> from ingot.ir.types import TensorType
>>> from ingot.ir.dtypes import float32
>>> source = emit_op(lookup("relu"), (TensorType(float32, (3,)),), {})
>>> [kernel.name for kernel in source.kernels], source.parameters[-1].text
(['op_relu_f32'], 'i32 *status')
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...ir.registry import Op
from ...ir.types import Type
from ..cfamily_function import LoopSource, file_text
from ..cfamily_ops import op_source
from .dialect import CUDA, OPTIONS

__all__ = ["CUDA", "OPTIONS", "emit_op", "file_of"]


def emit_op(
    op: Op, input_types: Sequence[Type], attrs: Mapping[str, Any], name: str | None = None, rank: int | None = None
) -> LoopSource:
    """One op for operands of the given types, as CUDA kernels.

    Every kernel runs correctly on a grid of any size. Those of a scatter are launched in order, with the same
    arguments. `status` must point to a zero; it is not zero afterwards when an index was out of range.

    Args:
        name: of the kernels; by default the op's name and the operands' types.
        rank: the number of dimensions that an element-wise op is indexed by; by default those of its result.

    Raises:
        UnsupportedError: for an op that has no body to print.
    """
    return op_source(CUDA, op, input_types, attrs, name, rank)


def file_of(sources: Sequence[LoopSource]) -> str:
    """One CUDA file with the kernels of several ops."""
    return file_text(CUDA, sources)
