"""Schedules of the learning rate."""

import math

import ingot
import pytest
from ingot.ir.errors import ArgumentError
from ingot.optim import SGD
from ingot.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    SequentialLR,
    StepLR,
)


def _optimizer(lr=1.0):
    return SGD([ingot.nn.Parameter(ingot.zeros(1))], lr=lr)


def _rates(optimizer, scheduler, steps):
    found = [float(optimizer.param_groups[0]["lr"])]
    for _ in range(steps):
        scheduler.step()
        found.append(float(optimizer.param_groups[0]["lr"]))
    return found


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda o: StepLR(o, 2, 0.5), [1, 1, 0.5, 0.5, 0.25]),
        (lambda o: MultiStepLR(o, [1, 3, 3], 0.5), [1, 0.5, 0.5, 0.125, 0.125]),
        (lambda o: ExponentialLR(o, 0.5), [1, 0.5, 0.25, 0.125, 0.0625]),
        (lambda o: ConstantLR(o, 0.25, 2), [0.25, 0.25, 1, 1, 1]),
        (lambda o: LinearLR(o, 0.5, 1.0, 2), [0.5, 0.75, 1, 1, 1]),
        (lambda o: LambdaLR(o, lambda step: 1 / (step + 1)), [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]),
        (
            lambda o: CosineAnnealingLR(o, 4, eta_min=0.5),
            [1, 0.75 + 0.25 * math.sqrt(0.5), 0.75, 0.75 - 0.25 * math.sqrt(0.5), 0.5],
        ),
        (
            lambda o: OneCycleLR(
                o, 2.0, 5, pct_start=0.6, div_factor=4, final_div_factor=5, anneal_strategy="linear"
            ),
            [0.5, 1.25, 2.0, 1.05, 0.1],
        ),
    ],
)  # fmt: skip
def test_rates(make, expected):
    optimizer = _optimizer()
    assert _rates(optimizer, make(optimizer), 4) == pytest.approx(expected, rel=1e-12)


def test_a_tensor_rate_changes_in_place():
    rate = ingot.tensor(1.0)
    optimizer = _optimizer(rate)
    assert _rates(optimizer, ExponentialLR(optimizer, 0.5), 2) == [1.0, 0.5, 0.25]
    assert optimizer.param_groups[0]["lr"] is rate


def test_every_group_keeps_its_own():
    a, b = (ingot.nn.Parameter(ingot.zeros(1)) for _ in range(2))
    optimizer = SGD([{"params": [a]}, {"params": [b], "lr": 8.0}], lr=4.0)
    scheduler = LambdaLR(optimizer, [lambda step: 0.5**step, lambda step: 1.0])
    scheduler.step()
    assert scheduler.get_last_lr() == [2.0, 8.0]


def test_two_schedules_side_by_side_multiply():
    optimizer = _optimizer()
    first, second = LinearLR(optimizer, 0.5, 1.0, 2), StepLR(optimizer, 2, 0.1)
    rates = []
    for _ in range(3):
        first.step()
        second.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.75, 0.1, 0.1])


def test_one_after_the_other():
    optimizer = _optimizer()
    warm = ConstantLR(optimizer, 0.125, 100)
    scheduler = SequentialLR(optimizer, [warm, ExponentialLR(optimizer, 0.5)], milestones=[2])
    assert _rates(optimizer, scheduler, 4) == [0.125, 0.125, 1.0, 0.5, 0.25]


@pytest.mark.parametrize(
    "make", [lambda o: StepLR(o, 2, 0.5), lambda o: CosineAnnealingLR(o, 9), lambda o: OneCycleLR(o, 1.0, 9)]
)
def test_a_schedule_goes_on_where_it_was_saved(make):
    optimizer = _optimizer()
    scheduler = make(optimizer)
    through = _rates(optimizer, scheduler, 8)
    optimizer = _optimizer()
    scheduler = make(optimizer)
    _rates(optimizer, scheduler, 3)
    saved, state = optimizer.state_dict(), scheduler.state_dict()
    assert "optimizer" not in state
    resumed = _optimizer()
    again = make(resumed)
    resumed.load_state_dict(saved)
    again.load_state_dict(state)
    assert _rates(resumed, again, 5) == pytest.approx(through[3:])


