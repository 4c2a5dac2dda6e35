"""Batch normalisation, in training by the batch's statistics and in inference by running ones.

Its gradient in training is an op of its own, which gives those of input, weight and bias at once.
"""

from __future__ import annotations

from typing import Any

from ..families import composite
from ..sizes import product
from .checks import require, require_equal, require_float, require_same_dtype
from .halves import narrowed, widened

__all__ = ["affine", "by_channel", "check_channels"]


def _half(x: Any) -> Any:
    """Whether a float array is of 16 bits (bfloat16's kind is not NumPy's own)."""
    return x.dtype.itemsize == 2 and x.dtype.kind not in "iu"


def _narrow(np: Any, x: Any, dtype: Any, out: Any) -> Any:
    if out is None:
        return x.astype(dtype)
    out[...] = x
    return out


def check_channels(op: str, input: Any, **vectors: Any) -> tuple[int, ...]:
    """Every dimension but that of the channels."""
    require_float(op, input=input)
    require(op, input.ndim >= 2, "input has no channels", "sizes (N, C, ...)", input=input)
    require_same_dtype(op, input=input, **vectors)
    for name, x in vectors.items():
        if x is None:
            continue
        require(op, x.ndim == 1, f"{name} is not a vector", "sizes (C,)", **{name: x})
        require_equal(
            op,
            "channels differ",
            f"{name}.size(0)",
            x.shape[0],
            "input.size(1)",
            input.shape[1],
            input=input,
            **{name: x},
        )
    return tuple(i for i in range(input.ndim) if i != 1)


def by_channel(F: Any, x: Any, ndim: int) -> Any:
    """A vector over the channels with a dimension of size 1 for each one behind them."""
    return x if ndim == 2 else F.reshape(x, shape=(x.shape[0],) + (1,) * (ndim - 2))


def affine(F: Any, x: Any, weight: Any, bias: Any) -> Any:
    if weight is not None:
        x = x * by_channel(F, weight, x.ndim)
    return x if bias is None else x + by_channel(F, bias, x.ndim)


def _flat_channels(x: Any, *vectors: Any) -> Any:
    """The input as (N, C, elements), where the vectors fit it."""
    if x.dtype.kind in "iub" or x.ndim < 2:
        raise ValueError("batch_norm: input does not fit")
    for y in vectors:
        if y is not None and (y.shape != x.shape[1:2] or y.dtype != x.dtype):
            raise ValueError("batch_norm: a vector does not fit")
    rest = 1
    for size in x.shape[2:]:
        rest *= size
    return x.reshape(x.shape[0], x.shape[1], rest)


def _by_row(np: Any, vector: Any, flat: Any) -> Any:
    """A vector over the channels as a row of (C*elements), so that what is done with it runs over whole samples."""
    return np.repeat(vector, flat.shape[2]) if flat.shape[2] != 1 else vector


def _channel_totals(np: Any, flat: Any) -> Any:
    """The sum over everything but the channels; within a sample as a product with ones, which BLAS does fastest."""
    n, c, k = flat.shape
    if k == 1:
        return np.add.reduce(flat.reshape(n, c), axis=0)
    return np.add.reduce(np.matmul(flat.reshape(n * c, k), np.ones(k, flat.dtype)).reshape(n, c), axis=0)


def batch_norm_inference_fast(
    np: Any,
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    *,
    eps: Any,
    out: Any = None,
    scratch: Any = None,
) -> Any:
    flat = _flat_channels(x, running_mean, running_var, weight, bias)
    wide = np.float32 if _half(x) else x.dtype
    scale = 1.0 / np.sqrt(running_var.astype(wide) + np.asarray(eps, wide))
    if weight is not None:
        scale = scale * weight.astype(wide, copy=False)
    shift = -running_mean.astype(wide, copy=False) * scale
    if bias is not None:
        shift = shift + bias.astype(wide, copy=False)
    rows = flat.reshape(flat.shape[0], flat.shape[1] * flat.shape[2])
    if out is None or _half(x):
        found = np.multiply(rows, _by_row(np, scale, flat))
    else:
        found = np.multiply(rows, _by_row(np, scale, flat), out=out.reshape(rows.shape))
    np.add(found, _by_row(np, shift, flat), out=found)
    if _half(x):
        return _narrow(np, found.reshape(x.shape), x.dtype, out)
    return found.reshape(x.shape) if out is None else out


