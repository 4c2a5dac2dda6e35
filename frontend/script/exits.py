"""How control leaves statements: which `return`, `break` and `continue` get out, and whether an end is reached."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Final

__all__ = ["BREAK", "RETURN", "Exits", "Finished", "Guard", "is_true"]

RETURN: Final = "return"
BREAK: Final = "break"
CONTINUE: Final = "continue"

_EXITS: Final = {ast.Return: RETURN, ast.Break: BREAK, ast.Continue: CONTINUE}
_LOOPS: Final = (ast.For, ast.While)
_NOTHING: Final[frozenset[str]] = frozenset()


class Finished(ast.If):
    """In a tree that is being rewritten: `if` none of these flags is set.

    Attributes:
        flags: their names.
    """

    flags: tuple[str, ...]


class Guard(Finished):
    """The same, where a flag means that control has left already: its end is not reached then."""


class Exits:
    """Answers about the statements of one function, each found once: as they were when it was asked first."""

    def __init__(self) -> None:
        self._kinds: dict[int, frozenset[str]] = {}
        self._always: dict[int, bool] = {}
        self._kept: list[ast.stmt] = []

    def kinds(self, statements: Iterable[ast.stmt]) -> frozenset[str]:
        """What kinds of exits leave these statements."""
        return _NOTHING.union(*(self._kinds_of(statement) for statement in statements))

    def always(self, statements: Iterable[ast.stmt]) -> bool:
        """Whether control never gets to what follows these statements."""
        found = [self._always_of(statement) for statement in statements]  # every one is asked, and remembered
        return any(found)

    def in_cleanup(self, statements: Iterable[ast.stmt]) -> bool:
        """Whether an exit passes a `with` or `finally` below, which may raise, so that it does not happen."""
        for statement in statements:
            cleans_up = isinstance(statement, ast.With) or bool(getattr(statement, "finalbody", None))
            if self._kinds_of(statement) and cleans_up:
                return True
            if any(self.in_cleanup(block) for block in blocks_of(statement)):
                return True
        return False

    def _kinds_of(self, node: ast.stmt) -> frozenset[str]:
        if id(node) not in self._kinds:
            self._kept.append(node)
            self._kinds[id(node)] = self._find_kinds(node)
        return self._kinds[id(node)]

    def _find_kinds(self, node: ast.stmt) -> frozenset[str]:
        if type(node) in _EXITS:
            return frozenset((_EXITS[type(node)],))
        if isinstance(node, _LOOPS):
            return (self.kinds(node.body) & {RETURN}) | self.kinds(node.orelse)
        return _NOTHING.union(*(self.kinds(block) for block in blocks_of(node)))

    def _always_of(self, node: ast.stmt) -> bool:
        if id(node) not in self._always:
            self._kept.append(node)
            self._always[id(node)] = self._find_always(node)
        return self._always[id(node)]

    def _find_always(self, node: ast.stmt) -> bool:
        if isinstance(node, (ast.Return, ast.Break, ast.Continue, ast.Raise)):
            return True
        if isinstance(node, Guard):
            return self.always(node.body)
        if isinstance(node, ast.If):
            return all([self.always(node.body), self.always(node.orelse)])
        if isinstance(node, ast.While):
            return BREAK not in self.kinds(node.body) and is_true(node.test)
        if isinstance(node, (ast.Try, ast.TryStar)):
            body = self.always(node.body) or self.always(node.orelse)
            return self.always(node.finalbody) or (body and all(self.always(h.body) for h in node.handlers))
        if isinstance(node, ast.Match):
            return _takes_all(node.cases[-1]) and all(self.always(case.body) for case in node.cases)
        return False  # a `with` may swallow the exception that its body ended by


def blocks_of(node: ast.stmt) -> list[list[ast.stmt]]:
    """The blocks of a statement that belong to the same function."""
    if isinstance(node, (ast.If, ast.For, ast.While)):
        return [node.body, node.orelse]
    if isinstance(node, ast.With):
        return [node.body]
    if isinstance(node, (ast.Try, ast.TryStar)):
        return [node.body, node.orelse, node.finalbody, *(handler.body for handler in node.handlers)]
    return [case.body for case in node.cases] if isinstance(node, ast.Match) else []


def is_true(test: ast.expr) -> bool:
    """Whether a condition is a constant that holds."""
    return isinstance(test, ast.Constant) and bool(test.value)


def _takes_all(case: ast.match_case) -> bool:
    return case.guard is None and isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None
