"""Layers that only change sizes."""

from __future__ import annotations

from collections.abc import Sequence

from ..frontend.functions import flatten
from ..frontend.module import Module
from ..frontend.tensor import Tensor
from ..ir.errors import IndexOutOfRange

__all__ = ["Flatten", "Unflatten"]


class Flatten(Module):
    """Neighbouring dimensions as one; by default all but the first.

    >>> import ingot
    >>> Flatten()(ingot.ones(2, 3, 4)).shape
    ingot.Size([2, 12])
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        return flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """One dimension as several.

    Args:
        unflattened_size: the new sizes, one of which may be -1.

    >>> import ingot
    >>> Unflatten(1, (3, 4))(ingot.ones(2, 12)).shape
    ingot.Size([2, 3, 4])
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        if not -input.ndim <= self.dim < input.ndim:
            raise IndexOutOfRange(f"Unflatten: dim {self.dim} of {input.ndim} dimensions")
        dim = self.dim % input.ndim
        shape = tuple(input.shape)
        return input.reshape((*shape[:dim], *self.unflattened_size, *shape[dim + 1 :]))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
