"""Type rules, gradients and scratch memory over symbolic sizes: what comes out, with example values put in, is what
comes out for those values."""

import ingot.ir.ops  # noqa: F401
import numpy as np
import pytest
from finite_differences import is_float
from ingot.ir.algebra import TYPES, Proxy, type_of
from ingot.ir.dtypes import float64, int64
from ingot.ir.errors import ShapeError
from ingot.ir.gradient import input_gradients
from ingot.ir.registry import NotDifferentiable, all_ops, lookup
from ingot.ir.sizes import AssumingContext, SizeExpr, evaluate, use_context, var
from ingot.ir.types import TensorType
from samples import samples

OPS = [op for op in all_ops() if op.kind != "prim" and op.name.startswith("ingot::")]


def symbolic(value):
    """The type of an operand with a variable for every size from 2 up: one variable for each number."""
    type_ = type_of(value)
    if not isinstance(type_, TensorType):
        return type_
    return type_.with_(sizes=tuple(_variable(size) if size >= 2 else size for size in type_.sizes))


def _variable(size):
    return var(f"n{size}", lo=1)


HINTS = {f"n{size}": size for size in range(2, 200)}


def put_in(type_):
    if not isinstance(type_, TensorType):
        return type_
    return type_.with_(sizes=tuple(evaluate(size, HINTS) for size in type_.sizes))


def cases(op, rng):
    for dtype in (float64, int64):
        yield from samples(op.name, rng, dtype)


def context():
    return AssumingContext(HINTS, lambda relation: None)


@pytest.mark.parametrize("op", [op for op in OPS if not op.extras.get("binds_sizes")], ids=lambda op: op.short)
def test_type_rules(op, rng):
    for sample in cases(op, rng):
        expected = op.infer([type_of(x) for x in sample.inputs], sample.attrs)
        with use_context(context()):
            found = op.infer([symbolic(x) for x in sample.inputs], sample.attrs)
        assert tuple(map(put_in, found)) == tuple(expected), f"{op.short}({sample})"


@pytest.mark.parametrize(
    "op",
    [op for op in OPS if not isinstance(op.grad, NotDifferentiable) and op.short != "detach"],
    ids=lambda op: op.short,
)
def test_gradients_have_the_types_of_their_inputs(op, rng):
    for sample in samples(op.name, rng, float64):
        types = [symbolic(x) for x in sample.inputs]
        with use_context(context()):
            outputs = op.infer(types, sample.attrs)
            inputs = [
                Proxy(TYPES, None, t) if not isinstance(x, (int, float, type(None))) else x
                for x, t in zip(sample.inputs, types, strict=True)
            ]
            results = tuple(Proxy(TYPES, None, t) for t in outputs)
            saved = dict(zip([p.name for p in op.schema.inputs], op.schema.unflatten(inputs), strict=True))
            saved["y"] = results[0] if len(results) == 1 else results
            seeds = [y if y.dtype is float64 else None for y in results]
            if all(seed is None for seed in seeds):
                continue
            wanted = [i for i, x in enumerate(sample.inputs) if is_float(x)]
            found = input_gradients(TYPES, op, wanted, seeds, saved, types, outputs, sample.attrs)
        for i, grad in found.items():
            assert put_in(grad.type) == type_of(sample.inputs[i]), f"{op.short}({sample}): input {i}"


@pytest.mark.parametrize("op", [op for op in OPS if op.scratch], ids=lambda op: op.short)
def test_scratch_memory(op, rng):
    for sample in samples(op.name, rng, float64):
        expected = op.scratch([type_of(x) for x in sample.inputs], sample.attrs)
        found = op.scratch([symbolic(x) for x in sample.inputs], sample.attrs)
        if not found and op.short == "conv2d_input_grad":
            continue  # which way it goes depends on the filters' sizes, and it can do without
        assert tuple(map(put_in, found)) == tuple(expected)


# What traced programs with a dynamic batch (B) and length (T) meet, without any assumption.
B, T = var("B", lo=1), var("T", lo=1)


def f32(*sizes):
    return TensorType(lookup_dtype("float32"), sizes)


def lookup_dtype(name):
    from ingot.ir.dtypes import DType

    return DType.of(name)