def _batch_norm_inference_rules() -> dict[str, Any]:
    def inverse_deviation(F: Any, running_var: Any, eps: float) -> Any:
        return F.rsqrt(running_var + eps)

    def by_input(F: Any, g: Any, running_var: Any, weight: Any, eps: float) -> Any:
        scale = inverse_deviation(F, running_var, eps)
        return g * by_channel(F, scale if weight is None else scale * weight, g.ndim)

    def by_mean(F: Any, g: Any, running_var: Any, weight: Any, eps: float) -> Any:
        scale = inverse_deviation(F, running_var, eps)
        return -_channel_sum(F, g) * (scale if weight is None else scale * weight)

    def by_var(F: Any, g: Any, input: Any, running_mean: Any, running_var: Any, weight: Any, eps: float) -> Any:
        scale = inverse_deviation(F, running_var, eps)
        total = _channel_sum(F, g * (input - by_channel(F, running_mean, g.ndim)))
        return total * (scale * scale * scale * -0.5) * (1.0 if weight is None else weight)

    def by_weight(F: Any, g: Any, input: Any, running_mean: Any, running_var: Any, eps: float) -> Any:
        total = _channel_sum(F, g * (input - by_channel(F, running_mean, g.ndim)))
        return total * inverse_deviation(F, running_var, eps)

    return {
        "input": by_input,
        "running_mean": by_mean,
        "running_var": by_var,
        "weight": by_weight,
        "bias": lambda F, g: _channel_sum(F, g),
    }


def _channel_sum(F: Any, x: Any) -> Any:
    return F.sum(x, dim=tuple(i for i in range(x.ndim) if i != 1))


@composite(
    "batch_norm_inference(input: Tensor, running_mean: Tensor, running_var: Tensor, weight: Tensor? = None, "
    "bias: Tensor? = None, eps: float = 1e-05) -> Tensor",
    fast=batch_norm_inference_fast,
    grad=_batch_norm_inference_rules(),
    onnx=lambda E, input, running_mean, running_var, weight, bias, eps: E.BatchNormalization(
        input,
        E.Expand(E.number(1.0, input), E.shape([input.shape[1]])) if weight is None else weight,
        E.Expand(E.number(0.0, input), E.shape([input.shape[1]])) if bias is None else bias,
        running_mean,
        running_var,
        epsilon=eps,
    ),
)
def batch_norm_inference(
    F: Any, input: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any, eps: Any
) -> Any:
    """(input - running_mean) / sqrt(running_var + eps) * weight + bias, channel by channel (dimension 1)."""
    vectors = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    check_channels("batch_norm_inference", input, **vectors)
    x = widened(F, input)
    scale = F.rsqrt(widened(F, running_var) + eps)
    found = (x - by_channel(F, running_mean, x.ndim)) * by_channel(F, scale, x.ndim)
    return narrowed(F, affine(F, found, weight, bias), input.dtype)


def batch_norm_training_fast(
    np: Any, x: Any, weight: Any = None, bias: Any = None, *, eps: Any, out: Any = None, scratch: Any = None
) -> Any:
    flat = _flat_channels(x, weight, bias)
    if _half(x):
        flat = flat.astype(np.float32)
    count = flat.shape[0] * flat.shape[2]
    if not count:
        raise ValueError("batch_norm_training: no elements")
    scale = 1.0 / count
    mean = _channel_totals(np, flat)
    mean *= scale
    rows = flat.reshape(flat.shape[0], flat.shape[1] * flat.shape[2])
    target = None if out is None or _half(x) else out[0].reshape(rows.shape)
    found = np.subtract(rows, _by_row(np, mean, flat), out=target)
    centred = found.reshape(flat.shape)
    var = np.einsum("nck,nck->c", centred, centred)
    var *= scale
    factor = 1.0 / np.sqrt(var + np.asarray(eps, var.dtype))
    if weight is not None:
        factor = factor * weight.astype(factor.dtype, copy=False)
    np.multiply(found, _by_row(np, factor, flat), out=found)
    if bias is not None:
        np.add(found, _by_row(np, bias.astype(found.dtype, copy=False), flat), out=found)
    if out is None:
        return tuple([y.astype(x.dtype, copy=False) for y in (found.reshape(x.shape), mean, var)])
    if target is None:
        out[0][...] = found.reshape(x.shape)
    out[1][...] = mean
    out[2][...] = var
    return out


