"""Sample calls of ops that move, combine, order and create: views, movement, reductions, scans, creation, random."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from ingot.ir import dtypes
from sample_maker import Maker, Sample, for_op

# ------------------------------------------------------------------------------------------------------------ views


@for_op("reshape")
def _reshape(make: Maker) -> Iterator[Any]:
    yield make.tensor(2, 6), {"shape": (3, 4)}
    yield make.tensor(2, 6), {"shape": (-1,)}
    yield make.tensor(4, 3, 2), {"shape": (4, -1)}
    yield make.strided(2, 3), {"shape": (3, 2)}
    yield make.tensor(), {"shape": (1, 1)}
    yield make.tensor(1), {"shape": ()}
    yield make.tensor(0, 3), {"shape": (3, 0)}
    yield make.tensor(0, 3), {"shape": (-1, 3)}


@for_op("permute")
def _permute(make: Maker) -> Iterator[Any]:
    yield make.tensor(2, 3, 4), {"dims": (2, 0, 1)}
    yield make.tensor(2, 3), {"dims": (-1, 0)}
    yield make.strided(2, 3), {"dims": (1, 0)}
    yield make.tensor(), {"dims": ()}
    yield make.tensor(0, 2), {"dims": (1, 0)}


@for_op("expand")
def _expand(make: Maker) -> Iterator[Any]:
    yield make.tensor(3, 1), {"size": (3, 4)}
    yield make.tensor(1, 3), {"size": (2, -1, 3)}
    yield make.tensor(), {"size": (2, 2)}
    yield make.tensor(1), {"size": (0,)}
    yield make.strided(2, 3), {"size": (2, 2, 3)}


@for_op("slice")
def _slice(make: Maker) -> Iterator[Any]:
    for start, end, step in ((1, 3, 1), (None, None, 1), (-2, None, 1), (0, 100, 2), (1, -1, 2), (3, 1, 1), (-9, 2, 1)):
        yield make.tensor(5, 3), {"dim": 0, "start": start, "end": end, "step": step}
    yield make.strided(2, 4), {"dim": -1, "start": 1, "end": 4, "step": 2}
    yield make.tensor(0, 2), {"dim": 0, "start": 0, "end": 1, "step": 1}


@for_op("select")
def _select(make: Maker) -> Iterator[Any]:
    yield make.tensor(3, 4), {"dim": 0, "index": 1}
    yield make.tensor(3, 4), {"dim": -1, "index": -1}
    yield make.tensor(2), {"dim": 0, "index": 1}
    yield make.strided(2, 3, 2), {"dim": 1, "index": 0}
    yield make.tensor(2, 0), {"dim": 0, "index": 1}


@for_op("squeeze")
def _squeeze(make: Maker) -> Iterator[Any]:
    yield make.tensor(1, 3, 1), {}
    yield make.tensor(1, 3, 1), {"dim": (0,)}
    yield make.tensor(1, 3, 1), {"dim": (-1, 1)}
    yield make.tensor(2, 3), {"dim": (0,)}
    yield make.tensor(), {}
    yield make.tensor(1, 0), {}


@for_op("sized")
def _sized(make: Maker) -> Iterator[Any]:
    yield make.tensor(2, 3), {"size": (2, 3)}
    yield make.strided(3, 2), {"size": (3, 2)}
    yield make.tensor(2, 0), {"size": (2, 0)}
    yield make.tensor(), {"size": ()}


@for_op("unsqueeze")
def _unsqueeze(make: Maker) -> Iterator[Any]:
    yield make.tensor(2, 3), {"dim": 0}
    yield make.tensor(2, 3), {"dim": -1}
    yield make.tensor(), {"dim": 0}
    yield make.strided(2, 3), {"dim": 1}


# --------------------------------------------------------------------------------------------------------- movement


@for_op("flip")
def _flip(make: Maker) -> Iterator[Any]:
    yield make.tensor(2, 3), {"dims": (0,)}
    yield make.tensor(2, 3), {"dims": (0, -1)}
    yield make.tensor(2, 3), {"dims": ()}
    yield make.strided(2, 3), {"dims": (1,)}
    yield make.tensor(0, 3), {"dims": (0,)}


@for_op("cat")
def _cat(make: Maker) -> Iterator[Any]:
    yield make.tensor(2, 3), make.tensor(1, 3), {"dim": 0}
    yield make.tensor(2, 3), make.tensor(2, 1), make.tensor(2, 2), {"dim": -1}
    yield make.tensor(2, 3), {"dim": 1}
    yield make.tensor(0, 3), make.strided(2, 3), {"dim": 0}
    yield make.tensor(2), make.tensor(3, dtype=dtypes.float64), {"dim": 0}
    yield make.tensor(2), make.tensor(3, dtype=dtypes.int8), make.tensor(1, dtype=dtypes.uint8), {"dim": 0}


@for_op("stack")
def _stack(make: Maker) -> Iterator[Any]:
    yield make.tensor(2, 3), make.tensor(2, 3), {"dim": 0}
    yield make.tensor(2, 3), make.strided(2, 3), {"dim": -1}
    yield make.tensor(), make.tensor(), make.tensor(), {"dim": 0}


@for_op("pad")
def _pad(make: Maker) -> Iterator[Any]:
    yield make.tensor(2, 3), {"pad": (1, 2)}
    yield make.tensor(2, 3), {"pad": (1, 0, 2, 1), "value": 1.0}
    yield make.tensor(3, 4), {"pad": (-1, 2, 1, -1)}
    yield make.tensor(4), {"pad": (-1, -2), "value": 3.0}
    yield make.tensor(2, 3), {"pad": ()}
    yield make.strided(2, 3), {"pad": (0, 1), "value": 2.0}
    yield make.tensor(0, 2), {"pad": (1, 1)}
    yield make.tensor(2, 3), {"pad": (-2, -1)}


@for_op("roll")
def _roll(make: Maker) -> Iterator[Any]:
    yield make.tensor(4, 3), {"shifts": (1,), "dims": (0,)}
    yield make.tensor(4, 3), {"shifts": (-2, 4), "dims": (0, 1)}
    yield make.tensor(4, 3), {"shifts": (5,)}
    yield make.tensor(0, 3), {"shifts": (1,), "dims": (1,)}
    yield make.strided(2, 3), {"shifts": (2,), "dims": (-1,)}


@for_op("repeat")
def _repeat(make: Maker) -> Iterator[Any]:
    yield make.tensor(2, 3), {"repeats": (2, 1)}
    yield make.tensor(3), {"repeats": (2, 2)}
    yield make.tensor(), {"repeats": (3,)}
    yield make.strided(2, 3), {"repeats": (1, 2)}
    yield make.tensor(2), {"repeats": (0,)}


@for_op("tile")
def _tile(make: Maker) -> Iterator[Any]:
    yield make.tensor(2, 3), {"dims": (2,)}
    yield make.tensor(2, 3), {"dims": (2, 1, 2)}


@for_op("tril", "triu")
def _triangles(make: Maker) -> Iterator[Any]:
    yield make.tensor(3, 4), {}
    yield make.tensor(2, 3, 3), {"diagonal": 1}
    yield make.strided(4, 3), {"diagonal": -1}
    yield make.tensor(0, 3), {}


@for_op("slice_scatter")
def _slice_scatter(make: Maker) -> Iterator[Any]:
    yield make.tensor(4, 3), make.tensor(2, 3), {"dim": 0, "start": 1, "end": 3}
    yield make.tensor(5, 3), make.tensor(3, 3), {"dim": 0, "step": 2}
    yield make.strided(2, 4), make.tensor(2, 1), {"dim": -1, "start": -1}
    yield make.tensor(2, 4), make.tensor(2, 2, dtype=dtypes.float64), {"dim": 1, "start": 1, "end": 4, "step": 2}
    yield make.tensor(3), make.tensor(0), {"dim": 0, "start": 2, "end": 1}


@for_op("select_scatter")
def _select_scatter(make: Maker) -> Iterator[Any]:
    yield make.tensor(4, 3), make.tensor(3), {"dim": 0, "index": 1}
    yield make.tensor(4, 3), make.strided(4), {"dim": 1, "index": -1}
    yield make.tensor(3), make.tensor(), {"dim": 0, "index": 0}


# ------------------------------------------------------------------------------------------------------- reductions

_DIMS: tuple[dict[str, Any], ...] = (
    {},
    {"dim": (0,)},
    {"dim": (-1,), "keepdim": True},
    {"dim": (0, 2)},
    {"keepdim": True},
)


@for_op("sum", "prod", "any", "all", "amax", "amin")
def _reductions(make: Maker, name: str) -> Iterator[Any]:
    source = make.distinct if name in ("amax", "amin") else make.tensor
    for attrs in _DIMS:
        yield source(2, 3, 2), attrs
    yield make.strided(3, 2), {"dim": (0,)}
    yield make.tensor(), {}
    yield make.tensor(), {"dim": (-1,)}
    if name in ("amax", "amin"):
        yield make.tensor(0, 3), {"dim": (1,)}
    else:
        yield make.tensor(0, 3), {"dim": (0,)}
        yield make.tensor(0), {}
    if name in ("sum", "prod"):
        yield make.tensor(2, 3), {"dim": (1,), "dtype": "float64"}
    if name == "prod" and make.is_float:
        x = make.tensor(3, 4, low=0.5)
        x[0, 1] = 0
        yield x, {"dim": (1,)}


@for_op("argmax", "argmin")
def _arguments(make: Maker) -> Iterator[Any]:
    yield make.distinct(3, 4), {}
    yield make.distinct(3, 4), {"dim": 0}
    yield make.tensor(3, 4), {"dim": -1, "keepdim": True}
    yield make.distinct(3, 4), {"keepdim": True}
    yield make.tensor(), {}
    yield make.tensor(), {"dim": 0}
    yield make.strided(3, 2), {"dim": 1}
    yield make.tensor(0, 3), {"dim": 1}


@for_op("max_dim", "min_dim")
def _extremes_along(make: Maker) -> Iterator[Any]:
    yield make.distinct(3, 4), {"dim": 0}
    yield make.distinct(3, 4), {"dim": -1, "keepdim": True}
    yield Sample((make.tensor(3, 4),), {"dim": 1}, smooth=False)
    yield make.tensor(), {"dim": 0}
    yield make.tensor(0, 3), {"dim": 1}


@for_op("mean", kinds="float")
def _mean(make: Maker) -> Iterator[Any]:
    for attrs in _DIMS:
        yield make.tensor(2, 3, 2), attrs
    yield make.strided(3, 2), {"dim": (0,)}
    yield make.tensor(), {}
    yield make.tensor(0, 3), {"dim": (0,)}
    yield make.tensor(2, 3), {"dim": (1,), "dtype": "float64"}


@for_op("var", "std", kinds="float")
def _spread(make: Maker) -> Iterator[Any]:
    for attrs in _DIMS:
        yield make.tensor(2, 3, 2), attrs
    yield make.tensor(3, 4), {"dim": (1,), "correction": 0}
    yield make.strided(3, 2), {"dim": (0,)}
    yield Sample((make.tensor(3, 1),), {"dim": (1,)}, smooth=False)


@for_op("logsumexp", kinds="float")
def _logsumexp(make: Maker) -> Iterator[Any]:
    yield make.tensor(3, 4), {"dim": (1,)}
    yield make.tensor(3, 4), {"dim": (0, 1)}
    yield make.tensor(3, 4) * make.dtype.np.type(30), {"dim": (-1,), "keepdim": True}
    yield make.strided(3, 2), {"dim": (0,)}


# --------------------------------------------------------------------------------------------------------- ordering


@for_op("cumsum", "cumprod")
def _running(make: Maker, name: str) -> Iterator[Any]:
    yield make.tensor(3, 4), {"dim": 0}
    yield make.tensor(3, 4), {"dim": -1}
    yield make.tensor(), {"dim": 0}
    yield make.tensor(0, 3), {"dim": 0}
    yield make.strided(2, 3), {"dim": 1}
    if name == "cumprod" and make.is_float:
        x = make.tensor(3, 4, low=0.5)
        x[0, 1] = 0
        yield x, {"dim": 1}


@for_op("sort", "argsort")
def _sort(make: Maker) -> Iterator[Any]:
    yield make.distinct(3, 4), {}
    yield make.distinct(3, 4), {"dim": 0, "descending": True}
    yield Sample((np.round(make.tensor(3, 8)).astype(make.dtype.np),), {"descending": True}, smooth=False)
    yield Sample((np.round(make.tensor(2, 8)).astype(make.dtype.np),), {}, smooth=False)
    yield make.tensor(), {"dim": -1}
    yield make.tensor(0, 3), {"dim": 0}
    yield Sample((make.strided(3, 2),), {"dim": 0}, smooth=False)


@for_op("topk")
def _topk(make: Maker) -> Iterator[Any]:
    yield make.distinct(3, 5), {"k": 2}
    yield make.distinct(3, 4), {"k": 3, "dim": 0, "largest": False}
    yield make.distinct(4), {"k": 0}


# --------------------------------------------------------------------------------------------------------- creation


@for_op("full")
def _full(make: Maker) -> Iterator[Any]:
    for size, value in (((2, 3), 1), ((), 0), ((0, 2), 1), ((3,), 2)):
        yield {"size": size, "value": value, "dtype": make.dtype}
    if make.is_float:
        yield {"size": (2,), "value": -0.0, "dtype": make.dtype}
        yield {"size": (2,), "value": float("nan"), "dtype": make.dtype}


@for_op("arange", kinds="float int")
def _arange(make: Maker) -> Iterator[Any]:
    for start, end, step in ((0, 5, 1), (2, 9, 3), (5, 0, -2), (3, 3, 1)):
        if make.dtype.is_signed or end >= 0:
            yield {"start": start, "end": end, "step": step, "dtype": make.dtype}
    if make.is_float:
        yield {"start": 0.5, "end": 3.0, "step": 0.5, "dtype": make.dtype}
        yield {"start": 1, "end": -1.0, "step": -0.3, "dtype": make.dtype}


@for_op("linspace", kinds="float")
def _linspace(make: Maker) -> Iterator[Any]:
    for start, end, steps in ((0.0, 1.0, 5), (2.0, -1.0, 4), (3.0, 5.0, 1), (0.0, 1.0, 0)):
        yield {"start": start, "end": end, "steps": steps, "dtype": make.dtype}


@for_op("eye")
def _eye(make: Maker) -> Iterator[Any]:
    for n, m in ((3, None), (2, 4), (4, 2), (0, 2)):
        yield {"n": n, "m": m, "dtype": make.dtype}


# ----------------------------------------------------------------------------------------------------------- random


@for_op("rand", "randn", kinds="float")
def _rand(make: Maker) -> Iterator[Any]:
    for size in ((2, 3), (), (0, 2), (5,)):
        yield make.key(), {"size": size, "dtype": make.dtype}


@for_op("randint", kinds="int")
def _randint(make: Maker) -> Iterator[Any]:
    yield make.key(), {"low": 0, "high": 10, "size": (2, 3), "dtype": make.dtype}
    yield make.key(), {"low": 3, "high": 4, "size": (), "dtype": make.dtype}


@for_op("randperm", kinds="int")
def _randperm(make: Maker) -> Iterator[Any]:
    if make.dtype is dtypes.int64:
        yield make.key(), {"n": 7}
        yield make.key(), {"n": 0}


@for_op("key_words", kinds="int")
def _key_words(make: Maker) -> Iterator[Any]:
    if make.dtype is dtypes.int64:
        yield (make.key(),)


@for_op("key_of", kinds="int")
def _key_of(make: Maker) -> Iterator[Any]:
    if make.dtype is dtypes.int64:
        yield (make.tensor(2),)


@for_op("bernoulli", kinds="float")
def _bernoulli(make: Maker) -> Iterator[Any]:
    yield make.key(), make.tensor(3, 4, low=0, high=1)
    yield make.key(), make.strided(2, 3, low=0, high=1)
    yield make.key(), make.tensor(low=0, high=1)


@for_op("dropout", kinds="float")
def _dropout(make: Maker) -> Iterator[Any]:
    for p in (0.5, 0.1, 0.0, 1.0):
        yield make.tensor(3, 4), make.key(), {"p": p}
    yield make.strided(2, 3), make.key(), {"p": 0.25}
    yield make.tensor(), make.key(), {"p": 0.5}
    yield make.tensor(0, 2), make.key(), {"p": 0.5}
