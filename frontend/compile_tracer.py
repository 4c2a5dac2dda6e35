"""A tracer over live tensors: its state are the tensors themselves, wherever they stand.

What lives here: what such a tracer does otherwise than one that captures a program with state of its own. The steps of
a capture are `compile_capture`'s subject.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from ..ir.algebra import type_of
from ..ir.errors import CaptureError
from ..ir.locations import here, is_internal
from ..ir.node import Value
from ..ir.types import KeyType
from .capture.gradient_cells import Perhaps
from .capture.gradients import Gradients
from .capture.ledger import CaptureLedger
from .capture.tracer import Tracer
from .indexing import replay
from .storage import storage_of

__all__ = ["LiveTracer"]


class LiveGradients(Gradients):
    """The `.grad` of tensors where they stand: found as they are, and left where the run leaves them."""

    def __init__(self, tracer: Any) -> None:
        super().__init__(tracer)
        self.depends: dict[int, tuple[Any, Any]] = {}  # tensors whose first gradient the run has seen, with it

    def found(self, tensor: Any) -> None:
        """The program looks at a gradient."""
        if id(tensor) not in self._before and id(tensor) not in self.depends:
            self.depends[id(tensor)] = (tensor, tensor._grad)
        super().found(tensor)

    def arriving(self, tensor: Any, gradient: Any) -> Any:
        if not isinstance(tensor._grad, Perhaps):
            self.found(tensor)
        self._before_adding(tensor)
        return gradient

    def stays(self, tensor: Any, before: Any) -> None:
        if id(tensor) in self._before and self._before[id(tensor)][1] is before:
            self.depends.setdefault(id(tensor), (tensor, before))

    def settle(self) -> None:
        """What is left stays; there is nothing to put anywhere."""

    def release(self) -> None:
        """Let go of every tensor."""
        self._before.clear()
        self.depends.clear()

    def touched(self) -> list[Any]:
        """The tensors whose gradients the run has read or set."""
        found = {id(tensor): tensor for tensor, _ in self.depends.values()}
        return list((found | {id(tensor): tensor for tensor, _, _ in self._before.values()}).values())

    def left(self) -> list[tuple[Any, Any]]:
        """Tensors whose gradient is another one now, with it."""
        return [(tensor, tensor._grad) for tensor, old, _ in self._before.values() if tensor._grad is not old]


class LiveLedger(CaptureLedger):
    """What the program reads of tensors: all but their layout is part of a variant's signature."""

    def read(self, kind: str, what: str, value: Any) -> None:
        if kind == "layout" and not is_internal(sys._getframe(2).f_code.co_filename):
            raise CaptureError(
                f"the function reads how a tensor lies in memory: {what}",
                location=here(),
                advice="use contiguous(), or read it outside of the compiled function",
            )
        super().read(kind, what, value)


class LiveTracer(Tracer):
    """A tracer whose state are the tensors themselves.

    Args:
        labels: names for tensors that are watched, by their `id`.
    """

    def __init__(self, name: str, labels: dict[int, str]) -> None:
        super().__init__(name, {})
        self.labels = labels
        self.ledger = LiveLedger(self)
        self.live = LiveGradients(self)
        self._grads = self.live
        self.unknown: list[tuple[str, Any]] = []
        self.nodes: dict[int, tuple[Any, Any]] = {}
        self.versions: list[tuple[Any, int]] = []

    def _external(self, tensor: Any) -> Value:
        if tensor._base is not None:
            view = replay(tensor._base, tensor._chain)
            self.value_of(view)
            if self.regions.depth:
                self.regions.stack[-1].derived(tensor)
            self.adopt(tensor, view._trace)
            return view._trace[1]
        label = self.labels.get(id(tensor))
        key = self._free(label or f"tensor.{len(self.unknown)}")
        value = self.graph.add_state(key, type_of(tensor._array))
        self._externals[id(tensor)] = (key, tensor, value)
        self.state[key] = (tensor, value)
        self.nodes[id(tensor)] = (tensor, tensor._node)
        storage = storage_of(tensor)
        self.versions.append((storage, storage.version))
        if label is None:
            self.unknown.append((key, tensor))
        constant = label is None and not isinstance(value.type, KeyType)  # a draw is another one at each call
        self.adopt(tensor, (self, value, constant))
        return value

    @property
    def keeps_user_gradients(self) -> bool:  # type: ignore[override]
        """Gradients are taken within the run, from the tape; through branches and loops, from their nodes."""
        return bool(self.regions.depth)

    def is_known_state(self, tensor: Any) -> bool:
        return id(tensor) in self.labels

    def _free(self, wanted: str) -> str:
        key, number = wanted, 1
        while key in self.graph.state:
            key, number = f"{wanted}.{number}", number + 1
        return key

    def label(self, tensor: Any) -> str:
        """A tensor's path, for people."""
        return self.labels.get(id(tensor), "a tensor")

    def restore(self) -> None:
        super().restore()
        for tensor, node in self.nodes.values():
            tensor._node = node
        for storage, version in self.versions:
            storage.version = version

    def release(self) -> None:
        """Let go of every tensor."""
        for held in (self._externals, self.state, self._snapshots, self.nodes, self._touched, self._written):
            held.clear()
        self.live.release()
        self.regions.let_go()
        self.unrecorded.release()

    def close(self, outputs: Sequence[Any]) -> None:
        """The graph's results, and what its state is at the end."""
        results = [self.value_of(x) for x in outputs]
        self._refuse_shared_memory()
        for tensor, node in self.nodes.values():
            if tensor._node is not node:
                tensor._node = node
                raise CaptureError(
                    f"the function changes what {self.label(tensor)} is computed from, or its requires_grad",
                    location=here(),
                    context=self.context,
                    advice="do it outside of the compiled function, or detach() what is assigned",
                )
        now = {key: self.value_of(tensor) for key, (tensor, _) in self.state.items()}
        updates = {key: value for key, value in now.items() if value is not self.state[key][1]}
        self.graph.set_return(results, updates)
