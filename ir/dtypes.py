"""Element types and PyTorch's rules of promotion.

The rules: operands fall into three ranks, tensors with dimensions, tensors without, and Python numbers. A
lower rank changes the result only when its kind (bool < integer < float) is higher than that of the ranks
above it. Python floats then count as the default dtype, Python integers as int64.
https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion
"""

from __future__ import annotations

from typing import Any, Final

import ml_dtypes
import numpy as np

from .errors import ArgumentError, DTypeError

__all__ = ["DType", "by_short", "get_default_dtype", "promote", "result_dtype", "set_default_dtype"]

_KINDS = ("bool", "int", "float")


class DType:
    """An element type. There is one object per type: compare with `is`.

    >>> float32.short, float32.itemsize, float32.is_floating_point
    ('f32', 4, True)
    """

    __slots__ = ("is_floating_point", "is_signed", "itemsize", "kind", "name", "np", "rank", "short")

    def __init__(self, name: str, short: str, kind: str, numpy_type: Any) -> None:
        self.name = name
        self.short = short
        self.kind = kind
        self.np = np.dtype(numpy_type)
        self.itemsize = self.np.itemsize
        self.is_floating_point = kind == "float"
        self.is_signed = kind == "float" or name.startswith("int")
        self.rank = _KINDS.index(kind)

    def holds(self, value: int) -> bool:
        """Whether an integer is one of an integer dtype's."""
        bits = 8 * self.itemsize - self.is_signed
        return (-1 << bits if self.is_signed else 0) <= value < 1 << bits

    def __repr__(self) -> str:
        return f"ingot.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return DType.of, (self.name,)

    def __copy__(self) -> DType:
        return self

    def __deepcopy__(self, memo: object) -> DType:
        return self

    @staticmethod
    def of(value: Any) -> DType:
        """The dtype that a DType, a name, a NumPy dtype or a Python type stands for.

        Raises:
            DTypeError: for a type that tensors do not hold.

        >>> DType.of("f32") is DType.of(np.float32) is float32
        True
        """
        if isinstance(value, DType):
            return value
        if value in _by_python:
            return get_default_dtype() if value is float else _by_python[value]
        if isinstance(value, str) and (found := _by_name.get(value)):
            return found
        try:
            return _by_numpy[np.dtype(value)]
        except (TypeError, KeyError):
            known = ", ".join(d.name for d in _all)
            raise DTypeError(f"no dtype {value!r}", expected=f"one of {known}") from None


bool_: Final = DType("bool", "bool", "bool", np.bool_)
uint8: Final = DType("uint8", "u8", "int", np.uint8)
int8: Final = DType("int8", "i8", "int", np.int8)
int16: Final = DType("int16", "i16", "int", np.int16)
int32: Final = DType("int32", "i32", "int", np.int32)
int64: Final = DType("int64", "i64", "int", np.int64)
float16: Final = DType("float16", "f16", "float", np.float16)
bfloat16: Final = DType("bfloat16", "bf16", "float", ml_dtypes.bfloat16)
float32: Final = DType("float32", "f32", "float", np.float32)
float64: Final = DType("float64", "f64", "float", np.float64)

_all: Final = (bool_, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64)
by_short: Final[dict[str, DType]] = {d.short: d for d in _all}
_by_name = by_short | {d.name: d for d in _all} | {"half": float16, "float": float32, "double": float64}
_by_name |= {"long": int64, "int": int32, "short": int16}
_by_numpy: Final[dict[Any, DType]] = {d.np: d for d in _all}
_by_python: Final[dict[Any, DType]] = {bool: bool_, int: int64, float: float32}
from_numpy: Final = _by_numpy

_default = float32


def get_default_dtype() -> DType:
    """The dtype of tensors made from Python floats; float32 unless `set_default_dtype` changed it."""
    return _default


def set_default_dtype(dtype: Any) -> None:
    """Set the dtype of tensors made from Python floats.

    Raises:
        ArgumentError: when it is not a floating-point dtype.
    """
    global _default
    found = DType.of(dtype)
    if not found.is_floating_point:
        raise ArgumentError(f"set_default_dtype: {found.name} is not a floating-point dtype")
    _default = found


def _promotion_table() -> dict[tuple[DType, DType], DType]:
    table = {}
    for a in _all:
        for b in _all:
            table[a, b] = _promote_pair(a, b)
    return table


def _promote_pair(a: DType, b: DType) -> DType:
    if a is b:
        return a
    if a.rank != b.rank:
        return a if a.rank > b.rank else b
    if {a, b} == {float16, bfloat16}:
        return float32
    _, large = sorted((a, b), key=lambda d: (d.itemsize, d.is_signed))
    if large.kind == "int" and uint8 in (a, b) and large.itemsize == 1:
        return int16
    return large


_table: Final = _promotion_table()


def promote(a: DType, b: DType) -> DType:
    """The smallest dtype that holds both, as `torch.promote_types`.

    >>> promote(uint8, int8).name, promote(int64, float16).name, promote(float16, bfloat16).name
    ('int16', 'float16', 'float32')
    """
    return _table[a, b]


def result_dtype(dimensioned: list[DType], zero_dim: list[DType], numbers: list[DType]) -> DType:
    """PyTorch's result type for operands sorted by rank (see the module's docstring).

    `numbers` holds `bool_`, `int64` or the default dtype for Python bools, integers and floats.

    >>> result_dtype([float32], [float64], [int64]).name
    'float32'
    >>> result_dtype([int32], [], [float32]).name
    'float32'
    """
    result: DType | None = None
    for group in (dimensioned, zero_dim, numbers):
        if not group:
            continue
        found = group[0]
        for other in group[1:]:
            found = _table[found, other]
        if result is None or found.rank > result.rank:
            result = found
    if result is None:
        raise ArgumentError("result_type: no operands")
    return result
