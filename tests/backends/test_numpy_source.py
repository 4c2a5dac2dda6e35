"""Emitted text: what it says, what never enters it, what is copied into it, and errors that find the user's line."""

from __future__ import annotations

import ast
import math
from typing import Any

import numpy as np
import pytest
from ingot import backends  # noqa: F401  registers them
from ingot.backends.backend import get_backend
from ingot.backends.numpy.embed import Embedder, why_not_embedded
from ingot.backends.numpy.text import attribute, comment, number, small_array
from ingot.ir.binding import bind_sizes
from ingot.ir.builder import Builder
from ingot.ir.dtypes import DType, bfloat16, float32, int64
from ingot.ir.errors import ArgumentError, IndexOutOfRange, UnsupportedError
from ingot.ir.families import composite, nest, opaque, scatter
from ingot.ir.graph import Graph
from ingot.ir.interpreter import interpret
from ingot.ir.locations import Location
from ingot.ir.nest import as_index
from ingot.ir.registry import Op, unregister
from ingot.ir.sizes import var
from ingot.ir.types import TensorType

NUMPY = get_backend("numpy")
B = var("B")
EVIL = 'x"""\nimport os; os.remove("y")\r\n# \x00 \u2028 \\ é'


def f32(*sizes: Any) -> TensorType:
    return TensorType(float32, sizes)


def one_node(op: Op | str, *types: TensorType, **attrs: Any) -> Graph:
    graph = Graph("one")
    values = [graph.add_input(f"x{i}", type_) for i, type_ in enumerate(types)]
    graph.set_return(Builder(graph).emit(op, values, attrs).outputs)
    return graph


def agree(graph: Graph, *inputs: Any) -> str:
    expected, _ = interpret(graph, inputs)
    source = NUMPY.emit(graph)
    found, _ = NUMPY.load(source)(inputs, {}, bind_sizes(graph, inputs))
    for x, y in zip(found, expected, strict=True):
        assert x.dtype == y.dtype and np.array_equal(x, y, equal_nan=True)
    return source.text


# ------------------------------------------------------------------------------------------------------------ text


def test_a_source_reads_like_the_program():
    graph = Graph("forward")
    x, w = graph.add_input("x", f32(B, 8)), graph.add_state("fc1.weight", f32(4, 8))
    b = Builder(graph)
    first = Location("model.py", 12, 8, source="    h = self.fc1(x)")
    second = Location("model.py", 13, 8, source="    return h.relu()")
    h = b.emit("linear", [x, w, b.none()], location=first, path="fc1").output
    y = b.emit("relu", [h], location=second).output
    graph.set_return([b.emit("neg", [y], location=second).output])
    text = NUMPY.emit(graph).text
    assert "# input  v0: x : f32[B, 8]" in text and "# state  v1: 'fc1.weight' : f32[4, 8]" in text
    work = text[text.index("def compute") : text.index("def plan")].splitlines()
    assert [line.strip() for line in work[2:]][: -len([line for line in work if not line])] == [
        "v2, k0, s0, = p",
        "v0, = inputs",
        "v1, = state",
        "# model.py:12 in fc1  h = self.fc1(x)",
        "linear_fast(np, v0, v1, None, out=v2)",
        "# model.py:13  return h.relu()",
        "np.maximum(v2, k0, out=v2)",
        "r0 = np.empty((s0, 4), np.float32)",
        "np.negative(v2, out=r0)",
        "return (r0,), ()",
    ]


def test_what_a_file_says_stays_within_comments():
    graph = Graph(EVIL)
    x = graph.add_input(EVIL, f32(2))
    state = graph.add_state(EVIL, f32(2))
    location = Location(EVIL, 3, 1, function=EVIL, source=EVIL)
    node = Builder(graph).emit("add", [x, state], location=location, path=EVIL)
    graph.set_return(node.outputs, {EVIL: node.output})
    source = NUMPY.emit(graph)
    tree = ast.parse(source.text)
    words = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    assert source.text.isascii() and "\r" not in source.text
    assert not any("remove" in word for word in words)
    assert not any(isinstance(n, ast.Name) and n.id in ("os", "remove") for n in ast.walk(tree))
    ones = np.ones(2, np.float32)
    assert NUMPY.load(source)([ones], {EVIL: ones}, {})[1][EVIL].tolist() == [2, 2]


def test_an_attribute_that_is_no_plain_word_is_refused():
    assert attribute("mean", {}) == '"mean"'
    for wrong in ('a"b', "a\nb", "", "a b", "x" * 40, "é"):
        with pytest.raises(UnsupportedError, match="cannot be written"):
            attribute(wrong, {})


def test_literals():
    assert [number(x) for x in (1.5, math.inf, -math.inf, True, -3)] == ["1.5", "np.inf", "-np.inf", "True", "-3"]
    assert number(math.nan) == "np.nan" and number(-0.0) == "-0.0"
    assert attribute((B * 2, (float32, None), -1), {"B": "s0"}) == "(2*s0, (np.float32, None), -1)"
    assert small_array(np.array([[1.5, -0.0]], np.float32)) == "np.array([[1.5, -0.0]], np.float32)"
    assert small_array(np.array([math.nan])) is None and small_array(np.zeros(17)) is None
    assert small_array(np.zeros(2, bfloat16.np)) is None
    for array in (np.array(True), np.zeros((0, 3), np.int8), np.array([2**62]), np.array([0.1], np.float16)):
        text = small_array(array)
        assert text is not None
        again = eval(text, {"np": np})
        assert again.dtype == array.dtype and again.tobytes() == array.tobytes()


