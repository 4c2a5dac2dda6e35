"""Values on which number formats differ, and comparison of results in units of the last place."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from ingot.ir.dtypes import DType

__all__ = ["special_values", "ulps_apart", "worst_difference"]


def special_values(dtype: DType) -> np.ndarray:
    """Both zeros, infinities, NaN, subnormals, extremes, ties of rounding and ordinary numbers, as one vector."""
    if dtype.kind == "bool":
        return np.array([False, True])
    if dtype.kind == "int":
        info = np.iinfo(dtype.np)
        near = [info.min, info.min + 1, info.min // 2, info.max // 2, info.max - 1, info.max]
        small = [n for n in (-100, -8, -7, -3, -2, -1) if n >= info.min] + [0, 1, 2, 3, 5, 7, 8, 31, 100]
        return np.array(sorted({*near, *small}), dtype.np)
    info = ml_dtypes.finfo(dtype.np)
    tiny, least, most, step = (float(x) for x in (info.tiny, info.smallest_subnormal, info.max, info.eps))
    positive = [0.0, least, 3 * least, tiny / 2, tiny, step / 2, step, 0.1, 0.5, 1 - step / 2, 1.0, 1 + step]
    positive += [1.5, 2.0, 2.5, 3.0, 3.5, 7.3, 10.0, 20.5, 89.0, 1000.0, most / 2, most, np.inf]
    with np.errstate(all="ignore"):
        return np.array([sign * x for x in positive for sign in (1, -1)] + [np.nan], np.float64).astype(dtype.np)


def ulps_apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How many representable numbers lie between the elements of two float arrays of one dtype.

    NaN is 0 apart from NaN and very far from everything else; the two zeros are 1 apart.
    """
    bits = {2: np.int16, 4: np.int32, 8: np.int64}[a.dtype.itemsize]

    def place(x: np.ndarray) -> Any:
        whole = np.ascontiguousarray(x).view(bits).reshape(x.shape).astype(object)
        return np.where(whole < 0, -(whole & int(np.iinfo(bits).max)) - 1, whole)

    found = np.abs(place(a) - place(b))
    missing = np.isnan(a.astype(np.float64)), np.isnan(b.astype(np.float64))
    return np.where(missing[0] & missing[1], 0, np.where(missing[0] | missing[1], 2**64, found))


def worst_difference(
    got: np.ndarray, want: np.ndarray, ulps: int = 0, absolute: float = 0.0, equal_zeros: bool = False
) -> str | None:
    """Where two results differ by more than is allowed, and how; None where they agree.

    Args:
        ulps: allowed units in the last place; integers and bools must be equal.
        absolute: what is allowed besides, in units of `eps * max(1, |want|)`.
        equal_zeros: whether 0.0 and -0.0 are the same.
    """
    if got.dtype != want.dtype or got.shape != want.shape:
        return f"{got.dtype}{got.shape} for {want.dtype}{want.shape}"
    if not got.size:
        return None
    got, want = np.atleast_1d(got), np.atleast_1d(want)
    if want.dtype.kind in "iub":
        far = np.where(got != want, 2**64, np.zeros((), object))
    else:
        far = ulps_apart(got, want)
        wide, wanted = got.astype(np.float64), want.astype(np.float64)
        if equal_zeros:
            far = np.where((wide == 0) & (wanted == 0), 0, far)
        if absolute:
            eps = float(ml_dtypes.finfo(want.dtype).eps)
            with np.errstate(all="ignore"):
                near = np.abs(wide - wanted) <= absolute * eps * np.maximum(1, np.abs(wanted))
            far = np.where(near, 0, far)
    if far.max() <= ulps:
        return None
    at = np.unravel_index(int(np.argmax(far)), far.shape)
    where = tuple(int(i) for i in at)
    return f"{(far > ulps).sum()} of {far.size}; at {where} {got[at]!r} for {want[at]!r}, {far[at]} units apart"
