"""Initial values."""

import math
import statistics

import ingot
import numpy as np
import pytest
from ingot.ir.errors import ArgumentError, ShapeError
from ingot.nn import init
from ingot.nn.quantile import normal_quantile

MANY = (200, 50, 2, 2)  # 200 incoming and 800 outgoing connections


def _uniform(bound):
    return (-bound, bound, bound / math.sqrt(3))


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        (lambda w: init.uniform_(w, -2.0, 2.0), _uniform(2.0)),
        (lambda w: init.kaiming_uniform_(w, a=math.sqrt(5)), _uniform(1 / math.sqrt(200))),
        (lambda w: init.kaiming_uniform_(w, mode="fan_out", nonlinearity="relu"), _uniform(math.sqrt(6 / 800))),
        (lambda w: init.xavier_uniform_(w, 3.0), _uniform(3 * math.sqrt(6 / 1000))),
        (lambda w: init.normal_(w, 0.0, 0.25), (None, None, 0.25)),
        (lambda w: init.kaiming_normal_(w, nonlinearity="linear"), (None, None, 1 / math.sqrt(200))),
        (lambda w: init.xavier_normal_(w), (None, None, math.sqrt(2 / 1000))),
        (lambda w: init.trunc_normal_(w, std=1.0, a=-0.5, b=0.5), (-0.5, 0.5, 0.2839)),
    ],
)
def test_bounds_and_deviations(fill, expected):
    ingot.manual_seed(0)
    weight = ingot.empty(*MANY)
    assert fill(weight) is weight
    values = weight.numpy().astype(np.float64)
    low, high, deviation = expected
    assert abs(values.mean()) < 4 * deviation / 200
    assert values.std() == pytest.approx(deviation, rel=0.02)
    if low is not None:
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_every_dtype_can_be_drawn(dtype):
    for fill in (init.uniform_, init.normal_, init.trunc_normal_, init.kaiming_uniform_, init.orthogonal_):
        weight = fill(ingot.empty(40, 30, dtype=dtype))
        assert weight.dtype.name == dtype
        assert 0 < float(weight.to(ingot.float32).abs().max()) < 8


def test_parameters_are_filled_outside_of_the_gradient():
    p = ingot.nn.Parameter(ingot.zeros(3, 3))
    init.normal_(p)
    assert p.is_leaf
    assert p.requires_grad
    assert p.abs().sum().item() > 0


def test_draws_go_by_their_generator():
    a, b, c = (ingot.empty(5) for _ in range(3))
    ingot.manual_seed(1)
    init.normal_(a)
    ingot.manual_seed(1)
    init.normal_(b)
    init.normal_(c, generator=ingot.Generator().manual_seed(1))
    assert a.equal(b)
    ingot.rand(7)
    assert init.normal_(ingot.empty(5), generator=ingot.Generator().manual_seed(1)).equal(c)


def test_fixed_values():
    x = ingot.empty(2, 3)
    assert init.ones_(x).tolist() == [[1.0] * 3] * 2
    assert init.zeros_(x).tolist() == [[0.0] * 3] * 2
    assert init.constant_(x, 2.5).tolist() == [[2.5] * 3] * 2
    assert init.eye_(x).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


def test_dirac_hands_channels_through():
    weight = init.dirac_(ingot.empty(4, 2, 3, 3), groups=2)
    x = ingot.rand(1, 4, 5, 5)
    assert ingot.nn.functional.conv2d(x, weight, padding=1, groups=2).equal(x)


@pytest.mark.parametrize("sizes", [(5, 3), (3, 5), (4, 2, 3)])
def test_orthogonal_rows_or_columns(sizes):
    matrix = init.orthogonal_(ingot.empty(*sizes), gain=2.0).numpy().reshape(sizes[0], -1)
    small = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-5)


def test_quantiles_are_those_of_the_normal_distribution():
    shares = [1e-300, 1e-20, 1e-9, 0.001, 0.0749, 0.075, 0.2, 0.5, 0.9, 0.925, 0.99999, 1 - 1e-12]
    expected = [statistics.NormalDist().inv_cdf(p) for p in shares]
    np.testing.assert_allclose(normal_quantile(np.array(shares)), expected, rtol=1e-13)
    assert normal_quantile(np.array([0.0, 1.0])).tolist() == [-math.inf, math.inf]


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (lambda w: init.kaiming_uniform_(ingot.empty(3)), ShapeError, "fewer than two dimensions has no fans"),
        (lambda w: init.kaiming_uniform_(w, mode="fan"), ArgumentError, "mode is 'fan'"),
        (lambda w: init.kaiming_uniform_(w, nonlinearity="cube"), ArgumentError, "nonlinearity is 'cube'"),
        (lambda w: init.normal_(w, std=-1.0), ArgumentError, "std is -1.0"),
        (lambda w: init.trunc_normal_(w, a=1.0, b=0.0), ArgumentError, "out of range"),
        (lambda w: init.eye_(ingot.empty(3)), ShapeError, "not a matrix"),
        (lambda w: init.dirac_(w), ShapeError, "not the weight of a convolution"),
        (lambda w: init.orthogonal_(ingot.empty(3)), ShapeError, "fewer than two dimensions"),
    ],
)
def test_mistakes_are_named(call, kind, says):
    with pytest.raises(kind, match=says):
        call(ingot.empty(2, 3))
