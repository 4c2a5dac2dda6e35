"""The shape of rewritten functions: what the runtime is handed, and that no flag is made where none is needed."""

import textwrap
from collections.abc import Callable
from typing import Any

import pytest
from ingot.frontend.script.rewrite import convert, rewritten_source
from plain_script import Plain
from scripted_functions import early_returns, for_else, return_out_of_nested_loops, try_in_loop, while_true


def early(x: Any) -> Any:
    if x > 0:
        return x
    y = -x
    return y


EARLY = """\
def early(x: Any) -> Any:
    if False:
        _ingot_return = y = None

    def _ingot_then_1():
        nonlocal _ingot_return
        _ingot_return = x

    def _ingot_else_1():
        nonlocal y, _ingot_return
        y = -x
        _ingot_return = y

    def _ingot_get_1():
        return (_ingot_read('_ingot_return', lambda: _ingot_return), _ingot_read('y', lambda: y))

    def _ingot_set_1(_ingot_values):
        nonlocal _ingot_return, y
        _ingot_return, y = _ingot_values
        if _ingot_absent(_ingot_return):
            del _ingot_return
        if _ingot_absent(y):
            del y
    _ingot_rt.if_(x > 0, _ingot_then_1, _ingot_else_1, _ingot_get_1, _ingot_set_1, ('_ingot_return', 'y'), LINES)
    return _ingot_return"""


def test_early_return_becomes_two_branches() -> None:
    start = early.__code__.co_firstlineno
    lines = f"(({start + 2}, {start + 4}), (0, {start + 3}))"
    assert rewritten_source(early) == textwrap.dedent(EARLY).replace("LINES", lines)


def loop_that_continues(items: Any) -> Any:
    total = 0
    for item in items:
        if item < 0:
            continue
        if item > 10:
            break
        total += item
    return total


@pytest.mark.parametrize(
    ("function", "flags"),
    [
        (early_returns, set()),
        (loop_that_continues, {"break"}),
        (for_else, {"break"}),
        (return_out_of_nested_loops, {"returned"}),
        (while_true, {"break", "returned"}),
        (try_in_loop, {"returned", "continue"}),
    ],
)
def test_flags_are_made_where_they_are_needed(function: Callable[..., Any], flags: set[str]) -> None:
    text = rewritten_source(function)
    found = {kind for kind in ("break", "continue", "returned") if f"_ingot_{kind}" in text}
    assert found == flags, text


class Watching(Plain):
    """Notes what is handed over, and takes branches on trial."""

    def __init__(self) -> None:
        super().__init__()
        self.handed: list[Any] = []

    def if_(self, test: Any, then: Any, orelse: Any, get: Any, set: Any, names: Any, lines: Any, *rest: Any) -> None:
        before = get()
        orelse() if test else then()  # the wrong one, of which nothing may stay
        self.handed.append((names, lines))
        set(before)
        super().if_(test, then, orelse, get, set, names, lines, *rest)


def sides(flag: bool) -> Any:
    if flag:
        a = 1
        b = a
        del b
    else:
        b = c = 2
        for d in range(c):  # noqa: B007
            pass
    return [name for name in "abcd" if name in locals_of(lambda: a, lambda: b, lambda: c, lambda: d)]


def locals_of(*values: Callable[[], Any]) -> set[str]:
    found = set()
    for name, value in zip("abcd", values, strict=True):
        try:
            value()
        except NameError:
            continue
        found.add(name)
    return found


@pytest.mark.parametrize("flag", [True, False])
def test_branches_can_be_taken_back(flag: bool) -> None:
    runtime = Watching()
    assert convert(sides, runtime)(flag) == sides(flag) == (["a"] if flag else ["b", "c", "d"])
    line = sides.__code__.co_firstlineno
    [(names, lines)] = runtime.handed
    assert dict(zip(names, lines, strict=True)) == {
        "a": (line + 2, 0),
        "b": (line + 3, line + 6),
        "c": (0, line + 6),
        "d": (0, line + 7),
    }


class Unusable(Plain.Unbound):
    """A value that stands for none, and is kept as it is."""


def test_only_the_runtimes_own_mark_unbinds() -> None:
    kept = Unusable("a")

    class Fills(Plain):
        def if_(
            self, test: Any, then: Any, orelse: Any, get: Any, set: Any, names: Any, lines: Any, *rest: Any
        ) -> None:
            set(tuple(kept if name == "a" else self.unbound(name) for name in names))

    def assigns(flag: bool) -> Any:
        b = 1
        if flag:
            a = b = 2
        try:
            return a, b
        except NameError:
            return a

    assert convert(assigns, Fills())(True) is kept
