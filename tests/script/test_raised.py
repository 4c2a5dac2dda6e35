"""Exceptions that captured programs raise: of the built-in class of the source, with its message and line."""

import contextlib
import json
import math
import pickle

import ingot
import pytest
from ingot.frontend.capture.subject import Outcome, gaps
from ingot.ir import raised
from ingot.ir.errors import ArgumentError, AssertError, CaptureError, FileFormatError, IngotError, ShapeError
from ingot.ir.raised import BUILT_IN, RAISED, kept_exception
from ingot.serialize import dumps, loads
from program_files import edited

tensor = ingot.tensor
EXAMPLE = tensor([1.0, 2.0])


class TooLargeError(ValueError):
    pass


class PlainError(Exception):
    pass


def small(x):
    if x.sum() > 10:
        raise TooLargeError("a sum beyond ten")
    if x.sum() < -10:
        raise PlainError("a sum below minus ten")
    if x.min() < 0:
        raise KeyError("negative")
    if x.max() > 5:
        raise NotImplementedError
    return x.sqrt()


def nested(x):
    if x.sum() < 0:
        if x.max() > -1:
            raise KeyError("near")
        else:
            raise TypeError("far")
    if x.sum() > 100:
        assert x.max() < 90, "one is too large"
        raise OverflowError("all together are too large")
    return x * 2


def forms(program, path):
    """The program as captured, loaded, and on the reference backend."""
    program.save(path / "program.ingot")
    return program, ingot.load(path / "program.ingot"), program.on("reference")


def raised_by(function, *arguments):
    with pytest.raises(Exception) as caught:
        function(*arguments)
    return caught.value


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        ([-1.0, 2.0], KeyError, "negative"),
        ([1.0, 6.0], NotImplementedError, "NotImplementedError"),
        ([9.0, 9.0], ValueError, "TooLargeError: a sum beyond ten"),
        ([-9.0, -9.0], Exception, "PlainError: a sum below minus ten"),
    ],
)
def test_the_built_in_class_the_message_and_the_line(values, kind, message, tmp_path):
    program = ingot.jit.trace(small, EXAMPLE, script_branches=True)
    eager = raised_by(small, tensor(values))
    assert isinstance(eager, kind)
    for one in forms(program, tmp_path):
        error = raised_by(one, tensor(values))
        assert isinstance(error, kind) and isinstance(error, AssertError) and error.args == (message,)
        assert not isinstance(error, AssertionError)
        assert "raise " in error.location.source
        assert one(EXAMPLE).tolist() == small(EXAMPLE).tolist()


@pytest.mark.parametrize("values", [[-3.0, -0.5], [-3.0, -2.0], [99.0, 9.0], [60.0, 60.0], [1.0, 2.0]])
def test_the_first_exception_of_several_is_the_one_that_is_raised(values, tmp_path):
    program = ingot.jit.trace(nested, EXAMPLE, script_branches=True)
    for one in forms(program, tmp_path):
        if values == [1.0, 2.0]:
            assert one(tensor(values)).tolist() == [2.0, 4.0]
            continue
        eager, error = raised_by(nested, tensor(values)), raised_by(one, tensor(values))
        assert isinstance(error, type(eager)) and eager.args[0].startswith(error.args[0])  # pytest adds to it


def test_an_except_around_the_call_goes_the_same_way():
    scripted = ingot.jit.script(small)

    def caller(function, x):
        try:
            return function(x).tolist()
        except AssertionError:
            return "assertion"
        except LookupError as error:
            return "lookup", error.args
        except ValueError:
            return "value"

    for values in ([1.0, 4.0], [-1.0, 2.0], [9.0, 9.0]):
        assert caller(scripted, tensor(values)) == caller(small, tensor(values))


def test_inside_of_a_loop():
    def f(x):
        total = x[0] * 0
        for i in range(x.shape[0]):
            if x[i] > 3:
                raise IndexError("a row beyond three")
            total = total + x[i]
        return total

    program = ingot.jit.trace(f, EXAMPLE, script_branches=True, dynamic_shapes="all")
    assert program(ingot.ones(7)) == 7
    with pytest.raises(IndexError, match="a row beyond three") as caught:
        program(tensor([1.0, 2.0, 4.0]))
    assert isinstance(caught.value, AssertError)


@pytest.mark.parametrize(
    ("function", "value", "kind"),
    [
        (lambda x: x * (1.0 / x[0].item()), 0.0, ZeroDivisionError),
        (lambda x: math.sqrt(x[0].item()), -1.0, ValueError),
        (lambda x: math.exp(x[0].item()), 1e4, OverflowError),
    ],
)
def test_numbers_fail_as_pythons_do(function, value, kind):
    program = ingot.jit.trace(function, tensor([1.0]), script_branches=True)
    assert isinstance(raised_by(function, tensor([value])), kind)
    assert isinstance(raised_by(program, tensor([value])), kind)


