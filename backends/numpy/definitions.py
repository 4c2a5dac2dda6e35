"""Reading Python definitions: which statement binds a name, its text, the names that it refers to.

What lives here knows Python, and nothing of kernels or emitted source; `embed` is what it is for.
"""

from __future__ import annotations
import __future__

import ast
import dis
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import CodeType, FunctionType, ModuleType
from typing import Any

from ...ir.errors import UnsupportedError

__all__ = [
    "attributes_of",
    "bound_names",
    "closure_of",
    "free_names",
    "function_text",
    "renamed",
    "segment",
    "source_module",
    "statements",
]


@lru_cache(maxsize=256)
def _text_of(module: ModuleType) -> str:
    try:
        return inspect.getsource(module)
    except (OSError, TypeError):
        raise UnsupportedError(f"the source of module {module.__name__} cannot be had") from None


@lru_cache(maxsize=256)
def _tree_of(module: ModuleType) -> ast.Module:
    return ast.parse(_text_of(module))


@lru_cache(maxsize=256)
def statements(module: ModuleType) -> dict[str, ast.stmt]:
    """The statement that binds each module-level name; the last one counts, as it does when the module runs.

    Raises:
        UnsupportedError: when the module has no source.
    """
    return {name: statement for statement in _top_level(_tree_of(module).body) for name in bound_names(statement)}


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        if isinstance(statement, ast.If) and "TYPE_CHECKING" not in ast.dump(statement.test):
            yield from _top_level(statement.body)
            yield from _top_level(statement.orelse)


def bound_names(statement: ast.stmt) -> list[str]:
    """The names that a statement binds: of what it defines, imports or assigns."""
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return [statement.name]
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name.partition(".")[0] for alias in statement.names]
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        targets = [statement.target]
    return [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]


def segment(module: ModuleType, statement: ast.stmt) -> str:
    """A statement's text, decorators included. An annotated assignment loses its annotation."""
    if isinstance(statement, ast.AnnAssign):
        assert statement.value is not None
        value = ast.get_source_segment(_text_of(module), statement.value)
        return f"{ast.unparse(statement.target)} = {value}"
    first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", ()))])
    return textwrap.dedent("\n".join(_text_of(module).splitlines()[first - 1 : statement.end_lineno]))


def source_module(module: ModuleType, statement: ast.ImportFrom) -> ModuleType:
    """The module that a `from ... import` statement takes from."""
    package = statement.module or ""
    if statement.level:
        parts = (module.__package__ or "").split(".")
        base = ".".join(parts[: len(parts) - statement.level + 1])
        package = f"{base}.{statement.module}" if statement.module else base
    return sys.modules[package]


def attributes_of(module: ModuleType, name: str) -> list[str]:
    """What a module uses of another one that it knows under a name: the x of every `name.x`."""
    found = {
        node.attr: None
        for node in ast.walk(_tree_of(module))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name
    }
    return list(found)


def closure_of(function: FunctionType) -> dict[str, Any]:
    """What a function holds of the functions around it, by name."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            raise UnsupportedError(f"{function.__qualname__} refers to {name!r}, which has no value") from None
    return found


def function_text(function: FunctionType, name: str) -> str:
    """The definition of a function, or of a lambda under the given name.

    Raises:
        UnsupportedError: when there is no source.
    """
    try:
        text = textwrap.dedent(inspect.getsource(function))
        if function.__name__ != "<lambda>":
            return text.rstrip("\n")
        return f"{name} = {_lambda_text(function)}"
    except (OSError, TypeError, KeyError, SyntaxError):
        raise UnsupportedError(f"the source of {function.__qualname__} cannot be had") from None


def _lambda_text(function: FunctionType) -> str:
    """A lambda's own text, which `inspect` gives only with the statement around it: the lambda in the module whose
    body stands where the code's instructions come from."""
    module = sys.modules[function.__module__]
    spots = {(line, column) for line, _, column, _ in function.__code__.co_positions()}
    for node in ast.walk(_tree_of(module)):
        if isinstance(node, ast.Lambda) and node.lineno == function.__code__.co_firstlineno:
            first = min((n.lineno, n.col_offset) for n in ast.walk(node.body) if isinstance(n, ast.expr))
            if first in spots:
                return f"({ast.get_source_segment(_text_of(module), node)})"
    raise OSError


@lru_cache(maxsize=4096)
def free_names(text: str) -> tuple[str, ...]:
    """The global names that a definition refers to, annotations left out, in order of appearance."""
    flags = __future__.annotations.compiler_flag
    top = compile(text, "<definition>", "exec", flags, dont_inherit=True)
    found: dict[str, None] = {}
    waiting = [top]
    own: set[str] = set()
    while waiting:
        code = waiting.pop()
        stored = {i.argval for i in dis.get_instructions(code) if i.opname == "STORE_NAME"}
        if code is top:
            own = stored
        for instruction in dis.get_instructions(code):
            kind, name = instruction.opname, instruction.argval
            if kind in ("LOAD_GLOBAL", "STORE_GLOBAL") or (kind == "LOAD_NAME" and name not in stored):
                found[name] = None
        waiting.extend(c for c in code.co_consts if isinstance(c, CodeType))
    return tuple(n for n in found if n not in own and not (n.startswith("__") and n.endswith("__")))


def renamed(text: str, names: Mapping[str, str]) -> str:
    """A definition with other names for what it defines and refers to.

    Raises:
        UnsupportedError: where a name also stands for something local.
    """
    changes = {old: new for old, new in names.items() if old != new}
    if not changes:
        return text
    lines = [line.encode() for line in text.splitlines()]
    named = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name) and node.id in changes)
    spots = sorted(((node.lineno, node.col_offset, node.id) for node in named), reverse=True)
    for line, column, old in spots:
        whole = lines[line - 1]
        lines[line - 1] = whole[:column] + changes[old].encode() + whole[column + len(old.encode()) :]
    found = b"\n".join(lines).decode()
    found = re.sub(r"^(def|class) (\w+)", lambda m: f"{m[1]} {changes.get(m[2], m[2])}", found, count=1, flags=re.M)
    if set(free_names(found)) != {changes.get(n, n) for n in free_names(text)}:
        raise UnsupportedError(f"a kernel uses {', '.join(changes)} both as a global and as a local name")
    return found
