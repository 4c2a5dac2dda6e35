"""What to write in place of a branch that the run decides, in the words of the user's own source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import CodeType
from typing import Final

from ...ir.locations import resolve
from .source import CannotConvert, FunctionNode, find

__all__ = ["suggestion"]

_LONGEST: Final = 100


def suggestion(code: CodeType, line: int) -> str:
    """The advice of an error about a Python branch on run-time data.

    Args:
        code: of the function that branches.
        line: of the `if` (or `while`, or conditional expression) in it.

    >>> def relu(x):
    ...     return x if x > 0 else 0
    >>> print(suggestion(relu.__code__, relu.__code__.co_firstlineno + 1).split(", or ")[1])
    write ingot.where(x > 0, x, 0)
    """
    try:
        node = find(code).node
    except CannotConvert:
        return (
            "put @ingot.jit.script above the function, in a file, or write the branch with ingot.where(condition, a, b)"
        )
    file = resolve((code, 0)).file
    if isinstance(node, ast.Lambda):
        advice = f"write the lambda ({file}:{node.lineno}) as a 'def' with @ingot.jit.script above it"
    else:
        advice = f"put @ingot.jit.script above 'def {node.name}' ({file}:{node.lineno})"
    shorter = _where(node, line)
    return f"{advice}, or write {shorter}" if shorter and len(shorter) <= _LONGEST else advice


def _where(function: FunctionNode, line: int) -> str:
    """The branch at a line as a call of `where`, where it is a choice between two values."""
    expressions = [
        _choice(node.test, node.body, node.orelse)
        for node in ast.walk(function)
        if isinstance(node, ast.IfExp) and node.test.lineno <= line <= (node.test.end_lineno or 0)
    ]
    statements = [
        _statement(node, block[position + 1 :])
        for block in _blocks(function)
        for position, node in enumerate(block)
        if isinstance(node, ast.If) and node.lineno <= line <= (node.test.end_lineno or 0)
    ]
    found = [*expressions, *filter(None, statements)]
    return found[0] if len(found) == 1 else ""


def _blocks(function: FunctionNode) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(function):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                yield block


def _statement(node: ast.If, rest: list[ast.stmt]) -> str:
    orelse = node.orelse or rest[:1]
    if len(node.body) != 1 or len(orelse) != 1:
        return ""
    first, second = node.body[0], orelse[0]
    if isinstance(first, ast.Return) and isinstance(second, ast.Return) and first.value and second.value:
        return f"return {_choice(node.test, first.value, second.value)}"
    if not node.orelse or not isinstance(first, ast.Assign) or not isinstance(second, ast.Assign):
        return ""
    targets = {tuple(ast.unparse(target) for target in part.targets) for part in (first, second)}
    if len(targets) != 1 or not isinstance(first.targets[0], ast.Name):
        return ""
    return f"{' = '.join(*targets)} = {_choice(node.test, first.value, second.value)}"


def _choice(test: ast.expr, first: ast.expr, second: ast.expr) -> str:
    parts = ", ".join(ast.unparse(part) for part in (test, first, second))
    return f"ingot.where({parts})"
