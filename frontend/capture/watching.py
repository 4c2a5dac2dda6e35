"""Which lines of the user's code run during a capture: told by Python's own hooks, in the thread that captures.

`sys.settrace` before Python 3.12, `sys.monitoring` from there on. Where a debugger or a coverage tool has taken
`sys.settrace`, it is left alone, and only code that calls operations is seen (`Watch.hooked` is false).
"""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
from collections.abc import Callable
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any, Final

from ...ir.locations import is_internal

__all__ = ["Watch", "is_users"]

_STANDARD: Final = os.path.abspath(sysconfig.get_path("stdlib")) + os.sep
_SITE: Final = (_STANDARD + "site-packages" + os.sep, _STANDARD + "dist-packages" + os.sep)
_NUMPY: Final = os.sep + "numpy" + os.sep


@lru_cache(maxsize=4096)
def is_users(filename: str) -> bool:
    """Whether code of this file is neither Ingot's own nor Python's or NumPy's."""
    if is_internal(filename) or (filename.startswith(_STANDARD) and not filename.startswith(_SITE)):
        return False
    return _NUMPY not in filename


class Watch:
    """Calls `line(frame)` before each line of the user's code, for functions that `wanted(code)` asks for."""

    def __init__(self, wanted: Callable[[CodeType], bool], line: Callable[[FrameType], None]) -> None:
        self._wanted = wanted
        self._line = line
        self._running = False
        self._depth = 0
        # Kept, so that it can be told from what others install.
        self._hook = self._on_call

    @property
    def hooked(self) -> bool:
        """Whether lines are reported."""
        return self._running

    def start(self) -> None:
        """Begin to watch the present thread."""
        if sys.version_info >= (3, 12):
            self._running = _monitor.add(self)
        elif sys.gettrace() is None:
            self._running = True
            sys.settrace(self._hook)

    def stop(self) -> None:
        """Watch no longer."""
        was, self._running = self._running, False
        if sys.version_info >= (3, 12):
            if was:
                _monitor.remove(self)
        elif sys.gettrace() is self._hook:  # somebody who had taken the place may have given it back since
            sys.settrace(None)

    if sys.version_info >= (3, 12):

        def pause(self) -> None:
            """Package code runs from here to `resume`, at full speed."""

        def resume(self) -> None:
            """Back to the user's code."""

    else:

        def pause(self) -> None:
            """Package code runs from here to `resume`, at full speed."""
            self._depth += 1
            if self._running and self._depth == 1:
                # Someone else's, such as a debugger's that the program has started, keeps the place.
                self._running = sys.gettrace() is self._hook
                if self._running:
                    sys.settrace(None)

        def resume(self) -> None:
            """Back to the user's code."""
            self._depth -= 1
            if self._running and not self._depth:
                sys.settrace(self._hook)

    # ------------------------------------------------------------------------------------------ sys.settrace

    def _on_call(self, frame: FrameType, event: str, arg: Any) -> Any:
        code = frame.f_code
        return self._on_event if is_users(code.co_filename) and self._wanted(code) else None

    def _on_event(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "line":
            self._line(frame)
        return self._on_event

    # --------------------------------------------------------------------------------------- sys.monitoring

    def wants(self, code: CodeType) -> bool:
        """Whether lines of a user's code object are to be told."""
        return self._wanted(code)

    def tell(self, frame: FrameType) -> None:
        """A line is about to run."""
        self._line(frame)


class _Monitor:
    """`sys.monitoring` is one for all threads: captures in several threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watches: dict[int, Watch] = {}  # by thread
        self._tool: int | None = None
        self._lines: dict[int, CodeType] = {}  # by id: comparing code objects takes as long as they are

    def add(self, watch: Watch) -> bool:
        """Report the present thread's lines; false where no place is left for one more tool."""
        with self._lock:
            if self._tool is None:
                self._tool = self._begin()
            if self._tool is not None:
                self._watches[threading.get_ident()] = watch
            return self._tool is not None

    def remove(self, watch: Watch) -> None:
        with self._lock:
            self._watches = {thread: other for thread, other in self._watches.items() if other is not watch}
            if not self._watches and self._tool is not None:
                self._end(self._tool)
                self._tool = None

    def _begin(self) -> int | None:
        monitoring: Any = getattr(sys, "monitoring")  # noqa: B009  (unknown to type checkers of 3.11)
        tool = next((i for i in (4, 3) if monitoring.get_tool(i) is None), None)
        if tool is not None:
            monitoring.use_tool_id(tool, "ingot")
            monitoring.register_callback(tool, monitoring.events.PY_START, self._started)
            monitoring.register_callback(tool, monitoring.events.LINE, self._reached)
            monitoring.set_events(tool, monitoring.events.PY_START)
        return tool

    def _end(self, tool: int) -> None:
        monitoring: Any = getattr(sys, "monitoring")  # noqa: B009
        for code in self._lines.values():
            monitoring.set_local_events(tool, code, 0)
        self._lines.clear()
        monitoring.set_events(tool, 0)
        monitoring.register_callback(tool, monitoring.events.PY_START, None)
        monitoring.register_callback(tool, monitoring.events.LINE, None)
        monitoring.free_tool_id(tool)

    def _started(self, code: CodeType, offset: int) -> Any:
        monitoring: Any = getattr(sys, "monitoring")  # noqa: B009
        if not is_users(code.co_filename):
            return monitoring.DISABLE  # for good: it costs nothing from here on
        watch = self._watches.get(threading.get_ident())
        if watch is not None and self._tool is not None and id(code) not in self._lines and watch.wants(code):
            self._lines[id(code)] = code
            monitoring.set_local_events(self._tool, code, monitoring.events.LINE)
        return None

    def _reached(self, code: CodeType, line: int) -> Any:
        watch = self._watches.get(threading.get_ident())
        if watch is not None:
            watch.tell(sys._getframe(1))
        return None


_monitor: Final = _Monitor()
