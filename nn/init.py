"""`nn.init`: initial values of parameters, drawn from a generator.

Every function changes its tensor in place, outside of the gradient, and returns it. Fans are PyTorch's: a
weight of sizes (out, in, ...) has in * rest incoming and out * rest outgoing connections.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..frontend.autograd import no_grad
from ..frontend.dispatch import EAGER
from ..frontend.random import Generator, next_key
from ..frontend.tensor import Tensor
from ..frontend.tensor_base import wrap
from ..ir.dtypes import DType, float32, float64
from ..ir.errors import ArgumentError, ShapeError
from .quantile import normal_quantile

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


def _set(tensor: Tensor, value: Any) -> Tensor:
    with no_grad():
        return tensor.copy_(value)


def _drawn(tensor: Tensor, generator: Generator | None, op: Any) -> Any:
    """Random numbers in the tensor's sizes, in its dtype or, for 16-bit ones, in float32."""
    return op(next_key(generator), tuple(tensor.shape), _wide(tensor.dtype))


def _wide(dtype: DType) -> DType:
    return float64 if dtype is float64 else float32


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill with uniform numbers in [a, b).

    >>> import ingot
    >>> weight = uniform_(ingot.empty(100), -2.0, 2.0)
    >>> bool((weight.abs() <= 2).all())
    True
    """
    with no_grad():
        return _set(tensor, _drawn(tensor, generator, EAGER.rand) * (b - a) + a)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill with normal numbers of the given mean and standard deviation."""
    if std < 0:
        raise ArgumentError(f"normal_: std is {std}", expected="std >= 0")
    with no_grad():
        return _set(tensor, _drawn(tensor, generator, EAGER.randn) * std + mean)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Fill with normal numbers that lie in [a, b]: quantiles of uniform numbers between the bounds'."""
    if not std > 0 or not a < b:
        raise ArgumentError("trunc_normal_: out of range", expected="std > 0 and a < b", found=f"std={std} a={a} b={b}")
    low, high = (0.5 * (1.0 + math.erf((x - mean) / (std * math.sqrt(2.0)))) for x in (a, b))
    uniform = EAGER.rand(next_key(generator), tuple(tensor.shape), float64)._array
    values = normal_quantile(low + (high - low) * uniform) * std + mean
    return _set(tensor, wrap(np.clip(values, a, b)))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value."""
    return _set(tensor, val)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones."""
    return _set(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros."""
    return _set(tensor, 0.0)


def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with ones on its diagonal and zeros elsewhere."""
    if tensor.ndim != 2:
        raise ShapeError("eye_: not a matrix", expected="2 dimensions", found=f"sizes {list(tensor.shape)}")
    return _set(tensor, wrap(np.eye(*tensor.shape)))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fill the weight of a convolution so that it hands its channels through.

    Args:
        tensor: (out, in, ...) with 3 to 5 dimensions.
        groups: of the convolution.
    """
    if not 3 <= tensor.ndim <= 5 or tensor.shape[0] % groups:
        raise ShapeError("dirac_: not the weight of a convolution", found=f"sizes {list(tensor.shape)} groups={groups}")
    values = np.zeros(tuple(tensor.shape))
    rows = tensor.shape[0] // groups
    middle = tuple(size // 2 for size in tensor.shape[2:])
    for group in range(groups):
        for i in range(min(rows, tensor.shape[1])):
            values[(group * rows + i, i, *middle)] = 1.0
    return _set(tensor, wrap(values))


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill with a random orthogonal matrix (rows or columns orthonormal, whichever are fewer) times `gain`.

    Dimensions after the first count as one. Saxe et al. 2013.
    """
    if tensor.ndim < 2:
        raise ShapeError("orthogonal_: fewer than two dimensions", found=f"sizes {list(tensor.shape)}")
    rows = int(tensor.shape[0])
    columns = int(np.prod(tensor.shape[1:]))
    key = next_key(generator)
    flat = EAGER.randn(key, (max(rows, columns), min(rows, columns)), float64)._array
    q, r = np.linalg.qr(flat)
    q = q * np.sign(np.diag(r))  # makes the distribution uniform
    values = q if rows >= columns else q.T
    return _set(tensor, wrap(np.ascontiguousarray(values).reshape(tuple(tensor.shape)) * gain))


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance of activations through a nonlinearity.

    Args:
        nonlinearity: `"linear"`, `"conv2d"`, `"sigmoid"`, `"tanh"`, `"relu"`, `"leaky_relu"` or `"selu"`.
        param: the negative slope of `"leaky_relu"`; 0.01 unless given.

    >>> calculate_gain("relu") == 2 ** 0.5
    True
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1.0 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        raise ArgumentError(
            f"calculate_gain: nonlinearity is {nonlinearity!r}", expected=", ".join([*_GAINS, "leaky_relu"])
        )
    return _GAINS[nonlinearity]


_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 0.75,
}


def fans(sizes: Sequence[int]) -> tuple[int, int]:
    """Incoming and outgoing connections of a weight of the given sizes.

    Raises:
        ShapeError: for fewer than two dimensions.

    >>> fans((8, 4, 3, 3))
    (36, 72)
    """
    if len(sizes) < 2:
        raise ShapeError("a weight with fewer than two dimensions has no fans", found=f"sizes {list(sizes)}")
    rest = math.prod(sizes[2:])
    return sizes[1] * rest, sizes[0] * rest


def _fan(tensor: Tensor, fan_mode: str) -> int:
    if fan_mode not in ("fan_in", "fan_out"):
        raise ArgumentError(f"kaiming: mode is {fan_mode!r}", expected="'fan_in' or 'fan_out'")
    return fans(tensor.shape)[fan_mode == "fan_out"]


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform in [-b, b) with b = gain * sqrt(6 / (fan_in + fan_out)). Glorot & Bengio 2010."""
    bound = gain * math.sqrt(6.0 / sum(fans(tensor.shape)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with std = gain * sqrt(2 / (fan_in + fan_out)). Glorot & Bengio 2010."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(fans(tensor.shape))), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform in [-b, b) with b = gain * sqrt(3 / fan). He et al. 2015.

    Args:
        a: the negative slope of the leaky ReLU that follows.
        mode: whether the variance is kept forwards (`"fan_in"`) or backwards (`"fan_out"`).
        nonlinearity: what follows; see `calculate_gain`.
    """
    bound = math.sqrt(3.0) * calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode))
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with std = gain / sqrt(fan). He et al. 2015. Arguments as `kaiming_uniform_`'s."""
    return normal_(tensor, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode)), generator)
