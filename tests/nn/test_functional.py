"""Functions of `nn.functional` and `nn.utils` that are more than one op. `tests/parity` compares all with PyTorch."""

import math

import ingot
import numpy as np
import pytest
from ingot.ir.errors import ArgumentError, GradientError, IngotError, ShapeError
from ingot.nn import functional as F
from ingot.nn import utils


@pytest.mark.parametrize("name", ["relu", "relu6", "leaky_relu", "elu", "silu", "hardtanh", "hardswish"])
def test_inplace_activations_change_their_input(name):
    function = getattr(F, name)
    x = ingot.tensor([-4.0, -0.5, 0.5, 7.0])
    expected = function(x)
    y = x.clone()
    assert function(y, inplace=True) is y
    assert y.equal(expected)
    leaf = x.clone().requires_grad_()
    with pytest.raises(GradientError, match="a leaf that requires a gradient"):
        function(leaf, inplace=True)
    function(leaf * 1, inplace=True).sum().backward()
    other = x.clone().requires_grad_()
    function(other).sum().backward()
    assert leaf.grad.equal(other.grad)


@pytest.mark.parametrize(("ndim", "dim"), [(1, 0), (2, 1), (3, 0), (4, 1)])
def test_softmax_has_pytorchs_default_dim(ndim, dim):
    x = ingot.rand(*[2, 3, 4, 5][:ndim])
    assert F.softmax(x).equal(F.softmax(x, dim))
    assert F.log_softmax(x).equal(F.log_softmax(x, dim))
    assert F.softmax(ingot.ones(2), 0, dtype=ingot.float64).dtype is ingot.float64


def test_logsigmoid_does_not_overflow():
    assert F.logsigmoid(ingot.tensor([-1000.0, 0.0, 1000.0])).tolist() == pytest.approx([-1000.0, -math.log(2), 0.0])


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (lambda x: F.gelu(x, approximate="exact"), ArgumentError, "approximate is 'exact'"),
        (lambda x: F.hardtanh(x, 2.0, 1.0), ArgumentError, "min_val is above max_val"),
        (lambda x: F.embedding(x.long(), x, 5), ArgumentError, "padding_idx is 5"),
        (lambda x: F.huber_loss(x, x, delta=0.0), ArgumentError, "delta is 0.0"),
        (lambda x: F.mse_loss(x, ingot.ones(4)), ShapeError, "input and target do not fit"),
        (lambda x: F.mse_loss(x, x, reduction="all"), ArgumentError, "reduction is 'all'"),
        (lambda x: F.binary_cross_entropy(x, ingot.ones(3)), ShapeError, "differ in their sizes"),
        (lambda x: F.binary_cross_entropy(x, x, reduction="all"), ArgumentError, "reduction is 'all'"),
        (lambda x: F.cross_entropy(x, ingot.ones(3, 2)), ShapeError, "differ in their sizes"),
        (lambda x: F.cross_entropy(x, x, label_smoothing=2.0), ArgumentError, "label_smoothing is 2.0"),
        (lambda x: F.cross_entropy(x, ingot.tensor([0, 1, 0])), ShapeError, "cross_entropy"),
        (lambda x: utils.get_total_norm([x], 0.0), ArgumentError, "norm_type is 0.0"),
        (lambda x: utils.vector_to_parameters(ingot.ones(3), [x]), ShapeError, "vector_to_parameters"),
    ],
)
def test_mistakes_are_named(call, kind, says):
    with pytest.raises(kind, match=says):
        call(ingot.ones(2, 3))


def test_distances_broadcast_with_a_warning():
    with pytest.warns(UserWarning, match=r"broadcast to \[2, 3\]: input \[2, 3\], target \[3\]"):
        assert F.mse_loss(ingot.ones(2, 3), ingot.zeros(3)).item() == 1.0
    with pytest.warns(UserWarning):
        assert F.l1_loss(ingot.ones(2, 1), ingot.zeros(3), reduction="sum").item() == 6.0


