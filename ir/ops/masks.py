"""Ops that go by which elements hold: filling them, finding them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from ..dtypes import int64
from ..families import elementwise, opaque
from ..registry import NotDifferentiable
from ..sizes import var
from ..types import TensorType, Type
from .literals import literal_of

__all__: list[str] = []


elementwise(
    "masked_fill(input: Tensor, mask: Tensor, value: number) -> Tensor",
    scalar=lambda s, x, mask, value: s.where(mask, s.const(literal_of(value, s.dtype(x)), s.dtype(x)), x),
    keep=("mask",),
    grad={"input": lambda F, g, mask: F.masked_fill(g, mask, 0)},
    onnx=lambda E, input, mask, value: E.Where(mask, E.number(literal_of(value, input.dtype), input), input),
    doc="`value` where the mask holds, else input.",
)

_fresh = count()


def _nonzero_type(types: Sequence[Type], attrs: Mapping[str, Any]) -> tuple[Type, ...]:
    (type_,) = types
    assert isinstance(type_, TensorType)
    return (TensorType(int64, (var(f"nonzero{next(_fresh)}"), len(type_.sizes))),)


opaque(
    "nonzero(input: Tensor) -> Tensor",
    infer=_nonzero_type,
    kernel=lambda x: np.argwhere(x) if isinstance(x, np.ndarray) else x.nonzero(),
    grad=NotDifferentiable("its result is an index"),
    onnx=lambda E, input: E.Transpose(E.NonZero(input), perm=[1, 0]),
    doc="The places of all elements that are not 0, one row each, in row-major order.",
    extras={"binds_sizes": True},
)
