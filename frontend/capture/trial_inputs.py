"""The inputs that a check makes up: other sizes, other values, other layouts in memory.

Sizes keep within what was declared and assumed. Integers keep within the range of the example's, so that indices stay
indices; floating-point numbers follow the example's distribution where a trial does not say otherwise.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ...ir.binding import solve_sizes
from ...ir.errors import IngotError
from ...ir.graph import Graph, Value
from ...ir.sizes import SizeExpr, bounds, evaluate
from ...ir.types import ScalarType, TensorType

__all__ = ["InputMaker", "Inputs", "laid_out", "limits_of"]

_WANTED: Final = (1, 7, 2, 13, 5, 3, 11, 4, 8, 16, 6, 9, 10, 12, 0)  # sizes to try, in this order


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of one call.

    Attributes:
        what: in words, such as `"batch = 7, other values"`.
        values: one array or number per input.
        layout: how arrays lie in memory: `""` for contiguously, or a name of `laid_out`.
        same: two inputs that are one tensor.
    """

    what: str
    values: tuple[Any, ...]
    layout: str = ""
    same: tuple[int, int] | None = None

    def arrays(self) -> list[Any]:
        """The inputs, arrays in fresh memory."""
        found = [laid_out(value, self.layout) if isinstance(value, np.ndarray) else value for value in self.values]
        if self.same is not None:
            found[self.same[1]] = found[self.same[0]]
        return found


def laid_out(array: np.ndarray, layout: str) -> np.ndarray:
    """A copy of an array with another order of its elements in memory.

    >>> laid_out(np.arange(3), "reversed").strides
    (-8,)
    """
    if not array.ndim or not layout:
        return np.array(array, order="C")
    if layout == "transposed":
        return np.array(array, order="F")
    if layout == "strided":
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
        wide[..., ::2] = array
        return wide[..., ::2]
    turned = (slice(None, None, -1),) * array.ndim
    return np.array(array[turned], order="C")[turned]


