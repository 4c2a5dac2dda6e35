"""Tensors that share memory or not, as the run decides: what a change of one leaves of the other."""

from __future__ import annotations

from typing import Any

import ingot
import numpy as np
import pytest
from ingot import nn
from ingot.ir.errors import CaptureError

SHARES = "shares its memory with another, or not"


def traced(function: Any, *example: Any) -> Any:
    return ingot.jit.trace(function, example, script_branches=True, check=False)


def holds(function: Any) -> None:
    """The program does what the function does, whatever the vector says and however long loops are."""
    program = traced(function, ingot.ones(3), ingot.tensor(2))
    for times in range(4):
        for value in (1.0, -2.0, 0.5, 3.0):
            given = ingot.full((3,), value), ingot.tensor(times)
            found, expected = program(*given), function(*[x.clone() for x in given])
            for a, b in zip(_tensors(found), _tensors(expected), strict=True):
                np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5)


def _tensors(value: Any) -> list[Any]:
    return list(value) if isinstance(value, tuple) else [value]


# ------------------------------------------------------------------------------------------------------ captured


def the_other_is_not_used(x, n):
    x = x * 1
    y = x if x.sum() > 0 else x * 2
    y += 1
    return y


def the_other_was_used_before(x, n):
    x = x * 1
    y = x if x.sum() > 0 else x * 2
    z = x.exp()
    y += z
    return y, z


def a_window_of_a_cache(x, n):
    cache = ingot.zeros(4, 3)
    cache[1] = x
    keys = cache[:2] if n > 1 else ingot.ones(2, 3)
    total = keys.sum()
    cache[0] = x * total
    return cache, total


def the_original_is_changed(x, n):
    x = x * 1
    y = x if x.sum() > 0 else x * 2
    z = y * 3
    x += 1
    return x, z


def the_other_is_set_anew(x, n):
    x = x * 1
    y = x if x.sum() > 0 else x * 2
    y += 1
    x = y * 2
    for i in range(n.item()):
        x = x + i
    return x, y


def the_other_is_set_anew_on_both_sides(x, n):
    m, q = x * 1, x * 2
    if x.sum() > 0:
        q = m
    m += 1
    if n > 1:
        q = x * 3
    else:
        q = x * 4
    return m, q


def what_one_side_changes_the_other_side_reads(x, n):
    m = x * 1
    y = m if x.sum() > 0 else x * 2
    z = x * 0
    if n > 1:
        y += 1
    else:
        z = m * 2
    return y, z


def a_row_of_a_loop(x, n):
    m, v = ingot.stack([x, x * 2]), x * 1
    for i in range(n.item()):
        if m[0].sum() > i:
            v = m[1]
    s = v.sum()
    m[1] *= 2
    return m, s


def returned_before(x, n):
    m, q = x * 1, x * 3
    if x.sum() > 4:
        return m
    m += 1
    if q.sum() > n:
        return q
    return m


def returned_from_a_loop(x, n):
    m = x * 1
    for _ in range(n.item()):
        m += 1
        if m.sum() > 4:
            return m
    return m * 2


def two_names_that_change_places(x, n):
    y, z = x * 2, x * 3
    for _ in range(n.item()):
        y += 1
        y, z = z, y
    return y, z


def what_each_iteration_makes(x, n):
    kept, y = x * 0, x * 1
    for _ in range(n.item()):
        z = y
        y = y * 2
        z += 1
        kept = kept + z
    return y, kept


def a_list_whose_elements_are_changed_before(x, n):
    y, ys = x * 1, [x * 0]
    for _ in range(n.item()):
        y = y * 2
        y += 1
        ys.append(y)
    return ingot.stack(ys)


CAPTURED = [
    the_other_is_not_used, the_other_was_used_before, a_window_of_a_cache, the_original_is_changed,
    the_other_is_set_anew, the_other_is_set_anew_on_both_sides, what_one_side_changes_the_other_side_reads,
    a_row_of_a_loop, returned_before, returned_from_a_loop, two_names_that_change_places, what_each_iteration_makes,
    a_list_whose_elements_are_changed_before,
]  # fmt: skip


