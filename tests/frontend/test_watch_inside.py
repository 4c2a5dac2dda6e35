"""Watched values inside of branches and loops: one for each iteration, None where another side ran."""

import ingot
import numpy as np
import pytest
from ingot import nn
from ingot.frontend.watch_places import places_at, watched_graph
from ingot.ir.parser import parse
from ingot.ir.verifier import verify

FILE = "test_watch_inside.py"


def line(function, number):
    """The place of a line of a function, counted from its `def`."""
    return f"{FILE}:{function.__code__.co_firstlineno + number}"


def shown(value):
    """Watched values as NumPy arrays, in lists and tuples as they were."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(shown, value))
    return value.numpy() if isinstance(value, ingot.Tensor) else value


@pytest.fixture(params=["numpy", "reference", "loaded"])
def form(request, tmp_path):
    """Makes of a program what is watched: itself on a backend, or what its file holds."""

    def make(program):
        if request.param != "loaded":
            return program.on(request.param)
        program.save(tmp_path / "program.ingot")
        return ingot.load(tmp_path / "program.ingot")

    return make


class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3)

    def forward(self, x, h):
        return ingot.tanh(self.inner(h) + x)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = Cell()
        self.out = nn.Linear(3, 1)

    def forward(self, xs):
        h = xs[0] * 0
        for x in xs:
            h = self.cell(x, h)
        return self.out(h)


def test_a_module_inside_of_a_loop(form, rng):
    ingot.manual_seed(0)
    net = Recurrent()
    program = form(ingot.jit.trace(net, ingot.ones(2, 3), script_branches=True, dynamic_shapes={0: "steps"}))
    for steps in (4, 1, 6):
        xs = ingot.tensor(rng.standard_normal((steps, 3)).astype(np.float32))
        expected, h = [], xs[0] * 0
        with ingot.no_grad():
            for x in xs:
                h = net.cell(x, h)
                expected.append(h.numpy())
            with program.watch("cell") as cell, program.watch("cell.inner") as inner, program.watch("out") as out:
                result = program(xs)
        assert isinstance(cell.last, list) and len(cell.last) == len(inner.last) == steps
        np.testing.assert_allclose(shown(cell.last), expected, rtol=1e-5, atol=1e-6)
        assert ingot.equal(out.last, result)  # outside of the loop: a tensor


def test_with_gradients(rng):
    net = Recurrent()
    program = ingot.jit.trace(net, ingot.ones(2, 3), script_branches=True, dynamic_shapes={0: "steps"})
    xs = ingot.tensor(rng.standard_normal((4, 3)).astype(np.float32))
    parameters = program.named_parameters()
    program(xs).sum().backward()
    expected = parameters["cell.inner.weight"].grad.clone()
    parameters["cell.inner.weight"].grad = None
    with program.watch("cell") as cell:
        program(xs).sum().backward()
    assert len(cell.values) == 1 and len(cell.last) == 4
    assert ingot.allclose(parameters["cell.inner.weight"].grad, expected)


def growing(x, steps: int):
    for _ in range(steps):
        x = ingot.cat([x, x[-1:] + 1])
    return x


def test_sizes_that_differ_from_iteration_to_iteration(form):
    program = form(ingot.jit.trace(growing, (ingot.ones(1), ingot.jit.runtime(2)), script_branches=True))
    with program.watch(line(growing, 2)) as watched:
        program(ingot.tensor([1.0]), 3)
        program(ingot.tensor([1.0]), 0)
    assert [x.tolist() for x in watched.values[0]] == [[1, 2], [1, 2, 3], [1, 2, 3, 4]]
    assert watched.values[1] == []


def one_sided(x):
    if x.sum() > 0:
        y = x * 2
        z = y + 1
    else:
        z = x - 1
    return z


def test_one_side_of_a_branch(form):
    program = form(ingot.jit.trace(one_sided, ingot.ones(2), script_branches=True))
    with program.watch(line(one_sided, 2)) as first, program.watch(line(one_sided, 5)) as other:
        for sign in (1.0, -1.0):
            program(ingot.full((2,), sign))
    assert first.values[0].tolist() == [2.0, 2.0] and first.values[1] is None
    assert other.values[0] is None and other.values[1].tolist() == [-2.0, -2.0]


def mixed(x, n: int):
    total = x[0] * 0
    for row in x:
        for _ in range(n):
            if row > 1:
                step = row * 10
            else:
                step = row - 1
            total = total + step
    return total


def test_branches_and_loops_in_loops_give_one_flat_list(form):
    example = (ingot.ones(2), ingot.jit.runtime(3))
    program = form(ingot.jit.trace(mixed, example, script_branches=True, dynamic_shapes={"x": {0: "rows"}}))
    with program.watch(line(mixed, 5)) as large, program.watch(line(mixed, 8)) as totals:
        result = program(ingot.tensor([2.0, 0.5, 3.0]), 2)
    assert [None if x is None else float(x) for x in large.last] == [20.0, 20.0, None, None, 30.0, 30.0]
    assert [float(x) for x in totals.last] == [20.0, 40.0, 39.5, 39.0, 69.0, 99.0]
    assert float(result) == 99.0


def test_a_hook_and_several_values_of_a_line(form):
    def f(x):
        for _ in range(x.shape[0]):
            low, high = x.min(), x.max()
            x = (x - low) * high
        return x

    program = form(ingot.jit.trace(f, ingot.tensor([1.0, 3.0]), script_branches=True, dynamic_shapes="all"))
    seen = []
    handle = program.watch(line(f, 2), seen.append)
    result = program(ingot.tensor([1.0, 2.0, 4.0]))
    handle.remove()
    program(ingot.tensor([1.0, 2.0, 4.0]))
    ((low, high),) = seen
    assert [float(x) for x in low] == [1.0, 0.0, 0.0] and [float(x) for x in high] == [4.0, 12.0, 144.0]
    assert result.tolist() == [0.0, 4.0 * 12 * 144, 12.0 * 12 * 144]


def test_what_is_watched_does_not_change_with_what_follows(form):
    def f(x):
        for _ in range(x.shape[0]):
            y = x + 1
            x = y * 2
        return x

    program = form(ingot.jit.trace(f, ingot.ones(2), script_branches=True, dynamic_shapes="all"))
    with program.watch(line(f, 2)) as watched:
        program(ingot.zeros(3))
        program(ingot.ones(3))
    assert [x[0].item() for x in watched.values[0]] == [1.0, 3.0, 7.0]
    assert [x[0].item() for x in watched.values[1]] == [2.0, 5.0, 11.0]


def test_in_several_threads():
    from concurrent.futures import ThreadPoolExecutor

    def f(x):
        for _ in range(x.shape[0]):
            x = x + 1
        return x

    program = ingot.jit.trace(f, ingot.ones(2), script_branches=True, dynamic_shapes="all")
    with program.watch(line(f, 2)) as watched, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: program(ingot.full((n,), 10.0 * n)), range(1, 9)))
    assert sorted(len(found) for found in watched.values) == list(range(1, 9))
    for found in watched.values:
        n = len(found)
        assert [x[0].item() for x in found] == [10.0 * n + k + 1 for k in range(n)]


BRANCHES = """
graph @f(%x : f32[2], %c : bool, %d : bool) -> (f32[2]):
  %y : f32[2] = prim::If(%c)  @m.py:2:1
    block0():
      %a : f32[2] = ingot::exp(%x)  @m.py:3:1 in inner
      -> (%a)
    block1():
      %z : f32[2] = prim::If(%d)  @m.py:4:1
        block0():
          %b : f32[2] = ingot::log(%x)  @m.py:5:1 in inner
          -> (%b)
        block1():
          -> (%x)
      -> (%z)
  return (%y)
