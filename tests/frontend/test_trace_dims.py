"""Dynamic sizes: bounds, derived sizes, what a capture assumes or fixes, and the report of all that."""

import ingot
import numpy as np
import pytest
from ingot.ir.errors import ArgumentError, AssertError, CaptureError, ShapeError
from ingot.jit import Dim, capture_report, runtime, trace


def numbers(*shape, seed=0):
    return ingot.tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def agree(program, function, *inputs):
    np.testing.assert_allclose(program(*inputs).numpy(), function(*inputs).numpy(), rtol=1e-5, atol=1e-6)


@pytest.fixture(params=["captured", "loaded"])
def via(request, tmp_path):
    def pass_on(program):
        if request.param == "captured":
            return program
        program.save(tmp_path / "p.ingot")
        return ingot.load(tmp_path / "p.ingot")

    return pass_on


def test_sizes_that_follow_from_others(via):
    def f(x, y, z):
        return (x.reshape(-1, 2).sum(1) + y[:-1] + z[: y.shape[0] - 1]).sum()

    h = Dim("h", min=1)
    shapes = {"x": {0: 2 * h}, "y": {0: h + 1}, "z": {0: Dim("z", min=8)}}
    program = via(trace(f, (numbers(6), numbers(4), numbers(8)), dynamic_shapes=shapes))
    assert [str(v.type) for v in program.graph.inputs] == ["f32[2*h]", "f32[h + 1]", "f32[z]"]
    for n in (1, 5):
        agree(program, f, numbers(2 * n, seed=n), numbers(n + 1, seed=n), numbers(9, seed=n))
    for sizes in ((7, 4, 8), (6, 5, 8), (6, 4, 7), (0, 1, 8)):
        with pytest.raises(ShapeError):
            program(*(numbers(n) for n in sizes))


@pytest.mark.parametrize(
    "shapes, text",
    [
        ({"x": {0: 2 * Dim("h")}}, r"does not fit[\s\S]*2\*h at x, dimension 0[\s\S]*5"),
        ({"x": {0: Dim("t") + 1}, "y": {0: Dim("t")}}, r"does not fit[\s\S]*t \+ 1 = 4 at x, dimension 0[\s\S]*5"),
        ({"x": {0: "n"}, "y": {0: "n"}}, r"'n' names different sizes[\s\S]*5 at x, dimension 0, 3 at y, dimension 0"),
        ({"x": {0: Dim("n", min=6)}}, r"'n' is out of its bounds[\s\S]*n >= 6[\s\S]*5 at x"),
        ({"x": {0: Dim("n", max=4)}}, r"n >= 0 and n <= 4"),
        ({"x": {0: Dim("n", min=1)}, "y": {0: Dim("n", min=2)}}, r"'n' has different bounds"),
        ({"x": {1: "n"}}, "no dimension 1"),
        ({"x": {0: "not a name"}}, "dimension 0 is 'not a name'"),
        ({"z": {0: "n"}}, r"no argument 'z'[\s\S]*x, y"),
        ({"x": {0: Dim("a") * Dim("b")}}, r"let every size but one stand alone"),
    ],
)
def test_examples_and_sizes_that_do_not_fit(shapes, text):
    with pytest.raises(ArgumentError, match=text):
        trace(lambda x, y: x.sum() + y.sum(), (numbers(5), numbers(3)), dynamic_shapes=shapes)


def test_dims_of_no_sense_are_refused():
    for make in (lambda: Dim("a b"), lambda: Dim("n", min=3, max=2), lambda: Dim("n", min=-1)):
        with pytest.raises(ArgumentError, match="Dim"):
            make()
    with pytest.raises(TypeError):
        Dim("n") + 0.5


def test_bounds_said_once_hold_for_the_name_everywhere(via):
    shapes = {"x": {0: "n"}, "y": {0: Dim("n", min=2, max=9)}}
    program = via(trace(lambda x, y: x + y, (numbers(3), numbers(3)), dynamic_shapes=shapes))
    for n in (1, 10):
        with pytest.raises(ShapeError, match="n is out of its bounds"):
            program(numbers(n), numbers(n))


