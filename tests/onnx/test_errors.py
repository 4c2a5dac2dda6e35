"""What cannot be exported says so, all of it at once, with the way out, and leaves no file behind."""

import builtins

import numpy as np
import onnx
import pytest
from ingot.ir.errors import ArgumentError, ExportError, UnsupportedError
from ingot.ir.parser import parse
from ingot.serialize.onnx import export, model, to_model
from onnx_runs import record
from program_files import record_of

PLAIN = """graph @forward(%x : f32[2]) -> (f32[2]):
  %y : f32[2] = ingot::exp(%x)
  return (%y)
"""
WEIGHT_GRAD = "ingot::conv2d_weight_grad[kernel_size=[3, 3], stride=[1, 1], padding=[0, 0], dilation=[1, 1], groups=1]"
POOL_GRAD = (
    "ingot::sum_pool2d_grad[input_size=[1, 3, 4, 4], kernel_size=[1, 1], stride=[1, 1], padding=[0, 0], "
    "ceil_mode=false]"
)
SEVERAL = f"""graph @forward(%g : f32[1, 2, 2, 2], %x : f32[1, 3, 4, 4]) -> \
(f32[2, 3, 3, 3], f32[2, 3, 3, 3], f32[2, 3, 4, 4]):
  %a : f32[2, 3, 3, 3] = {WEIGHT_GRAD}(%g, %x)  @train.py:7:4-7:12 in conv1
  %e : f32[1, 2, 2, 2] = ingot::exp(%g)
  %b : f32[2, 3, 3, 3] = {WEIGHT_GRAD}(%e, %x)  @train.py:8:4-8:12
  %p : f32[1, 3, 4, 4] = {POOL_GRAD}(%x)  @train.py:9:4-9:12
  %q : f32[2, 3, 4, 4] = ingot::expand[size=[2, 3, 4, 4]](%p)
  return (%a, %b, %q)
sources {{
  @train.py:7:4-7:12 in step "    loss.backward()"
}}
"""


def test_ops_without_a_form_are_told_at_once():
    with pytest.raises(ExportError) as caught:
        to_model(record_of(SEVERAL))
    assert str(caught.value) == (
        "@forward cannot be exported to ONNX: 3 operations without an ONNX form\n"
        "  ingot::conv2d_weight_grad: ONNX has no gradient of a convolution by its weight\n"
        "      at train.py:7:4  (conv1)  loss.backward()\n"
        "      at train.py:8:4\n"
        "  ingot::sum_pool2d_grad: ONNX has no gradient of a pooling\n"
        "      at train.py:9:4"
    )


def test_a_single_op_without_a_form_shows_its_line():
    text = f"""graph @forward(%g : f32[1, 2, 2, 2], %x : f32[1, 3, 4, 4]) -> (f32[2, 3, 3, 3]):
  %a : f32[2, 3, 3, 3] = {WEIGHT_GRAD}(%g, %x)  @train.py:7:5-7:20 in conv1
  return (%a)
sources {{
  @train.py:7:5-7:20 in step "    loss.backward()"
}}
"""
    with pytest.raises(ExportError) as caught:
        to_model(record_of(text))
    assert str(caught.value) == (
        "@forward cannot be exported to ONNX: 1 operation without an ONNX form\n"
        "  ingot::conv2d_weight_grad: ONNX has no gradient of a convolution by its weight\n"
        "  at train.py:7:5, in step  (conv1)\n"
        "      loss.backward()\n"
        "      ^^^^^^^^^^^^^^^"
    )


def test_an_op_that_came_with_a_newer_opset_says_with_which():
    text = PLAIN.replace("f32", "i32").replace("exp", "bitwise_not")
    with pytest.raises(ExportError, match="ONNX has BitwiseNot from opset 18 on"):
        to_model(record_of(text), opset_version=17)
    assert to_model(record_of(text), opset_version=18).graph.node[0].op_type == "BitwiseNot"


def test_updates_of_state_are_refused_with_the_way_out():
    text = """graph @forward(%x : f32[2]) state {%m : f32[2] = "bn.running_mean"} -> (f32[2]):
  %y : f32[2] = ingot::add(%x, %m)
  return (%y) update {"bn.running_mean": %y}
"""
    with pytest.raises(ExportError) as caught:
        to_model(record_of(text))
    assert str(caught.value) == (
        "@forward updates its state, which an ONNX model cannot\n"
        "  found     updates of bn.running_mean\n"
        "  trace it in evaluation mode: model.eval() before ingot.jit.trace"
    )


