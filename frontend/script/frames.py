"""The functions that a rewriting writes: the user's, and one for each block; and how their blocks and flags are named.

What lives here is what the rewriting of loops (`loops`), of `with`, `try` and `match` (`around`) and of everything else
(`statements`) share.
"""

from __future__ import annotations

import ast
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable
from typing import Final, NoReturn

from .exits import Exits, Finished
from .expressions import ABSENT, READ, Expressions, constant, made_function, name, runtime_call, thunk
from .scopes import Scope, assigned_names

__all__ = [
    "ITEM",
    "RETURNED",
    "VALUE",
    "Emitted",
    "Frame",
    "Loop",
    "Rewriter",
    "flagged",
    "none_set",
    "resets",
    "set_flag",
]

VALUE: Final = "_ingot_return"
RETURNED: Final = "_ingot_returned"
ITEM: Final = "_ingot_item"
_VALUES: Final = "_ingot_values"


class Loop:
    """The flags of a loop of the user's."""

    def __init__(self, number: int) -> None:
        self.break_flag = f"_ingot_break_{number}"
        self.continue_flag = f"_ingot_continue_{number}"


class Frame:
    """A function that is being written: the user's, or one made from a block.

    Attributes:
        is_function: whether it is the user's.
        tail: whether leaving it is all that the innermost exit has to do (`return` outside of loops, else `continue`).
        loop: the loop whose body this is part of.
        assigned: the variables that it and the functions inside assign, each with its first line.
        own: flags that belong to it.
        flags: flags that it may set.
    """

    def __init__(self, *, is_function: bool = False, tail: bool, loop: Loop | None) -> None:
        self.is_function = is_function
        self.tail = tail
        self.loop = loop
        self.assigned: dict[str, int] = {}
        self.own: set[str] = set()
        self.flags: set[str] = set()

    def assign(self, names: dict[str, int]) -> None:
        for label, line in names.items():
            self.assigned.setdefault(label, line)

    def exported(self) -> dict[str, int]:
        """What it assigns that is not its own."""
        return {label: line for label, line in self.assigned.items() if label not in self.own}


Emitted = tuple[list[ast.stmt], set[str]]
"""Statements, and the flags that may be set where control gets to their end."""


