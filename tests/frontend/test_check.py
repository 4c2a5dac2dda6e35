"""The check after a capture: programs that are wrong are found, with the line; programs that are right pass."""

import collections
import dataclasses
import functools
import os
import random
import re
import types
from typing import NamedTuple

import ingot
import numpy as np
import pytest
from ingot import nn
from ingot.frontend.capture import explanation, subject
from ingot.ir.builder import Builder
from ingot.ir.errors import CaptureError
from ingot.ir.graph import InsertionPoint
from ingot.ir.interpreter import interpret
from ingot.jit import CheckWarning, Dim, trace
from ingot.nn import functional as F


def difference(func, *args, **options):
    """The message of the check of a program that is wrong."""
    with pytest.raises(CaptureError) as caught:
        trace(func, *args, **options)
    text = str(caught.value)
    assert "while checking @forward" in text, text
    return text


def at(text):
    """The source that stands under the error's `at` line."""
    return re.search(r"\n  at .*\n +(.*)\n", text).group(1)


def passes(func, *args, **options):
    verdict = trace(func, *args, **options).verdict
    assert verdict.passed
    assert verdict.difference is None
    return verdict


# ------------------------------------------------------------------------------------------- programs that are wrong


calls = 0


def counts_calls(x):
    global calls
    calls += 1
    if calls % 2:
        return x * 2
    return x + 1


def test_a_global_counter_that_steers():
    text = difference(counts_calls, ingot.ones(3), frozen_ok=True)
    assert "another path" in text
    assert at(text) == "if calls % 2:"
    assert "call 2 of" in text
    assert "captured: mul at" in text
    assert "with these inputs: add at" in text
    assert calls == 0


def test_a_global_number_that_is_an_operand():
    seen = types.SimpleNamespace(calls=0)

    def f(x):
        seen.calls += 1
        return x * seen.calls

    text = difference(f, ingot.ones(3), frozen_ok=True)
    assert "frozen" in text
    assert at(text) == "return x * seen.calls"
    assert "a constant is 1, not 2" in text
    assert seen.calls == 0


def test_the_length_of_a_list_that_grows():
    history = []

    def f(x):
        history.append(1)
        if len(history) > 1:
            x = x.relu()
        return x * 3

    assert at(difference(f, -ingot.ones(3))) == "if len(history) > 1:"
    assert history == []


def test_only_the_third_call_differs():
    state = {"calls": 0}

    def f(x):
        state["calls"] += 1
        if state["calls"] == 3:
            return x * 2
        return x * 1

    assert at(difference(f, ingot.ones(3), frozen_ok=True)) == 'if state["calls"] == 3:'
    assert state == {"calls": 0}


def test_the_environment(monkeypatch):
    monkeypatch.delenv("INGOT_TEST_WARM", raising=False)

    def f(x):
        if "INGOT_TEST_WARM" in os.environ:
            return x - 1
        os.environ["INGOT_TEST_WARM"] = "1"
        return x + 1

    assert at(difference(f, ingot.ones(3))) == 'if "INGOT_TEST_WARM" in os.environ:'
    assert "INGOT_TEST_WARM" not in os.environ


class Warm:
    calls = 0

    def __init__(self):
        self.scale = 1.0

    def step(self, x):
        Warm.calls += 1
        if Warm.calls > 1:
            self.scale = 0.5
        return x * self.scale


def test_an_attribute_of_a_class_and_one_of_an_object():
    warm = Warm()
    text = difference(warm.step, ingot.ones(3), frozen_ok=True)
    assert at(text) == "return x * self.scale"
    assert Warm.calls == 0
    assert warm.scale == 1.0


def test_an_attribute_of_a_function():
    def f(x):
        f.calls += 1
        return x + f.calls

    f.calls = 0
    assert at(difference(f, ingot.ones(2), frozen_ok=True)) == "return x + f.calls"
    assert f.calls == 0


@pytest.mark.parametrize("draw", [random.random, np.random.rand, np.random.default_rng(0).random])
def test_random_numbers_from_elsewhere_that_may_be_frozen(draw):
    def f(x):
        return x * float(draw())

    before = random.getstate(), np.random.get_state()[1].tolist()
    text = difference(f, ingot.ones(3), frozen_ok=True)
    assert at(text) == "return x * float(draw())"
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before


