"""Expressions, rewritten: what Python decides by truth, and every call, go through the runtime.

An operand that may not be evaluated becomes a lambda. One that assigns a variable (by a walrus) becomes a function in
front of the statement, which declares the variable; where there is no such place, in a lambda or comprehension, the
expression stays as it is.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterable
from typing import Any, Final, NoReturn

from .scopes import Scope, assigned_names, has_inner_function, has_walrus, is_generator

__all__ = [
    "ABSENT",
    "READ",
    "RUNTIME",
    "Expressions",
    "constant",
    "made_class",
    "made_function",
    "name",
    "runtime_call",
    "thunk",
]

RUNTIME: Final = "_ingot_rt"
READ: Final = "_ingot_read"
ABSENT: Final = "_ingot_absent"

_OPERATORS: Final[dict[type[ast.cmpop], str]] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip
_LOOKS_AT_FRAME: Final = {"locals": 0, "vars": 0, "dir": 0, "eval": 1, "exec": 1}  # with so many arguments


class Expressions(ast.NodeTransformer):
    """Rewrites the expressions of one function, in place.

    Args:
        scope: the function's names.
        refuse: raises the error for a function that cannot be converted.
        numbers: for the names of functions that are made.
        has_class: whether the function is a method that knows its class.

    Attributes:
        before: function definitions that the statement in progress needs in front of it; None where there is no place.
    """

    def __init__(
        self, scope: Scope, refuse: Callable[[str, ast.AST], NoReturn], numbers: itertools.count[int], has_class: bool
    ) -> None:
        self.scope = scope
        self.before: list[ast.stmt] | None = []
        self._refuse = refuse
        self._numbers = numbers
        self._has_class = has_class
        self._first = scope.parameters[:1]

    def taken(self) -> list[ast.stmt]:
        """The definitions that have been asked for, which the caller puts in front."""
        found, self.before = self.before or [], []
        return found

    # ----------------------------------------------------------------------------------------- what is decided by truth

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        branches = self.thunks([node.body, node.orelse])
        if branches is None:
            return self._as_it_is(node)
        return runtime_call("if_exp", [self.test(node.test), *branches], node)

    def test(self, node: ast.expr) -> ast.expr:
        """Rewrite an expression of which nothing but the truth counts."""
        _mark_test(node)
        made: ast.expr = self.visit(node)
        return made

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        values = self.thunks(node.values)
        if values is None:
            return self._as_it_is(node)
        names = ("both", "either") if getattr(node, "is_test", False) else ("and_", "or_")
        return runtime_call(names[isinstance(node.op, ast.Or)], values, node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        if not isinstance(node.op, ast.Not):
            return self._as_it_is(node)
        return runtime_call("not_", [self.test(node.operand)], node)

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        decides = len(node.ops) > 1 or isinstance(node.ops[0], (ast.In, ast.NotIn))
        others = self.thunks(node.comparators) if decides else None
        if others is None:
            return self._as_it_is(node)
        pairs = [
            ast.Tuple(elts=[constant(_OPERATORS[type(op)]), other], ctx=ast.Load())
            for op, other in zip(node.ops, others, strict=True)
        ]
        return runtime_call("compare", [self.visit(node.left), ast.Tuple(elts=[*pairs], ctx=ast.Load())], node)

    def _as_it_is(self, node: ast.expr) -> ast.expr:
        self.generic_visit(node)
        return node

    def thunks(self, operands: Iterable[ast.expr]) -> list[ast.expr] | None:
        """Operands as functions without parameters, or None where one of them has to stay in its place."""
        operands = list(operands)
        if self.before is None and any(has_walrus(operand) for operand in operands):
            return None
        return [self.thunk(operand) for operand in operands]

    def thunk(self, operand: ast.expr) -> ast.expr:
        assigned = assigned_names(operand) if has_walrus(operand) else None
        if assigned is None:
            return thunk(self.visit(operand))
        outside, self.before = self.before, []
        result = ast.copy_location(ast.Return(value=self.visit(operand)), operand)
        body: list[ast.stmt] = [*self.scope.declarations(assigned), *self.taken(), result]
        label = f"_ingot_part_{next(self._numbers)}"
        assert outside is not None, "asked for only where there is a place"
        outside.append(ast.copy_location(made_function(label, (), body), operand))
        self.before = outside
        return name(label)

    # ----------------------------------------------------------------------------------------- calls

    def visit_Call(self, node: ast.Call) -> ast.expr:
        called = node.func.id if isinstance(node.func, ast.Name) and not self.scope.binds(node.func.id) else ""
        count = len(node.args) + len(node.keywords)
        if called in _LOOKS_AT_FRAME and count == _LOOKS_AT_FRAME[called]:
            self._refuse(f"it calls {called}(), which sees other variables once the function is rewritten", node)
        if called == "super" and not count and self._has_class and self._first:
            node.args = [name("__class__"), name(self._first[0])]
            return node
        if called in ("super", "globals"):
            return self._as_it_is(node)
        start = _attribute_start(node)
        self.generic_visit(node)
        node.func = runtime_call("call", [node.func], node.func)
        node.lineno, node.col_offset = start
        return node

    # ----------------------------------------------------------------------------------------- displays, inner scopes

    def visit_List(self, node: ast.List) -> ast.expr:
        self.generic_visit(node)
        return runtime_call("list_", [node], node) if isinstance(node.ctx, ast.Load) else node

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        self.visit_defaults(node.args)
        if not is_generator(node):
            self.visit_body(node)
        return node

    def visit_body(self, node: ast.Lambda) -> None:
        """Rewrite what a lambda computes."""
        args = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args)]
        first, self._first = self._first, tuple(args[:1])
        node.body = self._visit_within(node.body)
        self._first = first

    def visit_defaults(self, args: ast.arguments) -> None:
        """Rewrite the defaults of a nested function, which are evaluated where it is defined."""
        args.defaults = [self.visit(default) for default in args.defaults]
        args.kw_defaults = [default and self.visit(default) for default in args.kw_defaults]

    def _visit_within(self, node: Any) -> Any:
        before, self.before = self.before, None
        found = self.visit(node)
        self.before = before
        return found

    def visit_ListComp(self, node: ast.ListComp) -> ast.expr:
        if not _is_plain(node):
            return self._visit_comprehension(node)
        [generator] = node.generators
        element = ast.copy_location(_element(generator.target, self._visit_within(node.elt)), node.elt)
        return runtime_call("list_comp", [self.visit(generator.iter), element], node)

    def _visit_comprehension(self, node: Any) -> ast.expr:
        for position, generator in enumerate(node.generators):
            visit = self._visit_within if position else self.visit
            generator.iter = visit(generator.iter)
            generator.target = self._visit_within(generator.target)
            generator.ifs = [self._visit_within(condition) for condition in generator.ifs]
        for part in ("key", "value") if isinstance(node, ast.DictComp) else ("elt",):
            setattr(node, part, self._visit_within(getattr(node, part)))
        made: ast.expr = node
        return made

    visit_SetComp = visit_DictComp = _visit_comprehension

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.expr:
        if not _is_plain(node):
            return self._visit_comprehension(node)
        [generator] = node.generators
        element = ast.copy_location(_element(generator.target, self._visit_within(node.elt)), node.elt)
        return runtime_call("generator", [self.visit(generator.iter), element], node)


def _mark_test(node: ast.expr) -> None:
    """Note which operators stand where nothing but the truth counts."""
    if isinstance(node, ast.BoolOp):
        node.is_test = True  # type: ignore[attr-defined]
        for value in node.values:
            _mark_test(value)


def _is_plain(node: ast.ListComp | ast.GeneratorExp) -> bool:
    """Whether a comprehension is the same as calling a function for every item.

    What an element leaves behind that runs later (a lambda) sees the variable's last value in Python, and would see its
    own in a function.
    """
    [generator, *others] = node.generators
    if others or generator.ifs or generator.is_async or has_walrus(node) or has_inner_function(node.elt):
        return False
    target = generator.target
    names = target.elts if isinstance(target, ast.Tuple) else [target]
    return bool(names) and all(isinstance(part, ast.Name) for part in names)


def _element(target: ast.expr, element: ast.expr) -> ast.expr:
    if isinstance(target, ast.Name):
        return thunk(element, target.id)
    # A comprehension over the one item, so that it is taken apart as Python does it, errors included.
    one = ast.Tuple(elts=[name("_ingot_item")], ctx=ast.Load())
    generator = ast.comprehension(target=target, iter=one, ifs=[], is_async=0)
    made = ast.ListComp(elt=element, generators=[generator])
    return thunk(ast.Subscript(value=made, slice=constant(0), ctx=ast.Load()), "_ingot_item")


def _attribute_start(node: ast.Call) -> tuple[int, int]:
    """Where Python says that a call happens: of a method called over several lines, where the method's name is."""
    attribute = node.func
    if isinstance(attribute, ast.Attribute) and attribute.end_lineno not in (None, attribute.lineno):
        end = attribute.end_col_offset or 0
        return attribute.end_lineno or 0, max(end - len(attribute.attr.encode()), 0)
    return node.lineno, node.col_offset


