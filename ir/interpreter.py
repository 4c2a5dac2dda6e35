"""The interpreter: a graph's meaning, node by node, through the ops' own kernels.

It is the yardstick for every backend, and serves tests and tools. Nested blocks are kept on a stack of its own, so
nesting may be as deep as memory allows. A value is let go after its last use.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from .binding import SizeBinder, solve_sizes
from .errors import ArgumentError, IndexOutOfRange, IngotError, ShapeError, TimeLimitError
from .graph import Block, Graph, Node, Value
from .locations import Location
from .size_matching import fits_bounds
from .sizes import SizeExpr, evaluate, free_vars
from .types import TensorType

__all__ = ["evaluate_attr", "interpret", "last_uses", "located_error", "run_node"]

Bindings = dict[str, int]


def interpret(
    graph: Graph,
    inputs: Sequence[Any],
    state: Mapping[str, Any] | None = None,
    sizes: Mapping[str, int] | None = None,
    *,
    deadline: float | None = None,
) -> tuple[list[Any], dict[str, Any]]:
    """Run a graph.

    Args:
        inputs: one array (or number, or key) for each input.
        state: arrays by key. None of them is changed.
        sizes: the size variables' values; by default they are found from the inputs, which are then checked.
        deadline: when to give up, by `time.perf_counter()`. It is looked at between nodes.

    Returns:
        the outputs, and the new values of the state that the graph updates. They may share memory with inputs,
        state or each other.

    Raises:
        IngotError: for inputs that do not fit, and for what goes wrong at a node, with the user's line.
        TimeLimitError: when the deadline has passed.

    >>> from .builder import Builder
    >>> from .dtypes import float32
    >>> from .types import TensorType
    >>> graph = Graph("twice")
    >>> x = graph.add_input("x", TensorType(float32, (2,)))
    >>> y = Builder(graph).emit("add", [x, x]).output
    >>> graph.set_return([y]) and interpret(graph, [np.ones(2, np.float32)])
    ([array([2., 2.], dtype=float32)], {})
    """
    state = state or {}
    if missing := [key for key in graph.state if key not in state]:
        raise ArgumentError(f"@{graph.name}: state {missing[0]!r} is missing")
    bindings = dict(SizeBinder(graph)(inputs, state) if sizes is None else sizes)
    machine = _Machine(graph, bindings, deadline=deadline)
    values = machine.run([*inputs, *(state[key] for key in graph.state)])
    count = len(graph.outputs)
    return values[:count], dict(zip(graph.updates, values[count:], strict=True))


def run_node(
    node: Node, value_of: Callable[[Value], Any], sizes: Mapping[str, int]
) -> tuple[list[Any], dict[str, int]]:
    """Run one node, its blocks included, apart from the rest of its graph.

    Args:
        value_of: the run-time value of what the node, or a node inside of it, takes from outside.
        sizes: the size variables' values.

    Returns:
        the outputs, and the values of all size variables afterwards.
    """
    assert node.block is not None
    machine = _Machine(node.block.graph, dict(sizes), last={})
    inside = {block for inner in node.blocks for block in inner.blocks()}
    nodes = [node, *(n for block in inside for n in (*block.nodes, block.terminator) if n is not None)]
    for value in {value for n in nodes for value in n.inputs if value.block not in inside}:
        machine.values[value] = value_of(value)
    machine.step(node)
    machine.finish()
    return [machine.values[output] for output in node.outputs], machine.bindings


def last_uses(graph: Graph) -> dict[Node, tuple[Value, ...]]:
    """For each node, the values of its own block that are used by it, or inside of it, for the last time.

    Terminators count as nodes. A value that is never used is listed at the node that makes it; a block's parameter
    that is never used is not listed.

    Takes time in proportion to the graph.
    """
    last: dict[Value, Node] = {}
    depth: dict[Block, int] = {}
    path: list[Node] = []  # the node that is being looked at, and those around it, outermost first
    for node, level in _in_order(graph):
        del path[level:]
        path.append(node)
        assert node.block is not None
        depth[node.block] = level
        for value in node.inputs:
            last[value] = path[depth[value.block]]
        for output in node.outputs:
            last[output] = node
    found: dict[Node, list[Value]] = {}
    for value, node in last.items():
        found.setdefault(node, []).append(value)
    return {node: tuple(values) for node, values in found.items()}


def _in_order(graph: Graph) -> Iterator[tuple[Node, int]]:
    """Every node with the depth of its block, each before those inside of it, terminators included."""
    running: list[Iterator[Node]] = [_with_terminator(graph.block)]
    while running:
        node = next(running[-1], None)
        if node is None:
            running.pop()
            continue
        yield node, len(running) - 1
        if node.blocks:
            running.append(_chained(node.blocks))


def _with_terminator(block: Block) -> Iterator[Node]:
    yield from block.nodes
    if block.terminator is not None:
        yield block.terminator


def _chained(blocks: Iterable[Block]) -> Iterator[Node]:
    for block in blocks:
        yield from _with_terminator(block)


def evaluate_attr(value: Any, bindings: Mapping[str, int]) -> Any:
    """An attribute with its size expressions computed.

    >>> from .sizes import var
    >>> evaluate_attr((var("B") * 2, -1), {"B": 4})
    (8, -1)
    """
    if type(value) is tuple:
        return tuple(evaluate_attr(item, bindings) for item in value)
    return evaluate(value, bindings) if isinstance(value, SizeExpr) else value


def located_error(error: Exception, op: str, location: Location | None, path: str, context: str) -> Exception:
    """What to raise for an error that came out of an op's kernel: the user's line is put to it."""
    if isinstance(error, IngotError):
        return error.located(location, path, context)
    kind = next((ours for python, ours in _KINDS if isinstance(error, python)), None)
    return error if kind is None else kind(f"{op}: {error}", location=location, path=path, context=context)


_KINDS: Final = (
    (IndexError, IndexOutOfRange),
    (ValueError, ShapeError),
    (ArithmeticError, IngotError),
    (TypeError, ArgumentError),
)


class _Frame:
    """A block that is being run: what is left of it, what to do with what it yields, and the size variables that it
    has bound, which end with it."""

    __slots__ = ("block", "bound", "finish", "nodes")

    def __init__(self, block: Block, finish: Callable[[list[Any]], None]) -> None:
        self.block = block
        self.nodes = iter(block.nodes)
        self.finish = finish
        self.bound: list[str] = []


class _Machine:
    def __init__(
        self,
        graph: Graph,
        bindings: Bindings,
        last: dict[Node, tuple[Value, ...]] | None = None,
        deadline: float | None = None,
    ) -> None:
        self.graph = graph
        self.bindings = bindings
        self.values: dict[Value, Any] = {}
        self.last = last_uses(graph) if last is None else last
        self.frames: list[_Frame] = []
        self.deadline = deadline
        self.result: list[Any] = []

    def run(self, arguments: Sequence[Any]) -> list[Any]:
        """The values that the top block returns."""
        self.enter(self.graph.block, arguments, self.result.extend)
        self.finish()
        return self.result

    def finish(self) -> None:
        """Run the blocks that have been entered to their ends."""
        frames = self.frames
        while frames:
            frame = frames[-1]
            node = next(frame.nodes, None)
            if node is not None:
                if self.deadline is not None:
                    self.look_at_clock(node)
                self.step(node)
                continue
            if self.deadline is not None and frame.block.parent is not None:
                self.look_at_clock(frame.block.parent)  # a body without nodes may be run forever
            terminator = frame.block.terminator
            assert terminator is not None
            yielded = [self.values[value] for value in terminator.inputs]
            self.release(terminator)
            frames.pop()
            for name in frame.bound:
                del self.bindings[name]
            if frame.block.parent is None:
                frame.finish(yielded)
            else:
                self.located(frame.block.parent, frame.finish, yielded)

    def look_at_clock(self, node: Node) -> None:
        """Give up where the time is over."""
        assert self.deadline is not None
        if time.perf_counter() > self.deadline:
            context = f"while running @{self.graph.name}"
            raise TimeLimitError("the time given is over", location=node.location, path=node.path, context=context)

    def enter(self, block: Block, arguments: Sequence[Any], finish: Callable[[list[Any]], None]) -> None:
        self.values.update(zip(block.params, arguments, strict=True))
        self.frames.append(_Frame(block, finish))
        for param, argument in zip(block.params, arguments, strict=True):
            self.learn(param, argument)

    def step(self, node: Node) -> None:
        structure = _STRUCTURE.get(node.op.name)
        if structure is not None:
            self.located(node, structure, self, node)
        else:
            self.located(node, self.compute, node)

    def located(self, node: Node, work: Callable[..., None], *arguments: Any) -> None:
        """Do a node's work; an error gets the node's place in the user's source."""
        try:
            work(*arguments)
        except Exception as error:
            context = f"while running @{self.graph.name}"
            found = located_error(error, node.op.short, node.location, node.path, context)
            if found is error:
                raise
            raise found from error

    def compute(self, node: Node) -> None:
        """A plain op, through its kernel."""
        inputs = [self.values[value] for value in node.inputs]
        attrs = {name: evaluate_attr(value, self.bindings) for name, value in node.attrs.items()}
        result = node.op.kernel(*inputs, **attrs)
        self.define(node, result if isinstance(result, tuple) else (result,))

    def define(self, node: Node, results: Sequence[Any]) -> None:
        """Keep a node's results, learn new sizes from them, and let go what is not needed any more."""
        for value, result in zip(node.outputs, results, strict=True):
            self.values[value] = result
            self.learn(value, result)
        self.release(node)

    def learn(self, value: Value, result: Any) -> None:
        """Bind the size variables that a run-time shape brings in."""
        type_ = value.type
        if isinstance(type_, TensorType) and not type_.is_static:
            for size in type_.sizes:
                if isinstance(size, SizeExpr) and not free_vars(size) <= self.bindings.keys():
                    count = len(self.bindings)
                    solve_sizes(type_, result.shape, self.bindings)
                    if self.frames:  # there is none around a node that is run on its own
                        self.frames[-1].bound += list(self.bindings)[count:]
                    break

    def bind(self, variable: SizeExpr, number: int) -> None:
        """Bind a size variable to a run-time integer, until the end of the block."""
        if not fits_bounds(variable, number):
            raise ShapeError(f"size {variable} is out of its bounds", found=str(number))
        self.bindings[str(variable)] = number
        if self.frames:
            self.frames[-1].bound.append(str(variable))

    def release(self, node: Node) -> None:
        for value in self.last.get(node, ()):
            self.values.pop(value, None)


