"""Lists whose number of elements the run decides: programs give what the functions give, and their gradients."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ingot
import numpy as np
import pytest
from ingot.ir.errors import CaptureError

# Each function takes x : f32[n, 3] and is called with rows of all signs, with few rows, and with zeros.


def stacked(x):
    out: list[ingot.Tensor] = []
    for i in range(x.shape[0]):
        if x[i].sum() > 0:
            out.append(x[i] * x[i])
    return ingot.stack(out), len(out), out[-1]


def joined(x):
    out = []
    for row in x:
        if row.sum() > 0:
            out.append(row * 2)
    return ingot.cat(out)


def gone_over(x):
    out = []
    for row in x:
        if row.sum() > 0:
            out.append(row * row)
    total = x.sum(0) * 0
    for i, y in enumerate(out):
        total = total * 0.5 + y * i
    for y, z in zip(out, reversed(out), strict=True):
        total = total + y * z
    return total, len(out)


def summed(x):
    out = [x.sum(0)]
    for row in x:
        if row.sum() > 0:
            out.append(row.tanh())
    return sum(out)


def without_a_loop(x):
    out = [x.sum(0)]
    if x.sum() > 0:
        out.append(x.amax(0) * 2)
    if x.sum() > 3:
        out.append(x.sum(0).tanh())
        out.append(x.sum(0) * 3)
    return ingot.stack(out), out[-1], out[0], len(out)


def more_on_one_side(x):
    out = []
    for row in x:
        if row.sum() > 2:
            out.append(row)
            out.append(row * 2)
        elif row.sum() < 0:
            out += [-row, row * 3, row * row]
        else:
            out.append(row * 0.5)
    return ingot.stack(out, dim=1)


def left_early(x):
    out = []
    for row in x:
        if row[0] < -2:
            continue
        if row.sum() > 4:
            out.append(row * 3)
            break
        out.append(row * row[0])
    return sum([y.sum() for y in out]) if len(out) > 0 else x.sum(), len(out)


def nested(x):
    out = [x.sum(0)]
    for i in range(x.shape[0]):
        for j in range(i):
            if x[j].sum() > 0:
                out.append(x[i] * x[j])
        if x[i, 0] < 0:
            out.append(x[i])
    return ingot.stack(out).sum(0), len(out)


def read_while_it_grows(x):
    out = [x.sum(0)]
    for row in x:
        if len(out) < 4 and row.sum() > out[-1][0]:
            out.append((out[-1] * 0.5 + row).tanh())
    return ingot.stack(out), out[1:][::-1][0] if len(out) > 1 else out[0] * 0


def a_stack_machine(x):
    work = [x.sum(0)]
    for row in x:
        if row.sum() > 0:
            work.append(row * 2)
        elif len(work) > 1:
            top = work.pop()
            work[-1] = work[-1] * top
        else:
            work[0] = work[0] + 1
    return ingot.stack(work), len(work)


def a_queue(x):
    waiting, count, total = [x.sum(0)], 0, x.sum() * 0
    while waiting:
        y = waiting.pop(0)
        count += 1
        total = total + y.sum() * count
        if y.sum() > 3 and count < 9:
            waiting.append(y / 2)
            waiting.append(y - 3)
    return count, total


def put_in_front(x):
    out = [x.sum(0)]
    for row in x:
        if row.sum() > 0:
            out.insert(0, out[0] * 0.5 + row)
    return ingot.stack(out)


def chunks(x):
    chunk, sums = [], []
    for row in x:
        chunk.append(row)
        if row.sum() > 0:
            sums.append(ingot.stack(chunk).sum(0) * len(chunk))
            chunk = []
    if len(chunk) > 0:
        sums.append(ingot.stack(chunk).sum(0))
    return ingot.stack(sums), len(chunk)


def made_anew(x):
    out = [x.sum(0)]
    for row in x:
        if row.sum() > 0:
            out = out[-1:] + [row * 2]  # noqa: RUF005
        else:
            out = out + [row]  # noqa: RUF005
    return ingot.stack(out)


def emptied(x):
    out = []
    for row in x:
        if row.sum() > 0:
            out += [row, row * 2]
        else:
            out.clear()
    return len(out), sum(out).sum() if out else x.sum()


def of_an_object(x):
    kept = {"up": [], "down": [x.sum(0)]}
    for row in x:
        (kept["up"] if row is None else kept["down"]).append(row * 2)
        if row.sum() > 0:
            kept["up"].append(row)
    return len(kept["up"]), ingot.stack(kept["down"])


def by_a_function(x):
    out = []

    def keep(y):
        if y.sum() > 0:
            out.append(y * 2)

    def until(y):
        for row in y:
            if row.sum() > 4:
                return row[0]
            keep(row)
        return y.sum()

    found = until(x)
    keep(x.sum(0))
    return found, len(out), sum(out).sum() if out else x.sum()


def finished_hypotheses(x):
    beams, finished, scores = [x.sum(0), x.amax(0)], [], []
    for row in x:
        following = []
        for beam in beams:
            beam = (beam + row).tanh()
            if beam[0] > 0.9:
                finished.append(beam)
                scores.append(beam.sum())
            following.append(beam * 0.5)
        beams = following
    best = ingot.stack(scores).max() if len(scores) > 0 else x.sum() * 0
    return best, len(finished), ingot.stack(beams)


def numbers(x):
    ids, parts = [], []
    for i in range(x.shape[0]):
        if x[i].sum() > 0:
            ids.append(int(x[i].argmax()) + i)
            parts.append(float(x[i, 0]))
    return len(ids), sum(ids), 2 in ids, ids[0], max(ids), min(parts), ingot.tensor(ids), ingot.tensor(parts)


def greedy(x):
    tokens = [1]
    while len(tokens) < 8:
        token = (tokens[-1] * 3 + int(x.sum()) + len(tokens)) % 7
        if token == 4:
            break
        if token != 2:
            tokens.append(token)
        else:
            tokens.append(0)
            tokens.append(1)
    return ingot.tensor(tokens), tokens[-1], len(tokens), sum(tokens)


GRADIENTS = [
    stacked, joined, gone_over, summed, without_a_loop, more_on_one_side, left_early, nested, read_while_it_grows,
    a_stack_machine, a_queue, put_in_front, chunks, made_anew, emptied, of_an_object, by_a_function,
    finished_hypotheses,
]  # fmt: skip
FUNCTIONS = [*GRADIENTS, numbers, greedy]
by_name = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)


def captured(function: Callable[..., Any]) -> Any:
    return ingot.jit.trace(function, ingot.ones(4, 3), script_branches=True, dynamic_shapes={0: "n"}, check=False)


def arguments(rng: np.random.Generator) -> list[Any]:
    found = [rng.integers(-12, 13, (rows, 3)) / 4 for rows in (4, 5, 7, 1, 2, 6)]
    found += [np.abs(found[0]) + 1, -np.abs(found[1]) - 1, np.zeros((3, 3))]
    return [ingot.tensor(x.astype(np.float32)) for x in found]


def result_of(function: Any, *given: Any) -> Any:
    """What a call gives, or the error's kind."""
    try:
        return function(*given)
    except (ValueError, IndexError) as error:
        return ValueError if isinstance(error, ValueError) else IndexError


