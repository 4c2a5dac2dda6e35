"""A new op is one declaration: everything else must work without a line more.

Two ops are declared here, an element-wise one and a nest, and asked for all that a built-in op can do.
"""

import shutil

import ingot
import numpy as np
import pytest
from ingot.backends import c, cuda
from ingot.frontend.dispatch import entry
from ingot.ir.errors import FileFormatError, ShapeError
from ingot.ir.families import elementwise, nest
from ingot.ir.graph import same_graph
from ingot.ir.interpreter import interpret
from ingot.ir.parser import parse
from ingot.ir.registry import unregister
from ingot.jit import trace


@pytest.fixture(scope="module", autouse=True)
def ops():
    declared = {
        "wave": elementwise(
            "testing::wave(input: Tensor, *, scale: float = 1.0) -> Tensor",
            scalar=lambda s, x, scale: s.where(x > 0, s.sin(x * scale), -x),
            promotion="float",
            grad={"input": lambda F, g, input, scale: g * F.where(F.gt(input, 0), F.cos(input * scale) * scale, -1.0)},
            onnx=lambda E, input, scale: E.Where(
                E.Greater(input, E.number(0.0, input)),
                E.Sin(E.Mul(input, E.number(scale, input))),
                E.Neg(input),
            ),
        ),
        "row_dot": _declare_row_dot(),
    }
    yield {name: entry(op) for name, op in declared.items()}
    for op in declared.values():
        unregister(op.name)


def _declare_row_dot():
    @nest(
        "testing::row_dot(input: Tensor, other: Tensor) -> Tensor",
        grad={
            "input": lambda F, g, other: F.unsqueeze(g, -1) * other,
            "other": lambda F, g, input: F.unsqueeze(g, -1) * input,
        },
        onnx=lambda E, input, other: E.ReduceSum(E.Mul(input, other), np.array([1], np.int64), keepdims=0),
    )
    def row_dot(n, input, other):
        """The inner product of every row with the row of the other matrix."""
        n.require_equal("columns differ", "input.size(1)", input.sizes[1], "other.size(1)", other.sizes[1])
        i, k = n.letters(input.sizes)
        return n.out([i], n.sum([k], input[i, k] * other[i, k]))

    return row_dot


def wave(x, scale):
    return np.where(x > 0, np.sin(x * np.float32(scale)), -x)


@pytest.fixture
def x(rng):
    return rng.standard_normal((5, 4)).astype(np.float32)


@pytest.fixture
def program(ops):
    def f(x, y):
        h = ops["wave"](x * 2.0, scale=0.5) + 1.0
        return ops["row_dot"](h, y)

    return trace(f, (ingot.ones(3, 4), ingot.ones(3, 4)), dynamic_shapes=({0: "n"}, {0: "n"}))


def expected(x, y):
    return ((wave(x * 2, 0.5) + 1) * y).sum(1)


def test_eager_and_gradient(ops, x):
    t = ingot.tensor(x, dtype=ingot.float64, requires_grad=True)
    y = ops["row_dot"](ops["wave"](t, scale=0.5), t)
    np.testing.assert_allclose(y.detach().numpy(), (wave(x, 0.5) * x).sum(1), rtol=1e-5)
    (first,) = ingot.autograd.grad(y.sum(), t, create_graph=True)
    a = x.astype(np.float64)
    slope = np.where(a > 0, 0.5 * np.cos(0.5 * a), -1.0)
    np.testing.assert_allclose(first.detach().numpy(), slope * a + np.where(a > 0, np.sin(0.5 * a), -a), rtol=1e-9)
    (second,) = ingot.autograd.grad(first.sum(), t)
    curve = np.where(a > 0, -0.25 * np.sin(0.5 * a), 0.0)
    np.testing.assert_allclose(second.numpy(), curve * a + 2 * slope, rtol=1e-9)


def test_wrong_sizes_speak_in_the_ops_own_names(ops):
    with pytest.raises(ShapeError, match=r"row_dot: columns differ[\s\S]*input.size\(1\) == other.size\(1\)"):
        ops["row_dot"](ingot.ones(2, 3), ingot.ones(2, 4))


def test_trace_text_and_interpreter(program, x):
    assert same_graph(parse(str(program.graph)), program.graph) is None
    y = np.ones_like(x)
    (result,), _ = interpret(program.graph, [x, y], {}, {"n": 5})
    np.testing.assert_allclose(result, expected(x, y), rtol=1e-5)


def test_fusion_and_every_backend_that_runs_graphs(program, x):
    assert "FusionGroup" in str(program.optimized)
    y = np.ones_like(x)
    for name in ("reference", "numpy"):
        np.testing.assert_allclose(program.to(name)(x, y).numpy(), expected(x, y), rtol=1e-5)
    assert "import ingot" not in program.code("numpy")


def test_file(program, x, tmp_path):
    path = tmp_path / "wave.ingot"
    program.save(path)
    with pytest.raises(FileFormatError, match="testing::"):
        ingot.load(path)
    loaded = ingot.load(path, allow_ops=("testing::wave", "testing::row_dot"))
    y = np.ones_like(x)
    assert np.array_equal(loaded(x, y).numpy(), program(x, y).numpy())


def test_onnx(program, x, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    path = tmp_path / "wave.onnx"
    ingot.onnx.export(program, path)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    y = np.ones_like(x)
    (found,) = session.run(None, {"x": x, "y": y})
    np.testing.assert_allclose(found, expected(x, y), rtol=1e-5)


def test_c_and_cuda_text(ops, x):
    from ingot.ir.dtypes import float32
    from ingot.ir.registry import lookup
    from ingot.ir.types import TensorType

    type_ = TensorType(float32, (5, 4))
    assert "__global__" in cuda.emit_op(lookup("testing::wave"), (type_,), {"scale": 0.5}).text
    if shutil.which("cc") is None:
        pytest.skip("no C compiler on this machine")
    run = c.load_op(lookup("testing::wave"), (type_,), {"scale": 0.5})
    np.testing.assert_allclose(run(x), wave(x, 0.5), rtol=1e-6)
    run = c.load_op(lookup("testing::row_dot"), (type_, type_), {})
    np.testing.assert_allclose(run(x, x), (x * x).sum(1), rtol=1e-5)
