"""Sample calls of what layers compute: products, convolution, pooling, normalisation, losses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sample_maker import Maker, Sample, for_op

# --------------------------------------------------------------------------------------------------------- products


@for_op("matmul")
def _matmul(make: Maker) -> Iterator[Any]:
    yield make.tensor(2, 3), make.tensor(3, 4)
    yield make.tensor(3), make.tensor(3)
    yield make.tensor(2, 3), make.tensor(3)
    yield make.tensor(3), make.tensor(3, 4)
    yield make.tensor(2, 5, 2, 3), make.tensor(3)
    yield make.tensor(3), make.tensor(2, 3, 4)
    yield make.tensor(2, 2, 3), make.tensor(3, 4)
    yield make.tensor(5, 1, 2, 3), make.tensor(2, 3, 4)
    yield make.tensor(2, 3), make.tensor(4, 3, 2)
    yield make.strided(2, 3), make.strided(3, 2)
    yield make.tensor(2, 0), make.tensor(0, 3)
    yield make.tensor(0, 2, 3), make.tensor(3, 2)


@for_op("bmm")
def _bmm(make: Maker) -> Iterator[Any]:
    yield make.tensor(2, 3, 4), make.tensor(2, 4, 5)
    yield make.strided(2, 3, 2), make.strided(2, 2, 3)
    yield make.tensor(0, 2, 3), make.tensor(0, 3, 2)


@for_op("outer")
def _outer(make: Maker) -> Iterator[Any]:
    yield make.tensor(3), make.tensor(4)
    yield make.tensor(0), make.tensor(4)


@for_op("linear", kinds="float")
def _linear(make: Maker) -> Iterator[Any]:
    yield make.tensor(4, 3), make.tensor(5, 3), make.tensor(5)
    yield make.tensor(4, 3), make.tensor(5, 3), None
    yield make.tensor(2, 4, 3), make.tensor(5, 3), make.tensor(5)
    yield make.tensor(3), make.tensor(5, 3), make.tensor(5)
    yield make.strided(4, 3), make.strided(5, 3), make.tensor(5)
    yield make.tensor(0, 3), make.tensor(2, 3), make.tensor(2)


# ------------------------------------------------------------------------------------------------------ convolution

_CONVOLUTIONS: tuple[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]], ...] = (
    ((2, 3, 5, 6), (4, 3, 3, 3), {"padding": (1, 1)}),
    ((2, 3, 5, 4), (4, 3, 1, 1), {}),
    ((1, 2, 6, 7), (2, 2, 3, 2), {"stride": (2, 1), "padding": (1, 0)}),
    ((1, 4, 6, 6), (6, 2, 3, 3), {"groups": 2, "dilation": (2, 1), "padding": (2, 1)}),
    ((2, 3, 5, 5), (3, 1, 2, 2), {"groups": 3, "stride": (2, 2)}),
    ((1, 2, 5, 5), (3, 2, 1, 1), {"stride": (2, 2)}),
    ((0, 2, 4, 4), (3, 2, 3, 3), {}),
)


@for_op("convolution2d", kinds="float")
def _convolution(make: Maker) -> Iterator[Any]:
    for sizes, kernel, attrs in _CONVOLUTIONS:
        yield make.tensor(*sizes), make.tensor(*kernel), attrs
    yield make.strided(1, 2, 4, 4), make.strided(2, 2, 3, 3), {"padding": (1, 1)}


@for_op("conv2d", kinds="float")
def _conv2d(make: Maker) -> Iterator[Any]:
    for sizes, kernel, attrs in _CONVOLUTIONS:
        yield make.tensor(*sizes), make.tensor(*kernel), make.tensor(kernel[0]), attrs
    yield make.tensor(2, 1, 4, 4), make.tensor(2, 1, 3, 3), None, {}


def _counts(sizes: tuple[int, ...], kernel: tuple[int, ...], attrs: dict[str, Any]) -> list[int]:
    stride, padding, dilation = (attrs.get(n, (d, d)) for n, d in (("stride", 1), ("padding", 0), ("dilation", 1)))
    return [(sizes[2 + i] + 2 * padding[i] - dilation[i] * (kernel[2 + i] - 1) - 1) // stride[i] + 1 for i in (0, 1)]


@for_op("conv2d_input_grad", kinds="float")
def _conv2d_input_grad(make: Maker) -> Iterator[Any]:
    for sizes, kernel, attrs in _CONVOLUTIONS:
        g = make.tensor(sizes[0], kernel[0], *_counts(sizes, kernel, attrs))
        yield g, make.tensor(*kernel), {"input_size": sizes, **attrs}


@for_op("conv2d_weight_grad", kinds="float")
def _conv2d_weight_grad(make: Maker) -> Iterator[Any]:
    for sizes, kernel, attrs in _CONVOLUTIONS:
        g = make.tensor(sizes[0], kernel[0], *_counts(sizes, kernel, attrs))
        yield g, make.tensor(*sizes), {"kernel_size": kernel[2:], **attrs}


# ---------------------------------------------------------------------------------------------------------- pooling

_POOLS: tuple[tuple[tuple[int, ...], dict[str, Any]], ...] = (
    ((2, 3, 4, 6), {"kernel_size": (2, 2)}),
    ((1, 2, 5, 5), {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 1)}),
    ((2, 5, 6), {"kernel_size": (2, 3), "stride": (2, 2), "ceil_mode": True}),
    ((1, 1, 5, 5), {"kernel_size": (3, 3), "stride": (2, 2), "padding": (1, 1), "ceil_mode": True}),
    ((1, 2, 4, 4), {"kernel_size": (1, 1), "stride": (2, 2)}),
    ((1, 1, 4, 4), {"kernel_size": (2, 2), "stride": (3, 3), "padding": (1, 1), "ceil_mode": True}),
)
_DILATED: tuple[tuple[int, ...], dict[str, Any]] = (
    (1, 2, 7, 7),
    {"kernel_size": (2, 3), "stride": (1, 2), "dilation": (2, 2), "padding": (1, 1)},
)


@for_op("max_pool2d", "max_pool2d_place", "max_pool2d_with_indices", kinds="float int")
def _max_pool(make: Maker) -> Iterator[Any]:
    for sizes, attrs in (*_POOLS, _DILATED):
        yield make.distinct(*sizes), attrs
    yield Sample((np.round(make.tensor(1, 2, 4, 4)).astype(make.dtype.np),), {"kernel_size": (2, 2)}, smooth=False)
    yield make.distinct(2, 4, 4, 1).transpose(0, 3, 2, 1), {"kernel_size": (2, 2)}
    yield make.tensor(0, 2, 4, 4), {"kernel_size": (2, 2)}


@for_op("max_pool2d_grad", kinds="float")
def _max_pool_grad(make: Maker) -> Iterator[Any]:
    from ingot.ir.registry import lookup

    for sizes, attrs in (*_POOLS, _DILATED):
        x = make.distinct(*sizes)
        y = lookup("max_pool2d").kernel(x, **lookup("max_pool2d").schema.check_attrs(attrs))
        yield make.tensor(*y.shape), x, y, attrs
    x = np.round(make.tensor(1, 2, 4, 4)).astype(make.dtype.np)
    y = lookup("max_pool2d").kernel(x, **lookup("max_pool2d").schema.check_attrs({"kernel_size": 2}))
    yield Sample((make.tensor(*y.shape), x, y), {"kernel_size": (2, 2)}, smooth=False)


@for_op("sum_pool2d", kinds="float int")
def _sum_pool(make: Maker) -> Iterator[Any]:
    for sizes, attrs in _POOLS:
        yield make.tensor(*sizes), attrs
    yield make.strided(1, 1, 4, 4), {"kernel_size": (2, 2)}


@for_op("sum_pool2d_grad", kinds="float")
def _sum_pool_grad(make: Maker) -> Iterator[Any]:
    from ingot.ir.registry import lookup

    for sizes, attrs in _POOLS:
        y = lookup("sum_pool2d").kernel(make.tensor(*sizes), **lookup("sum_pool2d").schema.check_attrs(attrs))
        yield make.tensor(*y.shape), {"input_size": sizes, **attrs}


@for_op("avg_pool2d", kinds="float")
def _avg_pool(make: Maker) -> Iterator[Any]:
    for sizes, attrs in _POOLS:
        yield make.tensor(*sizes), attrs
        yield make.tensor(*sizes), {**attrs, "count_include_pad": False}


@for_op("adaptive_avg_pool2d", "adaptive_sum_pool2d", kinds="float")
def _adaptive(make: Maker) -> Iterator[Any]:
    yield make.tensor(2, 3, 4, 6), {"output_size": (1, 1)}
    yield make.tensor(2, 3, 4, 6), {"output_size": (2, 3)}
    yield make.tensor(1, 2, 5, 7), {"output_size": (3, 4)}
    yield make.tensor(2, 3, 3), {"output_size": (2, 5)}


@for_op("adaptive_sum_pool2d_grad", kinds="float")
def _adaptive_grad(make: Maker) -> Iterator[Any]:
    yield make.tensor(1, 2, 3, 4), {"input_size": (1, 2, 5, 7)}
    yield make.tensor(2, 2, 5), {"input_size": (2, 3, 3)}


# ---------------------------------------------------------------------------------------------------- normalisation


@for_op("softmax", "log_softmax", kinds="float")
def _softmax(make: Maker) -> Iterator[Any]:
    yield make.tensor(3, 4), {"dim": 1}
    yield make.tensor(3, 4), {"dim": 0}
    yield make.tensor(2, 3, 2) * make.dtype.np.type(20), {"dim": -2}
    yield make.strided(3, 4), {"dim": -1}
    yield make.tensor(), {"dim": 0}
    yield make.tensor(0, 3), {"dim": 1}
    yield make.tensor(3, 0), {"dim": 1}


@for_op("layer_norm", kinds="float")
def _layer_norm(make: Maker) -> Iterator[Any]:
    for inputs, shape in _layers(make):
        x, weight, bias = inputs
        yield x, weight, bias, {"normalized_shape": shape}
    yield make.tensor(2, 5), make.tensor(5), make.tensor(5), {"normalized_shape": (5,), "eps": 0.1}


def _layers(make: Maker) -> Iterator[tuple[tuple[Any, ...], tuple[int, ...]]]:
    yield (make.tensor(3, 6), make.tensor(6), make.tensor(6)), (6,)
    yield (make.tensor(2, 3, 4), make.tensor(3, 4), make.tensor(3, 4)), (3, 4)
    yield (make.tensor(2, 3, 4), None, None), (4,)
    yield (make.tensor(6), make.tensor(6), None), (6,)
    yield (make.strided(3, 4), None, make.tensor(4)), (4,)
    yield (make.tensor(0, 4), make.tensor(4), make.tensor(4)), (4,)


@for_op("layer_norm_grad", kinds="float")
def _layer_norm_grad(make: Maker) -> Iterator[Any]:
    for (x, weight, _), shape in _layers(make):
        yield make.tensor(*x.shape), x, weight, {"normalized_shape": shape, "eps": 1e-3}


def _batches(make: Maker) -> Iterator[tuple[Any, Any, Any]]:
    for sizes in ((4, 3), (3, 2, 4), (2, 3, 2, 4)):
        yield make.tensor(*sizes), make.tensor(sizes[1]), make.tensor(sizes[1])
    yield make.tensor(4, 3), None, None
    yield make.strided(4, 3), make.tensor(3), None


@for_op("batch_norm_training", kinds="float")
def _batch_norm_training(make: Maker) -> Iterator[Any]:
    for x, weight, bias in _batches(make):
        yield x, weight, bias, {"eps": 1e-3}


@for_op("batch_norm_inference", kinds="float")
def _batch_norm_inference(make: Maker) -> Iterator[Any]:
    for x, weight, bias in _batches(make):
        channels = x.shape[1]
        yield x, make.tensor(channels), make.tensor(channels, low=0.5, high=2), weight, bias
    yield make.tensor(0, 2, 3), make.tensor(2), make.tensor(2, low=0.5, high=2), None, None


@for_op("batch_norm_grad", kinds="float")
def _batch_norm_grad(make: Maker) -> Iterator[Any]:
    for x, weight, _ in _batches(make):
        channels = x.shape[1]
        mean, var = make.tensor(channels), make.tensor(channels, low=0.5, high=2)
        yield make.tensor(*x.shape), x, mean, var, weight, {"eps": 1e-3}


@for_op("group_norm", kinds="float")
def _group_norm(make: Maker) -> Iterator[Any]:
    yield make.tensor(2, 4, 3), make.tensor(4), make.tensor(4), {"num_groups": 2}
    yield make.tensor(2, 4, 2, 3), None, None, {"num_groups": 1}
    yield make.tensor(2, 3), make.tensor(3), None, {"num_groups": 1, "eps": 0.1}


# ------------------------------------------------------------------------------------------------------------ losses


@for_op("mse_loss", "l1_loss", "smooth_l1_loss", kinds="float")
def _distances(make: Maker, name: str) -> Iterator[Any]:
    for reduction in ("mean", "sum", "none"):
        yield make.tensor(3, 4), make.tensor(3, 4), {"reduction": reduction}
    yield make.tensor(), make.tensor(), {}
    yield make.strided(2, 3), make.tensor(2, 3), {}
    if name == "smooth_l1_loss":
        yield make.tensor(3, 4), make.tensor(3, 4), {"beta": 0.3}
        yield make.tensor(3, 4), make.tensor(3, 4), {"beta": 0.0}


@for_op("binary_cross_entropy_with_logits", kinds="float")
def _binary(make: Maker) -> Iterator[Any]:
    target = make.tensor(3, 4, low=0, high=1)
    for reduction in ("mean", "sum", "none"):
        yield make.tensor(3, 4), target, None, None, {"reduction": reduction}
    yield make.tensor(3, 4), target, make.tensor(4, low=0.5), make.tensor(4, low=0.5), {}
    yield make.tensor(3, 4) * make.dtype.np.type(50), target, None, None, {}


def _classes(make: Maker) -> Iterator[tuple[Any, Any, Any, dict[str, Any]]]:
    for reduction in ("mean", "sum", "none"):
        yield make.tensor(4, 3), make.indices(3, 4), None, {"reduction": reduction}
        yield make.tensor(2, 3, 2), make.indices(3, 2, 2), make.tensor(3, low=0.5), {"reduction": reduction}
        some = make.indices(3, 5)
        some[2] = 1
        some[3] = 2
        yield make.tensor(5, 3), some, None, {"reduction": reduction, "ignore_index": 1}
        missing = make.indices(3, 4)
        missing[1] = -100
        yield make.strided(4, 3), missing, make.tensor(3, low=0.5), {"reduction": reduction}
    yield make.tensor(3), make.indices(3), None, {}


@for_op("nll_loss", kinds="float")
def _nll_loss(make: Maker) -> Iterator[Any]:
    yield from _classes(make)


@for_op("cross_entropy", kinds="float")
def _cross_entropy(make: Maker) -> Iterator[Any]:
    for x, target, weight, attrs in _classes(make):
        yield x, target, weight, attrs
        yield x, target, weight, {**attrs, "label_smoothing": 0.2}


@for_op("cross_entropy_grad", kinds="float")
def _cross_entropy_grad(make: Maker) -> Iterator[Any]:
    for x, target, weight, attrs in _classes(make):
        g = make.tensor(*target.shape) if attrs.get("reduction") == "none" else make.tensor()
        full = {"ignore_index": -100, "reduction": "mean", **attrs}
        yield g, x, target, weight, {**full, "label_smoothing": 0.0}
        yield g, x, target, weight, {**full, "label_smoothing": 0.1}
