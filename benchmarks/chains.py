"""Element-wise chains over four million float32 elements: compiled source against plain NumPy calls with temporaries.

Plain NumPy is what people write, one call after the other. Compiled source computes the chain in blocks that stay in
the cache, over INGOT_NUM_THREADS threads. Both give a new array; the results are compared bit by bit.

Every subject runs in a process of its own, in turns: whether temporaries of this size cost page faults depends on what
else the process has allocated and freed. The reference's process has NumPy alone, as its users have.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from hand_chains import ELEMENTS
from ingot import backends  # noqa: F401  registers them
from ingot.backends.backend import get_backend
from ingot.ir.builder import Builder
from ingot.ir.dtypes import float32
from ingot.ir.graph import Graph, Value
from ingot.ir.types import TensorType
from ingot.passes import run_pipeline
from measure import Row, Timing, ratio_row

__all__ = ["rows"]

Array = np.ndarray


def arithmetic(call: Callable[..., Value], number: Callable[[float], Value], x: Value, y: Value) -> Value:
    """`hand_chains.arithmetic` as a graph."""
    a = call("mul", x, number(1.5))
    a = call("add", a, y)
    a = call("maximum", a, number(0.0))
    a = call("mul", a, y)
    a = call("sub", a, number(0.5))
    a = call("square", a)
    a = call("add", a, number(1.0))
    a = call("sqrt", a)
    a = call("div", a, y)
    a = call("add", a, x)
    a = call("minimum", a, number(10.0))
    return call("neg", a)


def transcendental(call: Callable[..., Value], number: Callable[[float], Value], x: Value, y: Value) -> Value:
    """`hand_chains.transcendental` as a graph."""
    return call("log", call("exp", call("tanh", x)))


def compiled(write: Callable[..., Value]) -> Callable[[Array, Array], Array]:
    """A chain through `fuse` and the NumPy backend."""
    graph = Graph("chain")
    x, y = (graph.add_input(name, TensorType(float32, (ELEMENTS,))) for name in "xy")
    builder = Builder(graph)
    graph.set_return([write(lambda op, *args: builder.emit(op, args).output, builder.constant, x, y)])
    run_pipeline(graph, "fuse,dce")
    run = get_backend("numpy").compile(graph)
    return lambda x, y: run([x, y], {}, {})[0][0]


CHAINS = {"arithmetic": arithmetic, "transcendental": transcendental}


class Subject:
    """A process that serves one subject."""

    def __init__(self, chain: str, threads: int | None) -> None:
        """Compiled source on so many threads, or plain NumPy where `threads` is None."""
        plain = f"import hand_chains; hand_chains.serve(hand_chains.{chain})"
        ours = f"import chains, hand_chains; hand_chains.serve(chains.compiled(chains.CHAINS['{chain}']))"
        start = f"import sys; sys.path.insert(0, sys.argv[1]); {plain if threads is None else ours}"
        command = [sys.executable, "-c", start, str(Path(__file__).parent)]
        environment = {**os.environ, "INGOT_NUM_THREADS": str(threads or 1)}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.checksum = self.answer()
        self.times: list[float] = []

    def answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("a benchmark's process has ended")
        return line.strip()

    def run(self) -> None:
        """One more timing."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.times.append(float(self.answer()))

    def end(self) -> Timing:
        """The timings, without the first ones, which touch memory for the first time."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        return Timing(statistics.median(self.times[2:]), min(self.times[2:]))


def rows() -> list[Row]:
    """The chains on two threads and on one."""
    found: list[Row] = []
    cases = (
        ("chain of 12 operations", "arithmetic", ((2, 3.0), (1, 1.8))),
        ("tanh, exp, log", "transcendental", ((2, 2.2), (1, None))),
    )
    for name, chain, limits in cases:
        subjects = {"numpy": Subject(chain, None)}
        subjects |= {f"{threads} threads": Subject(chain, threads) for threads, _ in limits}
        assert len({subject.checksum for subject in subjects.values()}) == 1, f"{name}: the results differ"
        end = time.perf_counter() + 5.0
        while time.perf_counter() < end:
            for subject in subjects.values():
                subject.run()
        times = {key: subject.end() for key, subject in subjects.items()}
        for threads, limit in limits:
            title = f"{name}, {threads} thread{'s' if threads > 1 else ''}"
            found.append(ratio_row(title, times, f"{threads} threads", "numpy", limit, speedup=True))
    return found
