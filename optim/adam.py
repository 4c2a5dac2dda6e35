"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..frontend.tensor import Tensor
from ..ir.errors import ArgumentError
from .optimizer import Optimizer, check_not_negative
from .update import Update, count_for, zeros_for

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adaptive moment estimation. Kingma & Ba 2014, in PyTorch's formulation.

    With `m` and `v` the running means of the gradient and of its square, and `t` the count of steps:
    `p -= lr / (1 - beta1**t) * m / (sqrt(v) / sqrt(1 - beta2**t) + eps)`.

    Args:
        params: parameters or parameter groups.
        lr: the learning rate, a number or a tensor of one element.
        betas: the weights of the past in both running means.
        eps: keeps the denominator away from 0.
        weight_decay: adds `weight_decay * p` to the gradient.
        amsgrad: divide by the largest `v` so far. Reddi et al. 2018.
        maximize: go up the gradient.

    Raises:
        ArgumentError: for a negative option, or a beta outside of [0, 1).

    >>> import ingot
    >>> p = ingot.nn.Parameter(ingot.tensor([1.0]))
    >>> optimizer = ingot.optim.Adam([p], lr=0.25)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p.tolist()
    [0.75]
    """

    decoupled = False  # whether weight decay shrinks the parameter itself, past the moments

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_group(self, group: Mapping[str, Any]) -> None:
        name = type(self).__name__
        check_not_negative(name, group, "lr", "eps", "weight_decay")
        if len(group["betas"]) != 2 or not all(0.0 <= beta < 1.0 for beta in group["betas"]):
            raise ArgumentError(f"{name}: betas are {group['betas']}", expected="two numbers in [0, 1)")

    def state_of(self, parameter: Tensor, group: Mapping[str, Any]) -> tuple[list[Tensor], Tensor | None]:
        state = self.state[parameter]
        names = ["exp_avg", "exp_avg_sq"] + (["max_exp_avg_sq"] if group["amsgrad"] else [])
        if "step" not in state:
            state["step"] = count_for(parameter)
        for name in names:
            if name not in state:
                state[name] = zeros_for(parameter)
        return [state[name] for name in names], state["step"]

    def update_of(self, group: Mapping[str, Any]) -> Update:
        (beta1, beta2), eps, decay = group["betas"], group["eps"], group["weight_decay"]
        maximize, decoupled = group["maximize"], self.decoupled

        def scalars(F: Any, step: Any, lr: Any) -> tuple[Any, ...]:
            correction1 = 1.0 - F.pow(F.full((), beta1, step.dtype), step)
            correction2 = 1.0 - F.pow(F.full((), beta2, step.dtype), step)
            return -lr / correction1, F.sqrt(correction2), 1.0 - lr * decay

        def formula(F: Any, p: Any, g: Any, state: Sequence[Any], numbers: Sequence[Any]) -> tuple[Any, ...]:
            minus_step, root, shrink = numbers
            if maximize:
                g = -g
            if decay:
                p, g = (p * shrink, g) if decoupled else (p, g + p * decay)
            mean = state[0] + (g - state[0]) * (1.0 - beta1)
            square = state[1] * beta2 + g * (1.0 - beta2) * g
            largest = (F.maximum(state[2], square),) if len(state) == 3 else ()
            denominator = F.sqrt(largest[0] if largest else square) / root + eps
            return p + mean * minus_step / denominator, mean, square, *largest

        return Update(formula, scalars, group["lr"])


class AdamW(Adam):
    """Adam with decoupled weight decay: `p` shrinks by `lr * weight_decay`, and the moments do not see it.

    Loshchilov & Hutter 2017. Arguments as `Adam`'s.
    """

    decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
