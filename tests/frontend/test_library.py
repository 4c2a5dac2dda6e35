"""`ingot.library`: operators that users declare, from the eager call to the file and ONNX."""

import gc
import shutil
from collections.abc import Sequence

import ingot
import numpy as np
import pytest
from ingot import library
from ingot.backends import c, cuda
from ingot.ir.algebra import Proxy
from ingot.ir.errors import ArgumentError, CaptureError, ExportError, FileFormatError, GradientError, UnsupportedError
from ingot.ir.graph import same_graph
from ingot.ir.parser import parse
from ingot.ir.registry import NotDifferentiable


@pytest.fixture(autouse=True)
def _take_back():
    """Declarations do not outlive their test."""
    from ingot.ir.registry import names, unregister

    yield
    for name in names():
        if name.startswith("libtest::"):
            unregister(name)


def declare_wave():
    return library.elementwise(
        "libtest::wave(input: Tensor, *, scale: float = 1.0) -> Tensor",
        scalar=lambda s, x, scale: s.where(x > 0, s.sin(x * scale), -x),
        promotion="float",
        grad={"input": lambda F, g, input, scale: g * F.where(F.gt(input, 0), F.cos(input * scale) * scale, -1.0)},
        onnx=lambda E, input, scale: E.Where(
            E.Greater(input, E.number(0.0, input)), E.Sin(E.Mul(input, E.number(scale, input))), E.Neg(input)
        ),
    )


def declare_cummax(gradient=True):
    @library.custom_op("libtest::cummax", mutates_args=())
    def cummax(x: ingot.Tensor, dim: int = 0, *, scale: float = 1.0) -> ingot.Tensor:
        """Running maximum, times a number."""
        return ingot.from_numpy(np.maximum.accumulate(x.numpy(), axis=dim)) * scale

    @cummax.register_fake
    def _(x, dim=0, *, scale=1.0):
        return ingot.empty_like(x)

    def setup_context(ctx, inputs, output):
        x, ctx.dim, ctx.scale = inputs
        ctx.save_for_backward(x, output)

    def backward(ctx, g):
        x, y = ctx.saved_tensors
        # Right where the running maximum is x itself: increasing inputs, as these tests use.
        return ingot.where(x * ctx.scale == y, g * ctx.scale, ingot.zeros_like(g)), None, None

    if gradient:
        cummax.register_autograd(backward, setup_context=setup_context)
    return cummax


def wave(x, scale):
    return np.where(x > 0, np.sin(x * np.float32(scale)), -x)


