"""Dropout layers."""

from __future__ import annotations

from ..frontend.module import Module
from ..frontend.tensor import Tensor
from ..ir.errors import ArgumentError
from . import functional as F

__all__ = ["Dropout", "Dropout2d"]


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ArgumentError(f"{type(self).__name__}: p is {p}", expected="0 <= p <= 1")
        self.p = float(p)
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training, each element is 0 with probability p, else divided by 1 - p; in evaluation, the input.

    Any sizes. The randomness comes from the default generator. Srivastava et al. 2014.

    >>> import ingot
    >>> Dropout(0.5).eval()(ingot.ones(2)).tolist()
    [1.0, 1.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """As `Dropout`, but whole channels of (N, C, H, W) or (C, H, W) at once. Tompson et al. 2015.

    >>> import ingot
    >>> Dropout2d(0.5).eval()(ingot.ones(1, 2, 1, 1)).shape
    ingot.Size([1, 2, 1, 1])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout2d(input, self.p, self.training, self.inplace)
