"""A runtime for rewritten functions that does what Python does: what tests of the rewriting compare with.

It also checks what a runtime relies on: that `get` and `set` agree with each other, and that flags are truth values.
"""

import contextlib
import operator
from typing import Any

OPERATORS = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
    "is": operator.is_, "is not": operator.is_not,
    "in": lambda a, b: a in b, "not in": lambda a, b: a not in b,
}  # fmt: skip


class Unbound:
    """A variable without a value."""

    def __init__(self, name: str) -> None:
        self.name = name


class Plain:
    """The runtime."""

    Unbound = Unbound

    def __init__(self) -> None:
        self.used: list[str] = []

    def unbound(self, name: str) -> Unbound:
        return Unbound(name)

    def _enter(self, what: str, get: Any, set: Any, names: Any, lines: Any) -> None:
        self.used.append(what)
        values = get()
        assert len(values) == len(names) == len(lines), (values, names, lines)
        for value, name in zip(values, names, strict=True):
            assert not isinstance(value, Unbound) or value.name == name
        set(values)
        again = get()
        assert all(
            a is b or (isinstance(a, Unbound) and isinstance(b, Unbound)) for a, b in zip(values, again, strict=True)
        )

    def if_(
        self, test: Any, then: Any, orelse: Any, get: Any, set: Any, names: Any, lines: Any, outliving: Any = ()
    ) -> None:
        assert all(name in names for name in outliving)
        self._enter("if", get, set, names, lines)
        assert (then() if test else orelse()) is None

    def while_(self, test: Any, body: Any, get: Any, set: Any, names: Any, lines: Any) -> None:
        self._enter("while", get, set, names, lines)
        while test():
            assert body() is None

    def for_(self, iterable: Any, body: Any, test: Any, get: Any, set: Any, names: Any, lines: Any) -> None:
        iterator = iter(iterable)
        self._enter("for", get, set, names, lines)
        while test is None or test():
            try:
                item = next(iterator)
            except StopIteration:
                break
            assert body(item) is None

    def if_exp(self, test: Any, then: Any, orelse: Any) -> Any:
        return then() if test else orelse()

    def and_(self, *operands: Any) -> Any:
        for operand in operands:
            value = operand()
            if operand is operands[-1] or not value:
                break
        return value

    def or_(self, *operands: Any) -> Any:
        for operand in operands:
            value = operand()
            if operand is operands[-1] or value:
                break
        return value

    both = and_
    either = or_

    def entered(self, manager: Any) -> Any:
        return manager

    @contextlib.contextmanager
    def catching(self, kinds: Any) -> Any:
        self.used.append("catching")
        yield

    def not_(self, value: Any) -> bool:
        return not value

    def none_set(self, *flags: Any) -> bool:
        assert all(type(flag()) is bool for flag in flags)
        return not any(flag() for flag in flags)

    def compare(self, left: Any, others: Any) -> Any:
        for position, (op, other) in enumerate(others):
            right = other()
            found = OPERATORS[op](left, right)
            if position + 1 == len(others) or not found:
                break
            left = right
        return found

    def assert_(self, test: Any, message: Any) -> None:
        if not test:
            raise AssertionError(message()) if message is not None else AssertionError

    def call(self, function: Any) -> Any:
        self.used.append("call")
        return function

    def list_(self, items: Any) -> Any:
        return items

    def list_comp(self, iterable: Any, element: Any) -> list[Any]:
        self.used.append("list_comp")
        return [element(item) for item in iterable]

    def generator(self, iterable: Any, element: Any) -> Any:
        self.used.append("generator")
        return (element(item) for item in iterable)
