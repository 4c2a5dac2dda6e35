"""Capture by tracing: what the graph holds, what stays dynamic, what is refused."""

import ingot
import numpy as np
import pytest
from ingot import nn
from ingot.ir.errors import ArgumentError, CaptureError, IngotError, ShapeError
from ingot.ir.graph import same_graph
from ingot.ir.parser import parse
from ingot.jit import Dim, trace
from ingot.nn import functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4 * 4, 3)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn(self.conv(x))), 2)
        return self.fc(self.dropout(ingot.flatten(x, 1)))


@pytest.fixture
def net():
    ingot.manual_seed(0)
    return Net()


def images(count, seed=0):
    return ingot.tensor(np.random.default_rng(seed).standard_normal((count, 1, 4, 4)).astype(np.float32))


def test_evaluation_mode_equals_eager_at_other_batch_sizes(net):
    net.eval()
    program = trace(net, images(3), dynamic_shapes={"x": {0: "batch"}})
    for count in (1, 2, 7, 64):
        x = images(count, seed=count)
        np.testing.assert_allclose(program(x).numpy(), net(x).detach().numpy(), atol=1e-6)
    assert str(program.graph.inputs[0].type) == "f32[batch, 1, 4, 4]"
    assert not program.graph.updates


def test_graph_reads_like_the_program_and_survives_its_text(net):
    net.eval()
    program = trace(net, images(3), dynamic_shapes={"x": {0: "batch"}})
    text = str(program.graph)
    assert '"conv.weight"' in text
    assert "in conv" in text
    assert same_graph(parse(text), program.graph) is None


