"""A captured training step carries the optimizer's state and gives eager's numbers."""

import ingot
import numpy as np
import pytest
from ingot import nn
from ingot.optim import SGD, Adam, AdamW

OPTIMIZERS = {
    "sgd": lambda p: SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "sgd-damped": lambda p: SGD(p, lr=0.1, momentum=0.9, dampening=0.5),
    "adam": lambda p: Adam(p, lr=0.01, amsgrad=True),
    "adamw": lambda p: AdamW(p, lr=ingot.tensor(0.01)),
}


def _training(make_optimizer):
    """A small net with everything that keeps state, and its training step."""
    ingot.manual_seed(1)
    net = nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 10)),
    )
    optimizer = make_optimizer(net.parameters())

    def step(x, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        return loss

    return net, optimizer, step


def _batches(rng, count):
    return [
        (ingot.tensor(rng.standard_normal((8, 1, 8, 8)), dtype=ingot.float32), ingot.tensor(rng.integers(0, 10, 8)))
        for _ in range(count)
    ]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_captured_step_trains_as_eagerly(name, rng):
    net, optimizer, step = _training(OPTIMIZERS[name])
    batches = _batches(rng, 6)
    ingot.manual_seed(7)
    program = ingot.jit.trace(step, batches[0], dynamic_shapes={"x": {0: "B"}, "y": {0: "B"}})
    captured = [program(*batch).item() for batch in batches]
    ingot.manual_seed(7)
    eager = [step(*batch).item() for batch in batches]
    np.testing.assert_allclose(captured, eager, rtol=1e-5)
    state = program.record.state
    for path, value in net.state_dict().items():
        np.testing.assert_allclose(np.asarray(state[f"net.{path}"]), value.numpy(), rtol=1e-3, atol=1e-5)
    for path, value in optimizer.named_state({id(p): f"net.{n}" for n, p in net.named_parameters()}):
        np.testing.assert_allclose(np.asarray(state[f"optimizer.{path}"]), value.numpy(), rtol=1e-2, atol=1e-5)


def test_capture_leaves_net_and_optimizer_as_they_were(rng):
    net, optimizer, step = _training(OPTIMIZERS["adam"])
    (batch,) = _batches(rng, 1)
    before = {name: value.numpy().copy() for name, value in net.state_dict().items()}
    ingot.jit.trace(step, batch)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    assert all(p.grad is None for p in net.parameters())
    for entry in optimizer.state_dict()["state"].values():
        assert all(not tensor.numpy().any() for tensor in entry.values())


def test_capture_in_the_middle_of_training_goes_on_from_there(rng):
    _, _, step = _training(OPTIMIZERS["sgd-damped"])
    batches = _batches(rng, 5)
    for batch in batches[:2]:
        step(*batch)
    ingot.manual_seed(3)
    program = ingot.jit.trace(step, batches[0])
    captured = [program(*batch).item() for batch in batches[2:]]
    ingot.manual_seed(3)
    assert captured == pytest.approx([step(*batch).item() for batch in batches[2:]], rel=1e-5)
