"""The NumPy backend: a graph as readable Python source that runs with NumPy alone.

Buffers are planned once for each binding of sizes, every operation writes into them, and element-wise groups are
computed in blocks that stay in the cache, over threads.
"""

from __future__ import annotations

from collections.abc import Collection

from ...ir.graph import Graph, Node
from ..backend import Backend, Source, register_backend
from .embed import why_not_embedded
from .emit import emit_source
from .executable import NumpyExecutable

__all__ = ["NumpyBackend", "NumpyExecutable"]


class NumpyBackend(Backend):
    """Emits NumPy source, and runs it."""

    name = "numpy"

    def refuses(self, node: Node) -> str | None:
        return why_not_embedded(node.op.kernel) if node.op.kind == "opaque" else None

    def emit(self, graph: Graph) -> Source:
        return emit_source(graph)

    def emit_in_place(self, graph: Graph, keys: Collection[str]) -> Source:
        return emit_source(graph, frozenset(keys))

    def load(self, source: Source) -> NumpyExecutable:
        return NumpyExecutable(source)


register_backend(NumpyBackend())
