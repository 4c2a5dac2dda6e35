"""Functions are found in their files, and refused where that cannot be sure; what is converted keeps its identity."""

import inspect
import linecache
import os
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ingot.frontend.script.rewrite import CannotConvert, convert, is_converted, rewritten_source
from ingot.frontend.script.suggestion import suggestion
from ingot.ir.errors import ArgumentError
from ingot.ir.locations import here
from plain_script import Plain

PAIR = (lambda x: x if x else "first", lambda x: "second" if x else x, lambda x: (lambda y: not y)(x))


def load(path: Path, text: str) -> dict[str, Any]:
    path.write_text(text)
    namespace: dict[str, Any] = {"__name__": path.stem}
    exec(compile(text, str(path), "exec"), namespace)
    return namespace


def test_lambdas_of_one_line_are_told_apart() -> None:
    assert [convert(f, Plain())(1) for f in PAIR] == [1, "second", False]
    assert [convert(f, Plain())(0) for f in PAIR] == ["first", 0, True]
    outer = PAIR[2]
    inner = next(c for c in outer.__code__.co_consts if isinstance(c, types.CodeType))
    assert convert(types.FunctionType(inner, globals()), Plain())(3) is False
    assert "lambda y" not in rewritten_source(types.FunctionType(inner, globals())).replace("lambda y: ", "", 1)


def test_a_name_is_found_at_its_own_line(tmp_path: Path) -> None:
    text = "def f(x):\n    return 1 if x else 2\n\ng = f\n\ndef f(x):\n    return 3 if x else 4\n"
    names = load(tmp_path / "twice.py", text)
    assert (convert(names["g"], Plain())(1), convert(names["f"], Plain())(1)) == (1, 3)


def keep(function: Any) -> Any:
    function.kept = True
    return function


@keep
@keep
def decorated(a: "int", b: int = 2, *, c: list[int] = [1, 2]) -> int:  # noqa: B006
    """Its docstring."""
    if a > b:
        return len(c)
    return b


def test_what_a_function_is_stays(tmp_path: Path) -> None:
    made = convert(decorated, Plain())
    assert made is not decorated and is_converted(made) and convert(made, Plain()) is made
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__defaults__", "__annotations__", "__dict__"):
        assert getattr(made, name) == getattr(decorated, name), name
    assert made.__kwdefaults__ is decorated.__kwdefaults__
    assert made.__globals__ is decorated.__globals__
    assert inspect.signature(made) == inspect.signature(decorated)
    for name in ("co_name", "co_qualname", "co_filename", "co_firstlineno", "co_argcount", "co_kwonlyargcount"):
        assert getattr(made.__code__, name) == getattr(decorated.__code__, name), name
    assert made(3) == 2 and made(1) == 2


def test_the_wrapped_function_is_not_what_is_converted() -> None:
    import functools

    @functools.wraps(decorated)
    def wrapper(a: Any) -> Any:
        return ("wrapped", decorated(a)) if a else None

    assert convert(wrapper, Plain())(1) == ("wrapped", 2)


def test_closure_cells_are_shared() -> None:
    count = 0

    def add(n: int) -> int:
        nonlocal count
        if n > 0:
            count += n
        else:
            count = missing
        return count

    made = convert(add, Plain())
    assert made(2) == 2 and count == 2
    count = 10
    assert made(1) == 11 and add(1) == 12
    with pytest.raises(NameError, match="missing"):
        made(0)
    missing = -1
    assert made(0) == count == -1


def places(x: int) -> list[Any]:
    found = [here()]
    if x:
        found.append(here())
    for _ in range(x):
        found += [here() if x else None]
        found.append((lambda: here() if x else None)())

    def inner() -> Any:
        while True:
            return here() and (here())

    return [*found, inner()]


def test_lines_and_names_in_locations_stay() -> None:
    expected, found = places(1), convert(places, Plain())(1)
    assert [(x.line, x.function, x.source) for x in found] == [(x.line, x.function, x.source) for x in expected]
    assert [(x.column, x.end_column) for x in found] == [(x.column, x.end_column) for x in expected]


# fmt: off
def fails(x: Any) -> Any:
    if x:
        for _ in [1]:
            y = (x
                 .real
                 .no_such_thing(1))
    return y


# fmt: on
def test_tracebacks_show_the_users_lines() -> None:
    def frames(function: Callable[..., Any]) -> list[Any]:
        with pytest.raises(AttributeError) as caught:
            function(1)
        stack = traceback.extract_tb(caught.tb)
        return [(f.name, f.lineno, f.line) for f in stack if f.filename == __file__ and f.name == "fails"]

    assert frames(convert(fails, Plain()))[-1] == frames(fails)[-1]