class InputMaker:
    """Makes inputs for one graph.

    Args:
        graph: whose inputs they are.
        examples: what it was captured with, one array or number per input.
        seed: two makers of one seed make the same.
    """

    def __init__(self, graph: Graph, examples: Sequence[Any], seed: int) -> None:
        self.types = [value.type for value in graph.inputs]
        self.names = [value.name for value in graph.inputs]
        self.number_limits = [limits_of(value) for value in graph.inputs]
        self.examples = tuple(examples)
        self.assumptions = list(graph.assumptions)
        self.limits = {name: bounds(variable) for name, variable in graph.sizes.items()}
        self.rng = np.random.default_rng(seed)
        self.hints = self._hints()

    def _hints(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for _ in self.limits:
            for type_, example in zip(self.types, self.examples, strict=True):
                if isinstance(type_, TensorType):
                    solve_sizes(type_, example.shape, found)
        return {name: found[name] for name in self.limits if name in found}

    @property
    def has_floats(self) -> bool:
        return any(isinstance(x, float) or _is_float(x) for x in self.examples)

    @property
    def has_layouts(self) -> bool:
        return any(isinstance(x, np.ndarray) and x.ndim and x.size > 1 for x in self.examples)

    def like_example(self, layout: str = "") -> Inputs:
        """The example itself, or its values in another layout."""
        values = tuple(np.array(x) if isinstance(x, np.ndarray) else x for x in self.examples)
        return Inputs(layout or "the example", values, layout)

    # -------------------------------------------------------------------------------------------------- sizes

    def sizes(self) -> list[dict[str, int]]:
        """Sizes to try, the most telling first; none where no size is dynamic."""
        if not self.hints:
            return []
        found: list[dict[str, int]] = []
        names = list(self.hints)
        for shift, number in itertools.product((0, 3), range(len(_WANTED))):
            chosen = {n: self._candidate(n, number + shift * i) for i, n in enumerate(names)}
            if chosen not in found and chosen != self.hints and self.fits(chosen):
                found.append(chosen)
        for name in names:
            for value in (self.hints[name] + 1, 2 * self.hints[name], 2 * self.hints[name] + 1):
                chosen = {**self.hints, name: value}
                if chosen not in found and self.fits(chosen):
                    found.append(chosen)
        return found

    def _candidate(self, name: str, number: int) -> int:
        low, high = self.limits[name]
        value = _WANTED[number % len(_WANTED)]
        if low is not None and value < low:
            value = low + value
        return value if high is None else min(value, high)

    def fits(self, sizes: Mapping[str, int]) -> bool:
        """Whether the program takes inputs of these sizes."""
        for name, value in sizes.items():
            low, high = self.limits[name]
            if (low is not None and value < low) or (high is not None and value > high):
                return False
        try:
            if any(n < 0 for type_ in self.types for n in _shape(type_, sizes)):
                return False
            known = [a.relation for a in self.assumptions if a.relation.free_vars <= sizes.keys()]
            return all(relation.holds(sizes) for relation in known)
        except IngotError:  # a division by a size of zero
            return False

    # ------------------------------------------------------------------------------------------------- values

    def make(self, what: str, change: Callable[[np.ndarray], np.ndarray] | None = None, **options: Any) -> Inputs:
        """Inputs after the example's distribution.

        Args:
            change: applied to floating-point values.
            options: `sizes=`, and what `Inputs` takes.
        """
        sizes = options.pop("sizes", None) or self.hints
        values = []
        for type_, example, limits in zip(self.types, self.examples, self.number_limits, strict=True):
            if isinstance(type_, ScalarType):
                values.append(self._number(example, limits))
                continue
            shape = _shape(type_, sizes) if isinstance(type_, TensorType) else example.shape
            array = self._values(example, shape)
            if change is not None and _is_float(array):
                array = change(array.astype(np.float64)).astype(array.dtype)
            values.append(array)
        return Inputs(what, tuple(values), **options)

    def _values(self, example: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        kind = "f" if _is_float(example) else example.dtype.kind
        if kind == "b":
            return self.rng.random(shape) < 0.5
        if example.dtype.kind in "iu":
            least, most = (int(example.min()), int(example.max())) if example.size else (0, 0)
            return self.rng.integers(least, most, shape, example.dtype, endpoint=True)
        flat = example.astype(np.float64).ravel()
        flat = flat[np.isfinite(flat)]
        if not flat.size or not flat.any():
            return self.rng.standard_normal(shape).astype(example.dtype)
        low, high = float(flat.min()), float(flat.max())
        if low == high:
            return (low * self.rng.uniform(0.5, 1.5, shape)).astype(example.dtype)
        drawn = self.rng.choice(flat, shape) + 0.1 * flat.std() * self.rng.standard_normal(shape)
        # Mirrored at the ends rather than cut: the largest element is to be another one than the example's.
        drawn = np.where(drawn > high, 2 * high - drawn, np.where(drawn < low, 2 * low - drawn, drawn))
        return np.clip(drawn, low, high).astype(example.dtype)

    def _number(self, example: Any, limits: tuple[int | None, int | None]) -> Any:
        if isinstance(example, bool):
            return not example
        if isinstance(example, int):
            low, high = limits
            found = example + int(self.rng.integers(1, 3)) * (1 if high is None or example < high else -1)
            found = found if high is None else min(found, high)
            return found if low is None else max(found, low)
        return float(example * self.rng.uniform(0.5, 1.5)) if example else float(self.rng.standard_normal())

    # ------------------------------------------------------------------------------------- values of other kinds

    def with_specials(self, x: np.ndarray) -> np.ndarray:
        """Some elements NaN, some infinite."""
        found = x.copy()
        if found.size:
            count = max(1, found.size // 10)
            for special in (np.inf, -np.inf, np.nan):
                found.ravel()[self.rng.integers(0, found.size, count)] = special
        return found

    def pair_alike(self, but: Sequence[int]) -> tuple[int, int] | None:
        """Two inputs of one type, which may be the same tensor; `but` are those that are not to be."""
        for i, j in itertools.combinations(range(len(self.types)), 2):
            alike = isinstance(self.types[i], TensorType) and self.types[i] == self.types[j]
            if alike and i not in but and j not in but:
                return i, j
        return None


def limits_of(number: Value) -> tuple[int | None, int | None]:
    """The bounds of a run-time integer among a graph's inputs: those of the size variable that it becomes."""
    for use in number.uses:
        if use.node.op.name == "prim::Bind":
            return bounds(use.node.attrs["variable"])
    return None, None


def _shape(type_: Any, sizes: Mapping[str, int]) -> tuple[int, ...]:
    if not isinstance(type_, TensorType):
        return ()
    return tuple(evaluate(size, sizes) if isinstance(size, SizeExpr) else size for size in type_.sizes)


def _is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.name in ("float16", "bfloat16", "float32", "float64")
