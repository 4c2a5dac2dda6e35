"""Which names a piece of a function assigns, and which scope they belong to.

A walk stops at inner scopes: the body of a nested function, a lambda, a class. A comprehension's own variables are not
the function's; a walrus inside of a comprehension is.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

__all__ = [
    "Scope",
    "assigned_names",
    "has_inner_function",
    "has_walrus",
    "is_generator",
    "names_that_outlive",
    "own_nodes",
    "scope_of",
]

_COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
_LATER: Final = (*_FUNCTIONS, ast.Lambda, ast.ClassDef, ast.GeneratorExp)  # what may run after the function's end


@dataclass(slots=True)
class Scope:
    """The names of one function.

    Attributes:
        parameters: its parameters, in order.
        locals: the other names that it binds itself.
        globals, nonlocals: the names that it declares so.
        shared: locals that are assigned in a function made from a block, or no longer assigned at all; the function
            must declare them.
    """

    parameters: tuple[str, ...]
    locals: dict[str, int]
    globals: set[str]
    nonlocals: set[str]
    shared: set[str] = field(default_factory=set)

    def binds(self, name: str) -> bool:
        """Whether a name is the function's own."""
        return name in self.parameters or name in self.locals or name in self.nonlocals

    def declarations(self, names: Iterable[str]) -> list[ast.stmt]:
        """The statements by which an inner function may assign names of this one."""
        names = list(names)
        outer = [name for name in names if name in self.globals]
        own = [name for name in names if name not in self.globals]
        self.shared.update(own)
        found: list[ast.stmt] = [ast.Global(names=outer)] if outer else []
        return [*found, ast.Nonlocal(names=own)] if own else found


def scope_of(args: ast.arguments, body: Iterable[ast.stmt]) -> Scope:
    """The names of a function with these parameters and this body."""
    declared: dict[type, set[str]] = {ast.Global: set(), ast.Nonlocal: set()}
    bound: dict[str, int] = {}
    for statement in body:
        for node in own_nodes(statement):
            if isinstance(node, (ast.Global, ast.Nonlocal)):
                declared[type(node)].update(node.names)
            for name in _bound_by(node):
                bound.setdefault(name, getattr(node, "lineno", 0))
    several = (args.vararg, args.kwarg)
    parameters = [arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    parameters += [arg.arg for arg in several if arg is not None]
    outside = declared[ast.Global] | declared[ast.Nonlocal] | set(parameters)
    own = {name: line for name, line in bound.items() if name not in outside}
    return Scope(tuple(parameters), own, declared[ast.Global], declared[ast.Nonlocal])


def assigned_names(node: ast.AST) -> dict[str, int]:
    """The names that a statement or expression binds or unbinds in its function, each with its first line."""
    found: dict[str, int] = {}
    for inner in own_nodes(node):
        for name in _bound_by(inner):
            line = getattr(inner, "lineno", 0)
            found[name] = min(found.get(name, line), line)
    return found


def names_that_outlive(function: ast.AST, scope: Scope) -> set[str]:
    """The variables that are read after a `return` of the function, too: others' that it assigns, and its own that
    inner functions or a `finally` name."""
    inner = [node for node in ast.walk(function) if node is not function and isinstance(node, _LATER)]
    blocks = [block for node in ast.walk(function) for block in getattr(node, "finalbody", ())]
    named = (node for later in (*inner, *blocks) for node in ast.walk(later) if isinstance(node, ast.Name))
    return {*scope.globals, *scope.nonlocals, *(node.id for node in named)}


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all below it that belong to the same function's scope.

    Of comprehensions these are the walruses, and what surrounds them; of nested functions and classes, the name and
    what is evaluated where they are defined.
    """
    stack: list[tuple[ast.AST, bool]] = [(node, False)]
    while stack:
        current, within = stack.pop()
        if not (within and isinstance(current, ast.Name)):
            yield current
        within = within or isinstance(current, _COMPREHENSIONS)
        if isinstance(current, ast.NamedExpr) and within:
            yield current.target
        stack.extend((child, within) for child in _children(current))


def _children(node: ast.AST) -> Iterable[ast.AST]:
    if isinstance(node, ast.Lambda):
        return _defaults(node.args)
    if isinstance(node, _FUNCTIONS):
        return (*node.decorator_list, *_defaults(node.args))
    if isinstance(node, ast.ClassDef):
        return (*node.decorator_list, *node.bases, *node.keywords)
    return ast.iter_child_nodes(node)


def _defaults(args: ast.arguments) -> Iterator[ast.expr]:
    return (default for default in (*args.defaults, *args.kw_defaults) if default is not None)


def _bound_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        if not isinstance(node.ctx, ast.Load):
            yield node.id
    elif isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)
    elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
        if node.name is not None:
            yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest is not None:
        yield node.rest


def has_walrus(node: ast.AST) -> bool:
    """Whether an expression assigns a variable of the function that it stands in."""
    return any(isinstance(inner, ast.NamedExpr) for inner in own_nodes(node))


def has_inner_function(node: ast.AST) -> bool:
    """Whether an expression makes something that runs later: a lambda or a generator."""
    return any(isinstance(inner, (ast.Lambda, ast.GeneratorExp)) for inner in ast.walk(node))


def is_generator(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> bool:
    """Whether a function has a `yield` of its own."""
    body = [node.body] if isinstance(node, ast.Lambda) else node.body
    kinds = (ast.Yield, ast.YieldFrom, ast.Await)
    return any(isinstance(inner, kinds) for part in body for inner in own_nodes(part))
