"""Declared gradients against central differences in float64, first and second order; and explicit gradients of
composites against those of their decompositions."""

import dataclasses

import ingot.ir.ops  # noqa: F401
import numpy as np
import pytest
from agreement import difference
from finite_differences import (
    differentiable_inputs,
    first_order,
    numeric_first_order,
    numeric_second_order,
    second_order,
    seeds_for,
)
from ingot.ir.dtypes import float64
from ingot.ir.errors import GradientError
from ingot.ir.gradient import gradient_names
from ingot.ir.registry import NotDifferentiable, all_ops, lookup
from samples import Sample, samples

OPS = [op for op in all_ops() if op.kind != "prim" and op.name.startswith("ingot::")]
SMOOTH = [op for op in OPS if not isinstance(op.grad, NotDifferentiable) and op.short != "detach"]


def cases(op, rng):
    for sample in samples(op.name, rng, float64):
        if sample.smooth and (wanted := differentiable_inputs(op, sample)):
            yield sample, wanted


@pytest.mark.parametrize("op", SMOOTH, ids=lambda op: op.short)
def test_first_order(op, rng):
    for sample, wanted in cases(op, rng):
        seeds = seeds_for(op, sample, rng)
        found = first_order(op, sample, seeds, wanted)
        for i in wanted:
            grad = found.get(i, np.zeros(sample.inputs[i].shape))
            assert grad.shape == sample.inputs[i].shape and grad.dtype == sample.inputs[i].dtype
            error = difference(grad, numeric_first_order(op, sample, seeds, i))
            assert error < 2e-6, f"{op.short}({sample}): input {i} by {error:.3g}"


@pytest.mark.parametrize("op", SMOOTH, ids=lambda op: op.short)
def test_second_order(op, rng):
    for sample, wanted in cases(op, rng):
        seeds = seeds_for(op, sample, rng)
        weights = {i: rng.uniform(-1, 1, sample.inputs[i].shape) for i in wanted}
        by_input, by_seed = second_order(op, sample, seeds, weights, wanted)
        for i in wanted:
            error = difference(by_input[i], numeric_second_order(op, sample, seeds, weights, wanted, i))
            assert error < 2e-5, f"{op.short}({sample}): input {i} by {error:.3g}"
        _check_seeds(op, sample, seeds, weights, wanted, by_seed)


def _check_seeds(op, sample, seeds, weights, wanted, by_seed):
    """A gradient is linear in what flows back, so its derivative there is the gradient of a unit, exactly."""
    if not all(np.size(sample.inputs[i]) for i in wanted):
        return
    grads = first_order(op, sample, seeds, wanted)
    total = sum(float(np.sum(found * seeds[k])) for k, found in by_seed.items())
    expected = sum(float(np.sum(grads[i] * weight)) for i, weight in weights.items() if i in grads)
    assert abs(total - expected) <= 1e-9 * max(1.0, abs(expected)), f"{op.short}({sample})"


@pytest.mark.parametrize("op", [op for op in SMOOTH if op.kind == "composite" and op.grad], ids=lambda op: op.short)
def test_explicit_gradients_are_those_of_the_decomposition(op, rng):
    opened = dataclasses.replace(op, grad={})
    for sample, wanted in cases(op, rng):
        seeds = seeds_for(op, sample, rng)
        explicit = first_order(op, sample, seeds, wanted)
        derived = first_order(opened, sample, seeds, wanted)
        for i in wanted:
            assert difference(explicit[i], derived[i]) < 1e-10, f"{op.short}({sample}): input {i}"


@pytest.mark.parametrize("op", [op for op in OPS if isinstance(op.grad, NotDifferentiable)], ids=lambda op: op.short)
def test_missing_gradients_say_why(op):
    with pytest.raises(GradientError, match="has no gradient"):
        gradient_names(op, tuple(p.name for p in op.schema.inputs))


def test_products_with_several_zeros(rng):
    """The first derivative is exact there too."""
    x = rng.uniform(0.5, 2, (3, 4))
    x[0, 1] = x[1, 0] = x[1, 3] = 0
    for name, attrs in (("prod", {"dim": (1,)}), ("cumprod", {"dim": 1})):
        op = lookup(name)
        sample = Sample((x,), op.schema.check_attrs(attrs))
        seeds = seeds_for(op, sample, rng)
        found = first_order(op, sample, seeds, [0])[0]
        assert difference(found, numeric_first_order(op, sample, seeds, 0)) < 1e-6


def test_detach_stops_the_gradient(rng):
    op = lookup("detach")
    sample = Sample((rng.random(3),), {})
    assert first_order(op, sample, [np.ones(3)], [0]) == {}


def test_embedding_leaves_the_padding_row_alone(rng):
    op = lookup("embedding")
    ids = np.array([[0, 2], [2, 1]])
    for padding in (2, -2):
        sample = Sample((ids, rng.random((4, 3))), op.schema.check_attrs({"padding_idx": padding}))
        grad = first_order(op, sample, [np.ones((2, 2, 3))], [1])[1]
        np.testing.assert_array_equal(grad[:, 0], [1, 1, 0, 0])


def test_ties_share_the_gradient_as_in_pytorch():
    for name, x, expected in (
        ("amax", [1.0, 3.0, 3.0], [0, 0.5, 0.5]),
        ("amin", [1.0, 1.0, 3.0], [0.5, 0.5, 0]),
        ("max_dim", [1.0, 3.0, 3.0], [0, 1, 0]),
    ):
        op = lookup(name)
        attrs = op.schema.check_attrs({"dim": 0} if name == "max_dim" else {})
        seeds = [np.array(1.0), None][: len(op.schema.outputs)]
        found = first_order(op, Sample((np.array(x),), attrs), seeds, [0])[0]
        np.testing.assert_array_equal(found, expected)
    both = first_order(lookup("maximum"), Sample((np.array([2.0]), np.array([2.0]))), [np.ones(1)], [0, 1])
    assert both[0] == 0.5 and both[1] == 0.5
