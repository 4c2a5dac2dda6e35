"""Kernels against definitions: the quick kernel gives what the nest or the decomposition gives, in every layout, and
keeps its promises about `out`, `scratch`, views and operands."""

import ingot.ir.ops  # noqa: F401
import numpy as np
import pytest
from agreement import disagreement
from ingot.ir.algebra import RAW, Proxy, type_of
from ingot.ir.dtypes import float32
from ingot.ir.ops.convolution_kernels import BLOCK
from ingot.ir.registry import all_ops, lookup
from ingot.ir.types import TensorType
from samples import DTYPES, samples

OPS = [op for op in all_ops() if op.kind != "prim" and op.name.startswith("ingot::")]


def as_tuple(result):
    return result if isinstance(result, tuple) else (result,)


def copies(inputs):
    return [x.copy() if isinstance(x, np.ndarray) else x for x in inputs]


@pytest.mark.parametrize("op", [op for op in OPS if "reference" in op.extras], ids=lambda op: op.short)
def test_the_kernel_gives_what_the_definition_gives(op, rng):
    for dtype in DTYPES:
        for sample in samples(op.name, rng, dtype):
            found = as_tuple(op.kernel(*sample.inputs, **sample.attrs))
            expected = as_tuple(op.extras["reference"](*sample.inputs, **sample.attrs))
            for a, b in zip(found, expected, strict=True):
                assert (wrong := disagreement(a, b)) is None, f"{op.short}({sample}): {wrong}"


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.short)
def test_operands_stay_and_results_are_fresh(op, rng):
    """No kernel changes its operands, and none but a view's hands out their memory."""
    for dtype in DTYPES:
        for sample in samples(op.name, rng, dtype):
            before = copies(sample.inputs)
            found = as_tuple(op.kernel(*sample.inputs, **sample.attrs))
            for x, kept in zip(sample.inputs, before, strict=True):
                if not isinstance(x, np.ndarray):
                    continue
                np.testing.assert_array_equal(x, kept, err_msg=f"{op.short}({sample}) changed an operand")
                if not op.view:
                    shared = any(np.shares_memory(x, y) for y in found)
                    assert not shared, f"{op.short}({sample}) returns an operand's memory"


@pytest.mark.parametrize("op", [op for op in OPS if op.fast and not op.view], ids=lambda op: op.short)
def test_quick_kernels_write_where_they_are_told(op, rng):
    for dtype in DTYPES:
        for sample in samples(op.name, rng, dtype):
            expected = as_tuple(op.kernel(*sample.inputs, **sample.attrs))
            # Whatever lies in the memory must not show.
            out = tuple(np.full(y.shape, _debris(y.dtype), y.dtype) for y in expected)
            types = [type_of(x) for x in sample.inputs]
            scratch = None
            if op.scratch is not None:
                scratch = tuple(
                    np.full(t.sizes, _debris(t.dtype.np), t.dtype.np) for t in op.scratch(types, sample.attrs)
                )
            single = len(out) == 1
            with np.errstate(all="ignore"):
                found = op.fast(np, *sample.inputs, **sample.attrs, out=out[0] if single else out, scratch=scratch)
            for got, target, wanted in zip(as_tuple(found), out, expected, strict=True):
                assert got is target or np.shares_memory(got, target) or not target.size, f"{op.short}({sample})"
                assert (wrong := disagreement(target, wanted)) is None, f"{op.short}({sample}): {wrong}"


@pytest.mark.parametrize("op", [op for op in OPS if op.scratch], ids=lambda op: op.short)
def test_results_outlive_the_memory_that_is_used_again(op, rng):
    for sample in samples(op.name, rng, float32):
        first = op.kernel(*sample.inputs, **sample.attrs)
        kept = first.copy()
        op.kernel(*[x * 2 if isinstance(x, np.ndarray) else x for x in sample.inputs], **sample.attrs)
        np.testing.assert_array_equal(first, kept)