def test_random_keys_are_refused_with_the_way_out():
    text = """graph @forward() state {%k : key = "rng"} -> (f32[2]):
  %y : f32[2] = ingot::rand[size=[2], dtype=f32](%k)
  return (%y)
"""
    with pytest.raises(ExportError, match="draws random numbers") as caught:
        to_model(record_of(text))
    assert "the random state rng" in str(caught.value) and "model.eval()" in str(caught.value)


@pytest.mark.parametrize("opset", (12, 7, 10_000, "20", True))
def test_opsets_out_of_range_are_refused(opset):
    newest = onnx.defs.onnx_opset_version()
    with pytest.raises(ArgumentError, match=f"13 to {newest}"):
        to_model(record_of(PLAIN), opset_version=opset)


def test_the_newest_opset_can_be_written():
    newest = onnx.defs.onnx_opset_version()
    assert to_model(record_of(PLAIN), opset_version=newest).opset_import[0].version == newest


def test_what_is_not_a_program_is_refused():
    with pytest.raises(ArgumentError, match="program is of type function"):
        to_model(lambda x: x)


def test_unknown_entry_points_are_refused():
    with pytest.raises(ArgumentError, match="no entry point 'train'"):
        to_model(record_of(PLAIN), entry="train")


def test_a_missing_package_says_how_to_install_it(monkeypatch):
    real = builtins.__import__

    def without_onnx(name, globals=None, locals=None, fromlist=(), level=0):
        if level == 0 and name.partition(".")[0] == "onnx":
            raise ImportError("No module named 'onnx'")
        return real(name, globals, locals, fromlist, level)

    monkeypatch.setattr(builtins, "__import__", without_onnx)
    with pytest.raises(UnsupportedError, match=r'pip install "ingot\[onnx\]"'):
        to_model(record_of(PLAIN))


def test_models_over_the_formats_limit_are_refused_before_they_are_built(monkeypatch):
    graph = parse(
        """graph @forward(%x : f32[2, 300]) state {%w : f32[20, 300] = "fc.weight"} -> (f32[2, 20]):
  %n : none = prim::Constant[value=none]()
  %y : f32[2, 20] = ingot::linear(%x, %w, %n)
  return (%y)
"""
    )
    program = record(graph, {"fc.weight": np.zeros((20, 300), np.float32)})
    monkeypatch.setattr(model, "MAX_BYTES", 20_000)
    with pytest.raises(ExportError) as caught:
        to_model(program)
    text = str(caught.value)
    assert "too large for one ONNX file" in text and "24,000 bytes" in text and "fc.weight: 24,000" in text


def test_a_failed_export_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.onnx"
    export(record_of(PLAIN), path)
    before = path.read_bytes()
    with pytest.raises(ExportError):
        export(record_of(SEVERAL), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_a_wrong_form_is_caught_by_the_checker(monkeypatch):
    from ingot.ir.registry import lookup

    exp = lookup("exp")
    object.__setattr__(exp, "onnx", lambda E, input: E.Concat(input, input, axis=3))
    try:
        with pytest.raises(ExportError, match="ONNX's checker refuses the model"):
            to_model(record_of(PLAIN))
        assert to_model(record_of(PLAIN), check=False).graph.node[0].op_type == "Concat"
    finally:
        object.__setattr__(exp, "onnx", "Exp")


def test_a_call_of_no_operator_is_caught():
    from ingot.ir.registry import lookup

    exp = lookup("exp")
    for wrong, message in (
        (lambda E, input: E.Ecks(input), "ONNX has no operator 'Ecks'"),
        (lambda E, input: E.Exp(input, base=2), "no attribute base"),
        (lambda E, input: E.Exp(input, input), "takes 1 inputs, not 2"),
        (lambda E, input: E.Add(input, np.array(1, np.int64)), "operands differ in dtype"),
    ):
        object.__setattr__(exp, "onnx", wrong)
        try:
            with pytest.raises(ExportError, match=message):
                to_model(record_of(PLAIN))
        finally:
            object.__setattr__(exp, "onnx", "Exp")
