"""Graphs as C.

>>> from ingot.ir.registry import lookup
>>> from ingot.ir.types import TensorType
>>> from ingot.ir.dtypes import float32
>>> source = emit_op(lookup("relu"), (TensorType(float32, (3,)),), {})
>>> print(source.code, end="")
i32 op_relu_f32(f32 *restrict y0, i64 y0_s0, const f32 *restrict x0, i64 x0_s0, i64 n0) {
    for (i64 i0 = 0; i0 < n0; ++i0) {
        y0[i0 * y0_s0] = max_f32(x0[i0 * x0_s0], 0.0f);
    }
    return 0;
}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...ir.registry import Op
from ...ir.types import Type
from ..cfamily_function import LoopSource, file_text
from ..cfamily_ops import op_source
from .compiler import compile, find_compiler
from .dialect import C
from .loader import LoadedOp

__all__ = ["C", "LoadedOp", "LoopSource", "compile", "emit_op", "file_of", "find_compiler", "load_op"]


def emit_op(
    op: Op, input_types: Sequence[Type], attrs: Mapping[str, Any], name: str | None = None, rank: int | None = None
) -> LoopSource:
    """One op for operands of the given types, as a C function.

    Args:
        name: of the function; by default the op's name and the operands' types.
        rank: the number of loops of an element-wise op; by default as many as its result has dimensions.

    Raises:
        UnsupportedError: for an op that has no body to print.
    """
    return op_source(C, op, input_types, attrs, name, rank)


def file_of(sources: Sequence[LoopSource]) -> str:
    """One C file with the functions of several ops."""
    return file_text(C, sources)


def load_op(op: Op, input_types: Sequence[Type], attrs: Mapping[str, Any]) -> LoadedOp:
    """One op, compiled: a function of NumPy arrays."""
    source = emit_op(op, input_types, attrs)
    return LoadedOp(source, compile(source.text))