LARGE = [
    ("layer_norm", [(64, 128), (128,), (128,)], {"normalized_shape": 128}),
    ("layer_norm_grad", [(64, 128), (64, 128), (128,)], {"normalized_shape": 128, "eps": 1e-5}),
    ("softmax", [(40, 200)], {"dim": 1}),
    ("sum", [(16, 8, 5, 5)], {"dim": (0, 2, 3)}),
    ("sum", [(70, 3, 4)], {"dim": (2, 1), "keepdim": True}),
    ("batch_norm_training", [(32, 6, 5, 5), (6,), (6,)], {}),
    ("max_pool2d", [(8, 4, 20, 20)], {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("matmul", [(6, 30, 40), (40, 20)], {}),
    ("linear", [(6, 30, 40), (20, 40), (20,)], {}),
    ("where", [(50, 60), (50, 60)], {}),
]


@pytest.mark.parametrize(("name", "sizes", "attrs"), LARGE, ids=[name for name, _, _ in LARGE])
def test_kernels_that_go_another_way_with_size(name, sizes, attrs, rng):
    op = lookup(name)
    inputs = [rng.standard_normal(size).astype(np.float32) for size in sizes]
    if name == "where":
        found = op.kernel(inputs[0] > 0, inputs[0], inputs[1])
        np.testing.assert_array_equal(found, np.where(inputs[0] > 0, inputs[0], inputs[1]))
        return
    full = op.schema.check_attrs(attrs)
    found, expected = as_tuple(op.kernel(*inputs, **full)), as_tuple(op.extras["reference"](*inputs, **full))
    for a, b in zip(found, expected, strict=True):
        assert (wrong := disagreement(a, b)) is None, wrong


def test_convolutions_of_many_images_are_taken_in_blocks(rng):
    """More windows than fit into one block: the same as image by image."""
    x = rng.standard_normal((40, 8, 20, 20), np.float32)
    w = rng.standard_normal((4, 8, 5, 5), np.float32)
    assert x[0, 0].size * w[0].size * len(x) > 2 * BLOCK
    for stride in (1, 2):
        attrs = lookup("conv2d").schema.check_attrs({"padding": 2, "stride": stride})
        whole = lookup("conv2d").kernel(x, w, None, **attrs)
        parts = [lookup("conv2d").kernel(x[i : i + 1], w, None, **attrs) for i in range(len(x))]
        assert disagreement(whole, np.concatenate(parts)) is None
        g = rng.standard_normal(whole.shape, np.float32)
        found = lookup("conv2d_weight_grad").kernel(g, x, kernel_size=(5, 5), **attrs)
        each = [
            lookup("conv2d_weight_grad").kernel(g[i : i + 1], x[i : i + 1], kernel_size=(5, 5), **attrs)
            for i in range(len(x))
        ]
        assert disagreement(found, np.sum(each, axis=0, dtype=np.float32), 1e-4) is None
        found = lookup("conv2d_input_grad").kernel(g, w, input_size=x.shape, **attrs)
        one = lookup("conv2d_input_grad").kernel(g[-1:], w, input_size=(1, *x.shape[1:]), **attrs)
        assert disagreement(found[-1:], one, 1e-4) is None


def _debris(dtype):
    return np.nan if dtype.kind in "fV" else 1 if dtype.kind == "b" else 77


@pytest.mark.parametrize("op", [op for op in OPS if op.view and op.inverse], ids=lambda op: op.short)
def test_inverses_of_views_write_back(op, rng):
    """Writing the changed view back through the inverse gives what writing into shared memory gives."""
    for sample in samples(op.name, rng, float32):
        base = np.array(sample.inputs[0], order="C")
        view = op.kernel(base, **sample.attrs)
        assert np.shares_memory(view, base) or not view.size, f"{op.short}({sample}) is a copy"
        new = rng.random(view.shape, np.float32)
        before = base.copy()
        functional = op.inverse(RAW, Proxy(RAW, before, None), Proxy(RAW, new, None), **sample.attrs).value
        view[...] = new
        np.testing.assert_array_equal(functional, base)


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.short)
def test_results_are_arrays_of_the_inferred_types(op, rng):
    for dtype in DTYPES:
        for sample in samples(op.name, rng, dtype):
            found = as_tuple(op.kernel(*sample.inputs, **sample.attrs))
            types = op.infer([type_of(x) for x in sample.inputs], sample.attrs)
            assert len(found) == len(types)
            for array, type_ in zip(found, types, strict=True):
                assert isinstance(array, np.ndarray), f"{op.short}({sample}) gives {type(array)}"
                if op.extras.get("binds_sizes"):
                    assert isinstance(type_, TensorType) and len(type_.sizes) == array.ndim
                    continue
                assert type_of(array) == type_, f"{op.short}({sample})"
