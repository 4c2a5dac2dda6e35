"""A Python `if` that the run decides, as a `prim::If`: both sides are captured, and what they leave is merged."""

from __future__ import annotations

import dis
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from ...ir.block import Block
from ...ir.errors import CaptureError, IngotError
from ...ir.locations import Location, here, is_internal, resolve
from ...ir.raised import kept_exception
from ...ir.sizes import Size, SizeExpr, SizeRelation, bounds, free_vars, var
from ...ir.types import TensorType, Type
from ..dispatch import EAGER
from ..mode import mode
from ..tensor_base import TensorBase
from .change_line import line_of_change
from .control_tape import hide_leaves, is_recorded, record_control
from .gradient_cells import Pair, Perhaps, gradient_cell
from .grown_list import SymList, made_list
from .kept_inside import Kept
from .list_growth import Growths, ListChange, common, contents_of
from .list_identity import Identities, LostLists
from .reach import Change, Reach
from .regions import Region, discard
from .sharing import Loss, base_of
from .structured import (
    Cell,
    Leaves,
    Names,
    Unbound,
    Undefined,
    describe,
    held,
    leaf_kind,
    leaf_type,
    leaf_value,
    made_leaf,
    place_of,
    refuse_resizing,
    settled,
    stand_in,
)
from .symbols import SymBool

__all__ = ["branch", "line_of_error"]

_NOTHING: Final = Names()
_NUMBERS: Final = (bool, int, float)
_RETURNED: Final = ("name", "_ingot_returned")  # set by the rewritten source where a `return` was reached


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
    return _Branch(tracer, condition, (then, orelse), names).capture()


