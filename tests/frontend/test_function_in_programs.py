"""Gradients that users write, as part of a program: differentiated after the capture, and after loading."""

import subprocess
import sys
import textwrap

import ingot
import numpy as np
import pytest
from ingot.autograd import Function
from ingot.autograd.function import once_differentiable
from ingot.ir.errors import ArgumentError, CaptureError, GradientError
from ingot.ir.graph import same_graph
from ingot.ir.parser import parse
from ingot.ir.verifier import verify
from ingot.passes import TRAINING, derivative, run_pipeline


class StraightThrough(Function):
    """Rounds; its gradient is as if it did not."""

    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    def backward(ctx, g):
        return g


class Reverse(Function):
    @staticmethod
    def forward(ctx, x, strength):
        ctx.strength = strength
        return x * 1

    @staticmethod
    def backward(ctx, g):
        return -g * ctx.strength, None


class Clip(Function):
    """Computes nothing; clips the norm of the gradient."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return g * (1.0 / g.norm().clamp(min=1.0))


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
    """Twice the gradient of exp, from the saved result."""

    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        return 2 * g * ctx.saved_tensors[0]


class Pair(Function):
    """Two results, and gradients that are none of theirs."""

    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return x * y, x + y

    @staticmethod
    def backward(ctx, g, h):
        x, y = ctx.saved_tensors
        return g * y * 10 + h, g * x + h * 100


class AlwaysOnes(Function):
    """A gradient that does not depend on that of the result."""

    @staticmethod
    def forward(ctx, x):
        return x * 5

    @staticmethod
    def backward(ctx, g):
        return g.new_ones(g.shape)


def leaf(*elements):
    return ingot.tensor(elements, dtype=ingot.float64, requires_grad=True)


def example(n=2):
    return ingot.ones(n, dtype=ingot.float64)


def gradients(function, *elements):
    """First gradients, of the arguments, as lists; None where there is none."""
    inputs = [leaf(*x) for x in elements]
    result = function(*inputs)
    total = sum(x.sum() * (i + 1) for i, x in enumerate(result)) if isinstance(result, tuple) else result.sum()
    return [None if g is None else g.tolist() for g in ingot.autograd.grad(total, inputs, allow_unused=True)]


def assert_same_gradients(function, program, *elements):
    expected, found = gradients(function, *elements), gradients(program, *elements)
    for a, b in zip(expected, found, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(np.array(b), np.array(a), rtol=1e-12)


# ---------------------------------------------------------------------------------------------- the users' gradients


class Setup(Function):
    """In PyTorch's other form, with a default, and results that are no floats."""

    @staticmethod
    def forward(x, y, scale=2.0):
        return x * y * scale, x > 0, "text"

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, y, ctx.scale = inputs
        ctx.save_for_backward(x, y)

    @staticmethod
    def backward(ctx, g, *rest):
        x, y = ctx.saved_tensors
        return g * y * ctx.scale * 1.5, g * x * ctx.scale, None


class Nested(Function):
    """Calls other functions, there and back."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return Cube.apply(x) + 1

    @staticmethod
    def backward(ctx, g):
        return Cube.apply(g) * ctx.saved_tensors[0]


class InPlace(Function):
    """Changes what it has made itself, and picks elements."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        ctx.parts = [x > 0]
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, g):
        g = g.clone()
        g[ctx.saved_tensors[0] < 0] = 0
        g[:1] *= 2
        return ingot.where(ctx.parts[0], g, -g)


class Bias(Function):
    """A gradient that is summed over what was broadcast."""

    @staticmethod
    def forward(ctx, x, bias):
        return x + bias

    @staticmethod
    def backward(ctx, g):
        return g * 2, g * 3


class Identity(Function):
    @staticmethod
    def forward(ctx, x):
        return x

    @staticmethod
    def backward(ctx, g):
        return g * 7


