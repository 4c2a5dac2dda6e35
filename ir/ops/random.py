"""Random tensors, each a pure function of a key: the same key gives the same numbers on every backend.

What the numbers are is defined in `philox`. Splitting keys is `prim::Split`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import philox
from ..dtypes import DType, float32, int64
from ..errors import ArgumentError, DTypeError
from ..families import composite, opaque
from ..registry import NotDifferentiable
from ..sizes import equal
from ..types import KEY, TensorType, Type

_DRAWN = NotDifferentiable("it is drawn at random")
_NO_FORM = "no: ONNX's generators are not ours"


def _check_floating(op: str, dtype: DType) -> None:
    if dtype.kind != "float":
        raise DTypeError(f"{op}: dtype is {dtype.name}", expected="a floating-point dtype")


def _drawn(name: str, draw: Callable[..., Any], doc: str) -> None:
    """Declare an op that draws a tensor of a floating-point dtype."""

    def infer(types: Sequence[Type], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
        _check_floating(name, attrs["dtype"])
        return (TensorType(attrs["dtype"], tuple(attrs["size"])),)

    def kernel(key: Any, *, size: Any, dtype: DType) -> Any:
        _check_floating(name, dtype)
        return draw(key, size, dtype)

    opaque(
        f"{name}(key: Key, size: size[], dtype: dtype) -> Tensor",
        infer=infer,
        kernel=kernel,
        grad=_DRAWN,
        onnx=_NO_FORM,
        random=True,
        doc=doc,
    )


_drawn("rand", philox.uniform, "Uniform numbers in [0, 1).")
_drawn("randn", philox.normal, "Numbers of the normal distribution with mean 0 and variance 1.")


def _randint_type(types: Sequence[Type], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    low, high = attrs["low"], attrs["high"]
    if isinstance(low, int) and isinstance(high, int) and low >= high:
        raise ArgumentError("randint: the range is empty", expected="low < high", found=f"low={low} high={high}")
    return (TensorType(attrs["dtype"], tuple(attrs["size"])),)


def _randint(key: Any, *, low: int, high: int, size: Any, dtype: DType) -> Any:
    if low >= high:
        raise ArgumentError("randint: the range is empty", expected="low < high", found=f"low={low} high={high}")
    return philox.randint(key, low, high, size).astype(dtype.np, copy=False)


opaque(
    "randint(key: Key, low: int, high: int, size: size[], *, dtype: dtype = 'int64') -> Tensor",
    infer=_randint_type,
    kernel=_randint,
    grad=_DRAWN,
    onnx=_NO_FORM,
    random=True,
    doc="Uniform integers in [low, high).",
)
opaque(
    "randperm(key: Key, n: size) -> Tensor",
    infer=lambda types, attrs: (TensorType(int64, (attrs["n"],)),),
    kernel=lambda key, *, n: philox.permutation(key, n),
    grad=_DRAWN,
    onnx=_NO_FORM,
    random=True,
    doc="The integers from 0 to n - 1 in random order.",
)


def _key_words(key: Any) -> Any:
    return key.view(np.int64).copy()


def _key_of(words: Any) -> Any:
    return words.view(np.uint64).copy()


def _key_type(types: Sequence[Type], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    words = types[0]
    if (
        not isinstance(words, TensorType)
        or words.dtype is not int64
        or words.ndim != 1
        or equal(words.sizes[0], 2) is False
    ):
        raise DTypeError("key_of: words are not those of a key", expected="i64[2]", found=str(types[0]))
    return (KEY,)


opaque(
    "key_words(key: Key) -> Tensor",
    infer=lambda types, attrs: (TensorType(int64, (2,)),),
    kernel=_key_words,
    grad=NotDifferentiable("it is made of integers"),
    onnx=_NO_FORM,
    doc="A key's two words as a tensor, which can be stacked and picked from.",
)
opaque(
    "key_of(words: Tensor) -> Key",
    infer=_key_type,
    kernel=_key_of,
    grad=NotDifferentiable("it is made of integers"),
    onnx=_NO_FORM,
    doc="The key of two words; the inverse of `key_words`.",
)


@composite("bernoulli(key: Key, p: Tensor) -> Tensor", grad=_DRAWN, onnx=_NO_FORM, random=True)
def bernoulli(F: Any, key: Any, p: Any) -> Any:
    """1 with the probability that `p` holds, else 0, in the dtype of `p`."""
    if p.dtype.kind != "float":
        raise DTypeError(f"bernoulli: p is {p.dtype.name}", expected="a floating-point dtype")
    return F.cast(F.lt(F.rand(key, size=tuple(p.shape), dtype=p.dtype), p), dtype=p.dtype)


def _check_dropout(dtype: Any, p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ArgumentError("dropout: p is not a probability", expected="0 <= p <= 1", found=f"p={p}")
    found = DType.of(dtype)
    if found.kind != "float":
        raise DTypeError(f"dropout: input is {found.name}", expected="a floating-point dtype")


def _dropout(input: Any, key: Any, *, p: float) -> Any:
    """What the decomposition gives, by comparing the generator's words as integers: a uniform number is the top 24
    bits of a word, over 2**24."""
    _check_dropout(input.dtype, p)
    words = philox.raw(key, input.size)
    threshold = math.ceil(float(np.float32(p)) * 2**24)
    keep = (
        (words >= np.uint64(threshold << 40)).reshape(input.shape) if threshold < 2**24 else np.zeros(input.shape, bool)
    )
    return np.asarray(input * (keep.astype(input.dtype) * np.asarray(_scale(p), input.dtype)))


def _scale(p: float) -> float:
    return 1.0 / (1.0 - p) if p < 1.0 else 0.0


@composite(
    "dropout(input: Tensor, key: Key, p: float = 0.5) -> Tensor",
    kernel=_dropout,
    grad={"input": lambda F, g, key, p: F.dropout(g, key, p=p)},
    onnx=_NO_FORM,
    random=True,
)
def dropout(F: Any, input: Any, key: Any, p: Any) -> Any:
    """Each element 0 with probability p, else divided by 1 - p. Srivastava et al. 2014."""
    _check_dropout(input.dtype, p)
    keep = F.ge(F.rand(key, size=tuple(input.shape), dtype=float32), p)
    return input * (F.cast(keep, dtype=input.dtype) * _scale(p))
