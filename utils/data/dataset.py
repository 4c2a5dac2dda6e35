"""Data sets: things with samples that are asked for by number, or that come one after the other."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ...frontend.random import Generator, next_key
from ...frontend.tensor import Tensor
from ...frontend.tensor_base import wrap
from ...ir import philox
from ...ir.errors import ArgumentError, IndexOutOfRange, ShapeError, UnsupportedError

__all__ = ["ConcatDataset", "Dataset", "IterableDataset", "Subset", "TensorDataset", "random_split"]


class Dataset:
    """A data set whose samples are asked for by number: a subclass defines `__getitem__` and `__len__`.

    One that can make a whole batch faster than sample by sample also defines `collated_batch(indices)`, which
    returns what `default_collate` would make of the samples; a `DataLoader` without a `collate_fn` then calls
    it.

    >>> class Squares(Dataset):
    ...     def __getitem__(self, index):
    ...         return index * index
    ...     def __len__(self):
    ...         return 3
    >>> list(Squares() + Squares())
    [0, 1, 4, 0, 1, 4]
    """

    def __getitem__(self, index: int) -> Any:
        raise UnsupportedError(f"{type(self).__name__} has no __getitem__", advice="define it in the class")

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """A data set whose samples come one after the other: a subclass defines `__iter__`."""

    def __iter__(self) -> Iterator[Any]:
        raise UnsupportedError(f"{type(self).__name__} has no __iter__", advice="define it in the class")


class TensorDataset(Dataset):
    """Tensors whose first dimensions are equal; sample i is the tuple of their entries i.

    Raises:
        ShapeError: when first dimensions differ.

    >>> import ingot
    >>> data = TensorDataset(ingot.tensor([[1.0], [2.0]]), ingot.tensor([0, 1]))
    >>> data[1]
    (tensor([2.]), tensor(1))
    """

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors or any(not isinstance(t, Tensor) or not t.ndim for t in tensors):
            raise ArgumentError("TensorDataset: expected tensors with at least one dimension")
        lengths = [len(t) for t in tensors]
        if len(set(lengths)) > 1:
            raise ShapeError("TensorDataset: first dimensions differ", found=" != ".join(map(str, lengths)))
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple([t[index] for t in self.tensors])

    def __len__(self) -> int:
        return len(self.tensors[0])

    def collated_batch(self, indices: Sequence[int]) -> list[Tensor]:
        """The samples of the given numbers, stacked."""
        chosen = np.asarray(indices, np.int64)
        return [t[wrap(chosen)] if t.requires_grad else wrap(_picked(t._array, chosen)) for t in self.tensors]


def _picked(array: Any, chosen: np.ndarray) -> Any:
    try:
        return array[chosen]
    except IndexError as error:
        raise IndexOutOfRange(f"TensorDataset: {error}") from None


class ConcatDataset(Dataset):
    """Several data sets as one, one behind the other."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets or any(isinstance(d, IterableDataset) for d in self.datasets):
            raise ArgumentError("ConcatDataset: expected data sets with numbered samples")
        self.cumulative_sizes = list(itertools.accumulate(len(d) for d in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexOutOfRange(f"ConcatDataset: no sample {index}", found=f"{len(self)} samples")
        number = index % len(self)
        which = bisect.bisect_right(self.cumulative_sizes, number)
        return self.datasets[which][number - (self.cumulative_sizes[which - 1] if which else 0)]


class Subset(Dataset):
    """Some samples of a data set, in the order of `indices`."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices
        if hasattr(dataset, "collated_batch"):
            self.collated_batch = self._collated_batch

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, (list, tuple)):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)

    def _collated_batch(self, indices: Sequence[int]) -> Any:
        return self.dataset.collated_batch([self.indices[i] for i in indices])


def random_split(dataset: Any, lengths: Sequence[int | float], generator: Generator | None = None) -> list[Subset]:
    """Disjoint random subsets of the given lengths, or of the given shares of the whole.

    Args:
        lengths: numbers that add up to `len(dataset)`, or shares that add up to 1; what rounding leaves over
            goes to the first subsets, one sample each.
        generator: where the randomness comes from; by default the default generator.

    Raises:
        ArgumentError: when the lengths do not add up.

    >>> import ingot
    >>> _ = ingot.manual_seed(0)
    >>> [len(part) for part in random_split(range(10), [0.7, 0.3])]
    [7, 3]
    """
    total = len(dataset)
    sizes = _whole_lengths(lengths, total)
    if sum(sizes) != total:
        raise ArgumentError("random_split: the lengths do not add up", expected=str(total), found=str(sum(sizes)))
    order = philox.permutation(next_key(generator)._array, total).tolist()
    ends = list(itertools.accumulate(sizes))
    return [Subset(dataset, order[end - size : end]) for end, size in zip(ends, sizes, strict=True)]


def _whole_lengths(lengths: Sequence[int | float], total: int) -> list[int]:
    if any(length < 0 for length in lengths):
        raise ArgumentError("random_split: a length is negative", found=str(list(lengths)))
    if not math.isclose(sum(lengths), 1.0) or not any(isinstance(x, float) for x in lengths):
        return [int(length) for length in lengths]
    sizes = [math.floor(total * share) for share in lengths]
    for i in range(total - sum(sizes)):
        sizes[i % len(sizes)] += 1
    return sizes