"""


def test_values_of_both_sides_are_one_place():
    graph = parse(BRANCHES)
    assert [place.names for place in places_at(graph, "m.py:2")] == [("y",)]
    (inner,) = places_at(graph, "inner")
    assert inner.names == ("a", "b") and not inner.repeats
    assert [place.names for place in places_at(graph, "m.py:5")] == [("b",)]
    made = watched_graph(graph, [inner])
    verify(made)
    assert str(made).count("prim::Watch") == 3  # the two values, and nothing where neither is computed


def test_a_programs_own_graph_has_no_watches():
    program = ingot.jit.trace(one_sided, ingot.ones(2), script_branches=True)
    before, code = str(program.graph), program.code()
    with program.watch(line(one_sided, 2)):
        program(ingot.ones(2))
        assert "Watch" not in program.code()
    assert str(program.graph) == before and program.code() == code


def test_training_and_evaluation_of_a_module_that_one_of_them_leaves_out():
    program = ingot.jit.trace(
        nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5)), ingot.ones(4, 2), modes=("train", "eval")
    )
    with program.watch("1") as dropout:
        program(ingot.ones(4, 2), training=True)
        program(ingot.ones(4, 2), training=False)
    trained, evaluated = dropout.values
    assert trained.shape == (4, 3) and evaluated is None
