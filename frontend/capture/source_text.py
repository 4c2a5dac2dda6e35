"""The source text of an instruction, and its syntax where it is an expression."""

from __future__ import annotations

import ast
import linecache
import textwrap
from collections.abc import Mapping
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple

from ...ir.locations import Location, positions
from .plain_values import MISSING, attribute, element, is_fixed

__all__ = ["Scope", "constant_value", "expression_at", "is_literal", "statement_at", "text_at", "text_of"]

_MOST: Final = 400  # characters of an expression that is kept


class Scope(NamedTuple):
    """The variables of a frame at one moment."""

    local: Mapping[str, Any]
    world: Mapping[str, Any]
    builtins: Mapping[str, Any]

    @classmethod
    def of(cls, frame: FrameType) -> Scope:
        """A frame's variables as they are now."""
        return cls(frame.f_locals, frame.f_globals, frame.f_builtins)


def text_at(code: CodeType, instruction: int) -> str:
    """The source text of an instruction's span as one line, or an empty string."""
    text = " ".join(line.strip() for line in _span(code, instruction).splitlines())
    return text if len(text) <= _MOST else text[: _MOST - 3] + "..."


def text_of(location: Location | None) -> str:
    """The source text of a location that lies on one line, or an empty string."""
    if location is None or not location.carets():
        return ""
    return location.source.encode()[location.column - 1 : location.end_column - 1].decode(errors="replace").strip()


def _span(code: CodeType, instruction: int) -> str:
    line, end_line, column, end_column = positions(code)[instruction // 2]
    if line is None or end_line is None or column is None or end_column is None:
        return ""
    lines = [linecache.getline(code.co_filename, n).encode() for n in range(line, end_line + 1)]
    lines[-1] = lines[-1][:end_column]
    lines[0] = lines[0][column:]
    return b"".join(lines).decode(errors="replace")


@lru_cache(maxsize=8192)
def _parsed(text: str, mode: str) -> Any:
    try:
        return ast.parse(text, mode=mode)
    except (SyntaxError, ValueError):
        return None


def expression_at(code: CodeType, instruction: int) -> ast.AST | None:
    """The expression or augmented assignment that an instruction stands for; None where it is not known."""
    text = _span(code, instruction)
    found = _parsed(f"({text})", "eval") if text else None
    if found is not None:
        return found.body
    return _only_statement(text)


def statement_at(code: CodeType, instruction: int) -> ast.AST | None:
    """The statement on an instruction's line, where it is a line of its own."""
    line = positions(code)[instruction // 2][0]
    return _only_statement(linecache.getline(code.co_filename, line)) if line else None


def _only_statement(text: str) -> ast.AST | None:
    found = _parsed(textwrap.dedent(text).strip(), "exec") if text else None
    return found.body[0] if found is not None and len(found.body) == 1 else None


def is_literal(node: ast.AST, scope: Scope) -> bool:
    """Whether an expression says the same each time: numbers and strings, what is made of them, and what stands in
    modules of Python, NumPy or Ingot (`math.pi`, `ingot.float32`)."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        return all(is_literal(item, scope) for item in node.elts)
    if isinstance(node, (ast.UnaryOp, ast.Starred)):
        return is_literal(node.operand if isinstance(node, ast.UnaryOp) else node.value, scope)
    if isinstance(node, ast.BinOp):
        return is_literal(node.left, scope) and is_literal(node.right, scope)
    if isinstance(node, ast.Dict):
        return all(k is not None and is_literal(k, scope) for k in node.keys) and all(
            is_literal(v, scope) for v in node.values
        )
    if isinstance(node, ast.Name):
        return _variable(node.id, scope) is MISSING and node.id in scope.builtins
    if isinstance(node, ast.Attribute):
        return is_fixed(constant_value(node.value, scope)) or is_literal(node.value, scope)
    return False


def constant_value(node: ast.AST, scope: Scope) -> Any:
    """What an expression is in a scope, as far as reading tells without running code; MISSING otherwise."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return _variable(node.id, scope)
    if isinstance(node, ast.Starred):
        return constant_value(node.value, scope)
    if isinstance(node, ast.Attribute):
        owner = constant_value(node.value, scope)
        return MISSING if owner is MISSING else attribute(owner, node.attr)
    if isinstance(node, ast.Subscript):
        owner, key = constant_value(node.value, scope), constant_value(node.slice, scope)
        plain = owner is not MISSING and key is not MISSING and type(key) in (int, str, bool)
        return element(owner, key) if plain else MISSING
    if isinstance(node, (ast.Tuple, ast.List)):
        items = [constant_value(item, scope) for item in node.elts]
        if any(item is MISSING for item in items):
            return MISSING
        return tuple(items) if isinstance(node, ast.Tuple) else items
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = constant_value(node.operand, scope)
        return -value if type(value) in (int, float) else MISSING
    return MISSING


def _variable(name: str, scope: Scope) -> Any:
    found = scope.local.get(name, MISSING)
    return scope.world.get(name, MISSING) if found is MISSING else found
