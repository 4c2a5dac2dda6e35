"""Gradients inside of captured branches and loops: left behind, asked for, differentiated again, cut off."""

import ingot
import numpy as np
import pytest
from ingot import autograd, nn, no_grad
from ingot.ir.errors import AssertError, CaptureError, GradientError
from ingot.optim import SGD, Adam

f64 = ingot.float64


class Model(nn.Module):
    """Two parameters in float64, and what a step makes of them, which each test writes."""

    def __init__(self, step, optimizer=None, gradients=False):
        super().__init__()
        self.w = nn.Parameter(ingot.tensor([1.0, -2.0, 0.5], dtype=f64))
        self.b = nn.Parameter(ingot.tensor(0.25, dtype=f64))
        for p in (self.w, self.b) if gradients else ():
            p.grad = ingot.zeros(*p.shape, dtype=f64)
        opt = optimizer((self.w, self.b)) if optimizer else None
        self.run = lambda *args: step(self, opt, *args)

    def loss(self, x, y):
        return (((x * self.w).sum(-1) + self.b - y) ** 2).mean()


def data(rng, rows=4):
    return ingot.tensor(rng.standard_normal((rows, 3))), ingot.tensor(rng.standard_normal(rows))


def number(n):
    return ingot.tensor(n)


def array(x):
    return None if x is None else np.asarray(x.detach().numpy())


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert (a is None) == (b is None), (a, b)
        if a is not None:
            np.testing.assert_allclose(array(a), array(b), rtol=1e-9, atol=1e-12)


LIVE = {
    "compile": lambda f: ingot.compile(f, script=True),
    "script": ingot.jit.script,
}


def assert_lives_as_eagerly(make, calls):
    """Calls of the compiled and the scripted step leave parameters and gradients as eager ones do, None included."""
    for capture in LIVE.values():
        eager, model = make(), make()
        step = capture(model.run)
        for args in calls:
            expected, found = eager.run(*args), step(*args)
            assert_same([found], [expected])
            for a, b in zip(model.parameters(), eager.parameters(), strict=True):
                assert_same((a, a.grad), (b, b.grad))


def assert_runs_as_eagerly(make, calls, tmp_path, **options):
    """Calls of the traced program, of the loaded one, and on the reference backend do what eager ones do."""
    program = ingot.jit.trace(make().run, calls[0], script_branches=True, check=False, **options)
    program.save(tmp_path / "program.ingot")
    loaded = ingot.load(tmp_path / "program.ingot")
    for one in (program, loaded, ingot.load(tmp_path / "program.ingot").on("reference")):
        eager = make()
        for args in calls:
            assert_same([one(*args)], [eager.run(*args)])
            for name, p in (("w", eager.w), ("b", eager.b)):
                key = next(key for key in one.state if key.split(".")[-1] == name)
                assert_same([one.state[key]], [p])
                if f"{key}.grad" in one.state:
                    assert_same([one.state[f"{key}.grad"]], [ingot.zeros_like(p) if p.grad is None else p.grad])


# -------------------------------------------------------------------------------------- gradients that are left behind


def accumulate(model, opt, x, y, n):
    opt.zero_grad()
    total = ingot.zeros((), dtype=f64)
    for i in range(int(n)):
        loss = model.loss(x * (i + 1), y)
        loss.backward()
        total = total + loss.detach()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    return total


@pytest.mark.parametrize("optimizer", [lambda p: SGD(p, lr=0.1, momentum=0.9), lambda p: Adam(p, lr=0.1)])
def test_gradients_add_up_over_a_loop(rng, tmp_path, optimizer):
    x, y = data(rng)
    calls = [(x, y, number(n)) for n in (2, 3, 1)]
    assert_lives_as_eagerly(lambda: Model(accumulate, optimizer), calls)
    assert_runs_as_eagerly(lambda: Model(accumulate, optimizer), calls, tmp_path)
    more = [*calls, (*data(rng, 7), number(2))]
    shapes = [{0: "rows"}, {0: "rows"}, None]
    assert_runs_as_eagerly(lambda: Model(accumulate, optimizer), more, tmp_path, dynamic_shapes=shapes)


def test_a_step_behind_a_loop_of_no_iterations_has_no_gradient(rng):
    x, y = data(rng)
    for capture in LIVE.values():
        model = Model(accumulate, lambda p: SGD(p, lr=0.1))
        step = capture(model.run)
        step(x, y, number(2))
        with pytest.raises(AssertError, match=r"grad is None: the loop that sets it had no iterations"):
            step(x, y, number(0))


