"""Dicts and lists that are one or another behind a captured branch or loop: used and changed under several names."""

import ingot
import pytest
from ingot import jit
from ingot.ir.errors import CaptureError

POSITIVE, NEGATIVE = ingot.tensor([1.0, 2.0]), ingot.tensor([-1.0, -2.0])


def captured(f, *more):
    return jit.trace(f, (POSITIVE, *more), script_branches=True, mutates="copy")


def step(d, value):
    new = dict(d)
    new["h"] = new["h"] * 0.5 + value
    return new


def changed_with_one_name(x):
    d = {"a": x}
    if x.sum() > 0:
        d = {"a": x * 2}
    d["a"] = d["a"] * 10
    return d["a"] + 0


def made_anew_by_each_iteration(x):
    d = {"h": x * 0}
    for i in range(int(x.abs().sum())):
        d = step(d, x[i % 2])
    d.update(k=x)
    return d["h"] + d["k"]


def read_under_two_names(x):
    d = {"h": x * 0}
    e = d
    if x.sum() > 0:
        d = {"h": x * 3}
    return d["h"] + e["h"]


def copied_before_a_change(x):
    d = {"a": x}
    e = dict(d)
    if x.sum() > 0:
        d = {"a": x * 2}
    d["a"] = x * 10
    return d["a"] + e["a"]


@pytest.mark.parametrize(
    "f", [changed_with_one_name, made_anew_by_each_iteration, read_under_two_names, copied_before_a_change]
)  # fmt: skip
def test_what_python_does(f):
    program = captured(f)
    for x in (POSITIVE, NEGATIVE, NEGATIVE * 3):
        assert program(x).tolist() == f(x).tolist()


def changed_after_a_branch(x):
    d = {"a": x}
    e = d
    if x.sum() > 0:
        d = {"a": x * 2}
    d["a"] = x * 10
    return e["a"] + 0


def changed_inside(x):
    d = {"a": {"b": x}}
    e = d["a"]
    if x.sum() > 0:
        d["a"] = {"b": x * 2}
    d["a"].update(b=x * 10)
    return e["b"] + 0


def changed_after_a_loop(x):
    d = {"a": x}
    e = d
    for i in range(int(x.sum())):
        d = {"a": x * i}
    d.clear()
    return e["a"] + 0


def chosen(x):
    d, e = {"a": x}, {"a": x * 3}
    f = d if x.sum() > 0 else e
    f["a"] = x * 10
    return e["a"] + 0


@pytest.mark.parametrize("f", [changed_after_a_branch, changed_inside, changed_after_a_loop, chosen])
def test_a_change_is_refused_where_another_name_is_in_use(f):
    with pytest.raises(CaptureError, match="a dict is changed that may be another one, which is in use") as caught:
        captured(f)
    lines = [line.strip() for line in str(caught.value).splitlines()]
    assert any(line in lines for line in ('d["a"] = x * 10', 'd["a"].update(b=x * 10)', "d.clear()", 'f["a"] = x * 10'))


def test_a_use_is_refused_where_the_other_one_has_changed():
    def f(x):
        d = {"h": x * 0}
        e = d
        if x.sum() > 0:
            d = {"h": x * 3}
        e["h"] = x * 10
        return d["h"] + e["h"]

    with pytest.raises(CaptureError, match="a dict is used that may be another one, which has been changed") as caught:
        captured(f)
    assert 'return d["h"] + e["h"]' in str(caught.value)


def test_lists_among_the_arguments():
    def reads(x, xs, ys):
        zs = xs if x.sum() > 0 else ys
        return zs[0] + xs[0]

    def changes(x, xs, ys):
        zs = xs if x.sum() > 0 else ys
        zs[0] = x * 10
        return xs[0] + 0

    lists = [ingot.zeros(2)], [ingot.ones(2)]
    program = captured(reads, *lists)
    for x in (POSITIVE, NEGATIVE):
        assert program(x, *lists).tolist() == reads(x, *lists).tolist()
    with pytest.raises(CaptureError, match="a list is changed that may be another one, which is in use"):
        captured(changes, *lists)
