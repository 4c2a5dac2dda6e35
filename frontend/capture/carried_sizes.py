"""Sizes that change from iteration to iteration of a loop: which variables stand for them.

Sizes that begin alike and change alike share a variable, so that a loop may add tensors that grow together.
"""

from __future__ import annotations

from typing import Any

from ...ir.sizes import Size, SizeExpr, bounds, var
from .symint import hint

__all__ = ["CarriedSizes"]


class CarriedSizes:
    """The variables of one loop.

    Attributes:
        starts: for each variable's name the size before the loop.
    """

    def __init__(self, tracer: Any) -> None:
        self._tracer = tracer
        self.starts: dict[str, Size] = {}
        self._low: dict[str, int | None] = {}
        self._names: dict[tuple[Size, Size, Size], str] = {}
        self._then: dict[str, Size] = {}
        self._of_lists: set[str] = set()

    def begin(self) -> None:
        """A new attempt begins: the variables have their first values as examples."""
        self._then.clear()
        for name, start in self.starts.items():
            example = hint(start, self._tracer.hints)
            self._tracer.set_hints({name: max(example, 2) if name in self._of_lists else example})
            self._tracer._data_sizes.add(name)

    def is_one(self, size: Any) -> bool:
        """Whether a size is one of these variables."""
        return isinstance(size, SizeExpr) and str(size) in self.starts

    def following(self, now: Size, start: Size, then: Size) -> Size:
        """What stands for a size that is `now` at the beginning of an iteration and `then` at its end; `now` itself
        where that is right already."""
        if not self.is_one(now):
            same = now == then or self._tracer.taken_to_be_equal(now, then)
            return now if same else self._variable(now, start, then)
        name = str(now)
        if self._then.setdefault(name, then) == then and self._keeps_bound(name, then):
            return now
        return self._variable(now, start, then)

    def counts_elements(self, size: Size) -> None:
        """A size is the number of a list's elements: the body is captured for a list that has some."""
        if self.is_one(size):
            self._of_lists.add(str(size))

    def known(self, start: Size, then: Size) -> SizeExpr | None:
        """The variable of tensors' sizes that begin and change like this, if there is one."""
        name = self._names.get((start, start, then))
        return None if name is None else var(name, self._low[name])

    def late(self) -> SizeExpr:
        """A variable for a size that is 0 before the loop, of what only the body makes."""
        return self._new(0, 0)

    def _keeps_bound(self, name: str, then: Size) -> bool:
        low = self._low[name]
        lowest = then if isinstance(then, int) else bounds(then)[0]
        return not low or (lowest is not None and lowest >= low)

    def _variable(self, now: Size, start: Size, then: Size) -> SizeExpr:
        key = (now, start, then)
        if key in self._names:
            return var(self._names[key], self._low[self._names[key]])
        rises = not self.is_one(now) and self._tracer.known(">=", then, start)
        low = (start if isinstance(start, int) else bounds(start)[0]) if rises else 0
        found = self._new(start, low)
        self._names[key] = str(found)
        return found

    def _new(self, start: Size, low: int | None) -> SizeExpr:
        name = self._tracer.fresh_size("s", hint(start, self._tracer.hints))
        self._tracer.regions.inner_sizes.add(name)
        self.starts[name] = start
        self._low[name] = low or 0
        return var(name, self._low[name])
