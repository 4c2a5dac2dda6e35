"""Programs on the tape and in training: gradients as eager's, parameters that optimizers change, saved when trained."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import ingot
import numpy as np
import pytest
from ingot import nn
from ingot.frontend.program import Program
from ingot.frontend.program_gradient import DifferentiableGraph
from ingot.ir.errors import GradientError, ShapeError
from ingot.ir.parser import parse

DTYPE = ingot.float64


def normal(rng: np.random.Generator, *shape: int, grad: bool = False) -> Any:
    return ingot.tensor(rng.standard_normal(shape), requires_grad=grad)


def network(rng: np.random.Generator) -> Any:
    """A small model with all that a training step touches: weights, batch norm's statistics, several activations."""
    net = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 4), nn.GELU(), nn.Linear(4, 2))
    net = net.double()
    with ingot.no_grad():
        for parameter in net.parameters():
            parameter.copy_(normal(rng, *parameter.shape) * 0.5)
    return net


def traced(net: Any, rng: np.random.Generator) -> Program:
    return ingot.jit.trace(net, normal(rng, 5, 3), dynamic_shapes={0: "batch"})


def train(model: Any, parameters: Any, xs: Any, ys: Any) -> list[float]:
    optimizer = ingot.optim.AdamW(parameters, lr=0.05, weight_decay=0.1)
    losses = []
    for x, y in zip(xs, ys, strict=True):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(ingot.tensor(x)), ingot.tensor(y))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


ELSEWHERE = """
import json, sys
import ingot, numpy as np
from ingot.nn import functional as F
program = ingot.load(sys.argv[1])
data = np.load(sys.argv[2])
optimizer = ingot.optim.AdamW(program.parameters(), lr=0.05, weight_decay=0.1)
losses = []
for x, y in zip(data["xs"], data["ys"]):
    optimizer.zero_grad()
    loss = F.mse_loss(program(ingot.tensor(x)), ingot.tensor(y))
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
program.save(sys.argv[3])
print(json.dumps(losses))
"""


def test_a_saved_program_trains_in_a_process_without_the_model(rng: np.random.Generator, tmp_path: Path) -> None:
    net = network(rng)
    xs = rng.standard_normal((20, 16, 3))
    ys = np.stack([np.sin(xs[..., 0]), xs[..., 1] * xs[..., 2]], -1)
    traced(net, rng).save(tmp_path / "net.ingot")
    np.savez(tmp_path / "data.npz", xs=xs, ys=ys)
    files = [str(tmp_path / name) for name in ("net.ingot", "data.npz", "trained.ingot")]
    found = subprocess.run([sys.executable, "-c", ELSEWHERE, *files], capture_output=True, text=True, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    losses = json.loads(found.stdout)
    expected = train(net, net.parameters(), xs, ys)
    assert len(losses) == 20 and np.mean(losses[-5:]) < np.mean(losses[:5])
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-9)
    trained = ingot.load(files[2])
    for key, value in net.state_dict().items():
        np.testing.assert_allclose(trained.state[key].numpy(), value.numpy(), rtol=0, atol=1e-9, err_msg=key)
    assert trained.state["1.num_batches_tracked"].item() == 20


# ------------------------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("backend", ["numpy", "reference"])
def test_a_program_between_eager_layers(rng: np.random.Generator, backend: str) -> None:
    net, before, after = network(rng), nn.Linear(4, 3).double(), nn.Linear(2, 1).double()
    program = traced(net, rng).on(backend)
    program.requires_grad_()
    x = normal(rng, 6, 4, grad=True)
    after(program(before(x))).square().sum().backward()
    found = [p.grad for p in (x, *before.parameters(), *program.parameters(), *after.parameters())]
    eager = [x, *before.parameters(), *net.parameters(), *after.parameters()]
    for parameter in eager:
        parameter.grad = None
    after(net(before(x))).square().sum().backward()
    for gradient, parameter in zip(found, eager, strict=True):
        np.testing.assert_allclose(gradient.numpy(), parameter.grad.numpy(), rtol=1e-10, atol=1e-10)


