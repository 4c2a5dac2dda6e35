"""Whether everything that walks a graph takes time in proportion to its size.

Builds four kinds of graphs at 10,000 and 100,000 nodes and times each step: medians of interleaved runs,
their ratio, and the limits: growth of at most 13 times, and seconds at 100,000 nodes.

    python benchmarks/scale.py
    python benchmarks/scale.py --steps build,parse --graphs chain --repeats 5
"""

import argparse
import gc
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ingot.ir import ops  # noqa: F401  fills the registry
from ingot.ir.builder import Builder
from ingot.ir.dtypes import float32
from ingot.ir.gc_pause import paused_gc
from ingot.ir.graph import Block, Graph, same_graph
from ingot.ir.parser import parse
from ingot.ir.printer import print_graph
from ingot.ir.sizes import var
from ingot.ir.types import BOOL, TensorType
from ingot.ir.verifier import verify

SMALL, LARGE = 10_000, 100_000
MOST_GROWTH = 13.0


@dataclass(frozen=True)
class Step:
    """Something to be timed, on what `prepare` makes of a fresh graph; `limit` is in seconds at 100,000 nodes."""

    name: str
    run: Callable[[Any], Any]
    limit: float | None = None
    prepare: Callable[[Graph], Any] = lambda graph: graph


# Passes are timed on a copy of the graph, which they may change.
PASSES: list[tuple[str, Callable[[Graph], Any], float]] = []

STEPS = [
    Step("print", print_graph, 1.5),
    Step("parse", parse, 8.0, prepare=print_graph),
    Step("verify", verify, 1.5),
    Step("copy", Graph.copy),
    Step("compare", lambda pair: same_graph(*pair), prepare=lambda graph: (graph, graph.copy())),
    *(Step(name, run, limit, prepare=Graph.copy) for name, run, limit in PASSES),
]
BUILD_LIMIT = 1.0


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


def _tower(graph: Graph, builder: Builder, value: Any, condition: Any) -> Any:
    floors: list[tuple[Builder, Any]] = []
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
    from ingot.ir.locations import Location

    graph = Graph("layers")
    batch, time_ = var("B", 1), var("T", 1, 2048)
    value = graph.add_input("x", TensorType(float32, (batch, time_, WIDTH)))
    weight = graph.add_state("w", TensorType(float32, (WIDTH, WIDTH)))
    scale = graph.add_state("g", TensorType(float32, (WIDTH,)))
    builder = Builder(graph)
    layer = 0
    while graph.block.nodes.__len__() < count:
        line = 10
        for step in _layer(builder, value, weight, scale):
            value = step
            line += 1
            builder.location = Location(
                "model.py", line, 9, line, 40, "Layer.forward", f"x = self.step{line}(x)"
            )
            builder.path = f"layers.{layer % 12}"
        layer += 1
    graph.set_return([value])
    return graph


def _layer(builder: Builder, x: Any, weight: Any, scale: Any) -> Any:
    def op(name: str, *inputs: Any, **attrs: Any) -> Any:
        return builder.emit(name, list(inputs), attrs).output

    def norm(value: Any) -> Any:
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


def measure(make: Callable[[int], Graph], steps: list[Step], repeats: int) -> dict[str, dict[int, float]]:
    """Median seconds by step and number of nodes; sizes take turns, so that slow moments hit both."""
    times: dict[str, dict[int, list[float]]] = {}
    for _ in range(repeats):
        for count in (SMALL, LARGE):
            graph = timed(times, "build", count, make, count)
            for step in steps:
                timed(times, step.name, count, step.run, step.prepare(graph))
            del graph
            gc.collect()
    return {
        step: {count: statistics.median(t) for count, t in found.items()} for step, found in times.items()
    }


def timed(
    times: dict[str, dict[int, list[float]]], step: str, count: int, run: Callable[[Any], Any], arg: Any
) -> Any:
    """Run a step and note how long it took."""
    gc.collect()
    start = time.perf_counter()
    result = run(arg)
    times.setdefault(step, {}).setdefault(count, []).append(time.perf_counter() - start)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--graphs", default=",".join(GRAPHS))
    parser.add_argument("--steps", default="", help="all when empty")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    wanted = set(filter(None, options.steps.split(",")))
    steps = [step for step in STEPS if not wanted or step.name in wanted]
    limits = {step.name: step.limit for step in steps} | {"build": BUILD_LIMIT}
    print(f"load before: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores; medians of {options.repeats}")
    print(f"{'graph':8} {'step':14} {'10,000':>9} {'100,000':>9} {'growth':>7}   limits")
    for name in options.graphs.split(","):
        for step, found in measure(GRAPHS[name], steps, options.repeats).items():
            small, large = found[SMALL], found[LARGE]
            limit = limits[step]
            over = large / small > MOST_GROWTH or (limit is not None and large > limit)
            shown = f"{MOST_GROWTH:g}x" + (f", {limit:g} s" if limit is not None else "")
            print(
                f"{name:8} {step:14} {small:8.3f}s {large:8.3f}s {large / small:6.1f}x   {shown}{'  OVER' if over else ''}"
            )
    print(f"load after: {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    main()
