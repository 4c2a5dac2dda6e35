"""Freezing: state that will not change any more becomes constants, which other passes can compute with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ..ir.builder import Builder
from ..ir.errors import ArgumentError, ShapeError
from ..ir.graph import Graph, InsertionPoint
from ..ir.ops.prims import constant_type

__all__ = ["freeze"]


def freeze(graph: Graph, state: Mapping[str, np.ndarray], keys: Iterable[str] | None = None) -> bool:
    """Replace state with constants, in place. It is no pass of pipelines, since it needs the arrays.

    Args:
        state: the values, by key.
        keys: which state to freeze; all that the graph does not update when None.

    Returns:
        Whether there was any.

    Raises:
        ArgumentError: for a key that the graph does not have or that it updates, or without a value.
        ShapeError: when a value is not of the state's type.
    """
    updated = graph.updates
    chosen = [key for key in graph.state if key not in updated] if keys is None else list(keys)
    for key in chosen:
        if key not in graph.state or key not in state:
            raise ArgumentError(f"freeze: no state {key!r}", expected=f"one of {', '.join(graph.state)}")
        if key in updated:
            raise ArgumentError(f"freeze: state {key!r} is updated by @{graph.name}")
    arrays = {key: np.asarray(state[key]) for key in chosen}
    for key, array in arrays.items():
        expected, found = graph.state[key].type, constant_type(array)
        if found != expected:
            raise ShapeError(f"freeze: state {key!r} is of another type", expected=str(expected), found=str(found))
    builder = Builder(graph, InsertionPoint.start(graph.block))
    for key, array in arrays.items():
        old = graph.state[key]
        old.replace_uses(builder.constant(array, name=key))
        graph.remove_state(key)
    return bool(chosen)
