"""Texts that the user's code makes of what only the run knows: whether they are shown to people, or used.

A text that is printed, logged or part of an exception's message does not shape the program, and may say what it likes.
Any other one may decide: it is compared, looked up, kept. Which of the two a text is, is told by the syntax around the
instruction that makes it. Where that cannot be told, it counts as used.
"""

from __future__ import annotations

import ast
import linecache
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any, Final

from ...ir.locations import is_internal, positions
from .plain_values import MISSING
from .source_text import Scope, constant_value
from .watching import is_users

__all__ = ["is_only_shown", "who_writes"]

_LEVELS: Final = ("debug", "info", "warning", "error", "exception", "critical", "log")
_SHOWING: Final = (print, warnings.warn, *(getattr(logging, level) for level in _LEVELS))
_WRITING: Final = ("str", "repr", "ascii", "format")
_OF_TEXT: Final = frozenset(name for name in dir(str) if not name.startswith("_")) - {
    "count", "encode", "endswith", "find", "index", "rfind", "rindex", "split", "rsplit", "splitlines", "startswith",
    *(name for name in dir(str) if name.startswith("is")),
}  # fmt: skip
_JOINING: Final = (
    ast.FormattedValue, ast.JoinedStr, ast.BinOp, ast.IfExp, ast.Tuple, ast.List, ast.Starred, ast.keyword,
)  # fmt: skip
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_METHODS: Final = ("__repr__", "__str__", "__format__")


def who_writes(frame: FrameType | None) -> FrameType | None:
    """The user's frame that makes a text, by way of Python's own functions or not; None where Ingot itself does, or a
    debugger.

    Args:
        frame: what has called `__repr__`, `__str__` or `__format__`.
    """
    found = None
    while frame is not None:
        name = frame.f_code.co_filename
        if name == logging.__file__:  # whoever writes a record does it for the function that logs
            found = None
        elif os.path.basename(name) == "bdb.py" or "pydevd" in name:
            return None
        elif is_users(name):
            found = found or frame
        elif is_internal(name) and (found is not None or frame.f_code.co_name not in _METHODS):
            break
        frame = frame.f_back
    return found


def is_only_shown(frame: FrameType) -> bool:
    """Whether the text that a frame is making goes to people alone.

    >>> import sys
    >>> class Size:
    ...     def __repr__(self): return "shown" if is_only_shown(sys._getframe(1)) else "used"
    >>> def f(n):
    ...     print(f"n is {n}")
    ...     text = str(n) + "!"
    ...     return text
    >>> f(Size())
    n is shown
    'used!'
    """
    around = _around(frame.f_code, frame.f_lasti)
    return bool(around) and _Fate(Scope.of(frame), around).is_shown(around, frozenset())


# ---------------------------------------------------------------------------------------------------- the syntax


@lru_cache(maxsize=64)
def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return None


