"""Layers in captured programs: sizes stay dynamic, statistics become updates of state."""

import ingot
import numpy as np
import pytest
from ingot import nn

LAYERS = [
    (lambda: nn.Linear(3, 2), (4, 3)),
    (lambda: nn.Conv2d(2, 3, 3, padding=1), (4, 2, 5, 5)),
    (lambda: nn.Conv2d(2, 3, 2, padding="same"), (4, 2, 5, 5)),
    (lambda: nn.BatchNorm2d(2), (4, 2, 3, 3)),
    (lambda: nn.LayerNorm(3), (4, 3)),
    (lambda: nn.GroupNorm(2, 4), (3, 4, 5)),
    (lambda: nn.Sequential(nn.MaxPool2d(2), nn.Flatten()), (4, 2, 4, 4)),
    (lambda: nn.AvgPool2d(3, stride=2, padding=1), (4, 2, 5, 5)),
    (lambda: nn.AdaptiveAvgPool2d(1), (4, 2, 5, 5)),
    (lambda: nn.Sequential(nn.Unflatten(1, (2, 3)), nn.Softmax(1)), (4, 6)),
    (lambda: nn.Sequential(nn.GELU(), nn.SiLU(), nn.ELU(), nn.Hardswish(), nn.Softplus(), nn.LogSoftmax(1)), (4, 6)),
    (lambda: nn.ReLU(inplace=True), (4, 6)),
    (lambda: nn.Dropout(0.5), (4, 6)),
    (lambda: nn.ModuleList([nn.MultiheadAttention(4, 2, batch_first=True)])[0], (3, 5, 4)),
]


def _call(layer, x):
    if isinstance(layer, nn.MultiheadAttention):
        return layer(x, x, x)[0]
    return layer(x * 1)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("number", range(len(LAYERS)))
def test_captured_layers_take_any_batch(number, training, rng):
    make, sizes = LAYERS[number]
    layer = make().train(training)
    program = ingot.jit.trace(lambda x: _call(layer, x), ingot.rand(*sizes), dynamic_shapes={0: "B"})
    assert not [entry for entry in program.record.ledger if entry.kind == "size"]
    for batch in (sizes[0], 7):
        x = ingot.tensor(rng.standard_normal((batch, *sizes[1:])), dtype=ingot.float32)
        if "rng" in program.record.state:
            ingot.set_rng_state(ingot.tensor(np.asarray(program.record.state["rng"]).view(np.int64)))
        found = program(x)
        np.testing.assert_allclose(found.numpy(), _call(layer, x).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_nodes_carry_the_path_of_their_module():
    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU(), nn.Linear(2, 1)))
    program = ingot.jit.trace(net, ingot.ones(1, 2))
    paths = {node.path for node in program.graph.nodes() if node.op.short in ("linear", "relu")}
    assert paths == {"0", "1.0", "1.1"}


def test_batch_norms_statistics_are_updates():
    layer = nn.BatchNorm1d(3)
    program = ingot.jit.trace(layer, ingot.rand(4, 3))
    assert set(program.graph.updates) == {"running_mean", "running_var", "num_batches_tracked"}
    program = ingot.jit.trace(layer.eval(), ingot.rand(4, 3))
    assert not program.graph.updates


def test_dropout_moves_the_random_state_on():
    program = ingot.jit.trace(nn.Dropout(0.5), ingot.ones(100))
    assert list(program.graph.updates) == ["rng"]
    x = ingot.ones(100)
    assert not program(x).equal(program(x))


def test_hooks_are_captured():
    layer = nn.Linear(2, 2)
    layer.register_forward_hook(lambda module, args, result: result * 2)
    x = ingot.rand(3, 2)
    assert ingot.jit.trace(layer, x)(x).allclose(layer(x))
