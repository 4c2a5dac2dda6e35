# ruff: noqa: F821, UP037  (types of tensors stand in annotations as text)
"""`jit.script` as its users meet it: calls, numbers among the arguments, saving, methods, errors."""

from __future__ import annotations

from typing import Annotated

import ingot
import pytest
from ingot.ir.errors import ArgumentError, AssertError, CaptureError


@ingot.jit.script
def halved(x, n: int):
    for i in range(n):
        x = x * 0.5 + i
    return x


@ingot.jit.script
def signed(x: "f32[batch, 2]"):
    if x.sum() > 0:
        return x * 2
    return -x


@ingot.jit.script
def annotated(x: Annotated[ingot.Tensor, "f32[batch, 2]"]):
    return x + 1 if x.max() > 1 else x - 1


def plain_halved(x, n):
    return halved.original(x, n)


def test_an_annotated_number_is_given_at_each_call():
    for n in range(20):
        x = ingot.randn(3)
        assert ingot.allclose(halved(x, n), plain_halved(x, n))
    assert halved.explain().startswith("halved: 1 variant of")


def test_a_number_without_annotation_is_given_at_each_call_from_its_second_value_on():
    @ingot.jit.script
    def scaled(x, factor):
        return x * factor

    for factor in (1.5, 2.5, -1.0, 0.25):
        assert scaled(ingot.ones(2), factor).tolist() == [factor] * 2
    assert scaled.explain().count("variant of") == 2


def test_a_number_that_has_to_be_known_is_a_constant():
    @ingot.jit.script
    def summed(x, dim: int):
        return x.sum(dim=list(range(4))[dim])

    x = ingot.arange(6).reshape(2, 3).float()
    assert summed(x, 0).tolist() == [3.0, 5.0, 7.0]
    assert summed(x, 1).tolist() == [3.0, 12.0]


def test_saving_without_a_call_takes_sizes_from_annotations(tmp_path):
    for scripted in (signed, annotated):
        scripted.save(tmp_path / "program.ingot")
        program = ingot.jit.load(tmp_path / "program.ingot")
        for rows in (1, 4):
            for x in (ingot.ones(rows, 2) * 3, -ingot.ones(rows, 2)):
                assert ingot.equal(program(x), scripted.original(x))


def test_saving_after_a_call_takes_its_arguments_for_an_example(tmp_path):
    @ingot.jit.script
    def repeated(x, n: int):
        while n > 0:
            x = x + n
            n -= 1
        return x

    with pytest.raises(ArgumentError, match=r"parameter 'x' does not say[\s\S]*call it once before"):
        repeated.save(tmp_path / "program.ingot")
    repeated(ingot.ones(2), 3)
    repeated.save(tmp_path / "program.ingot")
    program = ingot.jit.load(tmp_path / "program.ingot")
    assert program(ingot.zeros(5), 4).tolist() == [10.0] * 5


def test_a_module_shares_its_state_with_the_scripted_one():
    class Counter(ingot.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", ingot.tensor(0))

        def forward(self, x):
            if x.sum() > 0:
                self.count += 1
            return x * self.count

    module = Counter()
    scripted = ingot.jit.script(module)
    assert scripted(ingot.ones(2)).tolist() == [1.0, 1.0]
    assert scripted(-ingot.ones(2)).tolist() == [-1.0, -1.0]
    assert module(ingot.ones(2)).tolist() == [2.0, 2.0] and scripted.count.item() == 2


def test_methods_are_scripted_for_each_object():
    class Scale:
        def __init__(self, factor):
            self.factor = factor

        @ingot.jit.script
        def apply(self, x):
            return x * self.factor if x.sum() > 0 else x

    assert Scale(2.0).apply(ingot.ones(2)).tolist() == [2.0, 2.0]
    assert Scale(3.0).apply(ingot.ones(2)).tolist() == [3.0, 3.0]


def test_what_the_user_raises_is_raised_where_it_was():
    @ingot.jit.script
    def checked(x):
        if x.min() < 0:
            raise ValueError("negative")
        return x.sqrt()

    assert checked(ingot.ones(2)).tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match=r"negative[\s\S]*raise ValueError"):
        checked(-ingot.ones(2))


