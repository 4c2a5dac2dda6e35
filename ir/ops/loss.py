"""Losses by distance, and binary cross-entropy. `reduction` is 'mean', 'sum' or 'none' everywhere."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError
from ..families import composite
from ..sizes import equal, product
from .checks import require, require_float

__all__ = ["check_reduction", "reduced"]


def check_reduction(op: str, reduction: str) -> None:
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(f"{op}: reduction is {reduction!r}", expected="'mean', 'sum' or 'none'")


def reduced(F: Any, x: Any, reduction: str) -> Any:
    if reduction == "none":
        return x
    return F.mean(x) if reduction == "mean" else F.sum(x)


def _check_pair(op: str, input: Any, target: Any, reduction: str) -> None:
    check_reduction(op, reduction)
    same = input.ndim == target.ndim and all(
        equal(a, b) is True for a, b in zip(input.shape, target.shape, strict=True)
    )
    require(op, same, "input and target differ in their sizes", "equal sizes", input=input, target=target)


def _slope(g: Any, x: Any, reduction: str) -> Any:
    """The gradient of each element's loss."""
    return g / product(x.shape) if reduction == "mean" else g


@composite(
    "mse_loss(input: Tensor, target: Tensor, reduction: str = 'mean') -> Tensor",
    grad={
        "input": lambda g, input, target, reduction: (input - target) * (_slope(g, input, reduction) * 2.0),
        "target": lambda g, input, target, reduction: (target - input) * (_slope(g, input, reduction) * 2.0),
    },
)
def mse_loss(F: Any, input: Any, target: Any, reduction: Any) -> Any:
    """The squared distances."""
    _check_pair("mse_loss", input, target, reduction)
    return reduced(F, F.square(input - target), reduction)


@composite(
    "l1_loss(input: Tensor, target: Tensor, reduction: str = 'mean') -> Tensor",
    grad={
        "input": lambda F, g, input, target, reduction: F.sign(input - target) * _slope(g, input, reduction),
        "target": lambda F, g, input, target, reduction: F.sign(target - input) * _slope(g, input, reduction),
    },
)
def l1_loss(F: Any, input: Any, target: Any, reduction: Any) -> Any:
    """The absolute distances."""
    _check_pair("l1_loss", input, target, reduction)
    return reduced(F, F.abs(input - target), reduction)


@composite("smooth_l1_loss(input: Tensor, target: Tensor, reduction: str = 'mean', beta: float = 1.0) -> Tensor")
def smooth_l1_loss(F: Any, input: Any, target: Any, reduction: Any, beta: Any) -> Any:
    """The absolute distances less beta/2; below beta the squared ones over 2*beta. Girshick 2015."""
    _check_pair("smooth_l1_loss", input, target, reduction)
    if beta < 0:
        raise ArgumentError("smooth_l1_loss: beta is negative", expected="beta >= 0", found=f"beta={beta}")
    distance = F.abs(input - target)
    if beta == 0:
        return reduced(F, distance, reduction)
    near = F.square(distance) * (0.5 / beta)
    return reduced(F, F.where(F.lt(distance, beta), near, distance - 0.5 * beta), reduction)


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
    return reduced(F, found if weight is None else found * weight, reduction)
