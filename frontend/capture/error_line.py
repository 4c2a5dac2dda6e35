"""Errors that captured code raises: which are the user's own, and the user's line that raised one.

Where a Python object was changed is the subject of `change_line`.
"""

from __future__ import annotations

import dis
from collections import Counter

from ...ir.locations import Location, is_internal, resolve

__all__ = ["is_users", "line_of_error"]


def is_users(error: Exception) -> bool:
    """Whether the user's code raises an error on purpose, or Python does for reasons that no run-time value has."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if isinstance(error, AssertionError) or trace is None:
        return True
    code = trace.tb_frame.f_code
    if is_internal(code.co_filename):
        return False
    if not isinstance(error, (TypeError, AttributeError)):
        return True
    return any(i.opname == "RAISE_VARARGS" and i.offset == trace.tb_lasti for i in dis.get_instructions(code))


def line_of_error(error: Exception, repeated: bool = False) -> Location | None:
    """The user's line that raised an error, or the one that is there most often."""
    marks = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if not is_internal(code.co_filename):
            marks.append((code, trace.tb_lasti))
        trace = trace.tb_next
    if not marks:
        return None
    return resolve(Counter(marks).most_common(1)[0][0] if repeated else marks[-1])
