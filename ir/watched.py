"""Values that a run shows on the way, to whoever has asked: the run-time part of `prim::Watch`.

What lives here: who listens in this thread, and what is kept. Which values a program shows is the subject of
`program.watch`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import numpy as np

__all__ = ["listening", "show"]

_LISTENER: Final[ContextVar[list[tuple[int, Any]] | None]] = ContextVar("ingot_watched", default=None)


@contextmanager
def listening() -> Iterator[list[tuple[int, Any]]]:
    """Collect what the runs within the `with` block show: pairs of a place's number and a value, in order.

    >>> with listening() as shown:
    ...     _ = show(3.0, place=0)
    >>> shown
    [(0, 3.0)]
    """
    shown: list[tuple[int, Any]] = []
    token = _LISTENER.set(shown)
    try:
        yield shown
    finally:
        _LISTENER.reset(token)


def show(value: Any, *, place: int) -> tuple[()]:
    """The kernel of `prim::Watch`: a copy of the value goes to who listens, if anyone does."""
    shown = _LISTENER.get()
    if shown is not None:
        shown.append((place, _copied(value)))
    return ()


def _copied(value: Any) -> Any:
    """A value that outlasts the memory it was computed in."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(_copied, value))
    if isinstance(value, np.generic):
        return np.asarray(value)
    return value.copy() if hasattr(value, "dtype") else value
