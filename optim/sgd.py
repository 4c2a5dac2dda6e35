"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..frontend.tensor import Tensor
from ..ir.errors import ArgumentError
from .optimizer import Optimizer, check_not_negative
from .update import Update, count_for, zeros_for

__all__ = ["SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent: `p -= lr * g`.

    With momentum, `b = momentum * b + (1 - dampening) * g` takes the place of `g`.

    The first `b` is `g` itself, undamped. With `nesterov`, the step goes along `g + momentum * b`. Sutskever
    et al. 2013, in PyTorch's formulation.

    Args:
        params: parameters or parameter groups.
        lr: the learning rate, a number or a tensor of one element.
        weight_decay: adds `weight_decay * p` to the gradient.
        maximize: go up the gradient.

    Raises:
        ArgumentError: for a negative option, or `nesterov` without momentum or with dampening.

    >>> import ingot
    >>> p = ingot.nn.Parameter(ingot.tensor([1.0, 2.0]))
    >>> optimizer = ingot.optim.SGD([p], lr=0.5)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p.tolist()
    [0.0, 0.0]
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_group(self, group: Mapping[str, Any]) -> None:
        check_not_negative("SGD", group, "lr", "momentum", "weight_decay")
        if group["nesterov"] and (not group["momentum"] or group["dampening"]):
            raise ArgumentError("SGD: nesterov needs a momentum and no dampening")

    def state_of(self, parameter: Tensor, group: Mapping[str, Any]) -> tuple[list[Tensor], Tensor | None]:
        if not group["momentum"]:
            return [], None
        state = self.state[parameter]
        # The first step is not damped. A count says which one it is, since a captured step has no `if`.
        fresh = "momentum_buffer" not in state
        if fresh:
            state["momentum_buffer"] = zeros_for(parameter)
        if not group["dampening"]:
            return [state["momentum_buffer"]], None
        if "step" not in state:
            state["step"] = count_for(parameter, 0.0 if fresh else 1.0)
        return [state["momentum_buffer"]], state["step"]

    def update_of(self, group: Mapping[str, Any]) -> Update:
        momentum, dampening = group["momentum"], group["dampening"]
        decay, nesterov, maximize = group["weight_decay"], group["nesterov"], group["maximize"]

        def scalars(F: Any, step: Any, lr: Any) -> tuple[Any, ...]:
            if step is None:
                return -lr, 1.0
            damped, whole = (F.full((), share, step.dtype) for share in (1.0 - dampening, 1.0))
            return -lr, F.where(F.gt(step, 1.0), damped, whole)

        def formula(F: Any, p: Any, g: Any, state: Sequence[Any], numbers: Sequence[Any]) -> tuple[Any, ...]:
            minus_lr, share = numbers
            if maximize:
                g = -g
            if decay:
                g = g + p * decay
            if not momentum:
                return (p + g * minus_lr,)
            buffer = state[0] * momentum + (g * share if dampening else g)
            step = g + buffer * momentum if nesterov else buffer
            return p + step * minus_lr, buffer

        return Update(formula, scalars, group["lr"])