def test_training_mode_updates_statistics_and_the_random_state(net):
    x = images(8)
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    key = ingot.get_rng_state().tolist()
    program = trace(net, x, dynamic_shapes={"x": {0: "batch"}})
    assert ingot.get_rng_state().tolist() == key
    for name, tensor in net.state_dict().items():
        assert ingot.equal(tensor, before[name]), name
    assert {"bn.running_mean", "bn.running_var", "rng"} <= set(program.graph.updates)
    for step in range(3):
        batch = images(5 + step, seed=step)
        expected = net(batch).detach().numpy()
        np.testing.assert_allclose(program(batch).numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(program.state["bn.running_var"].numpy(), net.bn.running_var.numpy(), rtol=1e-5)


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW"])
def test_a_traced_training_step_gives_eagers_losses(net, optimizer):
    options = {"lr": 0.05, "momentum": 0.9} if optimizer == "SGD" else {"lr": 0.01}
    opt = getattr(ingot.optim, optimizer)(net.parameters(), **options)

    def step(x, y):
        loss = F.cross_entropy(net(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        return loss

    data = [(images(8, seed=i), ingot.tensor(np.random.default_rng(i).integers(0, 3, 8))) for i in range(10)]
    program = trace(step, data[0], dynamic_shapes=({0: "batch"}, {0: "batch"}))
    captured = [program(x, y).item() for x, y in data]
    eager = [step(x, y).item() for x, y in data]
    np.testing.assert_allclose(captured, eager, rtol=1e-4)
    assert eager[0] != eager[-1]


def test_in_place_operations_become_functional():
    def f(x):
        y = x.contiguous() * 1
        y[:, 0] = 9
        y[1:].add_(x[:-1])
        rows = y.reshape(-1)
        rows[::2] *= 2
        return y, rows

    program = trace(f, ingot.ones(3, 4), dynamic_shapes={0: "n"})
    x = ingot.tensor(np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32))
    for mine, theirs in zip(program(x), f(x), strict=True):
        assert ingot.equal(mine, theirs)


def test_an_input_changed_in_place_is_refused():
    def f(x):
        x.add_(1)
        return x

    with pytest.raises(CaptureError, match=r"changes one of its inputs[\s\S]*test_trace.py[\s\S]*clone\(\)"):
        trace(f, ingot.ones(2))


def test_a_branch_on_data_names_the_line_and_the_way_out():
    def f(x):
        if x.sum() > 0:
            return x
        return -x

    with pytest.raises(CaptureError) as caught:
        trace(f, ingot.ones(2))
    text = str(caught.value)
    assert "if x.sum() > 0:" in text
    assert "^^^^^^^^^^^" in text
    assert "test_trace.py" in text
    assert "ingot.where" in text
    assert ingot.jit.is_tracing() is False


def test_a_branch_on_a_constant_is_taken():
    def f(x):
        return x * 2 if bool(ingot.tensor(1.0) > 0) else x

    assert trace(f, ingot.ones(2))(ingot.ones(2)).tolist() == [2.0, 2.0]


def test_a_branch_on_state_is_refused():
    flag = ingot.tensor(1.0)
    with pytest.raises(CaptureError, match="branch"):
        trace(lambda x: x * 2 if flag > 0 else x, ingot.ones(2))


def test_errors_in_user_code_show_the_line_while_tracing():
    def f(x):
        return x @ ingot.ones(5, 2)

    with pytest.raises(ShapeError) as caught:
        trace(f, ingot.ones(3, 4))
    text = str(caught.value)
    for part in ("inner sizes differ", "4 != 5", "x @ ingot.ones(5, 2)", "while tracing @forward", "^^^"):
        assert part in text


def test_int_of_a_dynamic_size_is_an_assumption_that_calls_check():
    def f(x):
        n = int(x.shape[0])
        return x.reshape(n * 2, 2)

    program = trace(f, ingot.ones(3, 4), dynamic_shapes={0: "n"}, specialize_ok=("n",))
    assert program(ingot.ones(3, 4)).shape == (6, 2)
    with pytest.raises(ShapeError, match=r"assuming n == 3[\s\S]*test_trace.py"):
        program(ingot.ones(4, 4))
    assert any("int() needs a plain number" in entry.what for entry in program.ledger)


def test_arithmetic_on_dynamic_sizes_stays_dynamic():
    def f(x):
        n = x.shape[0]
        return x.reshape(n * 2, -1), x.sum() / n, ingot.zeros(n, 2), x[: n // 2]

    program = trace(f, ingot.ones(6, 4), dynamic_shapes={0: "n"})
    assert not program.graph.assumptions
    for n in (1, 2, 9):
        x = ingot.tensor(np.random.default_rng(n).standard_normal((n, 4)).astype(np.float32))
        for mine, theirs in zip(program(x), f(x), strict=True):
            assert mine.shape == theirs.shape
            np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-5)


def test_sizes_zero_and_one_are_not_special():
    program = trace(lambda x: ingot.softmax(x, -1).sum(0), ingot.ones(4, 3), dynamic_shapes={0: "n"})
    for n in (0, 1, 2):
        assert program(ingot.ones(n, 3)).tolist() == pytest.approx([n / 3] * 3)


def test_a_comparison_of_sizes_is_decided_by_bounds_or_assumed():
    def f(x):
        if x.shape[0] >= 1:
            x = x + 1
        if x.shape[0] > 4:
            x = x * 2
        return x

    program = trace(f, ingot.ones(6), dynamic_shapes={0: Dim("n", min=1, max=100)})
    assert [str(a.relation) for a in program.graph.assumptions] == ["n > 4"]
    with pytest.raises(ShapeError, match="n > 4"):
        program(ingot.ones(3))
    with pytest.raises(ShapeError):
        program(ingot.ones(101))


def test_one_name_is_one_size():
    program = trace(lambda x, y: x + y, (ingot.ones(3), ingot.ones(3)), dynamic_shapes=({0: "n"}, {0: "n"}))
    assert program(ingot.ones(5), ingot.ones(5)).shape == (5,)
    with pytest.raises(ShapeError):
        program(ingot.ones(5), ingot.ones(4))
    with pytest.raises(ArgumentError, match="different sizes"):
        trace(lambda x, y: x, (ingot.ones(3), ingot.ones(4)), dynamic_shapes=({0: "n"}, {0: "n"}))


def test_nested_arguments_and_results():
    def f(pair, *, scale, names):
        a, b = pair
        return {"sum": (a + b) * scale, "parts": [a, (b, None)], "n": len(names)}

    example = ((ingot.ones(2), ingot.ones(2)),)
    program = trace(f, example, example_kwarg_inputs={"scale": ingot.tensor(2.0), "names": ["x", "y"]})
    found = program((ingot.ones(2), ingot.zeros(2)), scale=ingot.tensor(3.0), names=["x", "y"])
    assert found["sum"].tolist() == [3.0, 3.0]
    assert found["parts"][1][1] is None
    assert found["n"] == 2
    with pytest.raises(ArgumentError, match="another structure"):
        program(ingot.ones(2), scale=ingot.tensor(3.0), names=["x", "y"])


def test_calls_are_checked_against_the_signature():
    program = trace(lambda x, y: x + y, (ingot.ones(2, 3), ingot.ones(3)))
    x, y = ingot.ones(2, 3), ingot.ones(3)
    with pytest.raises(ArgumentError, match="'y' is missing"):
        program(x)
    with pytest.raises(ArgumentError, match="'z' is not a parameter"):
        program(x, z=y)
    with pytest.raises(ShapeError, match="x"):
        program(ingot.ones(2, 4), y)
    with pytest.raises(IngotError, match="f64"):
        program(x.double(), y)


def test_external_tensors_are_state_by_name_or_constants():
    weight = ingot.ones(3, requires_grad=True)
    table = [ingot.full((3,), 2.0)]

    def f(x):
        return x * weight + table[0]

    program = trace(f, ingot.ones(3))
    assert list(program.record.state) == ["weight"]
    assert program.record.trainable == ("weight",)
    with ingot.no_grad():
        weight.mul_(5)
    assert program(ingot.ones(3)).tolist() == [3.0] * 3


def test_tied_weights_are_stored_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(3, 3, bias=False)
            self.b = nn.Linear(3, 3, bias=False)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.b(self.a(x))

    program = trace(Tied(), ingot.ones(1, 3))
    assert list(program.record.state) == ["a.weight"]


def test_what_leaves_the_graph_is_in_the_ledger():
    program = trace(lambda x: x * x.sum().item(), ingot.ones(2), frozen_ok="a test", check=False)
    (entry,) = program.ledger.of("item")
    assert "item()" in entry.what and "a test" in entry.what
    assert entry.expression == "x.sum().item()" and entry.value == "2.0"


def test_results_never_alias(net):
    net.eval()
    program = trace(lambda x: (x, x.reshape(-1), net.fc.weight), ingot.ones(2, 2))
    x = ingot.ones(2, 2)
    first = program(x)
    for result in first:
        with ingot.no_grad():
            result.add_(1)
    assert x.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    second = program(x)
    assert second[1].tolist() == [1.0] * 4
    assert ingot.equal(second[2], net.fc.weight)


def test_compiled_results_are_the_same_bit_for_bit(net):
    net.eval()
    program = trace(net, images(4), dynamic_shapes={"x": {0: "batch"}})
    x = images(64)
    first = program(x).numpy()
    for _ in range(5):
        assert np.array_equal(program(x).numpy(), first)


def test_new_state_takes_effect_also_where_weights_were_folded(net):
    net.eval()
    program = trace(net, images(2), dynamic_shapes={"x": {0: "batch"}})
    x = images(3)
    before = program(x).numpy()
    with pytest.raises(IngotError, match="read-only"):
        program.state["bn.weight"].mul_(2)
    with pytest.raises(ShapeError, match=r"bn.weight[\s\S]*\[4\]"):
        program.load_state_dict({"fc.bias": ingot.ones(3), "bn.weight": ingot.ones(5)})
    with pytest.raises(ArgumentError, match=r"bn\.wieght"):
        program.load_state_dict({"bn.wieght": ingot.ones(4)})
    assert np.array_equal(program(x).numpy(), before)
    with ingot.no_grad():
        net.bn.weight.mul_(3)
    program.load_state_dict({"bn.weight": net.bn.weight})
    np.testing.assert_allclose(program(x).numpy(), net(x).detach().numpy(), atol=1e-6)
    assert not np.array_equal(program(x).numpy(), before)


def test_programs_that_share_state_see_each_others_changes(net):
    net.eval()
    program = trace(net, images(2), dynamic_shapes={"x": {0: "batch"}})
    other = program.to("reference")
    x = images(3)
    before = other(x).numpy()
    program.load_state_dict({"bn.weight": net.bn.weight * 3})
    np.testing.assert_allclose(other(x).numpy(), program(x).numpy(), atol=1e-6)
    assert not np.allclose(other(x).numpy(), before)


def test_nested_capture_is_refused():
    def f(x):
        return trace(lambda y: y, x)(x)

    with pytest.raises(CaptureError, match="already in progress"):
        trace(f, ingot.ones(2))


def test_random_draws_differ_from_call_to_call_and_follow_the_seed():
    def f(x):
        return x + ingot.rand(3)

    ingot.manual_seed(3)
    program = trace(f, ingot.zeros(3))
    mine = [program(ingot.zeros(3)).tolist() for _ in range(3)]
    theirs = [f(ingot.zeros(3)).tolist() for _ in range(3)]
    assert mine == theirs
    assert mine[0] != mine[1]


def test_a_program_does_not_depend_on_the_default_dtype_of_its_reader(tmp_path):
    def f(x):
        return x / 2, x * 0.1, ingot.exp(x), x.double() * 0.5

    ingot.set_default_dtype(ingot.float64)
    try:
        program = trace(f, ingot.tensor([1, 2, 3]))
        expected = [result.numpy() for result in f(ingot.tensor([4, 5, 6]))]
        program.save(tmp_path / "p.ingot")
    finally:
        ingot.set_default_dtype(ingot.float32)
    found = ingot.load(tmp_path / "p.ingot")(ingot.tensor([4, 5, 6]))
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.dtype is ingot.float64
        assert np.array_equal(mine.numpy(), theirs)
