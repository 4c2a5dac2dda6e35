"""Loaded NumPy source: plans are kept by sizes, and each is used by one call at a time."""

from __future__ import annotations

import itertools
import linecache
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final

from ...ir.arrays import quiet_reset, quiet_set
from ...ir.interpreter import located_error
from ..backend import Executable, Source
from . import runtime
from .embed import STAND_IN_ERRORS

__all__ = ["NumpyExecutable"]

_PLANS: Final = 16  # size bindings whose buffers are kept
_POOL: Final = runtime.Pool

_count = itertools.count()


class NumpyExecutable(Executable):
    """A graph that runs on NumPy. Calls may come from several threads at once: each takes a plan of its own."""

    def __init__(self, source: Source) -> None:
        self.source = source
        facts = source.facts
        self._file = f"<ingot numpy source {next(_count)}>"
        namespace: dict[str, Any] = {"__name__": "ingot_numpy_source"}
        exec(compile(source.text, self._file, "exec", dont_inherit=True), namespace)
        # In a process with Ingot, all sources share one pool of threads, and errors are Ingot's.
        if "Pool" in namespace:
            namespace["Pool"] = runtime.Pool
        for name in STAND_IN_ERRORS.keys() & namespace.keys():
            namespace[name] = STAND_IN_ERRORS[name]
        linecache.cache[self._file] = (len(source.text), None, source.text.splitlines(True), self._file)
        self._plan = namespace["plan"]
        self._compute = namespace["compute"]
        self._sizes: tuple[str, ...] = facts["sizes"]
        self._state: tuple[str, ...] = facts["state"]
        self._updates: tuple[str, ...] = facts["updates"]
        self._plans: OrderedDict[tuple[int, tuple[int, ...]], list[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def __del__(self) -> None:
        linecache.cache.pop(self._file, None)

    def __call__(
        self, inputs: Sequence[Any], state: Mapping[str, Any], sizes: Mapping[str, int]
    ) -> tuple[list[Any], dict[str, Any]]:
        key = tuple([sizes[name] for name in self._sizes]) if self._sizes else ()
        place = (_POOL.own.most or _POOL.most, key)  # a plan cuts its work for so many threads
        plans = self._plans.get(place)
        if plans is None:
            plans = self._plans_for(place)
        try:
            plan = plans.pop()
        except IndexError:
            plan = self._plan(self.source.constants, *key)
        token = quiet_set()
        try:
            outputs, updates = self._compute(plan, inputs, [state[name] for name in self._state] if self._state else ())
        except Exception as error:
            found = self._located(error)
            if found is error:
                raise
            raise found from error
        finally:
            quiet_reset(token)
        # After an error a plan is dropped: threads may still be at work in its buffers.
        plans.append(plan)
        return list(outputs), dict(zip(self._updates, updates, strict=True)) if updates else {}

    def _plans_for(self, place: tuple[int, tuple[int, ...]]) -> list[Any]:
        with self._lock:
            plans = self._plans.setdefault(place, [])
            if len(self._plans) > _PLANS:
                self._plans.popitem(last=False)
        return plans

    def _located(self, error: Exception) -> Exception:
        """The error with the user's line, found from the line of the source that raised it."""
        lines = self.source.facts["lines"]
        found = None
        trace: TracebackType | None = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == self._file and trace.tb_lineno in lines:
                found = lines[trace.tb_lineno]
            trace = trace.tb_next
        if found is None:
            return error
        op, location, path = found
        return located_error(error, op, location, path, f"while running @{self.source.facts['name']}")
