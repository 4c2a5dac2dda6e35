"""What both sides of a captured branch leave behind, as outputs of one node.

What lives here: `Merge`, which decides what is an output and of what type, and what each cell holds behind the branch.
Capturing the sides and making the node is the subject of `branches`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ...ir.errors import CaptureError
from ...ir.locations import Location
from ...ir.node import Node
from ...ir.sizes import Size, SizeExpr, bounds, free_vars, var
from ...ir.types import TensorType, Type
from ..dispatch import EAGER
from ..tensor_base import TensorBase
from .branch_side import Side
from .control_tape import hide_leaves, is_recorded, record_control
from .gradient_cells import Pair, Perhaps
from .grown_list import made_list
from .list_growth import common
from .reach import Change
from .sharing import Loss, base_of
from .structured import (
    Cell,
    Leaves,
    Unbound,
    Undefined,
    describe,
    leaf_kind,
    leaf_type,
    leaf_value,
    made_leaf,
    place_of,
)
from .symbols import SymBool

__all__ = ["Merge"]

_NUMBERS: Final = (bool, int, float)
_RETURNED: Final = ("name", "_ingot_returned")  # set by the rewritten source where a `return` was reached


@dataclass(frozen=True, slots=True)
class _Output:
    """One output of the node.

    Attributes:
        type, kind: what it is.
        pair: what the sides hand on.
        is_contents: whether a tensor from outside takes it over.
        loss: why its contents are unknown; None where they are not.
    """

    type: Type
    kind: str
    pair: tuple[Any, Any]
    is_contents: bool
    loss: Loss | None


class Merge:
    """What both sides leave behind, as outputs of one node.

    Args:
        outside: the size variables that are known outside of the branch.
        location: the branch.
        line_of: gives the user's line by which a side changes an object.
    """

    def __init__(
        self,
        tracer: Any,
        sides: Sequence[Side],
        condition: SymBool,
        outside: set[str],
        location: Location | None,
        line_of: Callable[[int, Change], Location | None],
    ) -> None:
        self.tracer = tracer
        self.sides = sides
        self.outside = outside
        self.location = location
        self.lost = {key: lost for side in sides if side.region for key, lost in side.region.lost.items()}
        self._line_of = line_of
        self._outputs: list[_Output] = []
        self._sizes: dict[tuple[Size, Size], SizeExpr] = {}
        self._made: list[Any] = []
        self._captured: Any = None  # the node on the tape
        # Where a side leaves a loop, or another one was left before, sizes may differ that grow in the loop.
        # The same holds where the inputs' sizes decide.
        self._sizes_differ = condition.guards or condition.by_sizes or _leaves_a_loop(sides)
        self._returned = [side.values.get(_RETURNED) is True for side in sides]

    @property
    def types(self) -> list[Type]:
        """The outputs' types."""
        return [output.type for output in self._outputs]

    def outputs(self) -> Callable[[], list[tuple[Cell, Any]]]:
        """Decide which values are outputs; gives a function that says, once the node is there, what each cell holds."""
        cells = {**self.sides[1].cells, **self.sides[0].cells}
        cells = {i: cell for i, cell in cells.items() if i[0] != "tensor" or i[1] not in self.lost}
        plans = [(cell, self._cell(cell)) for cell in cells.values()]
        for number, side in enumerate(self.sides):
            with self.tracer.regions.writing_to(side.block), self.tracer.regions.sharing.handing_on():
                values = [leaf_value(self.tracer, output.pair[number]) for output in self._outputs]
                side.block.set_returns(values, self.location)
        return lambda: [(cell, plan()) for cell, plan in plans if plan is not None]

    def finish(self, node: Node) -> None:
        """The node is there: make what its outputs stand for."""
        tracer = self.tracer
        for size in self._sizes.values():
            del tracer.hints[str(size)]  # the run shows them
        results = tracer.regions.run(node)
        for output, tensor, value in zip(self._outputs, results, node.outputs, strict=True):
            self._made.append(made_leaf(tracer, output.kind, tensor, value))
        pairs = [output.pair for output in self._outputs]
        recorded = [any(map(is_recorded, pair)) for pair in pairs]
        self._captured = record_control(tracer, node, self._made, recorded=recorded)
        hide_leaves(tracer, self._made, pairs)
        for output, made in zip(self._outputs, self._made, strict=True):
            if output.loss is not None:
                tracer.regions.lose(made, output.loss)

    def note_kept(self) -> None:
        """What the sides have kept for their way back must not be changed in place behind the branch."""
        for number, side in enumerate(self.sides if self._captured is not None else ()):
            given = [(output.pair[number], made) for output, made in zip(self._outputs, self._made, strict=True)]
            pairs = [(x._trace[1], made) for x, made in given if isinstance(x, TensorBase) and x._trace is not None]
            if side.kept is not None:
                self._captured.keep(side.kept, pairs)

    def note_sharing(self) -> None:
        """Outputs may be tensors from outside of the branch, or one memory."""
        regions = self.tracer.regions
        pairs = zip(self._made, self._outputs, strict=True)
        kept = [(made, x.pair) for made, x in pairs if not x.is_contents and isinstance(made, TensorBase)]
        for number in range(2):
            handed_on = [(made, pair[number]) for made, pair in kept]
            regions.sharing.hand_on(handed_on, regions.visible, self.location)

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
        if cell.ends and not cell.is_own and self._returned[0] != self._returned[1] and not self._alike(a, b):
            # What has returned hands its variables on to nobody: no statement behind the branch will run.
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
        index = len(self._outputs)
        self._outputs.append(_Output(type_, str(leaf_kind(x)), (x, y), cell.identity[0] == "tensor", loss))
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
        if not inner and not self._sizes_differ and not varies and self.tracer.taken_to_be_equal(a, b):
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
            where = place_of(self.tracer, given, cell.lines[1 - number], self.location)
            what = f"it is assigned on one side of the branch alone ({where})"
            undefined = Undefined(cell.name.strip("'"), what, self.location, self.tracer.context)
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
        changes = [side.changes.get(cell.identity) for side in self.sides]
        places = [None if x is None else self._line_of(i, x) for i, x in enumerate(changes)]
        changed = next((place for place in places if place is not None), self.location)
        shown = [self._shown(*facts) for facts in zip((a, b), cell.lines, places, strict=True)]
        name = "the value that is returned" if cell.is_own else cell.name
        if cell.identity[0] == "place" and (isinstance(a, Unbound) or isinstance(b, Unbound)):
            return CaptureError(
                f"{name} is set on one side alone of a branch that the run decides",
                expected="the same elements and attributes on both sides",
                found=f"{shown[0]} on the one side, {shown[1]} on the other",
                location=changed,
                context=self.tracer.context,
                advice="set it on both sides, or before the branch; append to a list on both sides",
            )
        is_python = not (Leaves(a).leaves or Leaves(b).leaves)
        return CaptureError(
            f"{name} differs{'' if is_python else ' in type'} between the sides of a branch that the run decides",
            expected="tensors and numbers, of the same types and sizes on both sides",
            found=f"{shown[0]}, and {shown[1]}",
            location=changed,
            context=self.tracer.context,
            advice="make both the same: cast, pad or expand one of them, or keep it out of the branch",
        )

    def _shown(self, value: Any, line: int, place: Location | None) -> str:
        """What a side leaves, and where."""
        if isinstance(value, Unbound):
            return describe(self.tracer, value)
        where = str(place) if place is not None else place_of(self.tracer, value, line, self.location)
        return f"{describe(self.tracer, value)} at {where}"


def _replaced(items: list[Any], which: list[int], new: Any) -> list[Any]:
    """Some items replaced by new ones."""
    found = dict(zip(which, list.__iter__(new), strict=True))
    return [found.get(i, item) for i, item in enumerate(items)]


def _lowest(a: Size, b: Size) -> int:
    """What neither of two numbers of elements is below."""
    return max(0, min(size if isinstance(size, int) else bounds(size)[0] or 0 for size in (a, b)))


def _leaves_a_loop(sides: Sequence[Side]) -> bool:
    """Whether one side sets a flag by which a loop or the function is left."""
    flags = [i for i, cell in sides[0].cells.items() if cell.is_own]
    return any((sides[0].values.get(i) is True) != (sides[1].values.get(i) is True) for i in flags)


def _same_number(x: Any, y: Any) -> bool:
    return bool(x == y) or (x != x and y != y)
