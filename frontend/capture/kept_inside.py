"""What the tape inside of a captured branch or loop keeps for its way back: it must not be changed in place meanwhile.

A graph computes gradients from values, which nothing changes. A program that changes in place what the tape has kept
fails at its `backward()`. So that its capture does as well, what is kept inside is remembered behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...ir.errors import GradientError
from ...ir.node import Value
from ..storage import storage_of
from ..tape import Leaf, TapeNode
from ..tape_node import changed
from ..tensor_base import TensorBase

__all__ = ["Kept"]


class Kept:
    """What the nodes of the tape that one region has made keep, as it is at the region's end.

    Args:
        tensors: what the region hands on.
        began: the number of the first node that is the region's.

    Attributes:
        error: for something that was changed already.
    """

    def __init__(self, tensors: Iterable[Any], began: int) -> None:
        self.error: GradientError | None = None
        self._values: set[Value] = set()
        self._storages: dict[int, Any] = {}
        waiting = [x._node for x in tensors if isinstance(x, TensorBase) and x._node is not None]
        seen: set[int] = set()
        while waiting:
            node = waiting.pop()
            if id(node) in seen or isinstance(node, Leaf) or node.sequence < began:
                continue
            seen.add(id(node))
            waiting += [parent for parent, _ in node.parents]
            if isinstance(node, TapeNode):
                self._add(node)
            elif isinstance(inner := getattr(node, "kept", None), list):
                for storage, version in inner:
                    self._keep(node, storage, version)

    def _add(self, node: TapeNode) -> None:
        for x, version in node.saved or ():
            if isinstance(x, TensorBase):
                owner: Any = x
                self._keep(node, storage_of(owner), version)
                self._values.update([x._trace[1]] if x._trace is not None else ())
        for _, storage, version, trace in node.y or ():
            self._keep(node, storage, version)
            self._values.update([trace[1]] if trace is not None else ())

    def _keep(self, node: Any, storage: Any, version: int) -> None:
        self._storages[id(storage)] = storage
        if storage.version != version and self.error is None:
            self.error = changed(node, "what it has kept")

    def behind(self, pairs: Sequence[tuple[Value, Any]]) -> list[tuple[Any, int]]:
        """The storages with their versions, behind the branch or loop.

        Args:
            pairs: values inside, each with the tensor that stands for it outside.
        """
        kept: list[Any] = [x for value, x in pairs if isinstance(x, TensorBase) and value in self._values]
        outside = [storage_of(x) for x in kept]
        return [(storage, storage.version) for storage in (*self._storages.values(), *outside)]