class _Side:
    """One side, captured: its block, and the values of what it has changed."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.cells: dict[Any, Cell] = {}
        self.values: dict[Any, Any] = {}
        self.changes: dict[Any, Change] = {}
        self.lists: dict[int, ListChange] = {}
        self.lost: LostLists | None = None
        self.region: Region | None = None
        self.raised: Exception | None = None
        self.line: Location | None = None
        self.gradient_lines: dict[int, Location | None] = {}
        self.kept: Kept | None = None

    def at_end(self, value: Any) -> Any:
        """A value with lists, dicts and tensors from outside as the side has changed them in place."""
        value = self._with_contents(value) if self.lists or self.changes else value
        if self.region is None or not (self.region.changed or self.region.lost):
            return value
        taken = Leaves(value)
        leaves = [self.region.at_end(leaf) for leaf in taken.leaves]
        return taken.rebuild(leaves) if any(x is not y for x, y in zip(leaves, taken.leaves, strict=True)) else value

    def _with_contents(self, value: Any) -> Any:
        """A value with what the side has left in its lists and dicts, which have been put back since."""
        if isinstance(value, SymList):
            change, before = self.lists.get(id(value)), list(list.__iter__(value))
            after = [self._with_contents(item) for item in (before if change is None else change.after)]
            same = change is None and all(x is y for x, y in zip(before, after, strict=True))
            return value if same else made_list(after, value.line)
        if type(value) is tuple:
            found = tuple(map(self._with_contents, value))
            return value if all(x is y for x, y in zip(value, found, strict=True)) else found
        if type(value) is not dict:
            return value
        changed = {change.key: change.after for change in self.changes.values() if change.place.owner is value}
        left = {key: self._with_contents(item) for key, item in {**value, **changed}.items()}
        same = not changed and all(left[key] is item for key, item in value.items())
        return value if same else left

    def put(self, cell: Cell, value: Any) -> None:
        self.cells[cell.identity] = cell
        self.values[cell.identity] = value

    def put_list(self, change: ListChange) -> None:
        """The elements of a list as one cell, in place of one for each."""
        for identity in [x for x in self.cells if x[:2] == ("place", id(change.owner))]:
            del self.cells[identity], self.values[identity]
        self.put(contents_of(change.owner, change.path), made_list(change.after, change.owner.line))


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
        sides = [self._side(0)]
        try:
            sides.append(self._side(1))
        except BaseException:
            discard(sides[0].block)
            raise
        for number, side in enumerate(sides):
            if side.raised is not None:
                return self._only(condition, sides, 1 - number)
        for key in {key: None for side in sides for key, change in side.lists.items() if change.resizes}:
            for side in sides:
                if key in side.lists:
                    side.put_list(side.lists[key])
        merged = _Merge(self, sides, outside)
        try:
            results = merged.outputs()
        except BaseException:
            for side in sides:
                discard(side.block)
            raise
        if merged.types:
            node = tracer.builder.emit(
                "prim::If",
                [condition],
                types=merged.types,
                location=self.location,
                path=tracer.module_path,
                blocks=[side.block for side in sides],
            )
            merged.finish(node)
        elif any(_checks(side.block) for side in sides):
            self._emit_checks(condition, sides)
        else:
            for side in sides:
                discard(side.block)
        for base, loss in merged.lost.values():
            tracer.regions.lose(base, loss)
        identities = Identities(tracer.regions.depth, self.location)
        with tracer.regions.sharing.exempt(self._never_read(0)):
            for cell, value in results():
                cell.write(value)
                for side in sides:
                    identities.add(value, side.values.get(cell.identity))
        identities.settle()
        for side in sides:
            if side.lost is not None:
                side.lost.put_back()
        for region in [side.region for side in sides if side.region is not None]:
            tracer.regions.walked(region)
        merged.note_kept()
        merged.note_sharing()
        return self.result

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

    def _side(self, number: int) -> _Side:
        """Run one side in a block of its own, note what it has changed, and undo that."""
        tracer, names = self.tracer, self.names
        side = _Side(Block(tracer.graph))
        reach, before, growths = Reach((*self.functions, *names.functions)), names.get(), Growths(tracer)
        exempt = self._never_read(number)
        side.lost = lost = LostLists(tracer.regions.sharing.lost_lists, tracer.regions.depth)
        try:
            with (
                tracer.regions.sharing.exempt(exempt),
                tracer.regions.enter(side.block, self._facts(number), conditional=True, hands_on=True) as region,
            ):
                side.region = region
                try:
                    result = self.functions[number]()
                except IngotError:
                    raise
                except RecursionError as error:
                    raise self._endless(error) from None
                except Exception as error:
                    if not _is_users(error):
                        raise self._failed(error) from error
                    side.raised, side.line = error, line_of_error(error)
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
        try:
            for change in side.changes.values():
                refuse_resizing(tracer, change, lambda change: self.line_of(number, change), appended=True)
        except CaptureError:
            discard(side.block)
            raise
        return side

    def _note(
        self, side: _Side, region: Region, reach: Reach, growths: Growths, result: Any, before: tuple[Any, ...]
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

    def _only(self, condition: Any, sides: Sequence[_Side], number: int) -> Any:
        """One side raises: where the program goes on, the other one was taken."""
        taken, raising = sides[number], sides[1 - number]
        assert raising.raised is not None
        tracer = self.tracer
        if not tracer.abstract and (taken.raised is not None or self.condition._example() != (number == 0)):
            taken_by_example = sides[0 if self.condition._example() else 1]
            assert taken_by_example.raised is not None
            raise taken_by_example.raised
        for side in sides:
            if side.raised is not None:
                self._refuse_caught(side)
        if taken.raised is not None or _checks(raising.block):
            self._raise_inside(condition, sides)
            if taken.raised is not None:
                raise taken.raised
        else:
            for side in sides:
                discard(side.block)
            holds = self.condition if number == 0 else self.condition.negated()
            name, message = kept_exception(raising.raised)
            tracer.require(holds, message, raising.line or self.location, name)
        for fact in self._facts(number):
            if tracer.known(fact.op, fact.left, fact.right) is None:
                tracer.sizes.add(fact)
        return self.functions[number]()

    def _raise_inside(self, condition: Any, sides: Sequence[_Side]) -> None:
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

    def _emit_checks(self, condition: Any, sides: Sequence[_Side]) -> None:
        """A node for what the sides check; they leave nothing behind."""
        self.tracer.builder.emit(
            "prim::If", [condition], types=(), location=self.location, blocks=[side.block for side in sides]
        )

    def _refuse_caught(self, side: _Side) -> None:
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


class _Merge:
    """What both sides leave behind, as outputs of one node."""

    def __init__(self, branch: _Branch, sides: Sequence[_Side], outside: set[str]) -> None:
        self.branch = branch
        self.tracer = branch.tracer
        self.sides = sides
        self.outside = outside
        self.types: list[Type] = []
        self._kinds: list[str] = []
        self._sizes: dict[tuple[Size, Size], SizeExpr] = {}
        self._pairs: list[tuple[Any, Any]] = []
        self._runs: list[bool] = []  # of the outputs, those that are elements of lists
        self._contents: list[bool] = []  # of the outputs, those that a tensor from outside takes over
        self._losses: list[Loss | None] = []  # of the outputs, why their contents are unknown
        self.lost = {key: lost for side in sides if side.region for key, lost in side.region.lost.items()}
        self._made: list[Any] = []
        self._captured: Any = None  # the node on the tape
        # Where a side leaves a loop, or another one was left before, sizes may differ that grow in the loop.
        # The same holds where the inputs' sizes decide.
        self._leaves = (
            branch.condition.guards
            or branch.condition.by_sizes
            or any(
                cell.is_own and _leaves(*[side.values.get(i) for side in sides]) for i, cell in sides[0].cells.items()
            )
        )
        self._returned = [side.values.get(_RETURNED) is True for side in sides]

    def outputs(self) -> Callable[[], list[tuple[Cell, Any]]]:
        """Decide which values are outputs; gives a function that says, once the node is there, what each cell holds."""
        cells = {**self.sides[1].cells, **self.sides[0].cells}
        cells = {i: cell for i, cell in cells.items() if i[0] != "tensor" or i[1] not in self.lost}
        plans = [(cell, self._cell(cell)) for cell in cells.values()]
        for side, values in zip(self.sides, zip(*self._pairs, strict=True) if self._pairs else ((), ()), strict=True):
            with self.tracer.regions.writing_to(side.block), self.tracer.regions.sharing.handing_on():
                side.block.set_returns([leaf_value(self.tracer, value) for value in values], self.branch.location)
        return lambda: [(cell, plan()) for cell, plan in plans if plan is not None]

    def finish(self, node: Any) -> None:
        """The node is there: make what its outputs stand for."""
        tracer = self.tracer
        for size in self._sizes.values():
            del tracer.hints[str(size)]  # the run shows them
        results = tracer.regions.run(node)
        for kind, tensor, output in zip(self._kinds, results, node.outputs, strict=True):
            self._made.append(made_leaf(tracer, kind, tensor, output))
        recorded = [any(map(is_recorded, pair)) for pair in self._pairs]
        self._captured = record_control(tracer, node, self._made, recorded=recorded)
        hide_leaves(tracer, self._made, self._pairs)
        for made, loss in zip(self._made, self._losses, strict=True):
            if loss is not None:
                tracer.regions.lose(made, loss)

    def note_kept(self) -> None:
        """What the sides have kept for their way back must not be changed in place behind the branch."""
        for number, side in enumerate(self.sides if self._captured is not None else ()):
            given = [(pair[number], made) for pair, made in zip(self._pairs, self._made, strict=True)]
            pairs = [(x._trace[1], made) for x, made in given if isinstance(x, TensorBase) and x._trace is not None]
            if side.kept is not None:
                self._captured.keep(side.kept, pairs)

    def note_sharing(self) -> None:
        """Outputs may be tensors from outside of the branch, or one memory."""
        regions, made = self.tracer.regions, self._made
        kept = [i for i, contents in enumerate(self._contents) if not contents and isinstance(made[i], TensorBase)]
        for number in range(2):
            handed_on = [(made[i], self._pairs[i][number]) for i in kept]
            regions.sharing.hand_on(handed_on, regions.visible, self.branch.location)

    def _cell(self, cell: Cell) -> Callable[[], Any] | None:
        """A function for what a cell holds afterwards; None where it holds what it did."""
        before = cell.read()
        a, b = (side.values.get(cell.identity, before) for side in self.sides)
        if a is b:
            return None if a is before else lambda: a
        if cell.identity[0] == "list":
            return self._list(cell, a, b)
        if cell.identity[0] == "gradient" and not (isinstance(a, TensorBase) and isinstance(b, TensorBase)):
            return self._gradient(cell, a, b)
        if cell.identity[0] == "grown" and len(a) != len(b):
            a, b = self._padded(a, b)
        return self._value(cell, a, b)

    def _padded(self, a: tuple[Any, ...], b: tuple[Any, ...]) -> tuple[Any, Any]:
        """What the sides append in an iteration, as much on both: what is filled in does not count."""
        number, longer = (0, b) if len(a) < len(b) else (1, a)
        with self.tracer.regions.writing_to(self.sides[number].block):
            rest = tuple((self._filler(item), False) for item, _ in longer[min(len(a), len(b)) :])
        return ((*a, *rest), b) if number == 0 else (a, (*b, *rest))

    def _gradient(self, cell: Cell, a: Any, b: Any) -> Callable[[], Any]:
        """A gradient that is there, or may be, on one side alone."""
        tensor = cell.identity[2]
        lines = [side.gradient_lines[id(tensor)] for side in self.sides if id(tensor) in side.gradient_lines]
        pair = Pair(self.tracer, tensor, lines[0])
        parts = []
        for side, value in zip(self.sides, (a, b), strict=True):
            with self.tracer.regions.writing_to(side.block):
                parts.append(pair.of(side.at_end(value)))
        flag, value = (self._leaf(cell, x, y) for x, y in zip(*parts, strict=True))
        return lambda: Perhaps(flag(), value(), by_branch=True, location=lines[0])

    def _list(self, cell: Cell, a: Any, b: Any) -> Callable[[], Any]:
        """The elements of a list: those that are the same on both sides stay, the others are merged."""
        first, second = list(list.__iter__(a)), list(list.__iter__(b))
        count = min(len(first), len(second))
        same = {i for i in range(count) if first[i] is second[i]}
        kept = next((i for i in range(count) if i not in same), count)
        if len(first) == len(second):
            others = [i for i in range(count) if i not in same]
            x, y = (made_list([items[i] for i in others], a.line or b.line) for items in (first, second))
            if Leaves(x).shape == Leaves(y).shape:
                merged = self._value(cell, x, y)
                return lambda: _replaced(first, others, merged())
        rest = self._value(cell, made_list(first[kept:], a.line), made_list(second[kept:], b.line))
        return lambda: [*first[:kept], *list.__iter__(rest())]

    def _value(self, cell: Cell, a: Any, b: Any) -> Callable[[], Any]:
        """A function for what a cell holds behind sides that leave one thing or another in it."""
        a, b = (side.at_end(value) for side, value in zip(self.sides, (a, b), strict=True))
        # (Elements of lists are merged all the same: the function that has returned may not be the one that made them.)
        is_list = cell.identity[0] in ("list", "grown")
        if self._returned[0] != self._returned[1] and not self._alike(a, b) and not cell.is_own and not is_list:
            # What has returned hands nothing on: no statement behind the branch will run.
            number = 0 if self._returned[0] else 1
            given = b if number == 0 else a
            return (lambda: given) if isinstance(given, Unbound) else self._filled(cell, number, given)
        if isinstance(a, Unbound) or isinstance(b, Unbound):
            return self._half_bound(cell, a, b)
        first, second = Leaves(a), Leaves(b)
        if first.shape != second.shape:
            first, second = self._common(a, b)
        if first.shape != second.shape:
            raise self._refusal(cell, a, b)
        pairs = enumerate(zip(first.leaves, second.leaves, strict=True))
        plans = [self._leaf(cell, x, y, i in first.runs) for i, (x, y) in pairs]
        return lambda: first.rebuild([plan() for plan in plans])

    def _common(self, a: Any, b: Any) -> tuple[Leaves, Leaves]:
        """Values in which lists of different lengths have got one structure."""
        found = []
        for side, value, other in zip(self.sides, (a, b), (b, a), strict=True):
            with self.tracer.regions.writing_to(side.block):
                found.append(Leaves(common(value, other, self.outside)))
        return found[0], found[1]

    def _leaf(self, cell: Cell, x: Any, y: Any, is_run: bool = False) -> Callable[[], Any]:
        if x is y or (isinstance(x, _NUMBERS) and type(x) is type(y) and _same_number(x, y)):
            return lambda: x
        sharing = self.tracer.regions.sharing
        loss = sharing.loss_of(x) or sharing.loss_of(y)
        if loss is None and leaf_kind(x) == "tensor" and self._is_same_view(x, y):
            return lambda: x
        with sharing.handing_on():
            type_ = self._type(cell, x, y, is_run)
        index = len(self.types)
        self.types.append(type_)
        self._kinds.append(str(leaf_kind(x)))
        self._pairs.append((x, y))
        self._runs.append(is_run)
        self._contents.append(cell.identity[0] == "tensor")
        self._losses.append(loss)
        return lambda: self._made[index]

    def _is_same_view(self, x: Any, y: Any) -> bool:
        """Whether two tensors are one in value and in memory, and stay so."""
        same = self.tracer.value_of(x) is self.tracer.value_of(y) and base_of(x) is base_of(y)
        return same and all(one._base is None or one._chain for one in (x, y))

    def _type(self, cell: Cell, x: Any, y: Any, is_run: bool) -> Type:
        a, b = leaf_type(self.tracer, x), leaf_type(self.tracer, y)
        if a == b and not self._inner(a):
            return a
        if (
            isinstance(a, TensorType)
            and isinstance(b, TensorType)
            and a.dtype is b.dtype
            and len(a.sizes) == len(b.sizes)
        ):
            pairs = enumerate(zip(a.sizes, b.sizes, strict=True))
            return a.with_(sizes=tuple([self._size(p, q, is_run and i == 0) for i, (p, q) in pairs]))
        raise self._refusal(cell, x, y)

    def _inner(self, type_: Type | Size) -> bool:
        """Whether a type speaks of sizes that only the inside of the branch knows."""
        sizes = type_.sizes if isinstance(type_, TensorType) else (type_,)
        return any(isinstance(size, SizeExpr) and not free_vars(size) <= self.outside for size in sizes)

    def _size(self, a: Size, b: Size, varies: bool) -> Size:
        inner = self._inner(a) or self._inner(b)
        if a == b and not inner:
            return a
        if not inner and not self._leaves and not varies and self.tracer.taken_to_be_equal(a, b):
            return a
        if (a, b) not in self._sizes:  # what differs alike is equal
            self._sizes[a, b] = var(self.tracer.fresh_size("n", 2), _lowest(a, b) if varies else 0)
        return self._sizes[a, b]

    def _half_bound(self, cell: Cell, a: Any, b: Any) -> Callable[[], Any]:
        """A variable that one side alone binds."""
        if isinstance(a, Unbound) and isinstance(b, Unbound):
            return lambda: a
        if cell.identity[0] == "place":
            raise self._refusal(cell, a, b)
        number = 0 if isinstance(a, Unbound) else 1
        given = b if number == 0 else a
        if not cell.is_own:
            location = self.branch.location
            where = place_of(self.tracer, given, cell.lines[1 - number], location)
            what = f"it is assigned on one side of the branch alone ({where})"
            undefined = Undefined(cell.name.strip("'"), what, location, self.tracer.context)
            return lambda: undefined
        return self._filled(cell, number, given)

    def _alike(self, a: Any, b: Any) -> bool:
        """Whether two values have one structure and types."""
        if isinstance(a, Unbound) or isinstance(b, Unbound):
            return False
        first, second = Leaves(a), Leaves(b)
        return first.shape == second.shape and all(
            leaf_type(self.tracer, x) == leaf_type(self.tracer, y)
            for x, y in zip(first.leaves, second.leaves, strict=True)
        )

    def _filled(self, cell: Cell, number: int, given: Any) -> Callable[[], Any]:
        """A value that one side gives; what the other hands on in its place is never read."""
        leaves = Leaves(given)
        with self.tracer.regions.writing_to(self.sides[number].block):
            filled = leaves.rebuild([self._filler(leaf) for leaf in leaves.leaves])
        pair = (filled, given) if number == 0 else (given, filled)
        plans = [self._leaf(cell, x, y) for x, y in zip(Leaves(pair[0]).leaves, Leaves(pair[1]).leaves, strict=True)]
        return lambda: leaves.rebuild([plan() for plan in plans])

    def _filler(self, leaf: Any) -> Any:
        """A value of a leaf's type that nothing will read."""
        if not isinstance(leaf, TensorBase):
            return {"bool": False, "int": 0, "float": 0.0}[str(leaf_kind(leaf))]
        type_ = self.tracer.value_of(leaf).type
        sizes = tuple(0 if self._inner(size) else size for size in type_.sizes)
        return EAGER.full(sizes, 0, type_.dtype)

    def _refusal(self, cell: Cell, a: Any, b: Any) -> CaptureError:
        location, context = self.branch.location, self.tracer.context
        changes = [side.changes.get(cell.identity) for side in self.sides]
        places = [None if x is None else self.branch.line_of(i, x) for i, x in enumerate(changes)]
        changed = next((place for place in places if place is not None), location)
        shown = []
        for x, line, place in zip((a, b), cell.lines, places, strict=True):
            where = str(place) if place is not None else place_of(self.tracer, x, line, location)
            shown.append(describe(self.tracer, x) + ("" if isinstance(x, Unbound) else f" at {where}"))
        name = "the value that is returned" if cell.is_own else cell.name
        if cell.identity[0] == "place" and (isinstance(a, Unbound) or isinstance(b, Unbound)):
            return CaptureError(
                f"{name} is set on one side alone of a branch that the run decides",
                expected="the same elements and attributes on both sides",
                found=f"{shown[0]} on the one side, {shown[1]} on the other",
                location=changed,
                context=context,
                advice="set it on both sides, or before the branch; append to a list on both sides",
            )
        is_python = not (Leaves(a).leaves or Leaves(b).leaves)
        return CaptureError(
            f"{name} differs{'' if is_python else ' in type'} between the sides of a branch that the run decides",
            expected="tensors and numbers, of the same types and sizes on both sides",
            found=f"{shown[0]}, and {shown[1]}",
            location=changed,
            context=context,
            advice="make both the same: cast, pad or expand one of them, or keep it out of the branch",
        )