def _around(code: CodeType, instruction: int) -> list[ast.AST]:
    """The syntax that an instruction stands in, from the module to the innermost expression; empty where the source
    is not known."""
    line, end_line, column, end_column = positions(code)[instruction // 2]
    if line is None or end_line is None or column is None or end_column is None:
        return []
    module = _parsed("".join(linecache.getlines(code.co_filename)))
    if module is None or len(found := _containing(module, (line, column), (end_line, end_column))) < 2:
        return []
    return found


def _containing(node: ast.AST, start: tuple[int, int], end: tuple[int, int]) -> list[ast.AST]:
    found = [node]
    while (inner := next(_children_with(found[-1], start, end), None)) is not None:
        found += inner
    return found


def _children_with(node: ast.AST, start: tuple[int, int], end: tuple[int, int]) -> Iterator[list[ast.AST]]:
    """The way to a child that contains a span: through those that have no place of their own."""
    for child in ast.iter_child_nodes(node):
        if not hasattr(child, "end_lineno"):
            for inner in _children_with(child, start, end):
                yield [child, *inner]
        elif (child.lineno, child.col_offset) <= start and end <= (child.end_lineno, child.end_col_offset):  # type: ignore[attr-defined]
            yield [child]


def _ways_to_loads(function: ast.AST, name: str) -> Iterator[list[ast.AST]]:
    """Where a variable of a function is read: the syntax from the function to there."""
    waiting = [[function]]
    while waiting:
        way = waiting.pop()
        for child in ast.iter_child_nodes(way[-1]):
            if isinstance(child, ast.Name) and child.id == name and isinstance(child.ctx, ast.Load):
                yield [*way, child]
            waiting.append([*way, child])


class _Fate:
    """Where a text goes, in one frame."""

    def __init__(self, scope: Scope, around: Sequence[ast.AST]) -> None:
        self._scope = scope
        self._function = next((node for node in reversed(around) if isinstance(node, _FUNCTIONS)), None)

    def is_shown(self, way: Sequence[ast.AST], seen: frozenset[str]) -> bool:
        """Whether the text of an expression is only shown.

        Args:
            way: the syntax from outside to the expression.
            seen: variables that are being looked into.
        """
        position = len(way) - 1
        while position:
            node, outer = way[position], way[position - 1]
            if isinstance(node, ast.Call) and self._shows(node):
                return True
            if isinstance(outer, (ast.Raise, ast.Expr)) or (isinstance(outer, ast.Assert) and node is outer.msg):
                return True
            if isinstance(outer, ast.Call) and node is not outer.func:
                if not (isinstance(way[position - 2], ast.Raise) or self._shows(outer) or _writes(outer)):
                    return False
            elif isinstance(outer, ast.Attribute):  # a method of the text
                if outer.attr not in _OF_TEXT or not isinstance(way[position - 2], ast.Call):
                    return False
                position -= 1
            elif isinstance(outer, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
                return self._is_shown_later(outer, seen)
            elif not isinstance(outer, _JOINING) or _has_computed_spec(outer):
                return False
            position -= 1
        return False

    def _is_shown_later(self, node: ast.Assign | ast.AnnAssign | ast.AugAssign, seen: frozenset[str]) -> bool:
        """Whether all that is done with a variable of the function is to show it."""
        target = node.targets[0] if isinstance(node, ast.Assign) and len(node.targets) == 1 else None
        target = target if isinstance(node, ast.Assign) else node.target
        if not isinstance(target, ast.Name) or self._function is None:
            return False
        name = target.id
        if name in seen:
            return True
        for inner in ast.walk(self._function):
            if isinstance(inner, (ast.Global, ast.Nonlocal)) and name in inner.names:
                return False
        ways = list(_ways_to_loads(self._function, name))
        if any(isinstance(inner, _FUNCTIONS) for way in ways for inner in way[1:]):
            return False
        return all(self.is_shown(way, seen | {name}) for way in ways)

    def _shows(self, call: ast.Call) -> bool:
        """Whether a call shows its arguments to people."""
        function = call.func
        if isinstance(function, ast.Name):
            found = constant_value(function, self._scope)
            found = self._scope.builtins.get(function.id) if found is MISSING else found
            return _is_one_of(found, _SHOWING) and all(word.arg != "file" for word in call.keywords)
        if not isinstance(function, ast.Attribute):
            return False
        owner = constant_value(function.value, self._scope)
        if owner is warnings or owner is logging:
            return _is_one_of(getattr(owner, function.attr, None), _SHOWING)
        return isinstance(owner, (logging.Logger, logging.LoggerAdapter)) and function.attr in _LEVELS


def _has_computed_spec(node: ast.AST) -> bool:
    """Whether a part of an f-string is formatted as another one says: `f"{x:{n}}"`. Which of them an instruction makes,
    its place does not tell."""
    specs = [part.format_spec for part in getattr(node, "values", ()) if isinstance(part, ast.FormattedValue)]
    return any(isinstance(inner, ast.FormattedValue) for spec in specs if spec for inner in ast.walk(spec))


def _writes(call: ast.Call) -> bool:
    """Whether a call makes a text of its arguments."""
    function = call.func
    if isinstance(function, ast.Name):
        return function.id in _WRITING
    return isinstance(function, ast.Attribute) and function.attr in ("format", "join")


def _is_one_of(value: Any, functions: Sequence[Any]) -> bool:
    return any(value is function for function in functions)
