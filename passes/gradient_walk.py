"""The walk back over a list of nodes: from the gradients of what they compute to those of what they read.

What lives here: which values a gradient can flow through, the walk itself, and the gradients of plain nodes, which
the ops' own declarations give through `ir.gradient`. Those of nodes with blocks are in `control_gradients`; graphs as
a whole are the subject of `differentiate`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from ..ir.algebra import Proxy
from ..ir.builder import Builder
from ..ir.errors import GradientError, IngotError
from ..ir.gradient import accumulate, gradient_names, input_gradients
from ..ir.graph import Block, Graph, Node, Value
from ..ir.graph_algebra import GraphAlgebra
from ..ir.graph_sizes import size_bounds
from ..ir.registry import NotDifferentiable, StopsGradient, lookup
from ..ir.sizes import Size, SizeExpr, equal, var
from ..ir.types import TensorType, TupleType, Type
from .facts import constant_of
from .structure import IF, LOOP, USER_GRADIENT, arguments_of

__all__ = ["Back", "SizeNames", "activate", "carries_gradient", "depended_on", "is_floating"]

_TUPLE: Final = lookup("prim::Tuple")
_UNTUPLE: Final = lookup("prim::Untuple")
_DEEPEST: Final = 50
_SCANS: Final = 8
"""How often a loop's body is looked through for values that matter before all of its carried values count."""


def is_floating(type_: Type) -> bool:
    """Whether a gradient of values of this type exists: whether it is a tensor of a floating-point dtype."""
    return isinstance(type_, TensorType) and type_.dtype.is_floating_point


def carries_gradient(type_: Type) -> bool:
    """Whether a value of this type can pass a gradient on: a floating tensor, or a tuple with one in it."""
    return is_floating(type_) or (isinstance(type_, TupleType) and any(map(carries_gradient, type_.items)))


# -------------------------------------------------------------------------------------------- what depends on what


def activate(nodes: Iterable[Node], active: set[Value], depth: int = 0) -> None:
    """Add to `active` what depends on it differentiably in these nodes and their blocks, which are in order.

    Raises:
        GradientError: where blocks are nested so deeply that computing each again on the way back would take too long.
    """
    for node in nodes:
        if depth == _DEEPEST and node.blocks:
            what = f"no gradient through more than {_DEEPEST} branches and loops inside of each other"
            raise GradientError(what, location=node.location, path=node.path)
        if node.op is LOOP:
            _activate_loop(node, active, depth + 1)
        elif node.op is USER_GRADIENT:
            if any(x in active for x in arguments_of(node)):
                active.update(y for y in node.outputs if carries_gradient(y.type))
        elif node.blocks:
            _activate_blocks(node, active, depth + 1)
        elif not isinstance(node.op.grad, StopsGradient) and any(x in active for x in node.inputs):
            active.update(y for y in node.outputs if carries_gradient(y.type))


def _activate_blocks(node: Node, active: set[Value], depth: int) -> None:
    """An If, whose blocks have no parameters, or a fusion group, whose one block takes the node's inputs."""
    for block in node.blocks:
        active.update(p for p, x in zip(block.params, node.inputs, strict=False) if x in active)
        activate(block.nodes, active, depth)
        pairs = zip(node.outputs, block.returns, strict=True)
        active.update(y for y, inner in pairs if inner in active and carries_gradient(y.type))


def _activate_loop(node: Node, active: set[Value], depth: int) -> None:
    (block,) = node.blocks
    carried, params, yielded = node.inputs[2:], block.params[1:], block.returns[1:]
    active.update(p for p, x in zip(params, carried, strict=True) if x in active)
    for _ in range(_SCANS):
        activate(block.nodes, active, depth)
        late = [p for p, y in zip(params, yielded, strict=False) if y in active and p not in active]
        if not late:
            break
        active.update(late)
    else:
        active.update(p for p in params if is_floating(p.type))
        activate(block.nodes, active, depth)
    active.update(out for out, p in zip(node.outputs, params, strict=False) if p in active)
    active.update(out for out, y in zip(node.outputs, yielded, strict=True) if y in active and is_floating(out.type))


def depended_on(nodes: Sequence[Node], seeds: Iterable[Value]) -> set[Value]:
    """What the gradients of `seeds` may flow to: whatever they depend on. All that a node with blocks reads counts."""
    found = set(seeds)
    for node in reversed(nodes):
        if isinstance(node.op.grad, StopsGradient) or not any(y in found for y in node.outputs):
            continue
        if node.op is USER_GRADIENT:
            found.update(arguments_of(node))
            continue
        found.update(node.inputs)
        for block in node.blocks:
            found.update(x for inner in block.walk() for x in inner.inputs)
            found.update(x for inner in block.blocks() for x in inner.returns)
    return found


# -------------------------------------------------------------------------------------------------------- the walk


