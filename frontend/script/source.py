"""A function's syntax tree, found from its code object.

What lives here: the files that have been read (each is parsed and compiled once), the search in them, and the check
that the text still is what the function was made from. What is done with the tree is the subject of `rewrite`.
"""

from __future__ import annotations
import __future__

import ast
import linecache
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any, Final

from ...ir.errors import CaptureError
from ...ir.locations import resolve

__all__ = ["CannotConvert", "Found", "compile_quietly", "find", "refusal"]

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_FILES_KEPT: Final = 32
_PYTEST_NAMES: Final = ("@py_assert", "@py_format", "@pytest_ar", "@py_builtins")
_MOVE_TO_FILE: Final = "define it in a file, or write it without data-dependent Python control flow"
_lock = threading.RLock()


class CannotConvert(CaptureError):
    """A function's control flow cannot be captured from its source; the message has the reason and the way out."""


def refusal(code: CodeType, reason: str, advice: str = "") -> CannotConvert:
    """The error for a function that cannot be converted.

    >>> print(refusal(refusal.__code__, "it is a generator").what)
    jit.script: 'refusal' cannot be converted: it is a generator
    """
    what = f"jit.script: '{code.co_name}' cannot be converted: {reason}"
    return CannotConvert(what, location=resolve((code, 0)), advice=advice)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A function in its file.

    Attributes:
        node: its tree, which belongs to the file: copy it before changing it.
        class_name: the class whose name its private names (`__x`) get, or an empty string.
    """

    node: FunctionNode
    class_name: str


def find(code: CodeType, module: Mapping[str, Any] | None = None) -> Found:
    """The tree of the function that a code object belongs to.

    Args:
        code: the function's own code object.
        module: the function's globals, which may know how its source is loaded.

    Raises:
        CannotConvert: where there is no source, it has changed, or more than one function fits.
    """
    with _lock:
        file = _file(code, module)
        candidates = file.functions.get((code.co_name, code.co_firstlineno), [])
        if not candidates or not file.holds(code):
            reason = f"the text of {code.co_filename} is not what it was made from"
            raise refusal(code, reason, "import the module again after changing it")
        return candidates[0] if len(candidates) == 1 else _by_position(code, candidates)


def _file(code: CodeType, module: Mapping[str, Any] | None) -> _File:
    name = code.co_filename
    linecache.checkcache(name)
    lines = linecache.getlines(name, dict(module) if module is not None else None)
    if not lines:
        raise refusal(code, f"there is no source text for it ({name})", _MOVE_TO_FILE)
    known = _files.pop(name, None)
    if known is None or known.lines != lines:
        known = _File(name, lines, code)
    _files[name] = known
    while len(_files) > _FILES_KEPT:
        _files.popitem(last=False)
    return known


class _File:
    """A file's text, tree, and what Python makes of it."""

    def __init__(self, name: str, lines: list[str], code: CodeType) -> None:
        self.name = name
        self.lines = lines
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.tree = ast.parse("".join(lines), name)
        except (SyntaxError, ValueError, RecursionError) as error:
            raise refusal(code, f"its source text cannot be parsed ({error})", _MOVE_TO_FILE) from error
        self.functions: dict[tuple[str, int], list[Found]] = {}
        for found in _functions(self.tree):
            self.functions.setdefault(_key_of(found.node), []).append(found)
        self._codes: dict[int, dict[tuple[str, int], list[CodeType]]] = {}

    def holds(self, code: CodeType) -> bool:
        """Whether compiling the text makes this code object, or did before pytest rewrote its assertions."""
        made = self._compiled(code).get((code.co_name, code.co_firstlineno), ())
        return any(other == code or _is_rewritten_by_pytest(code, other) for other in made)

    def _compiled(self, code: CodeType) -> dict[tuple[str, int], list[CodeType]]:
        flags = code.co_flags & __future__.annotations.compiler_flag
        if flags not in self._codes:
            index: dict[tuple[str, int], list[CodeType]] = {}
            try:
                module = compile_quietly(self.tree, self.name, flags)
            except (SyntaxError, ValueError, RecursionError) as error:
                raise refusal(code, f"its source text cannot be compiled ({error})", _MOVE_TO_FILE) from error
            for inner in _codes_in(module):
                index.setdefault((inner.co_name, inner.co_firstlineno), []).append(inner)
            self._codes[flags] = index
        return self._codes[flags]