@composite(
    "batch_norm_training(input: Tensor, weight: Tensor? = None, bias: Tensor? = None, eps: float = 1e-05)"
    " -> (Tensor, Tensor, Tensor)",
    fast=batch_norm_training_fast,
    grad={
        ("input", "weight", "bias"): lambda F, g, y, input, weight, eps: _batch_norm_rule(F, g, y, input, weight, eps)
    },
    onnx="no: ONNX files are for inference; export the program in evaluation mode",
)
def batch_norm_training(F: Any, input: Any, weight: Any, bias: Any, eps: Any) -> Any:
    """The input normalised by its own statistics channel by channel, times weight, plus bias; and those statistics:
    mean and variance (over n, not n - 1). Ioffe & Szegedy 2015."""
    dims = check_channels("batch_norm_training", input, weight=weight, bias=bias)
    count = product([input.shape[i] for i in dims])
    require("batch_norm_training", count != 0, "input has no elements", "one element a channel or more", input=input)
    x = widened(F, input)
    mean = F.mean(x, dim=dims)
    centred = x - by_channel(F, mean, x.ndim)
    var = F.mean(centred * centred, dim=dims)
    found = centred * by_channel(F, F.rsqrt(var + eps), x.ndim)
    return tuple(narrowed(F, y, input.dtype) for y in (affine(F, found, weight, bias), mean, var))


def _batch_norm_rule(F: Any, g: Any, y: Any, input: Any, weight: Any, eps: float) -> tuple[Any, Any, Any]:
    by_out, by_mean, by_var = g
    found: tuple[Any, Any, Any] = (None, None, None)
    if by_out is not None:
        found = F.batch_norm_grad(by_out, input, y[1], y[2], weight, eps)
    extra = None
    count = product([size for i, size in enumerate(input.shape) if i != 1])
    if by_mean is not None:
        extra = F.expand(by_channel(F, by_mean / count, input.ndim), size=tuple(input.shape))
    if by_var is not None:
        centred = input - by_channel(F, y[1], input.ndim)
        slope = centred * by_channel(F, by_var * 2.0 / count, input.ndim)
        extra = slope if extra is None else extra + slope
    if extra is None:
        return found
    return (extra if found[0] is None else found[0] + extra, *found[1:])


def batch_norm_grad_fast(
    np: Any, g: Any, x: Any, mean: Any, var: Any, weight: Any = None, *, eps: Any, out: Any = None, scratch: Any = None
) -> Any:
    flat = _flat_channels(x, mean, var, weight)
    slopes = g.reshape(flat.shape)
    if _half(x):
        flat, slopes = flat.astype(np.float32), slopes.astype(np.float32)
    wide = flat.dtype
    scale = 1.0 / (flat.shape[0] * flat.shape[2])
    inverse = 1.0 / np.sqrt(var.astype(wide) + np.asarray(eps, wide))
    rows = flat.shape[0], flat.shape[1] * flat.shape[2]
    unit = flat.reshape(rows) - _by_row(np, mean.astype(wide, copy=False), flat)
    by_bias = _channel_totals(np, slopes)
    by_weight = np.einsum("nck,nck->c", slopes, unit.reshape(flat.shape)) * inverse
    factor = inverse if weight is None else inverse * weight.astype(wide, copy=False)
    # by_input = factor * (g - mean(g) - unit/deviation * mean(g * unit/deviation)), in one affine map of unit and g
    np.multiply(unit, _by_row(np, -scale * factor * inverse * by_weight, flat), out=unit)
    unit += slopes.reshape(rows) * _by_row(np, factor, flat)
    unit -= _by_row(np, scale * factor * by_bias, flat)
    found = unit.reshape(x.shape), by_weight, by_bias
    if out is None:
        return tuple([y.astype(x.dtype, copy=False) for y in found])
    for y, target in zip(found, out, strict=True):
        target[...] = y
    return out


@composite(
    "batch_norm_grad(grad_output: Tensor, input: Tensor, mean: Tensor, var: Tensor, weight: Tensor?, eps: float)"
    " -> (Tensor, Tensor, Tensor)",
    fast=batch_norm_grad_fast,
    onnx="no: ONNX files are for inference",
)
def batch_norm_grad(F: Any, grad_output: Any, input: Any, mean: Any, var: Any, weight: Any, eps: Any) -> Any:
    """The gradients of the first result of `batch_norm_training` by its input, weight and bias."""
    dims = check_channels("batch_norm_grad", input, mean=mean, var=var, weight=weight)
    g, x = widened(F, grad_output), widened(F, input)
    inverse = F.rsqrt(widened(F, var) + eps)
    unit = (x - by_channel(F, mean, x.ndim)) * by_channel(F, inverse, x.ndim)
    by_bias, by_weight = F.sum(g, dim=dims), F.sum(g * unit, dim=dims)
    count = product([input.shape[i] for i in dims])
    centred = g - by_channel(F, by_bias / count, x.ndim) - unit * by_channel(F, by_weight / count, x.ndim)
    factor = inverse if weight is None else inverse * weight
    by_input = centred * by_channel(F, factor, x.ndim)
    return tuple(narrowed(F, y, input.dtype) for y in (by_input, by_weight, by_bias))
