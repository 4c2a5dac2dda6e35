"""What every declaration must say, whatever the op does: doc, samples, gradient, ONNX form, names of parameters."""

import dis
import inspect

import ingot.ir.ops  # noqa: F401
import pytest
from ingot.ir.registry import NotDifferentiable, NotExportable, Op, all_ops
from samples import DTYPES, has_samples, samples

OPS = [op for op in all_ops() if op.kind != "prim" and op.name.startswith("ingot::")]


def each_op(op: Op) -> str:
    return op.short


@pytest.mark.parametrize("op", OPS, ids=each_op)
def test_has_a_doc_and_samples(op, rng):
    assert op.doc.strip().endswith((".", ")")), op.doc
    assert has_samples(op.name), f"no sample calls of {op.short}: add some in tests/support/sample_calls_*.py"
    assert any(samples(op.name, rng, dtype) for dtype in DTYPES)


@pytest.mark.parametrize("op", OPS, ids=each_op)
def test_gradients_read_what_there_is(op):
    """A gradient function takes what the driver offers, and only serves inputs that exist."""
    if isinstance(op.grad, NotDifferentiable):
        assert op.grad.why and op.grad.why != "no gradient declared"
        return
    assert op.grad or op.kind == "composite", "neither a gradient nor a decomposition to derive one from"
    inputs = {p.name for p in op.schema.inputs}
    offered = {"F", "g", "y", "T"} | inputs | {p.name for p in op.schema.attributes}
    for key, function in op.grad.items():
        names = key if isinstance(key, tuple) else (key,)
        assert set(names) <= inputs
        assert set(inspect.signature(function).parameters) <= offered


@pytest.mark.parametrize("op", OPS, ids=each_op)
def test_onnx_forms_take_what_there_is(op):
    """An ONNX form is a name, a function of `E`, inputs and attributes by name, or the reason why there is none."""
    if isinstance(op.onnx, NotExportable):
        assert op.onnx.why and op.onnx.why != "no ONNX form declared"
        return
    if isinstance(op.onnx, str):
        assert not op.schema.attributes, "a form that is a name has no place for attributes"
        return
    offered = {"E"} | {p.name for p in op.schema.parameters}
    taken = {n for n, p in inspect.signature(op.onnx).parameters.items() if p.default is inspect.Parameter.empty}
    assert taken <= offered


@pytest.mark.parametrize("op", [op for op in OPS if op.fast is not None], ids=each_op)
def test_quick_kernels_stand_alone(op):
    """A quick kernel is a plain module-level function whose text can travel into emitted source: besides the array
    library it is handed, it calls only functions of its own module."""
    parameters = inspect.signature(op.fast).parameters
    assert next(iter(parameters)) == "np"
    assert parameters["out"].default is None and parameters["scratch"].default is None
    keywords = {n for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY} - {"out", "scratch"}
    assert keywords == {p.name for p in op.schema.attributes}
    pending, seen = [op.fast], set()
    while pending:
        function = pending.pop()
        if function in seen:
            continue
        seen.add(function)
        assert function.__closure__ is None and function.__name__ != "<lambda>"
        for name in _global_names(function.__code__):
            value = function.__globals__.get(name, None)
            if value is None:
                continue
            assert not inspect.ismodule(value) and not inspect.isclass(value), f"{function.__name__} reads {name}"
            if inspect.isfunction(value):
                assert value.__module__ == op.fast.__module__, f"{function.__name__} calls {name} of another module"
                pending.append(value)


def _global_names(code):
    """What a function's code, and that of functions inside it, reads from its module."""
    names = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    for constant in code.co_consts:
        if inspect.iscode(constant):
            names |= _global_names(constant)
    return names
