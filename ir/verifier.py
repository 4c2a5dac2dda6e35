"""The rules that every graph keeps, checked.

What lives here: the walk over a graph and the rules of its structure: definitions come before their uses, the
web of values and uses is consistent, blocks are closed, attributes fit their op's schema, updates fit the
state. Types and the sizes in them are checked by `verifier_types`; what a control-flow op demands of its
blocks is the op's own `verify`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

from .attributes import attribute_text, same_attribute, why_not_attribute
from .block import Block
from .errors import IngotError, ShapeError, VerifyError
from .gc_pause import paused_gc
from .graph import Graph
from .node import Node
from .sizes import SizeContext, use_context
from .value import Use, Value
from .verifier_types import TypeRules

__all__ = ["verify"]


@paused_gc()
def verify(graph: Graph) -> None:
    """Check that a graph keeps all rules. Takes time in proportion to the graph, however deep it is.

    Raises:
        VerifyError: for the first rule that is broken, naming the node, the value and the user's line.

    >>> from .parser import parse
    >>> from . import ops
    >>> verify(parse("graph @f(%x : f32[2]) -> (f32[3]): %y : f32[3] = ingot::relu(%x) return (%y)"))
    Traceback (most recent call last):
        ...
    ingot.ir.errors.VerifyError: %y = ingot::relu(%x): wrong type of %y
      expected  f32[2]
      found     f32[3]
      while verifying @f
    """
    try:
        facts = SizeContext(assumption.relation for assumption in graph.assumptions)
    except ShapeError as error:
        raise _refusal(error.what, graph, None, error) from None
    with use_context(None):
        _Verifier(graph, facts if graph.assumptions else None).run()


def _refusal(what: str, graph: Graph, node: Node | None, cause: IngotError | None = None, **facts: Any) -> VerifyError:
    if cause is not None:
        facts = {
            "expected": cause.expected,
            "found": cause.found,
            "notes": cause.notes,
            "advice": cause.advice,
        }
    if node is not None:
        facts |= {"location": node.location, "path": node.path}
    return VerifyError(what, context=f"while verifying @{graph.name}", **facts)


class _Verifier:
    """One walk over a graph, in the order of execution, with an explicit stack.

    Attributes:
        visible: the values that may be used at the present place.
        nodes: every node met so far, terminators included.
    """

    def __init__(self, graph: Graph, facts: SizeContext | None) -> None:
        self.graph = graph
        self.visible: set[Value] = set()
        self.nodes: set[Node] = set()
        self.names: set[str] = set()
        self.use_count = 0
        self.operand_count = 0
        self.types = TypeRules(self.fail, facts)

    def fail(self, node: Node | None, what: str, **facts: Any) -> NoReturn:
        """Refuse the graph because of a node."""
        raise _refusal(f"{node}: {what}" if node is not None else what, self.graph, node, **facts)

    def run(self) -> None:
        if self.graph.block.parent is not None:
            self.fail(None, "the top block belongs to a node")
        self.types.assumptions(self.graph)
        waiting: list[Iterator[Block | None]] = [self.block(self.graph.block)]
        while waiting:
            inner = next(waiting[-1], None)
            if inner is None:
                waiting.pop()
            else:
                waiting.append(self.block(inner))
        self.state()
        if self.use_count != self.operand_count:
            self.stray_uses()

    # -- blocks

    def block(self, block: Block) -> Iterator[Block]:
        """Check a block; what is nested in it is handed out, to be checked before going on."""
        if block.graph is not self.graph:
            self.fail(block.parent, "a block belongs to another graph")
        bound = self.types.enter()
        defined = list(block.params)
        self.params(block)
        count = 0
        previous: Node | None = None
        node = block.nodes.first
        while node is not None:
            self.place(node, block, previous)
            self.reads(node)
            self.attributes(node)
            for inner in node.blocks:
                if inner.parent is not node:
                    self.fail(node, "a block does not know that it belongs to this node")
                yield inner
            self.outputs(node)
            defined.extend(node.outputs)
            count += 1
            previous, node = node, node.next
        if count != len(block.nodes) or block.nodes.last is not previous:
            self.fail(previous, "the list of nodes is broken behind it")
        self.terminator(block)
        self.types.leave(bound)
        if block.parent is not None:
            self.visible.difference_update(defined)

    def params(self, block: Block) -> None:
        for index, param in enumerate(block.params):
            if param.node is not None or param.block is not block or param.index != index:
                self.fail(block.parent, f"parameter %{param.name} does not know its place")
            self.types.bind(block.parent, param)
            self.define(block.parent, param)

    def outputs(self, node: Node) -> None:
        self.types.node(node)
        for index, output in enumerate(node.outputs):
            if output.node is not node or output.index != index:
                self.fail(node, f"output %{output.name} does not know its place")
            self.define(node, output)

    def place(self, node: Node, block: Block, previous: Node | None) -> None:
        self.nodes.add(node)
        if node.block is not block or node.previous is not previous:
            self.fail(node, "the list of nodes is broken at this node")
        if previous is not None and not previous.order < node.order:
            self.fail(node, "order labels do not grow")
        if node.op.name in _TERMINATORS:
            self.fail(node, f"{node.op.name} stands in the middle of a block", expected="the last place")

    def terminator(self, block: Block) -> None:
        node = block.terminator
        where = "the graph" if block.parent is None else f"a block of {block.parent}"
        if node is None:
            self.fail(block.parent, f"{where} has no terminator")
        expected = "prim::Return" if block.parent is None else "prim::Yield"
        if node.op.name != expected:
            self.fail(node, f"{where} is closed by {node.op.name}", expected=expected)
        if node.block is not block or node.outputs or node.blocks:
            self.fail(node, "a terminator has outputs or blocks, or does not know its block")
        self.nodes.add(node)
        self.reads(node)
        self.attributes(node)

    # -- values and uses

    def define(self, node: Node | None, value: Value) -> None:
        """Make a value visible, and check that its uses are what it thinks they are."""
        if value.name in self.names or value.name not in self.graph.names:
            self.fail(node, f"the name %{value.name} is not unique")
        self.names.add(value.name)
        self.visible.add(value)
        count = 0
        for use in value.walk_uses():
            count += 1
            if use.value is not value or not _is_operand(use):
                self.fail(
                    use.node,
                    f"is listed as a user of %{value.name}, but does not use it as input {use.index}",
                )
        if count != value.use_count:
            self.fail(node, f"%{value.name} counts {value.use_count} uses, but lists {count}")
        self.use_count += count

    def reads(self, node: Node) -> None:
        """Check that every input is there when the node is executed."""
        visible = self.visible
        for index, use in enumerate(node._operands):
            if use.node is not node or use.index != index:
                self.fail(node, f"input {index} does not know its place")
            if use.value not in visible:
                self.fail(node, _why_not_visible(self.graph, node, use.value))
            self.operand_count += 1

    def stray_uses(self) -> NoReturn:
        """Say which use is on one side of the web only."""
        listed: set[Use] = set()
        for value in self.graph.values():
            for use in value.walk_uses():
                listed.add(use)
                if use.node not in self.nodes:
                    self.fail(use.node, f"uses %{value.name}, but is not in the graph")
        for node in self.nodes:
            for use in node.operands:
                if use not in listed:
                    self.fail(node, f"is not listed as a user of its input %{use.value.name}")
        self.fail(None, "values and their uses are inconsistent")

    # -- attributes and state

    def attributes(self, node: Node) -> None:
        attrs = node.attrs
        schema = node.op.schema
        if not attrs and not schema.attributes:
            return
        for name, value in attrs.items():
            if (why := why_not_attribute(value)) is not None:
                self.fail(node, f"attribute {name}: {why}")
        try:
            proper = schema.check_attrs(attrs)
        except IngotError as error:
            raise _refusal(f"{node}: {error.what}", self.graph, node, error) from None
        for name, value in proper.items():
            if name not in attrs:
                self.fail(node, f"attribute {name} is missing", expected=schema.text)
            if value is not attrs[name] and not same_attribute(value, attrs[name]):
                self.fail(node, f"attribute {name} is {attribute_text(attrs[name])}", expected=schema.text)
        self.types.attributes(node)

    def state(self) -> None:
        """Check what the graph writes to its state."""
        graph = self.graph
        node = graph.block.terminator
        assert node is not None
        if graph.block.params[len(graph.inputs) :] != tuple(graph.state.values()):
            self.fail(None, "the parameters of the top block are not the inputs and the state")
        names = node.attrs["updates"]
        if len(names) > len(node.inputs):
            self.fail(node, f"{len(names)} updates, but only {len(node.inputs)} values")
        values = node.inputs[len(node.inputs) - len(names) :]
        if len(set(names)) < len(names):
            self.fail(node, "a piece of state is updated twice", found=attribute_text(names))
        for key, value in zip(names, values, strict=True):
            if key not in graph.state:
                known = ", ".join(graph.state) or "nothing"
                self.fail(node, f"updates state {key!r}, which is not there", expected=f"one of: {known}")
            if not self.types.agree(value.type, graph.state[key].type):
                self.fail(
                    node,
                    f"%{value.name} cannot be written to state {key!r}",
                    expected=str(graph.state[key].type),
                    found=str(value.type),
                )


_TERMINATORS = frozenset({"prim::Yield", "prim::Return"})


def _is_operand(use: Use) -> bool:
    return use.node.block is not None and use.index < len(use.node._operands) and use.node._operands[use.index] is use


def _why_not_visible(graph: Graph, node: Node, value: Value) -> str:
    if value.node is not None and value.node.block is None:
        return f"uses %{value.name}, whose node was erased"
    if value.block.graph is not graph:
        return f"uses %{value.name}, which belongs to another graph"
    if value.node is not None and node.ancestor_in(value.block) is not None:
        return f"uses %{value.name} before it is computed"
    return f"uses %{value.name}, which is defined in a block that is not around it"
