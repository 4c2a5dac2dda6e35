"""What sample calls are made of: arrays of a dtype in several layouts, and the table that holds them by op."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ingot.ir.dtypes import DType
from ingot.ir.registry import Op, lookup

__all__ = ["TABLE", "Maker", "Sample", "for_op"]


@dataclass(frozen=True)
class Sample:
    """One call of an op: inputs as a node holds them (a `Tensor[]` flattened, None where absent), and all attributes.

    `smooth` says that the op can be differentiated there: no kink, no tie, no pole within a small step.
    """

    inputs: tuple[Any, ...]
    attrs: dict[str, Any] = field(default_factory=dict)
    smooth: bool = True

    def __str__(self) -> str:
        shown = [f"{x.dtype}{list(x.shape)}" if isinstance(x, np.ndarray) else repr(x) for x in self.inputs]
        return ", ".join([*shown, *(f"{k}={v}" for k, v in self.attrs.items())])


class Maker:
    """Makes operands of one dtype. Numbers lie between `low` and `high`, and away from integers for floats, so that
    rounding, comparisons and cuts at whole numbers are the same however a result is worked out."""

    def __init__(self, rng: np.random.Generator, dtype: DType) -> None:
        self.rng = rng
        self.dtype = dtype

    @property
    def is_float(self) -> bool:
        return self.dtype.is_floating_point

    def tensor(self, *sizes: int, low: float = -2.0, high: float = 2.0, dtype: DType | None = None) -> np.ndarray:
        """A contiguous array."""
        kind = dtype or self.dtype
        if kind.kind == "bool":
            return np.asarray(self.rng.random(sizes) < 0.5)
        if kind.kind == "int":
            start = max(int(low), 0) if not kind.is_signed else int(low)
            return np.asarray(self.rng.integers(start, max(int(high), start + 1) + 1, sizes)).astype(kind.np)
        values = self.rng.uniform(low, high, sizes)
        whole = np.round(values)
        close = np.abs(values - whole) < 0.05
        return np.asarray(np.where(close, np.clip(values + 0.1, low + 1e-3, high - 1e-3), values)).astype(kind.np)

    def distinct(self, *sizes: int) -> np.ndarray:
        """An array whose elements all differ, by enough for finite differences; as far as the dtype goes."""
        count = int(np.prod(sizes))
        if self.dtype.kind == "bool":
            return self.tensor(*sizes)
        values = self.rng.permutation(count).reshape(sizes)
        return (values * 0.25 - count / 9).astype(self.dtype.np) if self.is_float else values.astype(self.dtype.np)

    def strided(self, *sizes: int, **limits: Any) -> np.ndarray:
        """A view with steps: every second element of a transposed, partly reversed array."""
        base = self.tensor(*(2 * size for size in reversed(sizes)), **limits).T
        found = base[tuple(slice(None, None, 2) for _ in sizes)]
        return found[..., ::-1] if sizes else found

    def indices(self, high: int, *sizes: int, dtype: Any = np.int64) -> np.ndarray:
        """Integers in [0, high)."""
        return np.asarray(self.rng.integers(0, high, sizes)).astype(dtype)

    def key(self) -> np.ndarray:
        return self.rng.integers(0, 2**63, 2).astype(np.uint64)


Producer = Callable[[Maker, Op], Iterator[Sample]]
TABLE: dict[str, Producer] = {}


def for_op(*names: str, kinds: str = "float int bool") -> Callable[[Callable[..., Iterator[Any]]], Any]:
    """Enter a generator of sample calls for the named ops; it is asked for dtypes of the given kinds only.

    The generator takes a Maker, and the op's name where it has a second parameter. It yields Samples, or tuples of
    inputs and attributes, whose other attributes are the schema's defaults.
    """

    def enter(generate: Callable[..., Iterator[Any]]) -> Any:
        takes_name = generate.__code__.co_argcount > 1

        def produce(make: Maker, op: Op) -> Iterator[Sample]:
            if make.dtype.kind not in kinds.split():
                return
            for found in generate(make, op.short) if takes_name else generate(make):
                sample = found if isinstance(found, Sample) else Sample(*_split(found))
                yield Sample(sample.inputs, op.schema.check_attrs(sample.attrs), sample.smooth)

        for name in names:
            assert name not in TABLE, f"samples for {name} are entered twice"
            TABLE[lookup(name).name] = produce
        return generate

    return enter


def _split(found: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    items = found if isinstance(found, tuple) else (found,)
    if items and isinstance(items[-1], dict):
        return items[:-1], items[-1]
    return items, {}
