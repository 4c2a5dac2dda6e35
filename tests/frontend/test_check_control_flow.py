"""The check after a capture, for programs with branches and loops, and for what may run forever."""

import re
import sys
import threading
import time

import ingot
import numpy as np
import pytest
from ingot import nn
from ingot.frontend.capture import check, subject
from ingot.frontend.capture.time_limit import TimeLimit
from ingot.ir.errors import CaptureError, TimeLimitError
from ingot.ir.interpreter import interpret
from ingot.ir.parser import parse
from ingot.jit import trace

needs_hooks = pytest.mark.skipif(
    sys.gettrace() is not None, reason="a debugger or a coverage tool has Python's hooks: nothing can be stopped"
)


def grows(x):
    while x.sum() < 100:
        x = x * 3
    return x


def outcomes(program):
    assert program.verdict.passed
    return {trial.outcome for trial in program.verdict.trials}


# ---------------------------------------------------------------------------------------- what is scripted, and passes


def bisect(x):
    low, high = x.min() * 0, x.abs().max() + 1
    for _ in range(40):
        middle = (low + high) / 2
        if (middle * middle) < x.abs().sum():
            low = middle
        else:
            high = middle
    return low


def firsts(x):
    found = []
    for row in x:
        if row.sum() > 0:
            row = row * 2
        found.append(row - 1)
    return ingot.stack(found)


def by_item(x):
    total = int(x.abs().sum().item())
    steps = 0
    while total > 1:
        total = total // 2
        steps += 1
    return x * steps, steps


FLOW = {
    "branches and a fixed loop": (bisect, (5,), {0: ingot.jit.Dim("n", min=1)}),
    "a list that grows": (firsts, (4, 3), {0: ingot.jit.Dim("n", min=1)}),
    "run-time numbers": (by_item, (4,), {0: "n"}),
    "a comprehension": (lambda x: ingot.stack([row * row.sum() for row in x]), (3, 2), {0: ingot.jit.Dim("n", min=1)}),
}


@pytest.mark.parametrize("kind", FLOW)
@pytest.mark.parametrize("how", ["script_branches", "script", "script inside"])
def test_scripted_functions_pass(kind, how, rng):
    func, sizes, dynamic = FLOW[kind]
    x = ingot.tensor(rng.standard_normal(sizes).astype(np.float32))
    if how == "script_branches":
        program = trace(func, x, dynamic_shapes=[dynamic], script_branches=True)
    elif how == "script":
        program = trace(ingot.jit.script(func), x, dynamic_shapes=[dynamic])
    else:
        inner = ingot.jit.script(func)
        program = trace(lambda x: inner(x), x, dynamic_shapes=[dynamic])
    assert any(node.op.name in ("prim::Loop", "prim::If") for node in program.graph.nodes())
    assert "agree" in outcomes(program)
    assert program.verdict.forwards > 8


def test_control_flow_functions_pass(rng):
    def f(x):
        y = ingot.cond(x.sum() > 0, lambda x: x * 2, lambda x: x - 1, (x,))
        n, y = ingot.while_loop(lambda n, y: n < 4, lambda n, y: (n + 1, y.tanh() + x), (0, y))
        total, rows = ingot.scan(lambda t, row: (t + row.sum(), t * row), x.sum(), y)
        return n, total, rows

    x = ingot.tensor(rng.standard_normal((3, 2)).astype(np.float32))
    program = trace(f, x, dynamic_shapes={0: ingot.jit.Dim("n", min=1)})
    assert outcomes(program) == {"agree"}
    assert program.verdict.forwards == 20


def test_what_was_scripted_or_compiled_runs_as_plain_python(rng):
    """Else the check would compare one capture with another, and leave compiled variants behind."""
    seen = []

    def note(x):
        seen.append(ingot.jit.is_tracing())
        return x * 2

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = ingot.jit.script(nn.Linear(3, 3))
            self.twice = ingot.compile(lambda x: x * 2)

        def forward(self, x):
            return self.twice(self.inner(x))

    ran = []
    scripted, compiled = ingot.jit.script(lambda x: x + 1), ingot.compile(note)

    def f(x):
        ran.append(1)
        return scripted(compiled(x))

    net = Net()
    assert outcomes(trace(net, ingot.rand(2, 3))) == {"agree"}
    assert not net.twice.variants
    assert outcomes(trace(f, ingot.rand(3))) == {"agree"}
    assert not compiled.variants
    assert compiled(ingot.ones(2)).tolist() == [2.0, 2.0]
    assert len(compiled.variants) == 1


count = 0


@ingot.jit.script
def steered(x):
    global count
    count += 1
    while x.sum() < 10:
        x = x + 1
    if count > 1:
        return x.relu()
    return x * 2


def test_a_scripted_function_that_is_wrong_is_told_with_its_line():
    """The second capture is scripted as the first was: else the loop would be refused there."""
    for func in (steered, lambda x: steered(x)):
        with pytest.raises(CaptureError, match="while checking @forward") as caught:
            trace(func, ingot.ones(3), frozen_ok=True)
        assert "another path" in str(caught.value)
        assert re.search(r"\n  at .*\n +if count > 1:\n", str(caught.value))
        assert "captured: mul" in str(caught.value)
        assert "with these inputs: relu" in str(caught.value)
        assert count == 0


