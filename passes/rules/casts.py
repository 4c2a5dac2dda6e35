"""Casts that change nothing, or nothing that the next cast does not change anyway, and copies."""

from __future__ import annotations

from typing import Final

import ml_dtypes
import numpy as np

from ...ir.dtypes import DType
from ...ir.types import TensorType
from ..patterns import Match
from ..rewrite import Rule, rule

__all__ = ["INFERENCE_RULES", "RULES", "holds_all_of"]


def holds_all_of(wide: DType, narrow: DType) -> bool:
    """Whether every number of one dtype is a number of another.

    >>> from ingot.ir.dtypes import bfloat16, float16, float32, int32, uint8
    >>> holds_all_of(float32, bfloat16), holds_all_of(float32, int32), holds_all_of(float16, uint8)
    (True, False, True)
    """
    if wide is narrow or narrow.kind == "bool":
        return True
    if wide.kind == "bool" or (narrow.kind == "float" and wide.kind != "float"):
        return False
    if narrow.kind == "float":
        return _digits(wide) >= _digits(narrow) and _exponents(wide) >= _exponents(narrow)
    low, high = int(np.iinfo(narrow.np).min), int(np.iinfo(narrow.np).max)
    if wide.kind == "int":
        return bool(np.iinfo(wide.np).min <= low and high <= np.iinfo(wide.np).max)
    return max(-low, high + 1) <= 2 ** (_digits(wide) + 1)


def _digits(dtype: DType) -> int:
    """The bits of the fraction of a floating dtype, without the leading one."""
    return int(ml_dtypes.finfo(dtype.np).nmant)


def _exponents(dtype: DType) -> int:
    return int(ml_dtypes.finfo(dtype.np).maxexp)


def _first_cast_is_exact(m: Match) -> str | None:
    type_ = m.x.type
    if not isinstance(type_, TensorType):
        return f"{type_} has no dtype of its own"
    if not holds_all_of(m.a, type_.dtype):
        return f"{m.a.name} does not hold every {type_.dtype.name}"
    if type_.dtype.kind == "float" and m.b.kind == "int":
        return "what an integer makes of NaN is open"
    return None


RULES: Final[tuple[Rule, ...]] = (
    rule("cast to the same dtype", lambda F, x, a: F.cast(x, dtype=a), lambda F, x: x),
    rule(
        "cast of a cast",
        lambda F, x, a, b: F.cast(F.cast(x, dtype=a), dtype=b),
        lambda F, x, b: F.cast(x, dtype=b),
        when=_first_cast_is_exact,
    ),
    rule("clone", lambda F, x: F.clone(x), lambda F, x: x),
)

INFERENCE_RULES: Final[tuple[Rule, ...]] = (rule("detach", lambda F, x: F.detach(x), lambda F, x: x),)
