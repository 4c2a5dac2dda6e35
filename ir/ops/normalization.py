"""Softmax and its logarithm; layer, batch and group normalisation.

All are composites with quick kernels; the gradients of the normalisations are ops of their own, which give the
gradients of input, weight and bias at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import ExportError
from ..families import composite, normalise_dim
from ..sizes import Size, equal, product
from .checks import require, require_equal, require_float, require_same_dtype, show_sizes
from .reduction import widened

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


# --------------------------------------------------------------------------------------------------------- softmax


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


def _narrowed(F: Any, x: Any, dtype: Any) -> Any:
    return x if x.dtype is dtype else F.cast(x, dtype=dtype)


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
    return _narrowed(F, found / _total(F, found, axis), input.dtype)


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
    return _narrowed(F, x - F.log(_total(F, F.exp(x), axis)), input.dtype)


# ------------------------------------------------------------------------------------------------------ layer norm


def _check_layer(op: str, input: Any, shape: Sequence[Size], weight: Any, bias: Any) -> tuple[int, ...]:
    """The dimensions that are normalised over, counted from the end."""
    require_float(op, input=input)
    require_same_dtype(op, input=input, weight=weight, bias=bias)
    n = len(shape)
    fits = 0 < n <= input.ndim and all(equal(a, b) is True for a, b in zip(input.shape[-n:], shape, strict=True))
    require(
        op,
        fits,
        "normalized_shape is not the end of input's sizes",
        f"sizes (..., {', '.join(map(str, shape))})",
        input=input,
    )
    for name, x in (("weight", weight), ("bias", bias)):
        same = x is None or (x.ndim == n and all(equal(a, b) is True for a, b in zip(x.shape, shape, strict=True)))
        require(op, same, f"{name} does not have the sizes normalized_shape", show_sizes(shape), **{name: x})
    return tuple(range(-n, 0))


def _layer_axes(x: Any, shape: Any, weight: Any, bias: Any) -> Any:
    """The axes that are normalised over, where the operands fit each other."""
    count = len(shape)
    shape = tuple(shape)
    if x.dtype.kind in "iub" or not count or x.shape[-count:] != shape:
        raise ValueError("layer_norm: input does not fit")
    for y in (weight, bias):
        if y is not None and (y.shape != shape or y.dtype != x.dtype):
            raise ValueError("layer_norm: weight or bias does not fit")
    return -1 if count == 1 else tuple(range(-count, 0))


def layer_norm_fast(
    np: Any,
    x: Any,
    weight: Any = None,
    bias: Any = None,
    *,
    normalized_shape: Any,
    eps: Any,
    out: Any = None,
    scratch: Any = None,
) -> Any:
    axes = _layer_axes(x, normalized_shape, weight, bias)
    if x.dtype.itemsize == 2:
        found = layer_norm_fast(
            np,
            x.astype(np.float32),
            None if weight is None else weight.astype(np.float32),
            None if bias is None else bias.astype(np.float32),
            normalized_shape=normalized_shape,
            eps=eps,
        )
        return _narrow(np, found, x.dtype, out)
    count = 1
    for size in normalized_shape:
        count *= size
    scale = 1.0 / count if count else 1.0
    mean = np.add.reduce(x, axis=axes, keepdims=True)
    mean *= scale
    out = np.subtract(x, mean, out=out)
    spread = np.add.reduce(out * out, axis=axes, keepdims=True)
    spread *= scale
    spread += eps
    np.sqrt(spread, out=spread)
    np.divide(out, spread, out=out)
    if weight is not None:
        np.multiply(out, weight, out=out)
    if bias is not None:
        np.add(out, bias, out=out)
    return out


@composite(
    "layer_norm(input: Tensor, normalized_shape: size[], weight: Tensor? = None, bias: Tensor? = None, "
    "eps: float = 1e-05) -> Tensor",
    fast=layer_norm_fast,
    grad={
        ("input", "weight", "bias"): lambda F, g, input, weight, normalized_shape, eps: F.layer_norm_grad(
            g, input, weight, normalized_shape, eps
        )
    },
    onnx=lambda E, input, normalized_shape, weight, bias, eps: _layer_norm_onnx(
        E, input, normalized_shape, weight, bias, eps
    ),
)
def layer_norm(F: Any, input: Any, weight: Any, bias: Any, normalized_shape: Any, eps: Any) -> Any:
    """Shifted and scaled to mean 0 and variance 1 over the last dimensions, whose sizes are `normalized_shape`; then
    times weight, plus bias. Ba et al. 2016."""
    dims = _check_layer("layer_norm", input, normalized_shape, weight, bias)
    x = widened(F, input)
    centred = x - F.mean(x, dim=dims, keepdim=True)
    found = centred / F.sqrt(F.mean(centred * centred, dim=dims, keepdim=True) + eps)
    if weight is not None:
        found = found * weight
    if bias is not None:
        found = found + bias
    return _narrowed(F, found, input.dtype)


def _layer_norm_onnx(E: Any, input: Any, shape: Sequence[Size], weight: Any, bias: Any, eps: float) -> Any:
    if weight is None:
        weight = E.Expand(E.number(1.0, input), E.shape(shape))
    operands = (input, weight) if bias is None else (input, weight, bias)
    return E.LayerNormalization(*operands, axis=-len(shape), epsilon=eps)


def layer_norm_grad_fast(
    np: Any,
    g: Any,
    x: Any,
    weight: Any = None,
    *,
    normalized_shape: Any,
    eps: Any,
    out: Any = None,
    scratch: Any = None,
) -> Any:
    axes = _layer_axes(x, normalized_shape, weight, None)
    dtype = x.dtype
    if _half(x):
        g, x = g.astype(np.float32), x.astype(np.float32)
        weight = None if weight is None else weight.astype(np.float32)
    count = 1
    for size in normalized_shape:
        count *= size
    scale = 1.0 / count if count else 1.0
    mean = np.add.reduce(x, axis=axes, keepdims=True)
    mean *= scale
    unit = x - mean
    spread = np.add.reduce(unit * unit, axis=axes, keepdims=True)
    spread *= scale
    spread += eps
    np.sqrt(spread, out=spread)
    np.divide(unit, spread, out=unit)
    lead = tuple(range(x.ndim - len(normalized_shape)))
    by_bias = np.add.reduce(g, axis=lead) if lead else g.copy()
    product = g * unit
    by_weight = np.add.reduce(product, axis=lead) if lead else product.copy()
    weighted = g if weight is None else g * weight
    if weight is not None:
        np.multiply(weighted, unit, out=product)
    slope = np.add.reduce(product, axis=axes, keepdims=True)
    slope *= scale
    shift = np.add.reduce(weighted, axis=axes, keepdims=True)
    shift *= scale
    np.multiply(unit, slope, out=unit)
    by_input = np.subtract(weighted, unit, out=unit)
    np.subtract(by_input, shift, out=by_input)
    np.divide(by_input, spread, out=by_input)
    found = by_input, by_weight, by_bias
    if out is None:
        return tuple([y.astype(dtype, copy=False) for y in found])
    for y, target in zip(found, out, strict=True):
        target[...] = y
    return out


@composite(
    "layer_norm_grad(grad_output: Tensor, input: Tensor, weight: Tensor?, normalized_shape: size[], eps: float)"
    " -> (Tensor, Tensor, Tensor)",
    fast=layer_norm_grad_fast,
)
def layer_norm_grad(F: Any, grad_output: Any, input: Any, weight: Any, normalized_shape: Any, eps: Any) -> Any:
    """The gradients of `layer_norm` by its input, weight and bias."""
    dims = _check_layer("layer_norm_grad", input, normalized_shape, weight, None)
    g, x = widened(F, grad_output), widened(F, input)
    centred = x - F.mean(x, dim=dims, keepdim=True)
    deviation = F.sqrt(F.mean(centred * centred, dim=dims, keepdim=True) + eps)
    unit = centred / deviation
    weighted = g if weight is None else g * weight
    lead = tuple(range(input.ndim - len(normalized_shape)))
    product = g * unit
    by_input = (
        weighted - F.mean(weighted, dim=dims, keepdim=True) - unit * F.mean(weighted * unit, dim=dims, keepdim=True)
    ) / deviation
    by_weight = F.sum(product, dim=lead) if lead else product
    by_bias = F.sum(g, dim=lead) if lead else g
    return tuple(_narrowed(F, y, input.dtype) for y in (by_input, by_weight, by_bias))


# ------------------------------------------------------------------------------------------------------ batch norm


def _check_batch(op: str, input: Any, **vectors: Any) -> tuple[int, ...]:
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


def _channels(F: Any, x: Any, ndim: int) -> Any:
    """A vector over the channels with a dimension of size 1 for each one behind them."""
    return x if ndim == 2 else F.reshape(x, shape=(x.shape[0],) + (1,) * (ndim - 2))


def _affine(F: Any, x: Any, weight: Any, bias: Any) -> Any:
    if weight is not None:
        x = x * _channels(F, weight, x.ndim)
    return x if bias is None else x + _channels(F, bias, x.ndim)


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
        return g * _channels(F, scale if weight is None else scale * weight, g.ndim)

    def by_mean(F: Any, g: Any, running_var: Any, weight: Any, eps: float) -> Any:
        scale = inverse_deviation(F, running_var, eps)
        return -_channel_sum(F, g) * (scale if weight is None else scale * weight)

    def by_var(F: Any, g: Any, input: Any, running_mean: Any, running_var: Any, weight: Any, eps: float) -> Any:
        scale = inverse_deviation(F, running_var, eps)
        total = _channel_sum(F, g * (input - _channels(F, running_mean, g.ndim)))
        return total * (scale * scale * scale * -0.5) * (1.0 if weight is None else weight)

    def by_weight(F: Any, g: Any, input: Any, running_mean: Any, running_var: Any, eps: float) -> Any:
        total = _channel_sum(F, g * (input - _channels(F, running_mean, g.ndim)))
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
    _check_batch("batch_norm_inference", input, **vectors)
    x = widened(F, input)
    scale = F.rsqrt(widened(F, running_var) + eps)
    found = (x - _channels(F, running_mean, x.ndim)) * _channels(F, scale, x.ndim)
    return _narrowed(F, _affine(F, found, weight, bias), input.dtype)


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
    dims = _check_batch("batch_norm_training", input, weight=weight, bias=bias)
    count = product([input.shape[i] for i in dims])
    require("batch_norm_training", count != 0, "input has no elements", "one element a channel or more", input=input)
    x = widened(F, input)
    mean = F.mean(x, dim=dims)
    centred = x - _channels(F, mean, x.ndim)
    var = F.mean(centred * centred, dim=dims)
    found = centred * _channels(F, F.rsqrt(var + eps), x.ndim)
    return tuple(_narrowed(F, y, input.dtype) for y in (_affine(F, found, weight, bias), mean, var))


def _batch_norm_rule(F: Any, g: Any, y: Any, input: Any, weight: Any, eps: float) -> tuple[Any, Any, Any]:
    by_out, by_mean, by_var = g
    found: tuple[Any, Any, Any] = (None, None, None)
    if by_out is not None:
        found = F.batch_norm_grad(by_out, input, y[1], y[2], weight, eps)
    extra = None
    count = product([size for i, size in enumerate(input.shape) if i != 1])
    if by_mean is not None:
        extra = F.expand(_channels(F, by_mean / count, input.ndim), size=tuple(input.shape))
    if by_var is not None:
        centred = input - _channels(F, y[1], input.ndim)
        slope = centred * _channels(F, by_var * 2.0 / count, input.ndim)
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
    dims = _check_batch("batch_norm_grad", input, mean=mean, var=var, weight=weight)
    g, x = widened(F, grad_output), widened(F, input)
    inverse = F.rsqrt(widened(F, var) + eps)
    unit = (x - _channels(F, mean, x.ndim)) * _channels(F, inverse, x.ndim)
    by_bias, by_weight = F.sum(g, dim=dims), F.sum(g * unit, dim=dims)
    count = product([input.shape[i] for i in dims])
    centred = g - _channels(F, by_bias / count, x.ndim) - unit * _channels(F, by_weight / count, x.ndim)
    factor = inverse if weight is None else inverse * weight
    by_input = centred * _channels(F, factor, x.ndim)
    return tuple(_narrowed(F, y, input.dtype) for y in (by_input, by_weight, by_bias))


@composite(
    "group_norm(input: Tensor, num_groups: int, weight: Tensor? = None, bias: Tensor? = None, eps: float = 1e-05)"
    " -> Tensor",
    onnx=lambda E, input, num_groups, weight, bias, eps: E.GroupNormalization(
        input,
        E.Expand(E.number(1.0, input), E.shape([input.shape[1]])) if weight is None else weight,
        E.Expand(E.number(0.0, input), E.shape([input.shape[1]])) if bias is None else bias,
        num_groups=num_groups,
        epsilon=eps,
    ),
)
def group_norm(F: Any, input: Any, weight: Any, bias: Any, num_groups: Any, eps: Any) -> Any:
    """Each group of channels of each sample shifted and scaled to mean 0 and variance 1; then times weight, plus
    bias, channel by channel. Wu & He 2018."""
    _check_batch("group_norm", input, weight=weight, bias=bias)
    channels = input.shape[1]
    require(
        "group_norm",
        num_groups >= 1 and equal(channels % num_groups, 0) is True,
        "num_groups does not divide the channels",
        "input.size(1) % num_groups == 0",
        f"{channels} and num_groups={num_groups}",
    )
    x = widened(F, input)
    grouped = F.reshape(x, shape=(input.shape[0], num_groups, product(input.shape[1:]) // num_groups))
    centred = grouped - F.mean(grouped, dim=(2,), keepdim=True)
    unit = centred / F.sqrt(F.mean(centred * centred, dim=(2,), keepdim=True) + eps)
    found = _affine(F, F.reshape(unit, shape=tuple(input.shape)), weight, bias)
    return _narrowed(F, found, input.dtype)