def same(found: Any, expected: Any) -> None:
    if isinstance(expected, tuple):
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    elif isinstance(expected, ingot.Tensor):
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found.numpy(), expected.numpy(), 1e-4, 1e-4)
    else:
        assert type(found) is type(expected)
        assert found == (pytest.approx(expected, 1e-5) if isinstance(expected, float) else expected)


def loss(result: Any) -> Any:
    parts = result if isinstance(result, tuple) else (result,)
    return sum([(part * part).sum() for part in parts if isinstance(part, ingot.Tensor)])


@by_name
def test_a_program_gives_what_the_function_gives(function: Any, rng: np.random.Generator, tmp_path: Path) -> None:
    program = captured(function)
    program.save(tmp_path / "program.ingot")
    loaded = ingot.jit.load(tmp_path / "program.ingot")
    for x in arguments(rng):
        expected = result_of(function, x)
        for one in (program, program.on("reference"), loaded):
            same(result_of(one, x), expected)


def gradient(function: Any, x: Any) -> Any:
    x = x.clone().requires_grad_()
    loss(function(x)).backward()
    return x.grad


@pytest.mark.parametrize("function", GRADIENTS, ids=lambda f: f.__name__)
def test_its_gradients_are_those_of_the_tape(function: Any, rng: np.random.Generator) -> None:
    program = captured(function)

    def inside(x):
        x = x.detach().requires_grad_()
        (found,) = ingot.autograd.grad(loss(function(x)), x)
        return found

    of_itself = captured(inside)
    for x in arguments(rng):
        expected = result_of(lambda x: gradient(function, x), x)
        same(result_of(lambda x: gradient(program, x), x), expected)
        same(result_of(of_itself, x), expected)


def test_an_empty_list_raises_at_the_run_what_it_raises_in_python() -> None:
    below = -ingot.ones(2, 3)
    with pytest.raises(ValueError, match="tensors is empty"):
        captured(joined)(below)
    with pytest.raises(IndexError, match="list index out of range"):
        captured(lambda x: kept(x)[-1])(below)
    with pytest.raises(IndexError, match="pop from empty list"):
        captured(lambda x: kept(x).pop())(below)
    with pytest.raises(ValueError, match="empty"):
        captured(lambda x: max([float(y[0]) for y in kept(x)]))(below)
    with pytest.raises(ingot.jit.Error, match="the list is empty"):
        captured(lambda x: sum(kept(x)))(below)


def kept(x):
    out = []
    for row in x:
        if row.sum() > 0:
            out.append(row * 2)
    return out


# --------------------------------------------------------------------------------------------------------- memory


