"""`Parameter`: a tensor that a module trains."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir.dtypes import get_default_dtype
from ..ir.errors import ArgumentError
from .mode import mode
from .storage import storage_of
from .tensor import Tensor
from .tensor_base import TensorBase, wrap

__all__ = ["Parameter"]


class Parameter(Tensor):
    """A tensor that is registered as a parameter when it is assigned to a module's attribute.

    It is a leaf of its own and shares the memory of `data`.

    Args:
        data: a tensor; without it, an empty one of the default dtype.
        requires_grad: whether it is trained.

    Raises:
        ArgumentError: when `data` is not a tensor.
        GradientError: when a gradient is wanted of a tensor of integers.

    >>> import ingot
    >>> weight = ingot.nn.Parameter(ingot.tensor([1.0, 2.0]))
    >>> weight.requires_grad, weight.is_leaf
    (True, True)
    """

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        if data is None:
            data = wrap(np.zeros(0, get_default_dtype().np))
        if not isinstance(data, TensorBase):
            raise ArgumentError(
                f"Parameter: data is a {type(data).__name__}",
                expected="a tensor",
                advice="ingot.tensor(...) makes one of numbers",
            )
        if mode.tracer is not None:
            vars(self).update(mode.tracer.second_leaf(data))
            storage_of(self._base).add_view(self)
        self._array = data._array
        self._storage = storage_of(data)  # one version for both
        if requires_grad:
            self.requires_grad_(True)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"

    def __copy__(self) -> Parameter:
        return Parameter(self.detach(), self.requires_grad)

    def __reduce_ex__(self, protocol: Any) -> Any:
        self._leaves_graph("pickle")
        return _rebuild, (self._array, self.requires_grad)


def _rebuild(array: Any, requires_grad: bool) -> Parameter:
    return Parameter(wrap(array), requires_grad)
