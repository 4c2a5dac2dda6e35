"""Data sets, samplers and the loader."""

import collections

import ingot
import numpy as np
import pytest
from ingot.ir.errors import ArgumentError, IndexOutOfRange, ShapeError, UnsupportedError
from ingot.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    random_split,
)


class Squares(Dataset):
    def __init__(self, count):
        self.count = count

    def __getitem__(self, index):
        return {"x": ingot.tensor([float(index)]), "y": index * index}

    def __len__(self):
        return self.count


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(5))


def _numbered(count):
    return TensorDataset(ingot.arange(count), ingot.arange(count) * 10)


# -------------------------------------------------------------------------------------------------- data sets


def test_tensor_datasets_give_tuples():
    data = _numbered(3)
    assert len(data) == 3
    x, y = data[2]
    assert (x.item(), y.item()) == (2, 20)
    assert [x.tolist() for x in data[1:]] == [[1, 2], [10, 20]]


def test_tensor_datasets_need_equal_lengths():
    with pytest.raises(ShapeError, match="first dimensions differ"):
        TensorDataset(ingot.zeros(2), ingot.zeros(3))
    with pytest.raises(ArgumentError, match="at least one dimension"):
        TensorDataset(ingot.zeros(()))
    with pytest.raises(IndexOutOfRange):
        _numbered(2).collated_batch([0, 5])


def test_gradients_flow_through_batches_of_what_requires_them():
    x = ingot.ones(3, requires_grad=True)
    (batch,) = TensorDataset(x).collated_batch([0, 2])
    batch.sum().backward()
    assert x.grad.tolist() == [1.0, 0.0, 1.0]


def test_concatenation():
    data = ConcatDataset([range(2), range(10, 13)])
    assert [data[i] for i in range(len(data))] == [0, 1, 10, 11, 12]
    assert data[-1] == 12
    with pytest.raises(IndexOutOfRange, match="no sample 5"):
        data[5]
    assert len(_numbered(2) + _numbered(3)) == 5


def test_random_split_is_a_partition():
    ingot.manual_seed(3)
    parts = random_split(range(100), [50, 30, 20])
    assert [len(p) for p in parts] == [50, 30, 20]
    assert sorted(x for part in parts for x in part) == list(range(100))
    assert parts[0].indices != sorted(parts[0].indices)


@pytest.mark.parametrize(
    ("total", "lengths", "expected"),
    [(10, [0.5, 0.5], [5, 5]), (11, [0.5, 0.5], [6, 5]), (10, [1 / 3] * 3, [4, 3, 3]), (1, [1], [1])],
)
def test_random_split_by_shares(total, lengths, expected):
    assert [len(p) for p in random_split(range(total), lengths)] == expected


def test_random_split_depends_on_its_generator_alone():
    first = random_split(range(20), [10, 10], ingot.Generator().manual_seed(5))
    ingot.rand(3)
    second = random_split(range(20), [10, 10], ingot.Generator().manual_seed(5))
    assert first[0].indices == second[0].indices
    with pytest.raises(ArgumentError, match="do not add up"):
        random_split(range(3), [1, 1])
    with pytest.raises(ArgumentError, match="negative"):
        random_split(range(3), [4, -1])


# --------------------------------------------------------------------------------------------------- samplers


def test_random_samplers_go_by_the_seed():
    ingot.manual_seed(0)
    first = list(RandomSampler(range(50)))
    ingot.manual_seed(0)
    assert list(RandomSampler(range(50))) == first
    assert list(RandomSampler(range(50))) != first
    assert sorted(first) == list(range(50))


def test_an_order_is_decided_when_the_iteration_begins():
    ingot.manual_seed(0)
    iterator = iter(DataLoader(_numbered(30), batch_size=4, shuffle=True))
    ingot.rand(100)
    first = [x.tolist() for x, _ in iterator]
    ingot.manual_seed(0)
    assert [x.tolist() for x, _ in DataLoader(_numbered(30), batch_size=4, shuffle=True)] == first


def test_random_samplers_with_replacement_and_counts():
    ingot.manual_seed(0)
    drawn = list(RandomSampler(range(3), replacement=True, num_samples=300))
    counts = collections.Counter(drawn)
    assert set(counts) == {0, 1, 2}
    assert min(counts.values()) > 60
    more = list(RandomSampler(range(3), num_samples=7))
    assert sorted(more[:3]) == sorted(more[3:6]) == [0, 1, 2]
    assert len(more) == 7
    assert list(RandomSampler([])) == []
    with pytest.raises(ArgumentError, match="num_samples is 0"):
        RandomSampler(range(3), num_samples=0)


def test_weights():
    ingot.manual_seed(0)
    drawn = collections.Counter(WeightedRandomSampler([0.0, 1.0, 3.0], 4000))
    assert set(drawn) == {1, 2}
    assert 2.6 < drawn[2] / drawn[1] < 3.4
    without = list(WeightedRandomSampler([1.0, 0.0, 2.0], 2, replacement=False))
    assert sorted(without) == [0, 2]
    with pytest.raises(ArgumentError, match="num_samples is 3"):
        WeightedRandomSampler([1.0, 0.0, 2.0], 3, replacement=False)
    with pytest.raises(ArgumentError, match="weights"):
        WeightedRandomSampler([-1.0], 1)