def refused(function: Any, message: str, line: str) -> None:
    with pytest.raises(CaptureError) as caught:
        captured(function)
    assert message in str(caught.value)
    assert caught.value.location is not None and re.search(line, caught.value.location.source)
    assert caught.value.advice


def test_an_element_that_is_changed_in_place_is_the_one_in_the_list(rng: np.random.Generator) -> None:
    def change(x):
        out = []
        if x.sum() > 0:
            out.append(x[0] * 2)
            out.append(x[0] * 3)
        out.append(x.sum(0))
        out[0] += 1
        out[-1] *= 2
        first = out[0]
        first -= 0.25
        return ingot.stack(out), first

    program = captured(change)
    for x in arguments(rng):
        same(program(x), change(x))


SHARES = "shares its memory with another, or not, as the run decides"


def test_an_element_that_has_another_name_may_not_be_changed() -> None:
    def by_the_list(x):
        first, out = x[0] * 2, [x.sum(0)]
        if x.sum() > 0:
            out.append(first)
        out[-1] += 1
        return first, ingot.stack(out)

    def by_the_name(x):
        first, out = x[0] * 2, [x.sum(0)]
        if x.sum() > 0:
            out.append(first)
        first += 1
        return ingot.stack(out)

    def of_both_sides(x):
        out = []
        if x.sum() > 0:
            last = x[0] * 2
            out.append(last)
        else:
            last = x[0] * 3
        last += 1
        return last, len(out), sum([y.sum() for y in out])

    def twice_in_the_list(x):
        out = [x.sum(0)]
        if x.sum() > 0:
            y = x[0] * 2
            out.append(y)
            out.append(y)
            y = None
        out[-1] += 1
        return ingot.stack(out)

    def after_its_loop(x):
        total, out = x[0] * 0, []
        for row in x:
            total = total + row
            out.append(total)
        total += 1
        return ingot.stack(out), total

    for function, line in (
        (by_the_list, r"out\[-1\] \+= 1|return"), (by_the_name, r"first \+= 1|return"),
        (of_both_sides, r"last \+= 1|return"), (twice_in_the_list, r"out\[-1\] \+= 1|return"),
        (after_its_loop, r"total \+= 1|return"),
    ):  # fmt: skip
        refused(function, SHARES, line)


def test_what_one_iteration_appends_the_next_may_not_change() -> None:
    def running_total(x):
        total, out = x[0] * 0, []
        for row in x:
            total += row
            if row.sum() > 0:
                out.append(total)
            if row[0] > 0:
                total = total * 2
        return ingot.stack(out)

    with pytest.raises(CaptureError, match=r"in place|shares its memory"):
        captured(running_total)


LOST = "a list is used that a change of another one has changed, or not, as the run decides"


def test_a_list_of_two_names_is_not_used_when_one_of_them_may_have_changed_it() -> None:
    def chosen(x):
        first, second = [x[0]], [x[0] * 2]
        if x.sum() > 0:
            second = first
        second.append(x[0])
        return len(first)

    def made_anew_or_not(x):
        out = []
        same = out
        if x.sum() > 0:
            out = [*out, x[0]]
        out.append(x[0])
        return len(same)

    def in_a_loop(x):
        chunk, sums = [], []
        first = chunk
        for row in x:
            chunk.append(row)
            if row.sum() > 0:
                sums.append(row)
                chunk = []
        return len(first)

    refused(chosen, LOST, r"return len\(first\)")
    refused(made_anew_or_not, LOST, r"return len\(same\)")
    refused(in_a_loop, LOST, r"return len\(first\)")


# ---------------------------------------------------------------------------------------------------- other refusals


def test_elements_have_one_type_and_size() -> None:
    def sizes(x):
        out = []
        if x.sum() > 0:
            out.append(x[0])
            out.append(x[0, :2])
        return len(out)

    def dtypes(x):
        out = []
        for row in x:
            if row.sum() > 0:
                out.append(row)
            else:
                out.append(row.to(ingot.int64))
                out.append(row.to(ingot.int64))
        return len(out)

    def kinds(x):
        out = [1]
        for row in x:
            if row.sum() > out[-1]:
                out.append(float(row[0]))
        return len(out)

    def objects(x):
        out = []
        for row in x:
            if row.sum() > 0:
                out.append(row)
                out.append("a text")
        return len(out)

    refused(sizes, "elements of different types", r"out.append\(x\[0, :2\]\)")
    refused(dtypes, "differs in type between the sides of a branch", "row")
    refused(kinds, "elements of different types", "")
    refused(objects, "an element of type str", "")


def test_a_list_of_elements_that_the_run_counts_is_no_result() -> None:
    refused(kept, "a list whose length the run decides", r"out.append\(row \* 2\)")


def test_what_a_tensor_cannot_follow_is_refused_with_its_line() -> None:
    def ordered(x):
        out = kept(x)
        out.reverse()
        return ingot.stack(out)

    refused(ordered, "reverse() of a list whose length the run decides", r"out.reverse\(\)")
