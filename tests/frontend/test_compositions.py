"""Functions that are compositions of others: against NumPy, captured, and what random ones draw."""

from __future__ import annotations

import ingot
import numpy as np
import pytest
from ingot.ir.errors import ArgumentError


def test_nonzero_as_a_tuple():
    x = ingot.tensor([[0, 3], [4, 0]])
    assert [places.tolist() for places in x.nonzero(as_tuple=True)] == [[0, 1], [1, 0]]
    assert ingot.nonzero(x).tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("dim", [None, 0, 1, -1])
@pytest.mark.parametrize("repeats", [0, 1, 3])
def test_repeat_interleave_by_a_number(rng, dim, repeats):
    x = rng.standard_normal((2, 3))
    found = ingot.repeat_interleave(ingot.from_numpy(x), repeats, dim=dim)
    assert np.array_equal(found.numpy(), np.repeat(x, repeats, axis=dim))


@pytest.mark.parametrize(("dim", "repeats"), [(0, [2, 1]), (1, [0, 3, 1]), (0, [0, 0]), (1, [2])])
def test_repeat_interleave_by_a_tensor(rng, dim, repeats):
    x = rng.standard_normal((2, 3))
    scripted = ingot.jit.script(lambda x, r: x.repeat_interleave(r, dim))
    for call in (scripted.original, scripted):
        found = call(ingot.from_numpy(x), ingot.tensor(repeats))
        assert np.array_equal(found.numpy(), np.repeat(x, repeats, axis=dim))


