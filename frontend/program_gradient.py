"""Graphs on the tape: calls that gradients flow back through.

A recorded call of a graph is one node on the tape. It runs the graph that `passes.differentiate` makes for the way
there, keeps what that one hands out for the way back, and runs the way back when the walk reaches it. With
`create_graph=True` the gradient is computed from the call's inputs by a graph that can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from ..backends.backend import get_backend
from ..ir.arrays import is_array, namespace
from ..ir.binding import bind_sizes
from ..ir.errors import GradientError
from ..ir.graph import Graph
from ..ir.locations import here
from ..passes import TRAINING, Derivative, derivative, run_pipeline
from ..passes.dce import dce
from ..passes.registered import NoOptions
from ..passes.two_ways import Saved
from ..passes.user_gradients import may_not_vanish
from .mode import mode
from .tape import CustomNode, SavedTensor
from .tensor_base import TensorBase, wrap

__all__ = ["DifferentiableGraph", "needs_gradient"]


def needs_gradient(values: Sequence[Any]) -> bool:
    """Whether a call with these values goes on the tape."""
    return mode.grad and any(isinstance(x, TensorBase) and x._node is not None for x in values)


def _array(value: Any) -> Any:
    return value._array if isinstance(value, TensorBase) else value


class DifferentiableGraph:
    """A graph that can be called with tensors, and differentiated, any number of times.

    Args:
        graph: it must not change any more.
        backend: what runs it and its derivatives.

    >>> import ingot
    >>> from ingot.ir.parser import parse
    >>> square = DifferentiableGraph(parse('''
    ... graph @square(%x : f32[2]) -> (f32[2]):
    ...   %y : f32[2] = ingot::mul(%x, %x)
    ...   return (%y)'''), "numpy")
    >>> x = ingot.tensor([1.0, 3.0], requires_grad=True)
    >>> (y,), _ = square([x], {})
    >>> y.sum().backward()
    >>> x.grad
    tensor([2., 6.])
    """

    def __init__(self, graph: Graph, backend: str) -> None:
        self.graph = graph
        self.backend = backend
        self._plain: _Compiled | None = None
        self._ways: dict[tuple[tuple[int, ...], tuple[str, ...]], _Ways] = {}

    def __call__(self, inputs: Sequence[Any], state: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Run the graph, and record the call where an input or a piece of state can carry a gradient.

        Args:
            inputs: tensors, arrays and numbers.
            state: tensors and arrays, by key.

        Returns:
            the outputs, as tensors and numbers, and the new values of state, as arrays.

        Raises:
            GradientError: when an op on the way of a gradient has none.
        """
        wanted = self._wanted(inputs, state)
        if not any(wanted):
            if self._plain is None:
                self._plain = _Compiled(self.graph, self.backend)
            outputs, updates = self._plain(inputs, state)
            return [wrap(y) if is_array(y) else y for y in outputs], updates
        ways = self._ways.get(wanted)
        if ways is None:
            ways = self._ways[wanted] = _Ways(self.graph, *wanted, self.backend)
        return ways.call(inputs, state)

    def _wanted(self, inputs: Sequence[Any], state: Mapping[str, Any]) -> tuple[tuple[int, ...], tuple[str, ...]]:
        if not mode.grad:
            return (), ()
        positions = [i for i, x in enumerate(inputs) if isinstance(x, TensorBase) and x._node is not None]
        own = [(key, state[key]) for key in self.graph.state]
        return tuple(positions), tuple([key for key, x in own if isinstance(x, TensorBase) and x._node is not None])