def test_relations_that_the_program_needs_are_kept(via):
    program = via(
        trace(lambda x, y: x + y[1:], (numbers(3), numbers(4)), dynamic_shapes={"x": {0: "t"}, "y": {0: "u"}})
    )
    agree(program, lambda x, y: x + y[1:], numbers(6), numbers(7))
    with pytest.raises(ShapeError, match=r"assuming[\s\S]*test_trace_dims.py"):
        program(numbers(6), numbers(8))


def test_a_size_of_one_is_not_taken_for_granted():
    def broadcast(x, y):
        return x + y

    def squeeze(x):
        return x * 2 if x.shape[0] == 1 else x

    with pytest.raises(ShapeError, match=r"do not broadcast[\s\S]*n != 4[\s\S]*return x \+ y"):
        trace(broadcast, (numbers(1), numbers(4)), dynamic_shapes={"x": {0: "n"}})
    with pytest.raises(
        CaptureError, match=r"'n' was fixed to 1[\s\S]*x.shape\[0\] == 1[\s\S]*specialize_ok=\(\"n\",\)"
    ):
        trace(squeeze, numbers(1), dynamic_shapes={"x": {0: "n"}})
    program = trace(squeeze, numbers(1), dynamic_shapes={"x": {0: "n"}}, specialize_ok=("n",))
    agree(program, squeeze, numbers(1))
    with pytest.raises(ShapeError, match="n == 1"):
        program(numbers(4))


@pytest.mark.parametrize("size", [0, 1, 2, 5])
def test_example_sizes_of_zero_and_one_stay_general(size, via):
    def f(x):
        return ingot.softmax(x * 2 + x.mean(1, keepdim=True), 1).sum(0)

    program = via(trace(f, numbers(size, 3), dynamic_shapes={0: "n"}))
    assert not program.graph.assumptions
    for n in (0, 1, 2, 7):
        agree(program, f, numbers(n, 3, seed=n))


def test_a_fixed_size_is_an_error_that_names_its_line():
    def f(x):
        rows = int(x.shape[0])
        return x.reshape(rows * 2, -1)

    with pytest.raises(CaptureError) as caught:
        trace(f, numbers(4, 2), dynamic_shapes={0: "batch"})
    for part in ("the dynamic size 'batch' was fixed to 4", "rows = int(x.shape[0])", "test_trace_dims.py", "int()"):
        assert part in str(caught.value)
    for allowed in ("batch", ("batch",), True):
        program = trace(f, numbers(4, 2), dynamic_shapes={0: "batch"}, specialize_ok=allowed)
        with pytest.raises(
            ShapeError, match=r"traced assuming batch == 4 at test_trace_dims.py:\d+:\d+; got batch = 5"
        ):
            program(numbers(5, 2))
    with pytest.raises(CaptureError, match="'batch' was fixed"):
        trace(f, numbers(4, 2), dynamic_shapes={0: "batch"}, specialize_ok=("other",))


def test_a_size_fixed_by_two_assumptions_is_found():
    def f(x):
        return x * 2 if x.shape[0] >= 3 and x.shape[0] <= 3 else x

    with pytest.raises(CaptureError, match="'n' was fixed to 3"):
        trace(f, numbers(3), dynamic_shapes={0: "n"})


def test_a_size_that_can_have_one_value_anyway_is_no_error():
    program = trace(lambda x: x.reshape(int(x.shape[0]), 1), numbers(3), dynamic_shapes={0: Dim("n", min=3, max=3)})
    assert program(numbers(3)).shape == (3, 1)