def test_subsets_in_random_order():
    assert sorted(SubsetRandomSampler([5, 7, 9])) == [5, 7, 9]
    assert len(SubsetRandomSampler([5, 7, 9])) == 3


@pytest.mark.parametrize("drop_last", [False, True])
def test_batches_of_numbers(drop_last):
    batches = BatchSampler(SequentialSampler(range(7)), 3, drop_last)
    assert list(batches) == [[0, 1, 2], [3, 4, 5]] + ([] if drop_last else [[6]])
    assert len(batches) == len(list(batches))
    with pytest.raises(ArgumentError, match="batch_size is 0"):
        BatchSampler(range(3), 0, False)


# ----------------------------------------------------------------------------------------------------- loader


@pytest.mark.parametrize("drop_last", [False, True])
def test_batches_of_samples(drop_last):
    loader = DataLoader(Squares(5), batch_size=2, drop_last=drop_last)
    batches = list(loader)
    assert len(loader) == len(batches) == (2 if drop_last else 3)
    assert batches[0]["x"].tolist() == [[0.0], [1.0]]
    assert batches[1]["y"].tolist() == [4, 9]
    assert batches[1]["y"].dtype is ingot.int64


def test_whole_batches_equal_collated_samples():
    data = TensorDataset(ingot.rand(10, 3), ingot.arange(10))
    for part in (data, Subset(data, [7, 2, 5, 1])):
        fast = DataLoader(part, batch_size=3)
        slow = DataLoader(part, batch_size=3, collate_fn=default_collate)
        for a, b in zip(fast, slow, strict=True):
            assert isinstance(a, list)
            assert isinstance(b, list)
            assert all(x.equal(y) and x.dtype is y.dtype for x, y in zip(a, b, strict=True))


def test_shuffling_gives_every_sample_once_in_a_new_order_each_time():
    loader = DataLoader(_numbered(40), batch_size=7, shuffle=True, generator=ingot.Generator().manual_seed(1))
    first, second = ([i for x, _ in loader for i in x.tolist()] for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(40))
    assert first != second


def test_without_batches():
    assert [x.item() for x, _ in DataLoader(_numbered(3), batch_size=None)] == [0, 1, 2]
    assert list(DataLoader(range(3), batch_size=None, shuffle=False)) == [0, 1, 2]
    assert len(DataLoader(range(3), batch_size=None)) == 3


def test_samplers_of_ones_own():
    assert [x.tolist() for x, _ in DataLoader(_numbered(5), batch_size=2, sampler=[4, 0, 2])] == [[4, 0], [2]]
    loader = DataLoader(_numbered(5), batch_sampler=[[0, 4], [1]])
    assert [x.tolist() for x, _ in loader] == [[0, 4], [1]]
    assert len(loader) == 2


def test_streams():
    assert [x.tolist() for x in DataLoader(Stream(), batch_size=2)] == [[0, 1], [2, 3], [4]]
    assert [x.tolist() for x in DataLoader(Stream(), batch_size=2, drop_last=True)] == [[0, 1], [2, 3]]
    assert list(DataLoader(Stream(), batch_size=None)) == [0, 1, 2, 3, 4]
    with pytest.raises(ArgumentError, match="decides its own order"):
        DataLoader(Stream(), shuffle=True)
    with pytest.raises(TypeError):
        len(DataLoader(Stream()))


def test_arguments_that_exclude_each_other():
    with pytest.raises(ArgumentError, match="sampler and shuffle"):
        DataLoader(range(3), sampler=[0], shuffle=True)
    with pytest.raises(ArgumentError, match="batch_sampler excludes"):
        DataLoader(range(3), batch_size=2, batch_sampler=[[0]])
    with pytest.raises(ArgumentError, match="drop_last needs"):
        DataLoader(range(3), batch_size=None, drop_last=True)
    with pytest.raises(UnsupportedError, match="num_workers is 2"):
        DataLoader(range(3), num_workers=2)


# ---------------------------------------------------------------------------------------------------- collate


def test_collating():
    Point = collections.namedtuple("Point", "x y")
    found = default_collate([Point(1, 2.0), Point(3, 4.0)])
    assert isinstance(found, Point)
    assert found.x.tolist() == [1, 3]
    assert found.y.dtype is ingot.float64
    assert default_collate([True, False]).dtype is ingot.bool
    assert default_collate(["a", "b"]) == ["a", "b"]
    arrays = default_collate([np.float32([1.0]), np.float32([2.0])])
    assert arrays.dtype is ingot.float32
    assert arrays.tolist() == [[1.0], [2.0]]
    assert default_collate([{"a": [1, "x"]}, {"a": [2, "y"]}])["a"][1] == ["x", "y"]


def test_what_cannot_be_collated():
    with pytest.raises(ShapeError, match="sizes differ from sample to sample"):
        default_collate([ingot.zeros(2), ingot.zeros(3)])
    with pytest.raises(ShapeError, match="different numbers of fields"):
        default_collate([(1, 2), (1,)])
    with pytest.raises(ArgumentError, match="holds a NoneType"):
        default_collate([None])