def test_an_elementwise_operator_everywhere(rng, tmp_path):
    op = declare_wave()
    x = rng.standard_normal((5, 4)).astype(np.float32)
    assert ingot.ops.libtest.wave is op
    np.testing.assert_allclose(op(ingot.tensor(x), scale=0.5).numpy(), wave(x, 0.5), rtol=1e-6)
    assert library.opcheck(op, (ingot.tensor(x, requires_grad=True),), {"scale": 0.5})["gradient"] == "SUCCESS"
    program = ingot.jit.trace(lambda x: op(x, scale=0.5) * 2 + 1, ingot.ones(3, 4), dynamic_shapes={0: "n"})
    assert same_graph(parse(str(program.graph)), program.graph) is None
    expected = wave(x, 0.5) * 2 + 1
    for backend in ("numpy", "reference"):
        np.testing.assert_allclose(program.on(backend)(x).numpy(), expected, rtol=1e-5)
    program.save(tmp_path / "wave.ingot")
    with pytest.raises(FileFormatError, match="libtest"):
        ingot.load(tmp_path / "wave.ingot")
    loaded = ingot.load(tmp_path / "wave.ingot", allow_ops=["libtest::*"])
    assert ingot.equal(loaded(x), program(x))
    runtime = pytest.importorskip("onnxruntime")
    ingot.onnx.export(program, tmp_path / "wave.onnx")
    session = runtime.InferenceSession(str(tmp_path / "wave.onnx"), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": x})[0], expected, rtol=1e-5)


def test_c_and_cuda_text(rng):
    from ingot.ir.dtypes import float32
    from ingot.ir.types import TensorType

    op = declare_wave().op
    type_ = TensorType(float32, (5, 4))
    assert "__global__" in cuda.emit_op(op, (type_,), {"scale": 0.5}).text
    if shutil.which("cc") is None:
        pytest.skip("no C compiler on this machine")
    x = rng.standard_normal((5, 4)).astype(np.float32)
    np.testing.assert_allclose(c.load_op(op, (type_,), {"scale": 0.5})(x), wave(x, 0.5), rtol=1e-6)


def test_the_other_families():
    @library.nest(
        "libtest::row_dot(input: Tensor, other: Tensor) -> Tensor",
        grad={
            "input": lambda F, g, other: F.unsqueeze(g, -1) * other,
            "other": lambda F, g, input: F.unsqueeze(g, -1) * input,
        },
    )
    def row_dot(n, input, other):
        i, k = n.letters(input.sizes)
        return n.out([i], n.sum([k], input[i, k] * other[i, k]))

    @library.composite("libtest::rms(input: Tensor, *, dim: int) -> Tensor")
    def rms(F, input, dim):
        return F.sqrt(F.mean(input * input, dim=dim, keepdim=True))

    running = library.scan("libtest::running(input: Tensor, dim: int) -> Tensor", combiner="sum", grad=None)
    order = library.sort("libtest::order(input: Tensor, dim: int = -1, descending: bool = False) -> (Tensor, Tensor)")
    x = ingot.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=ingot.float64, requires_grad=True)
    assert row_dot(x, x).tolist() == [5.0, 25.0]
    assert ingot.autograd.gradcheck(row_dot, (x, x * 2))
    assert ingot.autograd.gradcheck(lambda x: rms(x, dim=1), x)
    assert running(x.detach(), 0).tolist() == [[1.0, 2.0], [4.0, 6.0]]
    assert order(x.detach(), descending=True)[1].tolist() == [[1, 0], [1, 0]]
    assert row_dot(x, x).requires_grad
    for op, args in ((row_dot, (x, x * 2)), (rms, (x,))):
        assert set(library.opcheck(op, args, {"dim": 1} if op is rms else {}).values()) == {"SUCCESS"}


def test_an_opaque_operator_with_and_without_text_of_its_own():
    plain = library.opaque(
        "libtest::tril(input: Tensor) -> Tensor", infer=lambda types, attrs: (types[0],), kernel=lambda x: np.tril(x)
    )
    table = {"factor": 3.0, "function": np.triu}
    held = library.opaque(
        "libtest::triu3(input: Tensor) -> Tensor",
        infer=lambda types, attrs: (types[0],),
        kernel=lambda x: table["function"](x) * np.float32(table["factor"]),
    )
    x = ingot.ones(3, 3)
    program = ingot.jit.trace(lambda x: plain(x) + held(x), x)
    for backend in ("numpy", "reference"):
        assert ingot.equal(program.on(backend)(x), x.tril() + 3 * x.triu())
    assert "lookup('libtest::triu3').kernel" in program.code("numpy")
    with pytest.raises(GradientError, match="triu3 has no gradient"):
        held(ingot.ones(2, 2, requires_grad=True))


def test_a_custom_operator_everywhere(tmp_path):
    op = declare_cummax()
    x = ingot.tensor([[1.0, 5.0], [2.0, 6.0]], dtype=ingot.float64, requires_grad=True)
    assert op(x, scale=2.0).tolist() == [[2.0, 10.0], [4.0, 12.0]]
    assert op.__doc__ == "Running maximum, times a number."
    assert set(library.opcheck(op, (x,), {"dim": 1}).values()) == {"SUCCESS"}
    assert ingot.autograd.gradgradcheck(lambda x: op(x) * x, x)
    program = ingot.jit.trace(lambda x: op(x * 1, 1).sum(0), ingot.ones(2, 3), dynamic_shapes={0: "n"})
    y = ingot.tensor(np.arange(12.0, dtype=np.float32).reshape(4, 3))
    for backend in ("numpy", "reference"):
        assert ingot.equal(program.on(backend)(y), y.sum(0))
    assert same_graph(parse(str(program.graph)), program.graph) is None
    program.save(tmp_path / "p.ingot")
    assert ingot.equal(ingot.load(tmp_path / "p.ingot", allow_ops=["libtest::cummax"])(y), y.sum(0))
    with pytest.raises(ExportError):
        ingot.onnx.export(program, tmp_path / "p.onnx")


