"""A Python `if` that the run decides, as a `prim::If`: both sides are captured, and what they leave is merged.

What lives here: `branch`, the capture of the sides, and what becomes of sides that raise. What a side leaves behind is
the subject of `branch_side`, how both become one that of `branch_merge`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Final

from ...ir.block import Block
from ...ir.errors import CaptureError, IngotError
from ...ir.locations import Location, here
from ...ir.raised import kept_exception
from ...ir.sizes import SizeRelation
from ..mode import mode
from .branch_merge import Merge
from .branch_side import Side
from .change_line import line_of_change
from .error_line import is_users, line_of_error
from .gradient_cells import gradient_cell
from .kept_inside import Kept
from .list_growth import Growths
from .list_identity import Identities, LostLists
from .reach import Change, Reach
from .regions import Region, discard
from .structured import Cell, Leaves, Names, held, refuse_resizing, settled, stand_in
from .symbols import SymBool

__all__ = ["branch"]

_NOTHING: Final = Names()
_ROOM: Final = 150  # calls that what is captured between one branch and the next may nest


def branch(
    tracer: Any, condition: Any, then: Callable[[], Any], orelse: Callable[[], Any], names: Names = _NOTHING
) -> Any:
    """Capture `if condition: then() else: orelse()`; gives what the functions return, merged.

    Args:
        condition: a `SymBool`, or a bool tensor without dimensions.
        names: the variables that the functions assign.

    Raises:
        CaptureError: when the sides leave values of different types behind, or change what a graph cannot hold.
    """
    _leave_room()
    return _Branch(tracer, condition, (then, orelse), names).capture()


def _leave_room() -> None:
    """Raise Python's error for calls nested too deeply here, and not in the middle of a change of the graph."""
    frame: FrameType | None = sys._getframe()
    room = sys.getrecursionlimit() - _ROOM
    while frame is not None and room:
        frame, room = frame.f_back, room - 1
    if frame is not None:
        raise RecursionError("maximum recursion depth exceeded")


