"""Losses as modules."""

from __future__ import annotations

from ..frontend.module import Module
from ..frontend.tensor import Tensor
from ..ir.errors import ArgumentError
from . import functional as F

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "HuberLoss",
    "L1Loss",
    "MSELoss",
    "NLLLoss",
    "SmoothL1Loss",
]


class _Loss(Module):
    """A loss with its reduction: `"mean"`, `"sum"` or `"none"`."""

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise ArgumentError(
                f"{type(self).__name__}: reduction is {reduction!r}", expected="'mean', 'sum' or 'none'"
            )
        self.reduction = reduction


class _WeightedLoss(_Loss):
    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weight)


class MSELoss(_Loss):
    """The squared distances of input and target, which have equal sizes.

    >>> import ingot
    >>> MSELoss()(ingot.tensor([1.0, 3.0]), ingot.tensor([0.0, 0.0])).item()
    5.0
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """The absolute distances of input and target, which have equal sizes.

    >>> import ingot
    >>> L1Loss()(ingot.tensor([1.0, -3.0]), ingot.tensor([0.0, 0.0])).item()
    2.0
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """The absolute distances less beta / 2; below beta, the squared ones over 2 * beta. Girshick 2015.

    >>> import ingot
    >>> SmoothL1Loss()(ingot.tensor([2.0]), ingot.tensor([0.0])).item()
    1.5
    """

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """Half the squared distances up to delta, from there on growing straight. Huber 1964.

    >>> import ingot
    >>> HuberLoss(delta=2.0)(ingot.tensor([2.0]), ingot.tensor([0.0])).item()
    2.0
    """

    def __init__(self, *, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class NLLLoss(_WeightedLoss):
    """Minus the logarithm of the probability of each target's class; see `functional.nll_loss`.

    Input (N, C, ...), logarithms of probabilities; target (N, ...), numbers of classes; weight (C).

    >>> import ingot
    >>> NLLLoss()(ingot.tensor([[-1.0, -2.0]]), ingot.tensor([1])).item()
    2.0
    """

    def __init__(self, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(weight, reduction=reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class CrossEntropyLoss(_WeightedLoss):
    """The cross-entropy of softmax(input) and target; see `functional.cross_entropy`.

    Input (N, C, ...), scores; target (N, ...), numbers of classes, or probabilities of the input's sizes;
    weight (C).

    >>> import ingot
    >>> loss = CrossEntropyLoss()(ingot.zeros(4, 10), ingot.tensor([1, 2, 3, 4]))
    >>> round(loss.item(), 4)
    2.3026
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, reduction=reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class BCELoss(_WeightedLoss):
    """The cross-entropy of input and target, both probabilities of equal sizes.

    >>> import ingot
    >>> BCELoss()(ingot.tensor([1.0]), ingot.tensor([1.0])).item()
    0.0
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """The cross-entropy of sigmoid(input) and target, which have equal sizes.

    Args:
        weight: of each element, broadcast.
        pos_weight: of the positive side, broadcast.

    >>> import ingot
    >>> loss = BCEWithLogitsLoss()(ingot.tensor([0.0]), ingot.tensor([1.0]))
    >>> round(loss.item(), 4)
    0.6931
    """

    pos_weight: Tensor | None

    def __init__(
        self, weight: Tensor | None = None, *, reduction: str = "mean", pos_weight: Tensor | None = None
    ) -> None:
        super().__init__(weight, reduction=reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )
