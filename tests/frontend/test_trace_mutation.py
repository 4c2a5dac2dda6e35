"""Programs that change their arguments: refused, written back, or done to a copy; and arguments that share memory."""

import dataclasses

import ingot
import numpy as np
import pytest
from ingot.ir.errors import ArgumentError, CaptureError
from ingot.jit import trace

ONE = ingot.ones(3)


def add_one(x, y):
    x.add_(1)
    y[1:].mul_(2)
    return x + y


@pytest.fixture(params=["captured", "loaded"])
def via(request, tmp_path):
    def pass_on(program):
        if request.param == "captured":
            return program
        program.save(tmp_path / "p.ingot")
        return ingot.load(tmp_path / "p.ingot")

    return pass_on


def test_a_changed_input_is_refused_by_default():
    x = ingot.ones(3)
    with pytest.raises(CaptureError, match=r"changes one of its inputs[\s\S]*x.add_\(1\)[\s\S]*mutates=\"write_back\""):
        trace(add_one, (x, ONE))
    assert x.tolist() == [1.0] * 3


def test_changes_are_written_back(via):
    x, y = ingot.ones(3), ingot.ones(3)
    program = via(trace(add_one, (x, y), mutates="write_back"))
    assert x.tolist() == y.tolist() == [1.0] * 3
    assert program.signature.writes == (0, 1)
    for _ in range(2):
        a, b = ingot.arange(3).float(), np.ones(3, np.float32)
        view, version = a.view(3), a._version if hasattr(a, "_version") else None
        found = program(a, b)
        assert a.tolist() == view.tolist() == [1.0, 2.0, 3.0]
        assert b.tolist() == [1.0, 2.0, 2.0]
        assert found.tolist() == [2.0, 4.0, 5.0]
        assert version is None or a._version > version
    read_only = np.ones(3, np.float32)
    read_only.setflags(write=False)
    with pytest.raises(ArgumentError, match="read-only"):
        program(a, read_only)


def test_a_write_to_a_strided_argument_reaches_it(via):
    program = via(trace(add_one, (ONE, ONE.clone()), mutates="write_back"))
    base = np.zeros(6, np.float32)
    program(base[::2], np.ones(3, np.float32))
    assert base.tolist() == [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]


def test_a_copy_is_changed_where_asked(via):
    program = via(trace(add_one, (ONE, ONE.clone()), mutates="copy"))
    a, b = ingot.arange(3).float(), ingot.ones(3)
    assert program(a, b).tolist() == [2.0, 4.0, 5.0]
    assert a.tolist() == [0.0, 1.0, 2.0]
    assert b.tolist() == [1.0] * 3


@pytest.mark.parametrize("mutates", ["write_back", "copy"])
def test_arguments_that_share_memory_are_refused_where_one_is_changed(mutates, via):
    program = via(trace(add_one, (ONE, ONE.clone()), mutates=mutates))
    a = np.ones(6, np.float32)
    for pair in ((a[:3], a[:3]), (a[:3], a[2:5])):
        with pytest.raises(ArgumentError, match="two arguments share memory"):
            program(*pair)
    program(a[:3], a[3:])
    same = ingot.ones(3)
    with pytest.raises(CaptureError, match=r"'x' in place, which shares memory with input 'y'[\s\S]*x.add_\(1\)"):
        trace(add_one, (same, same), mutates=mutates)


def test_arguments_may_share_memory_where_none_is_changed(via):
    x = ingot.ones(3)
    program = via(trace(lambda a, b: a + 2 * b, (x, x)))
    assert program(x, x).tolist() == [3.0] * 3
    assert program(x, ingot.zeros(3)).tolist() == [1.0] * 3


def test_an_argument_that_is_state_as_well_is_refused_where_it_changes():
    weight = ingot.ones(3)

    def by_state(x):
        weight.add_(1)
        return x * 2

    def by_input(x):
        x.add_(1)
        return weight * 2

    with pytest.raises(CaptureError, match=r"changes state in place that is its input 'x'[\s\S]*weight.add_"):
        trace(by_state, weight)
    with pytest.raises(CaptureError, match=r"shares memory with state 'weight'[\s\S]*x.add_"):
        trace(by_input, weight, mutates="write_back")
    assert weight.tolist() == [1.0] * 3


def grow(batch, names):
    batch["sum"] = batch["x"] + 1
    names.append(batch["x"] * 2)
    names.append(3)
    return batch["sum"] * 2


def test_changed_lists_and_dicts_are_refused_with_the_line():
    batch, names = {"x": ONE}, [ONE]
    with pytest.raises(CaptureError, match=r"its argument 'batch', a dict, in place[\s\S]*batch\[\"sum\"\] = "):
        trace(grow, (batch, names))
    assert list(batch) == ["x"]
    assert len(names) == 1


def test_changed_lists_and_dicts_are_written_back(via):
    program = via(trace(grow, ({"x": ONE}, [ONE]), mutates="write_back"))
    x, first = ingot.zeros(3), ingot.ones(3)
    batch, names = {"x": x}, [first]
    inner = names
    assert program(batch, names).tolist() == [2.0] * 3
    assert list(batch) == ["x", "sum"]
    assert batch["x"] is x
    assert batch["sum"].tolist() == [1.0] * 3
    assert names is inner
    assert names[0] is first
    assert names[1].tolist() == [0.0] * 3
    assert names[2] == 3


def test_changed_lists_and_dicts_of_a_copy(via):
    program = via(trace(grow, ({"x": ONE}, [ONE]), mutates="copy"))
    batch, names = {"x": ONE}, [ONE]
    assert program(batch, names).tolist() == [4.0] * 3
    assert (list(batch), len(names)) == (["x"], 1)


@dataclasses.dataclass
class Box:
    x: object
    parts: object = None


def test_changed_fields_and_inner_containers(via):
    def f(box):
        box.parts["y"].pop()
        box.x = box.x + 1
        return box.x

    example = Box(ONE, {"y": [ONE, ONE]})
    with pytest.raises(CaptureError, match="its argument 'box'"):
        trace(f, example)
    program = via(trace(f, example, mutates="write_back"))
    box = Box(ingot.zeros(3), {"y": [ONE, ONE]})
    inner = box.parts["y"]
    program(box)
    assert box.x.tolist() == [1.0] * 3
    assert box.parts["y"] is inner
    assert len(inner) == 1


def test_inputs_changed_under_a_gradient():
    def f(x, w):
        x.mul_(2)
        return (x * w).sum()

    program = trace(f, (ONE, ONE.clone()), mutates="write_back")
    w = ingot.ones(3).requires_grad_()
    x = ingot.full((3,), 3.0)
    program(x, w).backward()
    assert w.grad.tolist() == [6.0] * 3
    assert x.tolist() == [6.0] * 3


def test_a_gradient_left_on_an_argument_is_refused():
    x = ingot.ones(3).requires_grad_()

    def f(x):
        (x * x).sum().backward()
        return x * 1

    with pytest.raises(CaptureError, match=r"leaves a gradient on its input 'x'[\s\S]*autograd.grad"):
        trace(f, x)
    assert x.grad is None
    program = trace(lambda x: ingot.autograd.grad((x * x).sum(), [x])[0], x)
    assert program(ingot.full((3,), 2.0)).tolist() == [4.0] * 3


def test_an_unknown_way_is_refused():
    with pytest.raises(ArgumentError, match="mutates is 'maybe'"):
        trace(add_one, (ONE, ONE), mutates="maybe")
