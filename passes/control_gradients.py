"""Gradients through nodes with blocks: `prim::If`, `prim::Loop`, fusion groups, and gradients of the user's.

A branch goes back by an If on the same condition; what its blocks need of the forward ones become further outputs of
the forward If. A loop goes back by a Loop from the last iteration to the first: the forward loop stacks what its body
carried into each iteration, as further outputs, and the body is computed again from that. Gradients of values from
around a loop are summed up in carried values. Nodes inside of blocks are walked by `gradient_walk`, which calls this
again for those with blocks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from ..ir.asserted import speaks_of_sizes
from ..ir.block import Block
from ..ir.builder import Builder
from ..ir.errors import GradientError
from ..ir.graph import InsertionPoint, Node, Value
from ..ir.graph_copy import copy_nodes
from ..ir.types import INT, TensorType
from .branch_residuals import hand_on
from .facts import is_removable
from .gradient_walk import Back, activate, depended_on, is_floating
from .loop_history import History
from .structure import GROUP, IF, LOOP, USER_GRADIENT
from .user_gradients import user_gradients

__all__ = ["block_gradients", "node_gradients"]


def node_gradients(
    builder: Builder, node: Node, output_grads: Sequence[Value | None], wanted: Collection[Value]
) -> dict[Value, Value]:
    """Emit the gradients of what one node reads, at the builder's place.

    The node may get further outputs, which hold what the way back needs.

    Args:
        builder: its place is behind the node, in the same block or inside of one that follows it.
        node: any node; one with blocks is gone through with all that is inside.
        output_grads: one gradient per output of the node, None where nothing flows back.
        wanted: inputs of the node, and values from around it that its blocks use, whose gradients are asked for.

    Returns:
        the gradients of those wanted values that one flows to, each of its value's type.

    Raises:
        GradientError: for an op that has no gradient, and where a loop carries what cannot be kept for the way back.

    >>> from ingot.ir.parser import parse
    >>> graph = parse('''
    ... graph @f(%x : f32[2], %c : bool) -> (f32[2]):
    ...   %y : f32[2] = prim::If(%c)
    ...     block0():
    ...       %s : f32[2] = ingot::sin(%x)
    ...       -> (%s)
    ...     block1():
    ...       -> (%x)
    ...   return (%y)''')
    >>> (node,), x = graph.block.nodes, graph.inputs[0]
    >>> gradients = node_gradients(Builder(graph), node, [graph.outputs[0]], [x])
    >>> _ = graph.set_return([gradients[x]])
    >>> print(str(graph).partition("-> (%x)")[2].strip())
    %grad_x : f32[2] = prim::If(%c)
        block0():
          %cos : f32[2] = ingot::cos(%x)
          %mul : f32[2] = ingot::mul(%y, %cos)
          -> (%mul)
        block1():
          -> (%y)
      return (%grad_x)
    """
    active = set(wanted)
    activate([node], active)
    with builder.located(node.location, node.path):
        found = Back(builder).node(node, output_grads, active)
    return {value: gradient for value, gradient in found.items() if value in wanted}


def block_gradients(
    back: Back, node: Node, grads: Sequence[Value | None], active: Collection[Value]
) -> dict[Value, Value]:
    """The gradients of the active values that a node with blocks reads; see `node_gradients`."""
    if node.op is IF:
        return _if(back, node, grads, active)
    if node.op is LOOP:
        return _loop(back, node, grads, active)
    if node.op is GROUP:
        return _group(back, node, grads, active)
    if node.op is USER_GRADIENT:
        return user_gradients(back, node, grads, active)
    raise GradientError(f"{node.op.name} has no gradient", location=node.location, path=node.path)


def _from_around(blocks: Iterable[Block], chosen: Collection[Value]) -> list[Value]:
    """The chosen values that blocks use and do not define, in order of their first use."""
    own: set[Value] = set()
    used: dict[Value, None] = {}
    for outer in blocks:
        for block in outer.blocks():
            own.update(block.params)
            for node in block.nodes:
                own.update(node.outputs)
                used.update(dict.fromkeys(node.inputs))
            used.update(dict.fromkeys(block.returns))
    return [value for value in used if value in chosen and value not in own]


# ----------------------------------------------------------------------------------------------------------- an If


def _if(back: Back, node: Node, grads: Sequence[Value | None], active: Collection[Value]) -> dict[Value, Value]:
    used = [value for value in _from_around(node.blocks, active) if is_floating(value.type)]
    if not used:
        return {}
    sides = [_side(back, block, grads, used) for block in node.blocks]
    flows = [value for value in used if any(value in found for _, found in sides)]
    for block, found in sides:
        inner = back.inside(block)
        block.set_returns([found[v] if v in found else inner.zeros(v.type) for v in flows])
        _prune(block)
    if not flows:
        for block, _ in sides:
            _discard(block)
        return {}
    for which, (block, _) in enumerate(sides):
        hand_on(back, node, which, block)
    names = [f"grad_{value.name}" for value in flows]
    types = [value.type for value in flows]
    made = back.builder.emit(IF, node.inputs, types=types, blocks=[block for block, _ in sides], names=names)
    return dict(zip(flows, made.outputs, strict=True))


def _side(
    back: Back, block: Block, grads: Sequence[Value | None], used: Sequence[Value]
) -> tuple[Block, dict[Value, Value]]:
    """One block of the way back, which uses values of the block that it goes back through as if it stood in it, and
    the gradients of what that uses from around."""
    new = Block(block.graph)
    inner = back.inside(new)
    seeds: dict[Value, Value] = {}
    for value, gradient in zip(block.returns, grads, strict=True):
        if gradient is not None:
            _seed(inner, seeds, value, gradient)
    return new, inner.walk(tuple(block.nodes), seeds, used)


def _copied(block: Block, new: Block, values: dict[Value, Value]) -> tuple[Node, ...]:
    """Copy a block's nodes to the end of a new one; returns the copies."""
    last = new.nodes.last
    copy_nodes(block, InsertionPoint.end(new), values)
    found = []
    node = new.nodes.first if last is None else last.next
    while node is not None:
        found.append(node)
        node = node.next
    for inner in [x for node in found for x in (node, *(y for b in node.blocks for y in b.walk()))]:
        # What has an effect has had it on the way there; assertions are repeated that types rest on.
        if inner.op.extras.get("effect") and not speaks_of_sizes(inner):
            inner.erase()
    return tuple(x for x in found if x.block is not None)


