"""Tensors that share memory or not, as the run decides: what a captured branch or loop hands on.

A branch may hand on a tensor from outside of it, or a view on one; a loop of no iterations hands on what was there
before. In the graph its output is a value of its own. That is right as long as neither is changed in place afterwards;
such a change is refused here.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ...ir.errors import CaptureError
from ...ir.locations import Location, here
from ...ir.node import Value
from ..tensor_base import TensorBase

__all__ = ["Sharing", "base_of"]


def base_of(tensor: Any) -> Any:
    """The tensor that owns a tensor's memory."""
    return tensor if tensor._base is None else tensor._base


class Sharing:
    """The pairs of tensors that may share memory."""

    def __init__(self, context: str) -> None:
        self._context = context
        self._pairs: list[tuple[weakref.ref[Any], weakref.ref[Any], Location | None]] = []
        self.lost: dict[Value, Location | None] = {}
        self._exempt: list[Any] = []

    def perhaps(self, output: Any, other: Any, location: Location | None) -> None:
        """Note that an output of the branch or loop at `location` may be another tensor's memory."""
        if isinstance(output, TensorBase) and isinstance(other, TensorBase) and base_of(other) is not output:
            self._pairs.append((weakref.ref(output), weakref.ref(base_of(other)), location))

    def kin(self, tensor: Any) -> list[Any]:
        """The owners of memory that a tensor may share, its own first: inner branches and loops hand tensors on."""
        partners: dict[int, list[Any]] = {}
        alive = []
        for pair in self._pairs:
            output, other = pair[0](), pair[1]()
            if output is not None and other is not None:
                alive.append(pair)
                partners.setdefault(id(output), []).append(other)
                partners.setdefault(id(other), []).append(output)
        self._pairs = alive
        found = {id(base_of(tensor)): base_of(tensor)}
        waiting = list(found.values())
        while waiting:
            for partner in partners.get(id(waiting.pop()), ()):
                if id(partner) not in found:
                    found[id(partner)] = partner
                    waiting.append(partner)
        return list(found.values())

    def among(self, outputs: Sequence[Any], handed_on: Sequence[Any], location: Location | None) -> None:
        """Note which outputs may be one memory, from what the block behind them hands on."""
        first: dict[int, Any] = {}
        for output, given in zip(outputs, handed_on, strict=True):
            if isinstance(given, TensorBase):
                self.perhaps(output, first.setdefault(id(base_of(given)), output), location)

    @contextmanager
    def exempt(self, tensors: Sequence[Any]) -> Iterator[None]:
        """Code that runs only where nobody reads these tensors: it may change what they perhaps share."""
        before, self._exempt = self._exempt, [*self._exempt, *tensors]
        try:
            yield
        finally:
            self._exempt = before

    def lose(self, value: Value, location: Location | None) -> None:
        """Note a value that a tensor had before a loop whose first iteration alone changes it, at `location`."""
        self.lost[value] = location

    def refuse_use(self, value: Value) -> None:
        """A value is an operand, or a result.

        Raises:
            CaptureError: when the tensor that had it has got another one in a loop.
        """
        if value in self.lost:
            raise CaptureError(
                "the first iteration of a loop changes a tensor in place that the others do not change, and it is used",
                expected="iterations that do the same",
                found="a name that stands for another tensor after the first iteration",
                location=self.lost[value],
                context=self._context,
                advice="write the change as a new tensor: y = y + 1 in place of y += 1; or clone() it before the loop",
            )

    def refuse_write(self, base: Any) -> None:
        """A tensor is about to be changed in place.

        Raises:
            CaptureError: when another one that is still in use may have the same memory.
        """
        found = self._pair_of(base)
        if found is not None:
            gc.collect()  # what nothing but a cycle holds is out of use
            found = self._pair_of(base)
        if found is not None:
            raise CaptureError(
                "an in-place change of a tensor that shares its memory with another, or not, as the run decides",
                expected="memory of its own",
                found=f"what the branch or loop at {found} hands on may be that memory",
                location=here(),
                context=self._context,
                advice="hand on a clone() from the branch or loop, or write the change as a new tensor: y = y + 1 in "
                "place of y += 1",
            )

    def _pair_of(self, base: Any) -> Location | None:
        for output, other, location in self._pairs:
            pair = output(), other()
            if pair[0] is None or pair[1] is None or any(x is tensor for x in self._exempt for tensor in pair):
                continue
            if any(base is tensor for tensor in pair):
                return location
        return None