# ------------------------------------------------------------------------------------------------------- structure


def _constant(machine: _Machine, node: Node) -> None:
    machine.define(node, (evaluate_attr(node.attrs["value"], machine.bindings),))


def _size(machine: _Machine, node: Node) -> None:
    machine.define(node, (evaluate_attr(node.attrs["value"], machine.bindings),))


def _bind(machine: _Machine, node: Node) -> None:
    machine.bind(node.attrs["variable"], int(machine.values[node.inputs[0]]))
    machine.release(node)


def _tuple(machine: _Machine, node: Node) -> None:
    machine.define(node, (tuple(machine.values[value] for value in node.inputs),))


def _list(machine: _Machine, node: Node) -> None:
    machine.define(node, ([machine.values[value] for value in node.inputs],))


def _untuple(machine: _Machine, node: Node) -> None:
    machine.define(node, machine.values[node.inputs[0]])


def _group(machine: _Machine, node: Node) -> None:
    arguments = [machine.values[value] for value in node.inputs]
    machine.enter(node.blocks[0], arguments, lambda yielded: machine.define(node, yielded))


def _user_gradient(machine: _Machine, node: Node) -> None:
    machine.define(node, [machine.values[value] for value in node.inputs[: len(node.outputs)]])


def _if(machine: _Machine, node: Node) -> None:
    taken = node.blocks[0 if bool(machine.values[node.inputs[0]]) else 1]
    machine.enter(taken, (), lambda yielded: machine.define(node, yielded))


