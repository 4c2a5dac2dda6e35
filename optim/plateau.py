"""A learning rate that falls when a measured value no longer gets better."""

from __future__ import annotations

import math
from typing import Any

from ..ir.errors import ArgumentError
from .lr_scheduler import LRScheduler
from .optimizer import Optimizer

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau(LRScheduler):
    """Multiply the learning rates by `factor` after more than `patience` steps without a better value.

    Args:
        mode: whether a smaller value is better (`"min"`) or a larger one (`"max"`).
        threshold: by how much a value has to be better to count, relatively or absolutely (`threshold_mode`).
        cooldown: how many steps after a reduction do not count.
        min_lr: the least learning rate, one for all groups or one for each.
        eps: a reduction by less is left out.

    Raises:
        ArgumentError: for another mode, a factor that does not reduce, or a list that does not fit the groups.

    >>> import ingot
    >>> optimizer = ingot.optim.SGD([ingot.nn.Parameter(ingot.ones(1))], lr=1.0)
    >>> scheduler = ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     scheduler.step(loss)
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: Any = 0.0,
        eps: float = 1e-8,
    ) -> None:
        groups = optimizer.param_groups
        self.min_lrs = list(min_lr) if isinstance(min_lr, (list, tuple)) else [min_lr] * len(groups)
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs") or not factor < 1.0:
            raise ArgumentError(
                "ReduceLROnPlateau: out of range",
                expected='mode "min" or "max", threshold_mode "rel" or "abs", factor < 1',
                found=f"{mode=} {threshold_mode=} {factor=}",
            )
        if len(self.min_lrs) != len(groups):
            raise ArgumentError(f"ReduceLROnPlateau: {len(self.min_lrs)} min_lr for {len(groups)} groups")
        self.optimizer = optimizer
        self.mode, self.factor, self.patience, self.eps = mode, factor, patience, eps
        self.threshold, self.threshold_mode, self.cooldown = threshold, threshold_mode, cooldown
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0
        self._last_lr = self._current()

    def step(self, metrics: Any = None) -> None:
        """Take in a value, a number or a tensor of one element, and set the learning rates.

        Raises:
            ArgumentError: without one.
        """
        if metrics is None:
            raise ArgumentError("ReduceLROnPlateau.step: the measured value is missing", expected="step(loss)")
        value = float(metrics)
        self.last_epoch += 1
        self.num_bad_epochs += 1
        if self.is_better(value, self.best):
            self.best, self.num_bad_epochs = value, 0
        if self.cooldown_counter > 0:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown_counter - 1, 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self._current()

    def is_better(self, a: float, best: float) -> bool:
        """Whether a value is better than the best one by more than the threshold."""
        sign = 1.0 if self.mode == "min" else -1.0
        if self.threshold_mode == "abs":
            return sign * a < sign * best - self.threshold
        return sign * a < sign * (best * (1.0 - sign * self.threshold))

    def _reduce(self) -> None:
        rates = self._current()
        reduced = [max(rate * self.factor, least) for rate, least in zip(rates, self.min_lrs, strict=True)]
        self._set([new if rate - new > self.eps else rate for rate, new in zip(rates, reduced, strict=True)])
