"""Functions with every form of Python: rewritten, they do what they did."""

from typing import Any

import pytest
from ingot.frontend.script.rewrite import convert, is_converted
from plain_script import Plain
from scripted_functions import CASES, Counter, Doubled, Function


def outcome(function: Function, arguments: tuple[Any, ...]) -> Any:
    try:
        return function(*arguments)
    except NameError:  # of a variable of an outer function it is not an UnboundLocalError
        return NameError
    except Exception as error:
        return type(error), error.args, error.__context__ is None


@pytest.mark.parametrize(("function", "arguments"), CASES, ids=lambda x: getattr(x, "__name__", None))
def test_does_what_it_did(function: Function, arguments: tuple[Any, ...]) -> None:
    made = convert(function, Plain())
    assert is_converted(made)
    assert outcome(made, arguments) == outcome(function, arguments)


@pytest.mark.parametrize("by", [-2, 0, 1, 5])
@pytest.mark.parametrize("kind", [Counter, Doubled])
def test_methods_do_what_they_did(kind: type[Counter], by: int) -> None:
    plain, other = kind(3), kind(3)
    assert convert(kind.step, Plain())(other, by) == plain.step(by)
    assert plain.n == other.n


def test_class_methods_do_what_they_did() -> None:
    made = convert(Doubled.make.__func__, Plain())
    assert made(Doubled, 4).n == 4
    assert type(made(Doubled, 0)) is Doubled
