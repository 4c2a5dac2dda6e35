"""Sample calls of ops that read or write at places given by index tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from ingot.ir import dtypes
from sample_maker import Maker, Sample, for_op


@for_op("gather")
def _gather(make: Maker) -> Iterator[Any]:
    yield make.tensor(3, 4), make.indices(3, 2, 4), {"dim": 0}
    yield make.tensor(3, 4), make.indices(4, 3, 5), {"dim": -1}
    yield make.tensor(3, 4), make.indices(4, 2, 3), {"dim": 1}
    yield make.strided(3, 2), make.indices(2, 3, 1, dtype=np.int32), {"dim": 1}
    yield make.tensor(), make.indices(1), {"dim": 0}
    yield make.tensor(3), make.indices(3, 0), {"dim": 0}


@for_op("scatter", "scatter_add")
def _scatter(make: Maker, name: str) -> Iterator[Any]:
    repeated = name == "scatter_add"

    def places(size: int, rows: int) -> np.ndarray:
        if repeated:
            return make.indices(size, rows, 2)
        return np.stack([make.rng.permutation(size)[:2] for _ in range(rows)])

    yield make.tensor(3, 4), places(4, 3), make.tensor(3, 2), {"dim": 1}
    yield make.tensor(3, 4), places(4, 2), make.tensor(3, 3), {"dim": -1}
    yield make.tensor(4, 3), places(4, 3).T, make.strided(2, 3), {"dim": 0}
    yield make.tensor(), make.indices(1), make.tensor(), {"dim": 0}
    yield make.tensor(3), make.indices(3, 0), make.tensor(0), {"dim": 0}
    yield make.tensor(2, 100), np.array([[99, 3], [98, 0]], np.int8), make.tensor(2, 2), {"dim": 1}
    if not repeated:
        # Where several writes meet, their gradients are not defined.
        yield Sample((make.tensor(2, 3), make.indices(2, 4, 3), make.tensor(4, 3)), {"dim": 0}, smooth=False)


@for_op("take_along_dim")
def _take_along_dim(make: Maker) -> Iterator[Any]:
    yield make.tensor(3, 4), make.indices(4, 3, 2), {"dim": 1}
    yield make.tensor(3, 4), make.indices(3, 2, 1), {"dim": 0}
    yield make.tensor(3, 4), make.indices(12, 5), {}


@for_op("index_select")
def _index_select(make: Maker) -> Iterator[Any]:
    yield make.tensor(3, 4), make.indices(3, 5), {"dim": 0}
    yield make.tensor(3, 4), make.indices(4, 2), {"dim": -1}
    yield make.strided(2, 3), make.indices(3, 0), {"dim": 1}


@for_op("index_add")
def _index_add(make: Maker) -> Iterator[Any]:
    yield make.tensor(3, 4), make.indices(3, 5), make.tensor(5, 4), {"dim": 0}
    yield make.tensor(3, 4), make.indices(4, 2), make.strided(3, 2), {"dim": -1}
    yield make.tensor(3, 2), make.indices(3, 0), make.tensor(0, 2), {"dim": 0}


@for_op("embedding")
def _embedding(make: Maker) -> Iterator[Any]:
    yield make.indices(5, 3, 2), make.tensor(5, 4), {}
    yield make.indices(5), make.tensor(5, 2), {"padding_idx": 1}
    yield make.indices(5, 0, dtype=np.int32), make.tensor(5, 2), {}
    # The padding row gets no gradient, which finite differences would find.
    yield Sample((make.indices(4, 6), make.strided(4, 3)), {"padding_idx": -1}, smooth=False)


@for_op("embedding_grad", kinds="float")
def _embedding_grad(make: Maker) -> Iterator[Any]:
    yield make.tensor(3, 2, 4), make.indices(5, 3, 2), {"num_embeddings": 5}
    yield make.tensor(6, 3), make.indices(4, 6), {"num_embeddings": 4, "padding_idx": 2}
    yield make.tensor(6, 3), make.indices(4, 6), {"num_embeddings": 4, "padding_idx": -1}
    yield make.tensor(0, 3), make.indices(4, 0), {"num_embeddings": 4}
    yield make.tensor(5, 4), make.indices(200, 5, dtype=np.uint8), {"num_embeddings": 200}


@for_op("one_hot", kinds="int")
def _one_hot(make: Maker) -> Iterator[Any]:
    yield make.indices(4, 3, 2, dtype=make.dtype.np), {"num_classes": 4}
    yield make.indices(3, dtype=make.dtype.np), {"num_classes": 3}
    yield make.indices(3, 0, dtype=make.dtype.np), {"num_classes": 3}


@for_op("index")
def _index(make: Maker) -> Iterator[Any]:
    yield make.tensor(4, 3), make.indices(4, 5) - 2, {"dims": (0,)}
    yield make.tensor(4, 3), make.indices(4, 2), make.indices(3, 3, 1), {"dims": (0, 1)}
    yield make.tensor(4, 3, 2), make.indices(4, 2), make.indices(2, 2), {"dims": (0, 2)}
    yield make.tensor(4, 3, 2), make.indices(3, 2, 2), {"dims": (1,)}
    yield make.tensor(3, 4, 3, 2), make.indices(4, 2), make.indices(3, 2), {"dims": (1, 2)}
    yield make.strided(3, 2), make.indices(2), {"dims": (1,)}
    yield make.tensor(3), make.indices(3, 0), {"dims": (0,)}


@for_op("index_put")
def _index_put(make: Maker) -> Iterator[Any]:
    order = make.rng.permutation(4)[:2]
    yield make.tensor(4, 3), order, make.tensor(2, 3), {"dims": (0,)}
    yield make.tensor(4, 3), order, make.tensor(3), {"dims": (0,)}
    yield make.tensor(4, 3), order - 4, make.tensor(), {"dims": (0,)}
    yield make.tensor(4, 3, 2), order, np.array([1, 0]), make.tensor(2, 3), {"dims": (0, 2)}
    yield make.tensor(4, 3), make.indices(4, 6), make.tensor(6, 1), {"dims": (0,), "accumulate": True}
    yield make.tensor(100, 3), np.array([99, -100, 3], np.int8), make.tensor(3, 3), {"dims": (0,), "accumulate": True}
    yield (
        make.tensor(4, 3),
        make.indices(4, 2),
        make.indices(3, 3, 1),
        make.tensor(3, 2),
        {"dims": (0, 1), "accumulate": True},
    )
    yield Sample((make.tensor(2, 3), make.indices(2, 4), make.strided(4, 3)), {"dims": (0,)}, smooth=False)
    yield make.tensor(3), make.indices(3, 0), make.tensor(0), {"dims": (0,)}


@for_op("nonzero")
def _nonzero(make: Maker) -> Iterator[Any]:
    yield np.where(make.tensor(3, 4, dtype=dtypes.bool_), make.tensor(3, 4), make.dtype.np.type(0))
    yield make.tensor(0, 2)
    yield make.strided(2, 3)