def test_a_variable_that_a_loop_has_not_bound():
    def f(x, n: int):
        for i in range(n):
            y = x * i
        return y

    program = ingot.jit.trace(f, (EXAMPLE, ingot.jit.runtime(3)), script_branches=True)
    assert isinstance(raised_by(f, EXAMPLE, 0), UnboundLocalError)
    assert isinstance(raised_by(program, EXAMPLE, 0), UnboundLocalError)


def test_the_check_compares_the_classes():
    def differ(mine, theirs):
        return bool(gaps(Outcome(error=mine), Outcome(error=theirs)))

    assert not differ(RAISED["KeyError"]("a"), KeyError("b"))
    assert not differ(RAISED["ValueError"]("a"), TooLargeError("a"))
    assert not differ(RAISED["ValueError"]("a"), ShapeError("an eager operation fails where the program raises"))
    assert not differ(ShapeError("an operation fails"), IndexError("in Python"))
    assert not differ(AssertError("captured for n == 3"), TypeError("in Python"))
    assert differ(RAISED["KeyError"]("a"), TypeError("a"))
    assert differ(RAISED["LookupError"]("a"), KeyError("a"))
    assert differ(RAISED["KeyError"]("a"), LookupError("a"))


def test_an_iterator_that_the_data_end_is_refused():
    class Items:
        def __init__(self, x):
            self.x, self.at = x, 0

        def following(self):
            if self.x[self.at] < 0:
                raise StopIteration
            self.at += 1
            return self.at

    def f(x):
        return x + Items(x).following()

    with pytest.raises(CaptureError, match="the data decide whether an iterator ends") as caught:
        ingot.jit.trace(f, EXAMPLE, script_branches=True)
    assert "raise StopIteration" in caught.value.location.source


@pytest.mark.parametrize("suppressed", [ValueError, KeyError])
def test_an_exception_that_a_with_statement_suppresses(suppressed):
    def f(x):
        y = x * 0
        with contextlib.suppress(suppressed, IndexError):
            if x.min() < 0:
                raise KeyError("negative")
            y = x.sqrt()
        return y

    if suppressed is ValueError:  # it leaves the statement
        program = ingot.jit.trace(f, EXAMPLE, script_branches=True)
        assert program(EXAMPLE).tolist() == f(EXAMPLE).tolist()
        assert isinstance(raised_by(program, -EXAMPLE), KeyError)
    else:
        with pytest.raises(CaptureError, match="an exception is raised that the program catches") as caught:
            ingot.jit.trace(f, EXAMPLE, script_branches=True, check=False)
        assert 'raise KeyError("negative")' in caught.value.location.source


def test_a_message_says_no_number_that_the_run_would_have_to_tell():
    def f(x):
        if x.min() < 0:
            raise ValueError(f"{x.shape[0]} numbers, the least {x.min().item():.2f}")
        return x.sqrt()

    program = ingot.jit.trace(f, EXAMPLE, script_branches=True, dynamic_shapes={0: "n"})
    assert raised_by(program, tensor([-4.0, 1.0, 1.0])).args == ("n numbers, the least ?",)


def caught_by_all(x):
    try:
        if x.sum() < 0:
            raise KeyError("negative")
    except:  # noqa: E722 - which catches refusals, too
        return x
    return x * 2


def merged_in_a_try(x):
    try:
        y = x if x.sum() < 0 else x.sum()
    except Exception:
        return x * 0
    return y * 2


@pytest.mark.parametrize("function", [caught_by_all, merged_in_a_try])
def test_a_refusal_that_the_function_catches_stands(function):
    with pytest.raises(CaptureError) as caught:
        ingot.jit.trace(function, EXAMPLE, script_branches=True, check=False)
    assert caught.value.location.line > function.__code__.co_firstlineno


def test_a_program_inside_of_another_raises_the_same():
    inner = ingot.jit.trace(small, EXAMPLE, script_branches=True)
    outer = ingot.jit.trace(lambda x: inner(x) + 1, EXAMPLE)
    with pytest.raises(KeyError) as caught:
        outer(tensor([-1.0, 2.0]))
    assert caught.value.args == ("negative",)


def test_a_file_names_no_other_exception():
    data = dumps(ingot.jit.trace(small, EXAMPLE, script_branches=True).record)
    assert dumps(loads(data)) == data

    def other(document):
        text = json.dumps(document["entries"])
        document["entries"] = json.loads(text.replace('"KeyError"', '"SystemExit"'))

    with pytest.raises(FileFormatError, match="no exception that a program can raise has this name"):
        loads(edited(data, other))


def test_the_table():
    for name, kind in BUILT_IN.items():
        error = RAISED[name]("what")
        assert isinstance(error, kind) and isinstance(error, IngotError) and str(error) == "what"
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error) and copy.args == ("what",)
        assert kept_exception(kind("what")) == (name, "what")
    assert raised.RaisedKeyError is RAISED["KeyError"]
    assert kept_exception(FileNotFoundError("gone"))[0] == "OSError"
    assert kept_exception(KeyError(3)) == ("KeyError", "3")
    assert kept_exception(ArgumentError("what"))[0] == "RuntimeError"
