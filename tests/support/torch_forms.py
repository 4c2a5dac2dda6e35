"""Every op as a call of PyTorch, for the comparison in `tests/parity`; the names are the ops', inputs come flattened.

`FORMS[name](*inputs, **attrs)` takes and returns torch tensors. `NO_FORM` says why an op has none.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as tf

__all__ = ["FORMS", "NO_FORM"]


def _dtype(dtype: Any) -> Any:
    return None if dtype is None else getattr(torch, dtype.name)


def _dims(dim: Any) -> Any:
    return None if dim is None or len(dim) == 0 else tuple(dim)


def _with_dims(function: Callable[..., Any]) -> Callable[..., Any]:
    """A reduction whose `dim` may be None, an empty list, or several, with `keepdim`."""

    def call(x: Any, *, dim: Any, keepdim: bool, **attrs: Any) -> Any:
        dims = tuple(range(x.ndim)) if not dim else tuple(dim)
        return function(x, dims, keepdim, **attrs)

    return call


def _one_by_one(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for functions of PyTorch that take one dimension."""

    def reduce(x: Any, dims: tuple[int, ...], keepdim: bool, **attrs: Any) -> Any:
        for dim in sorted((d % max(x.ndim, 1) for d in dims), reverse=True):
            x = function(x, dim, keepdim, **attrs)
        return x if dims else function(x, **attrs) if x.ndim == 0 else x

    return _with_dims(reduce)


