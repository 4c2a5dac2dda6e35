"""Compiled training steps: they give eager's losses, and leave model, optimizer and gradients as eager does."""

import ingot
import numpy as np
import pytest
from ingot import nn
from ingot.ir.errors import CaptureError, GradientError
from ingot.nn import functional as F
from ingot.optim import SGD, Adam, AdamW

OPTIMIZERS = {
    "sgd": lambda p: SGD(p, lr=0.05),
    "momentum": lambda p: SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-3),
    "nesterov": lambda p: SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "damped": lambda p: SGD(p, lr=0.05, momentum=0.9, dampening=0.5),
    "adam": lambda p: Adam(p, lr=0.01),
    "amsgrad": lambda p: Adam(p, lr=0.01, amsgrad=True),
    "adamw": lambda p: AdamW(p, lr=0.01),
    "adamw-tensor": lambda p: AdamW(p, lr=ingot.tensor(0.01)),
}


class Block(nn.Module):
    """One layer of a transformer."""

    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.fc1, self.fc2 = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x):
        b, t, d = x.shape
        parts = self.qkv(self.norm1(x)).split(d, dim=2)
        q, k, v = (z.reshape(b, t, self.heads, d // self.heads).transpose(1, 2) for z in parts)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(a.transpose(1, 2).reshape(b, t, d))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class Transformer(nn.Module):
    def __init__(self, vocabulary=24, d=16, layers=2, heads=4, length=8):
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, d), nn.Embedding(length, d)
        self.blocks = nn.ModuleList([Block(d, heads) for _ in range(layers)])
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, vocabulary)

    def forward(self, ids):
        x = self.tokens(ids) + self.places(ingot.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)).reshape(-1, 24)


def convolutional():
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 10)),
    )


def images(rng, dtype):
    return ingot.tensor(rng.standard_normal((8, 1, 8, 8)), dtype=dtype), ingot.tensor(rng.integers(0, 10, 8))


def sentences(rng, dtype):
    return ingot.tensor(rng.integers(0, 24, (4, 8))), ingot.tensor(rng.integers(0, 24, 32))


NETS = {"convolutional": (convolutional, images), "transformer": (Transformer, sentences)}


def training(make_model, make_optimizer, dtype=ingot.float64):
    """A model, its optimizer and its training step, always from the same beginning."""
    ingot.manual_seed(1)
    model = make_model().to(dtype)
    optimizer = make_optimizer(model.parameters())

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return model, optimizer, step


def losses(step, batches):
    ingot.manual_seed(7)
    return [step(*batch).item() for batch in batches]


def same_state(a, b, **tolerance):
    (model, optimizer), (other, second) = a, b
    for name, value in model.state_dict().items():
        np.testing.assert_allclose(value.numpy(), other.state_dict()[name].numpy(), err_msg=name, **tolerance)
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None)
        if p.grad is not None:
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), **tolerance)
    one, two = optimizer.state_dict(), second.state_dict()
    assert one["state"].keys() == two["state"].keys()
    for number, entries in one["state"].items():
        assert entries.keys() == two["state"][number].keys()
        for key, value in entries.items():
            np.testing.assert_allclose(value.numpy(), two["state"][number][key].numpy(), err_msg=key, **tolerance)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("net", NETS)
def test_a_compiled_step_trains_as_eagerly(net, optimizer, rng):
    make_model, make_batch = NETS[net]
    batches = [make_batch(rng, ingot.float64) for _ in range(12)]
    model, own, step = training(make_model, OPTIMIZERS[optimizer])
    other, second, eager = training(make_model, OPTIMIZERS[optimizer])
    compiled = ingot.compile(step)
    np.testing.assert_allclose(losses(compiled, batches), losses(eager, batches), rtol=0, atol=1e-9)
    same_state((model, own), (other, second), rtol=1e-9, atol=1e-12)
    assert [v.calls for v in compiled.variants] == [12]


@pytest.mark.parametrize(("optimizer", "limit"), [("nesterov", 1e-5), ("adamw", 1e-4)])
@pytest.mark.parametrize("net", NETS)
def test_a_compiled_step_in_float32(net, optimizer, limit, rng):
    make_model, make_batch = NETS[net]
    batches = [make_batch(rng, ingot.float32) for _ in range(10)]
    found = losses(ingot.compile(training(make_model, OPTIMIZERS[optimizer], ingot.float32)[2]), batches)
    expected = losses(training(make_model, OPTIMIZERS[optimizer], ingot.float32)[2], batches)
    np.testing.assert_allclose(found, expected, rtol=0, atol=limit)


def test_eager_and_compiled_steps_in_turns(rng):
    batches = [images(rng, ingot.float64) for _ in range(9)]
    model, own, step = training(convolutional, OPTIMIZERS["adamw"])
    other, second, eager = training(convolutional, OPTIMIZERS["adamw"])
    compiled = ingot.compile(step)
    ingot.manual_seed(7)
    found = [(step, compiled, compiled)[i % 3](*batch).item() for i, batch in enumerate(batches)]
    np.testing.assert_allclose(found, losses(eager, batches), rtol=0, atol=1e-9)
    same_state((model, own), (other, second), rtol=1e-9, atol=1e-12)