class Rewriter(ABC):
    """What the parts of a rewriter of statements need, of which each does some kinds of statements.

    Args:
        scope: the names of the function that is rewritten.
        refuse: raises the error for a function that cannot be converted.
        numbers: for the names of functions that are made.
        has_class: whether the function is a method that knows its class.
    """

    def __init__(
        self, scope: Scope, refuse: Callable[[str, ast.AST], NoReturn], numbers: itertools.count[int], has_class: bool
    ) -> None:
        self.scope = scope
        self.refuse = refuse
        self.numbers = numbers
        self.has_class = has_class
        self.expressions = Expressions(scope, refuse, numbers, has_class)
        self.exits = Exits()

    @abstractmethod
    def block(self, statements: list[ast.stmt], frame: Frame, *, inside: bool) -> Emitted:
        """Rewrite a block.

        Args:
            inside: whether it is in a `with`, `try` or `match` of its frame, so that more of the frame may follow it.
        """

    @abstractmethod
    def statement(self, node: ast.stmt, frame: Frame) -> Emitted:
        """Rewrite a statement that control does not leave by an exit."""

    @abstractmethod
    def after(self, statement: ast.stmt, flags: set[str], rest: list[ast.stmt], frame: Frame, inside: bool) -> Emitted:
        """What follows a statement that may have set flags."""

    def drop(self, statements: list[ast.stmt]) -> None:
        """Code that is never reached still makes its variables local."""
        for statement in statements:
            for nodes in ast.walk(statement):
                if isinstance(nodes, (ast.stmt, ast.excepthandler, ast.match_case)):
                    self.scope.shared.update(set(assigned_names(nodes)) & self.scope.locals.keys())

    def function(
        self, label: str, parameters: Iterable[str], body: list[ast.stmt], frame: Frame, node: ast.AST
    ) -> tuple[list[ast.stmt], ast.expr]:
        """A function with a block as its body: its definition and its name, or a lambda where nothing is in it."""
        if not body:
            return [], ast.copy_location(thunk(constant(None), *parameters), node)
        declared = [*self.scope.declarations(frame.exported()), *body]
        return [ast.copy_location(made_function(label, parameters, declared), node)], name(label)

    def call(
        self,
        function: str,
        args: list[ast.expr],
        lines: dict[str, tuple[int, int]],
        number: int,
        place: ast.AST,
        outliving: Collection[str] = (),
    ) -> list[ast.stmt]:
        """The runtime's call, with access to the variables that the blocks assign.

        Args:
            outliving: variables that are read after a `return`, too; those of them that the blocks assign are told.
        """
        labels = list(lines)
        before, access = self._access(labels, number) if labels else ([], _no_access())
        names = _texts(labels)
        pairs: list[ast.expr] = [
            ast.Tuple(elts=[constant(line) for line in lines[label]], ctx=ast.Load()) for label in labels
        ]
        table = ast.Tuple(elts=pairs, ctx=ast.Load())
        told = [label for label in labels if label in outliving]
        more = [_texts(told)] if told else []
        call = ast.Expr(value=runtime_call(function, [*args, *access, names, table, *more], place))
        return [ast.copy_location(statement, place) for statement in (*before, call)]

    def _access(self, labels: list[str], number: int) -> tuple[list[ast.stmt], list[ast.expr]]:
        """`get` and `set`: functions that read and assign variables, bound or not."""
        get, set_ = f"_ingot_get_{number}", f"_ingot_set_{number}"
        values: list[ast.expr] = [_read(label) for label in labels]
        reading: list[ast.stmt] = [ast.Return(value=ast.Tuple(elts=values, ctx=ast.Load()))]
        targets: list[ast.expr] = [ast.Name(id=label, ctx=ast.Store()) for label in labels]
        assign = ast.Assign(targets=[ast.Tuple(elts=targets, ctx=ast.Store())], value=name(_VALUES))
        writing = [*self.scope.declarations(labels), assign, *(_delete_absent(label) for label in labels)]
        made = [made_function(get, (), reading), made_function(set_, (_VALUES,), writing)]
        return [*made], [name(get), name(set_)]


def _texts(labels: Iterable[str]) -> ast.expr:
    return ast.Tuple(elts=[constant(label) for label in labels], ctx=ast.Load())


def flagged(kind: type[Finished], flags: Iterable[str], body: list[ast.stmt], place: ast.AST) -> Finished:
    """What runs where none of these flags is set."""
    names = sorted(flags)
    made = kind(test=ast.copy_location(none_set(names), place), body=body, orelse=[])
    made.flags = tuple(names)
    return ast.copy_location(made, place)


def set_flag(flag: str, value: bool) -> ast.stmt:
    """The assignment of a flag."""
    return ast.Assign(targets=[ast.Name(id=flag, ctx=ast.Store())], value=constant(value))


def resets(flags: Iterable[str]) -> list[ast.stmt]:
    """The statements that take flags back."""
    return [set_flag(flag, False) for flag in sorted(flags)]


def none_set(flags: Iterable[str]) -> ast.expr:
    """The condition that no flag is set."""
    return runtime_call("none_set", [thunk(name(flag)) for flag in flags], ast.Pass())


def _read(label: str) -> ast.expr:
    return ast.Call(func=name(READ), args=[constant(label), thunk(name(label))], keywords=[])


def _delete_absent(label: str) -> ast.stmt:
    absent = ast.Call(func=name(ABSENT), args=[name(label)], keywords=[])
    return ast.If(test=absent, body=[ast.Delete(targets=[ast.Name(id=label, ctx=ast.Del())])], orelse=[])


def _no_access() -> list[ast.expr]:
    return [thunk(ast.Tuple(elts=[], ctx=ast.Load())), thunk(constant(None), _VALUES)]
