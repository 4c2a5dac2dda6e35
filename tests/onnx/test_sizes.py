"""Symbolic sizes in ONNX: computed from the inputs' shapes, once each, and right at every size."""

import numpy as np
import pytest
from ingot.ir.errors import ExportError
from ingot.ir.interpreter import interpret
from ingot.serialize.onnx import to_model
from onnx_runs import run
from program_files import record_of

EXPRESSIONS = """graph @forward(%x : f32[B, T], %y : f32[T, 3]) -> (int, int, int, f32[B//2 + 1, (T - 9)//4 + 9]):
  %a : int = prim::Size[value=B*T*T - 3*B]()
  %b : int = prim::Size[value=(T - 9)//4 + (B - 20) % 7]()
  %c : int = prim::Size[value=max(B, T, 6) - min(B, 4)]()
  %d : f32[B//2 + 1, (T - 9)//4 + 9] = ingot::full[size=[B//2 + 1, (T - 9)//4 + 9], value=2.0, dtype=f32]()
  return (%a, %b, %c, %d)
"""


def feeds_of(graph, **sizes):
    """Random arrays for the inputs at given sizes."""
    rng = np.random.default_rng(3)
    shapes = {v.name: [sizes.get(str(n), n) for n in v.type.sizes] for v in graph.inputs}
    return {name: rng.random(shape, np.float32) for name, shape in shapes.items()}


def check(text, opset, bindings):
    """ONNX against the interpreter at several sizes; gives the model."""
    program = record_of(text)
    graph = program.graphs["forward"]
    model = to_model(program, opset_version=opset)
    for sizes in bindings:
        feeds = feeds_of(graph, **sizes)
        found, _ = run(model, feeds)
        expected, _ = interpret(graph, [feeds[value.name] for value in graph.inputs], program.state)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, err_msg=str(sizes))
            assert np.shape(a) == np.shape(b)
    return model


@pytest.mark.parametrize("opset", (13, 20))
def test_expressions_have_pythons_meaning(opset):
    check(EXPRESSIONS, opset, [{"B": b, "T": t} for b in (1, 2, 5, 23) for t in (1, 4, 9, 17)])


def test_each_expression_is_computed_once():
    model = check(
        """graph @forward(%x : f32[B, T]) -> (f32[B*T], f32[B*T, 2], int):
  %a : f32[B*T] = ingot::full[size=[B*T], value=1.0, dtype=f32]()
  %b : f32[B*T, 2] = ingot::full[size=[B*T, 2], value=1.0, dtype=f32]()
  %c : int = prim::Size[value=B*T + 1]()
  return (%a, %b, %c)
""",
        20,
        [{"B": 2, "T": 3}],
    )
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("Mul") == 1
    assert kinds.count("Shape") == 2


def test_a_flattened_tensor_needs_no_sizes_at_all():
    model = check(
        """graph @forward(%x : f32[B, 4, 2]) -> (f32[B, 8]):
  %a : f32[B, 8] = ingot::reshape[shape=[B, 8]](%x)
  return (%a)
""",
        20,
        [{"B": 1}, {"B": 7}],
    )
    assert [node.op_type for node in model.graph.node] == ["Reshape"]


def test_neighbouring_sizes_are_read_at_once():
    model = check(
        """graph @forward(%x : f32[B, T, 3]) -> (f32[B, T, 5]):
  %a : f32[B, T, 5] = ingot::full[size=[B, T, 5], value=1.0, dtype=f32]()
  return (%a)
""",
        20,
        [{"B": 2, "T": 3}],
    )
    assert [node.op_type for node in model.graph.node] == ["Shape", "Concat", "Expand"]


def test_variables_are_solved_from_linear_sizes():
    check(
        """graph @forward(%x : f32[2*B + 3]) -> (int):
  %a : int = prim::Size[value=B]()
  return (%a)
""",
        20,
        [{"2*B + 3": 9}, {"2*B + 3": 3}],
    )


def test_sizes_that_data_decides_are_read_from_the_result():
    model = to_model(
        record_of(
            """graph @forward(%x : f32[B]) -> (f32[n, 2]):
  %z : i64[n, 1] = ingot::nonzero(%x)
  %a : f32[n, 2] = ingot::full[size=[n, 2], value=3.0, dtype=f32]()
  return (%a)
"""
        )
    )
    for x in ([0.0, 1.0, 2.0], [0.0], [1.0]):
        found, _ = run(model, {"x": np.array(x, np.float32)})
        assert found[0].shape == (np.count_nonzero(x), 2)


def test_bound_numbers_are_sizes():
    model = to_model(
        record_of(
            """graph @forward(%k : int) -> (f32[n + 1]):
  prim::Bind[variable=n](%k)
  %a : f32[n + 1] = ingot::full[size=[n + 1], value=3.0, dtype=f32]()
  return (%a)
"""
        )
    )
    found, _ = run(model, {"k": np.array(4)})
    assert found[0].shape == (5,)


def test_dim_params_have_the_names_of_the_signature():
    model = check(EXPRESSIONS, 20, [])
    sizes = [
        [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, model.graph.output[-1])
    ]
    assert sizes == [["B", "T"], ["T", 3], ["B//2 + 1", "(T - 9)//4 + 9"]]


def test_an_attribute_that_must_be_known_says_so():
    text = """graph @forward(%x : f32[1, 1, H, 8], %w : f32[1, 1, K, 3]) -> (f32[1, 1, H - K + 1, 6]):
  %y : f32[1, 1, H - K + 1, 6] = ingot::convolution2d[stride=[1, 1], padding=[0, 0], dilation=[1, 1], groups=1](%x, %w)
  return (%y)
"""
    with pytest.raises(ExportError, match="ONNX needs kernel_shape of Conv to be a number"):
        to_model(record_of(text))
