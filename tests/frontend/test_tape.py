"""Reverse mode: gradients, what is kept, what is refused."""

import gc
import weakref

import ingot
import numpy as np
import pytest
from ingot.ir.errors import GradientError


def test_gradient_of_a_chain_equals_the_formula():
    x = ingot.tensor([0.5, 1.0, 2.0], requires_grad=True)
    (x * x).exp().sum().backward()
    a = np.array([0.5, 1.0, 2.0], np.float32)
    np.testing.assert_allclose(x.grad.numpy(), 2 * a * np.exp(a * a), rtol=1e-6)


def test_gradients_add_up_over_calls_and_over_uses():
    x = ingot.tensor([1.0, 2.0], requires_grad=True)
    (x + x * 3).sum().backward()
    (x * 2).sum().backward()
    assert x.grad.tolist() == [6.0, 6.0]


def test_broadcast_gradients_are_summed():
    x = ingot.ones(3, 4, requires_grad=True)
    b = ingot.ones(4, requires_grad=True)
    s = ingot.tensor(2.0, requires_grad=True)
    ((x + b) * s).sum().backward()
    assert x.grad.shape == (3, 4)
    assert b.grad.tolist() == [6.0] * 4
    assert s.grad.item() == 24.0


def test_second_derivative():
    x = ingot.tensor([1.0, 2.0, 3.0], requires_grad=True)
    (first,) = ingot.autograd.grad((x**4).sum(), x, create_graph=True)
    (second,) = ingot.autograd.grad(first.sum(), x)
    assert second.tolist() == [12.0, 48.0, 108.0]


def test_third_derivative_through_saved_outputs():
    x = ingot.tensor(0.3, dtype=ingot.float64, requires_grad=True)
    g = x.tanh()
    for _ in range(3):
        (g,) = ingot.autograd.grad(g, x, create_graph=True)
    t = np.tanh(0.3)
    expected = -2 * (1 - t * t) * (1 - 3 * t * t)
    assert g.item() == pytest.approx(expected, rel=1e-12)


def test_no_grad_records_nothing_as_context_and_as_decorator():
    x = ingot.ones(2, requires_grad=True)
    with ingot.no_grad():
        assert not (x * 2).requires_grad

    @ingot.no_grad()
    def double(v):
        return v * 2

    assert not double(x).requires_grad
    assert (x * 2).requires_grad


def test_detach_stops_the_gradient():
    x = ingot.tensor([3.0], requires_grad=True)
    (x * x.detach()).sum().backward()
    assert x.grad.tolist() == [3.0]


def test_backward_twice_needs_retain_graph():
    x = ingot.ones(2, requires_grad=True)
    y = x.exp().sum()
    y.backward()
    with pytest.raises(GradientError, match="retain_graph=True"):
        y.backward()
    z = x.exp().sum()
    z.backward(retain_graph=True)
    z.backward()


def test_non_scalar_backward_needs_a_gradient():
    x = ingot.ones(3, requires_grad=True)
    with pytest.raises(GradientError, match="single number"):
        (x * 2).backward()
    (x * 2).backward(ingot.tensor([1.0, 2.0, 3.0]))
    assert x.grad.tolist() == [2.0, 4.0, 6.0]


def test_unused_input_is_refused_or_none():
    x, y = ingot.ones(2, requires_grad=True), ingot.ones(2, requires_grad=True)
    with pytest.raises(GradientError, match="allow_unused"):
        ingot.autograd.grad((x * 2).sum(), [x, y])
    found = ingot.autograd.grad((x * 2).sum(), [x, y], allow_unused=True)
    assert found[1] is None
    assert found[0].tolist() == [2.0, 2.0]


def test_an_op_without_gradient_says_why():
    x = ingot.ones(3, requires_grad=True)
    with pytest.raises(GradientError, match="floor_divide has no gradient: its result is piecewise constant"):
        x // 2


def test_changing_what_a_gradient_kept_is_noticed():
    x = ingot.ones(3, requires_grad=True)
    y = x * 1
    z = (y * y).sum()
    y.add_(1)
    with pytest.raises(GradientError, match="changed in place"):
        z.backward()


def test_only_what_the_gradient_reads_is_kept():
    x = ingot.ones(1000, requires_grad=True)
    y = x * 2.0  # reads the number alone
    doubled = y + 1.0
    kept = weakref.ref(y)
    del y
    gc.collect()
    assert kept() is None
    doubled.sum().backward()
    assert x.grad[0].item() == 2.0


def test_graph_is_freed_without_the_cyclic_collector():
    gc.disable()
    try:
        x = ingot.ones(10, requires_grad=True)
        y = (x * 2).exp().relu()
        kept = weakref.ref(y)
        del y
        assert kept() is None
    finally:
        gc.enable()


def test_leaf_hook_replaces_the_gradient():
    x = ingot.ones(2, requires_grad=True)
    handle = x.register_hook(lambda g: g * 10)
    (x * 2).sum().backward()
    assert x.grad.tolist() == [20.0, 20.0]
    handle.remove()
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_integers_have_no_gradient():
    with pytest.raises(GradientError, match="floating-point"):
        ingot.tensor([1, 2], requires_grad=True)


def test_long_chain_needs_no_recursion():
    x = ingot.ones(1, requires_grad=True)
    y = x
    for _ in range(5000):
        y = y + 1
    y.sum().backward()
    assert x.grad.item() == 1.0


def test_every_leaf_owns_its_gradient():
    a, b, c = (ingot.ones(3, requires_grad=True) for _ in range(3))
    seed = ingot.ones(3)
    (a + b + c.reshape(3)).backward(seed)
    a.grad.mul_(5)
    assert seed.tolist() == b.grad.tolist() == c.grad.tolist() == [1.0] * 3
    x = ingot.ones(2, 3, requires_grad=True)
    x.sum().backward()
    x.grad[0, 0] = 7.0
    assert x.grad.sum().item() == 12.0


def test_hooks_on_results_see_and_replace_their_gradient():
    x = ingot.ones(2, requires_grad=True)
    y = x * 2
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: g * 10)
    y.retain_grad()
    (y * y).sum().backward()
    assert seen == [[4.0, 4.0]]
    assert y.grad.tolist() == [40.0, 40.0]
    assert x.grad.tolist() == [80.0, 80.0]
    with pytest.raises(GradientError, match="requires no gradient"):
        ingot.ones(2).register_hook(print)


def test_an_in_place_operation_may_read_what_it_overwrites():
    w = ingot.tensor([2.0, 3.0], requires_grad=True)
    y = w * 2
    y.mul_(w)  # y = 2 w^2
    y **= 2  # y = 4 w^4
    y.sum().backward()
    assert w.grad.tolist() == [16 * 8.0, 16 * 27.0]


def test_inference_mode_is_no_grad():
    x = ingot.ones(2, requires_grad=True)
    with ingot.inference_mode():
        assert not (x * 2).requires_grad
    with ingot.inference_mode(False):
        assert (x * 2).requires_grad
