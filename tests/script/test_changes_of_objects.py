"""Objects that the sides of captured branches and the bodies of loops change, however the code gets to them."""

import argparse
import functools
import types
from dataclasses import dataclass

import ingot
import pytest
from ingot import jit
from ingot.ir.errors import CaptureError

POSITIVE, NEGATIVE = ingot.tensor([1.0, 2.0]), ingot.tensor([-1.0, -2.0])

last = ingot.tensor(0.0)


def choosing(one, other, read):
    """A function that runs one of two others by its data, and gives what was changed."""

    def f(x):
        if x.sum() > 0:
            one(x)
        else:
            other(x)
        return read() + x

    return jit.script(f)


def check(one, other, read, state):
    """The captured function gives what Python gives, on both sides, and capturing leaves nothing behind."""
    f = choosing(one, other, read)
    before = state()
    program = jit.trace(f, POSITIVE, script_branches=True)
    assert all(a is b for a, b in zip(before, state(), strict=True))
    assert program(POSITIVE).tolist() == (POSITIVE.sum() * 2 + POSITIVE).tolist()
    assert program(NEGATIVE).tolist() == (NEGATIVE.sum() * 3 + NEGATIVE).tolist()


def set_twice(x):
    global last
    last = x.sum() * 2


def set_thrice(x):
    global last
    last = x.sum() * 3


def test_globals_that_called_functions_assign():
    check(set_twice, set_thrice, lambda: last, lambda: [last])


def test_attributes_in_slots():
    @dataclass(slots=True)
    class Kept:
        value: ingot.Tensor

    kept = Kept(ingot.tensor(0.0))

    def keep(factor, x):
        kept.value = x.sum() * factor

    check(lambda x: keep(2, x), lambda x: keep(3, x), lambda: kept.value, lambda: [kept.value])


def test_attributes_of_classes():
    class Kept:
        value = ingot.tensor(0.0)

        @staticmethod
        def keep(factor, x):
            Kept.value = x.sum() * factor

    check(lambda x: Kept.keep(2, x), lambda x: Kept.keep(3, x), lambda: Kept.value, lambda: [Kept.value])


def test_attributes_of_functions():
    def keep(factor, x):
        keep.value = x.sum() * factor

    keep.value = ingot.tensor(0.0)
    check(lambda x: keep(2, x), lambda x: keep(3, x), lambda: keep.value, lambda: [keep.value])


def test_attributes_of_modules():
    space = types.ModuleType("space_of_a_test")
    space.value = ingot.tensor(0.0)

    def keep(factor, x):
        space.value = x.sum() * factor

    check(lambda x: keep(2, x), lambda x: keep(3, x), lambda: space.value, lambda: [space.value])


def test_defaults_of_arguments():
    box = [ingot.tensor(0.0)]

    def keep(factor, x, box=box):
        box[0] = x.sum() * factor

    check(lambda x: keep(2, x), lambda x: keep(3, x), lambda: box[0], lambda: list(box))


def test_arguments_of_partials():
    box = [ingot.tensor(0.0)]

    def keep(box, factor, x):
        box[0] = x.sum() * factor

    def held():
        return twice.args[0][0]

    twice, thrice = functools.partial(keep, box, 2), functools.partial(keep, box, 3)
    check(twice, thrice, held, lambda: list(box))


def test_functions_behind_decorators():
    box = [ingot.tensor(0.0)]

    def around(function):
        @functools.wraps(function)
        def inner(*args):
            return function(*args)

        return inner

    @around
    def keep(factor, x):
        box[0] = x.sum() * factor

    check(lambda x: keep(2, x), lambda x: keep(3, x), lambda: box[0], lambda: list(box))


def test_objects_of_the_library():
    names = argparse.Namespace(value=ingot.tensor(0.0))

    def keep(factor, x):
        names.value = x.sum() * factor

    check(lambda x: keep(2, x), lambda x: keep(3, x), lambda: names.value, lambda: [names.value])


def test_bound_methods_of_lists_are_refused_with_their_line():
    items = [ingot.tensor(0.0)]
    add = items.append

    @jit.script
    def f(x):
        if x.sum() > 0:
            add(x)
        return x

    with pytest.raises(CaptureError, match=r"items|add") as caught:
        f(POSITIVE)
    assert "add(x)" in str(caught.value)
    assert len(items) == 1


def test_a_loop_carries_what_it_changes_in_slots():
    class Total:
        __slots__ = ("value",)

    total = Total()
    total.value = ingot.tensor(0.0)

    def f(x):
        while total.value < x.sum():
            total.value = total.value + 1
        return total.value + 0

    program = jit.trace(f, POSITIVE, script_branches=True)
    assert total.value.item() == 0.0
    assert program(POSITIVE).item() == 3.0
    assert program.state["total.value"].item() == 3.0


class Kept:
    value = None


def attribute_before_a_return(x):
    kept = Kept()

    def inner(x):
        kept.value = x > 5
        if x[0] > 0:
            x = x + 0
            if x.sum() > 0:
                kept.value = x * 3
                return x
        return x + kept.value.float()

    return inner(x), kept.value.sum()


def variable_of_an_outer_function(x):
    found = x > 5

    def inner(x):
        nonlocal found
        if x[0] > 0:
            x = x + 0
            if x.sum() > 0:
                found = x * 3
                return x
        return x + found.float()

    return inner(x), found.sum()


def variable_that_finally_reads(x):
    kept = Kept()

    def inner(x):
        found = x > 5
        try:
            if x[0] > 0:
                x = x + 0
                if x.sum() > 0:
                    found = x * 3
                    return x
            return x + found.float()
        finally:
            kept.value = found.sum()

    return inner(x), kept.value


@pytest.mark.parametrize(
    "f", [attribute_before_a_return, variable_of_an_outer_function, variable_that_finally_reads]
)  # fmt: skip
def test_what_is_read_after_a_return_has_one_type(f):
    with pytest.raises(CaptureError, match=r"differs in type between the sides of a branch") as caught:
        jit.trace(f, NEGATIVE, script_branches=True)
    assert "f32[2]" in str(caught.value)
    assert "bool[2]" in str(caught.value)


def test_what_nothing_reads_after_a_return_may_have_any_type():
    def f(x):
        found = x > 5
        if x[0] > 0:
            x = x + 0
            if x.sum() > 0:
                found = x * 3
                return x + found
        return x + found.float()

    program = jit.trace(f, NEGATIVE, script_branches=True)
    assert program(POSITIVE).tolist() == (POSITIVE * 4).tolist()
    assert program(NEGATIVE).tolist() == NEGATIVE.tolist()
