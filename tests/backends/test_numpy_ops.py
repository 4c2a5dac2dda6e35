"""The NumPy backend, op by op: every sample call as a graph gives what the op's eager kernel gives."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agreement import disagreement
from ingot import backends  # noqa: F401  registers them
from ingot.backends.backend import Source, get_backend
from ingot.ir import dtypes
from ingot.ir.algebra import type_of
from ingot.ir.binding import bind_sizes
from ingot.ir.builder import Builder
from ingot.ir.dtypes import DType
from ingot.ir.graph import Graph
from ingot.ir.registry import Op, all_ops, lookup
from ingot.ir.types import KEY
from samples import DTYPES, Sample, has_samples, samples

NUMPY = get_backend("numpy")
OPS = [op for op in all_ops() if op.kind != "prim" and op.name.startswith("ingot::") and has_samples(op.name)]
QUICK = (dtypes.float32, dtypes.bfloat16, dtypes.int64, dtypes.uint8, dtypes.bool_)


def graph_of(op: Op, sample: Sample) -> tuple[Graph, list[Any]]:
    """A graph of one node; its inputs are the arrays, numbers are constants."""
    graph, values, inputs = Graph("one"), [], []
    builder = Builder(graph)
    for i, x in enumerate(sample.inputs):
        if isinstance(x, np.ndarray):
            values.append(graph.add_input(f"x{i}", KEY if x.dtype == np.uint64 else type_of(x)))
            inputs.append(x)
        else:
            values.append(builder.constant(x))
    graph.set_return(builder.emit(op, values, sample.attrs).outputs)
    return graph, inputs


def results_of(op: Op, sample: Sample) -> tuple[np.ndarray, ...]:
    found = op.kernel(*sample.inputs, **sample.attrs)
    return found if isinstance(found, tuple) else (found,)


def check(op: Op, sample: Sample) -> None:
    graph, inputs = graph_of(op, sample)
    run = NUMPY.compile(graph)
    before = [x.tobytes() for x in inputs]
    sizes = bind_sizes(graph, inputs)
    outputs, again = (run(inputs, {}, sizes)[0] for _ in range(2))
    assert [x.tobytes() for x in inputs] == before, "an input was written to"
    for found, repeated, expected in zip(outputs, again, results_of(op, sample), strict=True):
        assert type(found) is np.ndarray
        assert (why := disagreement(found, np.asarray(expected), 1e-5)) is None, why
        assert found.tobytes() == repeated.tobytes(), "a second call gives other bits"
        assert not any(np.shares_memory(found, other) for other in [*inputs, repeated])


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.short)
def test_source_gives_what_the_kernel_gives(op, rng, conformance):
    for dtype in DTYPES if conformance else QUICK:
        found = samples(op.name, rng, dtype)
        for sample in found if conformance else found[:6]:
            check(op, sample)


ALONE = """
    import sys

    class NoIngot:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in {"ingot", "scipy", "lark", "safetensors"}:
                raise ImportError(f"{name} is imported")

    sys.meta_path.insert(0, NoIngot())
    import numpy as np

    arrays = np.load(sys.argv[1])
    for i in range(int(sys.argv[2])):
        namespace = {}
        exec(compile(arrays[f"text{i}"].item(), f"source {i}", "exec"), namespace)
        inputs = [arrays[f"in{i}_{k}"] for k in range(int(arrays[f"inputs{i}"]))]
        outputs, updates = namespace["run"](namespace["plan"]({}), inputs, [])
        for k, found in enumerate(outputs):
            expected = arrays[f"out{i}_{k}"]
            assert found.dtype == expected.dtype and found.shape == expected.shape, i
            assert found.tobytes() == expected.tobytes(), (i, found, expected)
    print("equal")
"""


def source_and_arrays(op: Op, dtype: DType, rng: np.random.Generator) -> tuple[Source, list[Any], list[Any]] | None:
    for sample in samples(op.name, rng, dtype):
        graph, inputs = graph_of(op, sample)
        source = NUMPY.emit(graph)
        if not source.constants and not source.facts["sizes"]:
            return source, inputs, NUMPY.load(source)(inputs, {}, {})[0]
    return None


def test_source_runs_without_ingot(rng, tmp_path):
    arrays: dict[str, Any] = {}
    count = 0
    for op in OPS:
        for dtype in (dtypes.float32, dtypes.int64):
            found = source_and_arrays(op, dtype, rng)
            if found is None:
                continue
            source, inputs, outputs = found
            arrays[f"text{count}"] = np.array(source.text)
            arrays[f"inputs{count}"] = np.array(len(inputs))
            arrays |= {f"in{count}_{k}": x for k, x in enumerate(inputs)}
            arrays |= {f"out{count}_{k}": x for k, x in enumerate(outputs)}
            count += 1
            break
    assert count >= len(OPS) - 3
    np.savez(tmp_path / "cases.npz", **arrays)
    script: Path = tmp_path / "alone.py"
    script.write_text(textwrap.dedent(ALONE))
    command = [sys.executable, "-I", str(script), str(tmp_path / "cases.npz"), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "equal\n", done.stdout + done.stderr


LITERALS: list[tuple[str, DType, list[Any]]] = [
    ("eq", dtypes.uint8, [2**31]), ("lt", dtypes.uint8, [256]), ("gt", dtypes.uint8, [-1]),
    ("add", dtypes.uint8, [256]), ("mul", dtypes.int32, [2**31 + 3]), ("maximum", dtypes.int8, [300]),
    ("where", dtypes.float32, [-0.0, 0.0]), ("where", dtypes.float32, [0.0, -0.0]), ("where", dtypes.uint8, [300, 44]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "dtype", "numbers"), LITERALS)
def test_numbers_are_taken_as_eagerly(name, dtype, numbers):
    """Integers that a dtype does not hold wrap around, and 0.0 is not -0.0."""
    first = np.array([True, False, True]) if name == "where" else np.array([0, 1, 100]).astype(dtype.np)
    op, sample = lookup(name), Sample((first, *numbers))
    graph, inputs = graph_of(op, sample)
    (found,), _ = NUMPY.compile(graph)(inputs, {}, bind_sizes(graph, inputs))
    (expected,) = results_of(op, sample)
    assert (found.dtype, found.tobytes()) == (expected.dtype, np.asarray(expected).tobytes())
