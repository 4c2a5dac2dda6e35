"""What a view op does to memory, found from its nest: whether it keeps elements in their row-major order.

NumPy's views only change offset, strides and sizes, but for one: a reshape of an array that has gaps is a copy. A
source must know which views can be made once, with the plan, and which have to be filled at each call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...ir.errors import IngotError
from ...ir.families import nest_of
from ...ir.graph import Graph, Node
from ...ir.interpreter import evaluate_attr
from ...ir.nest import Letter, Read
from ...ir.scalar import SizeLeaf
from ...ir.scalar import evaluate as evaluate_scalar
from ...ir.sizes import SizeExpr, bounds, evaluate, product
from ...ir.types import TensorType, Type

__all__ = ["ViewFacts", "sample_sizes", "view_facts"]

_POINTS = 48


@dataclass(frozen=True, slots=True)
class ViewFacts:
    """Of a view: whether its elements lie side by side where those of the viewed array do, and whether it is made
    by strides alone, so that it never copies."""

    in_order: bool
    by_strides: bool


def sample_sizes(graph: Graph, variables: Sequence[SizeExpr]) -> dict[str, int] | None:
    """Values for size variables that keep their bounds and the graph's assumptions, or None if none are found."""
    for step in (7, 24, 60, 16, 128, 3, 2):
        found = {}
        for i, variable in enumerate(variables):
            lo, hi = bounds(variable)
            value = max(lo or 0, step * (i + 1))
            found[str(variable)] = value if hi is None else min(value, hi)
        relations = [a.relation for a in graph.assumptions]
        if all(r.holds(found) for r in relations if r.free_vars <= found.keys()):
            return found
    return None


def view_facts(node: Node, sizes: Mapping[str, int] | None) -> ViewFacts:
    """The facts of a view op's node, tried out at some points of its index space.

    Points decide it: an index that views can express is a sum of steps, one for each letter, so that it agrees
    with another one everywhere when it does so at the corners; and reshape, which keeps the order, agrees anyway.

    Args:
        sizes: values of the size variables to try with; None makes the answer careful.
    """
    careful = ViewFacts(in_order=False, by_strides=False)
    if sizes is None or node.op.kind != "nest":
        return careful
    try:
        types = [_concrete(value.type, sizes) for value in node.inputs]
        attrs = {name: evaluate_attr(value, sizes) for name, value in node.attrs.items()}
        (output,) = nest_of(node.op, types, attrs).outputs
        read = output.body
        assert isinstance(read, Read)
        base = types[read.operand]
        assert isinstance(base, TensorType)
        shape = [evaluate(letter.extent, {}) for letter in output.letters]
        facts = _facts(read, output.letters, shape, [evaluate(size, {}) for size in base.sizes], sizes)
        return facts if _same_for_all_sizes(node) else ViewFacts(False, facts.by_strides)
    except (IngotError, AssertionError, ValueError):
        return careful


def _same_for_all_sizes(node: Node) -> bool:
    """Whether what holds for some sizes holds for all: nothing is left out, or no size is symbolic."""
    types = [value.type for value in (node.inputs[0], node.output)]
    assert all(isinstance(t, TensorType) for t in types)
    return all(t.is_static for t in types) or product(types[0].sizes) == product(types[1].sizes)  # type: ignore[attr-defined]


def _concrete(type_: Type, sizes: Mapping[str, int]) -> Type:
    if not isinstance(type_, TensorType):
        return type_
    return type_.with_(sizes=tuple(evaluate(size, sizes) for size in type_.sizes))


def _facts(
    read: Read, letters: Sequence[Letter], shape: list[int], base: list[int], sizes: Mapping[str, int]
) -> ViewFacts:
    kept = [n for n in shape if n != 1] == [n for n in base if n != 1]
    if 0 in shape:
        return ViewFacts(in_order=True, by_strides=True)
    points = _points(shape)
    at = dict(zip(letters, points, strict=True))

    def leaf(expr: Any) -> Any:
        return np.int64(evaluate(expr.size, sizes)) if isinstance(expr, SizeLeaf) else at[expr]

    count = len(points[0]) if points else 1
    inside = [np.broadcast_to(np.asarray(evaluate_scalar(index, leaf)), (count,)) for index in read.args]
    offset = _linear(inside, base, count) - _linear(points, shape, count)
    in_order = bool((offset == offset[0]).all())
    same_count = int(np.prod(shape, dtype=np.int64)) == int(np.prod(base, dtype=np.int64))
    return ViewFacts(in_order, by_strides=kept or not (in_order and same_count))


def _points(shape: list[int]) -> list[np.ndarray]:
    """Points of an index space, one array of coordinates for each dimension: corners, steps from the origin, others."""
    rng = np.random.default_rng(0)
    ndim = len(shape)
    found = [[0] * ndim, [n - 1 for n in shape]]
    for i, n in enumerate(shape):
        for step in {min(1, n - 1), n // 2, n - 1}:
            point = [0] * ndim
            point[i] = step
            found.append(point)
    found += [[int(rng.integers(n)) for n in shape] for _ in range(_POINTS)]
    return [np.array([point[i] for point in found], np.int64) for i in range(ndim)]


def _linear(indices: Sequence[np.ndarray], shape: Sequence[int], count: int) -> np.ndarray:
    total = np.zeros(count, np.int64)
    for index, n in zip(indices, shape, strict=True):
        total = total * n + index
    return total
