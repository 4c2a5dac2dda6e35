"""Where in the user's source something happened: file, line and columns.

A location is found in two steps, so that recording costs little: `mark()` keeps the code object and the
instruction of the nearest frame outside of the package, `resolve()` looks up columns and text later.
"""

from __future__ import annotations

import linecache
import os
import sys
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType, FrameType

import numpy as np

__all__ = ["Location", "Mark", "here", "is_internal", "mark", "positions", "resolve"]

_NUMPY = os.path.dirname(os.path.abspath(np.__file__)) + os.sep
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
# Tests, benchmarks and examples stand in the repository beside the package's folders, yet are users of it.
_USERS = tuple(_PACKAGE + name + os.sep for name in ("tests", "benchmarks", "examples", "docs", ".venv"))


@dataclass(frozen=True, slots=True)
class Location:
    """A span of source. Lines and columns count from 1; a column of 0 means that it is not known.

    >>> str(Location("model.py", 12, 8))
    'model.py:12:8'
    """

    file: str
    line: int
    column: int = 0
    end_line: int = 0
    end_column: int = 0
    function: str = ""
    source: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.column else f"{self.file}:{self.line}"

    def carets(self) -> str:
        """The line of `^` that belongs under `source` without its indentation, or an empty string."""
        if not self.column or not self.end_column or self.end_line not in (0, self.line):
            return ""
        indent = self.column - 1 - (len(self.source) - len(self.source.lstrip()))
        width = min(self.end_column, len(self.source) + 1) - self.column
        return " " * indent + "^" * width if indent >= 0 and width > 0 else ""


Mark = tuple[CodeType, int]


@lru_cache(maxsize=4096)
def is_internal(filename: str) -> bool:
    """Whether code of this file is Ingot's own, NumPy's, or Python's machinery, rather than the user's."""
    if filename.startswith(("<frozen ", "<entry ", _NUMPY)):
        return True
    return filename.startswith(_PACKAGE) and not filename.startswith(_USERS)


def user_frame(depth: int = 1) -> FrameType | None:
    """The nearest frame whose code is not Ingot's own."""
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None and is_internal(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def mark(depth: int = 2) -> Mark | None:
    """The user's current position, cheap to take; `resolve` turns it into a `Location`."""
    frame = user_frame(depth)
    return None if frame is None else (frame.f_code, frame.f_lasti)


def here(depth: int = 2) -> Location | None:
    """The user's current position as a `Location`."""
    found = mark(depth + 1)
    return None if found is None else resolve(found)


@lru_cache(maxsize=65536)
def resolve(found: Mark) -> Location:
    """Look up file, line, columns and text of a mark."""
    code, instruction = found
    line, end_line, column, end_column = _position(code, instruction)
    short = _short_name(code.co_filename)
    source = linecache.getline(code.co_filename, line).rstrip()
    function = code.co_qualname.replace("<locals>.", "")
    return Location(short, line, column, end_line, end_column, function, source)


def _position(code: CodeType, instruction: int) -> tuple[int, int, int, int]:
    line, end_line, column, end_column = positions(code)[instruction // 2]
    known = column is not None and end_column is not None
    return (
        line or code.co_firstlineno,
        end_line or 0,
        column + 1 if known and column is not None else 0,
        end_column + 1 if known and end_column is not None else 0,
    )


_Positions = tuple[tuple[int | None, int | None, int | None, int | None], ...]
_positions: dict[int, tuple[CodeType, _Positions]] = {}
_MOST_POSITIONS = 256


def positions(code: CodeType) -> _Positions:
    """Line, last line, column and last column of every instruction, lines from 1 and columns, in bytes, from 0.

    Python keeps them packed from the first instruction on, so that looking each up would be quadratic in the size of a
    function. They are kept by identity: comparing code objects takes as long as they are.
    """
    known = _positions.get(id(code))
    if known is not None and known[0] is code:
        return known[1]
    if len(_positions) >= _MOST_POSITIONS:
        _positions.clear()
    found = tuple(code.co_positions())
    _positions[id(code)] = (code, found)
    return found


@lru_cache(maxsize=4096)
def _short_name(filename: str) -> str:
    """The file's name relative to the folder that holds its outermost package, so that files do not tell
    where on whose machine they were made."""
    if not os.path.isabs(filename):
        return filename
    folder = os.path.dirname(filename)
    top = folder
    while os.path.exists(os.path.join(top, "__init__.py")) and os.path.dirname(top) != top:
        top = os.path.dirname(top)
    return os.path.relpath(filename, top).replace(os.sep, "/")
