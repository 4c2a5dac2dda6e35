"""What a compiled function changes besides tensors: each call changes it as the function does, or it is refused."""

from __future__ import annotations

import collections
import dataclasses
import re
import types

import ingot
import numpy as np
import pytest
from ingot.ir.errors import CaptureError

X = ingot.tensor([1.0, -2.0, 3.0])


def repeated(make, step, held, calls=3):
    """What calls give and leave behind, eagerly and compiled: both must be the same."""
    found = []
    for wrap in (lambda function: function, ingot.compile):
        thing = make()
        function = wrap(lambda x, thing=thing: step(thing, x))
        found.append([(function(X).tolist(), held(thing)) for _ in range(calls)])
    assert found[0] == found[1]
    return found[0]


class _Slots:
    __slots__ = ("calls",)

    def __init__(self):
        self.calls = 0


def _counts(thing, x):
    thing.calls += 1
    return x * 2


def test_a_deque_that_grows():
    def step(thing, x):
        thing.append(x.sum())
        return x + thing[0]

    last = repeated(lambda: collections.deque(maxlen=2), step, lambda thing: [float(v) for v in thing])[-1]
    assert last[1] == [2.0, 2.0]


def test_a_deque_that_turns():
    def step(thing, x):
        thing.rotate(1)
        return x * thing[0]

    repeated(lambda: collections.deque([1.0, 2.0, 3.0]), step, list)


def test_a_set():
    def step(thing, x):
        thing.add(len(thing))
        return x * len(thing)

    assert repeated(set, step, sorted)[-1][1] == [0, 1, 2]


def test_slots():
    assert repeated(_Slots, _counts, lambda thing: thing.calls)[-1][1] == 3


def test_attributes_of_a_class():
    def make():
        return type("Counter", (), {"calls": 0})

    assert repeated(make, _counts, lambda thing: thing.calls)[-1][1] == 3


def test_attributes_of_a_function():
    def make():
        def counter():
            pass

        counter.calls = 0
        return counter

    assert repeated(make, _counts, lambda thing: thing.calls)[-1][1] == 3


def test_an_attribute_in_front_of_the_class_s():
    def make():
        return type("Counter", (), {"calls": 0})()

    assert repeated(make, _counts, lambda thing: vars(thing))[-1][1] == {"calls": 3}


def test_a_capture_that_is_refused_leaves_everything_as_it_was():
    sets, slots, queue = {1}, _Slots(), collections.deque([1])

    @ingot.compile
    def f(x):
        sets.add(2)
        slots.calls += 1
        queue.append(2)
        return x.numpy()

    with pytest.raises(CaptureError):
        f(X)
    assert (sets, slots.calls, list(queue)) == ({1}, 0, [1])


# ------------------------------------------------------------------------------------------------------- refused

ARRAY = np.zeros(3, np.float32)


@dataclasses.dataclass
class Point:
    x: object


def append_to(values, x):
    values.append(x)
    return x * 2


def set_in(values, x):
    values["new"] = x
    return x * 2


def set_a_field(point, x):
    point.x = x * 2
    return x * 2


@pytest.mark.parametrize(
    ("function", "given", "what"),
    [
        (append_to, [X], "a list among its arguments"),
        (set_in, {"old": X}, "a dict among its arguments"),
        (set_a_field, Point(X), "a Point among its arguments"),
    ],
    ids=["list", "dict", "dataclass"],
)
def test_a_changed_argument_is_refused(function, given, what):
    before = repr(given)
    with pytest.raises(CaptureError, match=f"the function changes {what} in place") as caught:
        ingot.compile(function)(given, X)
    assert f"def {function.__name__}(" in caught.value.location.source
    assert repr(given) == before


def test_a_changed_array_is_refused():
    @ingot.compile
    def f(x):
        ARRAY[0] += 1
        return x * 2

    with pytest.raises(CaptureError, match="the function changes the NumPy array ARRAY in place"):
        f(X)
    assert ARRAY.tolist() == [0.0] * 3


@pytest.mark.parametrize("kind", [dict, collections.OrderedDict])
def test_a_dict_in_another_order_is_refused(kind):
    values = kind(a=1, b=2)

    @ingot.compile
    def f(x):
        values["a"] = values.pop("a")
        return x * 2

    with pytest.raises(CaptureError, match=re.escape("its entries are in another order")):
        f(X)
    assert list(values) == ["a", "b"]


def test_dicts_in_arguments_keep_their_kind():
    f = ingot.compile(lambda x, values: x * values["a"] + values["missing"])
    assert f(X, collections.Counter(a=2)).tolist() == [2.0, -4.0, 6.0]
    with pytest.raises(CaptureError, match="changes a defaultdict"):  # which gets an entry
        f(X, collections.defaultdict(lambda: 1.0, a=2))


def test_objects_of_no_known_kind_are_no_entries():
    holder = types.SimpleNamespace(value=None)

    @ingot.compile
    def f(x):
        holder.value = {1, 2}
        return x * 2

    with pytest.raises(CaptureError, match="in a way that a compiled call cannot repeat"):
        f(X)
    assert holder.value is None
