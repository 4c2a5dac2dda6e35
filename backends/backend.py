"""What a backend is: three steps from a graph to something that runs.

`refuses(node)` says why a node cannot be taken; `emit(graph)` is pure and gives text; `load(source)` is the one step
that may need a toolchain or a device. A backend registers itself when its folder is imported; `backends/__init__`
imports each by one line.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..ir.errors import UnsupportedError
from ..ir.graph import Graph, Node

__all__ = ["Backend", "Executable", "Source", "backends", "get_backend", "register_backend"]


@dataclass(frozen=True, slots=True)
class Source:
    """Emitted text, the name of the function in it to call, and the constants that it reads by name."""

    backend: str
    text: str
    entry: str
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


class Executable:
    """A loaded graph. Calls may come from several threads at once."""

    def __call__(
        self, inputs: Sequence[Any], state: Mapping[str, Any], sizes: Mapping[str, int]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Run the graph.

        Args:
            inputs: arrays (or numbers) in the order of the graph's inputs.
            state: arrays by state key; read only.
            sizes: values of the graph's size variables.

        Returns:
            the outputs, and the new values of updated state. All of them are fresh: none aliases an input, the
            state or memory that a later call writes to.
        """
        raise TypeError(f"{type(self).__name__} does not define a call")


class Backend:
    """Base class of backends."""

    name: str = ""

    def refuses(self, node: Node) -> str | None:
        """Why this backend cannot run a node, or None if it can."""
        return None

    def emit(self, graph: Graph) -> Source:
        """The graph as source text."""
        raise TypeError(f"{type(self).__name__} does not define emit")

    def emit_in_place(self, graph: Graph, keys: Collection[str]) -> Source:
        """The same, for state that may be written where it lies: updates of these keys need not be handed out."""
        return self.emit(graph)

    def load(self, source: Source) -> Executable:
        """Emitted source as something that runs."""
        raise TypeError(f"{type(self).__name__} does not define load")

    def check(self, graph: Graph) -> None:
        """Refuse a graph with all of its unsupported nodes named at once.

        Raises:
            UnsupportedError: listing each op, why, and where it comes from.
        """
        reasons: dict[str, str] = {}
        for node in graph.nodes():
            reason = self.refuses(node)
            if reason:
                reasons.setdefault(f"{node.op.name}: {reason}", f" (at {node.location})" if node.location else "")
        if reasons:
            lines = tuple(f"\n    {reason}{where}" for reason, where in reasons.items())
            raise UnsupportedError(f"the {self.name} backend cannot run @{graph.name}", notes=lines)

    def compile(self, graph: Graph, in_place: Collection[str] = ()) -> Executable:
        """Check, emit and load.

        Args:
            in_place: keys of state whose arrays a call may overwrite with their new values. Updates that it hands out
                all the same are to be written by the caller.
        """
        self.check(graph)
        return self.load(self.emit_in_place(graph, in_place) if in_place else self.emit(graph))


_backends: dict[str, Backend] = {}


def register_backend(backend: Backend) -> Backend:
    """Make a backend known by its name; a later one of the same name takes its place."""
    _backends[backend.name] = backend
    return backend


def get_backend(name: str) -> Backend:
    """The backend of that name.

    Raises:
        UnsupportedError: when there is none; the message lists those that are.
    """
    if name not in _backends:
        raise UnsupportedError(f"no backend {name!r}", expected=f"one of {', '.join(sorted(_backends))}")
    return _backends[name]


def backends() -> Iterator[Backend]:
    """All registered backends."""
    return iter(tuple(_backends.values()))
