"""The `.grad` of tensors while a program is traced.

A gradient that the program finds, or adds to, and leaves behind is state: the next call finds what this one left. One
that the program sets to None before it reads it, or leaves as None, is not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ir.errors import CaptureError
from ...ir.locations import here
from ..dispatch import EAGER
from ..tensor_base import wrap

__all__ = ["Gradients"]


class Gradients:
    """Every `.grad` that the run has changed, with what was there before."""

    def __init__(self, tracer: Any) -> None:
        self._tracer = tracer
        self._before: dict[int, tuple[Any, Any, Any]] = {}  # tensor, its gradient, the line of the first change
        self._sums: list[tuple[str, Any, Any, Any, Any]] = []  # key, tensor, state, sum, gradient

    def keep(self, tensor: Any) -> None:
        """Remember a tensor's gradient before its first change."""
        self._tracer.regions.before_gradient(tensor)
        if id(tensor) not in self._before:
            self._before[id(tensor)] = (tensor, tensor._grad, here())

    def line_of(self, tensor: Any) -> Any:
        """Where a tensor's gradient was first changed, if it was."""
        return self._before[id(tensor)][2] if id(tensor) in self._before else None

    def found(self, tensor: Any) -> None:
        """The program looks at a gradient."""

    def arriving(self, tensor: Any, gradient: Any) -> Any:
        """What `backward` adds to a leaf's `.grad`. Where the leaf outlives the run and has none, the next call may
        find one: it is added to state that is zero at first."""
        first = id(tensor) not in self._before
        self.keep(tensor)
        if not first or tensor._grad is not None or not self._tracer.is_external(tensor):
            return gradient
        found = wrap(np.zeros_like(gradient._array))
        key = self._tracer.keys.claim_gradient(tensor, found)
        self._tracer.add_state(key, found)
        total = EAGER.add(found, gradient)
        self._sums.append((key, tensor, found, total, gradient))
        return total

    def settle(self) -> None:
        """At the end of the run: make state of what is left for the next call.

        Raises:
            CaptureError: when the run has read a gradient that later calls will not find.
        """
        for tensor, old, location in self._before.values():
            if old is None and tensor._grad is not None and self._tracer.is_external(tensor):
                self._tracer.keys.gradients[id(tensor)] = tensor
            elif self._tracer.keys.shares(old) and tensor._grad is not old:
                self._leave(old, tensor._grad, location)
        for key, tensor, found, total, gradient in self._sums:
            if tensor._grad is None:
                node = total._trace[1].node
                node.replace_with([gradient._trace[1]])
                self._tracer.drop_state(key)
            else:
                self._tracer.replace_at_end(found, tensor._grad)
        for tensor, old, location in self._before.values():
            if old is None or not self._tracer.has_read(old) or tensor._grad is old or self._tracer.keys.shares(old):
                continue
            if tensor._grad is None:
                raise CaptureError(
                    "the program reads a gradient from before it, which later calls will not find",
                    location=location,
                    context=self._tracer.context,
                    advice="call zero_grad() before tracing, or first in the program",
                )
            self._tracer.replace_at_end(old, tensor._grad)

    def owners(self) -> dict[int, Any]:
        """The tensors whose `.grad` is state of the program, by the `id` of the tensor that stands for it."""
        found = {id(old): tensor for tensor, old, _ in self._before.values() if old is not None}
        return found | {id(state): tensor for _, tensor, state, _, _ in self._sums}

    def _leave(self, old: Any, new: Any, location: Any) -> None:
        """Another entry point finds `new` where this one found `old`."""
        if new is None:
            raise CaptureError(
                "the program takes away a gradient that another entry point leaves or reads",
                expected="a gradient of zeros in its place: an optimizer passes over one that is not there",
                location=location,
                context=self._tracer.context,
                advice="use zero_grad(set_to_none=False), or make one entry point of both",
            )
        self._tracer.value_of(old)
        self._tracer.replace_at_end(old, new)

    def restore(self) -> None:
        """Put every gradient back."""
        for tensor, old, _ in self._before.values():
            tensor._grad = old
