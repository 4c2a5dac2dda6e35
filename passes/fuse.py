"""Fusion: element-wise nodes that feed each other become one `prim::FusionGroup`.

How groups are found. Every node of a block gets a stage: a number that never falls along an edge, that stays the same
along an edge between two nodes that may be fused, and that grows where a node that may be fused feeds one that may
not be fused with it. A group is a set of nodes of one stage that such edges connect. A path from one member to another
one cannot leave the group: the edge by which it leaves raises the stage, which never falls back. So a group depends on
nothing that depends on it, whatever the graph, and all of it takes linear time.

Among the stages that keep these rules a node takes the latest if that joins it with something that uses it, so that
fewer values wait in memory, and otherwise the earliest, which may join it with what it uses. Once groups are made,
what is left may have fewer stages between it, so that all of this is done again until nothing more is found.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..ir.graph import Block, Graph, InsertionPoint, Node, Value
from ..ir.sizes import Size
from ..ir.types import ScalarType, TensorType
from .changes import permit
from .facts import CONSTANT, bound_variables, effect_holders, has_own_variables, is_removable, named_variables
from .registered import register_pass
from .structure import GROUP

__all__ = ["FuseOptions", "fuse"]


@dataclass(frozen=True, slots=True)
class FuseOptions:
    """Options of `fuse`.

    Attributes:
        max_ops: the most nodes in a group, constants not counted.
        max_inputs: the most values that a group reads.
    """

    max_ops: int = 64
    max_inputs: int = 16


@register_pass(options=FuseOptions)
def fuse(graph: Graph, options: FuseOptions) -> bool:
    """Put element-wise nodes whose results have the same sizes, and that feed each other, into fusion groups.

    Operands from outside may have other sizes, by broadcasting. Numbers go inside with their users. A group has an
    output for each of its values that is used outside. Single nodes stay as they are.
    """
    changed = False
    own_variables = has_own_variables(graph)
    effects = effect_holders(graph)
    for block in list(graph.blocks()):
        if len(block.nodes) > 1 and (block.parent is None or block.parent.op is not GROUP):
            changed |= _fuse_block(block, options, own_variables, effects)
    return changed


def _fuse_block(block: Block, options: FuseOptions, own_variables: bool, effects: Container[Node]) -> bool:
    changed = False
    while True:
        plan = _Plan(block, own_variables, effects)
        groups = [group for group in plan.groups(options) if permit("fuse", group[0])]
        if not groups:
            return changed
        changed = True
        _put_in_order(block, groups, plan.sources)
        for group in groups:
            _make_group(group)


_Shape = tuple[Size, ...]
_FAR: Final = 1 << 60


@dataclass(slots=True)
class _Plan:
    """The nodes of a block, what may be fused, and their stages.

    Attributes:
        own_variables: whether nodes bind size variables, which others name without using a value.
        effects: the nodes that have an effect or hold one.
        nodes: all nodes in order, but constants.
        sources: by node, the nodes of this block that it reads, or that nodes inside of it read.
        shapes: by node that may be fused, the sizes of its result.
    """

    block: Block
    own_variables: bool
    effects: Container[Node]
    nodes: list[Node] = field(init=False)
    sources: dict[Node, list[Node]] = field(init=False)
    shapes: dict[Node, _Shape] = field(init=False)

    def __post_init__(self) -> None:
        self.nodes = [node for node in self.block.nodes if node.op is not CONSTANT]
        self.sources = {node: _producers(node, self.block) for node in self.nodes}
        self.shapes = {node: shape for node in self.nodes if (shape := _fusible_shape(node)) is not None}
        for node, producer in _captures(self.block):
            self.sources[node].append(producer)
        for node, before in _behind_effects(self.nodes, self.shapes, self.effects):
            self.sources[node].append(before)
        if self.own_variables:
            for node, binder in _size_dependences(self.block):
                self.sources[node].append(binder)

    def joins(self, producer: Node, user: Node) -> bool:
        """Whether an edge connects two nodes that may be fused with each other."""
        shape = self.shapes.get(producer)
        return shape is not None and shape == self.shapes.get(user)

    def stages(self) -> dict[Node, int]:
        """A stage for each node."""
        earliest: dict[Node, int] = {}
        for node in self.nodes:
            stage = 0
            for producer in self.sources[node]:
                stage = max(stage, earliest[producer] + self._step(producer, node))
            earliest[node] = stage
        # The latest at first; in reverse order each node finds those of its users decided.
        stages = dict.fromkeys(self.nodes, max(earliest.values(), default=0))
        joined: set[tuple[Node, int]] = set()  # with a user, if it takes that stage
        for node in reversed(self.nodes):
            if node in self.shapes and (node, stages[node]) not in joined:
                stages[node] = earliest[node]
            stage = stages[node]
            for producer in self.sources[node]:
                stages[producer] = min(stages[producer], stage - self._step(producer, node))
                if self.joins(producer, node):
                    joined.add((producer, stage))
        return stages

    def _step(self, producer: Node, user: Node) -> int:
        return 1 if producer in self.shapes and not self.joins(producer, user) else 0

    def groups(self, options: FuseOptions) -> list[list[Node]]:
        """The groups, each in order."""
        stages = self.stages()
        leader: dict[Node, Node] = {node: node for node in self.shapes}
        for node in self.shapes:
            for producer in self.sources[node]:
                if self.joins(producer, node) and stages[producer] == stages[node]:
                    leader[_find(leader, producer)] = _find(leader, node)
        members: dict[Node, list[Node]] = {}
        for node in self.shapes:
            members.setdefault(_find(leader, node), []).append(node)
        parts = [part for group in members.values() for part in _within_limits(group, options)]
        return [part for part in parts if len(part) > 1]


def _producers(node: Node, block: Block) -> list[Node]:
    return [
        value.node
        for value in node.inputs
        if value.node is not None and value.node.block is block and value.node.op is not CONSTANT
    ]


def _captures(block: Block) -> Iterable[tuple[Node, Node]]:
    """Nodes with blocks and what is read inside of them of the nodes of `block`."""
    if not any(node.blocks for node in block.nodes):
        return
    for producer in block.nodes:
        if producer.op is CONSTANT:
            continue
        for output in producer.outputs:
            for use in output.walk_uses():
                if use.node.block is not block:
                    around = use.node.ancestor_in(block)
                    if around is not None:
                        yield around, producer


def _size_dependences(block: Block) -> Iterable[tuple[Node, Node]]:
    """Nodes that name a size variable and the node of the block that may bind it."""
    binders: dict[str, Node] = {}
    for node in block.nodes:
        # What nodes inside of a node name is not looked up: it depends on all that was bound so far.
        named = binders.keys() & named_variables(node) if not node.blocks else list(binders)
        yield from ((node, binders[name]) for name in named)
        for name in bound_variables(node):
            binders.setdefault(name, node)


def _behind_effects(
    nodes: Sequence[Node], shapes: Container[Node], effects: Container[Node]
) -> Iterable[tuple[Node, Node]]:
    """Nodes that might fail or have an effect and the node with an effect that is to come before: what an assertion
    guards runs after it."""
    last: Node | None = None
    for node in nodes:
        if node in shapes:
            continue
        if last is not None:
            yield node, last
        if node in effects:
            last = node


def _fusible_shape(node: Node) -> _Shape | None:
    """The sizes of an element-wise node's result, or None for any other node."""
    if node.op.kind != "elementwise" or not all(isinstance(x.type, (TensorType, ScalarType)) for x in node.inputs):
        return None
    type_ = node.output.type
    return type_.sizes if isinstance(type_, TensorType) else None


