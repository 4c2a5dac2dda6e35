"""The reference backend: the interpreter, as the yardstick that other backends are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...ir.graph import Graph
from ...ir.interpreter import interpret
from ..backend import Backend, Executable, Source, register_backend

__all__ = ["ReferenceBackend", "ReferenceExecutable"]


class ReferenceExecutable(Executable):
    """A graph that is interpreted."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        constants = (node.attrs["value"] for node in graph.nodes() if node.op.name == "prim::Constant")
        self._constants = frozenset(id(value) for value in constants)

    def __call__(
        self, inputs: Sequence[Any], state: Mapping[str, Any], sizes: Mapping[str, int]
    ) -> tuple[list[Any], dict[str, Any]]:
        outputs, updates = interpret(self._graph, inputs, state, sizes)
        shared = {*self._constants, *map(id, inputs), *map(id, state.values())}
        outputs = [_owned(value, shared) for value in outputs]
        return outputs, {key: _owned(value, shared) for key, value in updates.items()}


def _owned(value: Any, shared: set[int]) -> Any:
    """A result as its own array; `shared` has the identities of what others hold, and takes up what is given out."""
    if isinstance(value, (tuple, list)):
        return type(value)(_owned(item, shared) for item in value)
    if not hasattr(value, "dtype"):
        return value
    if id(value) in shared or getattr(value, "base", None) is not None or isinstance(value, np.generic):
        value = value.copy() if not isinstance(value, np.generic) else np.asarray(value)
    shared.add(id(value))
    return value


class ReferenceBackend(Backend):
    """Runs graphs as they are. Its source is the graph's text, for people."""

    name = "reference"

    def emit(self, graph: Graph) -> Source:
        return Source(self.name, str(graph), graph.name, facts={"graph": graph})

    def load(self, source: Source) -> ReferenceExecutable:
        return ReferenceExecutable(source.facts["graph"])


register_backend(ReferenceBackend())
