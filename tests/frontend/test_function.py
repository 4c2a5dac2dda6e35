"""`autograd.Function`: gradients that the user writes, eagerly, and gradcheck."""

import gc
import weakref

import ingot
import numpy as np
import pytest
from ingot.autograd import Function, GradcheckError, gradcheck, gradgradcheck
from ingot.autograd.function import once_differentiable
from ingot.ir.errors import ArgumentError, GradientError


class Cube(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * 3 * x * x


class Exp(Function):
    """Keeps its result."""

    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * y


class Scaled(Function):
    """The newer form, with a number and two tensors."""

    @staticmethod
    def forward(x, w, factor=2.0):
        return x * w * factor

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, w, ctx.factor = inputs
        ctx.save_for_backward(x, w)

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return g * w * ctx.factor, (g * x * ctx.factor if ctx.needs_input_grad[1] else None), None


def leaf(*values):
    return ingot.tensor(values, dtype=ingot.float64, requires_grad=True)


def test_first_second_and_third_derivative():
    x = leaf(1.0, 2.0)
    (first,) = ingot.autograd.grad(Cube.apply(x).sum(), x, create_graph=True)
    assert first.tolist() == [3.0, 12.0]
    (second,) = ingot.autograd.grad(first.sum(), x, create_graph=True)
    assert second.tolist() == [6.0, 12.0]
    (third,) = ingot.autograd.grad(second.sum(), x)
    assert third.tolist() == [6.0, 6.0]


def test_a_saved_result_is_differentiated_through_the_function_again():
    x = leaf(0.3)
    g = Exp.apply(x)
    for _ in range(3):
        (g,) = ingot.autograd.grad(g.sum(), x, create_graph=True)
    np.testing.assert_allclose(g.detach().numpy(), np.exp(0.3), rtol=1e-12)


def test_setup_context_defaults_numbers_and_needs_input_grad():
    x, w = leaf(2.0), ingot.tensor([5.0], dtype=ingot.float64)
    Scaled.apply(x, w).sum().backward()
    assert x.grad.tolist() == [10.0]
    y = Scaled.apply(x, w, factor=3.0)
    assert y.tolist() == [30.0]
    assert gradcheck(lambda a, b: Scaled.apply(a, b, 0.5), (leaf(1.0, 2.0), leaf(3.0, 4.0)))
    assert gradgradcheck(Scaled.apply, (leaf(1.0, 2.0), leaf(3.0, 4.0)))


def test_without_gradients_nothing_is_recorded():
    x = ingot.ones(2)
    assert not Cube.apply(x).requires_grad
    with ingot.no_grad():
        assert not Cube.apply(leaf(1.0)).requires_grad


def test_the_users_gradient_counts_not_that_of_the_operations():
    class Lie(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 100

    x = leaf(1.0)
    Lie.apply(x).sum().backward()
    assert x.grad.tolist() == [100.0]


def test_several_outputs_materialised_or_not():
    seen = []

    class Pair(Function):
        @staticmethod
        def forward(ctx, x, materialise):
            ctx.set_materialize_grads(materialise)
            return x * 2, "a word", x * 3

        @staticmethod
        def backward(ctx, a, word, b):
            seen.append((a, word, b))
            return (a if a is not None else 0) * 2 + (b if b is not None else 0) * 3, None

    x = leaf(1.0, 2.0)
    a, word, _ = Pair.apply(x, True)
    assert word == "a word"
    a.sum().backward()
    assert seen[-1][1] is None
    assert seen[-1][2].tolist() == [0.0, 0.0]
    Pair.apply(x, False)[2].sum().backward()
    assert seen[-1][0] is None
    assert x.grad.tolist() == [5.0, 5.0]


def test_outputs_without_gradient():
    class SplitSign(Function):
        @staticmethod
        def forward(ctx, x):
            sign = x.sign()
            ctx.mark_non_differentiable(sign)
            ctx.save_for_backward(sign)
            return x.abs(), sign

        @staticmethod
        def backward(ctx, g, _):
            return g * ctx.saved_tensors[0]

    x = leaf(-2.0, 3.0)
    magnitude, sign = SplitSign.apply(x)
    assert magnitude.requires_grad
    assert not sign.requires_grad
    magnitude.sum().backward()
    assert x.grad.tolist() == [-1.0, 1.0]


def test_an_argument_changed_in_place_is_marked_or_refused():
    class Double(Function):
        @staticmethod
        def forward(ctx, x, mark):
            x.mul_(2)
            if mark:
                ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 2, None

    x = leaf(1.0, 2.0)
    y = x * 1
    part = y[:1]
    assert Double.apply(y, True) is y
    (y.sum() + 10 * part.sum()).backward()
    assert y.tolist() == [2.0, 4.0]
    assert x.grad.tolist() == [22.0, 2.0]
    with pytest.raises(GradientError, match="mark_dirty"):
        Double.apply(x * 1, False)
    with pytest.raises(GradientError, match="a leaf that requires a gradient"):
        Double.apply(x, True)


def test_a_result_that_is_an_argument_is_another_tensor():
    class Reverse(Function):
        @staticmethod
        def forward(ctx, x):
            return x.view_as(x)

        @staticmethod
        def backward(ctx, g):
            return -g

    x = leaf(1.0)
    h = x * 2
    y = Reverse.apply(h)
    h.add_(5)
    (y * 1).sum().backward()
    assert x.grad.tolist() == [-2.0]


def test_gradients_are_summed_and_cast_or_refused():
    class Wide(Function):
        @staticmethod
        def forward(ctx, x, how):
            ctx.how = how
            return x.float() * ingot.ones(3, 2)

        @staticmethod
        def backward(ctx, g):
            return {"wide": g, "wrong": g[:, :1], "number": 1.0}[ctx.how], None

    x = leaf(1.0, 2.0)
    Wide.apply(x, "wide").sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    assert x.grad.dtype is ingot.float64
    for how, found in (("wrong", r"sizes \[3, 1\]"), ("number", "float")):
        with pytest.raises(GradientError, match=f"does not fit argument 0[\\s\\S]*{found}"):
            Wide.apply(x, how).sum().backward()


def test_the_number_of_gradients_is_checked():
    class Few(Function):
        @staticmethod
        def forward(ctx, x, y):
            return x + y

        @staticmethod
        def backward(ctx, g):
            return g

    with pytest.raises(GradientError, match="another number of gradients"):
        Few.apply(leaf(1.0), leaf(2.0)).sum().backward()


def test_walking_twice_and_changing_what_was_saved():
    x = leaf(2.0)
    y = Cube.apply(x * 1)
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    with pytest.raises(GradientError, match="retain_graph=True"):
        y.sum().backward()
    h = x * 1
    y = Cube.apply(h)
    h.add_(1)
    with pytest.raises(GradientError, match="changed in place"):
        y.sum().backward()
    y = Exp.apply(x * 1)
    z = (y * 1).sum()
    with ingot.no_grad():
        y.add_(1)
    with pytest.raises(GradientError, match="changed in place"):
        z.backward()


def test_once_differentiable_is_an_error_when_differentiated_twice():
    class Once(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx, g):
            return g * 2 * ctx.saved_tensors[0]

    x = leaf(3.0)
    (first,) = ingot.autograd.grad(Once.apply(x).sum(), x, create_graph=True)
    assert first.tolist() == [6.0]
    with pytest.raises(GradientError, match="once_differentiable"):
        first.sum().backward()


def test_the_leafs_gradient_is_its_own_memory():
    class Give(Function):
        @staticmethod
        def forward(ctx, x, held):
            ctx.held = held
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return ctx.held, None

    x, held = leaf(1.0), ingot.tensor([7.0], dtype=ingot.float64)
    Give.apply(x, held).sum().backward()
    x.grad.zero_()
    assert held.tolist() == [7.0]


def test_the_graph_is_freed_without_the_cyclic_collector():
    gc.disable()
    try:
        y = Exp.apply(leaf(1.0) * 2)
        kept = weakref.ref(y)
        node = weakref.ref(y.grad_fn)
        del y
        assert kept() is None
        assert node() is None
    finally:
        gc.enable()


def test_tensors_in_a_list_would_lose_their_gradient():
    class Listed(Function):
        @staticmethod
        def forward(ctx, x):
            return [x * 2]

    with pytest.raises(GradientError, match="in a list"):
        Listed.apply(leaf(1.0))


def test_misuse():
    with pytest.raises(ArgumentError, match="apply"):
        Cube()
    with pytest.raises(ArgumentError, match="keyword arguments"):
        Cube.apply(x=leaf(1.0))

    class NoBackward(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    with pytest.raises(ArgumentError, match="has no backward"):
        NoBackward.apply(leaf(1.0)).sum().backward()


def test_hooks_on_results_and_mixing_with_operations():
    x = leaf(2.0)
    y = Cube.apply(x + 1)
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    (y * 2).sum().backward()
    assert seen == [[2.0]]
    assert x.grad.tolist() == [54.0]


class Wrong(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]


@pytest.mark.parametrize("fast", [False, True])
def test_gradcheck_finds_a_wrong_gradient(fast):
    x = leaf(1.0, 2.0)
    assert gradcheck(Cube.apply, x, fast_mode=fast)
    with pytest.raises(GradcheckError, match="output 0 with respect to input 0 is wrong"):
        gradcheck(Wrong.apply, x, fast_mode=fast)
    assert not gradcheck(Wrong.apply, x, fast_mode=fast, raise_exception=False)


def test_gradcheck_over_several_inputs_and_outputs(rng):
    a = ingot.tensor(rng.standard_normal((2, 3)), dtype=ingot.float64, requires_grad=True)
    b = ingot.tensor(rng.standard_normal((3,)), dtype=ingot.float64, requires_grad=True)
    assert gradcheck(lambda a, b, n: (a * b + n, (a.exp() @ b), a.argmax()), (a, b, 2))
    assert gradgradcheck(lambda a, b: (a * b, (a.exp() @ b).tanh()), (a, b))


def test_gradcheck_notices_chance_and_wrong_second_derivatives():
    state = []

    class Chance(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            state.append(0)
            return g + 1e-7 * len(state)

    with pytest.raises(GradcheckError, match="differs from run to run"):
        gradcheck(Chance.apply, leaf(1.0))
    assert gradcheck(Chance.apply, leaf(1.0), nondet_tol=1e-3)

    class Cut(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x.detach())
            return x * x

        @staticmethod
        def backward(ctx, g):
            return g * 2 * ctx.saved_tensors[0]

    assert gradcheck(Cut.apply, leaf(1.0))
    with pytest.raises(GradcheckError):
        gradgradcheck(Cut.apply, leaf(1.0))
    with pytest.raises(ArgumentError, match="no input requires a gradient"):
        gradcheck(Cube.apply, ingot.ones(1))


# -------------------------------------------------------------------------------------------------- in a capture


class StraightThrough(Function):
    """Rounds; its gradient is as if it did not."""

    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    def backward(ctx, g):
        return g


def test_a_captured_training_step_uses_the_users_gradient():
    w = ingot.tensor([1.4, -2.6], requires_grad=True)

    def step(x):
        w.grad = None
        y = StraightThrough.apply(w * x)
        (Exp.apply(y * 0.1) * y).sum().backward()
        return w.grad

    program = ingot.jit.trace(step, ingot.ones(2))
    x = ingot.tensor([0.7, 1.3])
    assert ingot.allclose(program(x), step(x))
    assert (step(x) != 0).all()


def test_second_order_inside_of_a_capture():
    def f(x):
        x = x.detach().requires_grad_()
        (first,) = ingot.autograd.grad(Cube.apply(x).sum(), x, create_graph=True)
        (second,) = ingot.autograd.grad(first.sum(), x)
        return second

    program = ingot.jit.trace(f, ingot.ones(2))
    assert program(ingot.tensor([1.0, 2.0])).tolist() == [6.0, 12.0]


def test_a_captured_program_never_has_the_gradient_of_the_forwards_operations():
    class Unknown(StraightThrough):
        @staticmethod
        def backward(ctx, g):
            return g if g.sum() > 0 else -g

    def f(x):
        return Unknown.apply(x * 3).sum()

    program = ingot.jit.trace(f, ingot.ones(2))
    assert program(ingot.tensor([0.4, 1.0])).item() == 4.0
    x = ingot.ones(2, requires_grad=True)
    with pytest.raises(GradientError, match="the gradient of Unknown is not part of the program") as caught:
        program(x).backward()
    assert caught.value.location.line == f.__code__.co_firstlineno + 1
    with ingot.no_grad():
        assert program(x).item() == 6.0
    layer = ingot.nn.Linear(2, 2)
    program_of_state = ingot.jit.trace(lambda x: x @ Unknown.apply(layer.weight), ingot.ones(1, 2))
    program_of_state.named_parameters()
    with pytest.raises(GradientError, match="the gradient of Unknown is not part of the program"):
        program_of_state(ingot.ones(1, 2)).sum().backward()
    assert "UserGradient" in str(program.graph)
    assert "UserGradient" not in str(program.optimized)


def test_outputs_without_gradient_stay_so_in_a_program():
    class Sign(Function):
        @staticmethod
        def forward(ctx, x):
            s = x.sign()
            ctx.mark_non_differentiable(s)
            return s

    program = ingot.jit.trace(lambda x: (x * Sign.apply(x)).sum(), ingot.ones(2))
    x = ingot.tensor([2.0, -3.0], requires_grad=True)
    program(x).backward()
    assert x.grad.tolist() == [1.0, -1.0]


def test_a_function_of_integers_is_captured_as_its_operations():
    program = ingot.jit.trace(lambda x: StraightThrough.apply(x.float()).long(), ingot.tensor([1, 2]))
    assert program(ingot.tensor([3, 4])).tolist() == [3, 4]


def test_an_argument_changed_in_place_in_a_capture():
    class Double(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            x.mul_(2)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 2

    def f(x):
        w = ingot.ones(2, requires_grad=True)
        h = w * x
        y = Double.apply(h)
        assert y is h
        (g,) = ingot.autograd.grad((y * x).sum(), w)
        return y + 0, g

    program = ingot.jit.trace(f, ingot.ones(2))
    y, g = program(ingot.tensor([3.0, 4.0]))
    assert y.tolist() == [6.0, 8.0]
    assert g.tolist() == [18.0, 32.0]
