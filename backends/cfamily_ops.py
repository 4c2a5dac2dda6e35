"""From an op's declaration to the text of its functions, in C or CUDA."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..ir.registry import Op
from ..ir.types import ScalarType, TensorType, Type
from .cfamily import Dialect
from .cfamily_function import LoopSource
from .cfamily_lines import line_source
from .cfamily_nests import nest_source
from .loops import Line, check_operands, elementwise_nest, loops_of

__all__ = ["op_source"]


def op_source(
    dialect: Dialect,
    op: Op,
    types: Sequence[Type],
    attrs: Mapping[str, Any],
    name: str | None = None,
    rank: int | None = None,
) -> LoopSource:
    """The functions that compute an op for operands of the given types.

    Args:
        name: of the functions; by default the op's name and the operands' types.
        rank: the number of loops of an element-wise op; by default as many as its result has dimensions.

    Raises:
        UnsupportedError: for an op that has no body to print, or an operand that is neither a tensor nor a number.
    """
    check_operands(op, types)
    name = name or _name(op, types)
    if op.kind == "elementwise":
        return nest_source(dialect, name, elementwise_nest(op, types, attrs, rank), broadcasts=True)
    loops = loops_of(op, types, attrs)
    if isinstance(loops, Line):
        return line_source(dialect, name, loops)
    return nest_source(dialect, name, loops)


def _name(op: Op, types: Sequence[Type]) -> str:
    """A name such as `op_add_f32_f32`, which is nobody else's: neither a keyword nor a function of the library."""
    parts = [t.dtype.short if isinstance(t, TensorType) else str(t) for t in types]
    names = [part for part, t in zip(parts, types, strict=True) if isinstance(t, (TensorType, ScalarType))]
    return re.sub(r"\W", "_", "_".join(["op", op.short, *names]))
