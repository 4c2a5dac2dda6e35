"""Loops, rewritten: the body as a function, the test as another, which looks at the flags that end the loop."""

from __future__ import annotations

import ast

from .exits import Finished, is_true
from .expressions import constant, name, runtime_call, thunk
from .frames import ITEM, RETURNED, Frame, Loop, Rewriter, flagged, none_set, set_flag
from .scopes import assigned_names, has_walrus

__all__ = ["Loops"]


class Loops(Rewriter):
    """The rewriting of `while` and `for`."""

    def loop(
        self, node: ast.While | ast.For, rest: list[ast.stmt], frame: Frame
    ) -> tuple[list[ast.stmt], set[str], list[ast.stmt]]:
        """A loop, the flags that may be set behind it, and what follows it: its `else` block among it."""
        number = next(self.numbers)
        loop = Loop(number)
        frame.assign(assigned_names(node.iter) if isinstance(node, ast.For) else {})
        over = [self.expressions.visit(node.iter)] if isinstance(node, ast.For) else []
        before = self.expressions.taken()
        body = Frame(tail=True, loop=loop)
        statements = self._body(node, body, loop)
        stops = sorted(body.flags - {loop.continue_flag})
        if loop.break_flag in stops:
            frame.own.add(loop.break_flag)
            before.append(ast.copy_location(set_flag(loop.break_flag, False), node))
        testing = Frame(tail=True, loop=None)
        definitions, test = self._loop_test(node, stops, testing, number)
        parameters = (ITEM,) if isinstance(node, ast.For) else ()
        body_definitions, function = self.function(f"_ingot_body_{number}", parameters, statements, body, node)
        args = [*over, function, test] if isinstance(node, ast.For) else [test, function]
        lines = {label: (line, 0) for label, line in {**testing.exported(), **body.exported()}.items()}
        runtime = "for_" if isinstance(node, ast.For) else "while_"
        call = self.call(runtime, args, lines, number, _place_of(node))
        frame.assign(body.exported() | testing.exported())
        flags = body.flags & {RETURNED}
        frame.flags |= flags
        return [*before, *definitions, *body_definitions, *call], flags, self._behind(node, loop, stops, rest)

    def _body(self, node: ast.While | ast.For, frame: Frame, loop: Loop) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        if isinstance(node, ast.For):
            item = ast.copy_location(name(ITEM), node.target)
            target = ast.copy_location(ast.Assign(targets=[node.target], value=item), node.target)
            found, _ = self.statement(target, frame)
        end = ast.copy_location(ast.Continue(), node.body[-1])
        statements, _ = self.block([*node.body, end], frame, inside=False)
        if loop.continue_flag in frame.flags:
            frame.own.add(loop.continue_flag)
            found.append(ast.copy_location(set_flag(loop.continue_flag, False), node))
        return [*found, *statements]

    def _loop_test(
        self, node: ast.While | ast.For, stops: list[str], frame: Frame, number: int
    ) -> tuple[list[ast.stmt], ast.expr]:
        """The function that says whether another iteration follows."""
        going_on = none_set(stops) if stops else None
        if isinstance(node, ast.For):
            found = constant(None) if going_on is None else thunk(going_on)
            return [], ast.copy_location(found, node)
        if going_on is not None and is_true(node.test):
            return [], ast.copy_location(thunk(going_on), node.test)
        if not has_walrus(node.test):
            test = self.expressions.test(node.test)
            return [], thunk(test if going_on is None else _both(going_on, test))
        frame.assign(assigned_names(node.test))
        value = ast.copy_location(ast.Return(value=self.expressions.test(node.test)), node.test)
        statements = [*self.expressions.taken(), value]
        label = f"_ingot_test_{number}"
        definitions, function = self.function(label, (), statements, frame, node.test)
        if going_on is None:
            return definitions, function
        called = ast.copy_location(ast.Call(func=function, args=[], keywords=[]), node.test)
        return definitions, thunk(_both(going_on, called))

    def _behind(self, node: ast.While | ast.For, loop: Loop, stops: list[str], rest: list[ast.stmt]) -> list[ast.stmt]:
        if isinstance(node, ast.While) and is_true(node.test):
            self.drop(node.orelse)
            return rest
        if not node.orelse or loop.break_flag not in stops:
            return [*node.orelse, *rest]
        return [flagged(Finished, [loop.break_flag], node.orelse, node.orelse[0]), *rest]


def _place_of(node: ast.While | ast.For) -> ast.AST:
    """What a loop is located at: its condition, or its target and iterable."""
    if isinstance(node, ast.While):
        return node.test
    place = ast.copy_location(ast.Pass(), node.target)
    place.end_lineno, place.end_col_offset = node.iter.end_lineno, node.iter.end_col_offset
    return place


def _both(first: ast.expr, second: ast.expr) -> ast.expr:
    return runtime_call("both", [thunk(first), thunk(second)], second)
