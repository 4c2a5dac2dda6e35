"""How many threads compute: for the process, for a thread of the user's, for a program.

Only fused groups of captured programs are cut into pieces for several threads. Matrix products are the array library's,
which has settings of its own (`OMP_NUM_THREADS`, `OPENBLAS_NUM_THREADS`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from ..backends.numpy.blocks import Pool, worker_count
from ..ir.errors import ArgumentError
from ..ir.locations import here

__all__ = ["get_num_threads", "limited", "set_num_threads"]


def set_num_threads(num_threads: int | None) -> None:
    """Let calls of captured programs use at most this many threads at once; None is what the environment says.

    >>> import ingot
    >>> ingot.set_num_threads(1)
    >>> ingot.get_num_threads()
    1
    >>> ingot.set_num_threads(None)
    """
    Pool.most = 0 if num_threads is None else _checked(num_threads)


def get_num_threads() -> int:
    """How many threads a call of a captured program uses at most: what `set_num_threads` said, or the environment
    variable `INGOT_NUM_THREADS`, or as many as there are processors."""
    return worker_count()


def _checked(count: Any) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ArgumentError(f"the number of threads is {count!r}", expected="an integer of at least 1", location=here())
    return count


def limited(count: int | None) -> Any:
    """Within the `with` block this thread's calls use at most so many threads; None changes nothing."""
    return _UNLIMITED if count is None else _limited(_checked(count))


_UNLIMITED = nullcontext()


@contextmanager
def _limited(count: int) -> Iterator[None]:
    before = Pool.own.most
    Pool.own.most = count
    try:
        yield
    finally:
        Pool.own.most = before
