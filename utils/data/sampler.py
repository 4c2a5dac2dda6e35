"""Samplers: in which order, and in which groups, samples are asked for.

A random sampler draws one key when its iteration begins. So an epoch's order depends on the generator's state
at that moment alone, whatever else draws while it runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any

import numpy as np

from ...frontend.random import Generator, next_key
from ...ir import philox
from ...ir.dtypes import float64
from ...ir.errors import ArgumentError, UnsupportedError

__all__ = [
    "BatchSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
]


class Sampler:
    """Base class: a subclass defines `__iter__` over numbers of samples, and `__len__` if it has one."""

    def __iter__(self) -> Iterator[Any]:
        raise UnsupportedError(f"{type(self).__name__} has no __iter__", advice="define it in the class")


class SequentialSampler(Sampler):
    """All samples in their order."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """Samples in random order.

    Args:
        replacement: draw each independently of the others, so that samples may repeat.
        num_samples: how many; by default as many as there are. Without replacement, more than there are begin
            anew.
        generator: where the randomness comes from; by default the default generator.

    >>> import ingot
    >>> _ = ingot.manual_seed(0)
    >>> sorted(RandomSampler(range(5)))
    [0, 1, 2, 3, 4]
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        if num_samples is not None and num_samples <= 0:
            raise ArgumentError(f"RandomSampler: num_samples is {num_samples}", expected="a positive number")
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator

    @property
    def num_samples(self) -> int:
        """How many numbers an iteration gives."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        key = next_key(self.generator)._array
        total, wanted = len(self.data_source), self.num_samples
        if not total:
            return iter(())
        if self.replacement:
            return iter(philox.randint(key, 0, total, (wanted,)).tolist())
        return _shuffled(key, total, wanted)

    def __len__(self) -> int:
        return self.num_samples


def _shuffled(key: Any, total: int, wanted: int) -> Iterator[int]:
    while wanted > 0:
        key, now = philox.split(key)
        yield from philox.permutation(now, total)[:wanted].tolist()
        wanted -= total


class SubsetRandomSampler(Sampler):
    """The given numbers in random order."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        order = philox.permutation(next_key(self.generator)._array, len(self.indices)).tolist()
        return (self.indices[i] for i in order)

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """Numbers of samples, drawn with probabilities in proportion to `weights`.

    Without replacement, the numbers are those of the largest `log(u) / w`, with `u` uniform: Efraimidis &
    Spirakis 2006.

    Raises:
        ArgumentError: for negative weights, or when more are wanted than have a weight.
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        self.weights = np.asarray(weights, np.float64)
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator
        positive = int((self.weights > 0).sum())
        if self.weights.ndim != 1 or (self.weights < 0).any() or not positive:
            raise ArgumentError("WeightedRandomSampler: weights", expected="a sequence of numbers >= 0, not all 0")
        if num_samples <= 0 or (not replacement and num_samples > positive):
            raise ArgumentError(
                f"WeightedRandomSampler: num_samples is {num_samples}", found=f"{positive} with a weight"
            )

    def __iter__(self) -> Iterator[int]:
        key = next_key(self.generator)._array
        if self.replacement:
            ends = np.cumsum(self.weights)
            points = philox.uniform(key, (self.num_samples,), float64) * ends[-1]
            return iter(np.searchsorted(ends, points, side="right").tolist())
        u = 1.0 - philox.uniform(key, self.weights.shape, float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            ranks = np.where(self.weights > 0, np.log(u) / self.weights, -np.inf)
        return iter(np.argsort(-ranks, kind="stable")[: self.num_samples].tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """Another sampler's numbers in lists of `batch_size`.

    >>> list(BatchSampler(range(5), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size <= 0:
            raise ArgumentError(f"BatchSampler: batch_size is {batch_size!r}", expected="a positive number")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        return self._groups(iter(self.sampler))  # the order is drawn now, not at the first batch

    def _groups(self, indices: Iterator[int]) -> Iterator[list[int]]:
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        total = len(self.sampler)  # type: ignore[arg-type]  # it may have no length
        return total // self.batch_size if self.drop_last else -(-total // self.batch_size)
