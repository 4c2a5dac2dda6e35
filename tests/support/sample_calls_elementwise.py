"""Sample calls of element-wise ops: one operand, two operands, and those with more to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from ingot.ir import dtypes
from sample_maker import Maker, Sample, for_op

# Where a function of one operand is defined and smooth.
_DOMAINS: dict[str, tuple[float, float]] = {
    "log": (0.2, 5.0),
    "log2": (0.2, 5.0),
    "log10": (0.2, 5.0),
    "log1p": (-0.7, 4.0),
    "sqrt": (0.2, 5.0),
    "rsqrt": (0.2, 5.0),
    "reciprocal": (0.2, 3.0),
    "asin": (-0.9, 0.9),
    "acos": (-0.9, 0.9),
    "tan": (-1.2, 1.2),
}
_FLOATS = [
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "sqrt",
    "rsqrt",
    "reciprocal",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "erf",
    "sigmoid",
    "silu",
    "gelu",
    "softplus",
    "elu",
    "leaky_relu",
    "hardswish",
    "isnan",
    "isinf",
    "isfinite",
]
_NUMBERS = ["neg", "abs", "sign", "square", "floor", "ceil", "round", "trunc", "relu"]


def _one(make: Maker, **limits: Any) -> Iterator[Any]:
    yield make.tensor(3, 4, **limits)
    yield make.tensor(**limits)
    yield make.tensor(0, 3, **limits)
    yield make.strided(2, 3, **limits)


@for_op(*_FLOATS)
def _of_floats(make: Maker, name: str) -> Iterator[Any]:
    low, high = _DOMAINS.get(name, (-2.0, 2.0))
    if not make.is_float:
        low = max(low, 0.0) if low >= 0 else low
        if name in _DOMAINS:
            low, high = (1, 1) if high < 1.5 else (1, 4)
    yield from _one(make, low=low, high=high)
    options = {
        "gelu": {"approximate": "tanh"},
        "softplus": {"beta": 2.0, "threshold": 1.5},
        "elu": {"alpha": 0.7},
        "leaky_relu": {"negative_slope": 0.2},
    }
    if name in options:
        yield make.tensor(3, 4), options[name]
    if name == "hardswish":
        yield make.tensor(5, low=-5, high=5)


@for_op(*_NUMBERS, kinds="float int")
def _of_numbers(make: Maker) -> Iterator[Any]:
    yield from _one(make)


@for_op("hardtanh", kinds="float int")
def _hardtanh(make: Maker) -> Iterator[Any]:
    if make.dtype.is_signed:
        yield from _one(make)
    yield make.tensor(3, 4), {"min_val": 0.5, "max_val": 1.5}


@for_op("clone", "detach", "logical_not")
def _of_anything(make: Maker) -> Iterator[Any]:
    yield from _one(make)


@for_op("bitwise_not", kinds="int bool")
def _of_bits(make: Maker) -> Iterator[Any]:
    yield from _one(make)


@for_op("cast")
def _cast(make: Maker) -> Iterator[Any]:
    for target in ("float32", "float64", "float16", "bfloat16", "int64", "int32", "bool"):
        # A step of a finite difference is below what a narrower type can tell apart.
        yield Sample((make.tensor(2, 3, low=0, high=3),), {"dtype": target}, smooth=target == "float64")
    yield make.tensor(), {"dtype": "float64"}
    yield make.tensor(0, 2), {"dtype": "int64"}
    yield make.strided(2, 2), {"dtype": "float64"}


@for_op("clamp", kinds="float int")
def _clamp(make: Maker) -> Iterator[Any]:
    for limits in ({"min": -1}, {"max": 1}, {"min": -1, "max": 1}):
        if limits.get("min") and not make.dtype.is_signed:
            limits = {**limits, "min": 0}
        yield make.tensor(3, 4), limits
    yield make.strided(2, 3), {"max": 1}
    if make.is_float:
        yield make.tensor(6), {"min": -0.5, "max": 0.5}


# ------------------------------------------------------------------------------------------------------ two operands


def _two(make: Maker, **limits: Any) -> Iterator[Any]:
    def tensor(*sizes: int) -> Any:
        return make.tensor(*sizes, **limits)

    yield tensor(3, 4), tensor(3, 4)
    yield tensor(3, 1), tensor(4)
    yield tensor(2, 3), tensor()
    yield tensor(), tensor()
    yield tensor(0, 3), tensor(1, 3)
    yield make.strided(3, 2, **limits), make.strided(2, **limits)


def _with_numbers(make: Maker, number: Any) -> Iterator[Any]:
    yield make.tensor(3, low=1, high=4), number
    yield number, make.tensor(2, 2, low=1, high=4)


def _with_others(make: Maker, **limits: Any) -> Iterator[Any]:
    """A second operand of another dtype."""
    for other in (dtypes.float64, dtypes.float32, dtypes.int64, dtypes.uint8, dtypes.bool_):
        if other is not make.dtype:
            yield make.tensor(2, 3, **limits), make.tensor(2, 3, dtype=other, **limits)
    yield make.tensor(3, **limits), make.tensor(dtype=dtypes.float64, **limits)


@for_op("add", "mul")
def _sums(make: Maker) -> Iterator[Any]:
    yield from _two(make)
    yield from _with_numbers(make, 2)
    yield from _with_numbers(make, 1.5)
    yield from _with_others(make)


@for_op("sub", kinds="float int")
def _difference(make: Maker) -> Iterator[Any]:
    yield from _two(make)
    yield from _with_numbers(make, 2)
    yield from _with_others(make)


@for_op("div")
def _quotient(make: Maker) -> Iterator[Any]:
    if make.dtype.kind == "bool":
        yield make.tensor(3), make.tensor(3, low=1, high=3, dtype=dtypes.float32)
        return
    yield from _two(make, low=0.5, high=3)
    yield from _with_numbers(make, 3)
    yield from _with_numbers(make, 2.5)


@for_op("floor_divide", "remainder", "fmod", kinds="float int")
def _whole_quotients(make: Maker, name: str) -> Iterator[Any]:
    for a, b in _two(make, low=1, high=4):
        # Steps of these functions lie where the quotient is whole.
        yield Sample((a if not make.is_float else np.asarray(a * a.dtype.type(1.7)), b), smooth=False)
    yield Sample((make.tensor(4, low=-5, high=5), make.tensor(4, low=1, high=3)), smooth=False)
    if make.dtype.is_signed:
        yield Sample((make.tensor(4, low=-5, high=5), make.tensor(4, low=-3, high=-1)), smooth=False)
    if make.is_float and name == "remainder":
        a = make.tensor(4, low=0.3, high=0.7)
        yield a + a.dtype.type(4.0), a * a.dtype.type(0) + a.dtype.type(2.2)
    yield Sample((make.tensor(3, low=1, high=4), 2), smooth=False)


@for_op("pow", kinds="float int")
def _pow(make: Maker) -> Iterator[Any]:
    yield from _two(make, low=0.5 if make.is_float else 1, high=3)
    yield make.tensor(4, low=-2, high=2), 2
    yield make.tensor(4, low=-2, high=2), 3
    yield make.tensor(3, low=1, high=3), 0
    yield 2, make.tensor(3, low=0, high=3)
    if make.is_float:
        yield make.tensor(4, low=0.5, high=3), 0.5
        yield make.tensor(4, low=0.5, high=3), -1.5
        yield Sample((make.tensor(4, low=-2, high=-1), np.asarray(2, make.dtype.np)), smooth=False)


@for_op("maximum", "minimum")
def _extremes(make: Maker) -> Iterator[Any]:
    yield from _two(make)
    yield from _with_others(make)
    if make.dtype.kind != "bool":
        yield make.tensor(3, 4), 1


@for_op("atan2", kinds="float int")
def _atan2(make: Maker) -> Iterator[Any]:
    yield from _two(make, low=0.3 if make.is_float else 1, high=3)
    yield make.tensor(4, low=-3, high=-1), make.tensor(4, low=1, high=2)


@for_op("eq", "ne", "lt", "le", "gt", "ge")
def _comparisons(make: Maker) -> Iterator[Any]:
    yield from _two(make)
    yield from _with_numbers(make, 1)
    yield from _with_others(make)


@for_op("logical_and", "logical_or", "logical_xor")
def _logic(make: Maker) -> Iterator[Any]:
    yield from _two(make)
    yield make.tensor(2, 3), make.tensor(2, 3, dtype=dtypes.bool_)


@for_op("bitwise_and", "bitwise_or", "bitwise_xor", kinds="int bool")
def _bits(make: Maker) -> Iterator[Any]:
    yield from _two(make)
    if make.dtype.kind == "int":
        yield make.tensor(3, low=0, high=7), 5


@for_op("where")
def _where(make: Maker) -> Iterator[Any]:
    mask = make.tensor(3, 4, dtype=dtypes.bool_)
    yield mask, make.tensor(3, 4), make.tensor(3, 4)
    yield mask, make.tensor(3, 1), make.tensor(4)
    yield mask, make.tensor(), make.tensor(3, 4)
    yield mask, make.tensor(3, 4), 1
    yield mask, 0, make.tensor(3, 4)
    yield mask, make.tensor(3, 4), make.tensor(4, dtype=dtypes.float64)
    yield make.tensor(dtype=dtypes.bool_), make.tensor(), make.tensor()
    yield make.tensor(0, 3, dtype=dtypes.bool_), make.tensor(0, 3), make.tensor(1)


@for_op("masked_fill")
def _masked_fill(make: Maker) -> Iterator[Any]:
    yield make.tensor(3, 4), make.tensor(3, 4, dtype=dtypes.bool_), {"value": 1}
    yield make.strided(3, 4), make.tensor(4, dtype=dtypes.bool_), {"value": 0}
    yield make.tensor(), make.tensor(dtype=dtypes.bool_), {"value": 1}
    if make.is_float:
        yield Sample((make.tensor(2, 2), make.tensor(2, 2, dtype=dtypes.bool_)), {"value": float("-inf")}, smooth=False)
