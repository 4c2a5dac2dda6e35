"""How samples become a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...frontend.creation import tensor
from ...frontend.dispatch import EAGER
from ...frontend.tensor import Tensor
from ...frontend.tensor_base import wrap
from ...ir.errors import ArgumentError, ShapeError

__all__ = ["default_collate"]


def default_collate(batch: Sequence[Any]) -> Any:
    """Samples, field by field, as tensors with a new first dimension.

    Tensors and arrays are stacked; numbers become a tensor (Python floats in float64, as PyTorch's); dicts,
    tuples and lists are gone into; strings stay a list.

    Raises:
        ShapeError: when sizes differ from sample to sample.
        ArgumentError: for anything else.

    >>> default_collate([(1, "a"), (2, "b")])
    [tensor([1, 2]), ['a', 'b']]
    """
    first = batch[0]
    if isinstance(first, Tensor):
        _check_sizes(batch)
        return EAGER.stack(list(batch))
    if isinstance(first, (np.ndarray, np.generic)):
        _check_sizes(batch)
        return wrap(np.stack([np.asarray(x) for x in batch]))
    if isinstance(first, (bool, int)):
        return tensor(list(batch))
    if isinstance(first, float):
        return tensor(list(batch), dtype="float64")
    if isinstance(first, (str, bytes)):
        return list(batch)
    if isinstance(first, Mapping):
        return {key: default_collate([sample[key] for sample in batch]) for key in first}
    if isinstance(first, (tuple, list)):
        return _fields(batch, first)
    raise ArgumentError(
        f"default_collate: a sample holds a {type(first).__name__}",
        expected="tensors, arrays, numbers, strings, and tuples, lists and dicts of them",
        advice="pass a collate_fn to the DataLoader",
    )


def _fields(batch: Sequence[Any], first: Any) -> Any:
    if any(len(sample) != len(first) for sample in batch):
        raise ShapeError("default_collate: samples have different numbers of fields")
    fields = [default_collate(field) for field in zip(*batch, strict=True)]
    return type(first)(*fields) if hasattr(first, "_fields") else fields


def _check_sizes(batch: Sequence[Any]) -> None:
    sizes = {tuple(sample.shape) for sample in batch}
    if len(sizes) > 1:
        found = ", ".join(str(list(s)) for s in sorted(sizes))
        raise ShapeError("default_collate: sizes differ from sample to sample", found=found)