def test_a_value_that_may_be_frozen():
    def f(x):
        with ingot.jit.frozen_ok("the scale hardly changes"):
            scale = float(x.sum())
        return x * scale

    text = difference(f, ingot.rand(3))
    assert at(text) == "return x * scale"
    assert "frozen" in text
    assert "left the graph" in text
    assert "scale = float(x.sum())" in text


def test_a_branch_on_a_value_that_may_be_frozen():
    def f(x):
        with ingot.jit.frozen_ok("it is always positive"):
            positive = bool((x.numpy() > 0).all())
        if positive:
            return x.log()
        return x * 0

    assert at(difference(f, ingot.rand(3) + 1)) == "if positive:"


def test_a_size_that_numpy_froze():
    def f(x):
        with ingot.jit.frozen_ok():
            rows = len(x.numpy())
        return x.sum(0) / rows

    text = difference(f, ingot.rand(3, 2), dynamic_shapes=[{0: "n"}])
    assert at(text) == "return x.sum(0) / rows"
    assert "a constant is 3, not" in text
    assert re.search(r"n = \d", text)


def test_a_function_that_differs_from_itself():
    ticks = iter(range(1, 1000))  # an iterator cannot be put back

    def f(x):
        return x * next(ticks)

    text = difference(f, ingot.ones(3))
    assert "differs from one run to the next" in text
    assert at(text) == "return x * next(ticks)"


def test_a_scheduler_whose_numbers_are_frozen():
    w = nn.Parameter(ingot.ones(3))
    optimizer = ingot.optim.SGD([w], lr=0.5)
    scheduler = ingot.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.1)

    def step(x):
        optimizer.zero_grad()
        loss = (w * x).sum()
        loss.backward()
        optimizer.step()
        scheduler.step()
        return loss

    text = difference(step, ingot.ones(3))
    assert "optimizer.step()" in text
    assert w.tolist() == [1.0] * 3
    assert w.grad is None
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_another_path_that_changes_what_the_captured_one_does_not():
    buffer, flags = ingot.zeros(3), []

    def f(x):
        if flags:
            buffer.add_(x)
        flags.append(1)
        return x * 1

    text = difference(f, ingot.ones(3))
    assert "the tensor buffer is changed in place" in text
    assert at(text) == "if flags:"
    assert buffer.tolist() == [0.0] * 3


def test_another_path_that_changes_an_input():
    flags = []

    def f(x):
        if flags:
            x.add_(1)
        flags.append(1)
        return ingot.ones(2)

    assert "its input x is changed in place" in difference(f, ingot.ones(3))


def test_a_path_for_one_tensor_given_twice():
    def f(x, y):
        if x is y:
            return x * 2
        return x - y

    assert at(difference(f, (ingot.ones(3), ingot.ones(3)))) == "if x is y:"


def test_a_path_for_a_layout():
    def f(x):
        if x.is_contiguous():
            return x * 2
        return x * 3

    text = difference(f, ingot.ones(3, 2))
    assert "depends on how its inputs lie in memory" in text
    assert at(text) == "if x.is_contiguous():"


def test_an_exception_that_the_program_does_not_raise():
    used = []

    def f(x):
        if used:
            raise ValueError("only once")
        used.append(1)
        return x * 2

    text = difference(f, ingot.ones(3))
    assert "ValueError: only once" in text
    assert "a result" in text
    assert at(text) == "if used:"


def test_a_result_of_another_structure():
    used = []

    def f(x):
        used.append(1)
        return (x, x) if len(used) > 1 else (x, None)

    text = difference(f, ingot.ones(3))
    assert "None as when it was captured" in text
    assert "differs from one run to the next" not in text


def test_a_constant_result():
    used = []

    def f(x):
        used.append(1)
        return x, len(used)

    assert "the result[1] is 2, not 1" in difference(f, ingot.ones(3))


