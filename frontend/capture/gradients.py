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
from .gradient_cells import Perhaps

__all__ = ["Gradients"]


class Gradients:
    """Every `.grad` that the run has changed, with what was there before."""

    def __init__(self, tracer: Any) -> None:
        self._tracer = tracer
        self._before: dict[int, tuple[Any, Any, Any]] = {}  # tensor, its gradient, the line of the first change
        self._sums: list[tuple[str, Any, Any, Any, Any]] = []  # key, tensor, state, sum, gradient
        self._started: list[tuple[str, Any, Any]] = []  # key, tensor, state

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
        if isinstance(tensor._grad, Perhaps):
            self.keep(tensor)
            tensor._grad = tensor._grad.read(self._tracer)

    def stays(self, tensor: Any, before: Any) -> None:
        """A branch or loop may leave a tensor the gradient that it had before."""

    def _before_adding(self, tensor: Any) -> None:
        """What may be none is zeros where it is, to which another can be added."""
        self.keep(tensor)
        if isinstance(tensor._grad, Perhaps):
            tensor._grad = tensor._grad.value

    def _start(self, tensor: Any) -> None:
        """Let a leaf that has no gradient before a branch or loop have what the call before has left: zeros at first,
        which stand for none."""
        self._before[id(tensor)] = (tensor, None, here())
        found = wrap(np.zeros(tensor._array.shape, tensor._array.dtype))
        key = self._tracer.keys.claim_gradient(tensor, found)
        self._tracer.add_state(key, found)
        self._started.append((key, tensor, found))
        tensor._grad = Perhaps(False, found)

    def arriving(self, tensor: Any, gradient: Any) -> Any:
        """What `backward` adds to a leaf's `.grad`. Where the leaf outlives the run and has none, the next call may
        find one: it is added to state that is zero at first."""
        first = id(tensor) not in self._before
        if first and tensor._grad is None and self._tracer.regions.depth and self._tracer.is_external(tensor):
            self._start(tensor)
        self._before_adding(tensor)
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
                self._tracer.replace_at_end(found, _at_end(tensor._grad))
        for key, tensor, found in self._started:
            if tensor._grad is None or (isinstance(tensor._grad, Perhaps) and tensor._grad.flag is False):
                value = found._trace[1]
                value.replace_uses(self._tracer.builder_at_start().constant(np.zeros_like(found._array)))
                self._tracer.drop_state(key)
            else:
                self._tracer.replace_at_end(found, _at_end(tensor._grad))
        for tensor, old, location in self._before.values():
            if (
                old is not None
                and old._base is not None
                and self._tracer.has_read(old._base)
                and tensor._grad is not old
            ):
                raise CaptureError(
                    "the program reads a gradient from before it, and puts another in its place",
                    expected="a gradient in memory of its own, for the next call to find",
                    found="a view of another tensor",
                    location=location,
                    context=self._tracer.context,
                    advice="p.grad = p.grad.clone() before tracing",
                )
            if old is None or not self._tracer.has_read(old) or tensor._grad is old or self._tracer.keys.shares(old):
                continue
            if tensor._grad is None or isinstance(tensor._grad, Perhaps):
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
        started = {id(state): tensor for _, tensor, state in self._started}
        return found | started | {id(state): tensor for _, tensor, state, _, _ in self._sums}

    def _leave(self, old: Any, new: Any, location: Any) -> None:
        """Another entry point finds `new` where this one found `old`."""
        if new is None or isinstance(new, Perhaps):
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


def _at_end(gradient: Any) -> Any:
    """What the next call finds: zeros where there is none."""
    return gradient.value if isinstance(gradient, Perhaps) else gradient
