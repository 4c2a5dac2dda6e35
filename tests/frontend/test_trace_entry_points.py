"""Several entry points in one program: each with its own graph and signature, all on the same state."""

import functools

import ingot
import numpy as np
import pytest
from ingot import nn
from ingot.ir.errors import ArgumentError, CaptureError
from ingot.jit import trace
from ingot.nn import functional as F


class AutoEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Linear(4, 2)
        self.up = nn.Linear(2, 4)
        self.register_buffer("seen", ingot.zeros(1))

    def encode(self, x):
        self.seen += 1
        return self.down(x).tanh()

    def decode(self, z):
        return self.up(z)

    def forward(self, x):
        return self.decode(self.encode(x))

    def count(self):
        return self.seen * 1


def saved_and_loaded(program, tmp_path):
    program.save(tmp_path / "p.ingot")
    return ingot.load(tmp_path / "p.ingot")


def array(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture
def net():
    ingot.manual_seed(0)
    return AutoEncoder()


@pytest.mark.parametrize("loaded", [False, True])
def test_methods_share_state(net, tmp_path, loaded):
    x, z = ingot.ones(3, 4), ingot.ones(3, 2)
    shapes = {"encode": {0: "b"}, "decode": {0: "b"}, "forward": {"x": {0: "b"}}}
    program = trace(net, {"forward": x, "encode": x, "decode": z, "count": ()}, dynamic_shapes=shapes)
    assert net.seen.tolist() == [0.0]
    if loaded:
        program = saved_and_loaded(program, tmp_path)
    assert program.entry_points == ("forward", "encode", "decode", "count")
    assert set(program.record.state) == {"down.weight", "down.bias", "up.weight", "up.bias", "seen"}
    x = ingot.tensor(array(5, 4))
    np.testing.assert_allclose(program(x).numpy(), net(x).detach().numpy(), rtol=1e-5)
    np.testing.assert_allclose(program.encode(x).numpy(), net.encode(x).detach().numpy(), rtol=1e-5)
    np.testing.assert_allclose(program.run("decode", z).numpy(), net.decode(z).detach().numpy(), rtol=1e-5)
    assert program.count().tolist() == net.count().tolist() == [2.0]


def test_entries_show_their_own_graph_signature_and_ledger(net):
    program = trace(net, {"encode": ingot.ones(3, 4), "decode": ingot.ones(3, 2)}, dynamic_shapes={"decode": {0: "n"}})
    encode, decode = program.entry("encode"), program.entry("decode")
    assert encode.signature.parameters == ("x",)
    assert decode.signature.parameters == ("z",)
    assert str(decode.graph.inputs[0].type) == "f32[n, 2]"
    assert str(encode.graph.inputs[0].type) == "f32[3, 4]"
    assert set(decode.graph.state) == {"up.weight", "up.bias"}
    assert "def " in decode.code()
    assert decode(ingot.ones(7, 2)).shape == (7, 4)
    with pytest.raises(ArgumentError, match="no entry point 'missing'"):
        program.entry("missing")
    with pytest.raises(AttributeError, match="missing"):
        _ = program.missing


def test_each_entry_has_its_own_ledger(net):
    factor = 3.0
    program = trace(None, {"scaled": (lambda x: net(x) * factor, ingot.ones(1, 4)), "plain": (net, ingot.ones(1, 4))})
    assert any("factor" in str(entry) for entry in program.entry("scaled").ledger)
    assert not any("factor" in str(entry) for entry in program.entry("plain").ledger)
    assert len(program.ledger) >= len(program.entry("scaled").ledger)


def test_functions_as_entry_points_name_a_tensor_once(net):
    other = net.up

    def shrink(x):
        return net.down(x)

    def grow(z, scale=2.0):
        return other(z) * scale

    program = trace(None, {"shrink": (shrink, ingot.ones(1, 4)), "grow": (grow, (ingot.ones(1, 2),))})
    assert set(program.record.state) == {"net.down.weight", "net.down.bias", "net.up.weight", "net.up.bias"}
    z = program.shrink(ingot.ones(1, 4))
    np.testing.assert_allclose(program.grow(z).numpy(), grow(shrink(ingot.ones(1, 4))).detach().numpy(), rtol=1e-5)


def test_different_tensors_of_one_name_stay_apart():
    def make(value):
        weight = ingot.full((2,), value)

        def f(x):
            weight.add_(x)
            return weight * 1

        return f

    program = trace(None, {"a": (make(1.0), ingot.zeros(2)), "b": (make(5.0), ingot.zeros(2))})
    assert set(program.record.state) == {"weight", "weight.1"}
    assert program.a(ingot.ones(2)).tolist() == [2.0, 2.0]
    assert program.b(ingot.ones(2)).tolist() == [6.0, 6.0]
    assert program.a(ingot.ones(2)).tolist() == [3.0, 3.0]


def test_tied_weights_have_one_name_in_all_graphs():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(5, 3)
            self.head = nn.Linear(3, 5, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, i):
            return self.embed(i)

        def score(self, h):
            return self.head(h)

    program = trace(Tied(), {"forward": ingot.tensor([0, 1]), "score": ingot.ones(2, 3)})
    assert list(program.record.state) == ["embed.weight"]
    assert list(program.entry("score").graph.state) == ["embed.weight"]


@pytest.mark.parametrize("order", [("accumulate", "apply"), ("apply", "accumulate")])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_gradient_that_one_entry_leaves_is_found_by_the_other(order, momentum):
    def make():
        ingot.manual_seed(0)
        net = nn.Linear(3, 1)
        opt = ingot.optim.SGD(net.parameters(), lr=0.1, momentum=momentum)

        def accumulate(x, y):
            loss = F.mse_loss(net(x), y)
            loss.backward()
            return loss

        def apply():
            opt.step()
            opt.zero_grad(set_to_none=False)
            return net.weight * 1

        return {"accumulate": accumulate, "apply": apply}, net

    functions, net = make()
    args = {"accumulate": (ingot.ones(2, 3), ingot.ones(2, 1)), "apply": ()}
    program = trace(None, {name: (functions[name], args[name]) for name in order})
    assert net.weight.grad is None
    assert {"net.weight.grad", "net.bias.grad"} <= set(program.record.state)
    eager, _ = make()
    for step in range(3):
        for micro in range(2):
            batch = ingot.tensor(array(2, 3, seed=10 * step + micro)), ingot.tensor(array(2, 1, seed=micro))
            np.testing.assert_allclose(program.accumulate(*batch).item(), eager["accumulate"](*batch).item(), rtol=1e-5)
        np.testing.assert_allclose(program.apply().numpy(), eager["apply"]().detach().numpy(), rtol=1e-5)


def test_a_gradient_that_others_need_is_not_taken_away(net):
    opt = ingot.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)

    def accumulate(x):
        net(x).sum().backward()

    def apply():
        opt.step()
        opt.zero_grad()

    with pytest.raises(CaptureError, match=r"takes away a gradient[\s\S]*opt.zero_grad\(\)[\s\S]*set_to_none=False"):
        trace(None, {"accumulate": (accumulate, ingot.ones(2, 4)), "apply": (apply, ())})
    assert net.down.weight.grad is None


