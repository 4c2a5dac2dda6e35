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
        if id(tensor) not in self._before:
            self._before[id(tensor)] = (tensor, tensor._grad, here())

    def arriving(self, tensor: Any, gradient: Any) -> Any:
        """What `backward` adds to a leaf's `.grad`. Where the leaf outlives the run and has none, the next call may
        find one: it is added to state that is zero at first."""
        first = id(tensor) not in self._before
        self.keep(tensor)
        if not first or tensor._grad is not None or not self._tracer.is_external(tensor):
            return gradient
        key = self._tracer.free_key(f"{self._tracer.key_of(tensor)}.grad")
        found = wrap(np.zeros_like(gradient._array))
        self._tracer.add_state(key, found)
        total = EAGER.add(found, gradient)
        self._sums.append((key, tensor, found, total, gradient))
        return total

    def settle(self) -> None:
        """At the end of the run: make state of what is left for the next call.

        Raises:
            CaptureError: when the run has read a gradient that later calls will not find.
        """
        for key, tensor, found, total, gradient in self._sums:
            if tensor._grad is None:
                node = total._trace[1].node
                node.replace_with([gradient._trace[1]])
                self._tracer.drop_state(key)
            else:
                self._tracer.replace_at_end(found, tensor._grad)
        for tensor, old, location in self._before.values():
            if old is None or not self._tracer.has_read(old) or tensor._grad is old:
                continue
            if tensor._grad is None:
                raise CaptureError(
                    "the program reads a gradient from before it, which later calls will not find",
                    location=location,
                    context=self._tracer.context,
                    advice="call zero_grad() before tracing, or first in the program",
                )
            self._tracer.replace_at_end(old, tensor._grad)

    def restore(self) -> None:
        """Put every gradient back."""
        for tensor, old, _ in self._before.values():
            tensor._grad = old
