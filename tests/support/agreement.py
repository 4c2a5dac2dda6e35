"""The measure by which two ways of computing one result agree: max|a - b| / max(1, max|b|), by dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["TOLERANCE", "difference", "disagreement"]

TOLERANCE: dict[str, float] = {"float64": 1e-12, "float32": 1e-5, "float16": 5e-3, "bfloat16": 4e-2}


def difference(a: Any, b: Any) -> float:
    """The measure, over what is finite in `b`; infinite where NaN or infinities lie elsewhere."""
    x, y = np.asarray(a).astype(np.float64), np.asarray(b).astype(np.float64)
    finite = np.isfinite(y)
    if not np.array_equal(x[~finite], y[~finite], equal_nan=True) or not np.isfinite(x[finite]).all():
        return float("inf")
    if not finite.any():
        return 0.0
    return float(np.max(np.abs(x[finite] - y[finite])) / max(1.0, float(np.max(np.abs(y[finite])))))


def disagreement(a: Any, b: Any, tolerance: float | None = None) -> str | None:
    """What is different between two arrays, or None where they agree: sizes, dtype, or elements beyond the tolerance.
    Integers and bools agree exactly."""
    if tuple(a.shape) != tuple(b.shape) or a.dtype != b.dtype:
        return f"{a.dtype}{list(a.shape)} is not {b.dtype}{list(b.shape)}"
    allowed = 0.0 if a.dtype.kind in "biu" else tolerance if tolerance is not None else TOLERANCE[a.dtype.name]
    found = difference(a, b)
    return None if found <= allowed else f"differ by {found:.3g} (at most {allowed:.3g}):\n{a}\n{b}"