def test_gradients_that_no_entry_reads_are_not_state(net):
    opt = ingot.optim.SGD(net.parameters(), lr=0.1)

    def step(x):
        opt.zero_grad()
        loss = net(x).square().mean()
        loss.backward()
        opt.step()
        return loss

    program = trace(None, {"step": (step, ingot.ones(2, 4)), "encode": (net.encode, ingot.ones(2, 4))})
    assert not any(key.endswith(".grad") for key in program.record.state)


def test_a_tensor_that_one_entry_changes_is_state_for_the_other():
    box = [ingot.zeros(2)]

    def read(x):
        return box[0] + x

    def write(x):
        box[0].add_(x)
        return x

    program = trace(None, {"read": (read, ingot.zeros(2)), "write": (write, ingot.ones(2))})
    program.write(ingot.ones(2))
    assert program.read(ingot.zeros(2)).tolist() == [1.0, 1.0]


class Cached(nn.Module):
    def __init__(self):
        super().__init__()
        self.memory = None
        self.seen = None
        self.register_buffer("table", ingot.zeros(2))

    def encode(self, x):
        self.memory = x * 2
        self.seen = x
        return x + 1

    def decode(self, y):
        return y if self.memory is None else y + self.memory

    def other(self, y):
        return y * 3

    def widen(self, x):
        self.table = None
        return x * 1

    def look(self, x):
        return self.table + x


