"""Which source expressions gave an operation its plain arguments.

The user's instruction is known, and the package's function that it called, with its parameters. Both are brought
together: the arguments of a call by position and name, the operands of `x * k`, the parts of `x[i:j]`. What is written
as a literal is left out, for it cannot change.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType, FrameType, MethodType
from typing import Any, Final

from ...ir import registry
from ...ir.schema import REQUIRED
from ..tensor_base import TensorBase
from .plain_values import MISSING, is_plain, show
from .source_text import Scope, constant_value, expression_at, is_literal, statement_at

__all__ = ["Argument", "arguments_of", "parameters"]

_VARARGS, _VARKEYWORDS = 0x04, 0x08
_OWN: Final = ("self", "cls")


@dataclass(frozen=True, slots=True)
class Argument:
    """A plain value that a call was given: which one, as `p of dropout`, the source expression, the value as text."""

    what: str
    expression: str
    value: str


@dataclass(frozen=True, slots=True)
class _Parameters:
    """What a function was called with: by parameter, and the rest of both kinds."""

    named: Mapping[str, Any]
    rest: tuple[Any, ...]
    keywords: Mapping[str, Any]

    def positional(self, place: int) -> tuple[str, Any]:
        """Name and value of a positional argument."""
        if place < len(self.named):
            return list(self.named.items())[place]
        place -= len(self.named)
        return f"argument {place + 1}", self.rest[place] if place < len(self.rest) else MISSING

    def keyword(self, name: str) -> Any:
        """The value of a keyword argument."""
        return self.named.get(name, self.keywords.get(name, MISSING))


def parameters(frame: FrameType) -> _Parameters:
    """What the function of a frame has in its parameters."""
    code, local = frame.f_code, frame.f_locals
    names = code.co_varnames
    count = code.co_argcount
    end = count + code.co_kwonlyargcount
    keywords = {name: local.get(name, MISSING) for name in names[count:end]}
    rest: tuple[Any, ...] = ()
    if code.co_flags & _VARARGS:
        given = local.get(names[end], ())
        rest, end = given if isinstance(given, tuple) else (), end + 1
    if code.co_flags & _VARKEYWORDS:
        given = local.get(names[end], {})
        keywords.update(given if isinstance(given, dict) else {})
    return _Parameters({name: local.get(name, MISSING) for name in names[:count]}, rest, keywords)


def is_frozen(value: Any) -> bool:
    """Whether an argument is a plain value that shapes what the call does."""
    return value is not None and value is not MISSING and is_plain(value)


def arguments_of(user: FrameType, called: FrameType, numbers: Sequence[Any], op: str) -> Iterator[Argument]:
    """The plain arguments, other than literals, that the user's frame gives the package's.

    Args:
        numbers: the operands of the operation that are numbers.
        op: the operation's name.
    """
    code, instruction = user.f_code, user.f_lasti
    given = parameters(called)
    if not numbers and not any(map(is_frozen, (*given.named.values(), *given.rest, *given.keywords.values()))):
        return
    node = expression_at(code, instruction)
    scope = Scope.of(user)
    if node is None:
        yield from _without_source(given, numbers, op, called.f_code)
    if isinstance(node, ast.Call):
        name = _name_of(called, op)
        for argument in _of_call(node, given, scope):
            yield Argument(f"{argument.what} of {name}", argument.expression, argument.value)
    elif isinstance(node, ast.Subscript):
        yield from _of_index(node.slice, given.named.get("index"), scope)
        yield from _of_assigned(code, instruction, given.named.get("value"), scope)
    elif isinstance(node, (ast.BinOp, ast.Compare, ast.AugAssign, ast.UnaryOp)):
        reverse = called.f_code.co_name == "<lambda>" or called.f_code.co_name.startswith("__r")
        yield from _of_operands(node, numbers, reverse, f"operand of {op}", scope)


def _name_of(called: FrameType, op: str) -> str:
    """How the user calls what was called: a layer by its class."""
    name = called.f_code.co_name
    if name == "__call__":
        return type(called.f_locals.get("self")).__name__
    return op if name.startswith(("__", "<")) else name


def _without_source(given: _Parameters, numbers: Sequence[Any], op: str, called: CodeType) -> Iterator[Argument]:
    """Where the source is not known: whatever differs from the operation's own defaults, literals included."""
    known = registry.find(f"ingot::{op}")
    if known is None or known.extras.get("entry") is None or known.extras["entry"].__code__ is not called:
        yield from (Argument(f"operand of {op}", "", show(number)) for number in numbers if is_frozen(number))
        return
    for parameter in known.schema.parameters:
        value = given.keyword(parameter.name)
        if is_frozen(value) and (parameter.default is REQUIRED or show(value) != show(parameter.default)):
            yield Argument(f"{parameter.name} of {op}", "", show(value))