def test_a_loaded_optimizer_state_is_what_the_next_call_reads(rng):
    batches = [images(rng, ingot.float64) for _ in range(6)]
    model, own, step = training(convolutional, OPTIMIZERS["adam"])
    compiled = ingot.compile(step)
    losses(compiled, batches[:2])
    saved = own.state_dict(), {k: v.clone() for k, v in model.state_dict().items()}
    saved = ({"state": {n: {k: t.clone() for k, t in e.items()} for n, e in saved[0]["state"].items()},
              "param_groups": saved[0]["param_groups"]}, saved[1])  # fmt: skip
    first = losses(compiled, batches[2:])
    own.load_state_dict(saved[0])
    model.load_state_dict(saved[1])
    assert losses(compiled, batches[2:]) == first
    own.state.clear()  # a new optimizer, as it were
    model.load_state_dict(saved[1])
    other, _, eager = training(convolutional, OPTIMIZERS["adam"])
    other.load_state_dict(saved[1])
    np.testing.assert_allclose(losses(compiled, batches[2:]), losses(eager, batches[2:]), rtol=0, atol=1e-9)


def test_a_schedule_of_the_learning_rate_takes_two_variants(rng):
    batches = [images(rng, ingot.float64) for _ in range(12)]
    found = []
    for wrap in (ingot.compile, lambda f: f):
        _, optimizer, step = training(convolutional, OPTIMIZERS["momentum"])
        schedule = ingot.optim.lr_scheduler.ExponentialLR(optimizer, 0.8)
        run = wrap(step)
        ingot.manual_seed(7)
        found.append([])
        for batch in batches:
            found[-1].append(run(*batch).item())
            schedule.step()
        assert type(optimizer.param_groups[0]["lr"]) is float
        if run is not step:
            assert [v.calls for v in run.variants] == [1, 11]
            assert "param_groups[0]['lr'] was 0.05, is now" in run.variants[1].why
            assert "param_groups[0]['lr'] is a run-time number" in run.explain()
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-9)


def test_gradients_that_are_added_up_over_steps(rng):
    def make():
        model, optimizer, _ = training(convolutional, OPTIMIZERS["sgd"])

        def accumulate(x, y):
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            return loss

        return model, optimizer, accumulate

    batches = [images(rng, ingot.float64) for _ in range(4)]
    model, own, step = make()
    other, second, eager = make()
    compiled = ingot.compile(step)
    np.testing.assert_allclose(losses(compiled, batches), losses(eager, batches), rtol=0, atol=1e-9)
    same_state((model, own), (other, second), rtol=1e-9, atol=1e-12)
    assert [v.calls for v in compiled.variants] == [1, 3]
    assert "grad" in compiled.variants[1].why
    kept = [p.grad for p in model.parameters()]
    before = [g.numpy().copy() for g in kept]
    compiled(*batches[0])
    for g, old in zip(kept, before, strict=True):
        np.testing.assert_array_equal(g.numpy(), old)  # a gradient that somebody holds is not written to


def test_gradients_clipped_within_the_step(rng):
    def make():
        model, optimizer, _ = training(convolutional, OPTIMIZERS["momentum"])

        def step(x, y):
            optimizer.zero_grad(set_to_none=False)
            F.cross_entropy(model(x), y).backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            return norm

        return model, optimizer, step

    batches = [images(rng, ingot.float64) for _ in range(5)]
    model, own, step = make()
    other, second, eager = make()
    np.testing.assert_allclose(losses(ingot.compile(step), batches), losses(eager, batches), rtol=1e-9)
    same_state((model, own), (other, second), rtol=1e-9, atol=1e-12)


def test_frozen_parameters_and_parameter_groups(rng):
    def make():
        ingot.manual_seed(1)
        model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3)).double()
        model[0].weight.requires_grad_(False)
        optimizer = AdamW([{"params": [model[0].weight, model[0].bias]}, {"params": model[2].parameters(), "lr": 0.1}])

        def step(x, y):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        return model, optimizer, step

    batches = [(ingot.tensor(rng.standard_normal((5, 4))), ingot.tensor(rng.integers(0, 3, 5))) for _ in range(5)]
    model, own, step = make()
    other, second, eager = make()
    np.testing.assert_allclose(losses(ingot.compile(step), batches), losses(eager, batches), rtol=0, atol=1e-9)
    same_state((model, own), (other, second), rtol=1e-9, atol=1e-12)


