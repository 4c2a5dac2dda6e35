"""The demo's net at batch 64: eager, compiled, and the same written by hand in NumPy.

The hand-written net is measured twice: with batch normalisation as a scale and shift behind the convolution, which is
the yardstick, and folded into the convolution's weights, which is what the compiled program does on its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

import ingot
import numpy as np
from hand_numpy import HandNet
from measure import Row, interleaved, ratio_row

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))

BATCH = 64


def rows() -> list[Row]:
    """Forward passes and a training step, as ratios of the hand-written forward and of eager's step."""
    from digits import DigitsNet

    ingot.manual_seed(0)
    model = DigitsNet()
    state = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}
    hand, folded = HandNet(state), HandNet(state, fold=True)
    array = np.random.default_rng(0).random((BATCH, 1, 8, 8), np.float32)
    images = ingot.tensor(array)
    training = _training_step(model, images)
    model.eval()
    program = ingot.jit.trace(model, images, dynamic_shapes={0: "batch"})

    def eager() -> object:
        with ingot.no_grad():
            return model(images)

    np.testing.assert_allclose(program(images).numpy(), hand(array), atol=1e-5)
    subjects = {
        "hand": lambda: hand(array),
        "eager": eager,
        "compiled": lambda: program(images),
        "folded": lambda: folded(array),
    }
    found = interleaved(subjects, seconds=6.0, inner=5)
    steps = interleaved(training, seconds=4.0, inner=1)
    return [
        ratio_row("digits net, eager / by hand", found, "eager", "hand", 1.5),
        ratio_row("digits net, compiled / by hand", found, "compiled", "hand", 1.05),
        ratio_row("digits net, compiled / by hand, folded", found, "compiled", "folded", None),
        ratio_row("digits net, traced training step / eager", steps, "traced", "eager", None),
    ]


def _training_step(model, images):  # type: ignore[no-untyped-def]
    """A step with AdamW, eager and traced."""
    labels = ingot.tensor(np.random.default_rng(1).integers(0, 10, BATCH))
    optimizer = ingot.optim.AdamW(model.parameters(), lr=1e-4)

    def step(x, y):  # type: ignore[no-untyped-def]
        loss = ingot.nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    program = ingot.jit.trace(step, (images, labels), dynamic_shapes=({0: "batch"}, {0: "batch"}))
    return {"eager": lambda: step(images, labels), "traced": lambda: program(images, labels)}