@pytest.mark.parametrize("obj", [len, 3, (x for x in ())])
def test_what_has_no_source_is_refused(obj):
    with pytest.raises((CaptureError, ArgumentError), match="script"):
        ingot.jit.script(obj)


@pytest.mark.parametrize("capture", [lambda f, x: f(x), lambda f, x: f.program(x)])
def test_a_result_without_a_value_names_the_variable(capture):
    @ingot.jit.script
    def f(x):
        if x.sum() > 0:
            y = x
        return y

    with pytest.raises(CaptureError, match="the variable 'y' is used, but it does not always have a value"):
        capture(f, ingot.ones(1))


def test_rounding_to_digits_is_pythons():
    @ingot.jit.script
    def f(x, digits=None):
        return round(x.item(), digits)

    assert (f(ingot.tensor(2.5)), f(ingot.tensor(2.5), 0)) == (2, 2.0)
    with pytest.raises(CaptureError, match="round"):
        f(ingot.tensor(2.5), 1)


def test_a_variable_of_a_loop_without_iterations_names_the_loop():
    @ingot.jit.script
    def f(x, n: int):
        for i in range(n):
            y = x * i
        return y

    assert f(ingot.ones(1), 3).item() == 2
    with pytest.raises(AssertError, match="'y' has no value") as error:
        f(ingot.ones(1), 0)
    assert "for i in range(n):" in str(error.value)


@pytest.mark.parametrize("write", [str, repr, lambda x: f"peak {x.max().item():.2f}", lambda x: [str(x.tolist())]])
def test_texts_of_elements_are_no_results(write):
    def f(x):
        return x * 2, write(x + 1)

    for capture in (ingot.jit.script(f), ingot.compile(f), lambda x: ingot.jit.trace(f, x, check=False)):
        with pytest.raises(CaptureError, match="a text is made of a tensor's elements"):
            capture(ingot.ones(2))
    assert ingot.jit.trace(f, ingot.ones(2), check=False, frozen_ok=True)(ingot.zeros(2))[1] == write(ingot.ones(2) + 1)


def test_other_texts_are_results():
    def f(x, kind="sum"):
        print(x)
        return x * 2, f"{kind} of {x.ndim} dimensions"

    assert ingot.jit.script(f)(ingot.ones(2))[1] == "sum of 1 dimensions"


@pytest.mark.parametrize("times", [0, 1, 3])
def test_memory_that_inner_loops_hand_on_is_not_changed_behind_their_backs(times):
    def program(x, s):
        m, v = x * 1, x.sum(0)
        for i in range(int(s)):
            if s > i:
                v = m[-1]
        m[-1] *= 1.5
        return m, v

    with pytest.raises(CaptureError, match=r"shares its memory with another, or not[\s\S]*m\[-1\] \*= 1.5"):
        ingot.jit.trace(program, (ingot.ones(3, 2), ingot.tensor(times)), script_branches=True, check=False)


def test_a_parameter_that_a_branch_changes_stays_a_leaf():
    w = ingot.nn.Parameter(ingot.tensor([1.0, 2.0]))

    def program(x):
        w.grad = None
        if x.sum() > 0:
            with ingot.no_grad():
                w.mul_(0.5)
        (w * w * x).sum().backward()
        return w.grad * 1

    traced = ingot.jit.trace(program, ingot.ones(2), script_branches=True, check=False)
    for x in (ingot.ones(2), -ingot.ones(2)):
        with ingot.no_grad():
            w.copy_(ingot.tensor([1.0, 2.0]))
        traced.load_state_dict({key: ingot.tensor([1.0, 2.0]) for key in traced.state if key == "w"})
        assert traced(x).tolist() == program(x).tolist()


def test_a_truth_value_that_a_loop_asks_for_first_is_there_behind_it():
    def program(x, n):
        even = n.item() % 2 == 0
        for i in range(n.item()):
            x = x * 2 if even else x + i
        return x + 1 if even else x

    traced = ingot.jit.trace(program, (ingot.ones(2), ingot.tensor(2)), script_branches=True, check=False)
    for times in range(4):
        given = ingot.ones(2), ingot.tensor(times)
        assert traced(*given).tolist() == program(*given).tolist()
