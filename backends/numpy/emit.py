"""A graph as NumPy source: preparing it, and putting the parts of the text together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...ir.asserted import Asserted
from ...ir.builder import Builder
from ...ir.gc_pause import paused_gc
from ...ir.graph import Graph, InsertionPoint, Node, Value
from ...ir.graph_algebra import GraphAlgebra
from ...ir.sizes import product
from ...ir.types import KeyType, ScalarType, TensorType
from ...passes.drop_user_gradients import drop_user_gradients
from ...passes.manager import assumed
from ...passes.registered import NoOptions
from ...passes.structure import USER_GRADIENT
from ..backend import Source
from .control import emit_block
from .emitter import Emitter, Line
from .nodes import why_opened
from .scalars import scalar_values
from .text import comment, dtype_text
from .views import view_facts

__all__ = ["emit_source", "prepare"]

_INDENT = "    "


def prepare(graph: Graph) -> Graph:
    """The graph as the emitter takes it: composites without a kernel that can be copied are opened, gradients of the
    user's are left out."""
    if not any(why_opened(node.op) or node.op is USER_GRADIENT for node in graph.nodes()):
        return graph
    with paused_gc(), assumed(graph):
        graph = graph.copy()
        drop_user_gradients(graph, NoOptions())
        asserted = Asserted(graph)
        waiting = [node for node in graph.nodes() if why_opened(node.op)]
        while waiting:
            node = waiting.pop()
            algebra = GraphAlgebra(Builder(graph, InsertionPoint.before(node)), node.location, node.path)
            with asserted.before(node):
                node.replace_with(algebra.run(node.op, node.inputs, node.attrs))
            waiting.extend(inner for inner in algebra.made if why_opened(inner.op))
    return graph


@paused_gc()
def emit_source(graph: Graph, in_place: frozenset[str] = frozenset()) -> Source:
    """The source of a graph; see `backends.backend.Source`.

    Args:
        in_place: keys of updated state that is written where it lies; a call does not hand out its new values.

    Facts of the source: `sizes` (the plan's size variables, in order), `state` and `updates` (keys, in the order
    of the state that `compute` takes and of the updates that it gives), `lines` (by line number, the op, location
    and module path that a line belongs to) and `name`.

    Raises:
        UnsupportedError: for a node that cannot be written.
    """
    graph = prepare(graph)
    e = Emitter(graph)
    e.scalars = scalar_values(graph)
    inputs, state = e.seat_parameters()
    e.write_in_place(in_place)
    given = [*graph.outputs, *(value for key, value in graph.updates.items() if key not in in_place)]
    e.results = _results(e, given)
    emit_block(e, graph.block)
    _return(e, given, in_place)
    if graph.block.terminator is not None:
        e.release(graph.block.terminator)
    return _Text(e, inputs, state, [key for key in graph.updates if key not in in_place]).source()


def _results(e: Emitter, given: Sequence[Value]) -> set[Value]:
    """The values whose memory the caller gets: what is returned, or what a returned reshape is a view of."""
    found: set[Value] = set()
    for value in given:
        while True:
            type_, node = value.type, value.node
            if node is None or not isinstance(type_, TensorType) or not e.is_planned(type_.sizes):
                break
            found.add(value)
            if not node.op.view or not _covers(e, node):
                break
            value = node.inputs[0]
    return found


def _covers(e: Emitter, node: Node) -> bool:
    """Whether a view shows all that it is a view of, in order."""
    a, b = node.inputs[0].type, node.output.type
    assert isinstance(a, TensorType) and isinstance(b, TensorType)
    return product(a.sizes) == product(b.sizes) and view_facts(node, e.sample).in_order


def _return(e: Emitter, values: Sequence[Value], in_place: frozenset[str]) -> None:
    """The values that go out: each in memory that nothing else will touch. Then what is left to be written in place."""
    given: set[str] = set()
    texts = []
    for value in values:
        seat = e.seats[value]
        owner = seat.storage.name if seat.storage is not None else seat.text
        ours = seat.fresh or (seat.storage is not None and seat.storage.result)
        if isinstance(value.type, ScalarType) or (ours and owner not in given):
            texts.append(seat.text)
        elif isinstance(value.type, (TensorType, KeyType)):
            texts.append(f"{seat.text}.copy()")
        else:
            texts.append(f"{e.helper('copied')}({seat.text})")
        given.add(owner)
    count = len(e.graph.outputs)
    result = f"{_tuple(texts[:count])}, {_tuple(texts[count:])}"
    writes = _writes(e, in_place)
    if not writes:
        return e.line(f"return {result}")
    e.line(f"results = {result}")
    for line in writes:
        e.line(line)
    e.line("return results")


def _writes(e: Emitter, in_place: frozenset[str]) -> list[str]:
    """What is not yet where the state lies is copied there. State may take over other state's old value, so that what
    is not fresh is set aside first."""
    copies = []
    for key in sorted(in_place):
        old, new = e.graph.state[key], e.graph.updates[key]
        to, seat = e.seats[old], e.seats[new]
        if seat.storage is not None and seat.storage is to.storage and seat.whole:
            continue
        own = seat.fresh or (seat.storage is not None and not seat.storage.external)
        copies.append((to.text, seat.text, own))
    if len(copies) < 2:
        return [f"np.copyto({to}, {text})" for to, text, _ in copies]
    aside = [f"x{i} = {text}.copy()" for i, (_, text, own) in enumerate(copies) if not own]
    moves = [f"np.copyto({to}, {text if own else f'x{i}'})" for i, (to, text, own) in enumerate(copies)]
    return [*aside, *moves]


