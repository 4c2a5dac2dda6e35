"""Softmax and its logarithm."""

from __future__ import annotations

from typing import Any

from ..errors import ExportError
from ..families import composite, normalise_dim
from .checks import require_float
from .halves import narrowed, widened

__all__: list[str] = []


def _half(x: Any) -> Any:
    """Whether a float array is of 16 bits (bfloat16's kind is not NumPy's own)."""
    return x.dtype.itemsize == 2 and x.dtype.kind not in "iu"


def _check_kind(x: Any) -> None:
    if x.dtype.kind in "iub":
        raise TypeError("input is not of a floating-point dtype")


def _narrow(np: Any, x: Any, dtype: Any, out: Any) -> Any:
    if out is None:
        return x.astype(dtype)
    out[...] = x
    return out


def softmax_fast(np: Any, x: Any, *, dim: Any, out: Any = None, scratch: Any = None) -> Any:
    if x.dtype.kind != "f" or x.dtype.itemsize == 2 or not x.ndim or not x.size:
        return _softmax_rare(np, x, dim, out)
    out = np.subtract(x, np.maximum.reduce(x, axis=dim, keepdims=True), out=out)
    np.exp(out, out=out)
    return np.divide(out, np.add.reduce(out, axis=dim, keepdims=True), out=out)


def _softmax_rare(np: Any, x: Any, dim: Any, out: Any) -> Any:
    """Halves, integers (refused), no dimensions, no elements."""
    _check_kind(x)
    if not x.size:
        np.add.reduce(np.zeros(x.shape, bool), axis=dim)
        return x.copy() if out is None else out
    wide = x.astype(np.float32) if _half(x) else x
    top = np.maximum.reduce(wide, axis=dim, keepdims=True) if x.ndim else wide
    found = np.exp(np.asarray(wide - top))
    found = found / (np.add.reduce(found, axis=dim, keepdims=True) if x.ndim else found)
    return _narrow(np, np.asarray(found), x.dtype, out)


def _shifted(F: Any, op: str, input: Any, dim: int) -> tuple[Any, int]:
    """The input in float32 or wider, less its largest element, and the dimension counted from the front."""
    require_float(op, input=input)
    axis = normalise_dim(op, dim, max(input.ndim, 1))
    x = widened(F, input)
    if not input.ndim:
        return x - F.detach(x), axis
    if input.shape[axis] == 0:
        return x, axis
    return x - F.detach(F.amax(x, dim=(axis,), keepdim=True)), axis


def _total(F: Any, x: Any, dim: int) -> Any:
    return F.sum(x, dim=(dim,), keepdim=True) if x.ndim else x


def _softmax_onnx(write: Any, op: str, input: Any, dim: int) -> Any:
    if not input.ndim:
        raise ExportError(f"{op}: ONNX takes tensors with dimensions only")
    return write(input, axis=normalise_dim(op, dim, input.ndim))


@composite(
    "softmax(input: Tensor, dim: int) -> Tensor",
    fast=softmax_fast,
    grad={"input": lambda F, g, y, dim: y * (g - _total(F, g * y, dim))},
    onnx=lambda E, input, dim: _softmax_onnx(E.Softmax, "softmax", input, dim),
)
def softmax(F: Any, input: Any, dim: Any) -> Any:
    """exp(input) over its sum along `dim`, shifted so that exp cannot overflow."""
    x, axis = _shifted(F, "softmax", input, dim)
    found = F.exp(x)
    return narrowed(F, found / _total(F, found, axis), input.dtype)


def log_softmax_fast(np: Any, x: Any, *, dim: Any, out: Any = None, scratch: Any = None) -> Any:
    if x.dtype.kind != "f" or x.dtype.itemsize == 2 or not x.ndim or not x.size:
        return _log_softmax_rare(np, x, dim, out)
    out = np.subtract(x, np.maximum.reduce(x, axis=dim, keepdims=True), out=out)
    total = np.add.reduce(np.exp(out), axis=dim, keepdims=True)
    return np.subtract(out, np.log(total, out=total), out=out)


def _log_softmax_rare(np: Any, x: Any, dim: Any, out: Any) -> Any:
    _check_kind(x)
    if not x.size:
        np.add.reduce(np.zeros(x.shape, bool), axis=dim)
        return x.copy() if out is None else out
    wide = x.astype(np.float32) if _half(x) else x
    shifted = np.asarray(wide - (np.maximum.reduce(wide, axis=dim, keepdims=True) if x.ndim else wide))
    total = np.exp(shifted)
    found = shifted - np.log(np.add.reduce(total, axis=dim, keepdims=True) if x.ndim else total)
    return _narrow(np, np.asarray(found), x.dtype, out)


@composite(
    "log_softmax(input: Tensor, dim: int) -> Tensor",
    fast=log_softmax_fast,
    grad={"input": lambda F, g, y, dim: g - F.exp(y) * _total(F, g, dim)},
    onnx=lambda E, input, dim: _softmax_onnx(E.LogSoftmax, "log_softmax", input, dim),
)
def log_softmax(F: Any, input: Any, dim: Any) -> Any:
    """The logarithm of softmax, without a detour over numbers that may be 0."""
    x, axis = _shifted(F, "log_softmax", input, dim)
    return narrowed(F, x - F.log(_total(F, F.exp(x), axis)), input.dtype)