def _find(leader: dict[Node, Node], node: Node) -> Node:
    """The leader of a node's set; shortens the way for the next time."""
    while leader[node] is not node:
        leader[node] = leader[leader[node]]
        node = leader[node]
    return node


def _within_limits(group: Sequence[Node], options: FuseOptions) -> Iterable[list[Node]]:
    """Cuts a group, in order, where it would become too large. What comes later in the order of execution cannot be
    read by what comes earlier, so that the parts do not depend on each other in a circle."""
    part: list[Node] = []
    inside: set[Value] = set()
    read: set[Value] = set()
    for node in group:
        new = {value for value in node.inputs if value not in inside and not _goes_inside(value)}
        if part and (len(part) >= options.max_ops or len(read | new) > options.max_inputs):
            yield part
            part, inside, read = [], set(), set()
            new = {value for value in node.inputs if not _goes_inside(value)}
        part.append(node)
        inside.update(node.outputs)
        read |= new
    yield part


def _goes_inside(value: Value) -> bool:
    """Whether a value is a number, which every group has for itself."""
    return value.node is not None and value.node.op is CONSTANT and isinstance(value.type, ScalarType)


# -- changing the graph


def _put_in_order(block: Block, groups: Sequence[Sequence[Node]], sources: dict[Node, list[Node]]) -> None:
    """Move nodes so that each group's members stand together, and everything behind what it reads."""
    unit: dict[Node, Sequence[Node]] = {node: group for group in groups for node in group}
    placed: set[Node] = set()
    order: list[Node] = []
    for start in block.nodes:
        if start.op is CONSTANT:
            continue
        waiting: list[tuple[Node, bool]] = [(start, False)]
        while waiting:
            node, ready = waiting.pop()
            if node in placed:
                continue
            together = unit.get(node, (node,))
            if ready:
                placed.update(together)
                order += together
                continue
            waiting.append((node, True))
            needed = [x for member in together for x in sources[member] if unit.get(x) is not together]
            waiting += [(x, False) for x in reversed(needed) if x not in placed]
    _move_into(block, order)


