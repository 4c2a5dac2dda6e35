"""Losses of choosing among classes: nll_loss and cross_entropy.

The gradient of cross-entropy is an op of its own: the softmax less what it should have been.
"""

from __future__ import annotations

from typing import Any

from ..dtypes import int64
from ..errors import ArgumentError, ExportError
from ..families import composite
from ..sizes import equal
from .checks import require, require_equal, require_float, require_integers, require_same_dtype
from .halves import narrowed, widened
from .loss import check_reduction, reduced

__all__: list[str] = []


def _check_classes(op: str, input: Any, target: Any, weight: Any, reduction: str) -> int:
    """The dimension of the classes."""
    check_reduction(op, reduction)
    require_float(op, input=input)
    require_integers(op, target=target)
    require_same_dtype(op, input=input, weight=weight)
    require(op, input.ndim > 0, "input has no dimension of classes", "sizes (N, C, ...)", input=input)
    axis = 0 if input.ndim == 1 else 1
    rest = (*input.shape[:axis], *input.shape[axis + 1 :])
    same = len(rest) == target.ndim and all(equal(a, b) is True for a, b in zip(rest, target.shape, strict=True))
    require(
        op,
        same,
        "target does not fit input",
        "target.sizes == input.sizes without the classes",
        input=input,
        target=target,
    )
    if weight is not None:
        require(op, weight.ndim == 1, "weight is not a vector", "sizes (C,)", weight=weight)
        require_equal(op, "classes differ", "weight.size(0)", weight.shape[0], f"input.size({axis})", input.shape[axis])
    return axis


def _class_weights(F: Any, target: Any, weight: Any, ignore_index: int, dtype: Any) -> tuple[Any, Any]:
    """Targets with the ignored ones as 0, and the weight of each; a weight of None means 1."""
    kept = F.ne(target, ignore_index)
    safe = F.where(kept, target, 0)
    if weight is None:
        return safe, F.cast(kept, dtype=dtype)
    return safe, F.where(
        kept, F.reshape(F.index_select(weight, 0, F.reshape(safe, shape=(-1,))), shape=target.shape), 0.0
    )


def _picked(F: Any, x: Any, classes: Any, axis: int) -> Any:
    return F.squeeze(F.gather(x, axis, F.unsqueeze(classes, dim=axis)), dim=(axis,))


def _weighted(F: Any, losses: Any, weights: Any, reduction: str) -> Any:
    """Losses that carry their weights already; a mean is over the weights."""
    if reduction == "mean":
        return F.sum(losses) / F.sum(weights)
    return reduced(F, losses, reduction)


@composite(
    "nll_loss(input: Tensor, target: Tensor, weight: Tensor? = None, ignore_index: int = -100, "
    "reduction: str = 'mean') -> Tensor",
    onnx=lambda E, input, target, weight, ignore_index, reduction: _nll_onnx(
        E, "NegativeLogLikelihoodLoss", input, target, weight, ignore_index, reduction
    ),
)
def nll_loss(F: Any, input: Any, target: Any, weight: Any, ignore_index: Any, reduction: Any) -> Any:
    """Minus the input, which holds logarithms of probabilities, at each target's class."""
    axis = _check_classes("nll_loss", input, target, weight, reduction)
    classes, weights = _class_weights(F, target, weight, ignore_index, input.dtype)
    return _weighted(F, -_picked(F, input, classes, axis) * weights, weights, reduction)


def _nll_onnx(
    E: Any, name: str, input: Any, target: Any, weight: Any, ignore_index: int, reduction: str, **attrs: Any
) -> Any:
    if input.ndim < 2:
        raise ExportError(f"ONNX's {name} takes batches only", found=f"{input.ndim} dimension")
    operands = (input, target) if weight is None else (input, target, weight)
    return getattr(E, name)(*operands, ignore_index=ignore_index, reduction=reduction)


def _entropy_axis(x: Any, target: Any, weight: Any) -> Any:
    """The dimension of the classes, where the operands fit each other."""
    axis = 0 if x.ndim == 1 else 1
    if x.dtype.kind in "iub" or target.dtype.kind not in "iu":
        raise TypeError("cross_entropy: input or target is of another kind")
    if not x.ndim or target.shape != x.shape[:axis] + x.shape[axis + 1 :]:
        raise ValueError("cross_entropy: target does not fit")
    if weight is not None and (weight.shape != x.shape[axis : axis + 1] or weight.dtype != x.dtype):
        raise ValueError("cross_entropy: weight does not fit")
    return axis


def _known_classes(np: Any, target: Any, count: Any, ignore_index: Any) -> Any:
    """Which targets count, and all of them as indices within [0, count)."""
    kept = target != ignore_index
    classes = np.where(kept, target, 0)
    if classes.size and (classes.min() < 0 or classes.max() >= count):
        raise IndexError(f"a target is out of range for {count} classes")
    return kept, classes