def test_batches_of_other_sizes_share_a_variant(rng):
    model, own, step = training(convolutional, OPTIMIZERS["adamw"])
    other, second, eager = training(convolutional, OPTIMIZERS["adamw"])
    compiled = ingot.compile(step)
    batches = [
        (ingot.tensor(rng.standard_normal((n, 1, 8, 8))), ingot.tensor(rng.integers(0, 10, n))) for n in (8, 8, 5, 6, 3)
    ]
    np.testing.assert_allclose(losses(compiled, batches), losses(eager, batches), rtol=0, atol=1e-9)
    assert [v.calls for v in compiled.variants] == [2, 3]
    same_state((model, own), (other, second), rtol=1e-9, atol=1e-12)


def test_the_loss_that_comes_out_has_been_walked_back_from(rng):
    _, _, step = training(convolutional, OPTIMIZERS["sgd"])
    loss = ingot.compile(step)(*images(rng, ingot.float64))
    assert loss.requires_grad
    with pytest.raises(GradientError, match="already walked"):
        loss.backward()


def test_tied_weights(rng):
    def make():
        ingot.manual_seed(1)
        first, second = nn.Linear(4, 4).double(), nn.Linear(4, 4).double()
        second.weight = first.weight
        model = nn.Sequential(first, nn.Tanh(), second)
        optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)

        def step(x, y):
            optimizer.zero_grad()
            loss = ((model(x) - y) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss

        return model, optimizer, step

    batches = [tuple(ingot.tensor(rng.standard_normal((3, 4))) for _ in range(2)) for _ in range(4)]
    model, own, step = make()
    other, second, eager = make()
    compiled = ingot.compile(step)
    np.testing.assert_allclose(losses(compiled, batches), losses(eager, batches), rtol=0, atol=1e-12)
    same_state((model, own), (other, second), rtol=1e-9, atol=1e-12)
    model[2].weight = nn.Parameter(model[0].weight.detach().clone())
    compiled(*batches[0])
    assert "same tensor as another" in compiled.variants[1].why


def test_gradients_of_arguments_are_left_on_them(rng):
    def penalty(x):
        (x * x).sum().backward()
        return x.grad * 1

    compiled = ingot.compile(penalty)
    x = ingot.tensor(rng.standard_normal(3), requires_grad=True)
    y = ingot.tensor(x.detach().numpy().copy(), requires_grad=True)
    for _ in range(3):
        np.testing.assert_array_equal(compiled(x).numpy(), penalty(y).numpy())
        np.testing.assert_array_equal(x.grad.numpy(), y.grad.numpy())
    assert len(compiled.variants) == 2
    with pytest.raises(CaptureError, match="computed outside"):
        compiled(x * 2)


def test_the_memory_of_parameters_stays_where_it_is(rng):
    model, _, step = training(convolutional, OPTIMIZERS["adamw"])
    before = [id(p._array) for p in model.parameters()]
    versions = [p._version for p in model.parameters()]
    compiled = ingot.compile(step)
    compiled(*images(rng, ingot.float64))
    assert [id(p._array) for p in model.parameters()] == before
    assert all(p._version > v for p, v in zip(model.parameters(), versions, strict=True))
    # All but the random state is computed where it lies.
    after = compiled.variants[0].source.partition("    results = ")[2].partition("return results")[0]
    assert after.count("np.copyto") == 1


@pytest.mark.parametrize("option", ["weight_decay", "momentum"])
def test_an_option_that_steers_the_formula_makes_variants(option, rng):
    batches = [images(rng, ingot.float64) for _ in range(4)]
    found = []
    for wrap in (ingot.compile, lambda f: f):
        _, optimizer, step = training(convolutional, OPTIMIZERS["momentum"])
        run = wrap(step)
        ingot.manual_seed(7)
        found.append([])
        for i, batch in enumerate(batches):
            optimizer.param_groups[0][option] = (0.1, 0.2)[i % 2]
            found[-1].append(run(*batch).item())
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-9)


def test_a_schedule_within_the_step_is_followed(rng):
    batches = [images(rng, ingot.float64) for _ in range(4)]
    found = []
    for wrap in (ingot.compile, lambda f: f):
        _, optimizer, step = training(convolutional, OPTIMIZERS["sgd"])
        schedule = ingot.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)

        def both(x, y, step=step, schedule=schedule):
            loss = step(x, y)
            schedule.step()
            return loss

        found.append(losses(wrap(both), batches))
        assert optimizer.param_groups[0]["lr"] == 0.05 * 0.5**4
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-9)


def test_hooks_that_are_added_later_run(rng):
    model, _, _ = training(convolutional, OPTIMIZERS["sgd"])
    compiled = ingot.compile(lambda x: model(x))
    x, _ = images(rng, ingot.float64)
    model.eval()
    before = compiled(x).detach().numpy()
    handle = model.register_forward_hook(lambda module, args, result: result * 2)
    np.testing.assert_allclose(compiled(x).detach().numpy(), 2 * before)
    handle.remove()
    np.testing.assert_array_equal(compiled(x).detach().numpy(), before)
