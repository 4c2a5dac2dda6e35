"""Captures that fail, are interrupted, nested or run in threads: nothing of theirs stays behind."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import ingot
import numpy as np
import pytest
from ingot import nn
from ingot.ir.errors import CaptureError
from ingot.jit import trace


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2)
        self.bn = nn.BatchNorm1d(2)
        self.drop = nn.Dropout(0.5)
        self.calls = 0
        self.last = None


def steps(net, opt, end):
    def step(x):
        net.calls += 1
        net.last = net.drop(net.bn(net.fc(x)))
        opt.zero_grad()
        net.last.square().mean().backward()
        opt.step()
        return end(x)

    return step


def stop(x):
    raise KeyboardInterrupt


def fail(x):
    return x.reshape(17)


def branch(x):
    return x if x.sum() > 0 else -x


def give_up(x):
    raise SystemExit(3)


@pytest.mark.parametrize(
    "end, error",
    [(stop, KeyboardInterrupt), (fail, ingot.ir.errors.IngotError), (branch, CaptureError), (give_up, SystemExit)],
)
@pytest.mark.parametrize("modes", [(), ("train", "eval")])
def test_a_capture_that_fails_leaves_everything_as_it_was(end, error, modes):
    ingot.manual_seed(0)
    net = Net()
    opt = ingot.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net.fc.weight.grad = ingot.full((2, 2), 3.0)
    gradient = net.fc.weight.grad
    before = {key: value.tolist() for key, value in net.state_dict().items()}
    key = ingot.get_rng_state().tolist()
    x = ingot.ones(3, 2)
    with pytest.raises(error):
        trace(steps(net, opt, end), x, modes=modes)
    assert {k: v.tolist() for k, v in net.state_dict().items()} == before
    assert ingot.get_rng_state().tolist() == key
    assert net.fc.weight.grad is gradient
    assert gradient.tolist() == [[3.0, 3.0], [3.0, 3.0]]
    assert net.fc.bias.grad is None
    assert (net.calls, net.last, net.training) == (0, None, True)
    assert not ingot.jit.is_tracing()
    assert all(tensor._trace is None for tensor in (*net.parameters(), *net.buffers(), gradient))
    assert all(
        value.tolist() == np.zeros_like(value.numpy()).tolist() for s in opt.state.values() for value in s.values()
    )
    assert trace(nn.Linear(2, 2), ingot.ones(1, 2))(ingot.ones(4, 2)[:1]).shape == (1, 2)


def test_a_capture_inside_of_another_is_refused():
    def outer(x):
        trace(lambda y: y * 2, x)
        return x

    with pytest.raises(CaptureError, match="a capture is already in progress"):
        trace(outer, ingot.ones(2))
    assert not ingot.jit.is_tracing()


def test_threads_may_capture_one_module_at_a_time():
    ingot.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.ReLU())
    before = {key: value.tolist() for key, value in net.state_dict().items()}

    def capture(seed):
        x = ingot.tensor(np.random.default_rng(seed).standard_normal((4, 3)).astype(np.float32))
        return trace(net, x, dynamic_shapes={0: "b"}, check=False)

    with ThreadPoolExecutor(4) as pool:
        programs = list(pool.map(capture, range(12)))
    assert {key: value.tolist() for key, value in net.state_dict().items()} == before
    x = ingot.ones(2, 3)
    first = programs[0](x).tolist()
    assert all(set(p.record.state) == set(programs[0].record.state) for p in programs)
    assert all(p(x).tolist() == first for p in programs[1:])


def test_a_function_that_captures_when_it_is_called_can_be_checked():
    made = itertools.count()  # the check puts lists and the like back, iterators it cannot

    def f(x):
        if not ingot.jit.is_tracing():  # the check calls it eagerly, while the capture has its turn
            trace(lambda y: y + 1, x, check=False)
            next(made)
        return x * 2

    programs = []
    thread = threading.Thread(target=lambda: programs.append(trace(f, ingot.ones(2))), daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert next(made) > 0
    assert programs[0](ingot.ones(2)).tolist() == [2.0, 2.0]


def test_other_threads_compute_while_one_captures():
    inside, done = threading.Event(), threading.Event()
    seen = []

    def other():
        inside.wait(10)
        seen.append((ingot.jit.is_tracing(), (ingot.ones(2) * 3).tolist()))
        done.set()

    thread = threading.Thread(target=other)
    thread.start()

    def f(x):
        inside.set()
        done.wait(10)
        return x * 2

    program = trace(f, ingot.ones(2), check=False)
    thread.join()
    assert seen == [(False, [3.0, 3.0])]
    assert [node.op.name for node in program.graph.nodes() if node.op.kind != "prim"] == ["ingot::mul"]


def test_examples_are_not_changed_or_kept():
    x = ingot.ones(2)
    program = trace(lambda a: a * 2, x)
    x.add_(5)
    assert program.record.examples[0].inputs[0].tolist() == [1.0, 1.0]
    assert x._trace is None


def test_state_is_not_left_on_the_tape():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("scale", ingot.ones(3))
            self.part = self.scale[:2]

        def forward(self, x):
            self.scale.mul_(x)
            return self.scale * 1

    module = Scaled()
    program = trace(module, ingot.ones(3).requires_grad_())
    assert not module.scale.requires_grad
    assert not module.part.requires_grad
    assert not list(program.parameters())
