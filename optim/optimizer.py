"""`Optimizer`: parameter groups, the state kept for each parameter, and how both are saved and loaded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..frontend.autograd import enable_grad, no_grad
from ..frontend.dispatch import EAGER
from ..frontend.mode import mode
from ..frontend.tensor import Tensor
from ..frontend.tensor_base import wrap
from ..ir.dtypes import DType, float64
from ..ir.errors import ArgumentError, UnsupportedError
from .update import Update

__all__ = ["Optimizer", "check_not_negative"]


class Optimizer:
    """Base class of optimizers.

    Everything that changes from step to step (momentum, moments, step counts) is a tensor in `state`, updated
    in
    place: a captured training step carries it. Numbers in `param_groups` are fixed when a step is captured; a
    learning rate that is to change afterwards is given as a tensor, `lr=ingot.tensor(0.1)`.

    Args:
        params: parameters, or dicts with the key `"params"` and options of their own, or (name, parameter)
            pairs.
        defaults: options of groups that do not say otherwise.

    Raises:
        ArgumentError: when there are no parameters, one appears twice, or one is computed from others.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Tensor]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups = _as_groups(params, type(self).__name__)
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add parameters with options of their own, such as `{"params": layer.parameters(), "lr": 0.01}`."""
        name = type(self).__name__
        group = dict(param_group)
        params = group.get("params")
        group["params"] = [params] if isinstance(params, Tensor) else list(params or ())
        for parameter in group["params"]:
            _check_parameter(parameter, name)
        known = [p for g in self.param_groups for p in g["params"]] + group["params"]
        if len({id(p) for p in known}) != len(known):
            raise ArgumentError(f"{name}: a parameter is given more than once")
        for key, value in self.defaults.items():
            group.setdefault(key, value)
        self.check_group(group)
        self.param_groups.append({"params": group.pop("params"), **group})

    def check_group(self, group: Mapping[str, Any]) -> None:
        """Refuse options that make no sense; a subclass adds its own."""
        if "lr" in group:
            check_not_negative(type(self).__name__, group, "lr")

    def update_of(self, group: Mapping[str, Any]) -> Update:
        """The rule of a group: what a subclass is about."""
        raise UnsupportedError(f"{type(self).__name__} has no update_of", advice="define update_of(self, group)")

    def state_of(self, parameter: Tensor, group: Mapping[str, Any]) -> tuple[list[Tensor], Tensor | None]:
        """A parameter's state for the update, made at its first step, and its step count if it has one."""
        raise UnsupportedError(
            f"{type(self).__name__} has no state_of", advice="define state_of(self, parameter, group)"
        )

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient.

        Args:
            closure: computes the loss and its gradients anew; called once, before the step.

        Returns:
            what the closure returned, or None.
        """
        if mode.tracer is not None:
            mode.tracer.ledger.optimizer(self)
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                update = self.update_of(group)
                for parameter in group["params"]:
                    gradient = parameter.grad
                    if gradient is not None:
                        state, count = self.state_of(parameter, group)
                        update.apply(parameter, gradient, state, count)
        return loss

    def named_state(self, names: Mapping[int, str]) -> Iterator[tuple[str, Tensor]]:
        """Every tensor that a step reads and keeps, with a name; what a first step would make is made now.

        A captured step asks for this, so that its state has names.

        Args:
            names: known names of parameters, by their `id`; the others go by their number.
        """
        for i, group in enumerate(self.param_groups):
            if isinstance(group.get("lr"), Tensor):
                yield ("lr" if len(self.param_groups) == 1 else f"{i}.lr"), group["lr"]
            for parameter in group["params"]:
                if parameter.requires_grad:
                    self.state_of(parameter, group)
        for i, parameter in enumerate(self._parameters()):
            name = names.get(id(parameter), str(i))
            for key, value in self.state[parameter].items() if parameter in self.state else ():
                yield f"{name}.{key}", value

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to 0."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if set_to_none:
                    parameter.grad = None
                elif parameter.grad is not None:
                    parameter.grad = EAGER.mul(parameter.grad.detach(), 0)

    def state_dict(self) -> dict[str, Any]:
        """State and options as data: `{"state": {number: {name: tensor}}, "param_groups": [...]}`.

        Parameters are numbered in the order of the groups; the tensors are the optimizer's own.
        """
        numbers = {id(p): i for i, p in enumerate(self._parameters())}
        groups = [{**group, "params": [numbers[id(p)] for p in group["params"]]} for group in self.param_groups]
        state = {numbers[id(p)]: dict(values) for p, values in self.state.items() if values}
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave; tensors that exist keep their identity.

        Raises:
            ArgumentError: when groups or parameters are not as many, or a tensor has other sizes.
        """
        name = type(self).__name__
        groups = state_dict["param_groups"]
        found, own = [[len(g["params"]) for g in x] for x in (groups, self.param_groups)]
        if found != own:
            raise ArgumentError(f"{name}.load_state_dict: other parameter groups", found=f"{found} != {own} parameters")
        numbers = [n for group in groups for n in group["params"]]
        places = dict(zip(numbers, self._parameters(), strict=True))
        entries = state_dict["state"].items()
        loaded = [(places[n], {k: v for k, v in e.items() if v is not None}) for n, e in entries if n in places]
        for parameter, values in loaded:
            for key, value in values.items():
                _check_entry(f"{name}.load_state_dict: '{key}'", value, parameter)
        for group, saved in zip(self.param_groups, groups, strict=True):
            for key, value in saved.items():
                if key != "params":
                    group[key] = _option(group.get(key), value)
        for parameter, values in loaded:
            own_state = self.state[parameter]
            for key, value in values.items():
                dtype = float64 if key == "step" else parameter.dtype
                own_state[key] = _taken_over(own_state.get(key), value, dtype)

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])


