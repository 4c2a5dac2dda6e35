"""Every op's ONNX form gives what its kernel gives, in every opset that is written and for every dtype."""

import ingot.ir.ops  # noqa: F401
import numpy as np
import pytest
from agreement import disagreement
from ingot.ir.dtypes import DType, bool_, float16, float32, float64, int32, int64
from ingot.ir.errors import ExportError, ShapeError
from ingot.ir.registry import NotExportable, all_ops
from ingot.serialize.onnx import to_model
from onnx_runs import calls, run
from samples import DTYPES, samples

KEYS = {"key_words", "key_of"}  # ONNX knows no keys
OPS = [op for op in all_ops() if op.kind != "prim" and op.name.startswith("ingot::") and not op.random]
OPS = [op for op in OPS if op.short not in KEYS]
COMMON = (float32, float64, float16, int64, bool_)
OPSETS = (13, 17, 18, 21)
# ONNX has no expm1 and log1p, so that digits are lost near 0, and runtimes choose their own approximations.
TOLERANCE = {"float64": 1e-4, "float32": 1e-4, "float16": 5e-3, "bfloat16": 4e-2}

WITHOUT = {"conv2d_weight_grad", "sum_pool2d_grad", "max_pool2d_place", *KEYS}
INTEGERS = {"sum_pool2d", "max_pool2d", "max_pool2d_with_indices"}  # ONNX pools floats, and small integers by maximum
BITS = {"bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not"}
ADDING = {"scatter_add", "index_add", "index_put", "embedding_grad", "max_pool2d_grad"}
# What neither ONNX Runtime nor ONNX's reference can run, for want of a kernel in the dtype or a case of it.
UNRUN = {"conv2d_input_grad", "pad", "gather", "cumprod"}


def may_be_refused(op, dtype: DType, opset: int) -> bool:
    """Whether ONNX cannot express an op in a dtype and opset."""
    return (
        op.short in WITHOUT
        or (op.short in INTEGERS and dtype.kind != "float")
        or (op.short in BITS and opset < 18)
        or (op.short in ADDING and opset < 16)
    )


def kernel_results(op, sample) -> list[np.ndarray]:
    with np.errstate(all="ignore"):
        found = op.kernel(*sample.inputs, **sample.attrs)
    return list(found) if isinstance(found, tuple) else [found]


def onnx_results(op, group, opset: int, symbolic: bool = False) -> list[np.ndarray]:
    program, feeds = calls(op.name, group, symbolic)
    return run(to_model(program, opset_version=opset), feeds)[0]


def compare(op, group, opset: int, dtype: DType) -> None:
    """All calls in one model; call by call where that cannot be exported or run as a whole."""
    try:
        found = onnx_results(op, group, opset)
    except Exception:
        if len(group) == 1:
            raise
        for sample in group:
            compare_one(op, sample, opset, dtype)
        return
    expected = [array for sample in group for array in kernel_results(op, sample)]
    agree(op, group, found, expected)


def compare_one(op, sample, opset: int, dtype: DType) -> None:
    try:
        found = onnx_results(op, [sample], opset)
    except ExportError:
        assert may_be_refused(op, dtype, opset), f"{op.short}({sample}) has no ONNX form"
        return
    except Exception as error:
        assert op.short in UNRUN and dtype not in (float32, int64, int32, bool_), f"{op.short}({sample}): {error}"
        return
    agree(op, [sample], found, kernel_results(op, sample))


def agree(op, group, found, expected) -> None:
    shown = "; ".join(map(str, group))
    assert len(found) == len(expected), shown
    for a, b in zip(found, expected, strict=True):
        wrong = disagreement(np.asarray(a), b, TOLERANCE.get(b.dtype.name))
        assert wrong is None, f"{op.short}({shown}): {wrong}"


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.short)
def test_onnx_gives_what_the_kernel_gives(op, rng, conformance):
    for dtype in DTYPES if conformance else COMMON:
        group = samples(op.name, rng, dtype)
        if group:
            compare(op, group, 20, dtype)


@pytest.mark.parametrize("opset", OPSETS)
def test_onnx_gives_what_the_kernel_gives_in_other_opsets(opset, rng):
    for op in OPS:
        for dtype in (float32, int32):
            group = samples(op.name, rng, dtype)
            if group:
                compare(op, group, opset, dtype)


@pytest.mark.parametrize("opset", (13, 20))
def test_onnx_gives_what_the_kernel_gives_where_the_first_size_is_dynamic(opset, rng):
    compared = 0
    for op in OPS:
        for sample in samples(op.name, rng, float32):
            try:
                found = onnx_results(op, [sample], opset, symbolic=True)
            except ShapeError:
                continue  # what the op does depends on that size
            except ExportError:
                assert may_be_refused(op, float32, opset), f"{op.short}({sample}) has no ONNX form"
                continue
            compared += 1
            agree(op, [sample], found, kernel_results(op, sample))
    assert compared > 500


def test_what_has_no_onnx_form_says_why():
    """Ops without a form of their own are composites, random, or on the list above."""
    for op in all_ops():
        if not op.name.startswith("ingot::") or not isinstance(op.onnx, NotExportable):
            continue
        assert op.onnx.why
        if op.kind != "composite":
            assert op.random or op.short in WITHOUT