@pytest.mark.parametrize("function", CAPTURED, ids=lambda f: f.__name__)
def test_a_change_does_not_matter_where_the_other_tensor_is_not_used_afterwards(function):
    holds(function)


# ------------------------------------------------------------------------------------------------------- refused


def read(x, n):
    x = x * 1
    y = x if x.sum() > 0 else x * 2
    y += 1  # write
    return y, x * 2  # use


def read_behind_the_change_of_the_original(x, n):
    x = x * 1
    y = x if x.sum() > 0 else x * 2
    x += 1  # write
    return x, y.sum()  # use


def viewed(x, n):
    x = x * 1
    y = x if x.sum() > 0 else x * 2
    y += 1  # write
    return y, x[0]  # use


def a_view_that_was_there_before(x, n):
    x = x * 1
    head = x[:2]
    y = x if x.sum() > 0 else x * 2
    y[1] = 5  # write
    return y, head + 1  # use


def changed_as_well(x, n):
    x = x * 1
    y = x if x.sum() > 0 else x * 2
    y += 1  # write
    x += 1  # use
    return y


def kept_in_a_list(x, n):
    xs = [x * 1, x * 2]
    y = xs[0] if x.sum() > 0 else x * 2
    y += 1  # write
    return ingot.stack(xs)  # use


def handed_through_another_branch(x, n):
    x = x * 1
    y = x if x.sum() > 0 else x * 2
    y += 1  # write
    z = x if n > 1 else y * 3
    return z + 1  # use


def changed_on_one_side(x, n):
    m = x * 1
    y = m if x.sum() > 0 else x * 2
    if n > 1:
        y += 1  # write
    return y, m * 2  # use


def changed_by_an_iteration_before(x, n):
    y, z = x * 1, x * 2
    for _ in range(n.item()):
        y += 1  # write
        x = x + z  # use
        y = y * 2
        z = y
    return x


def the_outer_tensor_under_another_name(x, n):
    m, y, s = x * 1, x * 2, x.sum()
    for _ in range(n.item()):
        s = s + m.sum()  # use
        y += 1  # write
        y = m
    return y, s


def an_element_of_a_growing_list(x, n):
    y, z, w, ys = x * 1, x * 2, x * 3, [x * 0]
    for _ in range(n.item()):
        w += 1  # write
        w, z = z, y
        y = y * 2
        ys.append(y)
    return ingot.stack(ys)  # use


def the_last_element_of_a_list(x, n):
    y, ys = x * 1, [x * 0]
    for _ in range(n.item()):
        y = y * 2
        ys.append(y)
    y += 1  # write
    return ingot.stack(ys)  # use


def two_that_a_branch_hands_on(x, n):
    one = two = x * 0
    if x.sum() > 1:
        made = x * 3
        other = made if x.sum() > 4 else made * 2
        one, two = made, other
    one += 1  # write
    return one, two * 2  # use


def of_one_value_in_two_places(x, n):
    p, q = x * 2, x * 3
    p.copy_(q)
    r = p if x.sum() > 1 else q
    r += 1  # write
    return r, p + q  # use


def in_backward(x, n):
    w = ingot.ones(3, requires_grad=True)
    m = w * x
    loss = (m * m).sum()
    y = m if x.sum() > 0 else x * 2
    y += 1  # write
    return ingot.autograd.grad(loss, [w])  # use


def a_result_in_backward(x, n):
    w = ingot.ones(3, requires_grad=True)
    m = (w * x).tanh()
    loss = m.sum()
    y = m if x.sum() > 0 else x * 2
    y += 1  # write
    return ingot.autograd.grad(loss, [w])  # use


