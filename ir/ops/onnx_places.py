"""ONNX forms that several indexing ops share: reading and writing at places given by index tensors.

ONNX reads and writes along the leading dimensions (GatherND, ScatterND), so the indexed ones are brought to the front
and back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import int64
from ..sizes import Size

__all__ = ["read_places", "write_places"]


def read_places(E: Any, input: Any, indices: Sequence[Any], axes: Sequence[int], front: int) -> Any:
    """input[..., i, ..., j, ...]; the index tensors' dimensions go in front of dimension `front`."""
    if len(axes) == 1:
        return E.Gather(input, indices[0], axis=axes[0])
    rest, common = _rest(input, axes), _common_sizes(indices)
    found = E.GatherND(E.Transpose(input, perm=[*axes, *rest]), _stacked(E, indices, common))
    return E.Transpose(found, perm=_front_back(len(common), rest, front))


def write_places(
    E: Any, input: Any, indices: Sequence[Any], values: Any, axes: Sequence[int], front: int, add: bool
) -> Any:
    """A copy of input with `values`, which broadcast, written or added where `read_places` reads."""
    rest, common = _rest(input, axes), _common_sizes(indices)
    lead = [i for i in rest if i < front]
    sizes = [*(input.shape[i] for i in lead), *common, *(input.shape[i] for i in rest[len(lead) :])]
    values = E.Expand(E.Cast(values, to=input.dtype), E.shape(sizes))
    perm = _front_back(len(common), rest, front)
    values = E.Transpose(values, perm=np.argsort(perm).tolist())
    order = [*axes, *rest]
    places = _stacked(E, indices, common)
    found = E.ScatterND(E.Transpose(input, perm=order), places, values, reduction="add" if add else "none")
    return E.Transpose(found, perm=np.argsort(order).tolist())


def _rest(input: Any, axes: Sequence[int]) -> list[int]:
    return [i for i in range(input.ndim) if i not in axes]


def _front_back(common: int, rest: Sequence[int], front: int) -> list[int]:
    """The order that brings (index dimensions, rest) to (rest before `front`, index dimensions, rest behind)."""
    lead = sum(i < front for i in rest)
    return [*range(common, common + lead), *range(common), *range(common + lead, common + len(rest))]


def _stacked(E: Any, indices: Sequence[Any], common: Sequence[Size]) -> Any:
    """The index tensors, brought to one shape, as one tensor of places."""
    last = np.array([-1], np.int64)
    wide = [E.Expand(E.Cast(index, to=int64), E.shape(common)) for index in indices]
    return E.Concat(*[E.Unsqueeze(index, last) for index in wide], axis=-1)


def _common_sizes(indices: Sequence[Any]) -> list[Size]:
    found: list[Size] = []
    for index in indices:
        sizes = [*[1] * (len(found) - index.ndim), *index.shape]
        found = [*[1] * (len(sizes) - len(found)), *found]
        found = [b if a == 1 else a for a, b in zip(found, sizes, strict=True)]
    return found
