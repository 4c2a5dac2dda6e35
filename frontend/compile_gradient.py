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
from ..passes.two_ways import Joint, Split
from .mode import mode
from .tape import CustomNode, SavedTensor
from .tensor_base import wrap

__all__ = ["Cut", "Through", "Walked", "cut"]


@dataclass(slots=True)
class Cut:
    """A graph in two.

    Attributes:
        forward: gives the results, then what the backward part reads.
        backward: from what it reads and the gradients of the results to the gradients of what was given.
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
    run_pipeline(graph, "drop_user_gradients,fold,canonicalize{inference=true},share,cse,dce")
    inputs, outputs, updates = list(graph.inputs), list(graph.outputs), graph.updates
    given = inputs[: len(inputs) - seeds]
    late = _dependent(graph, inputs[len(given) :])
    way_there = {node for node in graph.block.nodes if node not in late}
    split = Split(graph, Joint(results, len(given), way_there, (), (), [True] * (len(outputs) - results)))
    kept_inputs = [i for i, value in enumerate(given) if value in split.taken]
    kept_state = [key for key, value in graph.state.items() if value in split.taken and key not in updates]
    direct = [*(given[i] for i in kept_inputs), *(graph.state[key] for key in kept_state)]
    known = set(direct)
    made = [value for value in split.taken if value not in known]
    split.taken = [*direct, *made]
    backward = split.backward()
    made += split.carriers
    graph.set_return([*outputs[:results], *made], updates)
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
        found = self.run([*kept, *self.arrays, *seeds])
        return [wrap(found[i]) for i in self.positions]

    def release(self) -> None:
        self.saved = None
        self.arrays = ()

    def __str__(self) -> str:
        return "a compiled function"
