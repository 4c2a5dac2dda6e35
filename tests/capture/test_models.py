"""Models whose control flow data decide: captured, saved, loaded where there is no source, equal on fresh inputs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ingot
import numpy as np
import pytest
from models import branching, decoding, recurrent

FRESH = 20


@dataclass(frozen=True)
class Model:
    """A model, example inputs by number (0 is captured with), and its dynamic sizes."""

    make: Callable[[], Any]
    inputs: Callable[[np.random.Generator, int], tuple[Any, ...]]
    dynamic_shapes: Any = None


def floats(rng: np.random.Generator, *sizes: int, scale: float = 1.0) -> np.ndarray:
    return (rng.standard_normal(sizes) * scale).astype(np.float32)


def size(number: int, low: int = 1, spread: int = 11) -> int:
    return low + (number * 7 + 3) % spread


MODELS = {
    "lstm": Model(
        recurrent.LSTM,
        lambda rng, n: (floats(rng, size(n), size(n + 1, 1, 5), 6),),
        {"x": {0: "time", 1: "batch"}},
    ),
    "packed rnn": Model(
        recurrent.PackedRNN,
        lambda rng, n: (floats(rng, size(n, 1, 5), 6, 5), rng.integers(0, 7, size(n, 1, 5))),
        {"x": {0: "batch"}, "lengths": {0: "batch"}},
    ),
    "greedy decoding": Model(
        decoding.Greedy,
        lambda rng, n: (rng.integers(1, 11, size(n)), np.array(size(n + 2))),
        {"prompt": {0: "time"}},
    ),
    "beam search": Model(
        decoding.BeamSearch,
        lambda rng, n: (rng.integers(1, 9, ()), floats(rng, 6), np.array(size(n))),
    ),
    "tree of ifs": Model(
        branching.TreeOfIfs,
        lambda rng, n: (floats(rng, size(n, 2), 4) + (n % 7 - 3) * 0.4,),
        {"x": {0: "rows"}},
    ),
    "newton": Model(
        lambda: branching.newton,
        lambda rng, n: (np.abs(floats(rng, size(n), scale=10.0 ** (n % 5))) + 0.01,),
        {"a": {0: "count"}},
    ),
    "mixture of experts": Model(
        branching.MixtureOfExperts, lambda rng, n: (floats(rng, size(n), 6),), {"x": {0: "tokens"}}
    ),
    "u-net": Model(
        branching.UNet,
        lambda rng, n: (floats(rng, size(n, 1, 3), 1, size(n + 4, 5, 17), size(n + 9, 6, 13)),),
        {"x": {0: "batch", 2: ingot.jit.Dim("height", min=4), 3: ingot.jit.Dim("width", min=4)}},
    ),
}

RUN = """
import sys, numpy as np, ingot
program = ingot.jit.load(sys.argv[1])
given = np.load(sys.argv[2])
found = {}
for n in range(int(given["count"])):
    inputs = [given[f"{n}.{i}"] for i in range(int(given["inputs"]))]
    flat = []
    def leaves(x):
        if isinstance(x, (tuple, list)):
            for item in x: leaves(item)
        else:
            flat.append(np.asarray(x.numpy() if hasattr(x, "numpy") else x))
    leaves(program(*inputs))
    found.update({f"{n}.{i}": x for i, x in enumerate(flat)})
assert "models" not in sys.modules
np.savez(sys.argv[3], **found)
"""


def leaves(value: Any) -> list[np.ndarray]:
    if isinstance(value, (tuple, list)):
        return [leaf for item in value for leaf in leaves(item)]
    return [np.asarray(value.detach().numpy() if isinstance(value, ingot.Tensor) else value)]


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_model_gives_what_the_program_gives(name: str, rng: np.random.Generator, tmp_path: Path) -> None:
    model = MODELS[name]
    ingot.manual_seed(0)
    original = model.make()
    examples = [tuple(ingot.tensor(x) for x in model.inputs(rng, n)) for n in range(FRESH + 1)]
    program = ingot.jit.trace(original, examples[0], dynamic_shapes=model.dynamic_shapes, script_branches=True)
    assert {trial.outcome for trial in program.verdict.trials} == {"agree"}
    file, given, found = tmp_path / "program.ingot", tmp_path / "given.npz", tmp_path / "found.npz"
    program.save(file)
    arrays = {f"{n}.{i}": x.numpy() for n, inputs in enumerate(examples[1:]) for i, x in enumerate(inputs)}
    np.savez(given, count=FRESH, inputs=len(examples[0]), **arrays)
    subprocess.run([sys.executable, "-c", RUN, file, given, found], check=True, cwd=tmp_path)
    results = np.load(found)
    for n, inputs in enumerate(examples[1:]):
        with ingot.no_grad():
            expected = leaves(original(*inputs))
        for i, x in enumerate(expected):
            y = results[f"{n}.{i}"]
            assert y.shape == x.shape and y.dtype == x.dtype, (name, n, i, y.shape, x.shape)
            np.testing.assert_allclose(y, x, rtol=1e-5, atol=1e-5, err_msg=f"{name}, input {n}, output {i}")