def test_what_is_done_only_while_tracing():
    def f(x):
        return x * 2 if ingot.jit.is_tracing() else x * 3

    text = difference(f, ingot.ones(3))
    assert "the same while it is captured as when it is called" in text


class Slotted:
    __slots__ = ("calls",)

    def __init__(self):
        self.calls = 0


@dataclasses.dataclass
class Settings:
    calls: int = 0


def _in_a_deque():
    kept = collections.deque(maxlen=4)
    return lambda: (kept.append(1), len(kept))[1], lambda: list(kept)


def _in_a_set():
    kept = set()
    return lambda: (kept.add(len(kept)), len(kept))[1], lambda: sorted(kept)


def _in_slots():
    kept = Slotted()

    def count():
        kept.calls += 1
        return kept.calls

    return count, lambda: kept.calls


def _in_a_dataclass_in_a_dict():
    kept = {"settings": [Settings()]}

    def count():
        kept["settings"][0].calls += 1
        return kept["settings"][0].calls

    return count, lambda: kept["settings"][0].calls


def _in_a_variable():
    calls = 0

    def count():
        nonlocal calls
        calls += 1
        return calls

    return count, lambda: calls


def _in_a_default():
    def count(kept=[]):  # noqa: B006  (that it is kept is the point)
        kept.append(1)
        return len(kept)

    return count, lambda: count.__defaults__[0]


def _in_an_array():
    kept = np.zeros(3)

    def count():
        kept[0] += 1
        return float(kept[0])

    return count, kept.tolist


def _in_a_partial():
    kept = collections.Counter()
    count = functools.partial(lambda table, key: (table.update([key]), table[key])[1], kept, "calls")
    return count, lambda: dict(kept)


def _in_a_module():
    module = types.ModuleType("settings_of_mine")
    module.calls = 0

    def count():
        module.calls += 1
        return module.calls

    return count, lambda: module.calls


KEEPERS = [
    *(_in_a_deque, _in_a_set, _in_slots, _in_a_dataclass_in_a_dict, _in_a_variable, _in_a_default, _in_an_array),
    *(_in_a_partial, _in_a_module),
]


@pytest.mark.parametrize("make", KEEPERS)
def test_state_that_python_keeps_is_found_and_put_back(make):
    count, kept = make()
    before = kept()

    def f(x):
        if count() % 2 == 0:
            return x.relu()
        return x * 2

    assert at(difference(f, ingot.rand(3), frozen_ok=True)) == "if count() % 2 == 0:"
    assert kept() == before


def test_chaos_hides_nothing():
    used = []

    def f(x):
        used.append(1)
        x = x.sigmoid()
        for _ in range(60):
            x = 3.9 * x * (1 - x)
        return x + 1e-3 if len(used) > 1 else x

    text = difference(f, ingot.rand(5))
    assert "another path" in text
    assert "captured: nothing more" in text or "with these inputs: add" in text


def test_what_a_program_computes_otherwise_is_pinned_to_its_line(monkeypatch):
    def wrong(graph, inputs, state=None, sizes=None, **options):
        """The interpreter, but it adds where it should subtract."""
        graph = graph.copy()
        for node in list(graph.nodes()):
            if node.op.short == "sub":
                added = Builder(graph, at=InsertionPoint.before(node)).emit("add", node.inputs)
                node.replace_with(list(added.outputs))
        return interpret(graph, inputs, state, sizes, **options)

    def f(x, y):
        total = x * 2
        total = total - y
        return total.exp()

    monkeypatch.setattr(subject, "interpret", wrong)
    monkeypatch.setattr(explanation, "interpret", wrong)
    text = difference(f, (ingot.rand(3), ingot.rand(3)))
    assert "computes another value than its function" in text
    assert at(text) == "total = total - y"


def test_the_module_of_a_frozen_value_is_named():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            return x / self.calls

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Scaled()

        def forward(self, x):
            return self.inner(x)

    net = Net()
    assert "(inner)" in difference(net, ingot.ones(3), frozen_ok=True)
    assert net.inner.calls == 0


# --------------------------------------------------------------------------------------------- programs that are right