def test_a_custom_gradient_inside_a_captured_training_step():
    op = declare_cummax()
    w = ingot.tensor([1.0, 2.0, 3.0], requires_grad=True)

    def step(x):
        w.grad = None
        (op(w * x) ** 2).sum().backward()
        return w.grad

    program = ingot.jit.trace(step, ingot.ones(3))
    x = ingot.tensor([1.0, 2.0, 3.0])
    assert ingot.equal(program(x), step(x))


def test_a_gradient_over_a_graph():
    from ingot.ir.builder import Builder
    from ingot.ir.dtypes import float32
    from ingot.ir.gradient import input_gradients
    from ingot.ir.graph import Graph
    from ingot.ir.graph_algebra import GraphAlgebra
    from ingot.ir.interpreter import interpret
    from ingot.ir.sizes import var
    from ingot.ir.types import TensorType
    from ingot.ir.verifier import verify

    op = declare_cummax().op
    graph = Graph("backward")
    type_ = TensorType(float32, (var("n"), 2))
    x, y, g = (graph.add_input(name, type_) for name in "xyg")
    F = GraphAlgebra(Builder(graph))
    saved = {"x": F.proxy(x), "y": F.proxy(y)}
    found = input_gradients(F, op, (0,), [F.proxy(g)], saved, [type_], [type_], {"dim": 0, "scale": 1.0})
    assert isinstance(found[0], Proxy)
    graph.set_return([F.value(found[0])], {})
    verify(graph)
    a = np.array([[1.0, 4.0], [2.0, 3.0]], np.float32)
    (result,), _ = interpret(graph, [a, np.maximum.accumulate(a), np.ones_like(a)], {}, {"n": 2})
    assert result.tolist() == [[1.0, 1.0], [1.0, 0.0]]


def test_types_are_computed_on_symbolic_sizes():
    @library.custom_op("libtest::pairs")
    def pairs(
        x: ingot.Tensor, w: ingot.Tensor | None, times: int, names: Sequence[int]
    ) -> tuple[ingot.Tensor, ingot.Tensor]:
        return x.repeat(times, 1), x.sum(1).to(ingot.int64)

    @pairs.register_fake
    def _(x, w, times, names):
        n, k = x.shape
        assert k == 4
        return x.new_empty(n * times, k), ingot.empty(n, dtype=ingot.int64)

    program = ingot.jit.trace(lambda x: pairs(x, None, 2, [1]), ingot.ones(3, 4), dynamic_shapes={0: "n"})
    assert "-> (f32[2*n, 4], i64[n])" in str(program.graph)
    a, b = program(ingot.ones(5, 4))
    assert a.shape == (10, 4)
    assert b.tolist() == [4] * 5
    with pytest.raises(library.opcheck.__globals__["OpCheckError"], match="disagree"):
        library.opcheck(declare_wrong(), (ingot.ones(2),))


def declare_wrong():
    @library.custom_op("libtest::wrong")
    def wrong(x: ingot.Tensor) -> ingot.Tensor:
        return x * 2

    @wrong.register_fake
    def _(x):
        return ingot.empty(7)

    return wrong


def test_a_type_rule_cannot_read_elements_and_must_be_there():
    @library.custom_op("libtest::peeks")
    def peeks(x: ingot.Tensor) -> ingot.Tensor:
        return x * 2

    with pytest.raises(UnsupportedError, match="peeks has no type rule"):
        ingot.jit.trace(lambda x: peeks(x), ingot.ones(2))

    @peeks.register_fake
    def _(x):
        return ingot.empty(int(x.sum().item()))

    with pytest.raises(CaptureError, match="the type rule of libtest::peeks needs a value"):
        ingot.jit.trace(lambda x: peeks(x), ingot.ones(2))


def test_results_never_share_memory_with_arguments():
    @library.custom_op("libtest::same")
    def same(x: ingot.Tensor) -> ingot.Tensor:
        return x

    x = ingot.ones(2)
    same(x).add_(1)
    assert x.tolist() == [1.0, 1.0]


