"""A Python loop whose length the run decides, as a `prim::Loop`.

The body is captured with what it changes standing for the loop's carried values. What those are is found by trying: at
first nothing is carried; what the body turns out to change is carried in the next attempt, and a size that changes
from iteration to iteration becomes a variable; until an attempt leaves behind just what it assumed. So what stays the
same in every iteration stays a Python value.

What lives here: `loop`, and the attempts. What the body begins with is the subject of `loop_parameters`, what it has
changed of `loop_changes`, whether an attempt holds of `loop_agreement`, the node and what it leaves behind of
`loop_node`; what they share is in `carried_values`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from ...ir.block import Block
from ...ir.errors import CaptureError
from ...ir.locations import Location, here
from ...ir.sizes import SizeRelation
from ...ir.types import INT
from .carried_values import Attempt, LoopState
from .change_line import line_of_change
from .decisions import truth
from .list_growth import CarriedList, Growing
from .list_identity import LostLists
from .loop_agreement import LoopAgreement
from .loop_changes import LoopChanges
from .loop_node import finish_loop
from .loop_parameters import enter_body, suppose
from .reach import Change, Reach
from .regions import Region, Regions, discard
from .structured import Names, leaf_value, refuse_resizing
from .symbols import SymBool

__all__ = ["loop"]

_NOTHING: Final = Names()
_MOST_ATTEMPTS: Final = 12


def loop(
    tracer: Any,
    body: Callable[[Any], Any],
    test: Callable[[], Any] | None = None,
    names: Names = _NOTHING,
    *,
    first: Any = True,
    count: Any = None,
    functions: Sequence[Callable[..., Any]] = (),
) -> Any:
    """Capture `while test(): body(i)`, or `for i in range(count): body(i)`, or both conditions at once.

    Args:
        body: called with the number of the iteration, a run-time integer.
        test: whether another iteration follows; asked before each but the first.
        names: the variables that the functions assign.
        first: what `test` has answered before the first iteration.
        count: the number of iterations at most; None for no limit.
        functions: what the body runs, to find the objects that it can change.

    Returns:
        what `body` returned, with each tensor in it stacked over the iterations.

    Raises:
        CaptureError: when a value changes its type from iteration to iteration, or an object changes that a graph
            cannot hold.
    """
    functions = functions or (body, *([] if test is None else [test]))
    return _Loop(tracer, body, test, names, first, count, functions).capture()


@dataclass(frozen=True, slots=True)
class _Trial:
    """Code of the loop that is being captured in a block, for now.

    Attributes:
        before: what the variables held before.
        reach: what the code can reach of Python objects.
        lists: what it appends to lists.
    """

    region: Region
    before: tuple[Any, ...]
    reach: Reach
    lists: Growing


class _Loop:
    def __init__(
        self,
        tracer: Any,
        body: Callable[[Any], Any],
        test: Callable[[], Any] | None,
        names: Names,
        first: Any,
        count: Any,
        functions: Sequence[Callable[..., Any]],
    ) -> None:
        self.tracer = tracer
        self.body = body
        self.test = test
        self.names = names
        self.functions = functions
        self.location: Location | None = here(4)
        self.state = LoopState(tracer, first, count, test is not None, self.location)
        self.agreement = LoopAgreement(self.state)

    @property
    def regions(self) -> Regions:
        return self.state.regions

    # ------------------------------------------------------------------------------------------------- attempts

    def capture(self) -> Any:
        """Try until an attempt holds, then make the node."""
        tracer, state = self.tracer, self.state
        for _ in range(_MOST_ATTEMPTS):
            state.outside = set(tracer.hints)
            notes, assumed = len(tracer.ledger), len(tracer.graph.assumptions)
            attempt = self._attempt_with_lists()
            if attempt is not None:
                try:
                    if self.agreement.holds(attempt):
                        return finish_loop(state, attempt)
                except BaseException:
                    if attempt.block.parent is None:
                        discard(attempt.block)
                    raise
                state.left = attempt.left
                discard(attempt.block)
            del tracer.graph.assumptions[assumed:]
            tracer.forget_notes(notes)
            tracer.forget_sizes([n for n in tracer.hints if n not in state.outside and n not in state.sizes.starts])
        raise CaptureError(
            "a loop's values do not settle into types that hold for every iteration",
            found=", ".join(carried.cell.name for carried in state.carried.values()),
            location=self.location,
            context=tracer.context,
            advice="let each variable keep its dtype and number of dimensions through the loop",
        )

    def _attempt_with_lists(self) -> Attempt | None:
        """An attempt; None where it shows that the loop must carry a list."""
        try:
            return self._attempt()
        except CarriedList as found:
            outer = self.tracer.lists_growing
            if outer is not None and outer.has_to_carry(found.list):
                raise
            self.state.lists[id(found.list)] = found.list
            return None

    def _attempt(self) -> Attempt:
        """Capture the body once, and undo what it has changed."""
        state, block = self.state, Block(self.tracer.graph, [INT], ["i"])
        lost = LostLists(self.regions.sharing.lost_lists, self.regions.depth)
        if state.lost is not None:
            state.lost.put_back()
        state.found, state.asked = [], []
        try:
            with self._trial(block, self.functions) as trial:
                attempt = Attempt(block, trial.lists, trial.region, lost)
                self._run(attempt)
                LoopChanges(state, attempt, self.names, trial.before, trial.reach).note()
        except BaseException:
            discard(block)
            raise
        finally:
            lost.take_back()
        try:
            self._refuse_unfit(attempt)
        except CaptureError:
            discard(block)
            raise
        return attempt

    @contextmanager
    def _trial(self, block: Block, functions: Sequence[Callable[..., Any]]) -> Iterator[_Trial]:
        """Capture code of the loop in a block of its own; what it changes of variables and objects is put back."""
        tracer = self.tracer
        reach, before, lists = Reach(functions), self.names.get(), tracer.lists_growing
        try:
            with self.regions.enter(block, conditional=False, hands_on=True) as region:
                tracer.lists_growing = growing = Growing(self.regions.depth, lists, self.state.lists)
                yield _Trial(region, before, reach, growing)
        finally:
            tracer.lists_growing = lists
            reach.restore()
            self.names.set(before)

    def _run(self, attempt: Attempt) -> None:
        """Run the body, and ask whether another iteration follows."""
        number = enter_body(self.state, attempt.block)
        self._suppose_condition()
        attempt.result = self.body(number)
        attempt.condition = leaf_value(self.tracer, truth(True if self.test is None else self.test()))

    # ------------------------------------------------------------------------------------------------- refusals

    def _refuse_unfit(self, attempt: Attempt) -> None:
        """Some changes no loop can hand on.

        Raises:
            CaptureError: for gradients that are walked twice, and for containers that change their size.
        """
        self._refuse_freed(attempt.region)
        for change in attempt.changes:
            refuse_resizing(self.tracer, change, self._line_of)

    def _refuse_freed(self, region: Region) -> None:
        """What one iteration has walked and freed, the next one cannot walk again."""
        for line in (line for node, line in region.freed.values() if node.sequence < region.began):
            raise CaptureError(
                "each iteration of a loop goes back through what was computed before it, which the first one frees",
                expected="a backward() through what the iteration itself computes",
                location=line,
                context=self.tracer.context,
                advice="compute it in the loop, or pass retain_graph=True",
            )

    def _line_of(self, change: Change) -> Location | None:
        """The user's line by which the body changes an object: found by running the body once more."""
        block = Block(self.tracer.graph, [INT], ["i"])
        try:
            with self._trial(block, self.functions):
                number = enter_body(self.state, block)
                return line_of_change(lambda: self.body(number), change.read) or self.location
        finally:
            discard(block)

    # ------------------------------------------------------------------------------------------- what the body knows

    def _suppose_condition(self) -> None:
        """What the condition says about sizes holds in the body."""
        first = self.state.first
        if isinstance(first, SymBool) and first.relation is not None and self.test is not None:
            known = set(self.tracer.hints)
            found = self._asked_again(self.test)
            if isinstance(found, SymBool) and found.relation is not None:
                relation = SizeRelation(*found.relation)
                if relation.free_vars <= known:
                    suppose(self.tracer, *found.relation)

    def _asked_again(self, test: Callable[[], Any]) -> Any:
        """What a condition says, once more, with nothing left behind; None for one that changes something, which would
        say what holds one iteration later."""
        tracer, block = self.tracer, Block(self.tracer.graph)
        notes, assumed = len(tracer.ledger), len(tracer.graph.assumptions)
        try:
            with self._trial(block, (test,)) as trial:
                found, region = test(), trial.region
                changes = region.changed or region.gradients() or trial.lists.growths or trial.reach.has_changes()
                same = all(x is y for x, y in zip(self.names.get(), trial.before, strict=True))
                return found if same and not changes else None
        finally:
            discard(block)
            del tracer.graph.assumptions[assumed:]
            tracer.forget_notes(notes)