def test_index_copy_and_index_fill():
    x, places = ingot.zeros(2, 4), ingot.tensor([3, 1])
    assert x.index_copy(1, places, ingot.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist() == [[0, 2, 0, 1], [0, 4, 0, 3]]
    assert x.index_fill(0, ingot.tensor([1]), 5.0).tolist() == [[0] * 4, [5] * 4]
    assert not x.any()
    assert x.index_fill_(-1, places, 1.0) is x and x.tolist() == [[0, 1, 0, 1]] * 2


def test_baddbmm_logaddexp_isin_diff_and_flips(rng):
    a, b, c = (rng.standard_normal(shape) for shape in ((2, 3, 5), (2, 3, 4), (2, 4, 5)))
    found = ingot.baddbmm(*map(ingot.from_numpy, (a, b, c)), beta=0.5, alpha=2)
    assert np.allclose(found.numpy(), 0.5 * a + 2 * (b @ c))
    inf = float("inf")
    x, y = [-inf, 1.0, inf, 800.0], [-inf, 2.0, inf, -inf]
    assert np.allclose(ingot.logaddexp(ingot.tensor(x), ingot.tensor(y)).numpy(), np.logaddexp(x, y))
    assert ingot.isin(ingot.tensor([1, 2, 3]), ingot.tensor([3, 1])).tolist() == [True, False, True]
    assert ingot.isin(ingot.tensor([1, 2, 3]), 2, invert=True).tolist() == [True, False, True]
    assert np.allclose(ingot.diff(ingot.from_numpy(a), n=2, dim=1).numpy(), np.diff(a, n=2, axis=1))
    assert np.array_equal(ingot.fliplr(ingot.from_numpy(a[0])).numpy(), np.fliplr(a[0]))
    assert np.array_equal(ingot.flipud(ingot.from_numpy(a[0])).numpy(), np.flipud(a[0]))


def test_assertions_as_calls():
    def checked(x, rows: int):
        ingot._assert(x.shape[0] == rows, f"not {rows} rows")
        ingot._assert(x.sum() > 0, "nothing above 0")
        return x * 2

    scripted = ingot.jit.script(checked)
    for call in (checked, scripted):
        assert ingot.equal(call(ingot.ones(2), 2), ingot.full((2,), 2.0))
        with pytest.raises(AssertionError, match="not 3 rows"):
            call(ingot.ones(2), 3)
        with pytest.raises(AssertionError, match="nothing above 0"):
            call(-ingot.ones(2), 2)


def test_limits_of_dtypes():
    for dtype in (ingot.float16, ingot.float32, ingot.float64):
        mine, other = ingot.finfo(dtype), np.finfo(dtype.np)
        assert (mine.min, mine.max, mine.eps, mine.tiny) == (other.min, other.max, other.eps, other.tiny)
        assert mine.bits == other.bits
    assert ingot.finfo(ingot.bfloat16).eps == 2.0**-7 and ingot.finfo().dtype == "float32"
    for dtype in (ingot.uint8, ingot.int8, ingot.int64):
        mine, other = ingot.iinfo(dtype), np.iinfo(dtype.np)
        assert (mine.min, mine.max, mine.bits) == (other.min, other.max, other.bits)
    with pytest.raises(ArgumentError, match="a floating-point dtype"):
        ingot.finfo(ingot.int32)
    with pytest.raises(ArgumentError, match="an integer dtype"):
        ingot.iinfo(ingot.float32)


def test_filling_in_place_with_draws():
    ingot.manual_seed(0)
    n = 20_000
    x = ingot.empty(n).uniform_(2.0, 4.0)
    assert x.min() >= 2.0 and x.max() < 4.0 and abs(x.mean().item() - 3.0) < 0.02
    x.normal_(1.0, 0.5)
    assert abs(x.mean().item() - 1.0) < 0.02 and abs(x.std().item() - 0.5) < 0.02
    x.exponential_(2.0)
    assert x.min() > 0 and abs(x.mean().item() - 0.5) < 0.02
    x.bernoulli_(0.25)
    assert ((x == 0) | (x == 1)).all() and abs(x.mean().item() - 0.25) < 0.02
    half = ingot.empty(4, dtype=ingot.float16)
    assert half.normal_() is half and half.dtype is ingot.float16
    assert ingot.normal(5.0, 0.0, (2,)).tolist() == [5.0, 5.0]
    assert ingot.normal(ingot.tensor([1.0, 9.0]), 0.0).tolist() == [1.0, 9.0]
    with pytest.raises(ArgumentError, match="how many numbers"):
        ingot.normal(0.0, 1.0)


def test_filling_a_leaf_that_requires_a_gradient_is_refused():
    with pytest.raises(ingot.jit.Error, match="a leaf that requires a gradient"):
        ingot.ones(2, requires_grad=True).uniform_()


def test_multinomial_draws_by_weight():
    ingot.manual_seed(0)
    weights = ingot.tensor([1.0, 0.0, 6.0, 3.0])
    many = ingot.multinomial(weights, 20_000, replacement=True)
    shares = ingot.nn.functional.one_hot(many, 4).to(ingot.float32).mean(0)
    assert ingot.allclose(shares, weights / 10, atol=0.02) and shares[1] == 0
    each = ingot.multinomial(ingot.ones(3, 5), 5)
    assert each.sort(-1)[0].tolist() == [[0, 1, 2, 3, 4]] * 3
    assert ingot.multinomial(ingot.ones(2, 3), 7, replacement=True).shape == (2, 7)
    with pytest.raises(ArgumentError, match="one dimension or two"):
        ingot.multinomial(ingot.ones(1, 1, 1), 1)


def test_sampling_in_a_captured_loop_draws_what_python_draws():
    def sampled(logits, n: int, temperature: float):
        out = ingot.zeros(0, dtype=ingot.int64)
        for _ in range(n):
            token = ingot.multinomial((logits / temperature).softmax(-1), 1)
            out = ingot.cat([out, token])
            logits = logits.roll(1) + token
        return out

    scripted, logits = ingot.jit.script(sampled), ingot.tensor([0.1, 0.7, -0.3, 0.4])
    for n, temperature in ((5, 0.7), (9, 2.0), (0, 1.0)):
        ingot.manual_seed(n)
        wanted = [sampled(logits, n, temperature) for _ in range(2)]
        ingot.manual_seed(n)
        assert all(ingot.equal(scripted(logits, n, temperature), x) for x in wanted)