def _pooled(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(x: Any, *, kernel_size: Any, **attrs: Any) -> Any:
        return function(x, kernel_size, **attrs)

    return call


FORMS: dict[str, Callable[..., Any]] = {
    name: getattr(torch, name)
    for name in [
        "neg",
        "abs",
        "sign",
        "square",
        "floor",
        "ceil",
        "round",
        "trunc",
        "relu",
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
        "isnan",
        "isinf",
        "isfinite",
        "clone",
        "logical_not",
        "bitwise_not",
        "atan2",
        "logical_and",
        "logical_or",
        "logical_xor",
        "clamp",
        "roll",
        "tril",
        "triu",
        "flip",
        "cumsum",
        "cumprod",
        "sort",
        "argsort",
        "gather",
        "scatter",
        "scatter_add",
        "index_select",
        "index_add",
        "bmm",
        "outer",
        "matmul",
        "logsumexp",
    ]
}
FORMS |= {
    name: getattr(operator, other)
    for name, other in (
        ("add", "add"), ("sub", "sub"), ("mul", "mul"), ("div", "truediv"), ("floor_divide", "floordiv"),
        ("remainder", "mod"), ("pow", "pow"), ("eq", "eq"), ("ne", "ne"), ("lt", "lt"), ("le", "le"), ("gt", "gt"),
        ("ge", "ge"), ("bitwise_and", "and_"), ("bitwise_or", "or_"), ("bitwise_xor", "xor"),
    )
}  # fmt: skip
FORMS |= {
    name: getattr(tf, name)
    for name in [
        "silu",
        "gelu",
        "softplus",
        "elu",
        "leaky_relu",
        "hardswish",
        "hardtanh",
        "one_hot",
        "softmax",
        "log_softmax",
        "linear",
        "conv2d",
    ]
}


def _extreme(function: Any) -> Any:
    return lambda x, y: function(x, y if isinstance(y, torch.Tensor) else torch.tensor(y, dtype=x.dtype))


def _slice(x: Any, *, dim: int, start: Any, end: Any, step: int) -> Any:
    return x[(slice(None),) * (dim % x.ndim) + (slice(start, end, step),)]


def _index(x: Any, *indices: Any, dims: Any) -> Any:
    at: list[Any] = [slice(None)] * x.ndim
    for dim, index in zip(dims, indices, strict=True):
        at[dim] = index
    return x[tuple(at)]


def _index_put(x: Any, *operands: Any, dims: Any, accumulate: bool) -> Any:
    *indices, values = operands
    at: list[Any] = [None] * x.ndim
    for dim, index in zip(dims, indices, strict=True):
        at[dim] = index
    last = max(dims)
    return (
        x.index_put(tuple(at[: last + 1]), values, accumulate)
        if None not in at[: last + 1]
        else _put(x, at, values, accumulate)
    )


def _put(x: Any, at: list[Any], values: Any, accumulate: bool) -> Any:
    base = torch.zeros_like(x) if accumulate else x.clone()
    places = tuple(slice(None) if i is None else i for i in at)
    if not accumulate:
        base[places] = values
        return base
    return torch.ops.aten.index_put(x, list(at), values, True)


def _batch_norm_training(x: Any, weight: Any, bias: Any, *, eps: float) -> Any:
    dims = tuple(i for i in range(x.ndim) if i != 1)
    out = tf.batch_norm(x, None, None, weight, bias, True, 0.1, eps)
    return out, x.mean(dims), x.var(dims, correction=0)


def _spread(function: Any) -> Any:
    def call(x: Any, *, dim: Any, correction: int, keepdim: bool) -> Any:
        return function(x, dim=_dims(dim), correction=correction, keepdim=keepdim)

    return call


FORMS |= {
    "fmod": torch.fmod,
    "maximum": _extreme(torch.maximum),
    "minimum": _extreme(torch.minimum),
    "where": torch.where,
    "masked_fill": lambda x, mask, *, value: x.masked_fill(mask, value),
    "cast": lambda x, *, dtype: x.to(_dtype(dtype)),
    "detach": lambda x: x.detach(),
    "reshape": lambda x, *, shape: x.reshape(shape),
    "permute": lambda x, *, dims: x.permute(dims),
    "expand": lambda x, *, size: x.expand(size),
    "slice": _slice,
    "select": lambda x, *, dim, index: x.select(dim, index),
    "squeeze": lambda x, *, dim: x.squeeze() if dim is None else x.squeeze(dim),
    "unsqueeze": lambda x, *, dim: x.unsqueeze(dim),
    "cat": lambda *xs, dim: torch.cat(xs, dim),
    "stack": lambda *xs, dim: torch.stack(xs, dim),
    "pad": lambda x, *, pad, mode, value: tf.pad(x, pad, mode, value if x.is_floating_point() else int(value)),
    "roll": lambda x, *, shifts, dims: torch.roll(x, shifts, dims or None),
    "repeat": lambda x, *, repeats: x.repeat(repeats),
    "tile": lambda x, *, dims: torch.tile(x, dims),
    "slice_scatter": torch.slice_scatter,
    "select_scatter": torch.select_scatter,
    "sum": lambda x, *, dim, keepdim, dtype: torch.sum(x, _dims(dim), keepdim, dtype=_dtype(dtype)),
    "mean": lambda x, *, dim, keepdim, dtype: torch.mean(x, _dims(dim), keepdim, dtype=_dtype(dtype)),
    "prod": _one_by_one(lambda x, *dim, dtype=None: torch.prod(x, *dim, dtype=_dtype(dtype))),
    "any": _one_by_one(lambda x, *dim: torch.any(x, *dim)),
    "all": _one_by_one(lambda x, *dim: torch.all(x, *dim)),
    "amax": lambda x, *, dim, keepdim: torch.amax(x, tuple(dim), keepdim),
    "amin": lambda x, *, dim, keepdim: torch.amin(x, tuple(dim), keepdim),
    "argmax": torch.argmax,
    "argmin": torch.argmin,
    "max_dim": lambda x, *, dim, keepdim: tuple(torch.max(x, dim, keepdim)),
    "min_dim": lambda x, *, dim, keepdim: tuple(torch.min(x, dim, keepdim)),
    "var": _spread(torch.var),
    "std": _spread(torch.std),
    "sort": lambda x, *, dim, descending: tuple(torch.sort(x, dim=dim, descending=descending, stable=True)),
    "argsort": lambda x, *, dim, descending: torch.argsort(x, dim=dim, descending=descending, stable=True),
    "topk": lambda x, *, k, dim, largest, sorted: tuple(torch.topk(x, k, dim, largest, sorted)),
    "full": lambda *, size, value, dtype: torch.full(size, value, dtype=_dtype(dtype)),
    "arange": lambda *, start, end, step, dtype: torch.arange(start, end, step, dtype=_dtype(dtype)),
    "linspace": lambda *, start, end, steps, dtype: torch.linspace(start, end, steps, dtype=_dtype(dtype)),
    "eye": lambda *, n, m, dtype: torch.eye(n, n if m is None else m, dtype=_dtype(dtype)),
    "gather": lambda x, index, *, dim: torch.gather(x, dim, index),
    "scatter": lambda x, index, src, *, dim: torch.scatter(x, dim, index, src),
    "scatter_add": lambda x, index, src, *, dim: torch.scatter_add(x, dim, index, src),
    "take_along_dim": lambda x, index, *, dim: torch.take_along_dim(x, index, dim),
    "index_select": lambda x, index, *, dim: torch.index_select(x, dim, index),
    "index_add": lambda x, index, source, *, dim: torch.index_add(x, dim, index, source),
    "embedding": lambda ids, weight, *, padding_idx: tf.embedding(ids, weight, padding_idx),
    "one_hot": lambda ids, *, num_classes: tf.one_hot(ids, num_classes),
    "index": _index,
    "index_put": _index_put,
    "nonzero": torch.nonzero,
    "convolution2d": lambda x, w, **attrs: tf.conv2d(x, w, None, **attrs),
    "conv2d_input_grad": lambda g, w, *, input_size, stride, padding, dilation, groups: torch.nn.grad.conv2d_input(
        input_size, w, g, stride, padding, dilation, groups
    ),
    "conv2d_weight_grad": lambda g, x, *, kernel_size, stride, padding, dilation, groups: torch.nn.grad.conv2d_weight(
        x, (g.shape[1], x.shape[1] // groups, *kernel_size), g, stride, padding, dilation, groups
    ),
    "max_pool2d": _pooled(tf.max_pool2d),
    "max_pool2d_with_indices": _pooled(lambda *a, **k: tf.max_pool2d(*a, **k, return_indices=True)),
    "avg_pool2d": _pooled(tf.avg_pool2d),
    "adaptive_avg_pool2d": lambda x, *, output_size: tf.adaptive_avg_pool2d(x, output_size),
    "layer_norm": lambda x, w, b, *, normalized_shape, eps: tf.layer_norm(x, normalized_shape, w, b, eps),
    "group_norm": lambda x, w, b, *, num_groups, eps: tf.group_norm(x, num_groups, w, b, eps),
    "batch_norm_training": _batch_norm_training,
    "batch_norm_inference": lambda x, m, v, w, b, *, eps: tf.batch_norm(x, m, v, w, b, False, 0.1, eps),
    "mse_loss": lambda x, y, *, reduction: tf.mse_loss(x, y, reduction=reduction),
    "l1_loss": lambda x, y, *, reduction: tf.l1_loss(x, y, reduction=reduction),
    "smooth_l1_loss": lambda x, y, *, reduction, beta: tf.smooth_l1_loss(x, y, reduction=reduction, beta=beta),
    "binary_cross_entropy_with_logits": lambda x, y, w, p, *, reduction: tf.binary_cross_entropy_with_logits(
        x, y, w, pos_weight=p, reduction=reduction
    ),
    "nll_loss": lambda x, y, w, **attrs: tf.nll_loss(x, y, w, **attrs),
    "cross_entropy": lambda x, y, w, **attrs: tf.cross_entropy(x, y, w, **attrs),
}

_GRADIENT = "a gradient, which is compared through the op that it belongs to"
_DRAWN = "PyTorch draws other numbers"
NO_FORM: dict[str, str] = {
    "cross_entropy_grad": _GRADIENT,
    "layer_norm_grad": _GRADIENT,
    "batch_norm_grad": _GRADIENT,
    "max_pool2d_grad": _GRADIENT,
    "sum_pool2d_grad": _GRADIENT,
    "adaptive_sum_pool2d_grad": _GRADIENT,
    "embedding_grad": _GRADIENT,
    "max_pool2d_place": "a part of max_pool2d_with_indices",
    "sum_pool2d": "a part of avg_pool2d",
    "adaptive_sum_pool2d": "a part of adaptive_avg_pool2d",
    **dict.fromkeys(("rand", "randn", "randint", "randperm", "bernoulli", "dropout"), _DRAWN),
    "sized": "PyTorch has no names for sizes",
    **dict.fromkeys(("key_words", "key_of"), "PyTorch has no keys"),
}
