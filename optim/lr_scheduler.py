"""Schedules of the learning rate.

A scheduler is made after its optimizer, and stepped once per epoch (or per batch) after the optimizer's step.
A learning rate that is a tensor is changed in place, so that a captured training step sees the new one.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from typing import Any

from ..frontend.autograd import no_grad
from ..frontend.tensor import Tensor
from ..ir.errors import ArgumentError, UnsupportedError
from .optimizer import Optimizer

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]


class LRScheduler:
    """Base class: counts steps in `last_epoch` and sets every group's learning rate to what `get_lr` says.

    Args:
        optimizer: whose learning rates are set; each group's first one is kept as its `"initial_lr"`.
        last_epoch: the count to go on from; -1 begins anew.

    Raises:
        ArgumentError: when it goes on from a count and the groups have no `"initial_lr"`.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(f"{type(self).__name__}: optimizer is a {type(optimizer).__name__}")
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            if last_epoch == -1:
                group.setdefault("initial_lr", _number(group["lr"]))
            elif "initial_lr" not in group:
                raise ArgumentError(f"{type(self).__name__}: a group has no 'initial_lr' to go on from")
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._last_lr: list[float] = []
        self.step()

    def get_lr(self) -> list[float]:
        """The learning rates at `last_epoch`, one per group."""
        raise UnsupportedError(f"{type(self).__name__} has no get_lr", advice="define get_lr(self)")

    def get_last_lr(self) -> list[float]:
        """The learning rates that are set now, one per group."""
        return self._last_lr

    def step(self) -> None:
        """Count one step and set the learning rates."""
        self.last_epoch += 1
        self._set(self.get_lr())

    def state_dict(self) -> dict[str, Any]:
        """All that changes, and the numbers that the schedule was made with."""
        return {k: v for k, v in self.__dict__.items() if k != "optimizer" and not callable(v)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.__dict__.update(state_dict)

    def _current(self) -> list[float]:
        return [_number(group["lr"]) for group in self.optimizer.param_groups]

    def _set(self, rates: Sequence[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            _assign(group, rate)
        self._last_lr = list(rates)


def _number(rate: Any) -> float:
    return float(rate.item()) if isinstance(rate, Tensor) else rate


def _assign(group: dict[str, Any], rate: float) -> None:
    if isinstance(group["lr"], Tensor):
        with no_grad():
            group["lr"].fill_(rate)
    else:
        group["lr"] = rate


class _Factors(LRScheduler):
    """A schedule that multiplies the current learning rates, so that several can be stepped side by side."""

    def get_lr(self) -> list[float]:
        factor = self.factor() if self.last_epoch else self.first_factor()
        return [rate * factor for rate in self._current()]

    def first_factor(self) -> float:
        """What the initial learning rates are multiplied by."""
        return 1.0

    def factor(self) -> float:
        """What the learning rates change by at `last_epoch`."""
        return 1.0


class StepLR(_Factors):
    """Multiply the learning rate by `gamma` every `step_size` steps.

    >>> import ingot
    >>> optimizer = ingot.optim.SGD([ingot.nn.Parameter(ingot.zeros(1))], lr=1.0)
    >>> scheduler = StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for _ in range(4):
    ...     optimizer.step()
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def factor(self) -> float:
        return self.gamma if self.last_epoch % self.step_size == 0 else 1.0


class MultiStepLR(_Factors):
    """Multiply the learning rate by `gamma` at each of the given counts."""

    def __init__(
        self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = sorted(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def factor(self) -> float:
        return self.gamma ** self.milestones.count(self.last_epoch)


class ExponentialLR(_Factors):
    """Multiply the learning rate by `gamma` at every step."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def factor(self) -> float:
        return self.gamma


class ConstantLR(_Factors):
    """The learning rate times `factor` for the first `total_iters` steps, then as it was."""

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        self.share = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def first_factor(self) -> float:
        return self.share

    def factor(self) -> float:
        return 1.0 / self.share if self.last_epoch == self.total_iters else 1.0


class LinearLR(_Factors):
    """The learning rate times a factor that goes straight from one to another in `total_iters` steps."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ArgumentError(
                "LinearLR: factors are out of range", expected="0 < start_factor <= 1, 0 <= end_factor <= 1"
            )
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def first_factor(self) -> float:
        return self.start_factor

    def factor(self) -> float:
        if self.last_epoch > self.total_iters:
            return 1.0
        return self._share(self.last_epoch) / self._share(self.last_epoch - 1)

    def _share(self, step: int) -> float:
        return self.start_factor + (self.end_factor - self.start_factor) * step / self.total_iters


class LambdaLR(LRScheduler):
    """The initial learning rate times what `lr_lambda(step)` returns; one function, or one per group."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        count = len(optimizer.param_groups)
        self._lambdas = [lr_lambda] * count if callable(lr_lambda) else list(lr_lambda)
        if len(self._lambdas) != count:
            raise ArgumentError(f"LambdaLR: {len(self._lambdas)} functions", expected=f"one, or {count}: one per group")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [base * fn(self.last_epoch) for base, fn in zip(self.base_lrs, self._lambdas, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        return {k: v for k, v in super().state_dict().items() if k != "_lambdas"}


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the initial learning rate down to `eta_min` in `T_max` steps.

    Loshchilov & Hutter 2016.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        share = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]


class OneCycleLR(LRScheduler):
    """Up to `max_lr` and down again in a cycle of `total_steps` or `epochs * steps_per_epoch`. Smith 2017.

    Args:
        max_lr: the largest learning rate, or one per group.
        pct_start: the share of the steps that go up.
        anneal_strategy: `"cos"` or `"linear"`.
        div_factor: the first learning rate is `max_lr / div_factor`.
        final_div_factor: the last one is the first one divided by this.
        three_phase: come down in as many steps as up, then to the end.

    The momentum stays as it is.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ArgumentError("OneCycleLR: give total_steps, or epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        if anneal_strategy not in _ANNEAL:
            raise ArgumentError(f"OneCycleLR: anneal_strategy is {anneal_strategy!r}", expected="'cos' or 'linear'")
        if total_steps <= 0 or not 0 <= pct_start <= 1:
            raise ArgumentError("OneCycleLR: out of range", expected="total_steps > 0 and 0 <= pct_start <= 1")
        self.total_steps = total_steps
        self.anneal_strategy = anneal_strategy
        count = len(optimizer.param_groups)
        tops = [max_lr] * count if isinstance(max_lr, (int, float)) else list(max_lr)
        self._points = [_cycle(total_steps, pct_start, top, div_factor, final_div_factor, three_phase) for top in tops]
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_steps:  # one step behind each of the optimizer's is right
            raise ArgumentError(f"OneCycleLR: step {self.last_epoch} of {self.total_steps}")
        return [self._at(points) for points in self._points]

    def _at(self, points: list[tuple[float, float]]) -> float:
        ends = [end for end, _ in points[1:]]
        i = min(bisect.bisect_left(ends, self.last_epoch), len(ends) - 1)
        (start, first), (end, last) = points[i], points[i + 1]
        share = min(1.0, (self.last_epoch - start) / (end - start))
        return _ANNEAL[self.anneal_strategy](first, last, share)


def _cycle(total: int, up: float, top: float, div: float, final_div: float, three: bool) -> list[tuple[float, float]]:
    """The corners of the cycle: (step, learning rate)."""
    first = top / div
    last = first / final_div
    peak = up * total - 1
    if three:
        return [(0.0, first), (peak, top), (2 * up * total - 2, first), (total - 1.0, last)]
    return [(0.0, first), (peak, top), (total - 1.0, last)]


_ANNEAL: dict[str, Callable[[float, float, float], float]] = {
    "linear": lambda first, last, share: first + (last - first) * share,
    "cos": lambda first, last, share: last + (first - last) / 2.0 * (math.cos(math.pi * share) + 1),
}


class SequentialLR(LRScheduler):
    """One schedule after the other: the next one begins, from 0, at each of the milestones.

    Args:
        schedulers: made on the same optimizer.
        milestones: counts at which the second, third, ... takes over.
    """

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]) -> None:
        if len(milestones) != len(schedulers) - 1:
            raise ArgumentError(f"SequentialLR: {len(milestones)} milestones", expected=str(len(schedulers) - 1))
        if any(s.optimizer is not optimizer for s in schedulers):
            raise ArgumentError("SequentialLR: a scheduler belongs to another optimizer")
        self._schedulers = list(schedulers)
        self._milestones = list(milestones)
        # Making them has stepped each; the first one's start is what counts.
        for group in optimizer.param_groups:
            _assign(group, group["initial_lr"])
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        i = bisect.bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[i]
        begins = self.last_epoch == 0 or (i > 0 and self._milestones[i - 1] == self.last_epoch)
        if begins:
            for group in self.optimizer.param_groups:
                _assign(group, group["initial_lr"])
            scheduler.last_epoch = -1
        scheduler.step()
        return scheduler.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        found = {k: v for k, v in super().state_dict().items() if k != "_schedulers"}
        return found | {"schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for scheduler, state in zip(self._schedulers, state_dict["schedulers"], strict=True):
            scheduler.load_state_dict(state)
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "schedulers"})


from .plateau import ReduceLROnPlateau  # noqa: E402  (it derives from a class above)
