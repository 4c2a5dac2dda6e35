"""`einsum`: equations against NumPy's, refusals, captured with dynamic sizes."""

from __future__ import annotations

import ingot
import numpy as np
import pytest
from ingot.ir.errors import ArgumentError, ShapeError

_SIZES = {"a": 2, "b": 3, "c": 4, "d": 5, "i": 3, "j": 4, "k": 2, "h": 2, "q": 3}


def _operand(rng, term):
    shape = [_SIZES[letter] for letter in term.replace("...", "")]
    at = term.find("...")
    return rng.standard_normal(shape if at < 0 else [*shape[:at], 2, 3, *shape[at:]])


@pytest.mark.parametrize(
    "equation",
    [
        "ij,jk->ik", "bij,bjk->bik", "ij->ji", "ij->", "ii->i", "ii", "bii->bi", "iij,jk->ik", "i,j->ij", "ij,ij->ij",
        "ij,ij->", "bhqd,bhkd->bhqk", "...ij,...jk->...ik", "...i->...", "...,...->...", "ij,jk,kd->id", "a,b,c->cba",
        "ij,j", "ji,jk", "bqh...,bk->qk...", "ijk,ijk->i", "abc,cd,db->a", " i j , j k -> i k ",
    ],
)  # fmt: skip
def test_equations(rng, equation):
    terms = equation.replace(" ", "").split("->")[0].split(",")
    operands = [_operand(rng, term) for term in terms]
    found = ingot.einsum(equation, *map(ingot.from_numpy, operands))
    assert np.allclose(found.numpy(), np.einsum(equation, *operands))
    assert np.allclose(ingot.einsum(equation, list(map(ingot.from_numpy, operands))).numpy(), found.numpy())


def test_a_dimension_of_size_one_broadcasts(rng):
    a, b = rng.standard_normal((1, 4)), rng.standard_normal((3, 4))
    for x, y in ((a, b), (b, a)):
        found = ingot.einsum("ij,ij->i", ingot.from_numpy(x), ingot.from_numpy(y))
        assert np.allclose(found.numpy(), (a * b).sum(1))


def test_a_diagonal_does_not_see_nan_beside_it():
    assert ingot.einsum("ii->i", ingot.tensor([[1.0, float("nan")], [float("inf"), 2.0]])).tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("equation", "shapes", "error"),
    [
        ("ij,jk", [(2, 3)], "1 operands"),
        ("ij->k", [(2, 3)], "letters of the operands"),
        ("ij->ii", [(2, 3)], "each once"),
        ("i->i", [(2, 3)], "2 dimensions"),
        ("i.j->i", [(2, 3)], "letters, commas"),
    ],
)
def test_equations_that_do_not_fit(equation, shapes, error):
    with pytest.raises(ArgumentError, match=error):
        ingot.einsum(equation, *[ingot.ones(*shape) for shape in shapes])


def test_a_letter_of_two_sizes():
    with pytest.raises(ShapeError, match="'j' stands for two sizes"):
        ingot.einsum("ij,jk->ik", ingot.ones(2, 3), ingot.ones(4, 2))


def test_captured_with_dynamic_sizes(rng):
    def attention(q, k, v):
        weights = ingot.einsum("bhqd,bhkd->bhqk", q, k).softmax(-1)
        return ingot.einsum("bhqk,bhkd->bqhd", weights, v)

    shapes = ({0: "b", 2: "q"}, {0: "b", 2: "k"}, {0: "b", 2: "k"})
    program = ingot.jit.trace(attention, tuple(ingot.ones(2, 2, n, 4) for n in (3, 5, 5)), dynamic_shapes=shapes)
    for b, q, k in ((1, 7, 2), (3, 1, 1), (2, 4, 9)):
        given = [ingot.from_numpy(rng.standard_normal((b, 2, n, 4)).astype(np.float32)) for n in (q, k, k)]
        assert ingot.allclose(program(*given), attention(*given), atol=1e-6)


def test_gradients(rng):
    x = ingot.from_numpy(rng.standard_normal((2, 3, 3))).requires_grad_()
    y = ingot.from_numpy(rng.standard_normal((3, 4))).requires_grad_()
    assert ingot.autograd.gradcheck(lambda x, y: ingot.einsum("bii,ij->bj", x, y), (x, y))
