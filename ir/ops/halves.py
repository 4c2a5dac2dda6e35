"""Halves are accumulated in float32: how a decomposition widens them, and narrows what comes out."""

from __future__ import annotations

from typing import Any

from ..dtypes import float32

__all__ = ["narrowed", "widened"]


def widened(F: Any, x: Any) -> Any:
    """A float16 or bfloat16 tensor in float32; other dtypes as they are."""
    return F.cast(x, dtype=float32) if x.dtype.itemsize < 4 else x


def narrowed(F: Any, x: Any, dtype: Any) -> Any:
    """A tensor in a dtype, as it is where it has that dtype."""
    return x if x.dtype is dtype else F.cast(x, dtype=dtype)
