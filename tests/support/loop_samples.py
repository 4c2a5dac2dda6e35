"""Sample calls of every op that is printed as loops and is not element-wise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ingot.ir.dtypes import float32
from ingot.ir.registry import Op, all_ops

__all__ = ["LoopSample", "loop_ops", "loop_samples"]

KINDS = ("nest", "scatter", "scan", "sort")


@dataclass(frozen=True)
class LoopSample:
    """Operands and attributes of one call."""

    inputs: tuple[Any, ...]
    attrs: dict[str, Any] = field(default_factory=dict)


def loop_ops() -> list[Op]:
    """The ops that need samples here."""
    return [op for op in all_ops() if op.kind in KINDS and op.name.startswith("ingot::")]


def loop_samples(op: Op, rng: np.random.Generator) -> Iterator[LoopSample]:
    """Calls of an op: several ranks, options and layouts, each small."""

    def floats(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    def places(size: int, *shape: int) -> np.ndarray:
        return rng.integers(0, size, shape)

    for inputs, attrs in _CALLS[op.short](floats, places):
        yield LoopSample(tuple(inputs), op.schema.check_attrs(attrs))


Calls = Callable[[Any, Any], list[tuple[list[Any], dict[str, Any]]]]
_CONV = {"stride": (2, 1), "padding": (1, 1), "dilation": (1, 2), "groups": 2}
_POOL = {"kernel_size": (3, 2), "stride": (2, 2), "padding": (1, 1)}


def _reduction(f: Any, i: Any) -> list[tuple[list[Any], dict[str, Any]]]:
    return [
        ([f(3, 4, 5)], {}),
        ([f(3, 4, 5)], {"dim": (1,)}),
        ([f(4, 3)[:, ::-1]], {"dim": (0, -1), "keepdim": True}),
        ([f(5)[::2]], {"dim": (0,)}),
        ([f(3, 0)], {"dim": (0,)}),
        ([np.array(2.5, np.float32)], {}),
        ([i(9, 2, 3)], {"dim": (-1,)}),
    ]


def _place(f: Any, i: Any) -> list[tuple[list[Any], dict[str, Any]]]:
    return [
        ([f(3, 4)], {}),
        ([f(3, 4).T], {"dim": 1, "keepdim": True}),
        ([i(3, 2, 9)], {"dim": -1}),
        ([np.array(2.5, np.float32)], {}),
    ]


def _extreme(f: Any, i: Any) -> list[tuple[list[Any], dict[str, Any]]]:
    return [([f(3, 4)], {"dim": 0}), ([f(3, 4)], {"dim": -1, "keepdim": True}), ([i(3, 2, 9)], {"dim": 1})]


def _scan(f: Any, i: Any) -> list[tuple[list[Any], dict[str, Any]]]:
    calls = [([f(3, 4, 2)], {"dim": d}) for d in (0, 1, -1)]
    return [*calls, ([i(5, 3, 4).astype(np.int8)], {"dim": 1}), ([f(0, 3)], {"dim": 0}), ([f()], {"dim": 0})]


def _triangle(f: Any, i: Any) -> list[tuple[list[Any], dict[str, Any]]]:
    return [([f(4, 5)], {}), ([f(2, 5, 4)], {"diagonal": 1}), ([f(4, 4)], {"diagonal": -2})]


def _pool(f: Any, i: Any) -> list[tuple[list[Any], dict[str, Any]]]:
    return [
        ([f(2, 3, 7, 8)], _POOL),
        ([f(3, 7, 8)], dict(_POOL, ceil_mode=True)),
        ([f(1, 1, 4, 4)], {"kernel_size": (2, 2)}),
    ]


_CALLS: dict[str, Calls] = {
    "matmul": lambda f, i: [
        ([f(3, 4), f(4, 5)], {}),
        ([f(2, 1, 3, 4), f(5, 4, 2)], {}),
        ([f(4), f(4)], {}),
        ([f(3, 4), f(4)], {}),
        ([f(4), f(2, 4, 3)], {}),
        ([f(4, 3).T, f(5, 4).T], {}),
        ([f(3, 0), f(0, 2)], {}),
        ([i(9, 2, 3), i(9, 3, 2)], {}),
    ],
    "bmm": lambda f, i: [([f(2, 3, 4), f(2, 4, 5)], {}), ([f(0, 3, 4), f(0, 4, 5)], {})],
    "convolution2d": lambda f, i: [
        ([f(2, 3, 5, 5), f(4, 3, 3, 3)], {}),
        ([f(2, 4, 7, 6), f(6, 2, 3, 2)], _CONV),
        ([f(1, 3, 4, 4), f(2, 3, 1, 1)], {"stride": (2, 2)}),
    ],
    "conv2d_input_grad": lambda f, i: [([f(2, 6, 4, 6), f(6, 2, 3, 2)], dict(_CONV, input_size=(2, 4, 7, 6)))],
    "conv2d_weight_grad": lambda f, i: [([f(2, 6, 4, 6), f(2, 4, 7, 6)], dict(_CONV, kernel_size=(3, 2)))],
    "reshape": lambda f, i: [
        ([f(2, 3, 4)], {"shape": (4, 6)}),
        ([f(4, 6).T], {"shape": (-1,)}),
        ([f(0, 3)], {"shape": (3, 0)}),
        ([f(1, 1)], {"shape": ()}),
    ],
    "permute": lambda f, i: [([f(2, 3, 4)], {"dims": (2, 0, 1)}), ([f()], {"dims": ()})],
    "expand": lambda f, i: [([f(3, 1)], {"size": (2, 3, 4)}), ([f()], {"size": (2, 2)})],
    "slice": lambda f, i: [
        ([f(5, 6)], {"dim": 1, "start": 1, "end": 5, "step": 2}),
        ([f(5, 6)], {"dim": 0, "start": -2}),
        ([f(5)], {"dim": 0, "start": 4, "end": 2}),
    ],
    "select": lambda f, i: [([f(5, 6)], {"dim": 0, "index": -2}), ([f(5)], {"dim": 0, "index": 3})],
    "squeeze": lambda f, i: [([f(1, 3, 1)], {}), ([f(1, 3, 1)], {"dim": (0,)})],
    "unsqueeze": lambda f, i: [([f(3)], {"dim": 0}), ([f(3, 2)], {"dim": -1})],
    "flip": lambda f, i: [([f(3, 4)], {"dims": (0, 1)}), ([f(3, 4)], {"dims": (1,)})],
    "cat": lambda f, i: [
        ([f(2, 3), f(1, 3), f(4, 3)], {"dim": 0}),
        ([f(2, 3), f(2, 0)], {"dim": 1}),
        ([f(2, 3), i(5, 2, 3)], {"dim": -1}),
    ],
    "pad": lambda f, i: [
        ([f(3, 4)], {"pad": (1, 2, 0, -1), "value": 1.5}),
        ([f(3)], {"pad": (-1, 2)}),
        ([f(0, 2)], {"pad": (0, 0, 1, 1)}),
    ],
    "roll": lambda f, i: [([f(3, 4)], {"shifts": (1, -2), "dims": (0, 1)}), ([f(3, 4)], {"shifts": (5,)})],
    "repeat": lambda f, i: [([f(2, 3)], {"repeats": (2, 1, 3)}), ([f(2)], {"repeats": (0,)})],
    "tril": _triangle,
    "triu": _triangle,
    "slice_scatter": lambda f, i: [
        ([f(5, 3), f(2, 3)], {"dim": 0, "start": 1, "end": 5, "step": 2}),
        ([f(5, 3), f(5, 1)], {"dim": 1, "start": -1}),
    ],
    "select_scatter": lambda f, i: [
        ([f(5, 3), f(3)], {"dim": 0, "index": 2}),
        ([f(5, 3), f(5)], {"dim": 1, "index": -1}),
    ],
    "full": lambda f, i: [
        ([], {"size": (2, 3), "value": 2.5, "dtype": float32}),
        ([], {"size": (), "value": 1, "dtype": float32}),
    ],
    "arange": lambda f, i: [
        ([], {"start": 1, "end": 9, "step": 2, "dtype": "i64"}),
        ([], {"start": 0.5, "end": -3, "step": -0.5, "dtype": float32}),
    ],
    "linspace": lambda f, i: [
        ([], {"start": 0.0, "end": 1.0, "steps": 7, "dtype": float32}),
        ([], {"start": 2.0, "end": 9.0, "steps": 1, "dtype": "f64"}),
    ],
    "eye": lambda f, i: [([], {"n": 3, "dtype": float32}), ([], {"n": 2, "m": 4, "dtype": "bool"})],
    "gather": lambda f, i: [([f(3, 4), i(4, 3, 2)], {"dim": 1}), ([f(5), i(5, 9)], {"dim": 0})],
    "scatter": lambda f, i: [
        ([f(3, 4), i(4, 3, 2), f(3, 2)], {"dim": 1}),
        ([f(5), np.array([1, 3, 1, 1]), f(4)], {"dim": 0}),
    ],
    "scatter_add": lambda f, i: [([f(3, 4), i(4, 3, 6), f(3, 6)], {"dim": 1})],
    "index_select": lambda f, i: [([f(3, 4), i(3, 5)], {"dim": 0}), ([f(3, 4), i(4, 0)], {"dim": 1})],
    "index_add": lambda f, i: [([f(3, 4), i(3, 5), f(5, 4)], {"dim": 0})],
    "embedding": lambda f, i: [([i(7, 2, 3), f(7, 4)], {}), ([i(7, 3).astype(np.int32), f(7, 4)], {"padding_idx": 0})],
    "embedding_grad": lambda f, i: [([f(2, 3, 4), i(7, 2, 3)], {"num_embeddings": 7, "padding_idx": 1})],
    "one_hot": lambda f, i: [([i(5, 2, 3)], {"num_classes": 5}), ([i(3)], {"num_classes": 3})],
    "index": lambda f, i: [
        ([f(4, 5, 6), i(4, 3), i(6, 2, 3)], {"dims": (0, 2)}),
        ([f(4, 5), i(5, 2, 2)], {"dims": (1,)}),
    ],
    "index_put": lambda f, i: [
        ([f(4, 5, 6), i(4, 3), i(6, 2, 3), f(2, 3, 5)], {"dims": (0, 2)}),
        ([f(4, 5, 6), i(4, 3), i(6, 2, 3), f(2, 3, 5)], {"dims": (0, 2), "accumulate": True}),
    ],
    "cumsum": _scan,
    "cumprod": _scan,
    "sort": lambda f, i: [
        ([i(4, 3, 40)], {}),
        ([i(4, 40, 2)], {"dim": 0, "descending": True}),
        ([f(2, 33)[:, ::-1]], {"dim": 1}),
        ([f(3, 0)], {}),
        ([f()], {}),
    ],
    "sum": _reduction,
    "prod": _reduction,
    "amax": lambda f, i: [call for call in _reduction(f, i) if call[0][0].size],
    "amin": lambda f, i: [call for call in _reduction(f, i) if call[0][0].size],
    "any": lambda f, i: [([np.asarray(x > 0.5)], attrs) for (x,), attrs in _reduction(f, i)],
    "all": lambda f, i: [([np.asarray(x > -0.5)], attrs) for (x,), attrs in _reduction(f, i)],
    "argmax": _place,
    "argmin": _place,
    "max_dim": _extreme,
    "min_dim": _extreme,
    "max_pool2d": _pool,
    "max_pool2d_place": _pool,
    "sum_pool2d": _pool,
    "sum_pool2d_grad": lambda f, i: [([f(2, 3, 4, 5)], dict(_POOL, input_size=(2, 3, 7, 8)))],
    "adaptive_sum_pool2d": lambda f, i: [([f(2, 3, 7, 8)], {"output_size": (3, 3)})],
    "adaptive_sum_pool2d_grad": lambda f, i: [([f(2, 3, 3, 3)], {"input_size": (2, 3, 7, 8)})],
}