def _loop(machine: _Machine, node: Node) -> None:
    trips, condition, *carried = (machine.values[value] for value in node.inputs)
    _Loop(machine, node, int(trips)).go_on(bool(condition), carried)


class _Loop:
    """One execution of a `prim::Loop`."""

    def __init__(self, machine: _Machine, node: Node, trips: int) -> None:
        self.machine = machine
        self.node = node
        self.trips = trips
        self.done = 0
        self.carries = len(node.inputs) - 2
        self.stacks: list[list[Any]] = [[] for _ in node.outputs[self.carries :]]

    def go_on(self, condition: bool, carried: Sequence[Any]) -> None:
        if condition and self.done < self.trips:
            self.machine.enter(self.node.blocks[0], (self.done, *carried), self.finished)
            return
        self.machine.define(self.node, (*carried, *map(self.stacked, self.stacks, self.node.outputs[self.carries :])))

    def finished(self, yielded: list[Any]) -> None:
        self.done += 1
        stop = 1 + self.carries
        for stack, value in zip(self.stacks, yielded[stop:], strict=True):
            stack.append(value)
        self.go_on(bool(yielded[0]), yielded[1:stop])

    def stacked(self, items: list[Any], output: Value) -> Any:
        if items:
            return np.stack(items) if isinstance(items[0], (np.ndarray, np.generic)) else _stack_elsewhere(items)
        type_ = output.type
        assert isinstance(type_, TensorType)
        known = self.machine.bindings
        # What nothing tells is a variable of the stack's own, and 0.
        sizes = [evaluate(s, known) if isinstance(s, int) or free_vars(s) <= known.keys() else 0 for s in type_.sizes]
        return np.empty((0, *sizes[1:]), type_.dtype.np)


def _stack_elsewhere(items: list[Any]) -> Any:
    from .arrays import namespace

    return namespace(*items).stack(items)


_STRUCTURE: Final[dict[str, Callable[[_Machine, Node], None]]] = {
    "prim::Constant": _constant,
    "prim::Size": _size,
    "prim::Bind": _bind,
    "prim::Tuple": _tuple,
    "prim::Untuple": _untuple,
    "prim::List": _list,
    "prim::FusionGroup": _group,
    "prim::UserGradient": _user_gradient,
    "prim::If": _if,
    "prim::Loop": _loop,
}