def test_all_sizes_dynamic(via):
    def f(x, pair):
        return x @ pair[0] + pair[1]

    program = via(trace(f, (numbers(2, 3), (numbers(3, 4), numbers(4))), dynamic_shapes="all"))
    found = program(numbers(5, 6), (numbers(6, 2), numbers(2)))
    assert found.shape == (5, 2)
    with pytest.raises(ShapeError):
        program(numbers(5, 6), (numbers(7, 2), numbers(2)))


def test_all_sizes_of_all_entry_points_dynamic():
    entries = {"a": (lambda x: x + 1, numbers(2)), "b": (lambda x, k: x * k["y"], (numbers(3), {"y": numbers(3)}))}
    program = trace(None, entries, dynamic_shapes="all")
    assert program.a(numbers(5)).shape == (5,)
    assert program.b(numbers(4), {"y": numbers(4)}).shape == (4,)


def test_automatic_sizes_may_be_fixed(via):
    def f(x):
        return x.reshape(int(x.shape[0]), -1).sum(0)

    program = via(trace(f, numbers(2, 3), dynamic_shapes={"x": {0: Dim.AUTO, 1: Dim.AUTO}}))
    agree(program, f, numbers(2, 7))
    with pytest.raises(ShapeError, match="x_0 == 2"):
        program(numbers(3, 7))


def head(x, y, scale):
    if x.shape[0] > 4:
        x = x[:4]
    return x.sum() * scale + y.reshape(int(y.shape[0]), -1).sum()


def test_the_report_names_all_that_was_taken_for_granted(via):
    weight = ingot.ones(())
    inputs = (numbers(6), numbers(2, 3), runtime(0.5))
    shapes = {"x": {0: Dim("time", max=100)}, "y": {0: "rows", 1: Dim("width", min=1)}}

    def f(x, y, scale, mode="sum"):
        return head(x, y, scale) * weight

    program = via(trace(f, inputs, dynamic_shapes=shapes, specialize_ok=("rows",)))
    text = program.report()
    assert text == capture_report(program)
    for part in (
        "forward(x, y, scale, mode='sum')",
        "f32[time]",
        "float  (given at each call)",
        "constant: 'sum'",
        "5 <= time <= 100",
        "width >= 1",
        "rows == 2, for good",
        "time > 4          at test_trace_dims.py:",
        "if x.shape[0] > 4:",
        "int() needs a plain number",
        "weight            f32[]  read",
        "print(program.ledger)",
    ):
        assert part in text, part


def test_the_report_has_a_part_for_each_entry_point():
    program = trace(
        None,
        {"a": (lambda x: x + 1, numbers(2)), "b": (lambda y: y.add_(1) * 2, numbers(3))},
        mutates="write_back",
    )
    text = program.report()
    assert text.index("a(x)") < text.index("b(y)")
    assert "y                 the caller's own, at each call" in text


def test_a_size_that_one_side_of_a_branch_fixes():
    layer = ingot.nn.Linear(2, 2)

    @ingot.jit.script
    def f(x):
        while x.sum() > 1:
            if x.sum() > 4:
                x = layer(x) - 1
            else:
                x = x - 1
        return x

    program = f.program(ingot.ones(3, 2))
    assert [str(assumption.relation) for assumption in program.graph.assumptions] == ["x_1 == 2"]
    x = ingot.full((5, 2), 1.0)
    assert ingot.allclose(program(x), f.original(x))
    with pytest.raises(ShapeError, match="x_1 == 2"):
        program(ingot.ones(5, 3))


def test_a_named_size_that_one_side_of_a_branch_needs_is_checked_on_that_side():
    layer = ingot.nn.Linear(2, 2)

    def f(x):
        return layer(x) if x.sum() > 4 else -x

    program = ingot.jit.trace(f, ingot.ones(3, 2), dynamic_shapes={1: "width"}, script_branches=True)
    for x in (ingot.ones(3, 2), -ingot.ones(3, 2), -ingot.ones(3, 5)):
        assert ingot.equal(program(x), f(x))
    with pytest.raises(AssertError, match="width == 2"):
        program(ingot.ones(3, 5))
