"""Tensors from nothing: full, arange, linspace, eye. `zeros`, `ones` and their `_like` forms are `full`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..dtypes import float64
from ..errors import ArgumentError
from ..families import nest
from ..nest import as_index
from ..registry import NotDifferentiable
from ..sizes import Size, SizeExpr, ask, maximum
from .literals import literal_of

_NO_INPUT = NotDifferentiable("it has no tensor to differentiate by")


def full_fast(np: Any, *, size: Any, value: Any, dtype: Any, out: Any = None, scratch: Any = None) -> Any:
    if out is None:
        kind = getattr(dtype, "np", dtype)
        # A minus zero keeps its sign.
        return np.zeros(size, kind) if value == 0 and repr(value)[0] != "-" else np.full(size, value, kind)
    out.fill(value)
    return out


@nest(
    "full(size: size[], value: number, dtype: dtype) -> Tensor",
    fast=full_fast,
    grad=_NO_INPUT,
    onnx=lambda E, size, value, dtype: E.Expand(E.number(literal_of(value, dtype), dtype), E.shape(size)),
)
def full(n: Any, size: Any, value: Any, dtype: Any) -> Any:
    """A tensor of the given sizes, filled with one number."""
    n.require(
        not any(isinstance(x, int) and x < 0 for x in size), "size is negative", "sizes >= 0", f"size={tuple(size)}"
    )
    if isinstance(value, SizeExpr):
        return n.out(n.letters(size), n.s.cast(as_index(value), dtype))
    return n.out(n.letters(size), n.s.const(literal_of(value, dtype), dtype))


def arange_fast(np: Any, *, start: Any, end: Any, step: Any, dtype: Any, out: Any = None, scratch: Any = None) -> Any:
    target = getattr(dtype, "np", dtype)
    span = (end - start) / step if isinstance(start + end + step, float) else -((start - end) // step)
    count = int(np.ceil(span))
    if count < 0 or span < 0:
        raise ValueError("arange: step leads away from end")
    if isinstance(start + end + step, float):
        found = np.arange(count, dtype=np.float64) * step + start
    else:
        found = np.arange(count, dtype=np.int64) * step + start
    if out is None:
        return found.astype(target, copy=False)
    out[...] = found
    return out


def _arange_count(start: Any, end: Any, step: Any) -> Size:
    if step == 0:
        raise ArgumentError("arange: step is 0", expected="step != 0")
    if any(isinstance(x, float) for x in (start, end, step)):
        if any(isinstance(x, SizeExpr) for x in (start, end, step)):
            raise ArgumentError("arange: a symbolic size beside a float", found=f"start={start} end={end} step={step}")
        span = (end - start) / step
        if not math.isfinite(span):
            raise ArgumentError("arange: the range is not finite", found=f"start={start} end={end} step={step}")
        if span < 0:
            raise _wrong_way(start, end, step)
        return math.ceil(span)
    if isinstance(step, int) and ask("<", (end - start) * (1 if step > 0 else -1), 0):
        raise _wrong_way(start, end, step)
    return maximum(0, -((start - end) // step))


def _wrong_way(start: Any, end: Any, step: Any) -> ArgumentError:
    return ArgumentError("arange: step leads away from end", found=f"start={start} end={end} step={step}")


def _arange_onnx(E: Any, start: Any, end: Any, step: Any, dtype: Any) -> Any:
    if any(isinstance(x, SizeExpr) for x in (start, end, step)):
        zero_dim = [E.Squeeze(E.shape([x]), np.array([0], np.int64)) for x in (start, end, step)]
        return E.Cast(E.Range(*zero_dim), to=dtype)
    return E.Identity(arange_fast(np, start=start, end=end, step=step, dtype=dtype))


@nest(
    "arange(start: number, end: number, step: number, dtype: dtype) -> Tensor",
    fast=arange_fast,
    grad=_NO_INPUT,
    onnx=_arange_onnx,
)
def arange(n: Any, start: Any, end: Any, step: Any, dtype: Any) -> Any:
    """start, start + step, ... up to before end; worked out in float64, or in int64 where all three are integers."""
    (i,) = n.letters([_arange_count(start, end, step)])
    if any(isinstance(x, float) for x in (start, end, step)):
        value = n.s.cast(i, float64) * float(step) + float(start)
    else:
        value = i * as_index(step) + as_index(start)
    return n.out([i], n.s.cast(value, dtype))


def linspace_fast(
    np: Any, *, start: Any, end: Any, steps: Any, dtype: Any, out: Any = None, scratch: Any = None
) -> Any:
    i = np.arange(steps, dtype=np.float64)
    step = (end - start) / max(steps - 1, 1)
    found = np.where(i * 2 < steps, i * step + start, (i - (steps - 1)) * step + end)
    if out is None:
        return found.astype(getattr(dtype, "np", dtype))
    out[...] = found
    return out


@nest(
    "linspace(start: float, end: float, steps: int, dtype: dtype) -> Tensor",
    fast=linspace_fast,
    grad=_NO_INPUT,
    onnx=lambda E, start, end, steps, dtype: E.Identity(
        linspace_fast(np, start=start, end=end, steps=steps, dtype=dtype)
    ),
)
def linspace(n: Any, start: Any, end: Any, steps: Any, dtype: Any) -> Any:
    """`steps` numbers at equal distances from start to end, both included; worked out in float64, each half from
    its own end."""
    n.require(isinstance(steps, int) and steps >= 0, "steps is not a number of elements", "steps >= 0", str(steps))
    step = (end - start) / max(steps - 1, 1)
    (i,) = n.letters([steps])
    x = n.s.cast(i, float64)
    value = n.s.where(i * 2 < steps, x * step + start, (x - float(steps - 1)) * step + end)
    return n.out([i], n.s.cast(value, dtype))


def eye_fast(np: Any, *, n: Any, m: Any, dtype: Any, out: Any = None, scratch: Any = None) -> Any:
    if out is None:
        return np.eye(n, m, dtype=getattr(dtype, "np", dtype))
    out.fill(0)
    np.einsum("ii->i", out[: min(out.shape), : min(out.shape)])[...] = 1
    return out


@nest(
    "eye(n: size, m: size? = None, *, dtype: dtype) -> Tensor",
    fast=eye_fast,
    grad=_NO_INPUT,
    onnx=lambda E, n, m, dtype: E.EyeLike(E.Expand(E.number(0, dtype), E.shape([n, n if m is None else m]))),
)
def eye(builder: Any, n: Any, m: Any, dtype: Any) -> Any:
    """Ones on the diagonal of a matrix of n rows and m columns (n by default), zeros elsewhere."""
    i, j = builder.letters([n, n if m is None else m])
    one, zero = builder.s.const(literal_of(1, dtype), dtype), builder.s.const(literal_of(0, dtype), dtype)
    return builder.out([i, j], builder.s.where(builder.s.eq(i, j), one, zero))