# ----------------------------------------------------------------------------------------------------- pieces of trees


def name(identifier: str) -> ast.expr:
    """A variable that is read."""
    return ast.Name(id=identifier, ctx=ast.Load())


def constant(value: Any) -> ast.expr:
    """A constant."""
    return ast.Constant(value=value)


def thunk(body: ast.expr, *parameters: str) -> ast.Lambda:
    """A lambda of ours, which is part of the function that it stands in."""
    made = ast.copy_location(ast.Lambda(args=_arguments(parameters), body=body), body)
    made.is_thunk = True  # type: ignore[attr-defined]
    return made


def made_function(label: str, parameters: Iterable[str], body: list[ast.stmt]) -> ast.FunctionDef:
    """A function of ours."""
    found = {"name": label, "args": _arguments(parameters), "body": body, "decorator_list": [], "type_params": []}
    fields: dict[str, Any] = {field: value for field, value in found.items() if field in ast.FunctionDef._fields}
    return ast.FunctionDef(**fields)


def made_class(label: str, body: list[ast.stmt]) -> ast.ClassDef:
    """A class around functions of ours."""
    found: dict[str, Any] = {
        "name": label,
        "bases": [],
        "keywords": [],
        "body": body,
        "decorator_list": [],
        "type_params": [],
    }
    fields: dict[str, Any] = {field: value for field, value in found.items() if field in ast.ClassDef._fields}
    return ast.ClassDef(**fields)


def runtime_call(function: str, args: Iterable[ast.expr], place: ast.AST) -> ast.Call:
    """A call of the runtime, located where something in the user's source is."""
    called = ast.Attribute(value=name(RUNTIME), attr=function, ctx=ast.Load())
    return ast.copy_location(ast.Call(func=called, args=[*args], keywords=[]), place)


def _arguments(parameters: Iterable[str]) -> ast.arguments:
    args = [ast.arg(arg=parameter) for parameter in parameters]
    return ast.arguments(posonlyargs=[], args=args, kwonlyargs=[], kw_defaults=[], defaults=[])