class _Compiled:
    """A graph on a backend."""

    def __init__(self, graph: Graph, backend: str) -> None:
        self.graph = graph.copy()
        run_pipeline(self.graph, TRAINING)
        self._run = get_backend(backend).compile(self.graph)

    def __call__(self, inputs: Sequence[Any], state: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        arrays = [_array(x) for x in inputs]
        kept = {key: _array(state[key]) for key in self.graph.state}
        return self._run(arrays, kept, bind_sizes(self.graph, arrays, kept))


class _Ways:
    """The way there and the way back, for the inputs and the state whose gradients are wanted."""

    def __init__(self, graph: Graph, inputs: tuple[int, ...], state: tuple[str, ...], backend: str) -> None:
        self.name = graph.name
        self.backend = backend
        self.count = len(graph.outputs)
        self.graph = graph
        self.wanted = inputs, state
        self.derivative: Derivative = derivative(graph, inputs, state)
        self._there = _Compiled(self.derivative.forward, backend)
        self._back: _Compiled | None = None
        self._again: DifferentiableGraph | None = None
        self._of_some: dict[tuple[int, ...], tuple[DifferentiableGraph, tuple[bool, ...]]] = {}

    def call(self, inputs: Sequence[Any], state: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Run the way there, and put a node on the tape."""
        results, updates = self._there(inputs, state)
        outputs = [wrap(y) if is_array(y) else y for y in results[: self.count]]
        _GraphNode(self, inputs, state, outputs, results)
        return outputs, updates

    def back(self, saved: Sequence[Any], seeds: Sequence[Any]) -> list[Any]:
        """The gradients of what is wanted, as arrays; None where nothing flows."""
        if self._back is None:
            self._back = _Compiled(self.derivative.backward, self.backend)
        found, _ = self._back([*saved, *seeds], {})
        return [None if place is None else found[place] for place in self.derivative.places]

    def back_recorded(self, inputs: Sequence[Any], state: Mapping[str, Any], seeds: Sequence[Any]) -> list[Any]:
        """The same, as tensors that can be differentiated again: computed from the call's own inputs."""
        if self._again is None:
            self._again = DifferentiableGraph(self._gradient_graph(self.derivative), self.backend)
        found, _ = self._again([*inputs, *seeds], state)
        places = self.derivative.places
        return [None if place is None else x for place, x in zip(places, found, strict=True)]

    @cached_property
    def tells_none(self) -> bool:
        """Whether no gradient of an output may be something else than a gradient of zeros: the user has written a
        gradient that is not zero where that of its results is."""
        return any(may_not_vanish(node) for node in self.graph.nodes())

    def back_of_some(
        self, outputs: tuple[int, ...], inputs: Sequence[Any], state: Mapping[str, Any], seeds: Sequence[Any]
    ) -> list[Any]:
        """The gradients where they come from some of the outputs alone, computed from the call's own inputs."""
        known = self._of_some.get(outputs)
        if known is None:
            made = derivative(self.graph, *self.wanted, outputs=outputs)
            flows = tuple([place is not None for place in made.places])
            known = self._of_some[outputs] = DifferentiableGraph(self._gradient_graph(made), self.backend), flows
        found, _ = known[0]([*inputs, *seeds], state)
        return [x if flows else None for x, flows in zip(found, known[1], strict=True)]

    def _gradient_graph(self, of: Derivative) -> Graph:
        found = of.joint.copy()
        found.name = f"{self.name}_gradient"
        found.set_return(found.outputs[self.count :])
        dce(found, NoOptions())
        return found


class _GraphNode(CustomNode):
    """A recorded call of a graph."""

    def __init__(
        self,
        ways: _Ways,
        inputs: Sequence[Any],
        state: Mapping[str, Any],
        outputs: Sequence[Any],
        results: Sequence[Any],
    ) -> None:
        found = ways.derivative
        wanted = [inputs[key] if isinstance(key, int) else state[key] for key in found.wanted]
        super().__init__(wanted, [y if isinstance(y, TensorBase) else None for y in outputs])
        self._ways = ways
        self._inputs: Any = [_Kept(x, f"input {i}") for i, x in enumerate(inputs)]
        self._state: Any = {key: _Kept(state[key], f"state {key!r}") for key in found.joint.state}
        self._saved: Any = [self._kept(part, outputs, results) for part in found.saved]
        ends = [(i, results[i]) for i in found.seeds if isinstance(i, int)]
        self._seeds = [(i, y.shape, y.dtype, namespace(y)) for i, y in ends]

    def _kept(self, part: Saved, outputs: Sequence[Any], results: Sequence[Any]) -> _Kept:
        """What the way back takes: the call's own inputs, state and outputs as they are, the rest as arrays."""
        if part.kind != "output":
            found: _Kept = self._inputs[part.key] if part.kind == "input" else self._state[part.key]
            return found
        assert isinstance(part.key, int)
        return _Kept((outputs if part.key < self._ways.count else results)[part.key], f"output {part.key}", self)

    def __repr__(self) -> str:
        return f"<@{self._ways.name} backward>"

    def backward(self, slots: list[Any]) -> Sequence[Any]:
        if self._saved is None:
            raise GradientError(
                "backward: the tape was already walked and has been freed",
                location=here(),
                advice="pass retain_graph=True to the first backward()",
            )
        given = [i for i, *_ in self._seeds if slots[i] is not None]
        some = len(given) < len(self._seeds) and self._ways.tells_none
        if some or mode.grad:
            inputs, state = [x.get(self) for x in self._inputs], {key: x.get(self) for key, x in self._state.items()}
        if some:
            return self._ways.back_of_some(tuple(given), inputs, state, [slots[i] for i in given])
        seeds = [slots[i] if slots[i] is not None else wrap(xp.zeros(sizes, t)) for i, sizes, t, xp in self._seeds]
        if mode.grad:
            return self._ways.back_recorded(inputs, state, seeds)
        found = self._ways.back([x.get(self) for x in self._saved], seeds)
        return [None if x is None else wrap(x) for x in found]

    def release(self) -> None:
        self._inputs = self._state = self._saved = None


class _Kept:
    """A tensor that must not change, or an array or number that does not."""

    __slots__ = ("_tensor", "_value", "_what")

    def __init__(self, value: Any, what: str, of: CustomNode | None = None) -> None:
        self._tensor = SavedTensor(value, of) if isinstance(value, TensorBase) else None
        self._value = None if self._tensor is not None else value
        self._what = what

    def get(self, node: CustomNode) -> Any:
        """It, for the node that keeps it.

        Raises:
            GradientError: when it is a tensor that was changed in place since.
        """
        return self._value if self._tensor is None else self._tensor.get(node, self._what)