class _Branch:
    def __init__(self, tracer: Any, condition: Any, functions: Sequence[Callable[[], Any]], names: Names) -> None:
        self.tracer = tracer
        self.location = here(4)
        self.condition = condition if isinstance(condition, SymBool) else SymBool(condition, tracer)
        self.functions = functions
        self.names = names
        self.result: Any = None

    def capture(self) -> Any:
        """Capture both sides and merge them."""
        tracer = self.tracer
        with tracer.regions.keeping():
            condition = tracer.value_of(self.condition.as_tensor())
        outside = set(tracer.hints)
        sides = self._sides()
        for number, side in enumerate(sides):
            if side.raised is not None:
                return self._only(condition, sides, 1 - number)
        _join_lists(sides)
        merged = Merge(tracer, sides, self.condition, outside, self.location, self.line_of)
        try:
            results = merged.outputs()
        except BaseException:
            _discard(sides)
            raise
        self._emit(condition, sides, merged)
        self._leave(sides, merged, results)
        return self.result

    def _sides(self) -> list[Side]:
        first = self._side(0)
        try:
            return [first, self._side(1)]
        except BaseException:
            discard(first.block)
            raise

    def _emit(self, condition: Any, sides: Sequence[Side], merged: Merge) -> None:
        """Make the node, where there is something that it gives or checks."""
        if merged.types:
            node = self.tracer.builder.emit(
                "prim::If",
                [condition],
                types=merged.types,
                location=self.location,
                path=self.tracer.module_path,
                blocks=[side.block for side in sides],
            )
            merged.finish(node)
        elif any(_checks(side.block) for side in sides):
            self._emit_checks(condition, sides)
        else:
            _discard(sides)

    def _leave(self, sides: Sequence[Side], merged: Merge, results: Callable[[], list[tuple[Cell, Any]]]) -> None:
        """Let what the sides have changed stand for the node's outputs."""
        regions = self.tracer.regions
        for base, loss in merged.lost.values():
            regions.lose(base, loss)
        identities = Identities(regions.depth, self.location)
        with regions.sharing.exempt(self._never_read(0)):
            for cell, value in results():
                before = cell.read()
                cell.write(value)
                for side in sides:
                    identities.add(value, side.values.get(cell.identity, before))
        identities.settle()
        for side in sides:
            if side.lost is not None:
                side.lost.put_back()
        for region in [side.region for side in sides if side.region is not None]:
            regions.walked(region)
        merged.note_kept()
        merged.note_sharing()

    def _facts(self, number: int) -> list[SizeRelation]:
        if self.condition.relation is None:
            return []
        fact = SizeRelation(*self.condition.relation)
        return [fact if number == 0 else fact.negated()]

    def _never_read(self, number: int) -> list[Any]:
        """What an earlier `return` hands on: where no flag is set, none was reached."""
        if number or not self.condition.guards or "_ingot_return" not in self.names.names:
            return []
        value = self.names.get()[self.names.names.index("_ingot_return")]
        return Leaves(value).leaves

    def _side(self, number: int) -> Side:
        """Run one side in a block of its own, note what it has changed, and undo that."""
        tracer, names = self.tracer, self.names
        side = Side(Block(tracer.graph))
        reach, before, growths = Reach((*self.functions, *names.functions)), names.get(), Growths(tracer)
        exempt = self._never_read(number)
        side.lost = lost = LostLists(tracer.regions.sharing.lost_lists, tracer.regions.depth)
        try:
            with (
                tracer.regions.sharing.exempt(exempt),
                tracer.regions.enter(side.block, self._facts(number), conditional=True, hands_on=True) as region,
            ):
                side.region = region
                result = self._result(side, number)
                if side.raised is not None:
                    return side
                self._note(side, region, reach, growths, result, before)
        except BaseException:
            discard(side.block)
            raise
        finally:
            reach.restore()
            names.set(before)
            growths.restore()
            lost.take_back()
        self._refuse_resizing(side, number)
        return side

    def _result(self, side: Side, number: int) -> Any:
        """What the side's function returns; the error that the user's code raises is noted."""
        try:
            return self.functions[number]()
        except IngotError:
            raise
        except RecursionError as error:
            raise self._endless(error) from None
        except Exception as error:
            if not is_users(error):
                raise self._failed(error) from error
            side.raised, side.line = error, line_of_error(error)
            return None

    def _refuse_resizing(self, side: Side, number: int) -> None:
        try:
            for change in side.changes.values():
                refuse_resizing(self.tracer, change, lambda change: self.line_of(number, change), appended=True)
        except CaptureError:
            discard(side.block)
            raise

    def _note(
        self, side: Side, region: Region, reach: Reach, growths: Growths, result: Any, before: tuple[Any, ...]
    ) -> None:
        whole = Cell(("result",), "the value", lambda: None, lambda value: setattr(self, "result", value))
        side.put(whole, held(self.tracer, result, None, region))
        for cell, old in zip(self.names.cells(), before, strict=True):
            value = settled(self.tracer, cell, cell.read(), self.location)
            side.put(cell, held(self.tracer, value, old, region))
        for change in reach.changes():
            side.changes[change.identity] = change
            cell = Cell(change.identity, change.path, change.read, change.write)
            side.put(cell, held(self.tracer, change.after, change.before, region))
        for one in reach.lists():
            side.lists[id(one.owner)] = one.held(self.tracer, region)
        for growth, items in growths.changed():
            side.put(Cell(growth.identity, "a list", growth.get, growth.set), held(self.tracer, items, (), region))
        for base in region.changed.values():
            side.put(self._contents(base), stand_in(base))
        for tensor, old, line in region.gradients():
            self.tracer.gradients.stays(tensor, old)
            side.put(gradient_cell(self.tracer, tensor), held(self.tracer, tensor._grad, old, region))
            side.gradient_lines.setdefault(id(tensor), line)
        if mode.grad:
            side.kept = Kept((x for value in side.values.values() for x in Leaves(value).leaves), region.began)

    def line_of(self, number: int, change: Change) -> Location | None:
        """The user's line by which a side changes an object: found by running the side once more."""
        tracer, block = self.tracer, Block(self.tracer.graph)
        reach, before, growths = Reach((*self.functions, *self.names.functions)), self.names.get(), Growths(tracer)
        try:
            with tracer.regions.enter(block, self._facts(number), conditional=True, hands_on=True):
                return line_of_change(self.functions[number], change.read) or self.location
        finally:
            discard(block)
            reach.restore()
            self.names.set(before)
            growths.restore()

    def _endless(self, error: Exception) -> CaptureError:
        """A function calls itself for as long as the data say."""
        return CaptureError(
            "a function calls itself as often as the data decide",
            expected="as many calls as are known when the program is captured",
            found="each call captures both sides of a branch, and one side calls again",
            location=line_of_error(error, repeated=True) or self.location,
            context=self.tracer.context,
            advice="write it as a loop: while condition: ...",
        )

    def _contents(self, base: Any) -> Cell:
        """The elements of a tensor that is changed in place."""
        regions = self.tracer.regions
        return Cell(("tensor", id(base)), "a tensor", lambda: stand_in(base), lambda new: regions.change(base, new))

    def _failed(self, error: Exception) -> CaptureError:
        return CaptureError(
            f"one side of a branch that the run decides cannot be captured: {type(error).__name__}: {error}",
            expected="code that takes run-time values on both sides: both are captured, whichever the example takes",
            location=line_of_error(error) or self.location,
            context=self.tracer.context,
            advice="keep what needs plain Python values out of the branch",
        )

    def _only(self, condition: Any, sides: Sequence[Side], number: int) -> Any:
        """One side raises: where the program goes on, the other one was taken."""
        taken, raising = sides[number], sides[1 - number]
        assert raising.raised is not None
        tracer = self.tracer
        self._raise_by_example(sides, number)
        for side in sides:
            if side.raised is not None:
                self._refuse_caught(side)
        if taken.raised is not None or _checks(raising.block):
            self._raise_inside(condition, sides)
            if taken.raised is not None:
                raise taken.raised
        else:
            _discard(sides)
            holds = self.condition if number == 0 else self.condition.negated()
            name, message = kept_exception(raising.raised)
            tracer.require(holds, message, raising.line or self.location, name)
        for fact in self._facts(number):
            if tracer.known(fact.op, fact.left, fact.right) is None:
                tracer.sizes.add(fact)
        return self.functions[number]()

    def _raise_by_example(self, sides: Sequence[Side], number: int) -> None:
        """Where the example takes a side that raises, its error is the program's."""
        if not self.tracer.abstract and (
            sides[number].raised is not None or self.condition._example() != (number == 0)
        ):
            taken_by_example = sides[0 if self.condition._example() else 1]
            assert taken_by_example.raised is not None
            raise taken_by_example.raised

    def _raise_inside(self, condition: Any, sides: Sequence[Side]) -> None:
        """Raise within the sides, behind what they check before: so the first exception is the one that is raised."""
        tracer = self.tracer
        for side in sides:
            if side.raised is None:
                discard(side.block)
                side.block = Block(tracer.graph)
            with tracer.regions.writing_to(side.block):
                if side.raised is not None:
                    name, message = kept_exception(side.raised)
                    never = tracer.builder.constant(False)
                    tracer.builder.emit(
                        "prim::Assert", [never], {"message": message, "error": name}, types=(),
                        location=side.line or self.location, path=tracer.module_path,
                    )  # fmt: skip
                side.block.set_returns([], self.location)
        self._emit_checks(condition, sides)

    def _emit_checks(self, condition: Any, sides: Sequence[Side]) -> None:
        """A node for what the sides check; they leave nothing behind."""
        self.tracer.builder.emit(
            "prim::If", [condition], types=(), location=self.location, blocks=[side.block for side in sides]
        )

    def _refuse_caught(self, side: Side) -> None:
        """An exception that the program would catch is no end of it, nor is one by which an iterator ends."""
        error = side.raised
        if isinstance(error, (StopIteration, StopAsyncIteration)):
            raise CaptureError(
                "the data decide whether an iterator ends",
                expected="an iterator that ends where Python knows it",
                found=f"{type(error).__name__} on one side of a branch",
                location=side.line or self.location,
                context=self.tracer.context,
                advice="write the loop as 'while condition:' or 'for i in range(n):'",
            )
        for kinds in self.tracer.regions.catching:
            if any(kind is None or isinstance(error, kind) for kind in kinds()):
                raise CaptureError(
                    "the data decide whether an exception is raised that the program catches",
                    expected="exceptions that end the program, or none",
                    found=f"{type(error).__name__}: {error}" if str(error) else type(error).__name__,
                    location=side.line or self.location,
                    context=self.tracer.context,
                    advice="write what the 'except' does as an 'else' of the branch",
                )


def _checks(block: Block) -> bool:
    return any(node.op.name == "prim::Assert" for node in block.walk())


def _discard(sides: Sequence[Side]) -> None:
    for side in sides:
        discard(side.block)


def _join_lists(sides: Sequence[Side]) -> None:
    """A list that one side makes longer or shorter is one cell on both."""
    for key in {key: None for side in sides for key, change in side.lists.items() if change.resizes}:
        for side in sides:
            if key in side.lists:
                side.put_list(side.lists[key])