def test_nothing_is_recorded_until_something_requires_a_gradient(rng: np.random.Generator) -> None:
    program = traced(network(rng), rng)
    x = normal(rng, 4, 3)
    assert not program(x).requires_grad
    assert program(normal(rng, 4, 3, grad=True)).requires_grad
    program.requires_grad_()
    assert program(x).requires_grad
    with ingot.no_grad():
        assert not program(x).requires_grad
    program.requires_grad_(False)
    assert not program(x).requires_grad


def test_frozen_parameters_get_no_gradient_and_stay(rng: np.random.Generator) -> None:
    net = network(rng)
    program = traced(net, rng)
    for name, parameter in program.named_parameters().items():
        parameter.requires_grad_(name.startswith("5"))
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name.startswith("5"))
    xs, ys = rng.standard_normal((5, 8, 3)), rng.standard_normal((5, 8, 2))
    before = {key: value.numpy().copy() for key, value in program.state.items()}
    losses = train(program, [p for p in program.parameters() if p.requires_grad], xs, ys)
    expected = train(net, [p for p in net.parameters() if p.requires_grad], xs, ys)
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-10)
    for key, parameter in program.named_parameters().items():
        changed = not np.array_equal(before[key], program.state[key].numpy())
        assert changed == (parameter.grad is not None) == key.startswith("5"), key


def test_gradients_of_gradients(rng: np.random.Generator) -> None:
    net = network(rng)
    program = traced(net, rng)
    program.requires_grad_()
    x = normal(rng, 4, 3, grad=True)

    def penalty(model: Any, parameters: Any) -> list[Any]:
        (slope,) = ingot.autograd.grad(model(x).square().sum(), [x], create_graph=True)
        found = ingot.autograd.grad(slope.square().sum(), [x, *parameters], allow_unused=True, create_graph=True)
        third = ingot.autograd.grad(found[0].sum(), [x])
        return [None if g is None else g.detach().numpy() for g in (*found, *third)]

    for a, b in zip(penalty(program, program.parameters()), penalty(net, net.parameters()), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)


def test_one_of_two_results_and_an_integer_beside_them(rng: np.random.Generator) -> None:
    def several(x: Any, y: Any) -> Any:
        return {"product": x * y, "sum": x + y, "place": x.argmax(1)}

    x, y = normal(rng, 2, 3, grad=True), normal(rng, 2, 3)
    program = ingot.jit.trace(several, (x.detach(), y))
    found = program(x, y)
    assert found["product"].requires_grad and found["sum"].requires_grad and not found["place"].requires_grad
    found["product"].sum().backward()
    assert np.array_equal(x.grad.numpy(), y.numpy())


def test_the_tape_is_freed_unless_it_is_retained(rng: np.random.Generator) -> None:
    program = ingot.jit.trace(lambda x: x.exp() * x, normal(rng, 2))
    x = normal(rng, 2, grad=True)
    y = program(x).sum()
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp(x.detach().numpy()) * (1 + x.detach().numpy()))
    with pytest.raises(GradientError, match="already walked"):
        y.backward()


def test_what_the_way_back_reads_must_not_change(rng: np.random.Generator) -> None:
    program = ingot.jit.trace(lambda x, y: x * y, (normal(rng, 2), normal(rng, 2)))
    x, y = normal(rng, 2, grad=True), normal(rng, 2)
    product = program(x, y)
    y.add_(1.0)
    with pytest.raises(GradientError, match="input 1 of <@forward backward> was changed in place"):
        product.sum().backward()
    exponential = ingot.jit.trace(lambda x: x.exp(), normal(rng, 2))
    result = exponential(x)
    with ingot.no_grad():
        result.mul_(2.0)
    with pytest.raises(GradientError, match="output 0 of <@forward backward> was changed in place"):
        result.sum().backward()


