"""Seeing inside of a program: watched values, and the tree of modules."""

import ingot
import numpy as np
import pytest
from ingot import nn
from ingot.ir.errors import ArgumentError


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)

    def forward(self, x):
        h = self.first(x).relu()
        return self.second(h) + x


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(Block(), Block())
        self.norm = nn.BatchNorm1d(4)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        h = self.encoder(x)
        h = self.norm(h)
        return self.head(h)


LINE = Block.forward.__code__.co_firstlineno + 1


@pytest.fixture
def net():
    ingot.manual_seed(0)
    return Net().eval()


@pytest.fixture
def program(net):
    return ingot.jit.trace(net, ingot.ones(2, 4), dynamic_shapes={0: "n"})


@pytest.fixture
def x(rng):
    return ingot.tensor(rng.standard_normal((3, 4)).astype(np.float32))


@pytest.mark.parametrize("backend", ["numpy", "reference"])
def test_a_modules_outputs(net, program, x, backend):
    program = program.on(backend)
    with ingot.no_grad():
        expected = net.encoder[0](x)
        with program.watch("encoder.0") as first, program.watch("norm") as norm:
            result = program(x)
            program(x * 2)
    assert len(first.values) == len(norm.values) == 2
    assert ingot.allclose(first.values[0], expected, atol=1e-6)
    assert ingot.allclose(norm.values[0], net.norm(net.encoder(x)), atol=1e-5)
    assert ingot.allclose(result, net(x), atol=1e-5)
    program(x)
    assert len(first.values) == 2


def test_a_line_and_a_hook(net, program, x):
    seen = []
    handle = program.watch(f"test_watch.py:{LINE}", seen.append)
    program(x)
    handle.remove()
    program(x)
    (values,) = seen
    assert len(values) == 2  # the line runs in both blocks
    assert ingot.allclose(values[0], net.encoder[0].first(x).relu(), atol=1e-6)
    assert ingot.allclose(values[1], net.encoder[1].first(net.encoder[0](x)).relu(), atol=1e-6)


def test_unwatched_calls_run_the_program_as_it_was(program, x):
    before = program.code()
    graph = str(program.graph)
    with program.watch("head"):
        program(x)
    assert program.code() == before
    assert str(program.graph) == graph


def test_what_is_watched_is_not_optimised_away(x):
    def f(x):
        h = (x + 0).exp()
        return (h * 0 + 1) * 1

    program = ingot.jit.trace(f, ingot.ones(3, 4))
    line = f.__code__.co_firstlineno + 1
    with program.watch(f"test_watch.py:{line}") as watched:
        program(x)
    np.testing.assert_allclose(watched.last.numpy(), np.exp(x.numpy()), rtol=1e-6)


def test_watching_while_gradients_are_recorded(program, x):
    program.named_parameters()
    with program.watch("encoder.1") as watched:
        program(x).sum().backward()
    assert watched.last.shape == (3, 4)
    assert program.named_parameters()["head.bias"].grad.tolist() == [3.0, 3.0]


def test_state_is_updated_by_watched_calls(x):
    program = ingot.jit.trace(nn.BatchNorm1d(4), ingot.ones(2, 4), dynamic_shapes={0: "n"})
    other = program.to(ingot.float64)
    location = next(node.location for node in program.graph.nodes() if node.location)
    with program.watch(f"{location.file}:{location.line}"):
        program(x)
    other(x.double())
    np.testing.assert_allclose(
        program.state["running_mean"].numpy(), other.state["running_mean"].numpy(), rtol=1e-5, atol=1e-7
    )


def test_unknown_places_are_told_with_close_ones(program, x):
    with pytest.raises(ArgumentError, match=r"computes nothing at 'encodr.0'[\s\S]*encoder.0"):
        program.watch("encodr.0")
    with pytest.raises(ArgumentError, match=r"test_watch.py:1'[\s\S]*test_watch.py:"):
        program.watch("test_watch.py:1")
    handle = program.watch("head")
    with pytest.raises(ArgumentError, match="no call yet"):
        _ = handle.last
    handle.remove()
    handle.remove()


def test_the_tree_of_modules(program):
    tree = program.modules
    assert [info.path for info in tree if info.path.count(".") == 0] == ["", "encoder", "norm", "head"]
    assert tree["encoder.0.first"].parameters == {"weight": (4, 4), "bias": (4,)}
    assert tree["norm"].buffers.keys() >= {"running_mean", "running_var"}
    assert tree.parameter_count == sum(p.numel() for p in Net().parameters())
    assert tree["encoder"].total_nodes == sum(n.path.startswith("encoder") for n in program.graph.nodes())
    assert tree["head"].type == "Linear"
    assert tree.type == "Net"
    text = str(tree)
    assert "├─ encoder: Sequential" in text
    assert "└─ head: Linear" in text
    with pytest.raises(ArgumentError, match=r"no module 'encoder\.7'"):
        tree["encoder.7"]


def test_the_tree_of_a_loaded_program(program, tmp_path):
    program.save(tmp_path / "net.ingot")
    loaded = ingot.load(tmp_path / "net.ingot").modules
    assert [(i.path, i.nodes, i.parameters) for i in loaded] == [
        (i.path, i.nodes, i.parameters) for i in program.modules
    ]
    assert "├─ encoder " in str(loaded)


def test_a_module_of_a_program_with_two_modes_is_watched_in_both():
    net = ingot.nn.Sequential(ingot.nn.Linear(2, 3), ingot.nn.Dropout(0.5))
    program = ingot.jit.trace(net, ingot.ones(4, 2), modes=("train", "eval"))
    x = ingot.randn(4, 2)
    with program.watch("0") as linear:
        program(x, training=True)
        result = program(x, training=False)
    assert len(linear.values) == 2 and ingot.equal(linear.values[0], linear.values[1])
    assert ingot.equal(linear.last, result)
