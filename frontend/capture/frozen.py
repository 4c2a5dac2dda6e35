"""`frozen_ok`: the user's word that what becomes a Python value may be frozen."""

from __future__ import annotations

from contextlib import ContextDecorator
from types import TracebackType
from typing import Any

from ..mode import mode

__all__ = ["frozen_ok"]


class frozen_ok(ContextDecorator):
    """Let a capture freeze what leaves the program inside: numbers taken from tensors, decisions on tensors' values,
    random numbers of Python and NumPy. Each is an entry of `program.ledger`, with the reason.

    A context manager and a decorator; it does nothing while no capture runs. The check after a trace still tells where
    what was frozen makes the program differ from its function: where that is wanted, `check=False`.

    Args:
        reason: why it may be frozen, for the ledger.

    >>> import ingot
    >>> def f(x):
    ...     with ingot.jit.frozen_ok("the scale of the first batch is good enough"):
    ...         scale = float(x.abs().max())
    ...     return x / scale
    >>> program = ingot.jit.trace(f, ingot.tensor([1.0, -2.0]), check=False)
    >>> program(ingot.tensor([4.0, 4.0]))
    tensor([2., 2.])
    """

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        self._outer: list[tuple[Any, str | None]] = []

    def __enter__(self) -> frozen_ok:
        tracer = mode.tracer
        if tracer is not None:
            # What was drawn before is judged by what held then.
            tracer.ledger.look_at_random()
            self._outer.append((tracer, tracer.frozen_ok))
            tracer.frozen_ok = self.reason
        else:
            self._outer.append((None, None))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tracer, before = self._outer.pop()
        if tracer is not None:
            tracer.ledger.look_at_random()
            tracer.frozen_ok = before