def _move_into(block: Block, order: Sequence[Node]) -> None:
    """Let the nodes stand in this order; constants first, where they are out of anybody's way."""
    moved = False
    following = _next_counted(block.nodes.first)
    for node in order:
        if node is following:
            following = _next_counted(node.next)
            continue
        moved = True
        assert following is not None
        node.move_before(following)
    if moved:
        _constants_first(block)


def _next_counted(node: Node | None) -> Node | None:
    while node is not None and node.op is CONSTANT:
        node = node.next
    return node


def _constants_first(block: Block) -> None:
    first = _next_counted(block.nodes.first)
    if first is not None:
        for node in list(block.nodes):
            if node.op is CONSTANT and not node.is_before(first):
                node.move_before(first)


def _make_group(members: Sequence[Node]) -> None:
    """Put nodes that stand together into a group."""
    block = members[-1].block
    assert block is not None
    inside = set(members)
    inputs: dict[Value, None] = {}
    numbers: dict[Value, None] = {}
    for node in members:
        for value in node.inputs:
            if _goes_inside(value):
                numbers[value] = None
            elif value.node not in inside:
                inputs[value] = None
    outputs = [x for node in members for x in node.outputs if any(use.node not in inside for use in x.walk_uses())]
    body = Block(block.graph, [value.type for value in inputs], [value.name for value in inputs])
    last = members[-1]
    group = Node(
        InsertionPoint.after(last),
        GROUP,
        list(inputs),
        [output.type for output in outputs],
        ["fused"] * len(outputs),
        {},
        last.location,
        last.path,
    )
    group.attach(body)
    for value, output in zip(outputs, group.outputs, strict=True):
        value.replace_uses(output, lambda use: use.node not in inside)
    within = dict(zip(inputs, body.params, strict=True))
    for value in numbers:
        within[value] = _copy_number(value, body)
    for node in members:
        for use in node.operands:
            if use.value in within:
                node.set_input(use.index, within[use.value])
        node.move_to(InsertionPoint.end(body))
    body.set_returns(outputs, last.location, last.path)
    for value, output in zip(outputs, group.outputs, strict=True):
        name, value.name = value.name, f"{value.name}_inner"
        output.name = name
    for value in numbers:
        if value.node is not None and not value.use_count and is_removable(value.node):
            value.node.erase()
            within[value].name = value.name


def _copy_number(value: Value, body: Block) -> Value:
    node = value.node
    assert node is not None
    copy = Node(
        InsertionPoint.end(body), CONSTANT, (), (value.type,), (value.name,), dict(node.attrs), node.location, node.path
    )
    return copy.output
