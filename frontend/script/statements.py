"""Statements, rewritten: `if`, `while` and `for` become calls of the runtime, their blocks functions.

A block that has become a function cannot `return` from the user's function, nor `break` a loop. What lives here is how
such exits are kept:

- What follows an `if` moves into the branch that gets there, when the other one always leaves. Then both branches end
  the function (or the iteration of a loop), and no flag is needed.
- Otherwise the exit sets a flag, and what follows the block runs under `if_(none_set(flag))`. A loop's test looks at
  the flags that end it.
- `with`, `try` and `match` stay as they are. An exit in one of them is a `return` of the function that was made from
  the block around, so that what Python does on the way out is done.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable
from typing import Final, NoReturn

from .around import Around
from .exits import Finished, Guard
from .expressions import constant, name, runtime_call
from .frames import RETURNED, VALUE, Emitted, Frame, flagged, set_flag
from .loops import Loops
from .scopes import assigned_names, is_generator, names_that_outlive, scope_of

__all__ = ["FunctionRewriter"]

_EXIT_STATEMENTS: Final = (ast.Return, ast.Break, ast.Continue)
_WITH_BLOCKS: Final = (ast.With, ast.Try, ast.TryStar, ast.Match)


class FunctionRewriter(Loops, Around):
    """Rewrites one function of the user's, and those nested in it.

    Args:
        node: a copy of its tree, which is changed.
        refuse: raises the error for a function that cannot be converted.
        numbers: for the names of functions that are made.
        has_class: whether the function is a method that knows its class.
    """

    def __init__(
        self,
        node: ast.FunctionDef,
        refuse: Callable[[str, ast.AST], NoReturn],
        numbers: itertools.count[int],
        has_class: bool,
    ) -> None:
        super().__init__(scope_of(node.args, node.body), refuse, numbers, has_class)
        self.node = node
        self._outliving = names_that_outlive(node, self.scope)
        self._may_return_early = False

    def rewrite(self) -> None:
        """Give the function its new body."""
        node = self.node
        docstring = node.body[:1] if ast.get_docstring(node, clean=False) is not None else []
        last = node.body[-1]
        end = ast.copy_location(ast.Return(value=None), last)
        frame = Frame(is_function=True, tail=True, loop=None)
        statements = node.body[len(docstring) :]
        found, _ = self.block([*statements, end], frame, inside=False)
        if found and found[-1] is end:
            found.pop()
        node.body = [*docstring, *self._prologue(), *found] or [ast.Pass()]

    def _prologue(self) -> list[ast.stmt]:
        """Declarations. A variable that only inner functions assign is made the function's own by a dead assignment."""
        scope = self.scope
        found: list[ast.stmt] = [ast.Global(names=sorted(scope.globals))] if scope.globals else []
        found += [ast.Nonlocal(names=sorted(scope.nonlocals))] if scope.nonlocals else []
        outside = {*scope.parameters, *scope.globals, *scope.nonlocals}
        own = {label for label in scope.shared if label == VALUE or not label.startswith("_ingot_")}
        shared = sorted(own - outside)
        if shared:
            targets: list[ast.expr] = [ast.Name(id=label, ctx=ast.Store()) for label in shared]
            found.append(
                ast.If(test=constant(False), body=[ast.Assign(targets=targets, value=constant(None))], orelse=[])
            )
        if self._may_return_early:
            found.append(set_flag(RETURNED, False))
        for statement in found:
            ast.copy_location(statement, self.node)
            statement.end_lineno = statement.lineno
            statement.end_col_offset = statement.col_offset
        return found

    # ------------------------------------------------------------------------------------------------------ blocks

    def block(self, statements: list[ast.stmt], frame: Frame, *, inside: bool) -> Emitted:
        """Rewrite a block.

        Args:
            inside: whether it is in a `with`, `try` or `match` of its frame, so that more of the frame may follow it.
        """
        out: list[ast.stmt] = []
        self.exits.always(statements)  # asked before statements are changed, and remembered
        for position, statement in enumerate(statements):
            rest = statements[position + 1 :]
            if isinstance(statement, _EXIT_STATEMENTS):
                self.drop(rest)
                return [*out, *self._exit(statement, frame, inside)], set()
            if isinstance(statement, ast.If) and self.exits.kinds([statement]):
                found, flags = self._leaving_if(statement, rest, frame, inside)
                return [*out, *found], flags
            if isinstance(statement, (ast.While, ast.For)):
                found, flags, rest = self.loop(statement, rest, frame)
                found_rest, flags_rest = self.after(statement, flags, rest, frame, inside)
                return [*out, *found, *found_rest], flags_rest
            found, flags = self.statement(statement, frame)
            out += found
            if flags:
                found, flags = self.after(statement, flags, rest, frame, inside)
                return [*out, *found], flags
        return out, set()

    def after(self, statement: ast.stmt, flags: set[str], rest: list[ast.stmt], frame: Frame, inside: bool) -> Emitted:
        """What follows a statement that may have set flags."""
        if self.exits.always([statement]):
            self.drop(rest)
            return self._leave(statement, frame, inside), set()
        if not flags:
            return self.block(rest, frame, inside=inside)
        if not rest or (frame.tail and frame.loop and isinstance(rest[0], ast.Continue) and not inside):
            return [], flags
        guard = flagged(Guard, flags, rest, statement)
        found, more = self._leaving_if(guard, [], frame, inside)
        return found, flags | more

    def statement(self, node: ast.stmt, frame: Frame) -> Emitted:
        """Rewrite a statement that control does not leave by an exit."""
        if isinstance(node, _WITH_BLOCKS):
            return self.around(node, frame)
        if isinstance(node, ast.If):
            return self._leaving_if(node, [], frame, False)
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            return [], set()
        if not isinstance(node, ast.AnnAssign) or node.value is not None:
            frame.assign(assigned_names(node))
        found = self._simple(node)
        return [*self.expressions.taken(), *found], set()

    def _simple(self, node: ast.stmt) -> list[ast.stmt]:
        if isinstance(node, ast.Assert):
            return self._assertion(node)
        if isinstance(node, ast.AnnAssign):
            return self._annotated(node)
        if isinstance(node, ast.FunctionDef):
            return [self._nested(node)]
        if isinstance(node, (ast.AsyncFunctionDef, ast.ClassDef)) or type(node).__name__ == "TypeAlias":
            return [node]
        visited: ast.stmt = self.expressions.visit(node)
        return [visited]

    def _assertion(self, node: ast.Assert) -> list[ast.stmt]:
        if not __debug__:
            return []
        test = self.expressions.test(node.test)
        message: ast.expr = constant(None)
        if node.msg is not None:
            message = self.expressions.thunk(node.msg)
        return [ast.copy_location(ast.Expr(value=runtime_call("assert_", [test, message], node)), node)]

    def _annotated(self, node: ast.AnnAssign) -> list[ast.stmt]:
        """Annotations of variables are not evaluated in functions, and not allowed on variables of an outer one."""
        if node.value is not None:
            assign = ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node)
            return [self.expressions.visit(assign)]
        if isinstance(node.target, ast.Name):
            self.scope.shared.update({node.target.id} & self.scope.locals.keys())
            return []
        node.target = self.expressions.visit(node.target)
        return [node]

    def _nested(self, node: ast.FunctionDef) -> ast.stmt:
        node.decorator_list = [self.expressions.visit(decorator) for decorator in node.decorator_list]
        self.expressions.visit_defaults(node.args)
        if not is_generator(node):
            FunctionRewriter(node, self.refuse, self.numbers, self.has_class).rewrite()
        return node

    # ------------------------------------------------------------------------------------------------------ exits

    def _exit(self, node: ast.stmt, frame: Frame, inside: bool) -> list[ast.stmt]:
        """`return`, `break` or `continue`, at a place where control may leave the frame by Python's own `return`."""
        if isinstance(node, ast.Return):
            frame.assign(assigned_names(node))
            visited = self.expressions.visit(node)
            if frame.is_function:
                return [*self.expressions.taken(), visited]
            found = [*self.expressions.taken(), *self._returned(node, frame)]
        else:
            assert frame.loop is not None, "Python refuses it outside of a loop"
            is_break = isinstance(node, ast.Break)
            if is_break or not frame.tail:
                flag = frame.loop.break_flag if is_break else frame.loop.continue_flag
                found = [self._flag(flag, frame, node)]
            else:
                found = []
        return [*found, ast.copy_location(ast.Return(value=None), node)] if inside else found

    def _returned(self, node: ast.Return, frame: Frame) -> list[ast.stmt]:
        target = ast.Name(id=VALUE, ctx=ast.Store())
        assign = ast.copy_location(ast.Assign(targets=[target], value=node.value or constant(None)), node)
        frame.assign({VALUE: node.lineno})
        if frame.tail and frame.loop is None:
            return [assign]
        self._may_return_early = True
        return [assign, self._flag(RETURNED, frame, node)]

    def _flag(self, flag: str, frame: Frame, node: ast.stmt) -> ast.stmt:
        frame.flags.add(flag)
        frame.assign({flag: node.lineno})
        return ast.copy_location(set_flag(flag, True), node)

    def _leave(self, node: ast.AST, frame: Frame, inside: bool) -> list[ast.stmt]:
        """What follows a statement that always ends its frame."""
        if frame.is_function:
            value = name(VALUE)
            self.scope.shared.add(VALUE)
            return [ast.copy_location(ast.Return(value=value), node)]
        return [ast.copy_location(ast.Return(value=None), node)] if inside else []

    # ------------------------------------------------------------------------------------------------------ if

    def _leaving_if(self, node: ast.If, rest: list[ast.stmt], frame: Frame, inside: bool) -> Emitted:
        """An `if`, with what follows it where control may leave by it."""
        body, orelse = node.body, node.orelse
        leaves = bool(self.exits.kinds([node]))
        first, second = self.exits.always(body), self.exits.always(orelse) or isinstance(node, Guard)
        if leaves and first != second and rest:
            body, orelse, rest = (body, [*orelse, *rest], []) if first else ([*body, *rest], orelse, [])
            first, second = self.exits.always(body), self.exits.always(orelse)
        ends = leaves and first and second
        found, flags = self._if(node, body, orelse, frame, tail=frame.tail and (ends or not leaves))
        if ends:
            self.drop(rest)
            return [*found, *self._leave(node, frame, inside)], set()
        after, more = self._after_if(node, flags, rest, frame, inside)
        return [*found, *after], more

    def _after_if(self, node: ast.If, flags: set[str], rest: list[ast.stmt], frame: Frame, inside: bool) -> Emitted:
        if not rest:
            return [], flags
        return self.after(ast.copy_location(ast.Pass(), node), flags, rest, frame, inside)

    def _if(self, node: ast.If, body: list[ast.stmt], orelse: list[ast.stmt], frame: Frame, *, tail: bool) -> Emitted:
        number = next(self.numbers)
        test = self._test_of(node, frame)
        before = self.expressions.taken()
        branches = [Frame(tail=tail, loop=frame.loop) for _ in range(2)]
        functions: list[ast.expr] = []
        for label, block, branch in zip(("then", "else"), (body, orelse), branches, strict=True):
            found, _ = self.block(block, branch, inside=False)
            definitions, function = self.function(f"_ingot_{label}_{number}", (), found, branch, node)
            before += definitions
            functions.append(function)
        then, other = (branch.exported() for branch in branches)
        lines = {label: (then.get(label, 0), other.get(label, 0)) for label in {**then, **other}}
        call = self.call("if_", [test, *functions], lines, number, node.test, self._outliving)
        for branch in branches:
            frame.assign(branch.exported())
            frame.flags |= branch.flags
        return [*before, *call], branches[0].flags | branches[1].flags

    def _test_of(self, node: ast.If, frame: Frame) -> ast.expr:
        if isinstance(node, Finished):
            return node.test
        frame.assign(assigned_names(node.test))
        test: ast.expr = self.expressions.test(node.test)
        return test
