"""A limit of time on a run of the user's function, which may go on forever for inputs that a check has made up.

The clock is looked at before each line of the user's code, by the hooks that `watching` describes: what is raised there
comes out of the user's own line, with the package's code in order. A single call that does not come back (an operation
on huge tensors, `time.sleep`, a lock), an empty `while True: pass`, code that catches `BaseException` and goes on, and
threads that the function starts are not stopped; nor is anything where a debugger or a coverage tool has taken Python's
hooks.
"""

from __future__ import annotations

import time
from opcode import opmap
from types import FrameType, TracebackType
from typing import Final

from .watching import Watch

__all__ = ["NEVER", "OutOfTime", "TimeLimit"]

NEVER: Final = float("inf")
_GRACE: Final = 0.25  # seconds for what stands in `finally`, and in the `__exit__` of what the user has entered
_NOP: Final = opmap["NOP"]


class OutOfTime(BaseException):
    """Raised in the user's code when its time is over. No `Exception`, so that the user's code does not take it for one
    of its own."""


class TimeLimit:
    """Stops what its `with` block calls when the time is over: the block ends there, without an exception.

    Args:
        deadline: by `time.perf_counter()`.

    Attributes:
        passed: whether the block was stopped.

    >>> with TimeLimit(time.perf_counter() + 60) as limit:
    ...     total = sum(range(10))
    >>> limit.passed, total
    (False, 45)
    """

    def __init__(self, deadline: float) -> None:
        self.passed = False
        self._deadline = deadline
        self._watch = Watch(lambda code: True, self._look)

    def __enter__(self) -> TimeLimit:
        if self._deadline != NEVER:
            self._watch.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        self._watch.stop()
        return self.passed and kind is OutOfTime

    def _look(self, frame: FrameType) -> None:
        """A line of the user's code is about to run."""
        now = time.perf_counter()
        if now > self._deadline:
            # A line such as `try:` is an instruction that does nothing, which the compiler may leave outside of the
            # `try` around it: what is raised there would pass its `finally` by. The next line will do.
            if frame.f_code.co_code[frame.f_lasti] == _NOP and now < self._deadline + _GRACE:
                return
            self.passed = True
            self._deadline = now + _GRACE
            raise OutOfTime