class SizeNames:
    """Makes size variables whose names no other variable of a graph has."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._taken: set[str] | None = None

    def fresh(self, name: str) -> SizeExpr:
        """A new variable called `name`, with a number behind it where that is taken."""
        if self._taken is None:
            self._taken = set(size_bounds(self._graph))
        wanted, number = name, 0
        while wanted in self._taken:
            wanted, number = f"{name}_{number}", number + 1
        self._taken.add(wanted)
        return var(wanted)


class Back:
    """Emits gradients at a builder's place.

    Args:
        builder: where nodes go.
        names: the graph's size variables; those of the place that this one is nested in, if there is one.
        uncertain: whether the gradients that the walk starts from may be zeros that stand for none.

    Attributes:
        uncertain: whether gradients at the present place may be: a branch or loop that the run decides lies behind it.
    """

    def __init__(self, builder: Builder, names: SizeNames | None = None, uncertain: bool = False) -> None:
        self.builder = builder
        self.F = GraphAlgebra(builder)
        self.names = names or SizeNames(builder.graph)
        self.uncertain = uncertain

    def inside(self, block: Block, *, uncertain: bool = False) -> Back:
        """The same for the end of a block."""
        builder = Builder(block)
        builder.location, builder.path = self.builder.location, self.builder.path
        return Back(builder, self.names, self.uncertain or uncertain)

    def walk(self, nodes: Sequence[Node], seeds: Mapping[Value, Value], wanted: Iterable[Value]) -> dict[Value, Value]:
        """Walk back over nodes, which stand in one block, in order.

        Args:
            seeds: the gradients to start from, by the value that each belongs to.
            wanted: values that the nodes read and do not compute.

        Returns:
            the gradients of those wanted values that one flows to, each of its value's type.
        """
        targets = list(wanted)
        active = set(targets)
        activate(nodes, active)
        grads = dict(seeds)
        for node in reversed(nodes):
            found = [grads.pop(output, None) for output in node.outputs]
            if any(g is not None for g in found):
                with self.builder.located(node.location, node.path):
                    for value, gradient in self.node(node, found, active).items():
                        self.add(grads, value, gradient)
                self.uncertain = self.uncertain or node.op is IF or node.op is LOOP
        return {value: grads[value] for value in targets if value in grads}

    def add(self, grads: dict[Value, Value], value: Value, gradient: Value) -> None:
        """Add to the gradient of a value."""
        known = grads.get(value)
        grads[value] = gradient if known is None else self.sum(known, gradient)

    def sum(self, a: Value, b: Value) -> Value:
        """The sum of two gradients."""
        return self.F.value(accumulate(self.F, self.F.proxy(a), self.F.proxy(b)))

    def zeros(self, type_: Type) -> Value:
        """The gradient of a value that nothing flows to."""
        assert isinstance(type_, TensorType)
        return self.F.value(self.F.full(size=type_.sizes, value=0.0, dtype=type_.dtype))

    def fitted(self, gradient: Value, sizes: Sequence[Size]) -> Value:
        """A gradient under other names for its sizes, which are the same numbers whenever this place is reached."""
        assert isinstance(gradient.type, TensorType)
        if all(equal(mine, other) is True for mine, other in zip(gradient.type.sizes, sizes, strict=True)):
            return gradient
        return self.F.value(self.F.sized(self.F.proxy(gradient), size=tuple(sizes)))

    # -- one node

    def node(self, node: Node, grads: Sequence[Value | None], active: Collection[Value]) -> dict[Value, Value]:
        """Gradients of those of the values that a node reads, in its blocks too, that are active."""
        if node.blocks:
            from .control_gradients import block_gradients

            return block_gradients(self, node, grads, active)
        wanted = [i for i, x in enumerate(node.inputs) if x in active]
        if not wanted or isinstance(node.op.grad, StopsGradient):
            return {}
        if node.op is _UNTUPLE and node.inputs[0].node is not None and node.inputs[0].node.op is _TUPLE:
            parts = zip(node.inputs[0].node.inputs, grads, strict=True)
            return self._summed((x, g) for x, g in parts if g is not None and x in active)
        try:
            found = self._plain(node, grads, wanted)
        except IngotError as error:
            raise error.located(node.location, node.path, f"while differentiating @{self.builder.graph.name}") from None
        return self._summed((node.inputs[i], self.F.value(g)) for i, g in found.items())

    def _operand(self, value: Value) -> Any:
        """What a gradient function is handed for an input: a number where it always is one, as in eager calls."""
        found = constant_of(value)
        return found if isinstance(found, (bool, int, float)) else self.F.proxy(value)

    def _summed(self, pairs: Iterable[tuple[Value, Value]]) -> dict[Value, Value]:
        found: dict[Value, Value] = {}
        for value, gradient in pairs:
            self.add(found, value, gradient)
        return found

    def _plain(self, node: Node, grads: Sequence[Value | None], wanted: Sequence[int]) -> dict[int, Any]:
        op, F = node.op, self.F
        if isinstance(op.grad, NotDifferentiable):
            gradient_names(op, ())  # says why
            raise GradientError(f"{op.short} has no gradient")
        names = [p.name for p in op.schema.inputs]
        operands = [self._operand(x) for x in node.inputs]
        saved = dict(zip(names, op.schema.unflatten(operands), strict=True))
        outputs = [Proxy(F, y, y.type) for y in node.outputs]
        saved["y"] = outputs[0] if len(outputs) == 1 else tuple(outputs)
        g = [None if x is None else F.proxy(x) for x in grads]
        input_types = [x.type for x in node.inputs]
        return input_gradients(F, op, wanted, g, saved, input_types, [y.type for y in node.outputs], node.attrs)