def test_a_wrong_body_of_a_loop_is_found(monkeypatch):
    """The interpreter does one iteration too few."""

    def wrong(graph, inputs, state=None, sizes=None, **options):
        graph = graph.copy()
        (loop,) = (node for node in graph.nodes() if node.op.name == "prim::Loop")
        for node in loop.blocks[0].nodes:
            if node.op.short == "mul":
                node.replace_with([node.inputs[0]])
        return interpret(graph, inputs, state, sizes, **options)

    def f(x):
        for row in x:
            x = x * 2 + row
        return x

    monkeypatch.setattr(subject, "interpret", wrong)
    with pytest.raises(CaptureError, match="while checking @forward"):
        trace(f, ingot.rand(3, 2), dynamic_shapes={0: "n"}, script_branches=True)


# ----------------------------------------------------------------------------------------------------- running forever


def test_made_up_inputs_for_which_a_loop_runs_forever_are_left():
    program = trace(grows, ingot.tensor([1.0, 2.0, 3.0]), script_branches=True)
    stopped = [t for t in program.verdict.trials if t.outcome.startswith("the program was stopped after")]
    assert {trial.inputs for trial in stopped} == {("negated",), ("zeros",)}
    assert "agree" in outcomes(program)
    assert program.verdict.seconds < check.MOST_SECONDS
    assert "the program was stopped after" in str(program.verdict)


def tripled(x):
    with ingot.jit.frozen_ok("the same for all inputs of mine"):
        scale = abs(float(x.sum()))
        while 0 < scale < 1e30 and x.numpy().min() < 0:
            scale = 1.0
    return x * 2


@needs_hooks
def test_a_function_that_runs_forever_where_the_program_does_not():
    program = trace(tripled, ingot.tensor([1.0, 2.0]))
    stopped = {t.inputs for t in program.verdict.trials if t.outcome.startswith("the function was stopped after")}
    assert ("negated",) in stopped
    assert program.verdict.seconds < check.MOST_SECONDS
    assert sys.gettrace() is None


@needs_hooks
def test_in_a_thread_as_well():
    found = []
    thread = threading.Thread(target=lambda: found.append(trace(tripled, ingot.tensor([1.0, 2.0]))))
    thread.start()
    thread.join(60)
    assert found and found[0].verdict.passed


def test_a_program_that_does_not_end_where_its_function_does(monkeypatch):
    def endless(graph, inputs, state=None, sizes=None, *, deadline):
        while time.perf_counter() < deadline:
            pass
        raise TimeLimitError("the time given is over")

    monkeypatch.setattr(subject, "interpret", endless)
    monkeypatch.setattr(check, "MOST_SECONDS", 0.5)
    with pytest.raises(CaptureError, match="TimeLimitError: the time given is over"):
        trace(lambda x: x * 2, ingot.ones(3))


@needs_hooks
def test_a_verdict_that_compared_nothing_says_so(monkeypatch):
    assert not trace(lambda x: x * 2, ingot.ones(3)).verdict.notes
    monkeypatch.setattr(check, "MOST_SECONDS", 0.0)
    verdict = trace(lambda x: x * 2, ingot.ones(3)).verdict
    assert "nothing was compared" in str(verdict)
    assert verdict.left_out


ENDLESS = """
graph @f(%x : f32[2]) -> (f32[2]):
  %n : int = prim::Constant[value=9223372036854775807]()
  %yes : bool = prim::Constant[value=true]()
  %y : f32[2] = prim::Loop(%n, %yes, %x)
    block0(%i : int, %z : f32[2]):
      -> (%yes, %z)
  return (%y)
"""


def test_the_interpreter_gives_up_at_its_deadline():
    graph = parse(ENDLESS)
    with pytest.raises(TimeLimitError, match="while running @f"):
        interpret(graph, [np.ones(2, np.float32)], deadline=time.perf_counter() + 0.02)
    short = parse(ENDLESS.replace("9223372036854775807", "3"))
    (found,), _ = interpret(short, [np.ones(2, np.float32)], deadline=time.perf_counter() + 60)
    assert found.tolist() == [1.0, 1.0]


@needs_hooks
def test_a_time_limit_ends_loops_of_the_users():
    done = []
    with TimeLimit(time.perf_counter() + 0.2) as limit:
        _forever(done)
    assert limit.passed
    assert done == ["put away"]
    with TimeLimit(time.perf_counter() + 60) as limit:
        done.append("more")
    assert not limit.passed
    with pytest.raises(ZeroDivisionError), TimeLimit(time.perf_counter() + 60):
        _ = 1 / len([])


def _forever(done):
    try:
        while True:
            try:
                _busy()
            except Exception:  # what stops it is no Exception
                continue
    finally:
        done.append("put away")


def _busy():
    pass


# -------------------------------------------------------------------------------------------- captures that are refused

history = []
total = 0


def refused(x):
    global total
    total += 1
    history.append(total)
    return x * 2 if x.sum() > 0 else x


def test_a_capture_that_is_refused_puts_globals_back():
    with pytest.raises(CaptureError):
        trace(refused, ingot.ones(3))
    assert total == 0
    assert history == []


def test_so_does_one_whose_function_raises():
    def f(x):
        global total
        total += 1
        raise KeyError("the user's own")

    with pytest.raises(KeyError):
        trace(f, ingot.ones(3))
    assert total == 0
