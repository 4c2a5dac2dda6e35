"""Whether everything that walks a graph takes time in proportion to its size.

Builds four kinds of graphs at 10,000 and 100,000 nodes and times each step: medians over rounds in which the sizes
take turns, how much they grow (13 times at most), and seconds at 100,000 nodes against each step's limit. It is the
processor's time that counts: everything here runs in one thread, and is not to suffer from other programs.

    python benchmarks/run.py scale
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ingot.ir.builder import Builder
from ingot.ir.dtypes import float32
from ingot.ir.gc_pause import paused_gc
from ingot.ir.graph import Block, Graph, Value, same_graph
from ingot.ir.locations import Location
from ingot.ir.parser import parse
from ingot.ir.printer import print_graph
from ingot.ir.program import ProgramRecord, Signature
from ingot.ir.sizes import var
from ingot.ir.types import BOOL, TensorType
from ingot.ir.verifier import verify
from ingot.passes import run_pipeline
from ingot.serialize import dumps, loads
from measure import Row

SMALL, LARGE = 10_000, 100_000
MOST_GROWTH = 13.0
ROUNDS = 3


@dataclass(frozen=True)
class Step:
    """Something to be timed on what `prepare` makes of a graph; `limit` is in seconds at 100,000 nodes."""

    name: str
    run: Callable[[Any], object]
    limit: float | None = None
    prepare: Callable[[Graph], Any] = lambda graph: graph


def _pass_step(name: str, limit: float) -> Step:
    """A pass, which changes a copy of the graph."""
    return Step(name, lambda graph: run_pipeline(graph, name, ()), limit, prepare=Graph.copy)


def _record(graph: Graph) -> ProgramRecord:
    """A program of the graph alone, with zeros for its state."""
    state = {key: np.zeros(value.type.sizes, value.type.dtype.np) for key, value in graph.state.items()}
    names = tuple(value.name for value in graph.inputs)
    leaf = {"kind": "leaf"}
    result = {"kind": "tuple", "items": [leaf] * len(graph.outputs)}
    return ProgramRecord({graph.name: graph}, state, {graph.name: Signature(names, (leaf,) * len(names), result)})


STEPS = (
    Step("print", print_graph, 1.5),
    Step("parse", parse, 8.0, prepare=print_graph),
    Step("verify", verify, 1.5),
    Step("copy", Graph.copy),
    Step("compare", lambda pair: same_graph(*pair), prepare=lambda graph: (graph, graph.copy())),
    _pass_step("dce", 3.0),
    _pass_step("cse", 3.0),
    _pass_step("canonicalize", 3.0),
    Step("save", dumps, prepare=lambda graph: _record(graph)),
    Step("load", loads, prepare=lambda graph: dumps(_record(graph))),
)
LIMITS = {"build": 1.0} | {step.name: step.limit for step in STEPS}


@paused_gc()
def chain(count: int) -> Graph:
    """Each node reads the one before; types are inferred."""
    graph = Graph("chain")
    value = graph.add_input("x", TensorType(float32, (var("B"), 64)))
    builder = Builder(graph)
    for index in range(count):
        value = builder.emit(("relu", "neg", "exp", "tanh")[index % 4], [value]).output
    graph.set_return([value])
    return graph


@paused_gc()
def hub(count: int) -> Graph:
    """One value with a user per node."""
    graph = Graph("hub")
    x = graph.add_input("x", TensorType(float32, (4, 4)))
    builder = Builder(graph)
    value = x
    for _ in range(count):
        value = builder.emit("add", [value, x]).output
    graph.set_return([value])
    return graph


DEPTH = 500


@paused_gc()
def nested(count: int) -> Graph:
    """Towers of `prim::If`, 500 deep, two nodes on each floor."""
    graph = Graph("nested")
    value = graph.add_input("x", TensorType(float32, (4,)))
    condition = graph.add_input("c", BOOL)
    builder = Builder(graph)
    for _ in range(max(1, count // (2 * DEPTH))):
        value = _tower(graph, builder, value, condition)
    graph.set_return([value])
    return graph


def _tower(graph: Graph, builder: Builder, value: Value, condition: Value) -> Value:
    floors: list[tuple[Builder, Value]] = []
    inner = builder
    for _ in range(DEPTH):
        value = inner.emit("relu", [value]).output
        floors.append((inner, value))
        inner = Builder(Block(graph))
    inner.point.block.set_returns([value])
    for outer, before in reversed(floors):
        other = Block(graph)
        other.set_returns([before])
        node = outer.emit("prim::If", [condition], types=[before.type], blocks=[inner.point.block, other])
        if outer is not builder:
            outer.point.block.set_returns([node.output])
        inner = outer
    return node.output


WIDTH = 64


@paused_gc()
def layers(count: int) -> Graph:
    """Transformer layers with symbolic sizes, about 30 nodes each, in modules and with source locations."""
    graph = Graph("layers")
    batch, time_ = var("B", 1), var("T", 1, 2048)
    value = graph.add_input("x", TensorType(float32, (batch, time_, WIDTH)))
    weight = graph.add_state("w", TensorType(float32, (WIDTH, WIDTH)))
    scale = graph.add_state("g", TensorType(float32, (WIDTH,)))
    builder = Builder(graph)
    layer = 0
    while len(graph.block.nodes) < count:
        line = 10
        for step in _layer(builder, value, weight, scale):
            value = step
            line += 1
            builder.location = Location("model.py", line, 9, line, 40, "Layer.forward", f"x = self.step{line}(x)")
            builder.path = f"layers.{layer % 12}"
        layer += 1
    graph.set_return([value])
    return graph


def _layer(builder: Builder, x: Value, weight: Value, scale: Value) -> Iterator[Value]:
    def op(name: str, *inputs: Value, **attrs: object) -> Value:
        return builder.emit(name, list(inputs), attrs).output

    def norm(value: Value) -> Value:
        centred = op("sub", value, op("mean", value, dim=(2,), keepdim=True))
        variance = op("mean", op("square", centred), dim=(2,), keepdim=True)
        return op("mul", op("mul", centred, op("rsqrt", variance)), scale)

    h = norm(x)
    yield h
    q, k, v = (op("matmul", h, weight) for _ in range(3))
    yield v
    scores = op("softmax", op("matmul", q, op("permute", k, dims=(0, 2, 1))), dim=2)
    yield scores
    x = op("add", x, op("matmul", op("matmul", scores, v), weight))
    yield x
    h = op("gelu", op("matmul", norm(x), weight))
    yield h
    yield op("add", x, op("matmul", h, weight))


GRAPHS: dict[str, Callable[[int], Graph]] = {"chain": chain, "hub": hub, "nested": nested, "layers": layers}

Times = dict[str, dict[int, list[float]]]


def measure(make: Callable[[int], Graph]) -> Times:
    """Seconds of every round, by step and number of nodes."""
    times: Times = {}
    for _ in range(ROUNDS):
        for count in (SMALL, LARGE):
            graph = _timed(times, "build", count, make, count)
            for step in STEPS:
                _timed(times, step.name, count, step.run, step.prepare(graph))
    return times


def _timed(times: Times, step: str, count: int, run: Callable[[Any], Any], subject: Any) -> Any:
    gc.collect()
    start = time.process_time()
    result = run(subject)
    times.setdefault(step, {}).setdefault(count, []).append(time.process_time() - start)
    return result


def rows(names: tuple[str, ...] = tuple(GRAPHS)) -> Iterator[Row]:
    """Two rows for each graph and step: seconds at 100,000 nodes, and how many times those at 10,000 they are."""
    for name in names:
        for step, found in measure(GRAPHS[name]).items():
            small, large = (statistics.median(found[count]) for count in (SMALL, LARGE))
            noisy = any(statistics.median(f) > 1.5 * min(f) for f in found.values())
            subject, reference = f"{large:.3f} s", f"{small:.3f} s"
            yield Row(f"{step} {name}", subject, "", large, "s", LIMITS[step], False, noisy)
            growth = large / small
            yield Row(f"{step} {name}, growth", subject, reference, growth, "x", MOST_GROWTH, False, noisy)