REFUSED = [
    read, read_behind_the_change_of_the_original, viewed, a_view_that_was_there_before, changed_as_well,
    kept_in_a_list, handed_through_another_branch, changed_on_one_side, changed_by_an_iteration_before,
    the_outer_tensor_under_another_name, an_element_of_a_growing_list, the_last_element_of_a_list,
    two_that_a_branch_hands_on, of_one_value_in_two_places, in_backward, a_result_in_backward,
]  # fmt: skip


@pytest.mark.parametrize("function", REFUSED, ids=lambda f: f.__name__)
def test_a_use_after_the_change_is_refused_with_both_lines(function):
    code = function.__code__
    lines = {mark: _line_with(function, f"# {mark}") for mark in ("write", "use")}
    with pytest.raises(CaptureError, match=SHARES) as caught:
        traced(function, ingot.ones(3), ingot.tensor(2))
    error = caught.value
    assert error.location is not None
    assert error.location.line == lines["use"], error
    assert f"the change at {error.location.file}:{lines['write']}:" in error.found, error
    assert "clone()" in error.advice
    assert code.co_name in str(error)


def _line_with(function: Any, mark: str) -> int:
    with open(function.__code__.co_filename) as file:
        lines = file.read().splitlines()
    first = function.__code__.co_firstlineno
    return next(i for i in range(first, first + 20) if lines[i - 1].endswith(mark))


def a_result(x, n):
    x = x * 1
    y = x if x.sum() > 0 else x * 2
    y += 1  # write
    return y, x


def an_input(x, n):
    y = x if x.sum() > 0 else x * 2
    y += 1  # write
    return y


TABLE = ingot.zeros(3)


def a_constant(x, n):
    y = TABLE if x.sum() > 0 else x * 2
    y += 1  # write
    return y


class Buffer(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("seen", ingot.zeros(3))

    def forward(self, x, n):
        y = self.seen if x.sum() > 0 else x * 2
        y += 1  # write
        return y


@pytest.mark.parametrize("subject", [a_result, an_input, a_constant, Buffer()], ids=lambda f: type(f).__name__)
def test_what_others_may_read_is_refused_at_the_change(subject):
    with pytest.raises(CaptureError, match=SHARES + r"[\s\S]*y \+= 1  # write"):
        traced(subject, ingot.ones(3), ingot.tensor(2))


def test_a_refusal_that_the_code_catches_stands():
    def program(x, n):
        x = x * 1
        y = x if x.sum() > 0 else x * 2
        y += 1
        try:
            return x * 2
        except Exception:
            return y

    with pytest.raises(CaptureError, match=SHARES):
        traced(program, ingot.ones(3), ingot.tensor(2))


def test_gradients_pass_a_change_that_does_not_matter():
    def program(x, n):
        w = ingot.ones(3, requires_grad=True)
        m = w * x
        y = m if x.sum() > 0 else m * 3
        y *= 2
        (y * x).sum().backward()
        return w.grad

    holds(program)


def test_memory_exchanged_while_it_is_shared_is_refused():
    def program(x, n):
        x = x * 1
        y = x if x.sum() > 0 else x * 2
        y.data = x * 3
        return y, x

    with pytest.raises(CaptureError, match=r"takes on other memory[\s\S]*y\.data = x \* 3"):
        traced(program, ingot.ones(3), ingot.tensor(2))


def test_a_compiled_function_refuses_it_too():
    def program(x):
        x = x * 1
        y = x if x.sum() > 0 else x * 2
        y += 1
        return y, x * 3

    with pytest.raises(CaptureError, match=SHARES):
        ingot.compile(program, script=True)(ingot.ones(3))


def test_what_has_no_value_is_not_used_by_a_change():
    def program(x, n):
        m = ingot.stack([x, x * 2])
        for i in range(n.item()):
            row = m[i % 2]
        m[0] += 1
        for i in range(n.item()):
            row = m[0] * i
            m = m + row
        return m

    holds(program)
