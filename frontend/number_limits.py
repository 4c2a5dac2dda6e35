"""`finfo` and `iinfo`: what numbers a dtype holds."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from ..ir.dtypes import DType, get_default_dtype
from ..ir.errors import ArgumentError
from ..ir.locations import here

__all__ = ["finfo", "iinfo"]


class finfo:
    """The numbers of a floating-point dtype, the default one where none is given.

    Attributes:
        bits: how many an element has.
        eps: the distance from 1 to the next number.
        max, min: the largest and smallest number.
        tiny, smallest_normal: the smallest positive number of full precision.
        resolution: the power of ten that the decimal digits reach.
        dtype: the name.

    Raises:
        ArgumentError: for another kind of dtype.

    >>> import ingot
    >>> finfo(ingot.float32).min, finfo(ingot.float16).max, finfo(ingot.float64).eps == 2.0**-52
    (-3.4028234663852886e+38, 65504.0, True)
    """

    def __init__(self, type: Any = None) -> None:
        dtype = DType.of(type or get_default_dtype())
        if not dtype.is_floating_point:
            raise ArgumentError("finfo: a floating-point dtype is asked for", found=str(dtype), location=here())
        found: Any = ml_dtypes.finfo(dtype.np)
        self.dtype = dtype.name
        self.bits = 8 * dtype.itemsize
        self.eps, self.max, self.min = float(found.eps), float(found.max), float(found.min)
        self.tiny = self.smallest_normal = float(found.smallest_normal)
        self.resolution = float(found.resolution)

    def __repr__(self) -> str:
        names = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        return f"finfo({', '.join(f'{name}={getattr(self, name):g}' for name in names)}, dtype={self.dtype})"


class iinfo:
    """The numbers of an integer dtype.

    Attributes:
        bits: how many an element has.
        max, min: the largest and smallest number.
        dtype: the name.

    Raises:
        ArgumentError: for another kind of dtype.

    >>> import ingot
    >>> iinfo(ingot.int8)
    iinfo(min=-128, max=127, dtype=int8)
    """

    def __init__(self, type: Any) -> None:
        dtype = DType.of(type)
        if dtype.is_floating_point or dtype.kind == "bool":
            raise ArgumentError("iinfo: an integer dtype is asked for", found=str(dtype), location=here())
        found = np.iinfo(dtype.np)
        self.dtype = dtype.name
        self.bits, self.max, self.min = found.bits, int(found.max), int(found.min)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