class Elman(nn.Module):
    """A recurrent net with weights so large that it amplifies every rounding."""

    def __init__(self, gain):
        super().__init__()
        self.w = nn.Parameter(gain * ingot.randn(8, 8))
        self.u = nn.Parameter(ingot.randn(4, 8))

    def forward(self, x):
        h = ingot.zeros(x.shape[0], 8)
        for i in range(24):
            h = ingot.tanh(h @ self.w + x[:, i % 3] @ self.u)
        return h


class Stateful(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("total", ingot.zeros(3))

    def forward(self, x):
        self.total = self.total + x
        return self.total * 1


def cached():
    masks = {}

    def f(x):
        if "mask" not in masks:
            masks["mask"] = ingot.tril(ingot.ones(3, 3))
        return x @ masks["mask"]

    return f


def conv():
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.3), nn.Linear(16, 5)),
    )


def _reads(path):
    return lambda x: (path.append(1), x + 1)[1]


RIGHT = {
    "arithmetic": (lambda x: (x * 2 + 1).relu() / 3, (3, 4), {0: "n"}),
    "log of negative numbers": (lambda x: x.log() + (-x).sqrt(), (3, 4), {0: "n"}),
    "argmax with ties": (lambda x: (x.round().argmax(1), x.round().topk(2, 1)[1]), (5, 4), {0: "n"}),
    "sort": (lambda x: x.sort(dim=0), (5, 4), {}),
    "means of nothing": (lambda x: (x.mean(0), x.sum() / x.shape[0]), (3, 4), {0: "n"}),
    "softmax and its kin": (lambda x: (x.softmax(1), x.log_softmax(1), x.logsumexp(1)), (3, 4), {0: "n"}),
    "random numbers": (lambda x: x + ingot.rand(*x.shape) * ingot.randn(4), (3, 4), {0: "n"}),
    "dropout": (nn.Dropout(0.5), (3, 4), {0: "n"}),
    "training with batch norm": (nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8)), (6, 4), {0: Dim("n", min=2)}),
    "attention": (nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), (2, 5, 4), {0: "n", 1: "t"})
    if hasattr(nn, "TransformerEncoderLayer")
    else (nn.LayerNorm(4), (2, 5, 4), {0: "n", 1: "t"}),
    "a convolutional net in training": (conv(), (3, 1, 4, 4), {0: Dim("n", min=2)}),
    "a convolutional net": (conv().eval(), (3, 1, 4, 4), {0: "n"}),
    "a calm recurrent net": (Elman(0.1), (2, 3, 4), {0: "n"}),
    "a chaotic recurrent net": (Elman(30.0), (2, 3, 4), {0: "n"}),
    "iterated chaos": (lambda x: functools.reduce(lambda y, _: 3.9 * y * (1 - y), range(60), x.sigmoid()), (4,), {}),
    "a sum that cancels": (lambda x: (x.sum() - x.flip(0).sum()) * 1e6, (7,), {0: "n"}),
    "state": (Stateful(), (3,), {}),
    "a cache": (cached(), (2, 3), {0: "n"}),
    "a list that is only written": (_reads([]), (3,), {}),
    "a view": (lambda x: x.view(-1) * 2, (3, 4), {0: "n"}),
    "a choice of elements": (lambda x: x[x > 0] * 2, (6,), {0: "n"}),
    "sizes that are even": (lambda x: x.reshape(x.shape[0] // 2, 2) if x.shape[0] % 2 == 0 else x, (6,), {0: "n"}),
    "a branch on a size": (lambda x: x * 2 if x.shape[0] > 4 else x, (6,), {0: "n"}),
    "half precision": (lambda x: (x.half() @ x.half().t()).softmax(1), (4, 4), {}),
    "brain floats": (lambda x: (x.bfloat16() * 3).sum(1), (4, 4), {0: "n"}),
}


@pytest.mark.parametrize("kind", RIGHT)
def test_programs_that_are_right_pass_without_noise(kind, rng):
    func, sizes, dynamic = RIGHT[kind]
    x = ingot.tensor(rng.standard_normal(sizes).astype(np.float32))
    verdict = passes(func, x, dynamic_shapes=[dynamic] if dynamic else None)
    assert all(trial.agrees for trial in verdict.trials)
    assert 3 <= verdict.forwards <= 20


@pytest.mark.parametrize(("size", "function", "right"), [
    (1e-7, "chaotic", True), (1e-7, "calm", True), (1e-3, "calm", False), (1e-3, "steps", False),
])  # fmt: skip
def test_what_rounding_alone_makes_different_is_no_difference(size, function, right, monkeypatch):
    """The interpreter gets inputs that are off by a rounding, or by more."""

    def shaken(graph, inputs, state=None, sizes=None, **options):
        return interpret(graph, [x * x.dtype.type(1 + size) for x in inputs], state, sizes, **options)

    functions = {
        "chaotic": RIGHT["iterated chaos"][0],
        "calm": lambda x: x * 2 + 1,
        "steps": lambda x: (1e3 * x).floor(),
    }
    monkeypatch.setattr(subject, "interpret", shaken)
    x = ingot.linspace(0.1, 0.9, 8)
    if right:
        passes(functions[function], x)
    else:
        assert "largest difference" in difference(functions[function], x)


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW"])
def test_training_steps_pass_and_leave_all_as_it_was(optimizer, rng):
    net = conv()
    opt = getattr(ingot.optim, optimizer)(net.parameters(), lr=0.01)

    def step(x, y):
        opt.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step()
        return loss

    x = ingot.tensor(rng.standard_normal((6, 1, 4, 4)).astype(np.float32))
    y = ingot.tensor(rng.integers(0, 5, 6))
    before = {name: tensor.tolist() for name, tensor in net.state_dict().items()}
    key = ingot.get_rng_state().tolist()
    size = Dim("n", min=2)
    verdict = passes(step, (x, y), dynamic_shapes=({0: size}, {0: size}))
    assert {trial.outcome for trial in verdict.trials} <= {"agree"}
    assert {name: tensor.tolist() for name, tensor in net.state_dict().items()} == before
    assert all(p.grad is None for p in net.parameters())
    assert ingot.get_rng_state().tolist() == key


def test_gradients_of_inputs(rng):
    def f(x, y):
        loss = (x * x * y).sum()
        return ingot.autograd.grad(loss, [x])[0]

    x = ingot.tensor(rng.standard_normal(3).astype(np.float32), requires_grad=True)
    verdict = passes(f, (x, ingot.ones(3)), dynamic_shapes=[{0: "n"}, {0: "n"}])
    assert {trial.outcome for trial in verdict.trials} == {"agree"}


def test_a_program_of_indices(rng):
    table = nn.Embedding(10, 4)
    tokens = ingot.tensor(rng.integers(0, 10, (2, 5)))
    verdict = passes(table, tokens, dynamic_shapes={0: "n", 1: "t"})
    assert {trial.outcome for trial in verdict.trials} == {"agree"}


def test_gradients_that_pile_up_are_compared():
    w = ingot.ones(3, requires_grad=True)

    def f(x):
        (w * x).sum().backward()
        return w.grad * 1

    passes(f, ingot.ones(3))
    assert w.grad is None


def test_the_function_may_refuse_values_that_are_made_to_be_odd():
    def f(x):
        with np.errstate(all="raise"):
            return x.view(6) * 2

    verdict = passes(f, ingot.rand(2, 3))
    assert any(trial.outcome.startswith("the function refuses") for trial in verdict.trials)


def test_no_inputs_at_all():
    total = ingot.zeros(2)

    def f():
        total.add_(1)
        return total * 1

    passes(f, ())
    assert total.tolist() == [0.0, 0.0]


# ----------------------------------------------------------------------------------- programs that are called otherwise


class Pair(NamedTuple):
    a: object
    b: object


def test_nested_arguments_and_records():
    def f(pair, *, options):
        return {"sum": pair.a + options["bias"], "parts": [pair.b, None, 3]}

    example = ((Pair(ingot.rand(3), ingot.rand(2)),), {"options": {"bias": ingot.rand(3)}})
    verdict = passes(f, example[0], example_kwarg_inputs=example[1])
    assert {trial.outcome for trial in verdict.trials} == {"agree"}


def test_run_time_numbers():
    runtime = ingot.jit.runtime
    verdict = passes(lambda x, n, s: (x * s + n, n * 2), (ingot.rand(3), runtime(3), runtime(0.5)))
    assert {trial.outcome for trial in verdict.trials} == {"agree"}

    used = []

    def f(x, n):
        used.append(1)
        return x[:n] * n + len(used)

    text = difference(f, (ingot.rand(5), runtime(3)))
    assert at(text) == "return x[:n] * n + len(used)"
    assert "a constant is 1, not 2" in text


@pytest.mark.parametrize("mutates", ["write_back", "copy"])
def test_inputs_that_are_changed(mutates):
    def f(x, y):
        x.add_(y)
        return x * 2

    verdict = passes(f, (ingot.rand(3), ingot.rand(3)), mutates=mutates)
    assert {trial.outcome for trial in verdict.trials} == {"agree"}
    if mutates == "copy":
        return
    flags = []

    def g(x, y):
        flags.append(1)
        x.add_(y * len(flags))
        return y * 1

    text = difference(g, (ingot.rand(3), ingot.rand(3)), mutates=mutates)
    assert at(text) == "x.add_(y * len(flags))"
    assert "the input x after the call" in text


class Coder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)
        self.calls = 0

    def forward(self, x):
        return self.layer(x).relu()

    def encode(self, x):
        self.calls += 1
        return self.layer(x) * self.calls


