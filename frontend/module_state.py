"""What `state_dict` holds and how `load_state_dict` puts it back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..ir.errors import ArgumentError
from .autograd import no_grad
from .parameter import Parameter
from .tensor import Tensor
from .tensor_base import wrap

if TYPE_CHECKING:
    from .module import Module

__all__ = ["IncompatibleKeys", "load_into", "state_of"]


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` found missing in the state, and what it did not expect there."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


@dataclass(frozen=True, slots=True)
class _Place:
    """One entry of a state: which module's table holds it, and under which name."""

    module: Module
    table: str
    name: str

    @property
    def tensor(self) -> Tensor:
        return getattr(self.module, self.table)[self.name]

    def assign(self, value: Tensor) -> None:
        old = self.tensor
        new = value if self.table == "_buffers" else Parameter(value, requires_grad=old.requires_grad)
        getattr(self.module, self.table)[self.name] = new


def _places(module: Module, prefix: str) -> Iterator[tuple[str, _Place]]:
    """Every entry with its path; a module that is shared appears under each of its paths."""
    for path, owner in module.named_modules(prefix=prefix.rstrip("."), remove_duplicate=False):
        start = f"{path}." if path else ""
        for name, parameter in owner._parameters.items():
            if parameter is not None:
                yield start + name, _Place(owner, "_parameters", name)
        for name, buffer in owner._buffers.items():
            if buffer is not None and name not in owner._non_persistent:
                yield start + name, _Place(owner, "_buffers", name)


def state_of(module: Module, prefix: str, keep_vars: bool) -> dict[str, Tensor]:
    """See `Module.state_dict`."""
    return {path: place.tensor if keep_vars else place.tensor.detach() for path, place in _places(module, prefix)}


def load_into(module: Module, state: Mapping[str, Any], strict: bool, assign: bool) -> IncompatibleKeys:
    """See `Module.load_state_dict`."""
    if not isinstance(state, Mapping):
        raise ArgumentError(f"load_state_dict: the state is a {type(state).__name__}", expected="a dict of tensors")
    places = dict(_places(module, ""))
    missing = [path for path in places if path not in state]
    unexpected = [path for path in state if path not in places]
    problems = [f"missing     {path}" for path in missing] if strict else []
    problems += [f"unexpected  {path}" for path in unexpected] if strict else []
    problems += [text for path in places if path in state and (text := _misfit(path, state[path], places[path].tensor))]
    if problems:
        lines = "".join(f"\n  {text}" for text in problems)
        raise ArgumentError(f"load_state_dict: the state does not fit {type(module).__name__}{lines}")
    with no_grad():
        for path, place in places.items():
            if path in state:
                _load(place, state[path], assign)
    return IncompatibleKeys(missing, unexpected)


def _misfit(path: str, value: Any, own: Tensor) -> str:
    if not isinstance(value, (Tensor, np.ndarray, np.generic)):
        return f"kind        {path}: {type(value).__name__} in place of a tensor"
    if tuple(value.shape) == tuple(own.shape):
        return ""
    return f"size        {path}: {list(value.shape)} in the state, {list(own.shape)} in the module"


def _load(place: _Place, value: Tensor | np.ndarray, assign: bool) -> None:
    tensor = value if isinstance(value, Tensor) else wrap(np.asarray(value))
    if assign:
        place.assign(tensor.detach())
    else:
        place.tensor.copy_(tensor)
