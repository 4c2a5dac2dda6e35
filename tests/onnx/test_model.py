"""What a reader of the file sees: names, types, source lines, versions."""

import numpy as np
import onnx
import pytest
from ingot.ir.parser import parse
from ingot.ir.program import Signature
from ingot.serialize.onnx import export, to_model
from ingot.serialize.onnx.naming import output_names
from onnx_runs import LEAF, record, run
from program_files import record_of

NET = """graph @forward(%x : f32[batch, 784]) state {%w : f32[128, 784] = "fc1.weight", %b : f32[128] = "fc1.bias", \
%unused : f32[3] = "fc1.unused"} -> (f32[batch, 128]):
  %h : f32[batch, 128] = ingot::linear(%x, %w, %b)  @model.py:12:12-12:23 in fc1
  %two : float = prim::Constant[value=2.0]()
  %m : f32[batch, 128] = ingot::mul(%h, %two)  @model.py:13:12-13:23 in encoder.scale
  %y : f32[batch, 128] = ingot::relu(%m)  @model.py:14:12
  return (%y)
sources {
  @model.py:12:12-12:23 in Net.forward "        h = self.fc1(x)"
}
"""


def net(result=LEAF):
    program = record_of(NET)
    program.signatures["forward"] = Signature(("x",), (LEAF,), result)
    return program


def test_names_come_from_the_program():
    graph = to_model(net()).graph
    assert [value.name for value in graph.input] == ["x"]
    assert [value.name for value in graph.output] == ["output"]
    assert [tensor.name for tensor in graph.initializer] == ["fc1.weight", "fc1.bias", "encoder/scale/Mul.B"]
    assert [node.name for node in graph.node] == ["fc1/Gemm", "encoder/scale/Mul", "Relu"]
    assert list(graph.node[0].input) == ["x", "fc1.weight", "fc1.bias"]
    assert graph.name == "forward"


def test_nodes_carry_the_users_lines():
    nodes = to_model(net()).graph.node
    assert [node.doc_string for node in nodes] == ["model.py:12  h = self.fc1(x)", "model.py:13", "model.py:14"]
    assert not any(node.doc_string for node in to_model(net(), doc_strings=False).graph.node)


def test_the_model_says_who_made_it_and_what_it_takes():
    model = to_model(net())
    assert model.producer_name == "ingot"
    assert model.doc_string == "forward(x: float32[batch, 784]) -> float32[batch, 128]"


@pytest.mark.parametrize(("opset", "version"), [(13, 7), (15, 8), (18, 8), (19, 9), (20, 9), (21, 10)])
def test_the_files_version_is_the_one_that_came_with_the_opset(opset, version):
    model = to_model(net(), opset_version=opset)
    assert (model.ir_version, model.opset_import[0].version) == (version, opset)


def test_intermediate_values_have_types():
    graph = to_model(net()).graph
    found = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.value_info}
    assert found == {"fc1/Gemm": ["batch", 128], "encoder/scale/Mul": ["batch", 128]}


def test_results_are_called_by_the_keys_and_places_of_the_result():
    pair = {"kind": "tuple", "items": [LEAF, {"kind": "none"}, LEAF]}
    tree = {"kind": "dict", "keys": ["boxes", "scores"], "items": [pair, LEAF]}
    assert output_names(tree, 3) == ["boxes_0", "boxes_2", "scores"]
    assert output_names({"kind": "list", "items": [tree]}, 3) == [
        "output_0.boxes_0",
        "output_0.boxes_2",
        "output_0.scores",
    ]
    assert output_names(LEAF, 2) == ["output_0", "output_1"]


def test_a_result_that_is_called_like_an_input_gets_a_number():
    model = to_model(net({"kind": "dict", "keys": ["x"], "items": [LEAF]}))
    assert [value.name for value in model.graph.output] == ["x_1"]
    x = np.random.default_rng(0).random((2, 784), np.float32)
    assert run(model, {"x": x})[0][0].shape == (2, 128)


def test_inputs_constants_and_repeated_values_can_be_results():
    graph = parse(
        """graph @forward(%x : f32[2], %unused : f32[3]) state {%w : f32[2] = "w"} -> \
(f32[2], f32[2], f32[2], f32[2], float):
  %y : f32[2] = ingot::exp(%x)
  %c : float = prim::Constant[value=2.5]()
  return (%x, %y, %y, %w, %c)
"""
    )
    w = np.array([3, 4], np.float32)
    model = to_model(record(graph, {"w": w}))
    x = np.array([1, 2], np.float32)
    found, _ = run(model, {"x": x, "unused": np.zeros(3, np.float32)})
    for a, b in zip(found, [x, np.exp(x), np.exp(x), w, np.array(2.5)], strict=True):
        np.testing.assert_allclose(a, b)
    assert [value.name for value in model.graph.input] == ["x", "unused"]


def test_what_is_the_same_is_written_once():
    """Equal constants are one, and so are equal nodes that come out of decompositions."""
    graph = parse(
        """graph @forward(%x : f32[B, 4]) -> (f32[B, 1], f32[B, 1]):
  %a : f32[B, 1] = ingot::std[dim=[1], correction=0, keepdim=true](%x)
  %b : f32[B, 1] = ingot::var[dim=[1], correction=0, keepdim=true](%x)
  return (%a, %b)
"""
    )
    model = to_model(record(graph))
    kinds = sorted(node.op_type for node in model.graph.node)
    assert kinds == ["Div", "Mul", "ReduceMean", "ReduceSum", "Sqrt", "Sub"]


def test_assumptions_of_the_capture_are_in_the_metadata():
    graph = parse(
        """graph @forward(%x : f32[B, T]) -> (f32[B, T]):
  assume B == T
  %y : f32[B, T] = ingot::exp(%x)
  return (%y)
"""
    )
    model = to_model(record(graph))
    assert [(p.key, p.value) for p in model.metadata_props] == [("ingot.assumptions", "B == T")]


def test_equal_programs_give_equal_files(tmp_path):
    for name in ("a.onnx", "b.onnx"):
        export(net(), tmp_path / name)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.onnx", "b.onnx"]
    onnx.checker.check_model(str(tmp_path / "a.onnx"), full_check=True)


def test_halves_and_bools_are_constants_of_their_own():
    graph = parse(
        """graph @forward(%x : bf16[3]) state {%w : bf16[3] = "w"} -> (f32[3]):
  %y : bf16[3] = ingot::add(%x, %w)
  %z : f32[3] = ingot::cast[dtype=f32](%y)
  return (%z)
"""
    )
    import ml_dtypes

    w = np.array([1, 2.5, -3], ml_dtypes.bfloat16)
    model = to_model(record(graph, {"w": w}))
    found, _ = run(model, {"x": w})
    np.testing.assert_array_equal(found[0], (w + w).astype(np.float32))
