"""The verifier's rules for types: outputs have the types that their op infers, and size variables are in
scope.

A size variable is bound where it first appears: in an input or a piece of state, a parameter of a block, an
output of a node with blocks, a `prim::Bind`, or an output of an op whose size depends on data (such an op
infers a variable that nothing has bound yet, whatever its name). It is in scope from there to the end of the
block. What control flow demands of types is in `verifier_blocks`.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Protocol

from .asserted import number_of_constant, relation_of
from .attributes import RESERVED_NAMES
from .dtypes import DType
from .errors import IngotError, ShapeError
from .graph import Graph
from .graph_sizes import Bounds, attribute_variables, size_variables, tensor_types
from .node import Node
from .size_matching import substituted_type
from .sizes import Size, SizeContext, SizeExpr, bounds, equal, free_vars, use_context
from .types import ListType, OptionalType, TensorType, TupleType, Type
from .value import Value
from .verifier_blocks import check_blocks

__all__ = ["TypeRules"]


class Fail(Protocol):
    """Refuses the graph because of a node."""

    def __call__(self, node: Node | None, what: str, **facts: Any) -> Any: ...


class TypeRules:
    """What is known about types and size variables at the present place of a walk over the graph.

    Args:
        facts: the graph's assumptions, to which assertions add; None when there are none.

    Attributes:
        scope: the names of the size variables that are bound here.
    """

    def __init__(self, fail: Fail, facts: SizeContext | None) -> None:
        self.fail = fail
        self.facts = facts
        self.outer_facts: list[SizeContext | None] = []  # by block around here: what it knew in front
        self.facts_are_own: list[bool] = []  # and whether it has added to that
        self.scope: set[str] = set()
        self.frames: list[list[str]] = []  # what each block around here has bound
        self.bounds: dict[str, Bounds] = {}
        self.names: dict[int, tuple[str, ...]] = {}  # of the variables in a type of the graph, by identity
        self.numbers: dict[Value, SizeExpr] = {}  # the run-time integers that variables are bound to

    # -- scope

    def enter(self) -> list[str]:
        """Begin a block."""
        self.frames.append([])
        self.outer_facts.append(self.facts)
        self.facts_are_own.append(False)
        return self.frames[-1]

    def leave(self, bound: list[str]) -> None:
        """End a block: what it has bound goes out of scope."""
        self.scope.difference_update(bound)
        self.frames.pop()
        self.facts = self.outer_facts.pop()
        self.facts_are_own.pop()

    def bind(self, node: Node | None, value: Value) -> None:
        """Bind the size variables in a value's type that are not bound yet."""
        for name in self.size_names(node, value):
            self.bind_name(name)

    def bind_name(self, name: str) -> None:
        if name not in self.scope:
            self.scope.add(name)
            self.frames[-1].append(name)

    def size_names(self, node: Node | None, value: Value) -> tuple[str, ...]:
        """The names of the size variables in a value's type, after a check that it is a type at all."""
        names = self.names.get(id(value.type))
        if names is None:
            if (why := _why_no_type(value.type)) is not None:
                self.fail(node, f"%{value.name} has no proper type: {why}")
            variables = size_variables(value.type)
            self.note_bounds(node, variables)
            names = self.names[id(value.type)] = tuple(dict.fromkeys(map(str, variables)))
        return names

    def note_bounds(self, node: Node | None, variables: Iterable[SizeExpr]) -> None:
        """Check that a variable has the same bounds wherever it occurs."""
        for variable in variables:
            name = str(variable)
            if name in RESERVED_NAMES:
                self.fail(node, f"a size variable is called {name}, which means something else in text")
            found = bounds(variable)
            if self.bounds.setdefault(name, found) != found:
                expected = f"the same bounds everywhere, as {self.bounds[name]}"
                self.fail(node, f"size variable {name} changes its bounds", expected=expected, found=str(found))

    def assumptions(self, graph: Graph) -> None:
        """Check that assumptions are about variables that the inputs bind."""
        known = graph.sizes
        for assumption in graph.assumptions:
            for side in (assumption.relation.left, assumption.relation.right):
                self.note_bounds(None, attribute_variables(side))
            if missing := sorted(assumption.relation.free_vars - known.keys()):
                what = f"{assumption}: no input binds size variable {missing[0]}"
                self.fail(None, what, location=assumption.location)

    def attributes(self, node: Node) -> None:
        """Check that sizes in a node's attributes are in scope; `prim::Bind` brings a variable into scope."""
        for name, value in node.attrs.items():
            if type(value) is not SizeExpr and type(value) is not tuple:
                continue
            variables = attribute_variables(value)
            self.note_bounds(node, variables)
            if node.op.name == "prim::Bind":
                self.fresh_variable(node, value)
            for variable in variables:
                if str(variable) not in self.scope:
                    self.fail(node, f"attribute {name}: size variable {variable} is not bound here")

    def fresh_variable(self, node: Node, size: Any) -> None:
        """Bind what `prim::Bind` says."""
        if not _is_variable(size):
            self.fail(node, f"binds {size}", expected="a size variable")
        if str(size) in self.scope:
            self.fail(node, f"binds size variable {size}, which is bound already")
        self.bind_name(str(size))
        if node.inputs:
            self.numbers[node.inputs[0]] = size

    def number(self, value: Value) -> Size | None:
        """A run-time integer as a size, where it is known as one."""
        if value in self.numbers:
            return self.numbers[value]
        return number_of_constant(value)

    def asserted(self, node: Node) -> None:
        """Take what an assertion says about sizes to hold, until the end of the block."""
        relation = relation_of(node.inputs[0], self.number)
        if relation is None:
            return
        if not self.facts_are_own[-1]:
            self.facts = SizeContext(self.facts.facts if self.facts is not None else ())
            self.facts_are_own[-1] = True
        assert self.facts is not None
        with suppress(ShapeError):  # an assertion that always fails: nothing behind it runs
            self.facts.add(relation)

    # -- types

    def node(self, node: Node) -> None:
        """Check a node's output types, whose size variables are in scope from here on."""
        try:
            if node.op.verify is not None:
                node.op.verify(node)
            if node.blocks:
                check_blocks(self, node)
            inferred = None if node.blocks else self.inferred(node)
        except IngotError as error:
            facts = {
                "expected": error.expected,
                "found": error.found,
                "notes": error.notes,
                "advice": error.advice,
            }
            self.fail(node, error.what, **facts)
        except Exception as error:  # a type rule may trip over types that no capture would give it
            found = ", ".join(str(value.type) for value in node.inputs)
            what = f"{node.op.name} cannot be applied to these types"
            self.fail(node, what, found=f"({found})", notes=(f"{type(error).__name__}: {error}",))
        if inferred is None:
            for output in node.outputs:
                self.bind(node, output)
        else:
            self.outputs(node, inferred)
        if node.op.name == "prim::Assert":
            self.asserted(node)

    def inferred(self, node: Node) -> tuple[Type, ...]:
        """The output types that the op infers: without the assumptions where they are not needed, since ops
        remember what they have inferred without."""
        op = node.op
        op.schema.check_inputs(len(node.inputs))
        types = [value.type for value in node.inputs]
        if self.facts is None:
            return op.infer(types, node.attrs)
        try:
            found = op.infer(types, node.attrs)
            if found == tuple([output.type for output in node.outputs]):
                return found
        except IngotError:
            pass  # it may be allowed all the same
        with use_context(self.facts):
            return op.infer(types, node.attrs)

    def outputs(self, node: Node, inferred: tuple[Type, ...]) -> None:
        """Check that the outputs have the types that the op infers."""
        if len(inferred) != len(node.outputs):
            self.fail(node, "wrong number of outputs", expected=str(len(inferred)), found=str(len(node.outputs)))
        for output, type_ in zip(node.outputs, inferred, strict=True):
            names = self.size_names(node, output)
            if names and not self.scope.issuperset(names):
                type_ = self.bind_outputs(node, output, type_, names)
            if type_ is not output.type and not self.agree(output.type, type_):
                self.wrong_type(node, output, type_)

    def bind_outputs(self, node: Node, output: Value, inferred: Type, names: tuple[str, ...]) -> Type:
        """Bind the variables of an output whose size depends on data.

        Returns:
            The inferred type in the graph's own variables.
        """
        chosen: dict[str, Size] = {}
        for mine, other in zip(_sizes(output.type), _sizes(inferred), strict=False):
            if _is_variable(mine) and _is_variable(other) and str(other) not in self.scope:
                chosen.setdefault(str(other), mine)
        fresh = {str(size) for size in chosen.values()}
        for name in names:
            if name not in self.scope and name not in fresh:
                self.fail(node, f"%{output.name} : {output.type}: size variable {name} is not bound here")
        for name in fresh:
            self.bind_name(name)
        return substituted_type(inferred, chosen)

    def wrong_type(self, node: Node, output: Value, inferred: Type) -> None:
        advice = ""
        if _unsure(output.type, inferred):
            advice = "if these sizes are always equal, an assumption has to say so"
        facts = {"expected": str(inferred), "found": str(output.type), "advice": advice}
        self.fail(node, f"wrong type of %{output.name}", **facts)

    def agree(self, a: Type, b: Type) -> bool:
        """Whether two types are equal, given the graph's assumptions about sizes."""
        if a == b:
            return True
        with use_context(self.facts):
            return _agree(a, b)


