"""Loss functions. `reduction` is 'mean', 'sum' or 'none' everywhere."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError
from ..families import composite
from ..sizes import equal
from .checks import require, require_equal, require_float, require_integers, require_same_dtype

__all__: list[str] = []


def _check_reduction(op: str, reduction: str) -> None:
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(f"{op}: reduction is {reduction!r}", expected="'mean', 'sum' or 'none'")


def _reduced(F: Any, x: Any, reduction: str) -> Any:
    if reduction == "none":
        return x
    return F.mean(x) if reduction == "mean" else F.sum(x)


# -------------------------------------------------------------------------------------------------- distances


def _check_pair(op: str, input: Any, target: Any, reduction: str) -> None:
    _check_reduction(op, reduction)
    same = input.ndim == target.ndim and all(
        equal(a, b) is True for a, b in zip(input.shape, target.shape, strict=True)
    )
    require(op, same, "input and target differ in their sizes", "equal sizes", input=input, target=target)


@composite("mse_loss(input: Tensor, target: Tensor, reduction: str = 'mean') -> Tensor")
def mse_loss(F: Any, input: Any, target: Any, reduction: Any) -> Any:
    """The squared distances."""
    _check_pair("mse_loss", input, target, reduction)
    return _reduced(F, F.square(input - target), reduction)


@composite("l1_loss(input: Tensor, target: Tensor, reduction: str = 'mean') -> Tensor")
def l1_loss(F: Any, input: Any, target: Any, reduction: Any) -> Any:
    """The absolute distances."""
    _check_pair("l1_loss", input, target, reduction)
    return _reduced(F, F.abs(input - target), reduction)


@composite("smooth_l1_loss(input: Tensor, target: Tensor, reduction: str = 'mean', beta: float = 1.0) -> Tensor")
def smooth_l1_loss(F: Any, input: Any, target: Any, reduction: Any, beta: Any) -> Any:
    """The absolute distances less beta/2; below beta the squared ones over 2*beta. Girshick 2015."""
    _check_pair("smooth_l1_loss", input, target, reduction)
    if beta < 0:
        raise ArgumentError("smooth_l1_loss: beta is negative", expected="beta >= 0", found=f"beta={beta}")
    distance = F.abs(input - target)
    if beta == 0:
        return _reduced(F, distance, reduction)
    near = F.square(distance) * (0.5 / beta)
    return _reduced(F, F.where(F.lt(distance, beta), near, distance - 0.5 * beta), reduction)


@composite(
    "binary_cross_entropy_with_logits(input: Tensor, target: Tensor, weight: Tensor? = None, "
    "pos_weight: Tensor? = None, reduction: str = 'mean') -> Tensor"
)
def binary_cross_entropy_with_logits(
    F: Any, input: Any, target: Any, weight: Any, pos_weight: Any, reduction: Any
) -> Any:
    """The cross-entropy of sigmoid(input) and target, in a form that neither overflows nor loses digits."""
    op = "binary_cross_entropy_with_logits"
    _check_pair(op, input, target, reduction)
    require_float(op, input=input, target=target)
    # -log(sigmoid(x)) = max(-x, 0) + log(1 + exp(-|x|))
    negative = F.maximum(-input, 0.0) + F.log1p(F.exp(-F.abs(input)))
    if pos_weight is None:
        found = input - input * target + negative
    else:
        found = input * (1.0 - target) + negative * ((pos_weight - 1.0) * target + 1.0)
    return _reduced(F, found if weight is None else found * weight, reduction)


# -------------------------------------------------------------------------------------------------- classes


def _check_classes(op: str, input: Any, target: Any, weight: Any, reduction: str) -> int:
    """The dimension of the classes."""
    _check_reduction(op, reduction)
    require_float(op, input=input)
    require_integers(op, target=target)
    require_same_dtype(op, input=input, weight=weight)
    require(op, input.ndim > 0, "input has no dimension of classes", "sizes (N, C, ...)", input=input)
    axis = 0 if input.ndim == 1 else 1
    rest = (*input.shape[:axis], *input.shape[axis + 1 :])
    same = len(rest) == target.ndim and all(equal(a, b) is True for a, b in zip(rest, target.shape, strict=True))
    require(op, same, "target does not fit input", "target.sizes == input.sizes without the classes", input=input, target=target)
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
    return safe, F.where(kept, F.reshape(F.index_select(weight, 0, F.reshape(safe, shape=(-1,))), shape=target.shape), 0.0)


def _picked(F: Any, x: Any, classes: Any, axis: int) -> Any:
    return F.squeeze(F.gather(x, axis, F.unsqueeze(classes, dim=axis)), dim=(axis,))


def _weighted(F: Any, losses: Any, weights: Any, reduction: str) -> Any:
    """Losses that carry their weights already; a mean is over the weights."""
    if reduction == "mean":
        return F.sum(losses) / F.sum(weights)
    return _reduced(F, losses, reduction)


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
    operands = (input, target) if weight is None else (input, target, weight)
    return getattr(E, name)(*operands, ignore_index=ignore_index, reduction=reduction)


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
    raise TypeError
