"""Normalisation of each sample by itself: layer norm and group norm.

The gradient of layer norm is an op of its own, which gives those of input, weight and bias at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..families import composite
from ..sizes import Size, equal, product
from .batch_norm import affine, check_channels
from .checks import require, require_float, require_same_dtype, show_sizes
from .halves import narrowed, widened

__all__: list[str] = []


def _half(x: Any) -> Any:
    """Whether a float array is of 16 bits (bfloat16's kind is not NumPy's own)."""
    return x.dtype.itemsize == 2 and x.dtype.kind not in "iu"


def _narrow(np: Any, x: Any, dtype: Any, out: Any) -> Any:
    if out is None:
        return x.astype(dtype)
    out[...] = x
    return out


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
    if axes == -1 and out.size > 4096:
        spread = np.einsum("...i,...i->...", out, out)[..., None]
    else:
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
    return narrowed(F, found, input.dtype)


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
    _layer_axes(x, normalized_shape, weight, None)
    dtype = x.dtype
    if _half(x):
        g, x = g.astype(np.float32), x.astype(np.float32)
        weight = None if weight is None else weight.astype(np.float32)
    count = 1
    for size in normalized_shape:
        count *= size
    scale = 1.0 / count if count else 1.0
    rows = (x.size // count if count else 0, count)
    slopes, flat = g.reshape(rows), x.reshape(rows)
    mean = np.add.reduce(flat, axis=1, keepdims=True)
    mean *= scale
    unit = flat - mean
    spread = np.einsum("ij,ij->i", unit, unit)[:, None]
    spread *= scale
    spread += eps
    np.sqrt(spread, out=spread)
    np.divide(unit, spread, out=unit)
    by_bias = np.add.reduce(slopes, axis=0).reshape(normalized_shape)
    by_weight = np.einsum("ij,ij->j", slopes, unit).reshape(normalized_shape)
    weighted = slopes if weight is None else slopes * weight.reshape(count)
    slope = np.einsum("ij,ij->i", weighted, unit)[:, None]
    slope *= scale
    shift = np.add.reduce(weighted, axis=1, keepdims=True)
    shift *= scale
    np.multiply(unit, slope, out=unit)
    np.subtract(weighted, unit, out=unit)
    np.subtract(unit, shift, out=unit)
    by_input = np.divide(unit, spread, out=unit).reshape(x.shape)
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
    return tuple(narrowed(F, y, input.dtype) for y in (by_input, by_weight, by_bias))


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
    check_channels("group_norm", input, weight=weight, bias=bias)
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
    found = affine(F, F.reshape(unit, shape=tuple(input.shape)), weight, bias)
    return narrowed(F, found, input.dtype)
