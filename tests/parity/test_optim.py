"""Optimizers and learning rate schedules against PyTorch."""

import ingot
import numpy as np
import pytest
import torch

STEPS = 12
SIZES = [(4, 3), (5,), ()]

OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05}),
    ("SGD", {"lr": 0.1, "momentum": 0.8, "dampening": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.8, "nesterov": True, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.05, "betas": (0.7, 0.95), "eps": 1e-4, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.05, "amsgrad": True, "maximize": True}),
    ("AdamW", {"lr": 0.05}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.3, "amsgrad": True}),
]


def _name(case):
    return "-".join([case[0], *[f"{k}={v}" for k, v in case[1].items()]])


def _train(library, name, options, start, gradients, state=None):
    parameters = [library.nn.Parameter(library.tensor(x)) for x in start]
    optimizer = getattr(library.optim, name)(parameters, **options)
    if state is not None:
        optimizer.load_state_dict(state)
    for row in gradients:
        for p, g in zip(parameters, row, strict=True):
            p.grad = library.tensor(g)
        optimizer.step()
    return [p.detach().numpy() for p in parameters], optimizer


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-6), ("float64", 1e-13)])
@pytest.mark.parametrize("case", OPTIMIZERS, ids=_name)
def test_steps(case, dtype, tolerance, rng):
    start = [rng.standard_normal(size).astype(dtype) for size in SIZES]
    gradients = [[rng.standard_normal(size).astype(dtype) for size in SIZES] for _ in range(STEPS)]
    ours, own = _train(ingot, *case, start, gradients)
    theirs, other = _train(torch, *case, start, gradients)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    for i, entry in other.state_dict()["state"].items():
        for key, value in entry.items():
            if value is not None:
                found = own.state_dict()["state"][i][key].numpy()
                np.testing.assert_allclose(found, value.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("case", OPTIMIZERS, ids=_name)
def test_pytorchs_state_can_be_loaded(case, rng):
    start = [rng.standard_normal(size) for size in SIZES]
    gradients = [[rng.standard_normal(size) for size in SIZES] for _ in range(STEPS)]
    through, _ = _train(torch, *case, start, gradients)
    halfway, optimizer = _train(torch, *case, start, gradients[:5])
    saved = optimizer.state_dict()
    for entry in saved["state"].values():
        entry.update({key: None if value is None else value.numpy() for key, value in entry.items()})
    resumed, _ = _train(ingot, *case, halfway, gradients[5:], saved)
    for a, b in zip(resumed, through, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


SCHEDULES = [
    lambda s, o: s.StepLR(o, 3, 0.7),
    lambda s, o: s.MultiStepLR(o, [2, 5, 5, 9], 0.5),
    lambda s, o: s.ExponentialLR(o, 0.9),
    lambda s, o: s.ConstantLR(o, 0.3, 4),
    lambda s, o: s.LinearLR(o, 0.2, 0.9, 6),
    lambda s, o: s.LambdaLR(o, lambda step: 0.95**step),
    lambda s, o: s.CosineAnnealingLR(o, 7, eta_min=0.01),
    lambda s, o: s.OneCycleLR(o, 0.5, total_steps=13, cycle_momentum=False)
    if s is torch.optim.lr_scheduler
    else s.OneCycleLR(o, 0.5, total_steps=13),
    lambda s, o: s.OneCycleLR(
        o, 0.5, epochs=4, steps_per_epoch=5, pct_start=0.4, anneal_strategy="linear", three_phase=True,
        **({"cycle_momentum": False} if s is torch.optim.lr_scheduler else {}),
    ),
    lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 0.1, 1.0, 4), s.CosineAnnealingLR(o, 8)], milestones=[4]),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("make", SCHEDULES, ids=range(len(SCHEDULES)))
def test_schedules(make):
    rates = []
    for library in (ingot, torch):
        first, second = (library.nn.Parameter(library.zeros(1)) for _ in range(2))
        optimizer = library.optim.SGD([{"params": [first]}, {"params": [second], "lr": 2.0}], lr=0.3)
        scheduler = make(library.optim.lr_scheduler, optimizer)
        found = [[group["lr"] for group in optimizer.param_groups]]
        for _ in range(12):
            optimizer.step()
            scheduler.step()
            found.append([group["lr"] for group in optimizer.param_groups])
        rates.append(found)
    np.testing.assert_allclose(*rates, rtol=1e-9)


def test_a_net_learns_as_pytorchs_does(rng):
    def make(nn):
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64, 10),
        )

    theirs = make(torch.nn).double()
    ours = make(ingot.nn).double()
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    batches = [(rng.standard_normal((16, 1, 8, 8)), rng.integers(0, 10, 16)) for _ in range(10)]
    losses = []
    for library, net in ((ingot, ours), (torch, theirs)):
        optimizer = library.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
        found = []
        for x, y in batches:
            optimizer.zero_grad()
            loss = library.nn.functional.cross_entropy(net(library.tensor(x)), library.tensor(y))
            loss.backward()
            library.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            found.append(loss.item())
        losses.append(found)
    np.testing.assert_allclose(*losses, rtol=1e-9)
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name].numpy(), value.numpy(), rtol=1e-7, atol=1e-10)