def test_comments_are_short_and_plain():
    assert comment("a\tb") == "a\\tb" and len(comment("x" * 500)) == 100


def test_large_constants_travel_beside_the_text():
    graph = Graph("table")
    b = Builder(graph)
    table = b.constant(np.linspace(0, 1, 100))
    small = b.constant(np.array([2.0]))
    graph.set_return([b.emit("mul", [table, small]).output])
    source = NUMPY.emit(graph)
    assert [x.shape for x in source.constants.values()] == [(100,)] and "np.array([2.0], np.float64)" in source.text
    assert np.array_equal(NUMPY.load(source)([], {}, {})[0][0], np.linspace(0, 1, 100) * 2)


# ---------------------------------------------------------------------------------------------------------- errors


def test_a_failing_kernel_names_the_users_line():
    graph = Graph("forward")
    x, i = graph.add_input("x", f32(4, 2)), graph.add_input("i", TensorType(int64, (1,)))
    b = Builder(graph)
    b.location = Location("model.py", 7, 5)
    h = b.emit("neg", [x]).output
    here = Location("model.py", 12, 8, 12, 20, "Net.forward", "  return x[i]")
    found = b.emit("index_select", [h, i], {"dim": 0}, location=here, path="fc1")
    graph.set_return(found.outputs)
    run = NUMPY.compile(graph)
    ones = np.ones((4, 2), np.float32)
    for _ in range(2):
        with pytest.raises(IndexOutOfRange) as caught:
            run([ones, np.array([9])], {}, {})
        assert "at model.py:12:8, in Net.forward  (fc1)" in str(caught.value)
        assert "while running @forward" in str(caught.value)
    assert (run([ones, np.array([3])], {}, {})[0][0] == -1).all()


def test_errors_of_ingots_own_come_out_as_such(user_op):
    def kernel(x: Any) -> Any:
        raise ArgumentError("testing: no such thing", expected="another")

    op = user_op(
        opaque, "testing::raises(input: Tensor) -> Tensor", infer=lambda types, attrs: (types[0],), kernel=kernel
    )
    with pytest.raises(ArgumentError, match="no such thing") as caught:
        NUMPY.compile(one_node(op, f32(2)))([np.ones(2, np.float32)], {}, {})
    assert "expected  another" in str(caught.value)


# --------------------------------------------------------------------------------------------------- users' own ops


@pytest.fixture
def user_op():
    """Declares ops that are gone after the test."""
    declared: list[Op] = []

    def declare(family: Any, *args: Any, body: Any = None, **facts: Any) -> Op:
        made = family(*args, **facts)
        declared.append(made if body is None else made(body))
        return declared[-1]

    yield declare
    for op in declared:
        unregister(op.name)


def test_a_nest_needs_no_kernel(user_op, rng):
    def shifted(n: Any, x: Any, index: Any, amount: Any) -> Any:
        i, j = n.letters(index.sizes)
        at = index[i, j] + amount
        inside = [at >= 0, at < as_index(x.sizes[0])]
        return n.out([i, j], n.guard(inside, x[at, j] * 2.0, -1.0))

    op = user_op(nest, "testing::shifted(x: Tensor, index: Tensor, amount: int) -> Tensor", body=shifted)
    graph = one_node(op, f32(B, 3), TensorType(int64, (4, 3)), amount=1)
    for batch in (1, 5):
        x = rng.standard_normal((batch, 3)).astype(np.float32)
        text = agree(graph, x, rng.integers(-3, batch + 2, (4, 3)))
    assert "def nest0(" in text


@pytest.mark.parametrize("combiner", ["sum", "prod", "max", "min", "any", "all", "argmax", "argmin"])
def test_combiners(combiner, user_op, rng):
    def reduced(n: Any, x: Any) -> Any:
        i, j, k = n.letters(x.sizes)
        return n.out([j], n.reduce(combiner, [i, k], x[i, j, k] - 1.0))

    op = user_op(nest, "testing::reduced(x: Tensor) -> Tensor", body=reduced)
    agree(one_node(op, f32(B, 3, 4)), rng.integers(0, 3, (2, 3, 4)).astype(np.float32))
    wide = TensorType(bfloat16, (2, 3, 4))
    agree(one_node(op, wide), rng.integers(0, 3, (2, 3, 4)).astype(bfloat16.np))


