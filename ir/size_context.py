"""Asking about sizes: the questions of type rules, and who answers them.

A type rule asks `equal(a, b)` or `ask("<=", a, b)` and does not know in which of three situations it runs:

- no context: bounds answer, and what they do not settle is unknown (None);
- `SizeContext(facts)`, as in the verifier: what a graph assumes is true and may settle the question;
- `AssumingContext(hints, on_assume)`, as while tracing: what is not settled is looked up in example values,
  and the answer becomes a fact and an assumption of the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from .size_algebra import evaluate, polynomial_quotient
from .size_bounds import COMPARISONS, decide
from .size_expr import Size
from .size_facts import Facts
from .size_relation import SizeRelation

__all__ = ["AssumingContext", "SizeContext", "ask", "certain", "current_context", "equal", "exact_div", "use_context"]

_MAX_REMEMBERED: Final = 10_000  # answers kept by one context


class SizeContext:
    """Answers questions by bounds and by facts.

    A variable's name means one variable, with one set of bounds, throughout a context.

    Args:
        facts: relations that hold.

    Raises:
        ShapeError: when the facts contradict each other.

    >>> from .size_expr import var
    >>> B, T = var("B"), var("T")
    >>> with use_context(SizeContext([SizeRelation("==", T, 2*B)])):
    ...     equal(B*T, 2*B*B), ask("<=", B, T), ask("<", B, 8)
    (True, True, None)
    """

    def __init__(self, facts: Iterable[SizeRelation] = ()) -> None:
        self._facts: dict[SizeRelation, bool] = {}  # each with its negation, which does not hold
        self._deduced = Facts()
        self._remembered: dict[tuple[str, Size, Size], bool | None] = {}
        self.inferred: dict[Any, dict[Any, Any]] = {}  # what type rules have found in this context; see `families`
        for fact in facts:
            self.add(fact)

    def add(self, fact: SizeRelation) -> None:
        """Take one more relation to hold.

        Raises:
            ShapeError: when the facts so far rule it out.
        """
        self._deduced.add(fact)
        self._facts |= {fact: True, fact.negated(): False}
        self._remembered.clear()

    @property
    def facts(self) -> tuple[SizeRelation, ...]:
        """The relations that were given or assumed, in that order."""
        return tuple(fact for fact, holds in self._facts.items() if holds)

    def known(self, op: str, a: Size, b: Size) -> bool | None:
        """Whether `a op b` is certain by bounds and facts; assumes nothing."""
        if not self._facts:
            return decide(op, a, b)
        question = op, a, b
        if question not in self._remembered:
            if len(self._remembered) >= _MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[question] = self._found(op, a, b)
        return self._remembered[question]

    def _found(self, op: str, a: Size, b: Size) -> bool | None:
        answer = decide(op, a, b)
        if answer is None:
            answer = self._facts.get(SizeRelation(op, a, b))
        return self._deduced.follows(op, a, b) if answer is None else answer

    def ask(self, op: str, a: Size, b: Size) -> bool | None:
        """Whether `a op b`; None when this context cannot tell."""
        return self.known(op, a, b)


class AssumingContext(SizeContext):
    """Answers what is not certain from example values, and remembers each such answer as a fact.

    Args:
        hints: example values of the variables.
        on_assume: called with each relation that was assumed.
        facts: relations that hold from the start.

    >>> from .size_expr import var
    >>> H, assumed = var("H"), []
    >>> with use_context(AssumingContext({"H": 28}, assumed.append)):
    ...     equal(H % 2, 0), equal(2*(H//2), H), equal(H, 1)
    (True, True, False)
    >>> [str(relation) for relation in assumed]
    ['H % 2 == 0']
    """

    def __init__(
        self,
        hints: Mapping[str, int],
        on_assume: Callable[[SizeRelation], None],
        facts: Iterable[SizeRelation] = (),
    ) -> None:
        super().__init__(facts)
        self.hints = dict(hints)
        self.on_assume = on_assume

    def ask(self, op: str, a: Size, b: Size) -> bool | None:
        """Whether `a op b`; assumed from the hints where it is not certain, None only without hints.

        Raises:
            ShapeError: when a side divides by zero at the example values.
        """
        answer = self.known(op, a, b)
        relation = SizeRelation(op, a, b)
        if answer is not None or not relation.free_vars <= self.hints.keys():
            return answer
        answer = COMPARISONS[op](evaluate(a, self.hints), evaluate(b, self.hints))
        assumed = relation if answer else relation.negated()
        if isinstance(a, int):
            assumed = assumed.flipped()
        self.add(assumed)
        self.on_assume(assumed)
        return answer


_current: ContextVar[SizeContext | None] = ContextVar("ingot_size_context", default=None)


def current_context() -> SizeContext | None:
    """The context in which questions are asked now, in this thread."""
    return _current.get()


@contextmanager
def use_context(context: SizeContext | None) -> Iterator[SizeContext | None]:
    """Ask in the given context within the `with` block; None asks without one."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


def ask(op: str, a: Size, b: Size) -> bool | None:
    """Whether `a op b`, as the current context answers it.

    Args:
        op: one of `== != < <= > >=`.

    Returns:
        None when nobody knows.
    """
    if type(a) is int and type(b) is int and op in COMPARISONS:
        return COMPARISONS[op](a, b)
    context = _current.get()
    return decide(op, a, b) if context is None else context.ask(op, a, b)


def certain(op: str, a: Size, b: Size) -> bool | None:
    """Whether `a op b`, as far as bounds and the current context's facts tell; unlike `ask`, assumes nothing.

    For what is merely quicker or shorter when it is known.
    """
    context = _current.get()
    return decide(op, a, b) if context is None else context.known(op, a, b)


def equal(a: Size, b: Size) -> bool | None:
    """Whether two sizes are equal, as the current context answers it; None when nobody knows.

    >>> from .size_expr import var
    >>> equal(3, 3), equal(var("B"), var("B")), equal(var("B"), 3)
    (True, True, None)
    """
    if type(a) is int and type(b) is int:
        return a == b
    return True if a == b else ask("==", a, b)


def exact_div(a: Size, b: Size) -> Size | None:
    """`a/b` where b certainly divides a, else None.

    Polynomials divide as polynomials, even where b may be zero: `B*T` by `B` is `T`. Otherwise it is `a//b`
    where bounds or the current context's facts show `a % b == 0`. Nothing is assumed: a caller that wants
    the context to assume divisibility asks `ask("==", a % b, 0)` first.

    >>> from .size_expr import var
    >>> B, T = var("B"), var("T")
    >>> exact_div(6*B*T, 2*B), exact_div(B*T + B, T + 1), exact_div(B, 2), exact_div(7, 2), exact_div(6, 2)
    (3*T, B, None, None, 3)
    """
    quotient = polynomial_quotient(a, b)
    if quotient is not None or b == 0 or (isinstance(a, int) and isinstance(b, int)):
        return quotient
    context = _current.get()
    rest = a % b
    divides = decide("==", rest, 0) if context is None else context.known("==", rest, 0)
    return a // b if divides else None