_files: OrderedDict[str, _File] = OrderedDict()


def compile_quietly(tree: ast.Module, filename: str, flags: int) -> CodeType:
    """Compile a module; what Python warns of, it has warned of when the user's module was compiled."""
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made: CodeType = compile(tree, filename, "exec", flags, dont_inherit=True)
    return made


def _functions(tree: ast.Module) -> Iterator[Found]:
    stack: list[tuple[ast.AST, str]] = [(tree, "")]
    while stack:
        node, class_name = stack.pop()
        if isinstance(node, _FUNCTIONS):
            yield Found(node, class_name)
        if isinstance(node, ast.ClassDef):
            stack.extend((child, node.name) for child in node.body)
            outside = (*node.decorator_list, *node.bases, *node.keywords)
            stack.extend((child, class_name) for child in outside)
        else:
            stack.extend((child, class_name) for child in ast.iter_child_nodes(node))


def _key_of(node: FunctionNode) -> tuple[str, int]:
    if isinstance(node, ast.Lambda):
        return "<lambda>", node.lineno
    return node.name, min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _codes_in(module: CodeType) -> Iterator[CodeType]:
    stack = [module]
    while stack:
        code = stack.pop()
        yield code
        stack.extend(const for const in code.co_consts if isinstance(const, CodeType))


def _by_position(code: CodeType, candidates: list[Found]) -> Found:
    """The innermost function whose body contains every instruction."""
    spans = [(a, c, b, d) for a, b, c, d in code.co_positions() if a and b and c is not None and d]
    starts, ends = [span[:2] for span in spans], [span[2:] for span in spans]
    if starts:
        start, end = min(starts), max(ends)
        fitting = [found for found in candidates if _contains(_body_span(found.node), start, end)]
        if fitting:
            return max(fitting, key=lambda found: _body_span(found.node)[0])
    raise refusal(code, "its line holds more than one lambda", "write each on a line of its own, or as a 'def'")


def _body_span(node: FunctionNode) -> tuple[tuple[int, int], tuple[int, int]]:
    first, last = (node.body, node.body) if isinstance(node, ast.Lambda) else (node.body[0], node.body[-1])
    return (first.lineno, first.col_offset), (last.end_lineno or 0, last.end_col_offset or 0)


def _contains(span: tuple[tuple[int, int], tuple[int, int]], start: Any, end: Any) -> bool:
    return bool(span[0] <= start and end <= span[1])


def _is_rewritten_by_pytest(code: CodeType, plain: CodeType) -> bool:
    """Whether code is a function whose assertions pytest has rewritten: all that the plain one names is still there."""
    used, expected = _vocabulary(code), _vocabulary(plain)
    rewritten = any(str(name).startswith(_PYTEST_NAMES) for _, name in used)
    return (
        rewritten
        and expected <= used
        and code.co_varnames[: code.co_argcount] == plain.co_varnames[: plain.co_argcount]
    )


def _vocabulary(code: CodeType) -> set[tuple[str, Any]]:
    found: set[tuple[str, Any]] = set()
    for inner in _codes_in(code):
        found.update(("name", name) for name in (*inner.co_names, *inner.co_varnames, *inner.co_freevars))
        found.update(
            # Without a sign: in what pytest has rewritten, -1 is computed from 1.
            (type(const).__name__, repr(const).removeprefix("-"))
            for const in inner.co_consts
            if not isinstance(const, CodeType)
        )
    return found