def _of_call(node: ast.Call, given: _Parameters, scope: Scope) -> Iterator[Argument]:
    place = 1 if _is_bound(node.func, given, scope) else 0
    for i, arg in enumerate(node.args):
        if isinstance(arg, ast.Starred):
            known = constant_value(arg, scope)
            left = max(len(given.named) + len(given.rest) - place - (len(node.args) - i - 1), 0)
            count = len(known) if isinstance(known, (tuple, list)) else left
            values = tuple(given.positional(place + j)[1] for j in range(count))
            yield from _argument(given.positional(place)[0], arg, values, scope)
            place += count
            continue
        name, value = given.positional(place)
        yield from _argument(name, arg, value, scope)
        place += 1
    for keyword in node.keywords:
        found = constant_value(keyword.value, scope) if keyword.arg is None else given.keyword(keyword.arg)
        yield from _argument(keyword.arg or "keywords", keyword.value, found, scope)


def _is_bound(func: ast.expr, given: _Parameters, scope: Scope) -> bool:
    """Whether the function's first parameter is what stands before the dot, rather than the first argument."""
    first = next(iter(given.named), "")
    if first in _OWN:
        return True
    if isinstance(func, ast.Attribute):
        owner = constant_value(func.value, scope)
        return owner is MISSING or issubclass(type(owner), TensorBase)
    return type(constant_value(func, scope)) is MethodType


def _argument(name: str, node: ast.expr, value: Any, scope: Scope) -> Iterator[Argument]:
    if is_literal(node, scope) or (type(value) is tuple and not value):
        return
    known = constant_value(node, scope)
    # A parameter may have been replaced inside of the function by what it stands for.
    value = known if is_frozen(known) else value
    if is_frozen(value):
        yield Argument(name, ast.unparse(node), show(value))
    elif isinstance(node, (ast.Tuple, ast.List)) and isinstance(value, (tuple, list)) and len(value) == len(node.elts):
        for item, part in zip(node.elts, value, strict=True):
            yield from _argument(name, item, part, scope)


def _of_index(node: ast.expr, index: Any, scope: Scope) -> Iterator[Argument]:
    if isinstance(node, ast.Tuple) and isinstance(index, tuple) and len(index) == len(node.elts):
        for item, part in zip(node.elts, index, strict=True):
            yield from _of_index(item, part, scope)
    elif isinstance(node, ast.Slice) and isinstance(index, slice):
        pairs = (node.lower, index.start), (node.upper, index.stop), (node.step, index.step)
        for bound, part in pairs:
            if bound is not None:
                yield from _argument("index", bound, part, scope)
    else:
        yield from _argument("index", node, index, scope)


def _of_assigned(code: CodeType, instruction: int, value: Any, scope: Scope) -> Iterator[Argument]:
    statement = statement_at(code, instruction) if is_frozen(value) else None
    if isinstance(statement, ast.Assign):
        yield from _argument("assigned value", statement.value, value, scope)


def _of_operands(node: ast.AST, numbers: Sequence[Any], reverse: bool, what: str, scope: Scope) -> Iterator[Argument]:
    operands = _operands(node)
    for number in numbers:
        known = [(operand, constant_value(operand, scope)) for operand in operands]
        same = [operand for operand, value in known if is_frozen(value) and show(value) == show(number)]
        if same:
            found: ast.expr | None = same[0]
        else:
            left = [operand for operand, value in known if value is MISSING and not is_literal(operand, scope)]
            found = (left[0] if reverse else left[-1]) if left else None
        if found is not None and not is_literal(found, scope):
            yield Argument(what, ast.unparse(found), show(number))


def _operands(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.BinOp):
        return [node.left, node.right]
    if isinstance(node, ast.Compare):
        return [node.left, *node.comparators]
    if isinstance(node, ast.AugAssign):
        return [node.value]
    return [node.operand] if isinstance(node, ast.UnaryOp) else []