def test_an_op_without_a_gradient_is_refused_at_the_call(rng: np.random.Generator) -> None:
    program = ingot.jit.trace(lambda x: x // 2, ingot.rand(3))
    with pytest.raises(GradientError, match="floor_divide has no gradient") as caught:
        program(ingot.rand(3, requires_grad=True))
    assert caught.value.location is not None and "test_program_gradient" in caught.value.location.file


def test_the_numbers_that_were_drawn_are_those_of_the_way_back(rng: np.random.Generator) -> None:
    layer = nn.Dropout(0.5)
    program = ingot.jit.trace(lambda x: layer(x), ingot.ones(64))
    for _ in range(2):
        x = ingot.ones(64, requires_grad=True)
        y = program(x)
        program(x.detach())  # draws others
        y.sum().backward()
        assert np.array_equal(x.grad.numpy(), y.detach().numpy()) and 0 < (y == 0).sum().item() < 64
        program.as_module()  # hands out the random state too


BRANCHES = """
graph @f(%x : f64[B, 2], %w : f64[2], %n : int) -> (f64[B, 2]):
  %true : bool = prim::Constant[value=true]()
  %y : f64[B, 2] = prim::Loop(%n, %true, %x)
    block0(%i : int, %c : f64[B, 2]):
      %p : f64[B, 2] = ingot::mul(%c, %w)
      %q : f64[B, 2] = ingot::sin(%p)
      -> (%true, %q)
  return (%y)
"""


def test_a_graph_with_a_loop_takes_numbers_and_goes_back(rng: np.random.Generator) -> None:
    run = DifferentiableGraph(parse(BRANCHES), "numpy")
    x, w = normal(rng, 3, 2, grad=True), normal(rng, 2, grad=True)
    for count in (0, 3):
        (found,), _ = run([x, w, count], {})
        expected = x
        for _ in range(count):
            expected = ingot.sin(expected * w)
        pairs = [
            ingot.autograd.grad(y.square().sum(), [x, w], allow_unused=True, create_graph=True)
            for y in (found, expected)
        ]
        for a, b in zip(*pairs, strict=True):
            b = ingot.zeros_like(a) if b is None else b
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), atol=1e-12)
        if count:
            second = [ingot.autograd.grad(g[0].sum(), [x, w]) for g in pairs]
            for a, b in zip(*second, strict=True):
                np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-10)


# ------------------------------------------------------------------------------------------------------ parameters


def test_parameters_are_the_same_tensors_each_time_and_for_all_backends(rng: np.random.Generator) -> None:
    net = network(rng)
    program = traced(net, rng)
    names = program.named_parameters()
    assert list(names) == [name for name, _ in net.named_parameters()]
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in program.parameters())
    assert all(a is b for a, b in zip(program.parameters(), names.values(), strict=True))
    other = program.on("reference")
    assert all(a is b for a, b in zip(other.parameters(), names.values(), strict=True))
    with ingot.no_grad():
        names["5.bias"].fill_(7.0)
    assert other.state["5.bias"].tolist() == [7.0, 7.0]


def test_derived_values_follow_the_parameters(rng: np.random.Generator) -> None:
    net = network(rng).eval()
    program = traced(net, rng)
    x = normal(rng, 4, 3)
    assert program.optimized.state.keys() != program.graph.state.keys(), "nothing is derived: the test proves nothing"

    def agree() -> None:
        with ingot.no_grad():
            np.testing.assert_allclose(program(x).numpy(), net(x).numpy(), atol=1e-10)

    agree()
    mine, theirs = program.named_parameters(), dict(net.named_parameters())
    agree()
    for step in (lambda p: p.mul_(1.5), lambda p: p[0].add_(0.25), lambda p: p.copy_(p * 0.5 + 1.0)):
        with ingot.no_grad():
            for name in mine:
                step(mine[name]), step(theirs[name])
        agree()
    for name in mine:
        mine[name].data = ingot.tensor(theirs[name].detach().numpy() * 2)
        theirs[name].data = ingot.tensor(theirs[name].detach().numpy() * 2)
    agree()
    view = mine["0.weight"].detach().numpy()
    for value in (0.5, -0.5):
        view[...] = value  # behind everyone's back
        theirs["0.weight"].detach().numpy()[...] = value
        agree()


