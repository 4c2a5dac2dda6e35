"""`min`, `max`, `sum` and functions of `math`, of numbers that the run decides: what Python computes, or a refusal.

Where Python's result would be an int or a float, as the data decide, it is refused; beside a tensor a number takes the
tensor's dtype. Where Python raises, the run does. (Which arguments are such numbers is the subject of `numbers`.)
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Final

from ...ir.errors import CaptureError
from ...ir.locations import here
from ...ir.sizes import maximum, minimum
from ..capture.grown_list import Run, SymList
from ..capture.run import as_kind, check_index
from ..capture.structured import describe, leaf_kind
from ..capture.symbols import Symbol, SymBool, SymFloat
from ..capture.symint import SymInt, as_size
from ..dispatch import EAGER
from ..mode import mode
from ..tensor_base import TensorBase
from .items import size

__all__ = ["MATH", "extreme", "number", "sum_"]


def varies(value: Any) -> bool:
    """Whether a value is a tensor that the run decides."""
    return isinstance(value, TensorBase) and bool(mode.tracer.varies(value))


def number(value: Any) -> Any:
    """A tensor that the run decides as a number."""
    return mode.tracer.item(value) if varies(value) else value


# ------------------------------------------------------------------------------------------------------ extremes


def extreme(plain: Callable[..., Any]) -> Callable[..., Any]:
    """`max` or `min`."""
    of_sizes, better, reduce = (maximum, "gt", "amax") if plain is max else (minimum, "lt", "amin")

    def find(*args: Any, **kwargs: Any) -> Any:
        values = _candidates(args)
        if kwargs or not any(isinstance(x, (SymInt, Symbol, Run)) or varies(x) for x in values):
            return plain(*args, **kwargs)
        values = [_best_of(x, reduce) if isinstance(x, Run) else x for x in values]
        if all(isinstance(x, (int, SymInt)) for x in values):
            return size(functools.reduce(of_sizes, map(as_size, values)))
        return functools.reduce(lambda a, b: _better(plain.__name__, better, a, b), values)

    return find


def _candidates(args: tuple[Any, ...]) -> list[Any]:
    if len(args) != 1:
        return list(args)
    if isinstance(args[0], SymList):
        runs = [item for item in args[0].segments() if isinstance(item, Run)]
        return args[0].segments() if len(runs) == 0 or len(args[0].segments()) == 1 else [args[0].one_run()]
    return list(args[0]) if isinstance(args[0], (list, tuple)) else []


def _best_of(run: Run, reduce: str) -> Any:
    """The extreme of the elements that a loop has appended."""
    if len(run.tensor.shape) != 1:
        raise _differs("max() or min()", "tensors of several elements", "numbers")
    check_index(run.size, 0, f"{reduce[1:]}() of an empty list", "ValueError")
    found = getattr(EAGER, reduce)(_without_nan(run, reduce), (0,))
    if run.kind == "float":  # Python keeps a NaN that comes first, and passes over others
        first = EAGER.select(run.tensor, 0, 0)
        found = EAGER.where(EAGER.isnan(first), first, found)
    return as_kind(run.kind, found)


def _without_nan(run: Run, reduce: str) -> Any:
    if run.kind != "float":
        return run.tensor
    worst = -math.inf if reduce == "amax" else math.inf
    return EAGER.where(EAGER.isnan(run.tensor), worst, run.tensor)


def _better(name: str, op: str, a: Any, b: Any) -> Any:
    """`b if b > a else a`, as Python has it: where NaN takes part the first stays."""
    tensors = [x for x in (a, b) if isinstance(x, TensorBase)]
    if not tensors and {leaf_kind(a), leaf_kind(b)} != {"float"}:
        raise _differs(name, describe(mode.tracer, a), describe(mode.tracer, b))
    if tensors and not all(_fits(x, tensors[0]) for x in (a, b)):
        raise _differs(name, describe(mode.tracer, a), describe(mode.tracer, b))
    first, second = _operand(a, tensors), _operand(b, tensors)
    found = EAGER.where(getattr(EAGER, op)(second, first), second, first)
    return found if tensors else SymFloat(found, mode.tracer)


def _fits(value: Any, tensor: Any) -> bool:
    """Whether a value beside a tensor is of its dtype, or a number that takes it."""
    if isinstance(value, TensorBase):
        return bool(value._array.dtype == tensor._array.dtype)
    return leaf_kind(value) == "int" or (leaf_kind(value) == "float" and tensor.dtype.is_floating_point)


def _operand(value: Any, tensors: list[Any]) -> Any:
    if isinstance(value, TensorBase):
        return value
    dtype = tensors[0].dtype if tensors else None
    if isinstance(value, (int, float)):
        return EAGER.full((), value, dtype) if dtype is not None else as_float(value).as_tensor()
    tensor = as_float(value).as_tensor()
    return tensor if dtype is None or dtype is tensor.dtype else EAGER.cast(tensor, dtype=dtype)


def _differs(name: str, a: str, b: str) -> CaptureError:
    return CaptureError(
        f"{name} of values of different types: the run decides which of them is taken",
        expected="values of one type",
        found=f"{a}, and {b}",
        location=here(),
        context=mode.tracer.context,
        advice="make them one type: 1.0 in place of 1 beside a float, float(n) beside an int",
    )


def as_float(value: Any) -> Any:
    """A number as a run-time float."""
    from ...ir.dtypes import float64

    if isinstance(value, SymFloat):
        return value
    if isinstance(value, SymInt):
        return value.as_float()
    if isinstance(value, SymBool):
        return SymFloat(EAGER.cast(value.as_tensor(), dtype=float64), mode.tracer)
    return SymFloat(EAGER.full((), float(value), float64), mode.tracer)


# --------------------------------------------------------------------------------------------------------- sums


def sum_(values: Any, start: Any = 0) -> Any:
    """`sum`."""
    if not (isinstance(values, SymList) and values.has_runs):
        return sum(values, start)
    runs = [item for item in values.segments() if isinstance(item, Run)]
    if isinstance(start, int) and any(run.kind != "int" for run in runs):  # the sum of no tensors is that number
        values.require_some("sum: the list is empty, and its sum is a plain number")
    total = start
    for item in values.segments():
        part = as_kind(item.kind, EAGER.sum(item.tensor, (0,))) if isinstance(item, Run) else item
        total = part if isinstance(total, int) and total == 0 else total + part
    return total


# --------------------------------------------------------------------------------------------------------- math

_UNARY: Final = (
    "sqrt", "exp", "log", "log2", "log10", "log1p", "expm1", "exp2", "sin", "cos", "tan", "asin", "acos", "atan",
    "sinh", "cosh", "tanh", "erf",
)  # fmt: skip
_OVERFLOWING: Final = ("exp", "expm1", "exp2", "sinh", "cosh")


def _unary(op: str) -> Callable[..., Any]:
    plain = getattr(math, op)

    def compute(value: Any, *others: Any) -> Any:
        value, others = number(value), tuple(map(number, others))
        if not any(isinstance(x, (Symbol, SymInt)) for x in (value, *others)):
            return plain(value, *others)
        found = _checked(op, as_float(value))
        return found / _checked(op, as_float(others[0])) if others else found  # log(x, base)

    return compute


def _checked(op: str, value: SymFloat) -> Any:
    """A function of a number; the run raises where Python does: no number for a number, or one that is too large."""
    given = value.as_tensor()
    found = getattr(EAGER, op)(given)
    infinite = EAGER.logical_and(EAGER.isinf(given), EAGER.logical_not(EAGER.isnan(found)))
    right = EAGER.logical_or(EAGER.isfinite(found), EAGER.logical_or(EAGER.isnan(given), infinite))
    kind, error = ("range", "OverflowError") if op in _OVERFLOWING else ("domain", "ValueError")
    mode.tracer.require(right, f"math {kind} error: {op}", here(), error)
    return SymFloat(found, mode.tracer)


def _question(op: str) -> Callable[[Any], Any]:
    plain = getattr(math, op)

    def ask(value: Any) -> Any:
        value = number(value)
        if not isinstance(value, (Symbol, SymInt)):
            return plain(value)
        return SymBool(getattr(EAGER, op)(as_float(value).as_tensor()), mode.tracer)

    return ask


def _rounded(op: str) -> Callable[[Any], Any]:
    plain = getattr(math, op)
    return lambda value: plain(number(value))


def _fabs(value: Any) -> Any:
    value = number(value)
    return abs(as_float(value)) if isinstance(value, (Symbol, SymInt)) else math.fabs(value)


def _pow(base: Any, exponent: Any) -> Any:
    base, exponent = number(base), number(exponent)
    if not any(isinstance(x, (Symbol, SymInt)) for x in (base, exponent)):
        return math.pow(base, exponent)
    return as_float(base) ** as_float(exponent)


MATH: Final[dict[Any, Callable[..., Any]]] = {
    **{getattr(math, op): _unary(op) for op in _UNARY},
    **{getattr(math, op): _question(op) for op in ("isnan", "isinf", "isfinite")},
    **{getattr(math, op): _rounded(op) for op in ("floor", "ceil", "trunc")},
    math.fabs: _fabs,
    math.pow: _pow,
}
