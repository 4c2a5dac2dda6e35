"""Gradients through a compiled call: a captured run with its gradients, cut in two, and the node on the tape.

The graph of a run whose results require a gradient also computes the gradients of what it was given, from those of its
results. It is cut where they come in: the forward part hands out what the backward part reads, and nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ir.errors import GradientError
from ..ir.graph import Graph, Node, Value
from ..ir.locations import here
from ..passes import run_pipeline
from .mode import mode
from .tape import CustomNode, SavedTensor
from .tensor_base import wrap

__all__ = ["Cut", "Through", "Walked", "cut"]


@dataclass(slots=True)
class Cut:
    """A graph in two.

    Attributes:
        forward: gives the results, then what the backward part reads.
        backward: from the gradients of the results and what it reads to the gradients of what was given.
        inputs: positions of the forward graph's inputs that the backward part reads.
        state: keys of its state that the backward part reads.
        made: how many values are handed over beyond these.
    """

    forward: Graph
    backward: Graph
    inputs: list[int]
    state: list[str]
    made: int


def cut(graph: Graph, results: int, seeds: int) -> Cut:
    """Cut a graph before what depends on the gradients of its results.

    Args:
        results: how many of its first outputs are results; the others are gradients.
        seeds: how many of its last inputs are the gradients of results.
    """
    run_pipeline(graph, "fold,canonicalize{inference=true},share,cse,dce")
    inputs, outputs = list(graph.inputs), list(graph.outputs)
    given = inputs[: len(inputs) - seeds]
    late = _dependent(graph, inputs[len(given) :])
    crossing = [v for v in _before(graph, given, late) if _is_read(v, late, outputs[results:])]
    kept_inputs = [i for i, v in enumerate(given) if v in crossing]
    kept_state = [k for k, v in graph.state.items() if v in crossing and k not in graph.updates]
    direct = {given[i] for i in kept_inputs} | {graph.state[k] for k in kept_state}
    made = [v for v in crossing if v not in direct]
    order = [*(given[i] for i in kept_inputs), *(graph.state[k] for k in kept_state), *made]
    backward = _backward(graph, order, late, results, seeds)
    graph.set_return([*outputs[:results], *made], graph.updates)
    run_pipeline(graph, "dce")
    for value in inputs[len(given) :]:
        graph.remove_input(value)
    return Cut(graph, backward, kept_inputs, kept_state, len(made))


def _dependent(graph: Graph, seeds: Sequence[Value]) -> set[Node]:
    """The nodes of the top block that depend on some of its inputs."""
    values, found = set(seeds), set()
    waiting = list(seeds)
    while waiting:
        for use in waiting.pop().walk_uses():
            node = use.node.ancestor_in(graph.block) if use.node.block is not graph.block else use.node
            if node is None or node in found or node is graph.block.terminator:
                continue
            found.add(node)
            waiting += [output for output in node.outputs if output not in values]
            values.update(node.outputs)
    return found


def _before(graph: Graph, given: Sequence[Value], late: set[Node]) -> list[Value]:
    """What there is in front of the cut, but what both parts can have for themselves."""
    found = [*given, *graph.state.values()]
    for node in graph.block.nodes:
        if node not in late and (node.inputs or node.blocks or node.op.random):
            found += node.outputs
    return found


def _is_read(value: Value, late: set[Node], gradients: Sequence[Value]) -> bool:
    if value in gradients:
        return True
    for use in value.walk_uses():
        node: Node | None = use.node
        while node is not None and node not in late:
            node = node.block.parent if node.block is not None else None
        if node is not None:
            return True
    return False


def _backward(graph: Graph, order: Sequence[Value], late: set[Node], results: int, seeds: int) -> Graph:
    new = graph.copy()
    partner = {id(a): b for a, b in zip(graph.inputs, new.inputs, strict=True)}
    partner |= {id(value): new.state[key] for key, value in graph.state.items()}
    for a, b in zip(graph.block.nodes, new.block.nodes, strict=True):
        partner |= {id(x): y for x, y in zip(a.outputs, b.outputs, strict=True)}
    old_inputs = list(new.inputs)
    read = [new.add_input(f"kept_{i}", value.type) for i, value in enumerate(order)]
    for value, stand_in in zip(order, read, strict=True):
        partner[id(value)].replace_uses(stand_in)
    new.name = f"{graph.name}_backward"
    new.set_return(list(new.outputs)[results:], {})
    new.assumptions.clear()
    run_pipeline(new, "dce")
    for value in old_inputs[: len(old_inputs) - seeds]:
        new.remove_input(value)
    for key in list(new.state):
        new.remove_state(key)
    return new


class Walked(CustomNode):
    """The result of a call in which the function walked back from it itself: it cannot be walked again."""

    def backward(self, slots: list[Any]) -> Sequence[Any]:
        raise GradientError(
            "backward: the tape was already walked, within the compiled function, and has been freed",
            location=here(),
        )


class Through(CustomNode):
    """A compiled call on the tape.

    Args:
        inputs: the tensors that gradients flow to.
        outputs: the results that they flow from.
        run: from the gradients of the results and the arrays that were kept to the gradients of the inputs.
        tensors: tensors that are read again on the way back, which must not change until then.
        arrays: what else was kept.
        shapes: sizes and dtypes of the results.
    """

    def __init__(
        self,
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        run: Callable[[list[Any]], list[Any]],
        tensors: Sequence[Any],
        arrays: Sequence[Any],
        shapes: Sequence[tuple[tuple[int, ...], Any]],
    ) -> None:
        super().__init__(inputs, outputs)
        self.positions = [i for i, x in enumerate(inputs) if x._node is not None]
        self.run = run
        self.saved: list[SavedTensor] | None = [SavedTensor(tensor) for tensor in tensors]
        self.arrays: Sequence[Any] = arrays
        self.shapes = shapes

    def backward(self, slots: list[Any]) -> Sequence[Any]:
        if self.saved is None:
            raise GradientError(
                "backward: the tape was already walked and has been freed",
                location=here(),
                advice="pass retain_graph=True to the first backward()",
            )
        if mode.grad:
            raise GradientError(
                "a gradient of a gradient through a compiled function",
                location=here(),
                advice="compile the function that takes both, or call the original",
            )
        kept = [saved.get(self)._array for saved in self.saved]
        seeds = [
            np.zeros(shape, dtype) if slot is None else slot._array
            for slot, (shape, dtype) in zip(slots, self.shapes, strict=True)
        ]
        found = self.run([*seeds, *kept, *self.arrays])
        return [wrap(found[i]) for i in self.positions]

    def release(self) -> None:
        self.saved = None
        self.arrays = ()

    def __str__(self) -> str:
        return "a compiled function"