def descend(model, opt, x, y, tolerance):
    error = model.loss(x, y).item()
    while error > tolerance.item():
        opt.zero_grad()
        loss = model.loss(x, y)
        loss.backward()
        opt.step()
        error = loss.item()
    return model.loss(x, y).detach()


@pytest.mark.parametrize("optimizer", [lambda p: SGD(p, lr=0.05, momentum=0.5), lambda p: Adam(p, lr=0.05)])
def test_steps_in_a_loop_leave_the_last_gradient_or_none(rng, tmp_path, optimizer):
    x, y = data(rng)
    start = Model(None).loss(x, y).item()
    calls = [(x, y, ingot.tensor(start * part, dtype=f64)) for part in (2.0, 0.9, 0.8, 2.0, 0.7)]
    assert_lives_as_eagerly(lambda: Model(descend, optimizer), calls)
    assert_lives_as_eagerly(lambda: Model(descend, optimizer), calls[1:])
    assert_runs_as_eagerly(lambda: Model(descend, optimizer), calls[1:], tmp_path)


def epochs(model, opt, x, y, n):
    loss = ingot.zeros((), dtype=f64)
    for _ in range(int(n)):
        for row, target in zip(x, y, strict=True):
            loss = model.loss(row, target)
            if loss > 0.01:
                opt.zero_grad()
                loss.backward()
                opt.step()
    return loss.detach()


def test_loops_in_loops_with_branches(rng, tmp_path):
    x, y = data(rng)
    calls = [(x, y, number(n)) for n in (2, 1, 3)]
    make = lambda: Model(epochs, lambda p: SGD(p, lr=0.02, momentum=0.9))  # noqa: E731
    assert_lives_as_eagerly(make, [*calls, (x, y, number(0))])
    more = [*calls, (*data(rng, 2), number(2))]
    assert_runs_as_eagerly(make, more, tmp_path, dynamic_shapes=[{0: "rows"}, {0: "rows"}, None])


def backward_if_small(model, opt, x, y):
    loss = model.loss(x, y)
    if loss.item() < 50:
        loss.backward()
    return loss.detach()


def backward_and_step_if_small(model, opt, x, y):
    loss = backward_if_small(model, opt, x, y)
    opt.step()
    return loss


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("first", [1, 100])
def test_a_branch_leaves_a_gradient_or_none(rng, tmp_path, gradients, first):
    x, y = data(rng)
    calls = [(x * first, y), (x, y), (x * 100, y), (x * 2, y)]
    assert_lives_as_eagerly(lambda: Model(backward_if_small, gradients=gradients), calls)
    assert_runs_as_eagerly(lambda: Model(backward_if_small, gradients=gradients), calls, tmp_path)


def test_a_gradient_that_one_side_alone_leaves_is_not_read(rng, tmp_path):
    x, y = data(rng)
    for capture in (*LIVE.values(), lambda f: ingot.jit.trace(f, (x, y), script_branches=True, check=False)):
        model = Model(backward_and_step_if_small, lambda p: SGD(p, lr=0.1))
        with pytest.raises(CaptureError) as caught:
            capture(model.run)(x, y)
        assert "read that is a tensor or None" in caught.value.what
        assert "zeros_like" in caught.value.advice
        assert "loss.backward()" in str(caught.value) and "it is read at" in caught.value.found

    def make():
        return Model(backward_and_step_if_small, lambda p: Adam(p, lr=0.1), gradients=True)

    calls = [(x, y), (x * 100, y), (x, y)]
    assert_lives_as_eagerly(make, calls)
    assert_runs_as_eagerly(make, calls, tmp_path)


def every_other(model, opt, x, y, i):
    loss = model.loss(x, y)
    loss.backward()
    if i % 2 == 1:
        opt.step()
        opt.zero_grad()
    return loss.detach()


def test_gradients_that_a_branch_takes_away(rng, tmp_path):
    x, y = data(rng)
    calls = [(x * (i + 1), y, number(i)) for i in range(5)]
    make = lambda: Model(every_other, lambda p: SGD(p, lr=0.01))  # noqa: E731
    assert_lives_as_eagerly(make, calls)
    assert_runs_as_eagerly(make, calls, tmp_path)


# ------------------------------------------------------------------------------------------- what is walked, and where


def through_both(model, opt, x, y):
    loss = model.loss(x, y)
    if loss.item() < 50:
        loss.backward(retain_graph=model.retains)
    loss.backward()
    return loss.detach()


