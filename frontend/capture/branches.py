"""A Python `if` that the run decides, as a `prim::If`: both sides are captured, and what they leave is merged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from ...ir.block import Block
from ...ir.errors import CaptureError, IngotError
from ...ir.locations import Location, here
from ...ir.sizes import Size, SizeExpr, SizeRelation, free_vars, var
from ...ir.types import TensorType, Type
from ..dispatch import EAGER
from ..tensor_base import TensorBase
from .control_tape import record_control
from .reach import Reach
from .regions import Region, discard
from .structured import (
    Cell,
    Leaves,
    Names,
    Unbound,
    Undefined,
    describe,
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

__all__ = ["branch"]

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
        self.raised: Exception | None = None
        self.line: Location | None = None

    def put(self, cell: Cell, value: Any) -> None:
        self.cells[cell.identity] = cell
        self.values[cell.identity] = value


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
            condition = tracer.value_of(self._as_bool(self.condition.as_tensor()))
        outside = set(tracer.hints)
        sides = [self._side(0)]
        try:
            sides.append(self._side(1))
        except BaseException:
            discard(sides[0].block)
            raise
        for number, side in enumerate(sides):
            if side.raised is not None:
                return self._only(sides, 1 - number)
        merged = _Merge(self, sides, outside)
        try:
            results = merged.outputs()
        except CaptureError:
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
            tracer.builder.emit(
                "prim::If", [condition], types=(), location=self.location, blocks=[s.block for s in sides]
            )
        else:
            for side in sides:
                discard(side.block)
        for cell, value in results():
            cell.write(value)
        return self.result

    def _as_bool(self, tensor: Any) -> Any:
        if tensor._array.size != 1:
            raise CaptureError(
                "the condition is not a single truth value",
                found=f"sizes {list(tensor._array.shape)}",
                location=self.location,
                context=self.tracer.context,
                advice="use any() or all()",
            )
        if tensor._array.ndim:
            tensor = EAGER.reshape(tensor, ())
        return tensor if tensor.dtype.kind == "bool" else EAGER.ne(tensor, 0)

    def _facts(self, number: int) -> list[SizeRelation]:
        if self.condition.relation is None:
            return []
        fact = SizeRelation(*self.condition.relation)
        return [fact if number == 0 else fact.negated()]

    def _side(self, number: int) -> _Side:
        """Run one side in a block of its own, note what it has changed, and undo that."""
        tracer, names = self.tracer, self.names
        side = _Side(Block(tracer.graph))
        reach, before = Reach(self.functions), names.get()
        try:
            with tracer.regions.enter(side.block, self._facts(number), conditional=True) as region:
                try:
                    result = self.functions[number]()
                except IngotError:
                    raise
                except Exception as error:
                    side.raised, side.line = error, _line_of(error)
                    return side
                self._note(side, region, reach, result)
        except BaseException:
            discard(side.block)
            raise
        finally:
            reach.restore()
            names.set(before)
        return side

    def _note(self, side: _Side, region: Region, reach: Reach, result: Any) -> None:
        side.put(Cell(("result",), "the value", lambda: None, lambda value: setattr(self, "result", value)), result)
        for cell in self.names.cells():
            side.put(cell, settled(self.tracer, cell, cell.read(), self.location))
        for change in reach.changes():
            refuse_resizing(self.tracer, change, self.location, appended=True)
            side.put(Cell(change.identity, change.path, change.read, change.write), change.after)
        for base in region.changed.values():
            side.put(self._contents(base), stand_in(base))

    def _contents(self, base: Any) -> Cell:
        """The elements of a tensor that is changed in place."""
        regions = self.tracer.regions
        return Cell(("tensor", id(base)), "a tensor", lambda: stand_in(base), lambda new: regions.change(base, new))

    def _only(self, sides: Sequence[_Side], number: int) -> Any:
        """One side raises: where the program goes on, the other one was taken."""
        taken, raising = sides[number], sides[1 - number]
        assert raising.raised is not None
        tracer = self.tracer
        if taken.raised is not None or (not tracer.abstract and self.condition._example() != (number == 0)):
            raise raising.raised
        for side in sides:
            discard(side.block)
        holds = self.condition if number == 0 else self.condition.negated()
        tracer.require(holds, f"{type(raising.raised).__name__}: {raising.raised}", raising.line or self.location)
        for fact in self._facts(number):
            if tracer.known(fact.op, fact.left, fact.right) is None:
                tracer.sizes.add(fact)
        return self.functions[number]()


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
        self._made: list[Any] = []
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
        plans = [(cell, self._cell(cell)) for cell in cells.values()]
        for side, values in zip(self.sides, zip(*self._pairs, strict=True) if self._pairs else ((), ()), strict=True):
            with self.tracer.regions.writing_to(side.block):
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
        record_control(tracer, node, self._made)

    def _cell(self, cell: Cell) -> Callable[[], Any] | None:
        """A function for what a cell holds afterwards; None where it holds what it did."""
        before = cell.read()
        a, b = (side.values.get(cell.identity, before) for side in self.sides)
        if a is b:
            return None if a is before else lambda: a
        if self._returned[0] != self._returned[1] and not self._alike(a, b) and not cell.is_own:
            # What has returned hands nothing on: no statement behind the branch will run.
            number = 0 if self._returned[0] else 1
            given = b if number == 0 else a
            return (lambda: given) if isinstance(given, Unbound) else self._filled(cell, number, given)
        if isinstance(a, Unbound) or isinstance(b, Unbound):
            return self._half_bound(cell, a, b)
        first, second = Leaves(a), Leaves(b)
        if first.shape != second.shape:
            raise self._refusal(cell, a, b)
        plans = [self._leaf(cell, x, y) for x, y in zip(first.leaves, second.leaves, strict=True)]
        return lambda: first.rebuild([plan() for plan in plans])

    def _leaf(self, cell: Cell, x: Any, y: Any) -> Callable[[], Any]:
        if x is y or (isinstance(x, _NUMBERS) and type(x) is type(y) and _same_number(x, y)):
            return lambda: x
        if leaf_kind(x) == "tensor" and self.tracer.value_of(x) is self.tracer.value_of(y):
            return lambda: x
        type_ = self._type(cell, x, y)
        index = len(self.types)
        self.types.append(type_)
        self._kinds.append(str(leaf_kind(x)))
        self._pairs.append((x, y))
        return lambda: self._made[index]

    def _type(self, cell: Cell, x: Any, y: Any) -> Type:
        a, b = leaf_type(self.tracer, x), leaf_type(self.tracer, y)
        if a == b and not self._inner(a):
            return a
        if (
            isinstance(a, TensorType)
            and isinstance(b, TensorType)
            and a.dtype is b.dtype
            and len(a.sizes) == len(b.sizes)
        ):
            sizes = [self._size(p, q) for p, q in zip(a.sizes, b.sizes, strict=True)]
            known = [size for size in sizes if size is not None]
            if len(known) == len(sizes):
                return a.with_(sizes=tuple(known))
        raise self._refusal(cell, x, y)

    def _inner(self, type_: Type | Size) -> bool:
        """Whether a type speaks of sizes that only the inside of the branch knows."""
        sizes = type_.sizes if isinstance(type_, TensorType) else (type_,)
        return any(isinstance(size, SizeExpr) and not free_vars(size) <= self.outside for size in sizes)

    def _size(self, a: Size, b: Size) -> Size | None:
        inner = self._inner(a) or self._inner(b)
        if a == b and not inner:
            return a
        if not inner and not self._leaves:
            return None
        if (a, b) not in self._sizes:  # what differs alike is equal
            self._sizes[a, b] = var(self.tracer.fresh_size("n", 2))
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
        location = self.branch.location
        lines = [place_of(self.tracer, x, line, location) for x, line in zip((a, b), cell.lines, strict=True)]
        shown = [describe(self.tracer, x) for x in (a, b)]
        name = "the value that is returned" if cell.is_own else cell.name
        return CaptureError(
            f"{name} differs in type between the sides of a branch that the run decides",
            expected="the same type, with the same sizes, on both sides",
            found=f"{shown[0]} at {lines[0]}, and {shown[1]} at {lines[1]}",
            location=location,
            context=self.tracer.context,
            advice="make both the same: cast, pad or expand one of them, or keep it out of the branch",
        )


def _leaves(a: Any, b: Any) -> bool:
    """Whether a flag is set on one side."""
    return (a is True) != (b is True)


def _same_number(x: Any, y: Any) -> bool:
    return bool(x == y) or (x != x and y != y)


def _checks(block: Block) -> bool:
    return any(node.op.name == "prim::Assert" for node in block.walk())


def _line_of(error: Exception) -> Location | None:
    """The user's line that raised an error."""
    from ...ir.locations import is_internal, resolve

    found = None
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if not is_internal(code.co_filename):
            found = resolve((code, trace.tb_lasti))
        trace = trace.tb_next
    return found
