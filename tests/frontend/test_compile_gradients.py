"""Gradients through compiled functions: a compiled forward is a part of the tape."""

import ingot
import numpy as np
import pytest
from ingot import nn
from ingot.ir.errors import GradientError
from ingot.nn import functional as F


def both(function, *args):
    """A function's results and the gradients of its arguments, compiled and eagerly."""
    found = []
    for run in (ingot.compile(function), function):
        leaves = [ingot.tensor(a, requires_grad=True) for a in args]
        results = run(*leaves)
        sum((r * (i + 1)).sum() for i, r in enumerate(results)).backward()
        found.append(([r.detach().numpy() for r in results], [x.grad.numpy() for x in leaves]))
    return found


def test_gradients_of_arguments(rng):
    def f(x, y):
        return (x @ y).tanh(), (x * 2).exp().sum(0)

    found, expected = both(f, rng.standard_normal((3, 4)), rng.standard_normal((4, 2)))
    for a, b in zip([*found[0], *found[1]], [*expected[0], *expected[1]], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_compiled_model_trains_within_an_eager_step(rng):
    x, y = ingot.tensor(rng.standard_normal((16, 1, 8, 8))), ingot.tensor(rng.integers(0, 10, 16))
    losses = []
    for wrap in (ingot.compile, lambda m: m):
        ingot.manual_seed(2)
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.GELU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(144, 10)
        ).double()
        run = wrap(model)
        optimizer = ingot.optim.AdamW(model.parameters(), lr=0.01)
        losses.append([])
        for _ in range(6):
            optimizer.zero_grad()
            loss = F.cross_entropy(run(x), y)
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
        if run is not model:
            assert [v.calls for v in run.variants] == [6]
            assert run.variants[0].backward_graph is not None
    np.testing.assert_allclose(losses[0], losses[1], rtol=0, atol=1e-9)


def test_between_eager_layers_and_twice_in_one_step(rng):
    array = rng.standard_normal((3, 3))
    found = []
    for wrap in (ingot.compile, lambda m: m):
        ingot.manual_seed(3)
        inner = nn.Linear(3, 3).double()
        run = wrap(inner)
        x = ingot.tensor(array, requires_grad=True)
        run(run(x * 2).tanh()).pow(2).sum().backward()
        found.append([x.grad.numpy(), inner.weight.grad.numpy(), inner.bias.grad.numpy()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_dynamic_sizes(rng):
    w = ingot.tensor(rng.standard_normal((3, 2)), requires_grad=True)
    compiled = ingot.compile(lambda x: (x @ w).sigmoid())
    for n in (4, 6, 5):
        x = ingot.tensor(rng.standard_normal((n, 3)))
        w.grad = None
        compiled(x).sum().backward()
        found = w.grad.numpy()
        w.grad = None
        (x @ w).sigmoid().sum().backward()
        np.testing.assert_allclose(found, w.grad.numpy(), rtol=1e-12)
    assert len(compiled.variants) == 2


def test_a_change_between_forward_and_backward_is_noticed(rng):
    w = ingot.tensor(rng.standard_normal(3), requires_grad=True)
    compiled = ingot.compile(lambda x: (x * w).exp())
    x = ingot.tensor(rng.standard_normal(3), requires_grad=True)
    y = compiled(x)
    with ingot.no_grad():
        w.mul_(2.0)
    with pytest.raises(GradientError, match="changed in place"):
        y.sum().backward()


def test_the_tape_is_freed_unless_it_is_retained(rng):
    x = ingot.tensor(rng.standard_normal(3), requires_grad=True)
    compiled = ingot.compile(lambda x: (x * x).sum())
    y = compiled(x)
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 4 * x.detach().numpy())
    with pytest.raises(GradientError, match="freed"):
        y.backward()


def test_a_second_derivative_is_refused(rng):
    x = ingot.tensor(rng.standard_normal(3), requires_grad=True)
    y = ingot.compile(lambda x: (x * x * x).sum())(x)
    with pytest.raises(GradientError, match="gradient of a gradient"):
        ingot.autograd.grad(y, x, create_graph=True)


def test_state_that_the_forward_updates(rng):
    array = rng.standard_normal((8, 3))
    found = []
    for wrap in (ingot.compile, lambda m: m):
        norm = nn.BatchNorm1d(3).double()
        run = wrap(norm)
        x = ingot.tensor(array, requires_grad=True)
        for _ in range(2):
            (run(x) ** 3).sum().backward()
        found.append([x.grad.numpy(), norm.running_mean.numpy(), norm.running_var.numpy()])
        assert norm.num_batches_tracked.item() == 2
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_results_without_a_gradient(rng):
    def f(x):
        return x * 2, x.argmax(), x.detach() + 1

    x = ingot.tensor(rng.standard_normal(3), requires_grad=True)
    a, b, c = ingot.compile(f)(x)
    assert a.requires_grad and not b.requires_grad and not c.requires_grad
    assert b.dtype is ingot.int64


def test_loops_branches_and_assertions(rng):
    def f(x, w):
        assert x.sum() > -100, "far out"
        steps = 0
        while x.norm() < 10:
            x = x * w if x.sum() > 0 else x * 2
            steps += 1
        return (x * steps).sum()

    compiled = ingot.compile(f, script=True, dynamic=True)
    for values in ([0.5, 1.0], [-0.5, 0.25, -1.0], [20.0, 3.0]):
        x = ingot.tensor(values, requires_grad=True)
        w = ingot.tensor(1.7, requires_grad=True)
        expected = ingot.autograd.grad(f(x, w), (x, w), allow_unused=True)
        found = ingot.autograd.grad(compiled(x, w), (x, w))
        for a, b in zip(found, expected, strict=True):
            assert ingot.allclose(a, ingot.zeros_like(a) if b is None else b)
    assert len(compiled.variants) == 1
