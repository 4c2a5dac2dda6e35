"""`Conv2d`."""

from __future__ import annotations

import math
from typing import Any

from ..frontend.creation import empty
from ..frontend.module import Module
from ..frontend.parameter import Parameter
from ..frontend.tensor import Tensor
from ..ir.errors import ArgumentError, UnsupportedError
from . import functional as F
from . import init
from .functional import Pair
from .linear import check_positive

__all__ = ["Conv2d"]


class Conv2d(Module):
    """Cross-correlation of an image with learnt kernels, plus a bias.

    Input (N, C, H, W) or (C, H, W); output (N, O, H', W') with
    `H' = (H + 2*padding - dilation*(kernel - 1) - 1)//stride + 1`. The weight is (O, C / groups, kernel
    height, kernel width), the bias (O); both begin uniform in [-b, b) with b = 1 / sqrt(C / groups * kernel
    height * kernel width).

    Args:
        in_channels, out_channels: C and O; both divisible by `groups`.
        kernel_size, stride, padding, dilation: one number, or one for the height and one for the width.
            `padding` may also be `"valid"` or `"same"`.
        groups: that many convolutions side by side, each on its share of the channels.
        bias: whether there is one.
        padding_mode: `"zeros"`.
        dtype: of the parameters; the default dtype unless given.

    Raises:
        ArgumentError: for sizes that are not positive, or channels that `groups` does not divide.

    >>> import ingot
    >>> Conv2d(3, 8, kernel_size=3, padding=1)(ingot.ones(2, 3, 5, 5)).shape
    ingot.Size([2, 8, 5, 5])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair | str = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_positive("Conv2d", in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ArgumentError(
                "Conv2d: groups does not divide the channels",
                found=f"in_channels={in_channels} out_channels={out_channels} groups={groups}",
            )
        if padding_mode != "zeros":
            raise UnsupportedError(f"Conv2d: padding_mode {padding_mode!r}", expected="'zeros'")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size)
        self.stride = pair("Conv2d", "stride", stride)
        self.padding = padding if isinstance(padding, str) else pair("Conv2d", "padding", padding, least=0)
        self.dilation = pair("Conv2d", "dilation", dilation)
        self.groups = groups
        self.padding_mode = padding_mode
        self.weight = Parameter(
            empty(out_channels, in_channels // groups, *self.kernel_size, device=device, dtype=dtype)
        )
        self.register_parameter("bias", Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new parameters."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(init.fans(self.weight.shape)[0])
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0, 0):
            text += f", padding={self.padding}"
        if self.dilation != (1, 1):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text + (", bias=False" if self.bias is None else "")


def pair(layer: str, name: str, value: Pair, least: int = 1) -> tuple[int, int]:
    """One number for both dimensions, or one for each.

    Raises:
        ArgumentError: for anything else, or a number below `least`.
    """
    found = (value, value) if isinstance(value, int) else tuple(value)
    if len(found) != 2 or any(not isinstance(x, int) or x < least for x in found):
        raise ArgumentError(f"{layer}: {name} is {value!r}", expected=f"one integer or two, at least {least}")
    return found