def test_what_a_branch_frees_is_not_walked_again(rng):
    x, y = data(rng)

    def make(retains):
        model = Model(through_both)
        model.retains = retains
        return model

    assert_lives_as_eagerly(lambda: make(True), [(x * 100, y), (x, y)])
    for capture in LIVE.values():
        with pytest.raises(GradientError, match="has been freed, in a branch or before") as caught:
            capture(make(False).run)(x, y)
        assert caught.value.location is not None


def in_a_loop(body):
    def step(model, opt, x, y, n):
        h = model.loss(x, y)
        for i in range(int(n)):
            h = body(h, i)
        return h.detach()

    return step


def carried(h, i):
    h = h * (i + 1)
    h.backward(retain_graph=True)
    return h


def freed(h, i):
    (h * i).backward()
    return h


def retained(h, i):
    (h * i).backward(retain_graph=True)
    return h


def test_a_loop_goes_back_through_what_was_before_it(rng):
    x, y = data(rng)
    assert_lives_as_eagerly(lambda: Model(in_a_loop(retained)), [(x, y, number(n)) for n in (2, 0, 3)])
    for body, message in (
        (carried, "from one iteration .* into the ones before"),
        (freed, "which the first one frees"),
    ):
        for capture in LIVE.values():
            with pytest.raises(CaptureError, match=message) as caught:
                capture(Model(in_a_loop(body)).run)(x, y, number(2))
            assert "backward(" in str(caught.value)


def rebinding(model, opt, x, y, n):
    w = model.w.detach().clone().requires_grad_()
    for _ in range(int(n)):
        (g,) = autograd.grad((((x * w).sum(-1) - y) ** 2).mean(), w)
        w = (w - 0.1 * g).detach().requires_grad_()
    return w.detach()


def dependent(model, opt, x, y, n):
    a, b = model.w * 1, model.w * 2
    for _ in range(int(n)):
        g, h = autograd.grad((a * b).sum(), (a, b), retain_graph=True)
        a = a - 0.1 * g
        b = a * h
    return a.detach()


def test_gradients_of_what_an_iteration_finds(rng, tmp_path):
    x, y = data(rng)
    calls = [(x, y, number(n)) for n in (2, 0, 3)]
    assert_lives_as_eagerly(lambda: Model(rebinding), calls)
    for capture in LIVE.values():
        with pytest.raises(CaptureError, match="one of which is computed from another"):
            capture(Model(dependent).run)(*calls[0])


def test_what_the_tape_inside_has_kept_is_not_changed_in_place():
    w = ingot.ones(3, requires_grad=True)

    def program(x):
        y = w * x
        if x.sum() > 0:
            y = y.tanh()
        y += 1
        return autograd.grad(y.sum(), w)[0]

    with pytest.raises(GradientError, match="was changed in place"):
        ingot.jit.trace(program, ingot.ones(3), script_branches=True, check=False)


# ------------------------------------------------------------------------------------------------ higher derivatives


def product_with_hessian(w, x, n):
    y = (w * x).sin()
    for i in range(int(n)):
        y = (y * w).sin() + i * x if y.sum() > 0 else y * y + w
    (g,) = autograd.grad((y * y).sum(), w, create_graph=True)
    (h,) = autograd.grad((g * x).sum(), w)
    return h


def third_order(w, x, n):
    y = w * x
    for i in range(int(n)):
        y = (y * w).sin() + i * x
    (g,) = autograd.grad((y * y).sum(), w, create_graph=True)
    (h,) = autograd.grad((g * x).sum(), w, create_graph=True)
    return autograd.grad((h * x * w).sum(), w)[0]


def gradient_penalty(w, x, n):
    z = x.clone().requires_grad_()
    score = (z * w).tanh()
    if score.sum() > 0:
        score = score * 2 + z * z * w
    (g,) = autograd.grad(score.sum(), z, create_graph=True)
    return autograd.grad((g.norm() - 1) ** 2, w)[0]


def learning_to_learn(w, x, n):
    fast = w
    for _ in range(int(n)):
        loss = (((fast * x).sin() - 1) ** 2).sum()
        if loss > 2:
            loss = loss * 0.5 + (fast * fast).sum()
        (g,) = autograd.grad(loss, fast, create_graph=True)
        fast = fast - 0.1 * g
    return autograd.grad(((fast * x) ** 2).sum(), w)[0]


def of_a_side(w, x, n):
    y = w * x
    if x.sum() > 0:
        (g,) = autograd.grad((y * y * y).sum(), w, create_graph=True)
        z = (g * g).sum()
    else:
        z = y.sum() * w[0] * w[1]
    return autograd.grad(z, w)[0]


