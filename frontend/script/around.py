"""`with`, `try` and `match`, which stay as they are around rewritten blocks.

An exit in one of their blocks sets its flag and is then a `return` of the function made from the block around, so that
Python does what it does on the way out. If that raises, the exit has not happened: its flags are taken back where the
exception is caught.
"""

from __future__ import annotations

import ast
import copy
from typing import Any

from .expressions import constant, name, runtime_call, thunk
from .frames import Emitted, Frame, Rewriter, resets, set_flag
from .scopes import assigned_names

__all__ = ["Around"]


class Around(Rewriter):
    """The rewriting of `with`, `try` and `match`."""

    def around(self, node: Any, frame: Frame) -> Emitted:
        if isinstance(node, ast.With):
            return self._with(node, frame)
        return self._match(node, frame) if isinstance(node, ast.Match) else self._try(node, frame)

    def _with(self, node: ast.With, frame: Frame) -> Emitted:
        for item in node.items:
            frame.assign(assigned_names(item))
            self.expressions.visit(item)
            item.context_expr = runtime_call("entered", [item.context_expr], item.context_expr)
        before = self.expressions.taken()
        undoes = self.exits.in_cleanup(node.body)
        node.body, fall, flags = self._watched(node.body, frame)
        if not (flags and undoes):
            return [*before, node], fall
        # An exception behind an exit, which this `with` has swallowed: then the exit did not happen.
        done = f"_ingot_done_{next(self.numbers)}"
        node.body.append(set_flag(done, True))
        check = ast.If(test=ast.UnaryOp(op=ast.Not(), operand=name(done)), body=resets(flags), orelse=[])
        found = [set_flag(done, False), node, check]
        return [*before, *(ast.copy_location(statement, node) for statement in found)], fall

    def _watched(self, block: list[ast.stmt], frame: Frame) -> tuple[list[ast.stmt], set[str], set[str]]:
        """A block, the flags that may be set at its end, and those that may be set in it."""
        before, frame.flags = frame.flags, set()
        found, fall = self.block(block, frame, inside=True)
        flags = frame.flags
        frame.flags = before | flags
        return found or [ast.Pass()], fall, flags

    def _match(self, node: ast.Match, frame: Frame) -> Emitted:
        frame.assign(assigned_names(node.subject))
        node.subject = self.expressions.visit(node.subject)
        fall: set[str] = set()
        for case in node.cases:
            frame.assign(assigned_names(case.pattern))
            if case.guard is not None:
                frame.assign(assigned_names(case.guard))
                case.guard = self.expressions.visit(case.guard)
        before = self.expressions.taken()
        for case in node.cases:
            case.body, flags, _ = self._watched(case.body, frame)
            fall |= flags
        return [*before, node], fall

    def _try(self, node: Any, frame: Frame) -> Emitted:
        if self.exits.kinds(node.finalbody):
            self.refuse("it leaves a 'finally' block by return, break or continue", node.finalbody[0])
        for handler in node.handlers:
            self._handler_head(handler, frame)
        before = self.expressions.taken()
        undoes = self.exits.in_cleanup(node.body)
        node.body, fall, flags = self._watched(node.body, frame)
        if node.handlers:
            node.body = [self._caught(node)]
        if node.orelse:
            place = ast.copy_location(ast.Pass(), node.orelse[0])
            orelse, fall = self.after(place, fall, node.orelse, frame, inside=True)
            node.orelse = orelse or [place]
        for handler in node.handlers:
            handler.body, more, _ = self._watched(handler.body, frame)
            fall = fall | more
            if undoes:
                handler.body[:0] = [ast.copy_location(reset, handler) for reset in resets(flags)]
        if node.finalbody:
            node.finalbody, _, _ = self._watched(node.finalbody, frame)
        return [*before, node], fall

    def _caught(self, node: Any) -> ast.stmt:
        """The body of a `try`, about which the runtime is told what is caught there."""
        kinds = [copy.deepcopy(handler.type) or constant(None) for handler in node.handlers]
        call = runtime_call("catching", [thunk(ast.Tuple(elts=kinds, ctx=ast.Load()))], node.body[0])
        return ast.copy_location(ast.With(items=[ast.withitem(context_expr=call)], body=node.body), node.body[0])

    def _handler_head(self, handler: ast.ExceptHandler, frame: Frame) -> None:
        if handler.name is not None:
            frame.assign({handler.name: handler.lineno})
        if handler.type is not None:
            frame.assign(assigned_names(handler.type))
            handler.type = self.expressions.visit(handler.type)
