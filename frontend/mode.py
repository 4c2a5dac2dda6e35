"""What the current thread is doing: recording gradients, capturing a graph."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Mode", "mode"]


class Mode(threading.local):
    """Per-thread switches.

    Attributes:
        grad: whether operations on tensors that require a gradient are recorded.
        tracer: the capture in progress, or None.
        scripting: whether modules that are called have the control flow of their `forward` captured.
        plain: whether what `jit.script` and `ingot.compile` made runs as the Python that it was made from.
    """

    grad: bool = True
    tracer: Any = None
    scripting: bool = False
    plain: bool = False

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Compute without capturing: for what must exist before a captured program runs, such as an optimizer's
        first momentum."""
        tracer, self.tracer = self.tracer, None
        try:
            yield
        finally:
            self.tracer = tracer


mode = Mode()