def _seed(inner: Back, seeds: dict[Value, Value], value: Value, gradient: Value) -> None:
    """Start from the gradient of what a block yields, whose sizes may have other names in there."""
    if isinstance(value.type, TensorType) and is_floating(value.type):
        inner.add(seeds, value, inner.fitted(gradient, value.type.sizes))


def _prune(block: Block) -> None:
    """Take away what a block computes in vain: most of what was computed again is not needed on the way back."""
    for node in reversed(tuple(block.nodes)):
        if is_removable(node) and not any(output.use_count for output in node.outputs):
            node.erase()


def _discard(block: Block) -> None:
    """Let go of a block that belongs to no node."""
    block.set_returns(())
    for node in reversed(tuple(block.nodes)):
        node.erase()


# ---------------------------------------------------------------------------------------------------------- a Loop


def _loop(back: Back, node: Node, grads: Sequence[Value | None], active: Collection[Value]) -> dict[Value, Value]:
    (block,) = node.blocks
    flows, reached = _flows(node, grads, active)
    around = [v for v in _from_around([block], active) if v in reached and is_floating(v.type)]
    if not flows and not around:
        return {}
    way = _WayBack(back, node, flows)
    found = way.body(grads, around)
    way.close(found, around)
    starts = [grads[k] or back.zeros(node.outputs[k].type) for k in flows]
    summed = [value for value in around if value in found]
    made = way.emit(starts, summed)
    result = dict(zip(summed, made[len(flows) :], strict=True))
    for k, gradient in zip(flows, made, strict=False):
        start = node.inputs[2 + k]
        if start in active and isinstance(start.type, TensorType):
            back.add(result, start, back.fitted(gradient, start.type.sizes))
    return result


def _flows(node: Node, grads: Sequence[Value | None], active: Collection[Value]) -> tuple[list[int], set[Value]]:
    """Which carried values a gradient flows through, in some iteration, and all that the body's gradients reach."""
    (block,) = node.blocks
    params, yielded = block.params[1:], block.returns[1:]
    able = {k for k, p in enumerate(params) if p in active and is_floating(p.type)}
    flows = {k for k in able if grads[k] is not None}
    stacks = [y for y, g in zip(yielded[len(params) :], grads[len(params) :], strict=True) if g is not None]
    nodes = tuple(block.nodes)
    while True:
        reached = depended_on(nodes, [*(yielded[k] for k in flows), *stacks])
        more = {k for k in able if params[k] in reached} - flows
        if not more:
            return sorted(flows), reached
        flows |= more