@pytest.mark.parametrize(
    "function", [product_with_hessian, third_order, gradient_penalty, learning_to_learn, of_a_side]
)
def test_gradients_of_gradients(rng, tmp_path, function):
    w = ingot.tensor(rng.uniform(0.5, 2, 3), requires_grad=True)
    x = ingot.tensor(rng.uniform(0.2, 1, 3))
    program = ingot.jit.trace(lambda x, n: function(w, x, n), (x, number(3)), script_branches=True, check=False)
    program.save(tmp_path / "program.ingot")
    for one in (program, program.on("reference"), ingot.load(tmp_path / "program.ingot")):
        for scale, n in ((1, 3), (-1, 3), (0.5, 1), (2, 0)):
            if n or function is not learning_to_learn:
                assert_same([one(x * scale, number(n))], [function(w, x * scale, number(n))])


def test_a_product_with_the_hessian_is_a_difference_of_gradients(rng):
    x, start = rng.uniform(0.2, 1, 3), rng.uniform(0.5, 2, 3)
    w = ingot.tensor(start, requires_grad=True)

    def gradient(at, n):
        at = ingot.tensor(at, requires_grad=True)
        y = (at * ingot.tensor(x)).sin()
        for i in range(n):
            y = (y * at).sin() + i * ingot.tensor(x) if y.sum() > 0 else y * y + at
        return array(autograd.grad((y * y).sum(), at)[0])

    program = ingot.jit.trace(
        lambda x, n: product_with_hessian(w, x, n), (ingot.tensor(x), number(2)), script_branches=True, check=False
    )
    step = 1e-6
    for n in (0, 1, 3):
        found = array(program(ingot.tensor(x), number(n)))
        expected = (gradient(start + step * x, n) - gradient(start - step * x, n)) / (2 * step)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


# ------------------------------------------------------------------------------------------------- under no_grad()


def side_without(x, n):
    if x.sum() > 0:
        with no_grad():
            y = x * 2
    else:
        y = x * 3
    return (y * x).sum()


def within_a_side(x, n):
    y = x * 1
    if x.sum() > 0:
        with no_grad():
            a = x * 2
        y = a * x
    return y.sum()


def within_a_loop(x, n):
    total, y = x * 0, x * 1
    for i in range(int(n)):
        with no_grad():
            total = total + x * i
        y = y * total + x
    return y.sum()


def around_a_loop(x, n):
    with no_grad():
        a = x
        for _ in range(int(n)):
            a = a * x
    return (a * x).sum()


def straight(x, n):
    with no_grad():
        a = x * 2
    return (a * x).sum()


def a_number(x, n):
    return (x * x.sum().item()).sum()


def copied(x, n):
    kept, v = ingot.zeros(3, dtype=f64), x * 2
    if x.sum() > 0:
        with no_grad():
            kept.copy_(v)
    return (kept * v).sum()


def changed(x, n):
    h = x * 2
    if x.sum() > 0:
        with no_grad():
            h.mul_(3)
    return (h * x).sum()


def changed_in_a_loop(x, n):
    h, y = x * 2, x * 0
    for i in range(int(n)):
        with no_grad():
            h.mul_(3)
        y = y + h * i
    return y.sum()


def detached(x, n):
    a = x * 2
    a.detach_()
    return (a * x).sum()


@pytest.mark.parametrize(
    "function",
    [
        side_without, within_a_side, within_a_loop, around_a_loop, straight, a_number, copied, changed,
        changed_in_a_loop, detached,
    ],
)  # fmt: skip
def test_what_is_not_recorded_has_no_gradient_in_the_program(rng, tmp_path, function):
    x = ingot.tensor(rng.uniform(0.5, 2, 3))
    program = ingot.jit.trace(function, (x, number(3)), script_branches=True, check=False)
    program.save(tmp_path / "program.ingot")
    for one in (program, program.on("reference"), ingot.load(tmp_path / "program.ingot")):
        for scale, n in ((1, 3), (-1, 2), (2, 1)):
            found, expected = ((x * scale).requires_grad_() for _ in range(2))
            y, z = one(found, number(n)), function(expected, number(n))
            y.backward()
            z.backward()
            assert_same((y, found.grad), (z, expected.grad))


def test_a_parameter_that_is_changed_under_no_grad_gets_the_gradient_of_its_new_value():
    class Halving(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(ingot.ones(3))

        def forward(self, x):
            with no_grad():
                self.w.mul_(0.5)
            return (self.w * x).sum()

    x = ingot.tensor([1.0, 2.0, 3.0])
    program = ingot.jit.trace(Halving(), x, check=False)
    (w,) = program.parameters()
    program(x).backward()
    assert w.grad.tolist() == [1.0, 2.0, 3.0]