def test_gradients_can_be_declared_after_the_first_call():
    op = declare_cummax(gradient=False)
    x = ingot.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(GradientError, match="without register_autograd"):
        op(x)
    op.register_autograd(lambda ctx, g: (g * 5, None, None))
    op(x).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]
    with pytest.raises(ArgumentError, match="a gradient already"):
        op.register_autograd(lambda ctx, g: g)


def test_an_onnx_form_of_a_custom_operator(tmp_path):
    runtime = pytest.importorskip("onnxruntime")

    @library.custom_op("libtest::twice")
    def twice(x: ingot.Tensor) -> ingot.Tensor:
        return x * 2

    twice.register_fake(lambda x: ingot.empty_like(x))
    twice.register_onnx(lambda E, x: E.Add(x, x))
    program = ingot.jit.trace(lambda x: twice(x), ingot.ones(2))
    ingot.onnx.export(program, tmp_path / "t.onnx")
    session = runtime.InferenceSession(str(tmp_path / "t.onnx"), providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.ones(2, np.float32)})[0].tolist() == [2.0, 2.0]


@pytest.mark.parametrize("name", ["wave", "ingot::wave", "prim::wave", "a::b::c", "::wave", "libtest::"])
def test_names_need_a_namespace_of_the_users(name):
    with pytest.raises(ArgumentError, match=r"no name for an operator|is reserved"):
        library.elementwise(f"{name}(input: Tensor) -> Tensor", scalar=lambda s, x: x)
    with pytest.raises(ArgumentError, match=r"no name for an operator|is reserved"):
        library.custom_op(name, lambda x: x)


def test_redefinition_is_refused_and_names_the_first():
    declare_wave()
    with pytest.raises(ArgumentError, match=r"libtest::wave is already declared[\s\S]*test_library.py"):
        declare_wave()
    library.unregister("libtest::wave")
    declare_wave()
    with pytest.raises(ArgumentError, match="built in"):
        library.unregister("ingot::relu")


def test_wrong_declarations_are_refused_at_once():
    with pytest.raises(ArgumentError, match="'inptu', which is no input"):
        library.elementwise(
            "libtest::a(input: Tensor) -> Tensor", scalar=lambda s, x: x, grad={"inptu": lambda F, g: g}
        )
    with pytest.raises(ArgumentError, match="reads 'other'"):
        library.elementwise(
            "libtest::a(input: Tensor) -> Tensor", scalar=lambda s, x: x, grad={"input": lambda F, g, other: g}
        )
    with pytest.raises(ArgumentError, match="'x' has no annotation"):
        library.custom_op("libtest::a", lambda x: x)
    with pytest.raises(ArgumentError, match="changes its arguments"):
        library.custom_op("libtest::a", mutates_args=("x",))

    def takes_dict(x: dict) -> ingot.Tensor: ...

    with pytest.raises(ArgumentError, match="a parameter of type"):
        library.custom_op("libtest::a", takes_dict)


def test_opcheck_finds_what_does_not_fit():
    wrong = library.elementwise(
        "libtest::wrong_gradient(input: Tensor) -> Tensor",
        scalar=lambda s, x: x * x,
        grad={"input": lambda F, g, input: g * input},
        fast=lambda np, x: x * x * 1.5,
    )
    found = library.opcheck(wrong, (ingot.tensor([1.0, 2.0], requires_grad=True),), raise_exception=False)
    assert found["types"] == "SUCCESS"
    assert "is wrong" in found["gradient"]

    def write(x):
        x += 1
        return x

    changing = library.opaque(
        "libtest::changing(input: Tensor) -> Tensor",
        infer=lambda types, attrs: (types[0],),
        kernel=write,
        grad=NotDifferentiable("no reason"),
    )
    assert "changes its argument" in library.opcheck(changing, (ingot.ones(2),), raise_exception=False)["types"]


def test_names_in_ingot_ops():
    declare_wave()
    assert "wave" in dir(ingot.ops.libtest)
    assert "libtest" in dir(ingot.ops)
    assert ingot.ops.ingot.relu(ingot.tensor(-1.0)).item() == 0.0
    with pytest.raises(AttributeError, match="libtest::nothing"):
        _ = ingot.ops.libtest.nothing
    with pytest.raises(AttributeError, match="namespace 'nowhere'"):
        _ = ingot.ops.nowhere
    gc.collect()