def _is_plain(np: Any, x: Any, target: Any, weight: Any, ignore_index: Any, label_smoothing: Any) -> Any:
    """Whether this is the common case: a batch of rows, no weights, nothing smoothed or ignored."""
    return (
        x.ndim == 2
        and weight is None
        and not label_smoothing
        and ignore_index < 0
        and x.dtype.itemsize > 2
        and target.size
        and np.minimum.reduce(target) >= 0
    )


def cross_entropy_fast(
    np: Any,
    x: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: Any,
    reduction: Any,
    label_smoothing: Any,
    out: Any = None,
    scratch: Any = None,
) -> Any:
    axis = _entropy_axis(x, target, weight)
    if _is_plain(np, x, target, weight, ignore_index, label_smoothing):
        shifted = np.subtract(x, np.maximum.reduce(x, axis=1, keepdims=True))
        picked = shifted[np.arange(x.shape[0]), target]
        np.exp(shifted, out=shifted)
        losses = np.log(np.add.reduce(shifted, axis=1))
        losses -= picked
        weights = None
    else:
        losses, weights = _entropies(np, x, target, weight, axis, ignore_index, label_smoothing)
    if reduction == "none":
        found = losses
    elif reduction == "sum":
        found = np.add.reduce(losses, axis=None)
    elif weights is None:
        found = np.add.reduce(losses) / losses.dtype.type(losses.shape[0])
    else:
        found = np.add.reduce(losses, axis=None) / np.add.reduce(weights, axis=None)
    if out is None:
        return np.asarray(found, dtype=x.dtype)
    out[...] = found
    return out


def _entropies(np: Any, x: Any, target: Any, weight: Any, axis: Any, ignore_index: Any, label_smoothing: Any) -> Any:
    """The loss of each sample, and the weights that a mean is taken over."""
    wide = x.astype(np.float32) if x.dtype.itemsize == 2 else x
    count = x.shape[axis]
    kept, classes = _known_classes(np, target, count, ignore_index)
    shifted = wide - np.maximum.reduce(wide, axis=axis, keepdims=True)
    logs = shifted - np.log(np.add.reduce(np.exp(shifted), axis=axis, keepdims=True))
    weights = kept.astype(wide.dtype) if weight is None else np.where(kept, weight.astype(wide.dtype)[classes], 0)
    picked = np.take_along_axis(logs, np.expand_dims(classes, axis), axis).squeeze(axis)
    losses = np.where(kept, -picked * weights, 0)
    if label_smoothing:
        every = logs if weight is None else logs * _beside(weight.astype(wide.dtype), logs.ndim, axis)
        smooth = np.where(kept, -np.add.reduce(every, axis=axis), 0)
        losses = losses * (1.0 - label_smoothing) + smooth * (label_smoothing / count)
    return losses, np.asarray(weights, dtype=wide.dtype)


def _beside(weight: Any, ndim: Any, axis: Any) -> Any:
    """A vector over the classes, with a dimension of size 1 for each one behind them."""
    return weight.reshape((-1,) + (1,) * (ndim - 1 - axis))


@composite(
    "cross_entropy(input: Tensor, target: Tensor, weight: Tensor? = None, ignore_index: int = -100, "
    "reduction: str = 'mean', label_smoothing: float = 0.0) -> Tensor",
    fast=cross_entropy_fast,
    grad={
        "input": lambda F, g, input, target, weight, ignore_index, reduction, label_smoothing: F.cross_entropy_grad(
            g, input, target, weight, ignore_index, reduction, label_smoothing
        )
    },
    onnx=lambda E, input, target, weight, ignore_index, reduction, label_smoothing: _cross_entropy_onnx(
        E, input, target, weight, ignore_index, reduction, label_smoothing
    ),
)
def cross_entropy(
    F: Any,
    input: Any,
    target: Any,
    weight: Any,
    ignore_index: Any,
    reduction: Any,
    label_smoothing: Any,
) -> Any:
    """`nll_loss` of log_softmax(input) over the classes, dimension 1. With `label_smoothing`, that share of each
    target is spread evenly over all classes (Szegedy et al. 2016)."""
    axis = _check_classes("cross_entropy", input, target, weight, reduction)
    _check_smoothing(label_smoothing)
    x = widened(F, input)
    logs = F.log_softmax(x, dim=axis)
    classes, weights = _class_weights(F, target, weight, ignore_index, x.dtype)
    losses = -_picked(F, logs, classes, axis) * weights
    if label_smoothing:
        every = logs if weight is None else logs * _class_column(F, weight, input.ndim, axis)
        smooth = F.where(F.ne(target, ignore_index), -F.sum(every, dim=(axis,)), 0.0)
        losses = losses * (1.0 - label_smoothing) + smooth * label_smoothing / input.shape[axis]
    found = _weighted(F, losses, weights, reduction)
    return narrowed(F, found, input.dtype)


def _check_smoothing(label_smoothing: float) -> None:
    if not 0.0 <= label_smoothing <= 1.0:
        raise ArgumentError(
            "cross_entropy: label_smoothing is out of range",
            expected="0 <= label_smoothing <= 1",
            found=str(label_smoothing),
        )


