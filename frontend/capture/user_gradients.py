"""The gradients of users in a capture, after the call: what becomes of what they read, and of what they are given.

How a call is captured is in `function_calls`, and how its backward is in `captured_backward`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ...ir.block import Block
from ...ir.locations import here
from ...ir.node import Node
from ...passes.user_gradients import makes_zeros, not_zero
from ..storage import storage_of
from ..tensor_base import TensorBase
from .reach import Reach
from .sharing import base_of

if TYPE_CHECKING:
    from ..function import Function, FunctionCtx

__all__ = ["UserGradients", "nodes_behind", "why_missing"]


class UserGradients:
    """The users' gradients of one capture, which read what the program may change until somebody differentiates it.

    Attributes:
        uncertain: whether gradients that the run takes may be zeros that stand for none.
    """

    def __init__(self) -> None:
        self.uncertain = False
        self._reads: dict[int, tuple[Any, list[Node]]] = {}  # by the `id` of the memory
        self._reach: list[tuple[Reach, Node]] = []

    def add(self, tracer: Any, node: Node, read: Sequence[Any], reach: Reach) -> None:
        """Note what a backward reads that it did not save: it would find it as it is at the end."""
        for tensor in read:
            storage = storage_of(tensor)
            self._reads.setdefault(id(storage), (storage, []))[1].append(node)
            if any(id(base_of(tensor)) in region.changed for region in tracer.regions.stack):
                self.written(tensor)  # by this iteration of a loop, perhaps, and by the next one again
        self._reach.append((reach, node))

    def written(self, base: Any) -> None:
        """A tensor is about to be changed in place."""
        for node in self._reads[id(base._storage)][1] if id(base._storage) in self._reads else ():
            _refuse(node, "reads a tensor that the program changes after the call, and has not saved it")

    def settle(self) -> None:
        """Look for Python values that have become others since."""
        for reach, node in self._reach:
            change = next(reach.changes(), None) if not node.attrs["why"] else None
            if change is not None:
                _refuse(node, f"reads {change.path}, which the program changes after the call")

    def walked(
        self, tracer: Any, cls: type[Function], ctx: FunctionCtx, slots: Sequence[Any], walk: Callable[[], list[Any]]
    ) -> list[Any]:
        """What a backward gives that the run itself calls.

        Raises:
            GradientError: when zeros may have been given to it that stand for nothing, and it does not make zeros of
                them.
        """
        if not self.uncertain:
            return walk()
        given = [tracer.value_of(g) for g in slots if g is not None]
        block = tracer.builder.point.block
        last = block.nodes.last
        found = walk()
        results = [tracer.value_of(x) for x in found if isinstance(x, TensorBase)]
        whole = not ctx._materialize and len(slots) > 1
        if whole or not makes_zeros(nodes_behind(block, last), given, results):
            raise not_zero(cls.__name__).located(here(), tracer.module_path, tracer.context)
        return found

    def release(self) -> None:
        """Let go of every tensor."""
        self._reads.clear()
        self._reach.clear()


def why_missing(function: str, what: str) -> str:
    """What to say of a gradient that is not part of a program."""
    return f"the gradient of {function} is not part of the program: its backward {what}"


def _refuse(node: Node, what: str) -> None:
    node.attrs["why"] = why_missing(node.attrs["function"], what)


def nodes_behind(block: Block, last: Node | None) -> Iterator[Node]:
    """The nodes of a block behind one of them; all behind None."""
    node = block.nodes.first if last is None else last.next
    while node is not None:
        yield node
        node = node.next
