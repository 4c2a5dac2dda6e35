"""The losses of `nn.functional`. `reduction` is `"mean"`, `"sum"` or `"none"` everywhere."""

from __future__ import annotations

import warnings
from typing import Any

from ..frontend.dispatch import EAGER
from ..frontend.tensor import Tensor
from ..ir.errors import ArgumentError, ShapeError

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "huber_loss",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "reduced",
    "smooth_l1_loss",
]


def reduced(losses: Tensor, reduction: str) -> Tensor:
    """Losses, their mean or their sum.

    Raises:
        ArgumentError: for an unknown reduction.
    """
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(f"reduction is {reduction!r}", expected="'mean', 'sum' or 'none'")
    if reduction == "none":
        return losses
    return EAGER.mean(losses) if reduction == "mean" else EAGER.sum(losses)


def _stretched(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both in their common sizes. That they differ is rarely meant, hence PyTorch's warning."""
    if input.shape == target.shape:
        return input, target
    found = f"input {list(input.shape)}, target {list(target.shape)}"
    try:
        sizes = tuple(EAGER.eq(input, target).shape)
    except ShapeError:
        raise ShapeError("loss: input and target do not fit each other", found=found) from None
    warnings.warn(f"loss: sizes differ and are broadcast to {list(sizes)}: {found}", stacklevel=3)
    return EAGER.expand(input, sizes), EAGER.expand(target, sizes)


def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """The squared distances of input and target."""
    return EAGER.mse_loss(*_stretched(input, target), reduction)


def l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """The absolute distances of input and target."""
    return EAGER.l1_loss(*_stretched(input, target), reduction)


def smooth_l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """The absolute distances less beta / 2; below beta, the squared ones over 2 * beta. Girshick 2015."""
    return EAGER.smooth_l1_loss(*_stretched(input, target), reduction, beta)


def huber_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """delta times `smooth_l1_loss` with beta = delta. Huber 1964.

    Raises:
        ArgumentError: unless delta is positive.
    """
    if not delta > 0:
        raise ArgumentError(f"huber_loss: delta is {delta}", expected="delta > 0")
    return smooth_l1_loss(input, target, reduction=reduction, beta=delta) * delta


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """The cross-entropy of sigmoid(input) and target, element by element.

    Args:
        target: probabilities, of the input's sizes.
        weight: of each element, broadcast.
        pos_weight: of the positive side, broadcast.
    """
    return EAGER.binary_cross_entropy_with_logits(input, target, weight, pos_weight, reduction)


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """The cross-entropy of input and target, both probabilities; logarithms count as -100 at least."""
    if input.shape != target.shape:
        raise ShapeError(
            "binary_cross_entropy: input and target differ in their sizes",
            found=f"{list(input.shape)} != {list(target.shape)}",
        )
    found = EAGER.clamp(EAGER.log(input), min=-100.0) * target
    losses = -(found + EAGER.clamp(EAGER.log(1.0 - input), min=-100.0) * (1.0 - target))
    return reduced(losses if weight is None else losses * weight, reduction)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Minus the logarithm of the probability of each target's class.

    Args:
        input: logarithms of probabilities, (N, C, ...) or (C).
        target: numbers of classes, (N, ...) or a single one.
        weight: of each class, (C). The mean is over the weights.
        ignore_index: targets of this number do not count.
    """
    return EAGER.nll_loss(input, target, weight, ignore_index, reduction)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The cross-entropy of softmax(input) and target.

    Args:
        input: scores, (N, C, ...) or (C).
        target: numbers of classes, (N, ...) or a single one; or probabilities, of the input's sizes and
            dtype.
        weight: of each class, (C). The mean over numbered classes is over the weights.
        ignore_index: targets of this number do not count.
        label_smoothing: this share of every target is spread evenly over all classes. Szegedy et al. 2015.

    Raises:
        ArgumentError: when `label_smoothing` is not in [0, 1].
        ShapeError: when sizes do not fit.

    >>> import ingot
    >>> cross_entropy(ingot.zeros(1, 2), ingot.tensor([0])).item() == ingot.tensor(2.0).log().item()
    True
    """
    if target.dtype.is_floating_point:
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    return EAGER.cross_entropy(
        input,
        target,
        weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def _soft_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, label_smoothing: float
) -> Tensor:
    """Against probabilities. The mean is over the samples, whatever the weights."""
    if not 0.0 <= label_smoothing <= 1.0:
        raise ArgumentError(f"cross_entropy: label_smoothing is {label_smoothing}", expected="a number in [0, 1]")
    if input.shape != target.shape:
        raise ShapeError(
            "cross_entropy: input and target probabilities differ in their sizes",
            found=f"{list(input.shape)} != {list(target.shape)}",
        )
    dim = 0 if input.ndim == 1 else 1
    classes: Any = input.shape[dim]
    if label_smoothing:
        target = target * (1.0 - label_smoothing) + label_smoothing / classes
    logs = EAGER.log_softmax(input, dim)
    if weight is not None:
        logs = logs * EAGER.reshape(weight, (-1,) + (1,) * (input.ndim - 1 - dim))
    losses = -EAGER.sum(logs * target, dim)
    if reduction != "mean":
        return reduced(losses, reduction)
    # PyTorch divides by the number of samples, which for (C) is 1.
    return EAGER.mean(losses)