def test_products_go_to_einsum_and_large_spaces_are_cut(user_op, rng, monkeypatch):
    def product(n: Any, a: Any, b: Any) -> Any:
        i, k, j = n.letter(a.sizes[0]), n.letter(a.sizes[1]), n.letter(b.sizes[1])
        return n.out([i, j], n.sum([k], a[i, k] * b[k, j]))

    def distance(n: Any, a: Any, b: Any) -> Any:
        i, k, j = n.letter(a.sizes[0]), n.letter(a.sizes[1]), n.letter(b.sizes[1])
        return n.out([j, i], n.sum([k], n.s.abs(a[i, k] - b[k, j])))

    a, b = rng.standard_normal((300, 50)).astype(np.float32), rng.standard_normal((50, 400)).astype(np.float32)
    op = user_op(nest, "testing::product(a: Tensor, b: Tensor) -> Tensor", body=product)
    assert "np.einsum(" in agree(one_node(op, f32(B, 50), f32(50, 400)), a, b)
    op = user_op(nest, "testing::distance(a: Tensor, b: Tensor) -> Tensor", body=distance)
    graph = one_node(op, f32(B, 50), f32(50, 400))
    (found,), _ = NUMPY.compile(graph)([a, b], {}, {"B": 300})
    expected = np.abs(a[:, :, None] - b[None]).sum(1).T
    assert np.allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("combiner", ["set", "sum", "prod", "max", "min"])
def test_scatters(combiner, user_op, rng):
    def put(n: Any, base: Any, index: Any, value: Any) -> Any:
        i, j = n.letters(value.sizes)
        return n.scatter(base, [i, j], [index[i], j], value[i, j], combiner)

    op = user_op(scatter, "testing::put(base: Tensor, index: Tensor, value: Tensor) -> Tensor", body=put)
    graph = one_node(op, f32(B, 3), TensorType(int64, (4,)), f32(4, 3))
    base, value = rng.standard_normal((5, 3)).astype(np.float32), rng.standard_normal((4, 3)).astype(np.float32)
    agree(graph, base, np.array([0, 4, 4, 2]), value)
    with pytest.raises(IndexOutOfRange, match="index 5 is out of range for a dimension of size 5"):
        NUMPY.compile(graph)([base, np.array([0, 5, 1, 1]), value], {}, {"B": 5})


def test_composites_without_a_kernel_are_opened(user_op, rng):
    def body(F: Any, x: Any) -> Any:
        return F.softmax(F.relu(x) * 2.0, dim=-1), F.sum(x)

    op = user_op(composite, "testing::both(x: Tensor) -> (Tensor, Tensor)", body=body)
    graph = one_node(op, f32(2, 3))
    before = str(graph)
    text = agree(graph, rng.standard_normal((2, 3)).astype(np.float32))
    assert "softmax_fast" in text and str(graph) == before


SCALE = 3.0


def module_level(x: Any) -> Any:
    """A kernel's helper, defined in a module."""
    return x * SCALE + math.floor(2.5)


def test_kernels_with_closures_and_helpers(user_op, rng):
    offset, dtype = (1.0, 2.0), float32

    def inner(x: Any) -> Any:
        return module_level(x) + offset[1]

    def kernel(x: Any, *, dtype_: DType) -> Any:
        return inner(x).astype(dtype_.np if dtype is float32 else None)

    op = user_op(
        opaque,
        "testing::closed(x: Tensor, dtype_: dtype) -> Tensor",
        infer=lambda types, attrs: (types[0].with_(dtype=attrs["dtype_"]),),
        kernel=kernel,
    )
    text = agree(one_node(op, f32(3), dtype_="float64"), rng.standard_normal(3).astype(np.float32))
    assert "import math" in text and "SCALE = 3.0" in text and "ingot." not in text.lower().replace("ingot.\n", "")


def test_a_kernel_that_cannot_be_copied_is_refused_by_name(user_op):
    held = np.arange(3)
    op = user_op(
        opaque,
        "testing::holds(x: Tensor) -> Tensor",
        infer=lambda types, attrs: (types[0],),
        kernel=lambda x: x + held,
    )
    with pytest.raises(UnsupportedError, match="testing::holds: a kernel holds 'held', a ndarray"):
        NUMPY.compile(one_node(op, f32(3)))
    assert why_not_embedded(eval("lambda x: x")) is not None


def helper(x: Any) -> Any:
    """Has the name of a helper elsewhere."""
    return x + 1


def test_equal_names_of_different_things_are_told_apart():
    from ingot.ir import philox

    embedder = Embedder()
    embedder.reserve(["helper"])

    def raw(x: Any) -> Any:
        return helper(x) * 2

    first, second = embedder.function(philox.raw), embedder.function(raw)
    assert (first, second) == ("raw", "raw_2")
    namespace: dict[str, Any] = {}
    text = "from __future__ import annotations\n" + "\n".join([*embedder.imports, *embedder.pieces.values()])
    exec(text, namespace)
    assert namespace["raw_2"](3) == 8 and "def helper_2" in text
    key = np.array([7, 9], np.uint64)
    assert np.array_equal(namespace["raw"](key, 5), philox.raw(key, 5))


def test_a_kernel_named_like_our_own_variables(user_op, rng):
    def v1(x: Any) -> Any:
        return -x

    op = user_op(opaque, "testing::v(x: Tensor) -> Tensor", infer=lambda types, attrs: (types[0],), kernel=v1)
    agree(one_node(op, f32(3)), rng.standard_normal(3).astype(np.float32))
