"""Programs inside of other things: captures, eager modules; other dtypes, threads and generators."""

import copy

import ingot
import numpy as np
import pytest
from ingot import nn
from ingot.ir.errors import ArgumentError, DTypeError, ShapeError, UnsupportedError


def encoder_program(**options):
    ingot.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU())
    return net, ingot.jit.trace(net, ingot.rand(2, 4), dynamic_shapes={0: "n"}, **options)


@pytest.fixture
def x(rng):
    return ingot.tensor(rng.standard_normal((5, 4)).astype(np.float32))


# ------------------------------------------------------------------------------------------------- in a capture


def test_a_program_is_inlined_with_its_state_under_the_variables_name(x):
    net, encoder = encoder_program()
    outer = ingot.jit.trace(lambda x: encoder(x * 2).sum(1), ingot.rand(3, 4), dynamic_shapes={0: "m"})
    assert set(outer.state) == {f"encoder.{key}" for key in encoder.state if key != "1.num_batches_tracked"} | {
        key for key in outer.state if "num_batches_tracked" in key
    }
    assert "(%x : f32[m, 4])" in str(outer.graph)
    before = encoder.state["1.running_mean"].clone()
    expected = net(x * 2).sum(1)
    assert ingot.allclose(outer(x), expected, atol=1e-5)
    assert ingot.allclose(outer.state["encoder.1.running_mean"], net[1].running_mean, atol=1e-6)
    # Capturing and running the outer program left the inner one alone.
    assert ingot.equal(encoder.state["1.running_mean"], before)


def test_two_uses_share_state():
    def count(x):
        counter.add_(1)
        return x + counter

    counter = ingot.zeros(1)
    inner = ingot.jit.trace(count, ingot.zeros(1))
    outer = ingot.jit.trace(lambda x: (inner(x), inner(x)), ingot.zeros(1))
    assert len(outer.state) == 1
    assert [t.item() for t in outer(ingot.zeros(1))] == [1.0, 2.0]
    assert [t.item() for t in outer(ingot.zeros(1))] == [3.0, 4.0]
    assert inner(ingot.zeros(1)).item() == 1.0


def test_nodes_keep_their_lines_and_module_paths(x):
    _, encoder = encoder_program()

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = encoder
            self.head = nn.Linear(3, 1)

        def forward(self, x):
            return self.head(self.body(x))

    outer = ingot.jit.trace(Outer(), ingot.rand(3, 4))
    paths = {node.path for node in outer.graph.nodes()}
    assert {"body.0", "body.1", "head"} <= paths
    assert "body.0.weight" in outer.state
    lines = {str(node.location) for node in encoder.graph.nodes() if node.path == "0"}
    assert lines <= {str(node.location) for node in outer.graph.nodes()}