class _WayBack:
    """The Loop that goes back: step j stands for iteration T - 1 - j of the one that is gone back through.

    Its block takes the gradients of what an iteration has carried on, computes the body again from what was carried
    into the iteration, and hands out the gradients of that.

    Args:
        flows: the numbers of the carried values that gradients flow through.
    """

    def __init__(self, back: Back, node: Node, flows: Sequence[int]) -> None:
        self.back = back
        self.node = node
        self.flows = flows
        self.body_block = node.blocks[0]
        self.block = Block(back.builder.graph)
        self.inner = back.inside(self.block, uncertain=True)
        self.history = History(back, node)
        step = self.block.add_param(INT, "step")
        number = back.names.fresh("step")
        self.inner.builder.emit("prim::Bind", [step], {"variable": number})
        self.position = self.history.length - 1 - number
        iteration = self.inner.builder.emit("prim::Size", (), {"value": self.position}, names=["iteration"]).output
        params = self.body_block.params
        self.incoming = [
            self.block.add_param(self.history.gradient_type(k), f"grad_{params[1 + k].name}") for k in flows
        ]
        self.again = [self.block.add_param(p.type, p.name) for p in params[1:]]  # until `_recall`
        self.values = dict(zip(params, [iteration, *self.again], strict=True))

    def body(self, grads: Sequence[Value | None], around: Sequence[Value]) -> dict[Value, Value]:
        """Compute the body again and go back through it.

        Returns:
            the gradients of the values in `around`, and of those in `again`.
        """
        nodes = _copied(self.body_block, self.block, self.values)
        yielded = [self.values.get(value, value) for value in self.body_block.returns[1:]]
        seeds: dict[Value, Value] = {}
        for k, gradient in zip(self.flows, self.incoming, strict=True):
            _seed(self.inner, seeds, yielded[k], gradient)
        F = self.inner.F
        for value, stack in zip(yielded[len(self.again) :], grads[len(self.again) :], strict=True):
            if stack is not None:
                part = F.select(F.proxy(stack), dim=0, index=self.position)
                _seed(self.inner, seeds, value, F.value(part))
        return self.inner.walk(nodes, seeds, [*(self.again[k] for k in self.flows), *around])

    def close(self, found: dict[Value, Value], around: Sequence[Value]) -> None:
        """End the block with the gradients of what was carried in, and the sums of those of values from around."""
        inner = self.inner
        outgoing = [found.get(self.again[k]) or inner.zeros(self.again[k].type) for k in self.flows]
        sums = []
        for value in around:
            if value in found:
                total = self.block.add_param(value.type, f"sum_{value.name}")
                sums.append(inner.sum(total, found[value]))
        self.block.set_returns([inner.builder.constant(True), *outgoing, *sums])
        _prune(self.block)
        self._recall()

    def _recall(self) -> None:
        """Put what was carried in, as the forward loop has kept it, in the place of the parameters that stand for
        it."""
        bind = self.block.nodes.first
        assert bind is not None
        start = Back(Builder(self.block, InsertionPoint.after(bind)), self.back.names)
        start.builder.location, start.builder.path = self.node.location, self.node.path
        self.history.recall_sizes(start, self.position)
        for k, stand_in in enumerate(self.again):
            if stand_in.use_count:
                stand_in.replace_uses(self.history.recall(start, k, self.position))
        for stand_in in reversed(self.again):
            self.block.remove_param(stand_in.index)

    def emit(self, starts: Sequence[Value], summed: Sequence[Value]) -> tuple[Value, ...]:
        """Emit the loop; its outputs are the gradients of what is carried at first, and the sums."""
        back = self.back
        count = self.history.count(back)
        zeros = [back.zeros(value.type) for value in summed]
        carried = [self.node.inputs[2 + k] for k in self.flows]
        names = [f"grad_{value.name}" for value in (*carried, *summed)]
        types = [*(self.history.gradient_type(k) for k in self.flows), *(value.type for value in summed)]
        inputs = [count, back.builder.constant(True), *starts, *zeros]
        return back.builder.emit(LOOP, inputs, types=types, blocks=[self.block], names=names).outputs


# --------------------------------------------------------------------------------------------------- a fusion group


def _group(back: Back, node: Node, grads: Sequence[Value | None], active: Collection[Value]) -> dict[Value, Value]:
    """The gradients of a fusion group, whose nodes are computed again one by one."""
    (block,) = node.blocks
    values = dict(zip(block.params, node.inputs, strict=True))
    copy_nodes(block, back.builder.point, values)
    nodes = [values[inner.outputs[0]].node for inner in block.nodes]
    seeds: dict[Value, Value] = {}
    for value, gradient in zip(block.returns, grads, strict=True):
        if gradient is not None:
            _seed(back, seeds, values.get(value, value), gradient)
    return back.walk([x for x in nodes if x is not None], seeds, [v for v in dict.fromkeys(node.inputs) if v in active])
