"""What capturing costs: at most 5 eager forwards and 100 us for each node. The check is measured apart.

ResNet-18's layout with 64 x 64 images, and a transformer encoder of 12 layers, each with all sizes fixed and with
dynamic ones. A forward records no gradients, and capture and forward take turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import ingot
import numpy as np
from capture_nets import LENGTH, WIDTH, Encoder, ResNet18
from measure import Row, Timing, interleaved

FORWARDS, PER_NODE = 5, 100e-6

CASES: dict[str, tuple[Callable[[], Any], tuple[int, ...], Any]] = {
    "ResNet-18": (ResNet18, (8, 3, 64, 64), None),
    "ResNet-18, dynamic": (ResNet18, (8, 3, 64, 64), {0: "batch"}),
    "encoder": (Encoder, (1, LENGTH, WIDTH), None),
    "encoder, dynamic": (Encoder, (1, LENGTH, WIDTH), {0: "batch", 1: "time"}),
}


def rows() -> Iterator[Row]:
    """Three rows for each case: capture's time by what it may take, and what a node costs beyond one forward; and
    the check's time by that of the forwards it made, function and interpreter together."""
    for name, (make, sizes, dynamic) in CASES.items():
        ingot.manual_seed(0)
        model = make().eval()
        x = ingot.tensor(np.random.default_rng(0).standard_normal(sizes, np.float32))
        yield from _rows(name, model, x, dynamic)


def _rows(name: str, model: Any, x: Any, dynamic: Any) -> Iterator[Row]:
    def eager() -> object:
        with ingot.no_grad():
            return model(x)

    def capture(check: bool = False) -> Any:
        with ingot.no_grad():
            return ingot.jit.trace(model, x, dynamic_shapes=dynamic, check=check)

    nodes = sum(1 for _ in capture().graph.nodes())
    times = interleaved({"eager": eager, "capture": capture}, seconds=4.0, inner=1)
    captured, forward = times["capture"], times["eager"]
    allowed = FORWARDS * forward.median + PER_NODE * nodes
    noisy = captured.noisy or forward.noisy
    shown, reference = _milliseconds(captured), f"{_milliseconds(forward)}, {nodes} nodes"
    yield Row(name, shown, reference, captured.median / allowed, "of allowed", 1.0, False, noisy)
    beyond = 1e6 * (captured.median - forward.median) / nodes
    yield Row(f"{name}, beyond a forward", shown, reference, beyond, "us/node", None, False, noisy)
    verdict = capture(check=True).verdict
    share = verdict.seconds / verdict.forwards / forward.median
    checked = f"{verdict.forwards} forwards, {verdict.seconds:.2f} s"
    yield Row(f"{name}, a forward of the check", checked, _milliseconds(forward), share, "forwards", None, False, noisy)


def _milliseconds(timing: Timing) -> str:
    return f"{1e3 * timing.median:.1f} ms"
