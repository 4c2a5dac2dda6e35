"""Which lines of the user's code Python runs, and where two runs of one function part.

Used only when a check has found a difference: tracing lines makes Python many times slower.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from types import CodeType, FrameType
from typing import Any, Final

from ...ir.locations import Location, is_internal, resolve
from .code_names import is_users_module
from .time_limit import OutOfTime

__all__ = ["branch_between", "lines_of"]

Step = tuple[CodeType, int, int, int]  # code, line, instruction, number of frames below
_MOST: Final = 200_000  # steps; a run that takes more is stopped there
_WINDOW: Final = 400  # how far to look for the place where two runs come together again


def lines_of(run: Callable[[], Any]) -> list[Step]:
    """The lines of the user's code that a call runs, in order, an exception's included."""
    steps: list[Step] = []
    depths: dict[FrameType, int] = {}

    def local(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            if len(steps) >= _MOST:
                raise OutOfTime
            steps.append((frame.f_code, frame.f_lineno, frame.f_lasti, depths[frame]))
        elif event == "return":
            depths.pop(frame, None)
        return local

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        users = is_users_module(frame.f_globals.get("__name__")) and not is_internal(frame.f_code.co_filename)
        if not users:
            return None
        depths[frame] = _depth(frame)
        return local

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        # What the run raises is known already, and is part of the difference that is being explained.
        with suppress(Exception, OutOfTime):
            run()
    finally:
        sys.settrace(before)
    return steps


def _depth(frame: FrameType) -> int:
    found = 0
    below: FrameType | None = frame
    while below is not None:
        found, below = found + 1, below.f_back
    return found


def branch_between(first: Sequence[Step], second: Sequence[Step], wanted: Sequence[Location | None]) -> Location | None:
    """The line behind which two runs part: where they part before a line of `wanted`, else where they do so first."""
    lines = {(place.function, place.line) for place in wanted if place is not None}
    earliest: Step | None = None
    i = j = 0
    while i < len(first) and j < len(second):
        if first[i] == second[j]:
            i, j = i + 1, j + 1
            continue
        last = _deciding(first, i, second[j])
        earliest = earliest or last
        skip, other = _meeting(first[i : i + _WINDOW], second[j : j + _WINDOW])
        between = (*first[i : i + skip], *second[j : j + other])
        if not lines or any((_function(code), line) in lines for code, line, *_ in between):
            return _whole_line(last)
        i, j = i + skip, j + other
    return None if earliest is None else _whole_line(earliest)


def _deciding(first: Sequence[Step], i: int, other: Step) -> Step:
    """The step behind which the runs part: the last one before, but for those of functions that had returned."""
    deepest = max(first[i][3], other[3])
    codes = {step[0] for step in (first[i], other) if step[3] == deepest}
    for step in reversed(first[:i]):
        if step[3] < deepest or (step[3] == deepest and step[0] in codes):
            return step
    return first[i]


def _meeting(first: Sequence[Step], second: Sequence[Step]) -> tuple[int, int]:
    """How many steps each run goes before they do the same again; all of them where they do not."""
    places: dict[Step, int] = {}
    for j, step in enumerate(second):
        places.setdefault(step, j)
    best = len(first), len(second)
    for i, step in enumerate(first):
        if step in places and i + places[step] < sum(best):
            best = i, places[step]
        if i >= sum(best):
            break
    return best


def _function(code: CodeType) -> str:
    return code.co_qualname.replace("<locals>.", "")


def _whole_line(step: Step) -> Location:
    code, _, instruction, _ = step
    return replace(resolve((code, instruction)), column=0, end_column=0)