def test_sequences_are_saved_too():
    def make():
        optimizer = _optimizer()
        parts = [LinearLR(optimizer, 0.5, 1.0, 4), ExponentialLR(optimizer, 0.5)]
        return optimizer, SequentialLR(optimizer, parts, milestones=[3])

    optimizer, scheduler = make()
    through = _rates(optimizer, scheduler, 6)
    optimizer, scheduler = make()
    _rates(optimizer, scheduler, 4)
    resumed, again = make()
    resumed.load_state_dict(optimizer.state_dict())
    again.load_state_dict(scheduler.state_dict())
    assert _rates(resumed, again, 2) == pytest.approx(through[4:])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda o: StepLR(o, 2, last_epoch=3), "no 'initial_lr'"),
        (lambda o: LinearLR(o, 0.0), "factors are out of range"),
        (lambda o: LambdaLR(o, [lambda step: 1.0] * 2), "2 functions"),
        (lambda o: OneCycleLR(o, 1.0), "give total_steps"),
        (lambda o: OneCycleLR(o, 1.0, 5, anneal_strategy="square"), "anneal_strategy is 'square'"),
        (lambda o: SequentialLR(o, [StepLR(o, 2)], [1]), "1 milestones"),
        (lambda o: SequentialLR(o, [StepLR(_optimizer(), 2)], []), "another optimizer"),
        (lambda o: StepLR("sgd", 2), "optimizer is a str"),
    ],
)
def test_mistakes_are_named(make, says):
    with pytest.raises(ArgumentError, match=says):
        make(_optimizer())


def test_a_cycle_has_an_end():
    optimizer = _optimizer()
    scheduler = OneCycleLR(optimizer, 1.0, total_steps=2)
    assert _rates(optimizer, scheduler, 2)[1:] == pytest.approx([4e-6, 4e-6])
    with pytest.raises(ArgumentError, match="step 3 of 2"):
        scheduler.step()


def _measured(losses, **options):
    optimizer = ingot.optim.SGD([ingot.nn.Parameter(ingot.ones(1))], lr=1.0)
    scheduler = ingot.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, **options)
    found = []
    for loss in losses:
        scheduler.step(ingot.tensor(loss))
        found.append(optimizer.param_groups[0]["lr"])
    assert scheduler.get_last_lr() == found[-1:]
    return found


@pytest.mark.parametrize(
    ("options", "rates"),
    [
        ({"patience": 0}, [1.0, 1.0, 0.5, 0.5, 0.25, 0.125]),
        ({"patience": 1}, [1.0, 1.0, 1.0, 1.0, 1.0, 0.5]),
        ({"patience": 0, "cooldown": 2}, [1.0, 1.0, 0.5, 0.5, 0.5, 0.25]),
        ({"patience": 0, "min_lr": 0.4}, [1.0, 1.0, 0.5, 0.5, 0.4, 0.4]),
        ({"patience": 0, "threshold": 1.5, "threshold_mode": "abs"}, [1.0, 0.5, 0.25, 0.25, 0.125, 0.0625]),
        ({"patience": 0, "mode": "max"}, [1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125]),
    ],
)
def test_reduce_on_plateau(options, rates):
    assert _measured([4.0, 3.0, 3.5, 2.0, 2.0, 2.5], **options) == rates


def test_reduce_on_plateau_refuses_what_does_not_fit():
    optimizer = ingot.optim.SGD([ingot.nn.Parameter(ingot.ones(1))], lr=1.0)
    make = ingot.optim.lr_scheduler.ReduceLROnPlateau
    for options in ({"mode": "low"}, {"factor": 1.0}, {"threshold_mode": "both"}, {"min_lr": [0.0, 0.0]}):
        with pytest.raises(ArgumentError, match="ReduceLROnPlateau"):
            make(optimizer, **options)
    with pytest.raises(ArgumentError, match="the measured value is missing"):
        make(optimizer).step()
