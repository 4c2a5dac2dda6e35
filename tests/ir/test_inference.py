"""What type rules find is remembered: once without size variables or a context, else once in each context."""

import pytest
from ingot.ir.dtypes import bool_, float32
from ingot.ir.families import opaque
from ingot.ir.registry import unregister
from ingot.ir.sizes import AssumingContext, SizeContext, SizeRelation, equal, use_context, var
from ingot.ir.types import TensorType


@pytest.fixture
def rule():
    """A type rule that asks whether the size is even, and the types that it ran for."""
    ran = []

    def infer(types, attrs):
        ran.append(types)
        (x,) = types
        return (TensorType(float32 if equal(x.sizes[0] % 2, 0) else bool_, x.sizes),)

    op = opaque("inference_test::halves(x: Tensor) -> Tensor", infer=infer, kernel=lambda x: x)
    yield op.infer, ran
    unregister(op.name)


def dtype(infer, size):
    (found,) = infer([TensorType(float32, (size,))], {})
    return found.dtype


def test_without_size_variables_no_context_matters(rule):
    infer, ran = rule
    assert dtype(infer, 4) is float32
    with use_context(SizeContext()):
        assert dtype(infer, 4) is float32
    assert len(ran) == 1


def test_each_context_has_answers_of_its_own(rule):
    infer, ran = rule
    n = var("n")
    even = SizeContext([SizeRelation("==", n % 2, 0)])
    assert dtype(infer, n) is bool_  # unknown
    for _ in range(3):
        with use_context(even):
            assert dtype(infer, n) is float32
        with use_context(SizeContext()):
            assert dtype(infer, n) is bool_
        assert dtype(infer, n) is bool_
    assert len(ran) == 1 + 1 + 3  # without a context, in the even one, and in three new ones


def test_what_a_context_assumes_it_assumes_once(rule):
    infer, ran = rule
    assumed = []
    context = AssumingContext({"n": 6, "m": 5}, assumed.append)
    with use_context(context):
        for _ in range(3):
            assert dtype(infer, var("n")) is float32
            assert dtype(infer, var("m")) is bool_
    assert [str(relation) for relation in assumed] == ["n % 2 == 0", "m % 2 != 0"]
    assert len(ran) == 2


def test_bounds_tell_variables_of_one_name_apart(rule):
    infer, ran = rule
    context = SizeContext()
    with use_context(context):
        dtype(infer, var("n"))
        dtype(infer, var("n", lo=3))
        dtype(infer, var("n"))
    assert len(ran) == 2
