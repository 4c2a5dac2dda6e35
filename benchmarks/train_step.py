"""A whole training step, compiled and eager: the demo's net and a small transformer, in float32, with AdamW.

The eager reference is Ingot's own. Where the environment of `make parity` is there, PyTorch's eager step is shown too:
it runs in a process of its own, in turns with the others. Before anything is timed, the compiled steps must give
eager's losses: over 50 steps in float64, and over 10 steps in float32.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ingot
import numpy as np
from measure import Row, interleaved, ratio_row
from step_nets import NETS, batch_for, training_step

TARGET = 0.75  # of eager's time
HERE = Path(__file__).parent
WITH_TORCH = HERE.parent / ".venv-parity/bin/python"

Step = Callable[[Any, Any], Any]

OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "SGD": lambda parameters: ingot.optim.SGD(parameters, lr=0.01, momentum=0.9, nesterov=True),
    "Adam": lambda parameters: ingot.optim.Adam(parameters, lr=1e-3),
    "AdamW": lambda parameters: ingot.optim.AdamW(parameters, lr=1e-3),
}


def training(net: str, optimizer: str, dtype: Any) -> Step:
    """A training step of a new model, always the same one."""
    ingot.manual_seed(0)
    model = NETS[net](ingot).to(dtype)
    return training_step(ingot, model, OPTIMIZERS[optimizer](model.parameters()))


def batch(net: str, dtype: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """Random inputs and targets as tensors."""
    x, y = (ingot.tensor(a) for a in batch_for(net, rng))
    return x.to(dtype) if x.is_floating_point() else x, y


def losses(step: Step, net: str, dtype: Any, count: int) -> np.ndarray:
    """The losses of some steps."""
    ingot.manual_seed(1)
    rng = np.random.default_rng(0)
    return np.array([step(*batch(net, dtype, rng)).item() for _ in range(count)])


def check(net: str, optimizer: str, dtype: Any, count: int, limit: float) -> None:
    """Compiled and eager steps must give the same losses."""
    eager = losses(training(net, optimizer, dtype), net, dtype, count)
    compiled = losses(ingot.compile(training(net, optimizer, dtype)), net, dtype, count)
    worst = float(np.abs(compiled - eager).max())
    if not worst <= limit:
        raise SystemExit(f"{net} with {optimizer} in {dtype.name}: losses differ by {worst:.1e}, not {limit:.0e}")


def rows() -> list[Row]:
    """Time of a compiled step as a ratio of eager's, for both nets."""
    found = []
    for net in NETS:
        check(net, "AdamW", ingot.float64, 50, 1e-9)
        check(net, "SGD", ingot.float32, 10, 1e-5)
        check(net, "Adam", ingot.float32, 10, 1e-4)
        found += _times(net)
    return found


def _times(net: str) -> list[Row]:
    x, y = batch(net, ingot.float32, np.random.default_rng(0))
    eager, compiled = training(net, "AdamW", ingot.float32), ingot.compile(training(net, "AdamW", ingot.float32))
    subjects: dict[str, Callable[[], object]] = {"eager": lambda: eager(x, y), "compiled": lambda: compiled(x, y)}
    with _torch(net) as torch:
        if torch is not None:
            subjects["torch"] = torch
        for run in subjects.values():
            run()
        times = interleaved(subjects, seconds=8.0, inner=1)
    found = [ratio_row(f"{net}, compiled training step / eager", times, "compiled", "eager", TARGET)]
    if torch is not None:
        found.append(ratio_row(f"{net}, compiled training step / PyTorch's eager", times, "compiled", "torch", None))
    return found


@contextmanager
def _torch(net: str) -> Iterator[Callable[[], object] | None]:
    """PyTorch's step as a function that waits for it; None where there is no PyTorch."""
    if not WITH_TORCH.exists():
        yield None
        return
    command = [str(WITH_TORCH), str(HERE / "torch_step.py"), net]
    places = {**os.environ, "PYTHONPATH": str(HERE)}  # its neighbours, of which it is told whatever the mode
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, bufsize=1, env=places, **pipes) as process:
        assert process.stdin is not None and process.stdout is not None
        ask, answer = process.stdin, process.stdout

        def run() -> str:
            ask.write("step\n")
            line = answer.readline()
            if not line:
                raise SystemExit("PyTorch's process has ended")
            return line

        yield run
        ask.close()