def _as_groups(params: Iterable[Any], name: str) -> list[dict[str, Any]]:
    if isinstance(params, Tensor):
        raise ArgumentError(f"{name}: params is a tensor", expected="a list of parameters or of dicts")
    found = list(params)
    if not found:
        raise ArgumentError(f"{name}: no parameters were given")
    if isinstance(found[0], dict):
        return found
    return [{"params": [p[1] if isinstance(p, tuple) else p for p in found]}]


def _check_parameter(parameter: Any, name: str) -> None:
    if not isinstance(parameter, Tensor):
        raise ArgumentError(f"{name}: a parameter is a {type(parameter).__name__}", expected="tensors")
    if not parameter.is_leaf:
        raise ArgumentError(f"{name}: a parameter was computed from other tensors", advice="pass the leaves")


def check_not_negative(name: str, group: Mapping[str, Any], *keys: str) -> None:
    """Refuse negative options.

    Raises:
        ArgumentError: names the first option below 0.
    """
    for key in keys:
        value = group[key]
        if not isinstance(value, Tensor) and not value >= 0:
            raise ArgumentError(f"{name}: {key} is {value}", expected=f"{key} >= 0")


def _check_entry(what: str, value: Any, parameter: Tensor) -> None:
    if not isinstance(value, (Tensor, np.ndarray, np.generic, int, float)):
        raise ArgumentError(f"{what} is a {type(value).__name__}", expected="a tensor")
    sizes = tuple(getattr(value, "shape", ()))
    if sizes and sizes != tuple(parameter.shape):
        raise ArgumentError(
            f"{what} has other sizes than its parameter", found=f"{list(sizes)} != {list(parameter.shape)}"
        )


def _option(old: Any, new: Any) -> Any:
    """A saved option; one that is a tensor (a learning rate) keeps its identity."""
    if not isinstance(new, Tensor) and not isinstance(old, Tensor):
        return new
    if not isinstance(old, Tensor):
        return new.clone()
    with no_grad():
        return old.copy_(new)


def _taken_over(old: Tensor | None, value: Any, dtype: DType) -> Tensor:
    """A saved entry as this optimizer's tensor; one that exists keeps its identity."""
    new = wrap((value._array if isinstance(value, Tensor) else np.asarray(value)).astype(dtype.np))
    if old is None:
        return new
    with no_grad():
        return old.copy_(new)
