"""What rewritten source calls: Python's control flow, decided now where that is possible, else captured.

`rewrite` turns `if`, `while`, `for`, `and`, calls and so on into calls of the functions here; they are named after the
syntax that they stand for. Outside of a capture each does what Python does.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from ...ir.errors import CaptureError
from ...ir.locations import here
from ..capture.branches import branch
from ..capture.decisions import truth
from ..capture.grown_list import Run, SymList
from ..capture.loops import loop
from ..capture.structured import Leaves, Names, Unbound, describe, leaf_kind
from ..capture.symbols import Symbol, SymBool
from ..capture.symint import SymInt
from ..dispatch import EAGER
from ..mode import mode
from ..tensor_base import TensorBase
from .callees import callee
from .items import Items, items_of, range_items

__all__ = [
    "Unbound", "and_", "assert_", "both", "call", "catching", "compare", "either", "entered", "for_", "generator",
    "if_", "if_exp", "list_", "list_comp", "none_set", "not_", "or_", "unbound", "while_",
]  # fmt: skip

_MOST_UNROLLED: Final = 64

unbound = Unbound
call = callee
Get = Callable[[], tuple[Any, ...]]
Set = Callable[[tuple[Any, ...]], None]
Lines = tuple[tuple[int, int], ...]


def if_(
    test: Any, then: Callable[[], None], orelse: Callable[[], None], get: Get, set: Set, names: tuple[str, ...],
    lines: Lines, outliving: tuple[str, ...] = (),
) -> None:  # fmt: skip
    """`if test: ... else: ...`; `outliving` are those of the names that are read after a `return`, too."""
    decided = truth(test)
    if isinstance(decided, bool):
        (then if decided else orelse)()
        return
    _decide(decided, then, orelse, Names(names, get, set, lines, outliving=outliving))


def _decide(decided: Any, then: Callable[[], Any], orelse: Callable[[], Any], names: Names) -> Any:
    """Capture both sides. Where they cannot be one node, and the inputs' sizes decide, Python takes the example's side,
    which becomes an assumption."""
    caught = mode.tracer.refusal
    try:
        return branch(mode.tracer, decided, then, orelse, names)
    except CaptureError:
        if not isinstance(decided, SymBool) or decided.relation is None or mode.tracer.is_decided_by_data(decided):
            raise
        mode.tracer.refusal = caught
        return then() if bool(decided) else orelse()


def if_exp(test: Any, then: Callable[[], Any], orelse: Callable[[], Any]) -> Any:
    """`then if test else orelse`."""
    decided = truth(test)
    if isinstance(decided, bool):
        return then() if decided else orelse()
    return _decide(decided, then, orelse, Names())


def and_(first: Callable[[], Any], *rest: Callable[[], Any]) -> Any:
    """`first and ...`, as a value."""
    value = first()
    if not rest:
        return value
    decided = truth(value)
    if isinstance(decided, bool):
        return and_(*rest) if decided else value
    return _value_of(value, decided, rest, and_, ends=False)


def or_(first: Callable[[], Any], *rest: Callable[[], Any]) -> Any:
    """`first or ...`, as a value."""
    value = first()
    if not rest:
        return value
    decided = truth(value)
    if isinstance(decided, bool):
        return value if decided else or_(*rest)
    return _value_of(value, decided, rest, or_, ends=True)


def both(first: Callable[[], Any], *rest: Callable[[], Any]) -> Any:
    """The truth of `first and ...`."""
    value = first()
    if not rest:
        return value
    decided = truth(value)
    if isinstance(decided, bool):
        return both(*rest) if decided else value
    return _joined(decided, lambda: truth(both(*rest)), ends=False)


def either(first: Callable[[], Any], *rest: Callable[[], Any]) -> Any:
    """The truth of `first or ...`."""
    value = first()
    if not rest:
        return value
    decided = truth(value)
    if isinstance(decided, bool):
        return value if decided else either(*rest)
    return _joined(decided, lambda: truth(either(*rest)), ends=True)


def _joined(decided: Any, rest: Callable[[], Any], ends: bool) -> Any:
    """The truth of operands of which the run decides the first; `ends` is the value that settles it."""
    by_sizes = isinstance(decided, SymBool) and decided.by_sizes

    def others() -> Any:
        nonlocal by_sizes
        found = rest()
        by_sizes &= isinstance(found, bool) or found.by_sizes
        return found

    known = lambda: ends  # noqa: E731
    found = _decide(decided, known, others, Names()) if ends else _decide(decided, others, known, Names())
    return found.mark_by_sizes() if by_sizes and isinstance(found, SymBool) else found


def _value_of(value: Any, decided: Any, rest: tuple[Callable[[], Any], ...], how: Any, ends: bool) -> Any:
    """What `and` and `or` give of operands of which the run decides the first: truth values as one, others merged."""
    if not _is_truth(value):
        own, others = (lambda: value), (lambda: how(*rest))
        return _decide(decided, own, others, Names()) if ends else _decide(decided, others, own, Names())
    last: Any = None

    def truth_of_others() -> Any:
        nonlocal last
        last = how(*rest)
        if not _is_truth(last):
            raise CaptureError(
                f"'{'or' if ends else 'and'}' gives a truth value or another value, as the run decides",
                expected="operands of one type",
                found=f"{describe(mode.tracer, value)}, or {describe(mode.tracer, last)}",
                location=here(),
                context=mode.tracer.context,
                advice="choose with ingot.where(condition, a, b), or by an 'if' statement",
            )
        return truth(last)

    found = _joined(decided, truth_of_others, ends)
    if isinstance(value, TensorBase) and isinstance(last, TensorBase) and isinstance(found, SymBool):
        return EAGER.reshape(found.as_tensor(), value._array.shape)
    return found


def _is_truth(value: Any) -> bool:
    if isinstance(value, TensorBase):
        return bool(value._array.dtype == bool)
    return isinstance(value, (bool, SymBool))


def not_(value: Any) -> Any:
    """`not value`."""
    decided = truth(value)
    return decided.negated() if isinstance(decided, SymBool) else not decided


def none_set(*flags: Callable[[], Any]) -> Any:
    """Whether no `break`, `continue` or `return` has been reached: the condition of what stands behind them."""
    found = not_(either(*flags))
    if isinstance(found, SymBool):
        found.guards = True
    return found


_COMPARE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
    "is": operator.is_, "is not": operator.is_not,
    "in": lambda a, b: contains(b, a), "not in": lambda a, b: not_(contains(b, a)),
}  # fmt: skip


def compare(left: Any, others: tuple[tuple[str, Callable[[], Any]], ...]) -> Any:
    """`left < a <= b ...`, every operand computed once."""
    (op, other), *rest = others
    right = other()
    found = _COMPARE[op](left, right)
    return and_(lambda: found, lambda: compare(right, tuple(rest))) if rest else found


def contains(container: Any, value: Any) -> Any:
    """`value in container`."""
    if isinstance(container, SymList) and container.has_runs:
        return container.contains(value)
    if isinstance(container, (list, tuple)) and any(map(_is_symbolic, (value, *container))):
        return either(*[lambda item=item: value == item for item in container], lambda: False)
    return value in container


def _is_symbolic(value: Any) -> bool:
    return isinstance(value, (Symbol, SymInt)) or (
        isinstance(value, TensorBase) and mode.tracer is not None and mode.tracer.varies(value)
    )


def assert_(test: Any, message: Callable[[], Any] | None) -> None:
    """`assert test, message`, or without a message."""
    decided = truth(test)
    tracer = mode.tracer
    if isinstance(decided, bool):
        if not decided:
            raise _assertion(message)
    elif isinstance(decided, SymBool) and decided.relation is not None and not tracer.is_decided_by_data(decided):
        if not bool(decided):
            raise _assertion(message)
    else:
        tracer.require(truth(decided), "" if message is None else str(message()), here())


def _assertion(message: Callable[[], Any] | None) -> AssertionError:
    return AssertionError() if message is None else AssertionError(message())


# ------------------------------------------------------------------------------------------------------------- loops


def while_(
    test: Callable[[], Any], body: Callable[[], None], get: Get, set: Set, names: tuple[str, ...], lines: Lines
) -> None:
    """`while test: ...`: iterations that Python decides are run one by one; from the first that it cannot
    decide, the rest is one captured loop."""
    while True:
        decided = truth(test())
        if not isinstance(decided, bool):
            first = truth(decided)
            loop(
                mode.tracer, lambda _: body(), test, Names(names, get, set, lines), first=first, functions=(test, body)
            )
            return
        if not decided:
            return
        body()


def for_(
    iterable: Any, body: Callable[[Any], None], test: Callable[[], Any] | None, get: Get, set: Set,
    names: tuple[str, ...], lines: Lines,
) -> None:  # fmt: skip
    """`for item in iterable: ...`, as long as `test` holds."""
    variables = Names(names, get, set, lines)
    items = items_of(iterable)
    if items is not None:
        for part in items.parts():
            _captured(part, body, test, variables, True if test is None else truth(test()))
        return
    iterator = iter(iterable)
    while True:
        decided = True if test is None else truth(test())
        if not isinstance(decided, bool):
            _rest(iterable, iterator, body, test, variables)
            return
        if not decided:
            return
        try:
            item = next(iterator)
        except StopIteration:
            return
        body(item)


def _captured(items: Items, body: Callable[[Any], None], test: Any, names: Names, first: Any) -> None:
    if first is False:
        return
    functions = (body,) if test is None else (body, test)
    loop(mode.tracer, lambda i: body(items.at(i)), test, names, first=first, count=items.count, functions=functions)


def _rest(iterable: Any, iterator: Iterator[Any], body: Callable[[Any], None], test: Any, names: Names) -> None:
    """The iterations after one in which the run decides whether another follows."""
    rest = list(iterator)
    if isinstance(iterable, range) and len(rest) > 1:
        left = range_items(range(rest[0], rest[-1] + (1 if iterable.step > 0 else -1), iterable.step))
        caught = mode.tracer.refusal
        try:
            _captured(left, body, test, names, truth(test()))
            return
        except CaptureError:
            if len(rest) > _MOST_UNROLLED:
                raise
            mode.tracer.refusal = caught
    for item in rest:

        def one(item: Any = item) -> None:
            body(item)

        decided = truth(test())
        if not isinstance(decided, bool):
            _decide(decided, one, lambda: None, replace(names, functions=(body, test)))
        elif decided:
            one()


def list_(items: Any) -> SymList:
    """`[...]`: a list that may grow in a captured loop."""
    return SymList(items)


def generator(iterable: Any, element: Callable[[Any], Any]) -> Any:
    """`(element(item) for item in iterable)`; over a length that the run decides, all elements at once."""
    if items_of(iterable) is not None:
        return list_comp(iterable, element)
    return (element(item) for item in iterable)


class catching:
    """The body of a `try`: exceptions of these kinds do not leave it.

    Args:
        kinds: gives what its handlers name; None for all.
    """

    def __init__(self, kinds: Callable[[], tuple[Any, ...]]) -> None:
        self._kinds = kinds

    def __enter__(self) -> None:
        self._regions = None if mode.tracer is None else mode.tracer.regions
        if self._regions is not None:
            self._regions.catching.append(self._kinds)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self._regions is not None:
            self._regions.catching.pop()
            if isinstance(error, CaptureError) and mode.tracer is not None:
                # A capture that goes on behind the handler would be of another path than the function's.
                mode.tracer.refusal = mode.tracer.refusal or error


def entered(manager: Any) -> Any:
    """What a `with` enters: exceptions that `contextlib.suppress` names do not leave it."""
    return _Suppressing(manager) if type(manager) is contextlib.suppress else manager


class _Suppressing:
    """`contextlib.suppress` in a scripted function."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self._catching = catching(lambda: manager._exceptions)

    def __enter__(self) -> None:
        self._catching.__enter__()
        self._manager.__enter__()

    def __exit__(self, *error: Any) -> bool | None:
        self._catching.__exit__(*error)
        found: bool | None = self._manager.__exit__(*error)
        return found


def list_comp(iterable: Any, element: Callable[[Any], Any]) -> Any:
    """`[element(item) for item in iterable]`."""
    items = items_of(iterable)
    if items is None:
        return SymList([element(item) for item in iterable])
    found = SymList()
    for part in items.parts():
        kinds: list[str | None] = []

        def step(i: Any, part: Items = part, kinds: list[str | None] = kinds) -> Any:
            value = element(part.at(i))
            kinds.append(leaf_kind(value))
            return value

        stacked = loop(mode.tracer, step, count=part.count, functions=(element,))
        if not isinstance(Leaves(stacked).shape, str):
            raise CaptureError(
                "a list comprehension over a length that the run decides makes more than one value an element",
                expected="one tensor or number an element",
                location=here(),
                context=mode.tracer.context,
                advice="write one comprehension for each",
            )
        found.take(Run(stacked, str(kinds[-1]), here()))
    return found