def test_new_memory_of_other_sizes_is_refused(rng: np.random.Generator) -> None:
    program = traced(network(rng), rng)
    program.named_parameters()["5.bias"].data = ingot.ones(2)  # float32
    with pytest.raises(ShapeError, match=r"'5\.bias'"):
        program(normal(rng, 4, 3))


def test_loading_state_changes_the_parameters(rng: np.random.Generator) -> None:
    net = network(rng)
    program = traced(net, rng)
    parameter = program.named_parameters()["0.weight"]
    program.load_state_dict({"0.weight": np.full((8, 3), 0.25)})
    assert parameter.detach().numpy().tolist() == np.full((8, 3), 0.25).tolist()
    kept = program(normal(rng, 4, 3)).sum()
    program.load_state_dict({"0.weight": np.full((8, 3), 0.5)})
    with pytest.raises(GradientError, match=r"state '0.weight' of .* was changed in place"):
        kept.backward(create_graph=True)


def test_a_captured_step_that_trains_writes_the_parameters(rng: np.random.Generator) -> None:
    layer = nn.Linear(3, 1).double()
    optimizer = ingot.optim.SGD(layer.parameters(), lr=0.1)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = layer(x).square().sum()
        loss.backward()
        optimizer.step()
        return loss.detach()

    x = normal(rng, 4, 3)
    program = ingot.jit.trace(step, x)
    key = next(name for name in program.named_parameters() if name.endswith("weight"))
    parameter = program.named_parameters()[key]
    memory = parameter._array
    with ingot.no_grad():
        program(x)
    step(x)
    assert parameter._array is memory is program.record.state[key]
    np.testing.assert_allclose(memory, layer.weight.detach().numpy(), rtol=1e-12)


def test_threads_share_the_parameters(rng: np.random.Generator) -> None:
    program = traced(network(rng).eval(), rng)
    x = normal(rng, 4, 3)
    found: list[Any] = []
    parameters: list[Any] = []

    def work() -> None:
        parameters.append(list(program.parameters()))
        found.append([g.numpy() for g in ingot.autograd.grad(program(x).sum(), parameters[-1])])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for others, gradients in zip(parameters, found, strict=True):
        assert all(a is b for a, b in zip(others, parameters[0], strict=True))
        assert all(np.array_equal(a, b) for a, b in zip(gradients, found[0], strict=True))


def cut_off(x: Any) -> Any:
    y = x * 2
    with ingot.no_grad():
        y.zero_()
    return (y * x).sum()


def cut_off_and_changed(x: Any) -> Any:
    y = x * 2
    with ingot.no_grad():
        y.fill_(3.0)
    y += 1
    return (y * y * x).sum()


def through_data(x: Any) -> Any:
    y = x * 2
    y.data.mul_(3)
    y[0] = y[-1] * 2
    return (y * y).sum()


def through_a_view_of_detach(x: Any) -> Any:
    y = x * 2
    row = y[1]
    y.detach()[1:].add_(1)
    return (y * row).sum()


@pytest.mark.parametrize("function", [cut_off, cut_off_and_changed, through_data, through_a_view_of_detach])
@pytest.mark.parametrize("way", ["program", "compiled"])
def test_changes_beside_the_tape_keep_the_place_on_it(function: Any, way: str, rng: np.random.Generator) -> None:
    x = normal(rng, 3, 3, grad=True)
    captured = ingot.compile(function) if way == "compiled" else ingot.jit.trace(function, normal(rng, 3, 3))
    function(x).backward()
    expected, x.grad = x.grad, None
    captured(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), expected.numpy(), rtol=1e-9)
