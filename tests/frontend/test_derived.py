"""Functions of PyTorch's names that are several ops, and what is said about names that are not there."""

import ingot
import numpy as np
import pytest
from ingot.ir.errors import ArgumentError, ShapeError


@pytest.fixture
def x():
    return ingot.tensor([[3.0, 1.0, 2.0], [-1.0, 5.0, 0.5]])


def test_values_and_indices_have_names(x):
    for found in (x.max(1), x.min(dim=0), x.sort(descending=True), x.topk(2), ingot.max(x, 1)):
        values, indices = found
        assert found.values is values
        assert found.indices is indices
    assert x.max(1).values.tolist() == [3.0, 5.0]


@pytest.mark.parametrize("p", ["fro", 1, 2, 3, 0, float("inf"), float("-inf")])
def test_norms_agree_with_numpy(x, p):
    order = 2 if p == "fro" else p
    np.testing.assert_allclose(x.norm(p).item(), np.linalg.norm(x.numpy().ravel(), order), rtol=1e-6)
    np.testing.assert_allclose(x.norm(p, dim=1).numpy(), np.linalg.norm(x.numpy(), order, axis=1), rtol=1e-6)
    assert x.norm(p, dim=-1, keepdim=True).shape == (2, 1)


def test_matrix_products_insist_on_their_dimensions(x):
    v = ingot.tensor([1.0, 2.0, 3.0])
    assert x.mm(x.T).shape == (2, 2)
    assert x.mv(v).tolist() == (x @ v).tolist()
    assert v.dot(v).item() == 14.0
    assert ingot.addmm(ingot.ones(2, 2), x, x.T, alpha=0).tolist() == [[1.0, 1.0], [1.0, 1.0]]
    with pytest.raises(ShapeError, match=r"mm: the operands[\s\S]*2 and 1[\s\S]*test_derived.py"):
        x.mm(v)


def test_division_rounds_as_asked():
    a, b = ingot.tensor([7, -7]), ingot.tensor([2, 2])
    assert a.div(b).tolist() == [3.5, -3.5]
    assert a.div(b, rounding_mode="floor").tolist() == [3, -4]
    assert a.div(b, rounding_mode="trunc").tolist() == [3, -3]
    assert a.div(b, rounding_mode="trunc").dtype is ingot.int64
    with pytest.raises(ArgumentError, match="'up'"):
        a.div(b, rounding_mode="up")


def test_spread_without_bias(x):
    assert x.var(0, unbiased=False).tolist() == x.var(0, correction=0).tolist() == [4.0, 4.0, 0.5625]
    assert x.std(False).item() == pytest.approx(np.std(x.numpy()))


def test_rearranging(x):
    assert x.narrow(1, 1, 2).tolist() == [[1.0, 2.0], [5.0, 0.5]]
    with pytest.raises(ShapeError, match="narrow"):
        x.narrow(1, 2, 2)
    assert x.unflatten(1, (3, 1)).shape == (2, 3, 1)
    assert ingot.zeros(2, 3, 4).movedim(0, -1).shape == (3, 4, 2)
    assert ingot.vstack([x, x[0]]).shape == (3, 3)
    assert ingot.hstack([x, x]).shape == (2, 6)
    rows, columns = ingot.meshgrid(ingot.arange(2), ingot.arange(3), indexing="ij")
    assert rows.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert columns.tolist() == [[0, 1, 2]] * 2
    assert ingot.diag(ingot.tensor([1.0, 2.0])).diag().tolist() == [1.0, 2.0]
    assert x.trace().item() == 8.0


def test_contiguous_copies_only_where_it_must(x):
    assert x.contiguous() is x
    turned = x.t().contiguous()
    assert turned.is_contiguous()
    turned.zero_()
    assert x[0, 0].item() == 3.0


def test_choosing(x):
    rows, columns = ingot.where(x > 2)
    assert rows.tolist() == [0, 1]
    assert columns.tolist() == [0, 1]
    assert x.masked_select(x > 2).tolist() == [3.0, 5.0]
    assert ingot.zeros(2, 3).scatter_(1, ingot.tensor([[0], [1]]), 1.0).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    assert ingot.isclose(ingot.tensor([1.0, np.inf, np.nan]), ingot.tensor([1.0, np.inf, np.nan])).tolist() == [
        True, True, False
    ]  # fmt: skip


def test_creation(x):
    assert ingot.eye(2).dtype is ingot.float32
    assert ingot.linspace(0, 1, 3).tolist() == [0.0, 0.5, 1.0]
    assert ingot.arange(end=2).tolist() == [0, 1]
    assert x.new_full((2,), 3).dtype is ingot.float32
    assert ingot.tensor([ingot.tensor(1.0), 2.0]).dtype is ingot.float32


def test_a_missing_name_is_told_with_a_close_one(x):
    with pytest.raises(AttributeError, match="did you mean 'softmax'"):
        ingot.sofmax  # noqa: B018
    with pytest.raises(AttributeError, match="'sofmax'") as caught:
        x.sofmax  # noqa: B018
    assert caught.value.name == "sofmax"
    assert "softmax" in dir(x)


def test_sizes_stay_sizes(x):
    assert x.shape[:1].numel() == 2
    assert isinstance(x.shape + (1,), ingot.Size)  # noqa: RUF005  (this is what is tested)
