"""A joint graph, which has an output and its gradients, cut in two: the way there and the way back.

What lives here: what the way back takes from the way there, and the two graphs. How the joint graph is made is in
`differentiate`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ..ir.builder import Builder
from ..ir.dtypes import bool_
from ..ir.graph import Assumption, Graph, Node, Value
from ..ir.graph_algebra import GraphAlgebra
from ..ir.graph_sizes import attribute_variables, size_variables
from ..ir.sizes import SizeExpr, free_vars
from ..ir.types import TensorType
from .branch_residuals import is_free
from .dce import dce
from .facts import named_variables, type_names
from .registered import NoOptions

__all__ = ["Derivative", "Joint", "Saved", "Split"]

_CARRIED: Final = 16  # size variables per tensor that carries them


@dataclass(frozen=True, slots=True)
class Saved:
    """Something that the backward graph takes from the forward call: input 3, state "fc1.weight", or output 2.

    Attributes:
        kind: `"input"`, `"state"` or `"output"`.
        key: the position, or the key of state.
    """

    kind: str
    key: int | str


@dataclass(frozen=True, eq=False, slots=True)
class Derivative:
    """A graph's derivative.

    Attributes:
        forward: the graph, with what the way back needs besides inputs, state and its own outputs as further outputs.
        backward: from what is `saved` and the gradients of the `seeds`, in this order, to gradients. It has no state.
        joint: both at once: takes the inputs and the seeds' gradients, and gives the outputs and one gradient for each
            of what is wanted, zeros where nothing flows. It can be differentiated again.
        saved: where the backward graph's first inputs come from.
        seeds: the outputs, by position, and the updated state, by key, whose gradients the backward graph takes.
        wanted: the inputs, by position, and the state, by key, whose gradients were asked for.
        places: for each of these the backward graph's output that is its gradient; None where nothing flows to it.
    """

    forward: Graph
    backward: Graph
    joint: Graph
    saved: tuple[Saved, ...]
    seeds: tuple[int | str, ...]
    wanted: tuple[int | str, ...]
    places: tuple[int | None, ...]


@dataclass(slots=True)
class Joint:
    """What was added to a graph to make it joint.

    Attributes:
        outputs: how many outputs it had.
        inputs: how many inputs it had.
        way_there: its nodes, those inside of others excepted.
    """

    outputs: int
    inputs: int
    way_there: set[Node]
    seeds: tuple[int | str, ...]
    wanted: tuple[int | str, ...]
    flows: list[bool] = field(default_factory=list)


class Split:
    """Cuts a joint graph in two.

    Attributes:
        taken: what the way back reads of the way there: inputs, state, then computed values, in order.
        carriers: empty tensors that hand on sizes which nothing else tells the way back.
    """

    def __init__(self, joint: Graph, made: Joint) -> None:
        self.joint = joint
        self.made = made
        returns = joint.outputs
        self.results = returns[: made.outputs]
        self.all_gradients = returns[made.outputs :]
        self.gradients = [g for g, flows in zip(self.all_gradients, made.flows, strict=True) if flows]
        self.seeds = joint.inputs[made.inputs :]
        self.back = [node for node in joint.block.nodes if node not in made.way_there]
        self.taken, again = self._crossing()
        self.carriers = self._carriers(self._missing_sizes(again))
        known = {*self.results, *joint.block.params}
        self.extra = [value for value in (*self.taken, *self.carriers) if value not in known]

    def derivative(self) -> Derivative:
        made, joint = self.made, self.joint
        forward, backward = self._forward(), self.backward()
        sources = self._sources()
        saved = tuple(sources[value] for value in (*self.taken, *self.carriers))
        joint.set_return([*self.results, *self.all_gradients], joint.updates)
        for value in self.carriers:
            assert value.node is not None
            value.node.erase()
        numbers = iter(range(len(self.gradients)))
        places = tuple(next(numbers) if flows else None for flows in made.flows)
        return Derivative(forward, backward, joint, saved, made.seeds, made.wanted, places)

    # -- what goes over

    def _crossing(self) -> tuple[list[Value], list[Node]]:
        """What is taken over, and the nodes of the way there that are computed again, since that costs nothing."""
        params = self.joint.block.params
        taken: dict[Value, int] = {}
        again: dict[Node, None] = {}
        seeds = set(self.seeds)
        order = {value: i for i, value in enumerate(params) if value not in seeds}
        waiting = [*self.gradients, *_read_by(self.back)]
        while waiting:
            value = waiting.pop()
            node = value.node
            if node is None:
                if value in order:
                    taken[value] = 0
            elif node in self.made.way_there:
                if not is_free(node):
                    taken[value] = 0
                elif node not in again:
                    again[node] = None
                    waiting += node.inputs
        computed = [y for node in self.joint.block.nodes if node in self.made.way_there for y in node.outputs]
        return [value for value in (*order, *computed) if value in taken], list(again)

    def _missing_sizes(self, again: Sequence[Node]) -> list[SizeExpr]:
        """The size variables of the way there that the way back names, and cannot learn from what it is given."""
        given = [value.type for value in (*self.taken, *self.seeds)]
        named = {name for node in self.back for name in _named_inside(node)}
        named |= {name for node in again for name in named_variables(node)}
        named |= {str(v) for type_ in given for v in size_variables(type_)}
        bound = self._bound_there()
        for assumption in self._assumptions(named):
            named |= assumption.relation.free_vars
        alone = {str(s) for t in given if isinstance(t, TensorType) for s in t.sizes if _is_variable(s)}
        return [variable for name, variable in bound.items() if name in named and name not in alone]

    def _bound_there(self) -> dict[str, SizeExpr]:
        """The size variables that the inputs, the state and the nodes of the way there bind, by name."""
        found = self.joint.sizes
        for node in self.joint.block.nodes:
            if node in self.made.way_there:
                for output in node.outputs:
                    found.update((str(v), v) for v in size_variables(output.type))
                if not node.outputs:
                    found.update((str(v), v) for a in node.attrs.values() for v in attribute_variables(a))
        return found

    def _assumptions(self, named: set[str]) -> list[Assumption]:
        """The assumptions that have to do with these variables, if only through other assumptions."""
        found: dict[Assumption, None] = {}
        reached = set(named)
        while True:
            more = [a for a in self.joint.assumptions if a not in found and reached & a.relation.free_vars]
            if not more:
                return list(found)
            for assumption in more:
                found[assumption] = None
                reached |= assumption.relation.free_vars

    def _carriers(self, sizes: Sequence[SizeExpr]) -> list[Value]:
        F = GraphAlgebra(Builder(self.joint))
        found = []
        for start in range(0, len(sizes), _CARRIED):
            shape = (0, *sizes[start : start + _CARRIED])
            found.append(F.value(F.full(size=shape, value=False, dtype=bool_)))
            found[-1].name = "sizes"
        return found

    def _sources(self) -> dict[Value, Saved]:
        """Where what is taken can be had after the way there."""
        found = {value: Saved("output", i) for i, value in enumerate((*self.results, *self.extra))}
        found |= {value: Saved("input", i) for i, value in enumerate(self.joint.inputs)}
        return found | {value: Saved("state", key) for key, value in self.joint.state.items()}

    # -- the graphs

    def _forward(self) -> Graph:
        self.joint.set_return([*self.results, *self.extra], self.joint.updates)
        found = self.joint.copy()
        dce(found, NoOptions())
        for value in reversed(found.inputs[self.made.inputs :]):
            found.remove_input(value)
        return found

    def backward(self) -> Graph:
        """The way back: takes what is taken, the carriers and the seeds; the joint graph's outputs change."""
        joint, count = self.joint, len(self.gradients)
        given = [*self.taken, *self.carriers, *self.seeds]
        joint.set_return([*self.gradients, *given], joint.updates)
        found = joint.copy()
        found.name = f"{joint.name}_backward"
        old_params = found.block.params
        for old in found.outputs[count:]:
            old.replace_uses(found.add_input(old.name, old.type, old.location))
        found.set_return(found.outputs[:count])
        for node in [node for node in found.nodes() if node.op.extras.get("effect")]:
            node.erase()  # the way there has done it
        dce(found, NoOptions())
        for key in reversed(tuple(found.state)):
            found.remove_state(key)
        for old in reversed(old_params[: len(joint.inputs)]):
            found.remove_input(old)
        for new, value in zip(found.inputs, given, strict=True):
            new.name = value.name
        sizes = {str(v) for value in given for v in size_variables(value.type)}
        found.assumptions = [a for a in joint.assumptions if a.relation.free_vars <= sizes]
        return found


def _read_by(nodes: Sequence[Node]) -> Iterator[Value]:
    """All that nodes read, in their blocks too."""
    for node in nodes:
        yield from node.inputs
        for block in node.blocks:
            for inner in block.blocks():
                yield from inner.returns
                for x in inner.nodes:
                    yield from x.inputs


def _named_inside(node: Node) -> Iterator[str]:
    """The size variables that a node names, and that its blocks and what stands in them name."""
    yield from named_variables(node)
    for block in node.blocks:
        for inner in block.blocks():
            for param in inner.params:
                yield from type_names(param.type)
            for x in inner.nodes:
                yield from named_variables(x)


def _is_variable(size: Any) -> bool:
    return isinstance(size, SizeExpr) and free_vars(size) == {str(size)}