def test_classes_and_functions_inside_keep_their_names() -> None:
    def outer(flag: bool) -> Any:
        if flag:

            class Inner:
                def method(self) -> Any:
                    return lambda: 0

            def function() -> Any:
                return (lambda: 1) if flag else None

            return Inner, Inner.method, Inner().method(), function, function(), (flag and (lambda: 2))

    expected, found = outer(True), convert(outer, Plain())(True)
    assert [x.__qualname__ for x in found] == [x.__qualname__ for x in expected]
    assert found[0].method.__code__.co_qualname == expected[0].method.__code__.co_qualname
    assert convert(found[0].method, Plain())(None)() == 0


def refused(function: Callable[..., Any]) -> CannotConvert:
    with pytest.raises(CannotConvert) as first:
        convert(function, Plain())
    with pytest.raises(CannotConvert) as second:
        convert(function, Plain())
    assert str(first.value) == str(second.value)
    return first.value


def test_no_source() -> None:
    namespace: dict[str, Any] = {}
    exec("def f(x):\n    return 1 if x else 2\n", namespace)
    error = refused(namespace["f"])
    assert "there is no source text for it (<string>)" in str(error) and "define it in a file" in error.advice
    with pytest.raises(ArgumentError, match="not a Python function"):
        convert(len, Plain())


@pytest.mark.parametrize(
    "changed",
    [
        "def f(x):\n    return 1.5 if x else 2\n",
        "def f(x):\n    return 1 if y else 2\n",
        "\ndef f(x):\n    return 1 if x else 2\n",
        "def f(x, z):\n    return 1 if x else 2\n",
        "def f(x):\n    return 2 if x else 1\n",
        "def f(x:\n",
    ],
)
def test_changed_file(tmp_path: Path, changed: str) -> None:
    path = tmp_path / "changed.py"
    function = load(path, "def f(x):\n    return 1 if x else 2\n")["f"]
    path.write_text(changed)
    linecache.checkcache()
    error = refused(function)
    assert "is not what it was made from" in str(error) or "cannot be parsed" in str(error)


def test_a_file_read_again_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "again.py"
    for number in range(3):
        function = load(path, f"def f(x):\n    return {number} if x else None\n")["f"]
        os.utime(path, (number, number))
        assert convert(function, Plain())(1) == number


def generator(x: int) -> Any:
    yield 1 if x else 2


async def coroutine(x: int) -> Any:
    return 1 if x else 2


def sees_locals(x: int) -> Any:
    return locals() if x else vars()


def evaluates(x: int) -> Any:
    if x:
        return eval("x")


def leaves_finally(x: int) -> Any:
    for _ in range(x):
        try:
            x = 1
        finally:
            continue  # noqa: B012


def reserved(_ingot_x: int) -> Any:
    return _ingot_x if _ingot_x else 0


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (generator, "it is a generator"),
        (coroutine, "it is a coroutine"),
        (sees_locals, "it calls locals()"),
        (evaluates, "it calls eval()"),
        (leaves_finally, "it leaves a 'finally' block"),
        (reserved, "names that begin with _ingot_ are reserved"),
    ],
)
def test_refused(function: Callable[..., Any], reason: str) -> None:
    error = refused(function)
    assert reason in error.what and f"'{function.__name__}' cannot be converted" in error.what
    assert error.location is not None and error.location.function == function.__name__
    assert error.location.file.endswith("test_source.py")


def explicit_namespace(x: int) -> Any:
    locals = dict
    return (eval("x", {"x": x}) if x else 0), locals(a=1), locals()


def test_what_looks_like_them_is_not_refused() -> None:
    assert convert(explicit_namespace, Plain())(2) == (2, {"a": 1}, {})


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    tests = "".join(f"    if x == {i}:\n        return {i}\n" for i in range(2000))
    function = load(tmp_path / "deep.py", f"def f(x):\n{tests}")["f"]
    assert "nested too deeply" in str(refused(function))


def choices(c: Any, a: Any, b: Any) -> Any:
    if c:
        x = a
    else:
        x = b
    y = a if c else b
    if c:
        a += 1
    if x > y:
        return a
    return b


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (1, ", or write x = ingot.where(c, a, b)"),
        (5, ", or write ingot.where(c, a, b)"),
        (6, ""),
        (8, ", or write return ingot.where(x > y, a, b)"),
    ],
)
def test_suggestions(line: int, expected: str) -> None:
    start = choices.__code__.co_firstlineno
    place = f"{here().file}:{start}"
    advice = f"put @ingot.jit.script above 'def choices' ({place})"
    assert suggestion(choices.__code__, start + line) == advice + expected


def test_suggestion_for_a_lambda_and_without_source() -> None:
    code = PAIR[0].__code__
    assert "as a 'def' with @ingot.jit.script above it" in suggestion(code, code.co_firstlineno)
    namespace: dict[str, Any] = {}
    exec("f = lambda x: 1 if x else 2", namespace)
    assert "ingot.where(condition, a, b)" in suggestion(namespace["f"].__code__, 1)


def test_assertions_that_pytest_has_rewritten() -> None:
    def f(x: int) -> int:
        assert x > -100, "far out"
        assert not -1.5 < -x < 0
        return x

    assert convert(f)(-3) == -3
