"""The NumPy backend against the interpreter on random graphs: the same bits, fused or not, whatever the batch."""

from __future__ import annotations

import numpy as np
import pytest
from ingot import backends  # noqa: F401  registers them
from ingot.backends.backend import get_backend
from ingot.ir.binding import bind_sizes
from ingot.ir.interpreter import interpret
from ingot.ir.verifier import verify
from ingot.passes import run_pipeline
from runnable_graphs import inputs_for, runnable_graph


@pytest.mark.parametrize("part", range(8))
def test_same_bits_as_the_interpreter(part, request, conformance):
    seed = request.config.getoption("--seed")
    for number in range(part, 800 if conformance else 96, 8):
        check(np.random.default_rng((seed, number)), number)


def check(rng, number):
    graph = runnable_graph(rng, int(rng.integers(5, 60)))
    verify(graph)
    changed = graph.copy()
    if number % 3:
        run_pipeline(changed, "cse,fuse,dce" if number % 3 == 1 else "fuse{max_ops=4},dce")
        verify(changed)
    run = get_backend("numpy").compile(changed)
    given: list[np.ndarray] = []
    for batch in (3, 1, 5, 3):
        inputs, state = inputs_for(rng, batch)
        outputs, updates = interpret(graph, inputs, state)
        expected = [*outputs, *updates.values()]
        arrays = [x for x in (*inputs, *state.values()) if isinstance(x, np.ndarray)]
        before = [x.tobytes() for x in arrays]
        for _ in range(2):
            found, new_state = run(inputs, {key: state[key] for key in changed.state}, bind_sizes(graph, inputs))
            assert list(new_state) == list(updates)
            found += new_state.values()
            for x, y in zip(found, expected, strict=True):
                assert x.dtype == y.dtype and np.array_equal(x, y, equal_nan=True), f"graph {number}:\n{changed}"
            # Every result is its own: it shares memory with nothing that was given to or came from any call.
            for i, x in enumerate(found):
                assert not any(np.shares_memory(x, other) for other in (*arrays, *given, *found[:i]))
            given = [*given[-8:], *found]
        assert [x.tobytes() for x in arrays] == before, "an input or the state was written to"