def test_sizes_are_bound_and_assumptions_are_carried_over():
    def pool(x):
        assert x.shape[0] % 2 == 0
        return x.reshape(x.shape[0] // 2, 2).sum(1)

    inner = ingot.jit.trace(pool, ingot.ones(4), dynamic_shapes={0: "n"})
    outer = ingot.jit.trace(lambda x: inner(x) * 1, ingot.ones(6), dynamic_shapes={0: "m"})
    assert outer(ingot.ones(8)).shape == (4,)
    line = pool.__code__.co_firstlineno + 1
    (assumption,) = outer.graph.assumptions
    assert assumption.location.line == line
    with pytest.raises(ShapeError, match="m % 2 == 0"):
        outer(ingot.ones(7))
    doubled = ingot.jit.trace(lambda x: inner(ingot.cat([x, x])), ingot.ones(3), dynamic_shapes={0: "k"})
    assert not doubled.graph.assumptions
    assert doubled(ingot.ones(5)).shape == (5,)


def test_inputs_that_do_not_fit_are_refused():
    _, encoder = encoder_program()
    with pytest.raises(ShapeError):
        ingot.jit.trace(lambda x: encoder(x), ingot.rand(3, 5))
    with pytest.raises(ShapeError, match="number of dimensions"):
        ingot.jit.trace(lambda x: encoder(x), ingot.rand(4))
    with pytest.raises(DTypeError, match="another dtype"):
        ingot.jit.trace(lambda x: encoder(x), ingot.rand(3, 4).double())


def test_a_program_trained_inside_of_a_captured_step(x):
    net, encoder = encoder_program()
    reference = nn.Sequential(*net)
    optimizer = ingot.optim.SGD(encoder.parameters(), lr=0.1)

    def step(x):
        optimizer.zero_grad()
        loss = (encoder(x) ** 2).sum()
        loss.backward()
        optimizer.step()
        return loss

    program = ingot.jit.trace(step, ingot.rand(5, 4))
    eager = ingot.optim.SGD(reference.parameters(), lr=0.1)
    for _ in range(3):
        eager.zero_grad()
        loss = (reference(x) ** 2).sum()
        loss.backward()
        eager.step()
        assert program(x).item() == pytest.approx(loss.item(), rel=1e-4)


def test_a_program_with_a_branch_or_a_loop_inside(rng):
    from ingot.frontend.program import Program
    from ingot.ir.parser import parse
    from ingot.ir.program import ProgramRecord, Signature

    graph = parse("""
graph @forward(%x : f32[n], %c : bool[]) -> (f32[n]):
  %two : f32[] = ingot::full[size=[], value=2.0, dtype=f32]()
  %y : f32[n] = prim::If(%c)
    block0():
      %a : f32[n] = ingot::mul(%x, %two)
      -> (%a)
    block1():
      %m : f32[n] = ingot::neg(%x)
      -> (%m)
  return (%y)
""")
    leaf = {"kind": "leaf"}
    inner = Program(ProgramRecord({"forward": graph}, {}, {"forward": Signature(("x", "c"), (leaf, leaf), leaf)}))
    outer = ingot.jit.trace(
        lambda x, c: inner(x + 1, c) + 1,
        (ingot.ones(3), ingot.tensor(True)),
        dynamic_shapes={"x": {0: "k"}},
    )
    x = ingot.tensor(rng.standard_normal(4).astype(np.float32))
    assert ingot.allclose(outer(x, ingot.tensor(True)), (x + 1) * 2 + 1)
    assert ingot.allclose(outer(x, ingot.tensor(False)), -(x + 1) + 1)


def test_a_loop_inside_has_a_gradient_and_takes_run_time_numbers():
    from ingot.frontend.program import Program
    from ingot.ir.parser import parse
    from ingot.ir.program import ProgramRecord, Signature

    graph = parse("""
graph @forward(%x : f32[n], %k : int) -> (f32[n]):
  %t : bool = prim::Constant[value=true]()
  %y : f32[n] = prim::Loop(%k, %t, %x)
    block0(%i : int, %c : f32[n]):
      %a : f32[n] = ingot::add(%c, %c)
      -> (%t, %a)
  return (%y)
""")
    trees = ({"kind": "leaf"}, {"kind": "number", "type": "int"})
    record = ProgramRecord({"forward": graph}, {}, {"forward": Signature(("x", "k"), trees, {"kind": "leaf"})})
    inner = Program(record)
    outer = ingot.jit.trace(
        lambda x, k: inner(x + 1, k) * 2, (ingot.ones(3), ingot.jit.runtime(2)), dynamic_shapes={"x": {0: "m"}}
    )
    assert outer(ingot.ones(4), 4).tolist() == [64.0] * 4

    def slope(x):
        x = x.detach().requires_grad_()
        return ingot.autograd.grad(inner(x * 3, 2).sum(), x)[0]

    assert ingot.jit.trace(slope, ingot.ones(3))(ingot.ones(3)).tolist() == [12.0] * 3


def test_what_an_inner_program_writes_back_is_written_in_the_outer_one():
    def change(x):
        x.add_(1)
        return x * 2

    inner = ingot.jit.trace(change, ingot.zeros(2), mutates="write_back")

    def f(x):
        h = x * 3
        return inner(h) + h

    assert ingot.jit.trace(f, ingot.ones(2))(ingot.ones(2)).tolist() == [12.0, 12.0]


def test_sizes_that_the_data_decide_inside():
    inner = ingot.jit.trace(lambda x: (x * x.sum().item(), x.nonzero()), ingot.ones(3))
    outer = ingot.jit.trace(lambda x: tuple(t + 1 for t in inner(x * 2)), ingot.ones(3))
    a, b = outer(ingot.tensor([1.0, 1.0, 0.0]))
    assert a.tolist() == [9.0, 9.0, 1.0]
    assert b.tolist() == [[1], [2]]


# ---------------------------------------------------------------------------------------------- in an eager module


def test_a_program_as_a_part_of_an_eager_module(x):
    net, encoder = encoder_program()
    model = nn.Sequential(encoder, nn.Linear(3, 1))
    assert [name for name, _ in model.named_parameters()] == [
        "0.0.weight", "0.0.bias", "0.1.weight", "0.1.bias", "1.weight", "1.bias",
    ]  # fmt: skip
    assert "0.1.running_mean" in model.state_dict()
    assert model[0].program is encoder
    assert model[0].graph is encoder.graph
    optimizer = ingot.optim.SGD(model.parameters(), lr=0.1)
    before = model(x).sum()
    before.backward()
    optimizer.step()
    assert not ingot.equal(encoder.state["0.weight"], net[0].weight)
    assert ingot.allclose(encoder.state["1.running_mean"], model.state_dict()["0.1.running_mean"])
    assert not ingot.equal(model(x).sum(), before)


def test_loading_a_state_dict_reaches_the_program(x):
    net, encoder = encoder_program()
    encoder = ingot.jit.trace(net.eval(), ingot.rand(2, 4), dynamic_shapes={0: "n"})

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = encoder

        def forward(self, x):
            return self.body(x)

    model = Model()
    model(x)  # what follows from the state has been computed
    state = {key: value * 2 + 1 for key, value in model.state_dict().items()}
    model.load_state_dict(state)
    with ingot.no_grad():
        for key, value in net.state_dict().items():
            if f"body.{key}" in state:  # evaluation does not count batches
                value.copy_(state[f"body.{key}"])
        assert ingot.allclose(model(x), net(x), atol=1e-5)


def test_a_module_that_is_moved_to_another_dtype_takes_the_program_along(x):
    net, encoder = encoder_program()
    model = nn.Sequential(encoder).double()
    assert ingot.allclose(model(x.double()), net.double()(x.double()), atol=1e-9)
    assert model[0].program.state["0.weight"].dtype is ingot.float64


def test_a_program_of_both_modes_follows_the_modules_mode(x):
    layer = nn.BatchNorm1d(4)
    program = ingot.jit.trace(layer, ingot.rand(3, 4), dynamic_shapes={0: "n"}, modes=("train", "eval"))
    model = nn.Sequential(program)
    assert ingot.allclose(model.train()(x), layer.train()(x), atol=1e-6)
    assert ingot.allclose(model.eval()(x), layer.eval()(x), atol=1e-6)
    outer = ingot.jit.trace(model.train(), ingot.rand(3, 4), dynamic_shapes={0: "n"})
    assert ingot.allclose(outer(x), layer.train()(x), atol=1e-6)


def test_copies_of_a_module_have_programs_of_their_own(x):
    _, encoder = encoder_program()
    model = nn.Sequential(encoder)
    again = copy.deepcopy(model)
    assert ingot.equal(again(x), model(x))
    again(x).sum().backward()
    assert again[0].get_parameter("0.weight").grad is not None
    assert model[0].get_parameter("0.weight").grad is None
    with ingot.no_grad():
        for parameter in again.parameters():
            parameter.zero_()
    assert not ingot.equal(again(x), model(x))
    assert ingot.equal(again(x), ingot.zeros(5, 3))
    assert again[0].program is not encoder


# ------------------------------------------------------------------------------------------------ to, threads, draws


@pytest.mark.parametrize("dtype", [ingot.float64, ingot.float16, ingot.bfloat16])
def test_a_program_in_another_dtype(dtype, x):
    net, _ = encoder_program()
    net.eval()
    program = ingot.jit.trace(net, ingot.rand(2, 4), dynamic_shapes={0: "n"})
    converted = program.to(dtype)
    result = converted(x.to(dtype))
    assert result.dtype is dtype
    tolerance = {"float64": 1e-5, "float16": 1e-2, "bfloat16": 1e-1}[dtype.name]
    assert ingot.allclose(result.float(), net(x), atol=tolerance, rtol=tolerance)
    assert program(x).dtype is ingot.float32
    assert converted.to(ingot.float32)(x).dtype is ingot.float32
    with pytest.raises(DTypeError):
        converted(x)


def test_a_program_that_draws_in_another_dtype():
    program = ingot.jit.trace(lambda x: x + ingot.rand(2), ingot.zeros(2))
    converted = program.double()
    assert converted(ingot.zeros(2).double()).dtype is ingot.float64
    assert converted.record.state["rng"].dtype == "uint64"


def test_dtypes_that_the_program_asks_for_stay():
    def f(x):
        return x.double().sum(0), ingot.zeros(2) + x, x * ingot.tensor([1.0, 2.0])

    program = ingot.jit.trace(f, ingot.ones(2)).half()
    a, b, c = program(ingot.ones(2).half())
    assert (a.dtype, b.dtype, c.dtype) == (ingot.float64, ingot.float16, ingot.float16)
    assert c.tolist() == [1.0, 2.0]


def test_what_to_takes_and_refuses():
    program = ingot.jit.trace(lambda x: x * 2, ingot.ones(2))
    assert program.to("reference").backend == "reference"
    assert program.to("float64")(ingot.ones(2).double()).dtype is ingot.float64
    assert program.to("cpu") is program
    assert program.cpu().float() is program
    with pytest.raises(ArgumentError, match="int32"):
        program.to(ingot.int32)
    with pytest.raises(UnsupportedError):
        program.to("tpu")
    with pytest.raises(ArgumentError, match="no argument 'memory_format'"):
        program.to(memory_format=1)


def test_threads_of_a_program_and_of_the_process(monkeypatch):
    from ingot.backends.numpy import blocks

    monkeypatch.setenv("INGOT_NUM_THREADS", "4")
    seen = []
    cut = blocks.Cut.__init__
    monkeypatch.setattr(blocks.Cut, "__init__", lambda self, a, b, n: (seen.append(n), cut(self, a, b, n))[1])
    program = ingot.jit.trace(lambda x: (x * 2 + 1).exp().tanh().sin(), ingot.ones(3), check=False)
    assert ingot.get_num_threads() == 4
    program.num_threads = 1
    assert program.num_threads == 1
    ingot.set_num_threads(2)
    try:
        assert ingot.get_num_threads() == 2
    finally:
        ingot.set_num_threads(None)
    assert ingot.get_num_threads() == 4
    for wrong in (0, 1.5, True):
        with pytest.raises(ArgumentError, match="number of threads"):
            ingot.set_num_threads(wrong)
    program.num_threads = 0
    with pytest.raises(ArgumentError, match="number of threads"):
        program(ingot.ones(3))


def test_plans_are_cut_for_the_threads_that_were_asked_for(monkeypatch):
    import re

    monkeypatch.setenv("INGOT_NUM_THREADS", "3")
    x = ingot.ones(1 << 20)
    program = ingot.jit.trace(lambda x: (x * 2 + 1).exp().tanh().sin(), x, check=False)
    run = program._compile("forward").run
    expected = program(x)
    program.num_threads = 1
    assert ingot.equal(program(x), expected)
    plans = (
        [key for key, _ in run._plans]
        if run._plans
        else [key for key, _ in program._entries["forward", "numpy"].run._plans]
    )
    assert plans == [0, 1]
    assert re.search("fused", program.code())


def test_seeding_and_drawing_from_a_generator():
    program = ingot.jit.trace(lambda x: x + ingot.rand(3), ingot.zeros(3))
    x = ingot.zeros(3)
    a, b = program.manual_seed(1)(x), program(x)
    assert not ingot.equal(a, b)
    assert ingot.equal(program.manual_seed(1)(x), a)
    ingot.manual_seed(1)
    assert ingot.equal(ingot.rand(3), a)
    generator = ingot.Generator().manual_seed(1)
    key = program.record.state["rng"].copy()
    assert ingot.equal(program(x, generator=generator), a)
    assert ingot.equal(program(x, generator=generator), b)
    assert np.array_equal(program.record.state["rng"], key)
    with pytest.raises(ArgumentError, match="draws no random numbers"):
        ingot.jit.trace(lambda x: x * 2, x).manual_seed(0)
    with pytest.raises(ArgumentError, match="generator is a int"):
        program(x, generator=3)
    outer = ingot.jit.trace(lambda x: program(x) * 1, x)
    program.manual_seed(5)
    assert ingot.equal(outer.manual_seed(5)(x), program(x))
