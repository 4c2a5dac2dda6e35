"""Pooling layers."""

from __future__ import annotations

from collections.abc import Sequence

from ..frontend.module import Module
from ..frontend.tensor import Tensor
from . import functional as F
from .functional import Pair

__all__ = ["AdaptiveAvgPool2d", "AvgPool2d", "MaxPool2d"]


class MaxPool2d(Module):
    """The largest element of each window; (N, C, H, W) or (C, H, W).

    Args:
        stride: the window's own size unless given.
        padding: counts as minus infinity.
        ceil_mode: also take windows that reach over the end.
        return_indices: also give the places of the elements, H * W counted row by row.

    >>> import ingot
    >>> MaxPool2d(2)(ingot.ones(1, 1, 4, 4)).shape
    ingot.Size([1, 1, 2, 2])
    """

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        dilation: Pair = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return F.max_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(Module):
    """The mean of each window; (N, C, H, W) or (C, H, W).

    Args:
        stride: the window's own size unless given.
        count_include_pad: whether padding counts as zeros in the mean.

    >>> import ingot
    >>> AvgPool2d(2)(ingot.ones(1, 1, 4, 4)).shape
    ingot.Size([1, 1, 2, 2])
    """

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool2d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AdaptiveAvgPool2d(Module):
    """Means over windows chosen so that the result has `output_size`; (N, C, H, W) or (C, H, W).

    Args:
        output_size: one number or two; None keeps the input's size.

    >>> import ingot
    >>> AdaptiveAvgPool2d(1)(ingot.ones(2, 3, 4, 4)).shape
    ingot.Size([2, 3, 1, 1])
    """

    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"