def test_every_entry_point_is_checked():
    net = Coder()
    x = ingot.rand(3, 4)
    assert trace(net, {"forward": (x,)}).verdict.passed
    with pytest.raises(CaptureError, match=r"return self.layer\(x\) \* self.calls[\s\S]*while checking @encode"):
        trace(net, {"forward": (x,), "encode": (x,)}, frozen_ok=True)
    assert net.calls == 0


def test_both_modes_are_checked():
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))
    verdict = passes(net, ingot.rand(5, 4), modes=("train", "eval"))
    assert 10 < verdict.forwards <= 20

    class Forgetful(nn.Module):
        def __init__(self):
            super().__init__()
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            return x * 2 if self.training or self.calls < 2 else x * 3

    net = Forgetful()
    difference(net, ingot.rand(3), modes=("train", "eval"), frozen_ok=True)
    assert net.training


# ---------------------------------------------------------------------------------------------------- how it is told


def test_the_verdict_is_kept_and_can_be_read():
    program = trace(lambda x: x * 2, ingot.rand(3, 4), dynamic_shapes={0: "n"})
    text = str(program.verdict)
    assert re.match(r"check of @forward: passed, \d+ forwards in [\d.]+ ms \(seed 0\)\n", text)
    assert "the example then other values" in text
    assert "n = 7" in text
    assert program.on("reference").verdict is program.verdict