FUNCTIONS = {
    "straight through": (lambda x: StraightThrough.apply(x * 3) * 2, 1),
    "reversal": (lambda x: Reverse.apply(x * x, 0.5) * 2, 1),
    "clipped": (lambda x: Clip.apply(x * 3) * 40, 1),
    "saved argument": (lambda x: Cube.apply(x + 1), 1),
    "saved result": (lambda x: Exp.apply(x * 2) * x, 1),
    "two results": (lambda x, y: Pair.apply(x * 2, y)[0] + Pair.apply(y, x)[1], 2),
    "one of two results": (lambda x, y: Pair.apply(x, y)[1], 2),
    "results returned": (lambda x, y: Pair.apply(x, y * y), 2),
    "after one another": (lambda x: Exp.apply(Cube.apply(StraightThrough.apply(x * 1.7))), 1),
    "the same argument twice": (lambda x: Pair.apply(x, x)[0], 1),
    "constant": (lambda x: AlwaysOnes.apply(x * 2), 1),
    "context set up": (lambda x, y: Setup.apply(x, y=y * 2)[0], 2),
    "within one another": (lambda x: Nested.apply(x * 2), 1),
    "in place": (lambda x: InPlace.apply(x * 3), 1),
    "broadcast": (lambda x, y: Bias.apply(ingot.stack([x, y * x]), y), 2),
    "identity": (lambda x: Identity.apply(x) * Identity.apply(x[:]), 1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_program_has_the_users_gradient(name, rng):
    function, count = FUNCTIONS[name]
    program = ingot.jit.trace(function, (example(),) * count)
    for _ in range(3):
        elements = [rng.normal(size=2).tolist() for _ in range(count)]
        assert_same_gradients(function, program, *elements)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_sizes_may_change(name, rng):
    function, count = FUNCTIONS[name]
    shapes = ({0: "n"},) * count
    program = ingot.jit.trace(function, (example(3),) * count, dynamic_shapes=shapes)
    for n in (1, 4):
        assert_same_gradients(function, program, *[rng.normal(size=n).tolist() for _ in range(count)])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_graph_comes_back_from_its_text_and_its_file(name, tmp_path):
    function, count = FUNCTIONS[name]
    program = ingot.jit.trace(function, (example(),) * count)
    graph = program.graph
    verify(graph)
    assert "prim::UserGradient" in str(graph)
    assert same_graph(parse(str(graph)), graph) is None
    program.save(tmp_path / "f.ingot")
    loaded = ingot.load(tmp_path / "f.ingot")
    assert same_graph(loaded.graph, graph) is None
    assert_same_gradients(function, loaded, *[[0.5, -1.25]] * count)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_runs_has_no_trace_of_it(name):
    function, count = FUNCTIONS[name]
    program = ingot.jit.trace(function, (example(),) * count)
    assert "UserGradient" not in str(program.optimized)
    assert "UserGradient" not in program.code("numpy")
    given = [example() * 0.3] * count
    for a, b in zip(_as_tuple(program(*given)), _as_tuple(function(*given)), strict=True):
        assert ingot.allclose(a, b)


def _as_tuple(x):
    return x if isinstance(x, tuple) else (x,)


@pytest.mark.parametrize("backend", ["reference", "numpy"])
def test_graphs_run_with_and_without_it(backend, rng):
    from ingot.backends.backend import get_backend

    program = ingot.jit.trace(lambda x: Exp.apply(StraightThrough.apply(x * 3)) + 1, example())
    x = rng.normal(size=2)
    (plain,), _ = get_backend(backend).compile(program.graph)([x], {}, {})
    graph = program.graph.copy()
    run_pipeline(graph, TRAINING)
    (quick,), _ = get_backend(backend).compile(graph)([x], {}, {})
    np.testing.assert_array_equal(plain, np.exp(np.round(x * 3)) + 1)
    np.testing.assert_allclose(quick, plain)


@pytest.mark.parametrize("pipeline", ["canonicalize", "canonicalize{inference=true}", "cse,dce", "fold", "decompose",
                                      "hoist,share", "fuse"])  # fmt: skip
@pytest.mark.parametrize("name", ["two results", "saved result", "clipped"])
def test_passes_leave_the_gradient(pipeline, name):
    function, count = FUNCTIONS[name]
    graph = ingot.jit.trace(function, (example(),) * count).graph.copy()
    run_pipeline(graph, pipeline)
    verify(graph)
    found = derivative(graph, range(count))
    assert "UserGradient" in str(graph)
    run_pipeline(found.joint, "drop_user_gradients,dce")
    from ingot.ir.interpreter import interpret

    given = [np.array([0.5, -1.25])] * count
    (_, *results), _ = interpret(found.joint, [*given, np.ones(2)], {})
    for a, b in zip(results, gradients(function, *[[0.5, -1.25]] * count), strict=True):
        np.testing.assert_allclose(a, b)


# ---------------------------------------------------------------------------------------------- gradients of gradients


@pytest.mark.parametrize(
    "name", ["straight through", "saved argument", "saved result", "two results", "after one another"]
)
def test_second_order(name, rng):
    function, count = FUNCTIONS[name]
    program = ingot.jit.trace(function, (example(),) * count)

    def second(f):
        inputs = [leaf(0.3, -0.7) for _ in range(count)]
        first = ingot.autograd.grad(f(*inputs).sum(), inputs, create_graph=True)
        total = sum((g * g).sum() for g in first)
        if total._node is None:
            return None
        return [None if g is None else g.tolist() for g in ingot.autograd.grad(total, inputs, allow_unused=True)]

    expected, found = second(function), second(program)
    for a, b in zip(expected or [[0.0, 0.0]] * count, found or [[0.0, 0.0]] * count, strict=True):
        np.testing.assert_allclose(b if b is not None else [0.0, 0.0], a if a is not None else [0.0, 0.0], rtol=1e-12)


def test_what_the_forward_computes_is_constant_to_gradients_of_gradients():
    class Kept(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.y = x.exp()
            ctx.save_for_backward(x.sin())
            return ctx.y * 1

        @staticmethod
        def backward(ctx, g):
            return g * ctx.y * ctx.saved_tensors[0]

    def second(f):
        x = leaf(0.5, 1.0)
        (g,) = ingot.autograd.grad((f(x) * x).sum(), x, create_graph=True)
        (h,) = ingot.autograd.grad(g.sum(), x)
        return h.tolist()

    program = ingot.jit.trace(lambda x: Kept.apply(x), example())
    np.testing.assert_allclose(second(program), second(Kept.apply))


def test_once_differentiable_is_differentiated_once():
    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx, g):
            return ctx.saved_tensors[0] * 2 * g

    def f(x):
        return Square.apply(x)

    program = ingot.jit.trace(f, example())
    assert_same_gradients(f, program, [1.0, 3.0])
    x = leaf(1.0, 3.0)
    with pytest.raises(GradientError, match=r"Square\.backward is differentiated twice") as caught:
        (g,) = ingot.autograd.grad(program(x).sum(), x, create_graph=True)
        ingot.autograd.grad(g.sum(), x)
    assert caught.value.location.line == f.__code__.co_firstlineno + 1


STEPS = {
    "cube": lambda a, b: (Cube.apply(a * 0.7), b),
    "exp": lambda a, b: (Exp.apply(a * 0.3), b),
    "pair": lambda a, b: Pair.apply(a, b.sin()),
    "first": lambda a, b: (Pair.apply(a.cos(), b)[0], b),
    "reverse": lambda a, b: (Reverse.apply(a, 0.5), a),
    "nested": lambda a, b: (Nested.apply(a.sin()), b),
    "sum": lambda a, b: (a.sin() + b, b.cos()),
    "cut": lambda a, b: (a * b.detach(), b),
    "bias": lambda a, b: (Bias.apply(a.sin(), b.sum()), b),
}


@pytest.mark.parametrize("which", range(8))
def test_random_compositions(which, rng):
    names = [str(name) for name in rng.choice(list(STEPS), size=rng.integers(2, 6))]
    branches = [int(i) for i in rng.integers(0, 3, size=len(names))]

    def f(a, b):
        for name, branch in zip(names, branches, strict=True):
            if branch or a.sum() > b.sum():
                a, b = STEPS[name](a, b)
            else:
                a, b = b * 1, a * 1
        return a, b

    program = ingot.jit.trace(f, (example(), example()), script_branches=True, check=False)

    def derivatives(function, elements):
        a, b = (leaf(*x) for x in elements)
        y, z = function(a, b)
        first = ingot.autograd.grad((y * 2 + z).sum(), (a, b), create_graph=True, allow_unused=True)
        total = sum(((g * g).sum() for g in first if g is not None), a.sum() * 0)
        second = ingot.autograd.grad(total, (a, b), allow_unused=True)
        return [np.zeros(2) if g is None else g.detach().numpy() for g in (y, z, *first, *second)]

    for _ in range(4):
        elements = [rng.normal(size=2).tolist() for _ in range(2)]
        for x, y in zip(derivatives(f, elements), derivatives(program, elements), strict=True):
            np.testing.assert_allclose(y, x, rtol=1e-9, atol=1e-12, err_msg=f"{names} {branches}")


# --------------------------------------------------------------------------------------------------------- the context


def test_arguments_without_gradient_and_what_needs_one():
    class Scale(Function):
        @staticmethod
        def forward(ctx, x, scale, index):
            if ctx.needs_input_grad[0]:
                ctx.save_for_backward(scale)
            return x * scale + index

        @staticmethod
        def backward(ctx, g):
            assert ctx.needs_input_grad == (True, True, False)
            return g * ctx.saved_tensors[0], None, None

    def f(x, scale):
        return Scale.apply(x, scale, ingot.arange(2)) * 3

    program = ingot.jit.trace(f, (example(), example()))
    x, scale = leaf(1.0, 2.0), leaf(3.0, 4.0)
    program(x, scale).sum().backward()
    assert x.grad.tolist() == [9.0, 12.0]
    assert scale.grad is None


def test_the_context_is_not_changed_by_the_attempt():
    class Stack(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.steps = [2.0, 3.0]
            ctx.calls = 0
            return x * 1

        @staticmethod
        def backward(ctx, g):
            ctx.calls += 1
            return g * ctx.steps.pop() * ctx.calls

    def step(x):
        x = x.detach().requires_grad_()
        return ingot.autograd.grad(Stack.apply(x).sum(), x)[0]

    program = ingot.jit.trace(step, example())
    assert program(example()).tolist() == [3.0, 3.0]
    assert_same_gradients(lambda x: Stack.apply(x), ingot.jit.trace(lambda x: Stack.apply(x), example()), [1.0, 2.0])


def test_results_that_are_marked_have_no_gradient():
    class Split(Function):
        @staticmethod
        def forward(ctx, x):
            sign = x.sign()
            ctx.mark_non_differentiable(sign)
            return sign, x * sign

        @staticmethod
        def backward(ctx, none, g):
            assert none.shape == g.shape  # zeros
            return g * 7

    def f(x):
        sign, size = Split.apply(x)
        return sign * x + size

    program = ingot.jit.trace(f, example())
    assert_same_gradients(f, program, [1.5, -2.0])


def test_gradients_that_are_none_are_refused_where_one_may_be():
    class Whole(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, g, h):
            return (0 if g is None else g * 2) + (0 if h is None else h * 3)

    def both(x):
        a, b = Whole.apply(x)
        return a * b

    def one(x):
        return Whole.apply(x)[1]

    assert_same_gradients(both, ingot.jit.trace(both, example()), [1.0, 2.0])
    program = ingot.jit.trace(one, example())
    with pytest.raises(GradientError, match="may be None") as caught:
        program(leaf(1.0, 2.0)).sum().backward()
    assert caught.value.location.line == one.__code__.co_firstlineno + 1


def test_an_argument_that_is_changed_in_place():
    class Double(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            x.mul_(2)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 5

    def f(x):
        h = x * 1
        part = h[:1]
        Double.apply(h)
        return part * 100 + h

    program = ingot.jit.trace(f, example())
    assert program(example()).tolist() == f(example()).tolist()
    assert_same_gradients(f, program, [1.0, 3.0])


def test_an_argument_that_is_changed_secretly_is_refused():
    class Secret(Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            return x.sum()

        @staticmethod
        def backward(ctx, g):
            return g * 5

    def f(x):
        h = x * 1
        return Secret.apply(h) + h

    program = ingot.jit.trace(f, example())
    assert program(example()).tolist() == [6.0, 6.0]
    with pytest.raises(GradientError, match="changes an argument in place"):
        program(leaf(1.0, 2.0)).sum().backward()


# ------------------------------------------------------------------------------------------- where nothing flows back


def test_a_result_that_nobody_uses_does_not_reach_the_users_function():
    def f(x):
        return AlwaysOnes.apply(x), x * 2

    program = ingot.jit.trace(f, example())
    for function in (f, program):
        x = leaf(1.0, 2.0)
        function(x)[1].sum().backward()
        assert x.grad.tolist() == [2.0, 2.0]
        x = leaf(1.0, 2.0)
        function(x)[0].sum().backward()
        assert x.grad.tolist() == [1.0, 1.0]
        x = leaf(1.0, 2.0)
        (g,) = ingot.autograd.grad(function(x)[1].sum(), x, create_graph=True)
        assert g.tolist() == [2.0, 2.0]


@pytest.mark.parametrize("operation", [Cube, Exp, StraightThrough, Clip])
def test_through_branches(operation):
    @ingot.jit.script
    def f(x):
        y = operation.apply(x * 2)
        if x.sum() > 0:
            z = operation.apply(y + x) * 3
        else:
            z = x * 5
        return z

    program = f.program(example())
    for elements in ([1.0, 0.25], [-1.0, -0.5]):
        assert_same_gradients(f.__wrapped__ if hasattr(f, "__wrapped__") else f, program, elements)


@pytest.mark.parametrize("operation", [Cube, StraightThrough])
def test_through_loops(operation):
    @ingot.jit.script
    def f(x, n: int):
        y = x
        for _ in range(n):
            y = operation.apply(y * 0.9) + x
        return y

    program = f.program((example(), ingot.jit.runtime(2)))
    for n in (0, 1, 4):
        a, b = leaf(0.7, -0.4), leaf(0.7, -0.4)
        y = a
        for _ in range(n):
            y = operation.apply(y * 0.9) + a
        y.sum().backward()
        program(b, n).sum().backward()
        np.testing.assert_allclose(b.grad.numpy(), a.grad.numpy())


def test_a_gradient_that_is_not_zero_of_zero_is_refused_behind_a_branch():
    @ingot.jit.script
    def f(x):
        y = AlwaysOnes.apply(x)
        if x.sum() > 0:
            y = y * 2
        else:
            y = x * 1
        return y

    program = f.program(example())
    with pytest.raises(GradientError, match="where none flows back") as caught:
        program(leaf(1.0, 2.0)).sum().backward()
    assert "AlwaysOnes.apply" in caught.value.location.source

    @ingot.jit.script
    def inside(x):
        if x.sum() > 0:
            y = AlwaysOnes.apply(x)
        else:
            y = x * 1
        return y

    program = inside.program(example())
    x = leaf(1.0, 2.0)
    program(x).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_what_a_capture_differentiates_itself_is_no_other():
    def step(x, w):
        w = w.detach().requires_grad_()
        y = AlwaysOnes.apply(w)
        z = y * x if x.sum() > 0 else w * x
        return ingot.autograd.grad(z.sum(), w)[0]

    with pytest.raises(GradientError, match=r"AlwaysOnes\.backward may give another gradient than zero"):
        ingot.jit.trace(step, (example(), example()), script_branches=True)

    @ingot.compile
    def two(x, w):
        return AlwaysOnes.apply(x * w), w * 3

    with pytest.raises(GradientError, match=r"AlwaysOnes\.backward may give another gradient than zero"):
        two(example(), leaf(1.0, 2.0))

    @ingot.compile
    def clipped(x, w):
        return Clip.apply(x * w) * 9, w * 3

    w, v = leaf(1.0, 2.0), leaf(1.0, 2.0)
    clipped(example(), w)[0].sum().backward()
    (Clip.apply(example() * v) * 9).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), v.grad.numpy())


def test_both_modes():
    class Net(ingot.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = ingot.nn.Linear(2, 2)

        def forward(self, x):
            y = self.linear(x)
            return AlwaysOnes.apply(y) if self.training else Cube.apply(y)

    net = Net()
    program = ingot.jit.trace(net, ingot.ones(1, 2), modes=("train", "eval"))
    for training in (True, False):
        net.train(training)
        program.train(training)
        for model in (net, program):
            for parameter in model.parameters():
                parameter.grad = None
            model(ingot.tensor([[1.0, 2.0]])).sum().backward()
        for a, b in zip(net.parameters(), program.parameters(), strict=True):
            assert ingot.allclose(a.grad, b.grad)


# ------------------------------------------------------------------------------------------- what cannot be captured


def _refusing(backward, prepare=None):
    class Refusing(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2

    Refusing.backward = staticmethod(backward)

    def f(x):
        return Refusing.apply(x * 1)

    program = ingot.jit.trace(f, example())
    assert program(example()).tolist() == [2.0, 2.0]
    with pytest.raises(GradientError) as caught:
        program(leaf(1.0, 2.0)).sum().backward()
    assert caught.value.location.line == f.__code__.co_firstlineno + 1
    assert "Refusing is not part of the program" in caught.value.what
    assert f"test_function_in_programs.py:{backward.__code__.co_firstlineno + 1}" in caught.value.what
    return caught.value.what


BUFFER = ingot.zeros(2, dtype=ingot.float64)
CALLS = []


def test_backwards_that_need_values():
    def backward(ctx, g):
        return g * float(g.sum())

    assert "gradient" in _refusing(backward)

    def backward(ctx, g):
        return g if g.sum() > 0 else -g

    _refusing(backward)

    def backward(ctx, g):
        raise NotImplementedError("no gradient")

    assert "NotImplementedError: no gradient" in _refusing(backward)

    def backward(ctx, g):
        return ingot.from_numpy(g.numpy() * 2)

    _refusing(backward)


def test_backwards_that_change_something():
    def backward(ctx, g):
        BUFFER.add_(g)
        return g

    assert "changes a tensor in place" in _refusing(backward)
    assert BUFFER.tolist() == [0.0, 0.0]

    def backward(ctx, g):
        return g * ingot.rand(2, dtype=ingot.float64)

    assert "random" in _refusing(backward)


def test_backwards_that_change_python_objects():
    class Counted(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            CALLS.append(1)
            return g

    program = ingot.jit.trace(lambda x: Counted.apply(x), example())
    assert not CALLS
    with pytest.raises(GradientError, match="changes CALLS"):
        program(leaf(1.0, 2.0)).sum().backward()
    assert not CALLS


def test_backwards_that_draw_numbers_elsewhere():
    class Chance(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * np.random.rand()

    program = ingot.jit.trace(lambda x: Chance.apply(x), example())
    with pytest.raises(GradientError, match="draws from NumPy"):
        program(leaf(1.0, 2.0)).sum().backward()


def test_backwards_of_some_sizes_alone():
    class Sized(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 3 if g.shape[0] > 2 else g

    program = ingot.jit.trace(lambda x: Sized.apply(x), example(4), dynamic_shapes={0: "n"})
    assert program(example(1)).tolist() == [2.0]  # the forward takes all sizes
    with pytest.raises(GradientError, match="n > 2"):
        program(leaf(1.0)).sum().backward()


def test_what_changes_between_the_call_and_the_end():
    weight = ingot.ones(2, dtype=ingot.float64)
    scales = {"now": 3.0}

    class Late(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * weight * scales["now"]

    def harmless(x):
        weight.mul_(2)
        return Late.apply(x)

    def tensor_changes(x):
        y = Late.apply(x)
        weight.mul_(2)
        return y

    def number_changes(x):
        y = Late.apply(x)
        scales["now"] = 4.0
        return y

    program = ingot.jit.trace(harmless, example(), check=False)
    x = leaf(1.0, 2.0)
    program(x).sum().backward()
    assert x.grad.tolist() == [6.0, 6.0]
    program = ingot.jit.trace(tensor_changes, example(), check=False)
    with pytest.raises(GradientError, match="reads a tensor that the program changes"):
        program(leaf(1.0, 2.0)).sum().backward()
    with pytest.raises((CaptureError, GradientError), match="scales"):
        ingot.jit.trace(number_changes, example(), check=False)(leaf(1.0, 2.0)).sum().backward()


def test_variables_are_those_of_the_end():
    """A backward that runs later reads what its variables hold by then."""

    def f(x):
        total = x * 0
        for i in range(3):

            class Last(Function):
                @staticmethod
                def forward(ctx, x):
                    return x * 1

                @staticmethod
                def backward(ctx, g):
                    return g * i  # noqa: B023

            total = total + Last.apply(x)
        return total

    assert gradients(f, [1.0, 2.0]) == [[6.0, 6.0]]
    program = ingot.jit.trace(f, example(), check=False)
    with pytest.raises(GradientError, match="reads i, which the program changes"):
        program(leaf(1.0, 2.0)).sum().backward()

    total = ingot.zeros(2, dtype=ingot.float64)

    class Late(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return g * total

    def loop(x, n):
        for _ in range(n):
            total.add_(1)
            x = Late.apply(x)
        return x

    program = ingot.jit.trace(loop, (example(), ingot.jit.runtime(2)), script_branches=True, check=False)
    with pytest.raises(GradientError, match="reads a tensor that the program changes"):
        program(leaf(1.0, 2.0), 3).sum().backward()

    def rebind(x):
        y = Late.apply(x)
        total.data = total * 5
        return y

    program = ingot.jit.trace(rebind, example(), check=False)
    with pytest.raises(GradientError, match="reads a tensor that the program changes"):
        program(leaf(1.0, 2.0)).sum().backward()


def test_a_failed_attempt_leaves_nothing_behind():
    unused = ingot.ones(2, dtype=ingot.float64)

    class Failing(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            h = g * unused
            return h if h.sum() > 0 else g

    program = ingot.jit.trace(lambda x: Failing.apply(x) + 1, example(), dynamic_shapes={0: "n"})
    verify(program.graph)
    assert [node.op.name for node in program.graph.nodes() if node.op.name.startswith("ingot::")] == [
        "ingot::mul",
        "ingot::add",
    ]
    assert not program.graph.assumptions
    assert not program.graph.state


def test_calls_that_are_not_recorded():
    def f(x):
        with ingot.no_grad():
            y = Cube.apply(x)
        return y * x

    assert_same_gradients(f, ingot.jit.trace(f, example()), [1.0, 2.0])

    class Outer(Function):
        @staticmethod
        def forward(ctx, x):
            return Cube.apply(x)

        @staticmethod
        def backward(ctx, g):
            with ingot.no_grad():
                h = Exp.apply(g)
            return h * g

    program = ingot.jit.trace(lambda x: Outer.apply(x), example())
    assert str(program.graph).count("UserGradient") == 1
    assert_same_gradients(Outer.apply, program, [1.0, 2.0])
    with ingot.no_grad():
        program = ingot.jit.trace(lambda x: Cube.apply(x), example())
    assert_same_gradients(Cube.apply, program, [1.0, 2.0])


# ---------------------------------------------------------------------------------------------------- where it is used


def test_state_that_the_backward_alone_reads():
    class Net(ingot.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = ingot.nn.Linear(2, 2)
            self.register_buffer("slope", ingot.tensor([2.0, 3.0]))

        def forward(self, x):
            slope = self.slope

            class Sloped(Function):
                @staticmethod
                def forward(ctx, x):
                    return x.round()

                @staticmethod
                def backward(ctx, g):
                    return g * slope

            return Sloped.apply(self.linear(x))

    net = Net()
    program = ingot.jit.trace(net, ingot.ones(1, 2))
    x = ingot.tensor([[0.3, -0.8]])
    program.requires_grad_()
    for model in (net, program):
        model(x).sum().backward()
    for a, b in zip(net.parameters(), program.parameters(), strict=True):
        assert ingot.allclose(a.grad, b.grad)


def test_a_program_within_a_program_and_within_a_module(tmp_path):
    inner = ingot.jit.trace(lambda x: Exp.apply(Cube.apply(x)), example())

    def f(x):
        return inner(x * 2) * x

    def eager(x):
        return Exp.apply(Cube.apply(x * 2)) * x

    assert_same_gradients(eager, f, [0.2, -0.4])
    assert_same_gradients(eager, ingot.jit.trace(f, example()), [0.2, -0.4])

    def step(x):
        x = x.detach().requires_grad_()
        (g,) = ingot.autograd.grad(f(x).sum(), x)
        return g

    program = ingot.jit.trace(step, example())
    x = ingot.tensor([0.2, -0.4], dtype=ingot.float64)
    np.testing.assert_allclose(program(x).numpy(), gradients(eager, [0.2, -0.4])[0])

    constant = ingot.jit.trace(lambda x: AlwaysOnes.apply(x * 2), example())

    def constant_step(x):
        x = x.detach().requires_grad_()
        return ingot.autograd.grad(constant(x).sum(), x)[0]

    assert ingot.jit.trace(constant_step, example())(x).tolist() == [2.0, 2.0]


def test_a_compiled_function_has_it():
    w = leaf(0.3, 0.4)

    @ingot.compile
    def f(x):
        return Exp.apply(Cube.apply(x * w))

    x = ingot.tensor([1.0, 2.0], dtype=ingot.float64)
    f(x).sum().backward()
    found, w.grad = w.grad.tolist(), None
    Exp.apply(Cube.apply(x * w)).sum().backward()
    np.testing.assert_allclose(found, w.grad.tolist())


def test_a_gradient_is_taken_through_a_captured_branch():
    def step(x, w):
        w = w.detach().requires_grad_()
        if x.sum() > 0:
            y = Cube.apply(x * w)
        else:
            y = Exp.apply(w) * x
        return ingot.autograd.grad(y.sum(), w)[0]

    program = ingot.jit.trace(step, (example(), example()), script_branches=True)
    w = ingot.tensor([0.3, 0.4], dtype=ingot.float64)
    for x in (ingot.tensor([1.0, 2.0], dtype=ingot.float64), ingot.tensor([-1.0, -2.0], dtype=ingot.float64)):
        np.testing.assert_allclose(program(x, w).tolist(), step(x, w).tolist())


def test_what_is_watched_is_what_a_call_computes():
    program = ingot.jit.trace(lambda x: Cube.apply(x * 2), example())
    line = Cube.backward.__code__.co_firstlineno + 3
    with pytest.raises(ArgumentError, match="the program computes nothing at"):
        program.watch(f"test_function_in_programs.py:{line}")
    handle = program.watch(f"test_function_in_programs.py:{Cube.forward.__code__.co_firstlineno + 3}")
    program(example())
    assert handle.values[-1].tolist() == [8.0, 8.0]


def test_a_program_in_another_dtype():
    program = ingot.jit.trace(lambda x: Exp.apply(x * 2), example()).to(ingot.float32)
    x = ingot.tensor([0.5, 0.25], requires_grad=True)
    program(x).sum().backward()
    assert ingot.allclose(x.grad, 4 * (x.detach() * 2).exp())


def test_onnx_has_the_forward(tmp_path):
    onnx = pytest.importorskip("onnx")
    program = ingot.jit.trace(lambda x: Exp.apply(StraightThrough.apply(x * 3)), ingot.ones(2))
    model = ingot.onnx.to_model(program)
    assert [node.op_type for node in model.graph.node] == ["Mul", "Round", "Exp"]
    onnx.checker.check_model(model)


def test_a_loaded_program_is_trained_without_the_source(tmp_path):
    layer = ingot.nn.Linear(2, 1)

    def f(x):
        return StraightThrough.apply(layer(x) * 4) / 4

    program = ingot.jit.trace(f, ingot.ones(3, 2), dynamic_shapes={0: "n"})
    program.save(tmp_path / "f.ingot")
    script = tmp_path / "train.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys
            import ingot

            program = ingot.load(sys.argv[1])
            optimizer = ingot.optim.SGD(program.parameters(), lr=0.1)
            x = ingot.tensor([[1.0, 2.0], [-1.0, 0.5], [0.3, -0.7], [2.0, 1.0]])
            y = x.sum(1, keepdim=True)
            losses = []
            for _ in range(60):
                optimizer.zero_grad()
                loss = ((program(x) - y) ** 2).mean()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            assert losses[-1] < 0.1 * losses[0] + 0.05, losses
            assert "StraightThrough" not in globals()
            """
        )
    )
    done = subprocess.run(
        [sys.executable, "-P", str(script), str(tmp_path / "f.ingot")], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_a_backward_that_differentiates_inside():
    """What gradient checkpointing does: the forward again, with its gradient."""

    class Again(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return (x * x).sin()

        @staticmethod
        def backward(ctx, g):
            x = ctx.saved_tensors[0].detach().requires_grad_()
            with ingot.enable_grad():
                y = (x * x).sin()
            return ingot.autograd.grad(y, x, g)[0]

    def f(x):
        return Again.apply(x * 2) * x

    assert_same_gradients(f, ingot.jit.trace(f, example()), [0.4, -1.2])


def test_cost_is_linear():
    """Twice as many calls make twice as many nodes, forward and back."""

    def nodes(count):
        def f(x):
            for _ in range(count):
                x = Cube.apply(x)
            return x

        graph = ingot.jit.trace(f, example() * 0.5, check=False).graph
        found = derivative(graph, [0])
        return graph.node_count, found.backward.node_count, found.joint.node_count

    few, many = nodes(8), nodes(16)
    assert all(b <= 2 * a + 8 for a, b in zip(few, many, strict=True))