def _class_column(F: Any, weight: Any, ndim: int, axis: int) -> Any:
    return F.reshape(weight, shape=(weight.shape[0],) + (1,) * (ndim - 1 - axis))


def _cross_entropy_onnx(
    E: Any, input: Any, target: Any, weight: Any, ignore_index: int, reduction: str, label_smoothing: float
) -> Any:
    if label_smoothing:
        raise ExportError("cross_entropy: ONNX has no label smoothing", found=f"label_smoothing={label_smoothing}")
    return _nll_onnx(E, "SoftmaxCrossEntropyLoss", input, target, weight, ignore_index, reduction)


def cross_entropy_grad_fast(
    np: Any,
    g: Any,
    x: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: Any,
    reduction: Any,
    label_smoothing: Any,
    out: Any = None,
    scratch: Any = None,
) -> Any:
    axis = _entropy_axis(x, target, weight)
    if not _is_plain(np, x, target, weight, ignore_index, label_smoothing):
        found = _entropy_slopes(np, g, x, target, weight, axis, ignore_index, reduction, label_smoothing)
        if out is None:
            return found.astype(x.dtype, copy=False)
        out[...] = found
        return out
    rows = x.shape[0]
    out = np.subtract(x, np.maximum.reduce(x, axis=1, keepdims=True), out=out)
    np.exp(out, out=out)
    slope = g / rows if reduction == "mean" else g
    factor = slope / np.add.reduce(out, axis=1)
    np.multiply(out, factor[:, None], out=out)
    out[np.arange(rows), target] -= slope
    return out


def _entropy_slopes(
    np: Any,
    g: Any,
    x: Any,
    target: Any,
    weight: Any,
    axis: Any,
    ignore_index: Any,
    reduction: Any,
    label_smoothing: Any,
) -> Any:
    wide = x.astype(np.float32) if x.dtype.itemsize == 2 else x
    count = x.shape[axis]
    kept, classes = _known_classes(np, target, count, ignore_index)
    e = np.exp(wide - np.maximum.reduce(wide, axis=axis, keepdims=True))
    probabilities = e / np.add.reduce(e, axis=axis, keepdims=True)
    own = None if weight is None else weight.astype(wide.dtype)
    weights = kept.astype(wide.dtype) if own is None else np.where(kept, own[classes], 0)
    hot = _beside(np.arange(count), x.ndim, axis) == np.expand_dims(classes, axis)
    found = (probabilities - hot) * np.expand_dims(weights * (1.0 - label_smoothing), axis)
    if label_smoothing:
        every = np.ones(count, wide.dtype) if own is None else own
        spread = probabilities * np.add.reduce(every) - _beside(every, x.ndim, axis)
        found = found + spread * np.expand_dims(kept * (label_smoothing / count), axis)
    slope = np.asarray(g).astype(wide.dtype)
    if reduction == "none":
        slope = np.expand_dims(slope, axis)
    elif reduction == "mean":
        slope = slope / np.add.reduce(weights, axis=None)
    return np.asarray(np.where(np.expand_dims(kept, axis), found * slope, 0), dtype=wide.dtype)


@composite(
    "cross_entropy_grad(grad_output: Tensor, input: Tensor, target: Tensor, weight: Tensor?, ignore_index: int, "
    "reduction: str, label_smoothing: float) -> Tensor",
    fast=cross_entropy_grad_fast,
)
def cross_entropy_grad(
    F: Any,
    grad_output: Any,
    input: Any,
    target: Any,
    weight: Any,
    ignore_index: Any,
    reduction: Any,
    label_smoothing: Any,
) -> Any:
    """The gradient of `cross_entropy` by its input."""
    axis = _check_classes("cross_entropy_grad", input, target, weight, reduction)
    x = widened(F, input)
    count = input.shape[axis]
    classes, weights = _class_weights(F, target, weight, ignore_index, x.dtype)
    probabilities = F.softmax(x, dim=axis)
    numbers = F.reshape(F.arange(0, count, 1, dtype=int64), shape=(count,) + (1,) * (input.ndim - 1 - axis))
    hot = F.cast(F.eq(numbers, F.unsqueeze(classes, dim=axis)), dtype=x.dtype)
    found = (probabilities - hot) * F.unsqueeze(weights * (1.0 - label_smoothing), dim=axis)
    if label_smoothing:
        every = F.full(size=(count,), value=1, dtype=x.dtype) if weight is None else F.cast(weight, dtype=x.dtype)
        spread = probabilities * F.sum(every) - _class_column(F, every, input.ndim, axis)
        kept = F.cast(F.ne(target, ignore_index), dtype=x.dtype)
        found = found + spread * F.unsqueeze(kept * label_smoothing / count, dim=axis)
    g = widened(F, grad_output)
    if reduction == "none":
        g = F.unsqueeze(g, dim=axis)
    elif reduction == "mean":
        g = g / F.sum(weights)
    slopes = F.where(F.unsqueeze(F.ne(target, ignore_index), dim=axis), found * g, 0.0)
    return narrowed(F, slopes, input.dtype)
