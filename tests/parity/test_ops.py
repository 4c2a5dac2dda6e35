"""Every op against PyTorch on the shared sample calls: results with their dtypes, and first gradients in float64."""

import ingot.ir.ops  # noqa: F401
import numpy as np
import pytest
import torch
from agreement import difference
from finite_differences import differentiable_inputs, first_order, seeds_for
from ingot.ir.dtypes import bfloat16, float64
from ingot.ir.registry import NotDifferentiable, all_ops
from samples import DTYPES, samples
from torch_forms import FORMS, NO_FORM

OPS = [op for op in all_ops() if op.kind != "prim" and op.name.startswith("ingot::")]
COMPARED = [op for op in OPS if op.short in FORMS]

TOLERANCE = {"float64": 1e-11, "float32": 1e-5, "float16": 4e-3, "bfloat16": 4e-2}

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

# What PyTorch has no kernel for on the CPU is not compared.
ABSENT = (
    "not implemented for '",
    "does not support bool",
    "with a bool tensor is not supported",
    "only applicable to index tensor of type LongTensor",
    "Expected dtype int32/int64 for index",
    "tensors used as indices must be long, int, byte or bool",
)
# What PyTorch takes for a constant.
CONSTANT = {
    "remainder": ("other",),
    "binary_cross_entropy_with_logits": ("weight", "pos_weight"),
    "nll_loss": ("weight",),
    "batch_norm_inference": ("running_mean", "running_var"),
}
# `any` and `all` of uint8 give uint8 in PyTorch, for reasons of its history.
BOOL_OF_BYTES = ("any", "all")


def theirs(value):
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype == bfloat16.np:
        return torch.tensor(value.astype(np.float32)).to(torch.bfloat16)
    return torch.tensor(np.ascontiguousarray(value)).reshape(value.shape)


def ours(tensor):
    tensor = tensor.detach()
    if tensor.dtype is torch.bfloat16:
        return tensor.to(torch.float32).numpy().astype(bfloat16.np)
    return tensor.numpy()


def as_tuple(result):
    return tuple(result) if isinstance(result, (tuple, list)) else (result,)


def test_every_op_is_compared_or_says_why_not():
    missing = {op.short for op in OPS} - set(FORMS) - set(NO_FORM)
    assert not missing, f"add forms to tests/support/torch_forms.py: {sorted(missing)}"


@pytest.mark.parametrize("op", COMPARED, ids=lambda op: op.short)
def test_results(op, rng):
    compared = 0
    for dtype in DTYPES:
        for sample in samples(op.name, rng, dtype):
            try:
                expected = as_tuple(FORMS[op.short](*map(theirs, sample.inputs), **sample.attrs))
            except (RuntimeError, TypeError, IndexError) as error:
                assert any(text in str(error) for text in ABSENT), f"{op.short}({sample}): {error}"
                continue
            found = as_tuple(op.kernel(*sample.inputs, **sample.attrs))
            assert len(found) == len(expected)
            compared += 1
            for a, tensor in zip(found, expected, strict=True):
                b = ours(tensor)
                if op.short in BOOL_OF_BYTES and b.dtype == np.uint8:
                    b = b.astype(bool)
                assert a.shape == b.shape, f"{op.short}({sample}): {a.shape}, PyTorch {b.shape}"
                assert a.dtype == b.dtype, f"{op.short}({sample}): {a.dtype}, PyTorch {b.dtype}"
                allowed = 0.0 if a.dtype.kind in "biu" else TOLERANCE[a.dtype.name]
                assert difference(a, b) <= allowed, f"{op.short}({sample}):\n{a}\nPyTorch:\n{b}"
    assert compared


@pytest.mark.parametrize(
    "op",
    [op for op in COMPARED if not isinstance(op.grad, NotDifferentiable) and op.short != "detach"],
    ids=lambda op: op.short,
)
def test_gradients(op, rng):
    for sample in samples(op.name, rng, float64):
        names = [p.name for p in op.schema.inputs]
        wanted = [
            i
            for i in differentiable_inputs(op, sample)
            if op.schema.variadic is not None or names[i] not in CONSTANT.get(op.short, ())
        ]
        seeds = seeds_for(op, sample, rng)
        if op.kind == "scatter" and len(sample.inputs) == 3 and sample.inputs[1].shape != sample.inputs[2].shape:
            continue  # PyTorch's gradient fails for a source that is larger than the index
        if not wanted or not any(np.size(sample.inputs[i]) for i in wanted):
            continue
        inputs = [theirs(x) for x in sample.inputs]
        for i in wanted:
            inputs[i].requires_grad_()
        try:
            outputs = as_tuple(FORMS[op.short](*inputs, **sample.attrs))
        except (RuntimeError, IndexError) as error:
            assert any(text in str(error) for text in ABSENT), f"{op.short}({sample}): {error}"
            continue
        pairs = [(y, theirs(s)) for y, s in zip(outputs, seeds, strict=True) if s is not None and y.requires_grad]
        expected = torch.autograd.grad(
            [y for y, _ in pairs], [inputs[i] for i in wanted], [s.to(y.dtype) for y, s in pairs], allow_unused=True
        )
        found = first_order(op, sample, seeds, wanted)
        for i, grad in zip(wanted, expected, strict=True):
            if grad is None:
                continue  # PyTorch treats a weight as a constant
            tolerance = 1e-9 if all(y.dtype is torch.float64 for y, _ in pairs) else 1e-2
            b = ours(grad)
            assert difference(found[i], b) <= tolerance, f"{op.short}({sample}): input {i}\n{found[i]}\nPyTorch:\n{b}"
