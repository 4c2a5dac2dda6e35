# ruff: noqa: UP007, UP045  (annotations as people write them who come from TorchScript)
"""Which numbers of a scripted function vary from call to call, called and as a program."""

from __future__ import annotations

from typing import Optional, Union

import ingot
import pytest
from ingot import nn
from ingot.frontend.script.numbers import NumberArguments
from ingot.ir.errors import AssertError, CaptureError


def repeated(x, n: int, scale: Optional[float] = None, k: int | None = 4):
    for _ in range(n):
        x = x + 1
    if scale is not None:
        x = x * scale
    return x + k


@pytest.mark.parametrize("args", [(2,), (5,), (0,), (-3,), (2, 0.5), (3, -1.5, -2)])
def test_annotated_numbers_vary_whether_optional_or_left_out(args):
    scripted, x = ingot.jit.script(repeated), ingot.ones(2)
    assert ingot.equal(scripted(x, *args), repeated(x, *args))
    assert ingot.equal(scripted(x, *args), repeated(x, *args))
    assert len(scripted._compiled) == 1


def test_a_program_takes_annotated_numbers_of_its_example_and_defaults_that_it_leaves_out():
    program, x = ingot.jit.script(repeated).program((ingot.ones(2), 3, 2.0)), ingot.ones(2)
    for args in ((4, 0.5), (-2, 0.5, -1), (1, 3.0, 9)):
        assert ingot.equal(program(x, *args), repeated(x, *args))


def test_a_program_after_a_call_does_too():
    scripted, x = ingot.jit.script(repeated), ingot.ones(2)
    scripted(x, 3)
    program = scripted.program()
    assert ingot.equal(program(x, -1), repeated(x, -1))
    assert ingot.equal(program(x, 6, k=0), repeated(x, 6, k=0))


def signs(x, a: int, b: int):
    m = a if a > b else b
    return x * m, a % b, -a // b


def test_integers_of_a_program_may_be_negative():
    program = ingot.jit.script(signs).program((ingot.ones(2), 4, 5))
    for a, b in ((4, 5), (-7, 3), (7, -3), (-7, -2)):
        y, mod, quotient = program(ingot.ones(2), a, b)
        wanted = signs(ingot.ones(2), a, b)
        assert ingot.equal(y, wanted[0]) and (mod, quotient) == wanted[1:]


def test_an_integer_that_is_a_size_is_refused_where_it_is_negative():
    program = ingot.jit.script(lambda x, n: x).program((ingot.ones(2), 1))  # no annotation: a constant
    with pytest.raises(Exception, match="'n' is a constant of the program"):
        program(ingot.ones(2), 2)
    program = ingot.jit.script(rows).program((ingot.arange(6), 2))
    assert program(ingot.arange(6), 5).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(AssertError, match="n >= 0"):
        program(ingot.arange(6), -1)


def rows(x, n: int):
    return x[:n]


def along(x, dim: int, n: int, scale: float = 1.0):
    return x.sum(dim) * n * scale


def test_one_number_that_must_be_known_leaves_the_others_free():
    scripted, x = ingot.jit.script(along), ingot.ones(2, 3)
    for dim, n, scale in ((0, 2, 1.0), (0, 5, 2.0), (1, -2, 0.5), (-1, 7, 0.5)):
        assert ingot.equal(scripted(x, dim, n, scale), along(x, dim, n, scale))
    program = scripted.program((x, 1, 2))
    assert ingot.equal(program(x, 1, -4, 3.0), along(x, 1, -4, 3.0))
    assert "dim               1" in program.report() and "n                 int" in program.report()


def test_a_dimension_that_the_run_decides_is_refused_with_its_line():
    with pytest.raises(CaptureError, match="sum: the run decides what dim is") as caught:
        ingot.jit.trace(lambda x, n: x.sum(n), (ingot.ones(2, 3), ingot.jit.runtime(1)))
    assert "test_number_arguments.py" in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "varies"),
    [
        (int, True), (Optional[int], True), (Union[int, float], True), (float | None, True), ("int", True),
        ("Optional[int]", True), ("typing.Optional[float]", True), ("int | None", True), ("Union[int, None]", True),
        (str, False), (Optional[str], False), ("Optional[str]", False), ("int | str", False), (None, False),
        ("None", False), (list[int], False), ("List[int]", False), (ingot.Tensor, False),
    ],
)  # fmt: skip
def test_annotations(annotation, varies):
    def function(x):
        return x

    function.__annotations__["x"] = annotation
    assert bool(NumberArguments(function).chosen((1,), {})) == varies


class Top(nn.Module):
    def forward(self, x, steps: int, k: Optional[int] = None):
        for _ in range(steps):
            if k is not None:
                least = x.topk(min(k, x.size(-1)))[0][:, [-1]]
                x = ingot.where(x < least, 0.0, x)
            x = x + 1
        return x


def test_a_number_in_a_loop_bounds_what_a_composite_takes():
    net, x = Top(), ingot.tensor([[3.0, 1.0, 2.0]])
    scripted = ingot.jit.script(net)
    program = scripted.program((x, 2, 2))
    for steps, k in ((2, 2), (3, 1), (1, 9)):
        assert ingot.equal(scripted(x, steps, k), net(x, steps, k))
        assert ingot.equal(program(x, steps, k), net(x, steps, k))


def clustered(x, k: int, steps: int = 4):
    centres = x[:k].clone()
    nearest = ingot.zeros(x.size(0), dtype=ingot.int64)
    for _ in range(steps):
        nearest = ((x[:, None] - centres[None]) ** 2).sum(-1).argmin(1)
        found = []
        for j in range(k):
            mine = nearest == j
            found.append(x[mine].mean(0) if mine.any() else centres[j])
        centres = ingot.stack(found)
    return centres, nearest


def test_what_only_the_body_makes_has_sizes_of_what_changes_in_it(rng):
    scripted = ingot.jit.script(clustered)
    program = scripted.program((ingot.ones(4, 2), 2))
    for n, k in ((9, 3), (20, 4), (5, 5)):
        x = ingot.from_numpy(rng.standard_normal((n, 2)))
        wanted = clustered(x, k)
        assert all(map(ingot.allclose, scripted(x, k), wanted))
        x32 = x.float()
        assert all(map(ingot.allclose, program(x32, k), clustered(x32, k)))


def extended(x, n: int):
    for _ in range(n):
        last = x * 2
        x = ingot.cat([x, last[:1]])
    return x, last


def test_a_variable_of_the_body_whose_size_grows():
    scripted = ingot.jit.script(extended)
    for n in (1, 3, 6):
        assert all(map(ingot.equal, scripted(ingot.arange(2), n), extended(ingot.arange(2), n)))