def _tuple(items: list[str]) -> str:
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


class _Text:
    """The parts of the text, in order, with the line numbers that errors are traced by."""

    def __init__(self, e: Emitter, inputs: list[str], state: list[str], updates: Sequence[str]) -> None:
        self.e = e
        self.inputs = inputs
        self.state = state
        self.updates = tuple(updates)
        self.lines: list[str] = []
        self.places: dict[int, tuple[str, Any, str]] = {}

    def source(self) -> Source:
        e, graph = self.e, self.e.graph
        plan, compute = self._plan(), self._compute()
        self.add(self._head())
        self.add(["", "from __future__ import annotations", ""])
        self.add(sorted({*e.embedder.imports, "import numpy as np", *self._extra_imports(plan, compute)}))
        self.add(["", "", *_RUN, "", "", *compute])
        self.add_lines(e.function.lines)
        for kernel in e.kernels:
            self.add(["", ""])
            self.add_lines(kernel)
        self.add(["", "", *plan])
        for piece in e.embedder.pieces.values():
            self.add(["", "", *piece.splitlines()])
        facts = {
            "name": graph.name,
            "sizes": e.plan_sizes,
            "state": tuple(graph.state),
            "updates": self.updates,
            "lines": self.places,
        }
        return Source("numpy", "\n".join(self.lines) + "\n", "run", e.constants, facts)

    def add(self, lines: Iterable[str]) -> None:
        self.lines.extend(lines)

    def add_lines(self, lines: Iterable[Line]) -> None:
        for line in lines:
            self.lines.append(_INDENT * line.depth + line.text)
            if line.node is not None:
                self.places[len(self.lines)] = (line.node.op.short, line.node.location, line.node.path)

    def _extra_imports(self, *parts: list[str]) -> list[str]:
        texts = [line for part in parts for line in part]
        texts += [
            line.text for kernel in (*self.e.kernels, self.e.function.lines) for line in kernel if not line.comment
        ]
        return ["from ml_dtypes import bfloat16"] if any("bfloat16" in text for text in texts) else []

    def _head(self) -> list[str]:
        graph = self.e.graph
        sizes = "".join(f", {name}" for name in self.e.plan_sizes)
        found = [
            f"# {comment(f'@{graph.name} as NumPy source, made by Ingot.')}",
            "#",
            f"# {comment(f'outputs, updates = run(plan(constants{sizes}), inputs, state)')}",
            "#",
        ]
        for name, value in zip(self.inputs, graph.inputs, strict=True):
            found.append(f"# {comment(f'input  {name}: {value.name} : {value.type}')}")
        for name, (key, value) in zip(self.state, graph.state.items(), strict=True):
            found.append(f"# {comment(f'state  {name}: {key!r} : {value.type}')}")
        for key, value in graph.updates.items():
            found.append(f"# {comment(f'update {key!r} : {value.type}')}")
        found.extend(f"# {comment(f'output : {value.type}')}" for value in graph.outputs)
        return found

    def _plan(self) -> list[str]:
        e = self.e
        sizes = "".join(f", {e.sizes[name]}" for name in e.plan_sizes)
        found = [
            f"def plan(constants{sizes}):",
            '    """Buffers and all else that a call needs and that depends on sizes alone."""',
        ]
        if any("scratch)" in line.text for line in (*e.plan, *e.function.lines, *(x for k in e.kernels for x in k))):
            e.plan_names.add("scratch")
            found.append(f"    scratch = {e.helper('Scratch')}()")
        storages = sorted(e.storages, key=lambda s: s.first)
        if storages:
            found.append(f"    {', '.join(s.name for s in storages)}, = {e.helper('arena')}((")
            found.append("        # dtype, shape, first and last use")
            for s in storages:
                last = max(s.last, s.first)
                found.append(f"        ({dtype_text(s.dtype)}, {e.shape(s.sizes)}, {s.first}, {last}),  # {s.name}")
            found.append("    ))")
        found += [_INDENT * line.depth + line.text for line in e.plan]
        found.append(f"    return {_tuple(self._needed())}")
        return found

    def _needed(self) -> list[str]:
        """What `compute` uses of what the plan makes."""
        e = self.e
        used = [name for name in e.function.used() if name in e.plan_names and name not in e.function.assigned]
        return [*used, "scratch"] if any("scratch)" in line.text for line in e.function.lines) else used

    def _compute(self) -> list[str]:
        found = ["def compute(p, inputs, state):", '    """The work of one call."""']
        for names, origin in ((self._needed(), "p"), (self.inputs, "inputs"), (self.state, "state")):
            if names:
                found.append(f"    {', '.join(names)}, = {origin}")
        return found


_RUN = [
    "def run(p, inputs, state):",
    '    """Results and the new values of updated state; both are fresh."""',
    '    with np.errstate(all="ignore"):',
    "        return compute(p, inputs, state)",
]