def test_cross_entropy_of_probabilities_agrees_with_classes(rng):
    x = ingot.tensor(rng.standard_normal((4, 3, 2)))
    classes = ingot.tensor(rng.integers(0, 3, (4, 2)))
    hot = F.one_hot(classes, 3).permute(0, 2, 1).double()
    for options in ({}, {"reduction": "sum"}, {"reduction": "none"}, {"label_smoothing": 0.25}):
        a, b = (F.cross_entropy(x, target, **options).numpy() for target in (classes, hot))
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_losses_do_not_overflow():
    assert F.cross_entropy(ingot.tensor([[1e4, 0.0]]), ingot.tensor([1])).item() == 1e4
    target = ingot.tensor([0.0, 1.0])
    assert F.binary_cross_entropy_with_logits(ingot.tensor([1e4, -1e4]), target).item() == 1e4
    assert F.binary_cross_entropy(ingot.tensor([1.0, 0.0]), target).item() == 100.0


def test_one_hot_counts_the_classes():
    assert F.one_hot(ingot.tensor([0, 2])).tolist() == [[1, 0, 0], [0, 0, 1]]


# -------------------------------------------------------------------------------------------------- nn.utils


def _with_gradients(*gradients):
    parameters = [ingot.nn.Parameter(ingot.zeros(len(g))) for g in gradients]
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = ingot.tensor(g)
    return parameters


def test_clipping_scales_all_gradients_alike():
    a, b = _with_gradients([3.0], [0.0, 4.0])
    assert utils.clip_grad_norm_([a, b], 2.5).item() == 5.0
    assert a.grad.tolist() == pytest.approx([1.5], rel=1e-6)
    assert b.grad.tolist() == pytest.approx([0.0, 2.0], rel=1e-6)
    assert utils.clip_grad_norm_(iter([a, b]), 100.0).item() == pytest.approx(2.5)
    assert a.grad.tolist() == pytest.approx([1.5], rel=1e-6)


def test_clipping_by_the_largest_and_by_value():
    a, b = _with_gradients([3.0, -8.0], [1.0])
    assert utils.get_total_norm([a.grad, b.grad], math.inf).item() == 8.0
    utils.clip_grad_value_([a, b], 2.0)
    assert a.grad.tolist() == [2.0, -2.0]
    assert b.grad.tolist() == [1.0]
    utils.clip_grad_value_(a, 1.0)
    assert a.grad.tolist() == [1.0, -1.0]


def test_clipping_spares_what_has_no_gradient():
    p = ingot.nn.Parameter(ingot.ones(2))
    assert utils.clip_grad_norm_([p], 1.0).item() == 0.0
    assert p.grad is None


def test_clipping_refuses_what_is_not_finite_when_asked_to():
    (p,) = _with_gradients([math.inf])
    with pytest.raises(IngotError, match="the total norm is inf"):
        utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)


def test_gradients_that_share_memory_are_clipped_once():
    a, b = (ingot.nn.Parameter(ingot.zeros(1)) for _ in range(2))
    (a + b).sum().backward()
    utils.clip_grad_norm_([a, b], math.sqrt(2.0) / 4)
    assert a.grad.item() == pytest.approx(0.25, rel=1e-5)
    assert b.grad.item() == pytest.approx(0.25, rel=1e-5)


def test_parameters_as_a_vector_and_back():
    net = ingot.nn.Linear(2, 3)
    vector = utils.parameters_to_vector(net.parameters())
    assert vector.shape == (9,)
    utils.vector_to_parameters(vector.detach() * 0 + 2, net.parameters())
    assert net.weight.tolist() == [[2.0, 2.0]] * 3
    assert net.bias.tolist() == [2.0] * 3
    vector.sum().backward()
    assert net.bias.grad.tolist() == [1.0] * 3
