"""Patterns: the left-hand sides of rewrite rules, written in the notation of a program.

`pattern(lambda F, x: -(-x))` runs the function over an algebra whose calls build a tree. Its parameters are
wildcards: as an operand a wildcard stands for any value (an absent one too), as an attribute for any attribute; where
one stands twice, both places must hold the same. A number stands for a constant that is that number in every element.
An attribute that is left out must have its default. Calls of commutative ops match with their operands in either
order.

What lives here: building trees and matching them against nodes. Applying rules is in `rewrite`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Final

from ..ir.algebra import Algebra
from ..ir.attributes import same_attribute
from ..ir.errors import ArgumentError
from ..ir.graph import Node, Value
from ..ir.operators import Operators
from ..ir.registry import Op, lookup
from ..ir.schema import REQUIRED
from ..ir.types import NONE
from .facts import CONSTANT, holds_number, is_commutative

__all__ = ["Call", "Literal", "Match", "Wild", "match", "pattern"]

_MAX_ORDERS: Final = 64  # of operands of commutative calls, in one pattern


class _Patterns(Algebra):
    """The algebra whose calls are patterns."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        op = lookup(name)

        def call(*args: Any, **kwargs: Any) -> Any:
            return _call(op, op.schema.match(args, kwargs))

        return call

    def apply(self, op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
        raise ArgumentError("a pattern is built by calls of ops alone")


_F: Final = _Patterns()


class _Notation(Operators):
    """What stands for a tensor in a pattern: Python's operators on it are calls."""

    __slots__ = ()
    _F = _F


class Wild(_Notation):
    """A wildcard: any value as an operand, any attribute as an attribute."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, eq=False)
class Literal:
    """A constant that is one number in every element."""

    number: bool | int | float


@dataclass(frozen=True, slots=True, eq=False)
class Call(_Notation):
    """Output `index` of a node of `op`, whose inputs and attributes match. An input of None must be absent.

    Attributes:
        probe: positions of inputs that come from nodes of known ops, with these; what is quickly looked at.
    """

    op: Op
    inputs: tuple[Wild | Literal | Call | None, ...]
    attrs: tuple[tuple[str, Any], ...]
    index: int = 0
    probe: tuple[tuple[int, Op], ...] = field(init=False)

    def __post_init__(self) -> None:
        calls = [(i, x.op) for i, x in enumerate(self.inputs) if isinstance(x, Call)]
        literals = [(i, CONSTANT) for i, x in enumerate(self.inputs) if isinstance(x, Literal)]
        object.__setattr__(self, "probe", (*calls, *literals))

    def depth(self) -> int:
        """The number of nodes on the longest way down."""
        return 1 + max([x.depth() for x in self.inputs if isinstance(x, Call)], default=0)

    def __repr__(self) -> str:
        return f"{self.op.short}({', '.join(map(repr, self.inputs))})"


def _call(op: Op, given: Mapping[str, Any]) -> Any:
    inputs: list[Any] = []
    attrs: list[tuple[str, Any]] = []
    for parameter in op.schema.parameters:
        value = given.get(parameter.name, parameter.default)
        if value is REQUIRED:
            raise ArgumentError(f"pattern: {op.short} lacks '{parameter.name}'", expected=op.schema.text)
        if not parameter.is_input:
            attrs.append((parameter.name, value if isinstance(value, Wild) else parameter.normalise(value, op.short)))
        elif parameter.is_list:
            inputs.extend(map(_operand, value))
        else:
            inputs.append(_operand(value))
    calls = tuple(Call(op, tuple(inputs), tuple(attrs), i) for i in range(len(op.schema.outputs)))
    return calls[0] if len(calls) == 1 else calls


def _operand(value: Any) -> Wild | Literal | Call | None:
    if value is None or isinstance(value, (Wild, Call)):
        return value
    if isinstance(value, (bool, int, float)):
        return Literal(value)
    raise ArgumentError(f"pattern: {value!r} cannot be an operand", expected="a wildcard, a call, a number or None")


def pattern(function: Callable[..., Any]) -> tuple[Call, ...]:
    """The tree that a function of `F` and wildcards builds, once for each order of commutative operands.

    Raises:
        ArgumentError: when it is not a call, or a wildcard occurs both as an operand and as an attribute, or nowhere.
    """
    names = list(inspect.signature(function).parameters)[1:]
    root = function(_F, *map(Wild, names))
    if not isinstance(root, Call):
        raise ArgumentError("pattern: the function does not return the call of an op", found=repr(root))
    once = _check_wildcards(root, names)
    orders = tuple(_orders(root, once))
    if len(orders) > _MAX_ORDERS:
        raise ArgumentError(f"pattern: {len(orders)} orders of operands", expected=f"at most {_MAX_ORDERS}")
    return orders


def _calls(root: Call) -> Iterator[Call]:
    yield root
    for operand in root.inputs:
        if isinstance(operand, Call):
            yield from _calls(operand)


def _check_wildcards(root: Call, names: Sequence[str]) -> frozenset[str]:
    """Refuses wildcards that make no sense; returns those that stand once."""
    calls = list(_calls(root))
    operands = [x.name for call in calls for x in call.inputs if isinstance(x, Wild)]
    attributes = {x.name for call in calls for _, x in call.attrs if isinstance(x, Wild)}
    if both := attributes.intersection(operands):
        raise ArgumentError(f"pattern: wildcard {min(both)} is an operand and an attribute")
    if unused := [name for name in names if name not in attributes.union(operands)]:
        raise ArgumentError(f"pattern: wildcard {unused[0]} does not occur")
    return frozenset(name for name in operands if operands.count(name) == 1)


def _orders(call: Call, once: frozenset[str]) -> Iterator[Call]:
    """The call with commutative operands in every order, but where the order cannot matter."""
    choices = [list(_orders(x, once)) if isinstance(x, Call) else [x] for x in call.inputs]
    either = all(isinstance(x, Wild) and x.name in once for x in call.inputs)
    for inputs in product(*choices):
        yield Call(call.op, tuple(inputs), call.attrs, call.index)
        if is_commutative(call.op) and not either:
            yield Call(call.op, tuple(reversed(inputs)), call.attrs, call.index)


class Match:
    """Where a pattern was found: wildcards by their names, as values and attributes.

    Attributes:
        root: the node that the pattern's outermost call stands for.
        output: that one of the root's outputs which the rule replaces.
        nodes: all nodes that calls stand for, the root first, each before those that its operands come from.
        memo: a dictionary that lives as long as the pass, for facts that rules find out about the graph.
    """

    __slots__ = ("_found", "memo", "nodes", "output", "root")

    def __init__(self, root: Node, output: Value, memo: dict[Any, Any]) -> None:
        self.root = root
        self.output = output
        self.nodes: list[Node] = []
        self.memo = memo
        self._found: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        try:
            return self._found[name]
        except KeyError:
            raise AttributeError(f"the pattern has no wildcard {name!r}") from None


def match(call: Call, node: Node, memo: dict[Any, Any]) -> Match | None:
    """The match of a pattern with a node as its root, or None."""
    if node.op is not call.op or len(node.outputs) <= call.index:
        return None
    found = Match(node, node.outputs[call.index], memo)
    return found if _matches(call, node, found) else None


def _matches(call: Call, node: Node, found: Match) -> bool:
    inputs = node.inputs
    if node.op is not call.op or len(inputs) != len(call.inputs):
        return False
    found.nodes.append(node)
    for wanted, value in zip(call.inputs, inputs, strict=True):
        if not _operand_matches(wanted, value, found):
            return False
    for name, attribute in call.attrs:
        given = node.attrs.get(name)
        expected = found._found.setdefault(attribute.name, given) if type(attribute) is Wild else attribute
        if not same_attribute(expected, given):
            return False
    return True


def _operand_matches(wanted: Wild | Literal | Call | None, value: Value, found: Match) -> bool:
    if isinstance(wanted, Wild):
        return found._found.setdefault(wanted.name, value) is value
    if isinstance(wanted, Call):
        producer = value.node
        return producer is not None and value.index == wanted.index and _matches(wanted, producer, found)
    if isinstance(wanted, Literal):
        return holds_number(value, wanted.number)
    return value.type is NONE