def _replaced(items: list[Any], which: list[int], new: Any) -> list[Any]:
    """Some items replaced by new ones."""
    found = dict(zip(which, list.__iter__(new), strict=True))
    return [found.get(i, item) for i, item in enumerate(items)]


def _lowest(a: Size, b: Size) -> int:
    """What neither of two numbers of elements is below."""
    return max(0, min(size if isinstance(size, int) else bounds(size)[0] or 0 for size in (a, b)))


def _leaves(a: Any, b: Any) -> bool:
    """Whether a flag is set on one side."""
    return (a is True) != (b is True)


def _same_number(x: Any, y: Any) -> bool:
    return bool(x == y) or (x != x and y != y)


def _checks(block: Block) -> bool:
    return any(node.op.name == "prim::Assert" for node in block.walk())


def _is_users(error: Exception) -> bool:
    """Whether the user's code raises an error on purpose, or Python does for reasons that no run-time value has."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if isinstance(error, AssertionError) or trace is None:
        return True
    code = trace.tb_frame.f_code
    if is_internal(code.co_filename):
        return False
    if not isinstance(error, (TypeError, AttributeError)):
        return True
    return any(i.opname == "RAISE_VARARGS" and i.offset == trace.tb_lasti for i in dis.get_instructions(code))


def line_of_error(error: Exception, repeated: bool = False) -> Location | None:
    """The user's line that raised an error, or the one that is there most often."""
    marks = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if not is_internal(code.co_filename):
            marks.append((code, trace.tb_lasti))
        trace = trace.tb_next
    if not marks:
        return None
    return resolve(Counter(marks).most_common(1)[0][0] if repeated else marks[-1])