def test_it_is_deterministic():
    def f(x):
        return x * 2

    found = [trace(f, ingot.ones(4), dynamic_shapes={0: "n"}, check_seed=s).verdict for s in (0, 0, 1)]
    shown = [[(t.inputs, t.sizes, t.outcome) for t in verdict.trials] for verdict in found]
    assert shown[0] == shown[1]
    errors = [difference(counts_calls, ingot.ones(3), check_seed=s, frozen_ok=True) for s in (0, 0, 1)]
    assert errors[0] == errors[1]
    assert errors[0] != errors[2]


def test_it_can_be_switched_off_or_only_warn():
    program = trace(counts_calls, ingot.ones(3), check=False, frozen_ok=True)
    assert program.verdict is None
    with pytest.warns(CheckWarning, match=r"another path[\s\S]*if calls % 2:"):
        program = trace(counts_calls, ingot.ones(3), check="warn", frozen_ok=True)
    assert not program.verdict
    assert "FAILED" in str(program.verdict)
    assert [len(x) for x in program.verdict.difference.inputs] == [3]


def test_a_loaded_program_has_no_verdict(tmp_path):
    trace(lambda x: x * 2, ingot.ones(3)).save(tmp_path / "p.ingot")
    assert ingot.load(tmp_path / "p.ingot").verdict is None
