"""Random graphs whose sizes depend on data: interpreter, NumPy source, passes, text and file agree.

Sums of arrays that lie in memory in different orders are rounded differently, hence the tolerance.
"""

from __future__ import annotations

import numpy as np
import pytest
from agreement import disagreement
from changing_graphs import changing_graph
from ingot import backends  # noqa: F401  registers them
from ingot.backends.backend import get_backend
from ingot.ir.binding import bind_sizes
from ingot.ir.graph import Graph, same_graph
from ingot.ir.interpreter import interpret
from ingot.ir.parser import parse
from ingot.ir.program import ProgramRecord
from ingot.ir.verifier import verify
from ingot.passes import INFERENCE, TRAINING, run_pipeline
from ingot.serialize import dumps, loads
from program_files import leaves_only
from runnable_graphs import inputs_for

PIPELINES = ("", "dce", "cse", "canonicalize", "fold", "fuse", "decompose", "hoist", TRAINING, INFERENCE)


@pytest.mark.parametrize("part", range(8))
def test_the_same_results_everywhere(part, request, conformance):
    seed = request.config.getoption("--seed")
    for number in range(part, 800 if conformance else 80, 8):
        check(np.random.default_rng((seed, number)), number)


def check(rng: np.random.Generator, number: int) -> None:
    graph = changing_graph(rng, int(rng.integers(5, 60)))
    verify(graph)
    changed = graph.copy()
    run_pipeline(changed, PIPELINES[number // 8 % len(PIPELINES)], [])
    verify(changed)
    read = parse(str(changed))
    assert same_graph(read, changed) is None
    assert asserts(changed) == asserts(graph)
    run = get_backend("numpy").compile(read)
    for batch in (3, 1, 4):
        inputs, state = inputs_for(rng, batch)
        outputs, updates = interpret(graph, inputs, state)
        expected = [*outputs, *updates.values()]
        for _ in range(2):
            found, new = run(inputs, {key: state[key] for key in read.state}, bind_sizes(graph, inputs))
            for x, y in zip([*found, *new.values()], expected, strict=True):
                assert disagreement(x, y) is None, f"graph {number}:\n{changed}"
    from_file(changed, state)


def from_file(graph: Graph, state: dict[str, np.ndarray]) -> None:
    kept = {key: state[key] for key in graph.state}
    data = dumps(ProgramRecord(graphs={"random": graph}, state=kept, signatures={"random": leaves_only(graph)}))
    loaded = loads(data)
    assert same_graph(loaded.graphs["random"], graph) is None and dumps(loaded) == data


def asserts(graph: Graph) -> int:
    """The number of assertions."""
    return sum(node.op.name == "prim::Assert" for node in graph.nodes())
