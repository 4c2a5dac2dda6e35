"""Tensors filled with random numbers in place, and draws from weights.

The numbers are those of `rand` and `randn`: counted, from a key that the generator gives, so that programs draw them
too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..ir.dtypes import float32, float64
from ..ir.errors import ArgumentError
from ..ir.locations import here
from .dispatch import EAGER
from .random import Generator, next_key
from .tensor_base import TensorBase

__all__ = ["FUNCTIONS", "METHODS"]

_LEAST: Final = 2.0**-126  # the smallest normal float32


def _uniform(like: Any, generator: Generator | None) -> Any:
    """Uniform numbers in a tensor's sizes, in its dtype or, for a narrow one, in float32."""
    wide = float64 if like.dtype is float64 else float32
    return EAGER.rand(next_key(generator), tuple(like.shape), wide)


def uniform_(input: Any, from_: float = 0.0, to: float = 1.0, *, generator: Generator | None = None) -> Any:
    """Fill with uniform numbers in [from, to), in place.

    >>> import ingot
    >>> bool((ingot.empty(9).uniform_(-1, 1).abs() <= 1).all())
    True
    """
    return input.copy_(_uniform(input, generator) * (to - from_) + from_)


def normal_(input: Any, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Any:
    """Fill with normal numbers, in place."""
    wide = float64 if input.dtype is float64 else float32
    return input.copy_(EAGER.randn(next_key(generator), tuple(input.shape), wide) * std + mean)


def exponential_(input: Any, lambd: float = 1.0, *, generator: Generator | None = None) -> Any:
    """Fill with exponentially distributed numbers, which are greater than 0, in place."""
    return input.copy_(_waits(input, generator) / lambd)


def bernoulli_(input: Any, p: Any = 0.5, *, generator: Generator | None = None) -> Any:
    """Fill with ones, with probability `p`, and zeros, in place."""
    return input.copy_(EAGER.lt(_uniform(input, generator), p))


def _waits(like: Any, generator: Generator | None) -> Any:
    return EAGER.clamp(-EAGER.log1p(-_uniform(like, generator)), _LEAST, None)


def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None) -> Any:
    """Normal numbers of a mean and standard deviation: numbers, with a size, or tensors.

    Raises:
        ArgumentError: without a size or a tensor.
    """
    from .creation import empty

    if size is None and not isinstance(mean, TensorBase) and not isinstance(std, TensorBase):
        raise ArgumentError("normal: how many numbers are wanted?", expected="a size, or a tensor", location=here())
    like = empty(size) if size is not None else mean + std
    return normal_(EAGER.clone(EAGER.detach(like)), generator=generator) * std + mean


def multinomial(input: Any, num_samples: int, replacement: bool = False, *, generator: Generator | None = None) -> Any:
    """Indices along the last dimension, drawn with the given weights, row by row.

    Of exponential waiting times at rates that are the weights the shortest wins.

    Args:
        input: weights that are not negative, in one dimension or two.
        num_samples: how many.
        replacement: whether an index may come more than once in a row.

    Raises:
        ArgumentError: for another number of dimensions.

    >>> import ingot
    >>> multinomial(ingot.tensor([0.0, 1.0, 0.0]), 2, replacement=True)
    tensor([1, 1])
    """
    if input.ndim not in (1, 2):
        raise ArgumentError("multinomial: weights in one dimension or two", found=f"{input.ndim}", location=here())
    weights = EAGER.detach(input)
    if not replacement:
        return EAGER.topk(weights / _waits(weights, generator), num_samples)[1]
    many = EAGER.unsqueeze(weights, -2).expand(*weights.shape[:-1], num_samples, weights.shape[-1])
    return EAGER.argmax(many / _waits(many, generator), -1)


METHODS: Final[dict[str, Callable[..., Any]]] = {
    "bernoulli_": bernoulli_,
    "exponential_": exponential_,
    "multinomial": multinomial,
    "normal_": normal_,
    "uniform_": uniform_,
}
FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {"multinomial": multinomial, "normal": normal}
