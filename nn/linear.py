"""`Linear` and `Identity`."""

from __future__ import annotations

import math
from typing import Any

from ..frontend.creation import empty
from ..frontend.module import Module
from ..frontend.parameter import Parameter
from ..frontend.tensor import Tensor
from ..ir.errors import ArgumentError
from . import functional as F
from . import init

__all__ = ["Identity", "Linear", "check_positive"]


def check_positive(layer: str, **sizes: Any) -> None:
    """Refuse sizes of a layer that are not positive integers.

    Raises:
        ArgumentError: names the first one.
    """
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ArgumentError(f"{layer}: {name} is {size!r}", expected="a positive integer")


class Identity(Module):
    """Hands its input through; any arguments are taken and ignored.

    >>> import ingot
    >>> Identity(54, unused=True)(ingot.ones(2)).tolist()
    [1.0, 1.0]
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input


class Linear(Module):
    """y = x @ weight.T + bias.

    Input (..., in_features), output (..., out_features). The weight (out_features, in_features) and the bias
    (out_features) begin uniform in [-b, b) with b = 1 / sqrt(in_features).

    Args:
        bias: whether there is one.
        dtype: of the parameters; the default dtype unless given.

    >>> import ingot
    >>> Linear(3, 2)(ingot.ones(5, 3)).shape
    ingot.Size([5, 2])
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        check_positive("Linear", in_features=in_features, out_features=out_features)
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(empty(out_features, in_features, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new parameters."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features)
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
