"""`DataLoader`: a data set in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ...frontend.random import Generator
from ...ir.errors import ArgumentError, UnsupportedError
from .collate import default_collate
from .dataset import IterableDataset
from .sampler import BatchSampler, RandomSampler, SequentialSampler

__all__ = ["DataLoader"]


class DataLoader:
    """Batches of a data set's samples, in this process.

    Args:
        dataset: a `Dataset`, or anything with `__getitem__` and `__len__`; or an `IterableDataset`.
        batch_size: samples per batch; None gives the samples one by one, as they are.
        shuffle: in a new random order each time it is iterated over.
        sampler: the order instead of `shuffle`: anything that iterates over numbers of samples.
        batch_sampler: the batches instead of `batch_size`, `shuffle`, `sampler` and `drop_last`: lists of
            numbers.
        collate_fn: makes a batch of a list of samples; `default_collate` unless given.
        drop_last: leave out the last batch when it is smaller than the others.
        generator: where the order comes from; by default the default generator.

    Raises:
        ArgumentError: for arguments that exclude each other.
        UnsupportedError: when worker processes are asked for.

    >>> import ingot
    >>> data = ingot.utils.data.TensorDataset(ingot.tensor([1, 2, 3]))
    >>> [x.tolist() for (x,) in DataLoader(data, batch_size=2)]
    [[1, 2], [3]]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[list[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        drop_last: bool = False,
        *,
        generator: Generator | None = None,
    ) -> None:
        if num_workers:
            raise UnsupportedError(f"DataLoader: num_workers is {num_workers}", expected="0: it loads in this process")
        _check(dataset, batch_size, shuffle, sampler, batch_sampler, drop_last)
        if batch_sampler is not None:
            batch_size, drop_last = None, False
        self.dataset = dataset
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.generator = generator
        self.collate_fn = collate_fn or (default_collate if batch_size or batch_sampler is not None else _as_it_is)
        self._collates = collate_fn is not None
        if sampler is None and not isinstance(dataset, IterableDataset):
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        self.sampler = sampler
        if batch_sampler is None and batch_size is not None and sampler is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_sampler = batch_sampler

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self.dataset, IterableDataset):
            return self._stream()
        if self.batch_sampler is None:
            assert self.sampler is not None
            return (self.collate_fn(self.dataset[i]) for i in self.sampler)
        # The order is drawn now, not at the first batch.
        return self._batches(iter(self.batch_sampler))

    def _batches(self, groups: Iterator[list[int]]) -> Iterator[Any]:
        whole = None if self._collates else getattr(self.dataset, "collated_batch", None)
        for indices in groups:
            if whole is not None:
                yield whole(indices)
            else:
                yield self.collate_fn([self.dataset[i] for i in indices])

    def _stream(self) -> Iterator[Any]:
        if self.batch_size is None:
            yield from map(self.collate_fn, self.dataset)
            return
        samples: list[Any] = []
        for sample in self.dataset:
            samples.append(sample)
            if len(samples) == self.batch_size:
                yield self.collate_fn(samples)
                samples = []
        if samples and not self.drop_last:
            yield self.collate_fn(samples)

    def __len__(self) -> int:
        if isinstance(self.dataset, IterableDataset):
            total = len(self.dataset)  # type: ignore[arg-type]  # it may have no length
            if self.batch_size is None:
                return total
            return total // self.batch_size if self.drop_last else -(-total // self.batch_size)
        return len(self.batch_sampler if self.batch_sampler is not None else self.sampler)  # type: ignore[arg-type]


def _as_it_is(sample: Any) -> Any:
    return sample


def _check(
    dataset: Any,
    batch_size: int | None,
    shuffle: bool | None,
    sampler: Any,
    batch_sampler: Any,
    drop_last: bool,
) -> None:
    if sampler is not None and shuffle:
        raise ArgumentError("DataLoader: sampler and shuffle exclude each other")
    if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
        raise ArgumentError("DataLoader: batch_sampler excludes batch_size, shuffle, sampler and drop_last")
    if batch_size is None and drop_last:
        raise ArgumentError("DataLoader: drop_last needs a batch_size")
    if isinstance(dataset, IterableDataset) and (shuffle or sampler is not None or batch_sampler is not None):
        raise ArgumentError("DataLoader: an IterableDataset decides its own order")