@pytest.mark.parametrize("order", [("encode", "decode"), ("decode", "encode")])
def test_a_name_that_one_entry_sets_and_another_reads_is_refused(order):
    net = Cached()
    text = r"reads memory, which the entry point 'encode' sets[\s\S]*y \+ self.memory[\s\S]*register_buffer"
    with pytest.raises(CaptureError, match=text):
        trace(net, {name: ingot.ones(2) for name in order})
    assert net.memory is None
    program = trace(net, {"encode": ingot.ones(2), "other": ingot.ones(2)})
    assert program.encode(ingot.ones(2)).tolist() == [2.0, 2.0]
    assert net.memory is None
    assert net.seen is None


@pytest.mark.parametrize("order", [("widen", "look"), ("look", "widen")])
def test_state_replaced_by_another_type_is_refused_where_others_read_it(order):
    net = Cached()
    with pytest.raises(
        CaptureError, match=r"'widen' puts another kind of value in the place of table, which 'look' reads"
    ):
        trace(net, {name: ingot.ones(2) for name in order})
    assert net.table.shape == (2,)


class Adder:
    def __init__(self):
        self.total = ingot.zeros(2)

    def __call__(self, x):
        self.total = self.total + x
        return self.total * 1


def test_callable_objects_and_partial_functions_have_named_state():
    adder, weight = Adder(), ingot.ones(2).requires_grad_()
    total = adder.total
    scaled = functools.partial(lambda x, weight: x * weight, weight=weight)
    program = trace(None, {"add": (adder, ingot.ones(2)), "scale": (scaled, ingot.ones(2))})
    assert adder.total is total
    assert set(program.record.state) == {"total", "weight"}
    program.add(ingot.ones(2))
    assert program.add(ingot.ones(2)).tolist() == [2.0, 2.0]
    assert program.scale(ingot.full((2,), 3.0)).tolist() == [3.0, 3.0]


def test_what_cannot_be_entry_points_is_refused(net):
    with pytest.raises(ArgumentError, match="cannot be named 'save'"):
        trace(None, {"save": (net.encode, ingot.ones(1, 4))})
    with pytest.raises(ArgumentError, match="dynamic_shapes for several entry points"):
        trace(net, {"encode": ingot.ones(1, 4), "decode": ingot.ones(1, 2)}, dynamic_shapes={"z": {0: "b"}})
    with pytest.raises(ArgumentError, match="cannot be called"):
        trace(3, ingot.ones(1))


def test_a_failing_entry_leaves_nothing_behind(net):
    def bad(x):
        net.seen.add_(1)
        net.down.weight.grad = ingot.ones(2, 4)
        return x if x.sum() > 0 else -x

    with pytest.raises(CaptureError, match="branch"):
        trace(None, {"good": (net.encode, ingot.ones(1, 4)), "bad": (bad, ingot.ones(2))})
    assert net.seen.tolist() == [0.0]
    assert net.down.weight.grad is None
    assert not ingot.jit.is_tracing()


class _Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("left", ingot.zeros(3))
        self.register_buffer("right", ingot.ones(3))
        self.start = self.right

    def join(self, x):
        self.left = self.right
        return x * 2

    def part(self, x):
        self.right = x * 2
        return x * 1

    def change(self, x):
        self.left.add_(x)
        return self.left * 1

    def read(self, x):
        return self.left + self.start + x


def test_names_that_one_entry_point_joins_and_another_changes_are_refused():
    for first, second in (("join", "change"), ("change", "join")):
        with pytest.raises(CaptureError, match="lets two names of its state stand for one tensor") as caught:
            trace(_Shared(), {first: ingot.ones(3), second: ingot.ones(3)}, check=False)
        assert caught.value.location.source.strip() == "self.left.add_(x)"


def test_names_that_one_entry_point_parts_and_another_reads_are_refused():
    for first, second in (("part", "read"), ("read", "part")):
        with pytest.raises(CaptureError, match="under one of its names, and not under another") as caught:
            trace(_Shared(), {first: ingot.ones(3), second: ingot.ones(3)}, check=False)
        assert caught.value.location.source.strip() == "self.right = x * 2"