BATCHED = [
    ("linear", [f32(B, 784), f32(128, 784), f32(128)], {}, "f32[B, 128]"),
    ("linear", [f32(B, T, 8), f32(4, 8), f32(4)], {}, "f32[B, T, 4]"),
    ("matmul", [f32(B, T, 8), f32(8, 3)], {}, "f32[B, T, 3]"),
    ("matmul", [f32(B, 1, T, 8), f32(4, 8, T)], {}, "f32[B, 4, T, T]"),
    ("conv2d", [f32(B, 1, 8, 8), f32(16, 1, 3, 3), f32(16)], {"padding": 1}, "f32[B, 16, 8, 8]"),
    ("conv2d", [f32(B, 1, T + 2, 8), f32(16, 1, 3, 3), f32(16)], {}, "f32[B, 16, T, 6]"),
    ("max_pool2d", [f32(B, 16, 8, 8)], {"kernel_size": 2}, "f32[B, 16, 4, 4]"),
    ("avg_pool2d", [f32(B, 16, 2 * T, 8)], {"kernel_size": 2}, "f32[B, 16, T, 4]"),
    ("adaptive_avg_pool2d", [f32(B, 16, T, 8)], {"output_size": 1}, "f32[B, 16, 1, 1]"),
    ("batch_norm_inference", [f32(B, 3, 4, 4)] + [f32(3)] * 4, {}, "f32[B, 3, 4, 4]"),
    ("layer_norm", [f32(B, T, 8), f32(8), f32(8)], {"normalized_shape": 8}, "f32[B, T, 8]"),
    ("softmax", [f32(B, T, T)], {"dim": -1}, "f32[B, T, T]"),
    ("cross_entropy", [f32(B, 10), TensorType(int64, (B,)), None], {}, "f32[]"),
    ("embedding", [TensorType(int64, (B, T)), f32(100, 8)], {}, "f32[B, T, 8]"),
    ("reshape", [f32(B, 16, 4)], {"shape": (B, -1)}, "f32[B, 64]"),
    ("reshape", [f32(B, T, 8)], {"shape": (-1, 8)}, "f32[B*T, 8]"),
    ("reshape", [f32(B, T, 8)], {"shape": (B, T, 2, 4)}, "f32[B, T, 2, 4]"),
    ("permute", [f32(B, T, 8)], {"dims": (1, 0, 2)}, "f32[T, B, 8]"),
    ("cat", [f32(B, 3), f32(T, 3)], {"dim": 0}, "f32[B + T, 3]"),
    ("slice", [f32(B, T + 1)], {"dim": 1, "start": 1}, "f32[B, T]"),
    ("slice", [f32(B, T)], {"dim": 1, "end": 3}, "f32[B, min(T, 3)]"),
    ("select", [f32(B, T, 8)], {"dim": 1, "index": -1}, "f32[B, 8]"),
    ("expand", [f32(1, 8)], {"size": (B, -1)}, "f32[B, 8]"),
    ("sum", [f32(B, T)], {"dim": 1, "keepdim": True}, "f32[B, 1]"),
    ("mean", [f32(B, T)], {}, "f32[]"),
    ("arange", [], {"start": 0, "end": T, "step": 1, "dtype": "int64"}, "i64[T]"),
    ("full", [], {"size": (B, T), "value": 0, "dtype": "float32"}, "f32[B, T]"),
    ("add", [f32(B, T, 8), f32(8)], {}, "f32[B, T, 8]"),
    ("where", [TensorType(lookup_dtype("bool"), (T, T)), f32(B, T, T), f32()], {}, "f32[B, T, T]"),
]


@pytest.mark.parametrize(("name", "types", "attrs", "expected"), BATCHED, ids=lambda x: x if isinstance(x, str) else "")
def test_dynamic_batches_need_no_assumptions(name, types, attrs, expected):
    op = lookup(name)
    from ingot.ir.types import NONE

    count = len(op.schema.inputs)
    operands = [NONE if t is None else t for t in types]
    if op.schema.variadic is None:
        operands += [NONE] * (count - len(operands))
    (found,) = op.infer(operands, op.schema.check_attrs(attrs))
    assert str(found) == expected


def test_unknown_sizes_are_refused_by_name():
    with pytest.raises(
        ShapeError, match=r"linear: inner sizes differ\n.*input.size\(-1\) == weight.size\(-1\)\n.*T != 784"
    ):
        lookup("linear").infer([f32(B, T), f32(128, 784), f32(128)], {})
    with pytest.raises(ShapeError, match="sizes do not broadcast"):
        lookup("add").infer([f32(B), f32(T)], {})
    with pytest.raises(ShapeError, match="reshape: shape has another number of elements"):
        lookup("reshape").infer([f32(B, 3)], {"shape": (B, 4)})


def test_assumptions_are_recorded_where_they_are_needed():
    assumed = []
    with use_context(AssumingContext({"B": 6}, assumed.append)):
        (found,) = lookup("reshape").infer([f32(B, 3)], {"shape": (-1, 9)})
    assert str(found) == "f32[B//3, 9]" and [str(relation) for relation in assumed] == ["3*(B % 3) == 0"]


def test_nonzero_binds_a_fresh_size():
    op = lookup("nonzero")
    first, second = (op.infer([f32(B, T)], {})[0] for _ in range(2))
    assert isinstance(first.sizes[0], SizeExpr) and first.sizes[0] != second.sizes[0]
    assert first.sizes[1] == 2 and first.dtype is int64


def test_constants_of_sizes_reach_the_result(rng):
    """A mean divides by a size that is known at run time only."""
    x = rng.random((3, 5))
    found = lookup("mean").kernel(x, dim=(1,), keepdim=False, dtype=None)
    np.testing.assert_allclose(found, x.mean(1))
