"""Where the user's code changes a Python object: for the errors about changes that a graph cannot follow.

The code has run once already. It runs again with a line tracer, which compares the place after each line. That is slow,
and done for an error alone.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from types import FrameType
from typing import Any, Final

from ...ir.errors import IngotError
from ...ir.locations import Location, is_internal, resolve

__all__ = ["line_of_change"]

_LIBRARY: Final = tuple({sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib")})


def line_of_change(run: Callable[[], Any], read: Callable[[], Any]) -> Location | None:
    """The line of the user's, in `run` or what it calls, after which `read` gives another object than before it.

    Args:
        run: does the change; what else it does is the caller's to undo.
        read: what the place holds.
    """
    watch = _Watch(read)
    before = sys.gettrace()
    sys.settrace(watch.frame)
    try:
        with suppress(IngotError):  # refused this time for another reason: what was found until then counts
            run()
    finally:
        sys.settrace(before)
    watch.look()
    return watch.found


class _Watch:
    def __init__(self, read: Callable[[], Any]) -> None:
        self._read = read
        self._before = read()
        self._last: tuple[Any, int] | None = None
        self.found: Location | None = None

    def frame(self, frame: FrameType, event: str, _: Any) -> Any:
        """A trace function: frames that are not the user's are left alone, what they call is looked at."""
        if self.found is not None or not _is_users(frame):
            return None
        self.look()
        return self._line

    def _line(self, frame: FrameType, event: str, _: Any) -> Any:
        self.look()
        if self.found is not None:
            return None
        if event == "line":
            self._last = frame.f_code, frame.f_lasti
        elif event == "return":
            caller = frame.f_back
            while caller is not None and not _is_users(caller):
                caller = caller.f_back
            self._last = None if caller is None else (caller.f_code, caller.f_lasti)
        return self._line

    def look(self) -> None:
        """Whether the line that ran last made the change."""
        if self.found is None and self._last is not None and self._read() is not self._before:
            self.found = _whole_line(resolve(self._last))


def _is_users(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    return not is_internal(file) and not file.startswith(_LIBRARY)


def _whole_line(found: Location) -> Location:
    text = found.source
    start = len(text) - len(text.lstrip()) + 1
    return replace(found, column=start, end_line=found.line, end_column=len(text) + 1)