def _sizes(type_: Type) -> list[Size]:
    return [size for tensor in tensor_types(type_) for size in tensor.sizes]


def _agree(a: Type, b: Type) -> bool:
    waiting = [(a, b)]
    while waiting:
        x, y = waiting.pop()
        if x is y or x == y:
            continue
        if isinstance(x, TensorType) and isinstance(y, TensorType):
            if x.dtype is not y.dtype or x.device != y.device or len(x.sizes) != len(y.sizes):
                return False
            if not all(equal(p, q) for p, q in zip(x.sizes, y.sizes, strict=True)):
                return False
        elif isinstance(x, TupleType) and isinstance(y, TupleType) and len(x.items) == len(y.items):
            waiting.extend(zip(x.items, y.items, strict=True))
        elif isinstance(x, (ListType, OptionalType)) and isinstance(y, (ListType, OptionalType)):
            if type(x) is not type(y):
                return False
            waiting.append((x.item, y.item))
        else:
            return False
    return True


def _is_variable(size: Any) -> bool:
    return isinstance(size, SizeExpr) and free_vars(size) == {str(size)}


def _unsure(a: Type, b: Type) -> bool:
    """Whether the types differ in nothing but sizes that nobody can compare."""
    mine, other = list(tensor_types(a)), list(tensor_types(b))
    if [(t.dtype, t.ndim) for t in mine] != [(t.dtype, t.ndim) for t in other]:
        return False
    return None in map(equal, _sizes(a), _sizes(b))


def _why_no_type(type_: Type) -> str | None:
    if not isinstance(type_, Type):
        return f"{type_!r} is not a type"
    for tensor in tensor_types(type_):
        if not isinstance(tensor.dtype, DType):
            return f"{tensor.dtype!r} is not a dtype"
        for size in tensor.sizes:
            if not isinstance(size, SizeExpr) and (type(size) is not int or size < 0):
                return f"{size!r} is not a size"
    return None
