"""The activation functions of `nn.functional`."""

from __future__ import annotations

from collections.abc import Callable

from ..frontend.dispatch import EAGER
from ..frontend.mode import mode
from ..frontend.tensor import Tensor
from ..ir.dtypes import DType
from ..ir.errors import ArgumentError

__all__ = [
    "elu",
    "gelu",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "log_softmax",
    "logsigmoid",
    "relu",
    "relu6",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]


def _activated(compute: Callable[..., Tensor], input: Tensor, inplace: bool, *args: float) -> Tensor:
    """The activation, or with `inplace` the input after it has taken the activation's value.

    A gradient that reads the input gets a copy of it, since the original is about to change.
    """
    if not inplace:
        return compute(input, *args)
    before = EAGER.clone(input) if input.requires_grad and mode.grad else input
    return input.copy_(compute(before, *args))


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0)."""
    return EAGER.relu(input) if not inplace else _activated(EAGER.relu, input, True)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """input limited to [0, 6]."""
    return hardtanh(input, 0.0, 6.0, inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """input where positive, else negative_slope * input."""
    return _activated(EAGER.leaky_relu, input, inplace, negative_slope)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """input where positive, else alpha * (exp(input) - 1)."""
    return _activated(EAGER.elu, input, inplace, alpha)


def gelu(input: Tensor, *, approximate: str = "none") -> Tensor:
    """input times the normal distribution function of input; `approximate="tanh"` is close to it.

    Raises:
        ArgumentError: for any other `approximate`.
    """
    if approximate not in ("none", "tanh"):
        raise ArgumentError(f"gelu: approximate is {approximate!r}", expected="'none' or 'tanh'")
    return EAGER.gelu(input, approximate=approximate)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """input * sigmoid(input)."""
    return _activated(EAGER.silu, input, inplace)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-input))."""
    return EAGER.sigmoid(input)


def logsigmoid(input: Tensor) -> Tensor:
    """The logarithm of the sigmoid, without overflow."""
    return EAGER.minimum(input, 0.0) - EAGER.log1p(EAGER.exp(-EAGER.abs(input)))


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return EAGER.tanh(input)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta * input)) / beta; input itself where beta * input is above the threshold."""
    return EAGER.softplus(input, beta, threshold)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """input limited to [min_val, max_val].

    Raises:
        ArgumentError: when min_val is above max_val.
    """
    if min_val > max_val:
        raise ArgumentError("hardtanh: min_val is above max_val", found=f"{min_val} > {max_val}")
    return _activated(EAGER.hardtanh, input, inplace, min_val, max_val)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """input * min(max(input + 3, 0), 6) / 6."""
    return _activated(EAGER.hardswish, input, inplace)


def _default_dim(ndim: int) -> int:
    """PyTorch's rule where no `dim` is given."""
    return 0 if ndim in (0, 1, 3) else 1


def softmax(input: Tensor, dim: int | None = None, *, dtype: DType | str | None = None) -> Tensor:
    """exp(input) over its sum along `dim`.

    Args:
        dtype: cast the input to it first.
    """
    x = input if dtype is None else input.to(dtype)
    return EAGER.softmax(x, _default_dim(x.ndim) if dim is None else dim)


def log_softmax(input: Tensor, dim: int | None = None, *, dtype: DType | str | None = None) -> Tensor:
    """The logarithm of `softmax`."""
    x = input if dtype is None else input.to(dtype)
    return EAGER.log_softmax(x, _default_dim(x.ndim) if dim is None else dim)
