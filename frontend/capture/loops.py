"""A Python loop whose length the run decides, as a `prim::Loop`.

The body is captured with what it changes standing for the loop's carried values. What those are is found by trying: at
first nothing is carried; what the body turns out to change is carried in the next attempt, and a size that changes
from iteration to iteration becomes a variable; until an attempt leaves behind just what it assumed. So what stays the
same in every iteration stays a Python value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from ...ir.block import Block
from ...ir.errors import CaptureError
from ...ir.locations import Location, here
from ...ir.node import Node, Value
from ...ir.sizes import Size, SizeExpr, SizeRelation, bounds, free_vars, substitute, var
from ...ir.types import INT, TensorType, Type
from ..dispatch import EAGER
from ..tensor_base import TensorBase, wrap
from .carried_sizes import CarriedSizes
from .change_line import line_of_change
from .control_tape import record_control
from .decisions import truth
from .grown_list import Growing, Growth, Run
from .reach import Change, Reach
from .regions import Region, Regions, discard
from .sharing import base_of
from .structured import (
    Cell,
    Leaves,
    Names,
    Static,
    Unbound,
    Undefined,
    describe,
    held,
    leaf_kind,
    leaf_type,
    leaf_value,
    made_leaf,
    refuse_resizing,
    settled,
    stand_in,
)
from .symbols import SymBool
from .symint import SymInt, as_size, hint

__all__ = ["loop"]

_NOTHING: Final = Names()
_MOST_ATTEMPTS: Final = 12
_FOREVER: Final = 2**63 - 1


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


@dataclass(slots=True)
class _Leaf:
    """One leaf of a cell that is carried.

    Attributes:
        kind: what it is: `"tensor"`, `"int"`, `"float"`, `"bool"`.
        start: its value before the loop; None where it has none yet.
        type: the parameter's type.
        derived: the size variable that an integer always equals, which then needs no parameter.
        low: the smallest value of an integer.
        param: the tensor that stands for it in the body.
    """

    kind: str
    start: Any
    type: Type
    derived: SizeExpr | None = None
    low: int | None = None
    param: Any = None


@dataclass(slots=True)
class _Carried:
    """A cell that is carried: its structure at the beginning of an iteration, and its leaves.

    Attributes:
        late: it has no value before the loop; the body assigns it before it reads it.
    """

    cell: Cell
    shape: Leaves
    leaves: list[_Leaf]
    late: bool = False

    @property
    def drops(self) -> bool:
        """Whether no iteration hands it on: it holds an object that a graph cannot hold."""
        return self.late and isinstance(self.shape.shape, Static) and isinstance(self.shape.shape.value, Unbound)


@dataclass(slots=True)
class _Attempt:
    """One capture of the body."""

    block: Block
    lists: Growing
    condition: Value | None = None
    after: dict[Any, tuple[Cell, Any]] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    result: Any = None


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
        self.first = first
        self.count = count
        self.functions = functions
        self.location: Location | None = here(4)
        self.carried: dict[Any, _Carried] = {}
        self.sizes = CarriedSizes(tracer)
        self.outside: set[str] = set()

    @property
    def regions(self) -> Regions:
        found: Regions = self.tracer.regions
        return found

    # ------------------------------------------------------------------------------------------------- attempts

    def capture(self) -> Any:
        """Try until an attempt holds, then make the node."""
        tracer = self.tracer
        for _ in range(_MOST_ATTEMPTS):
            self.outside = set(tracer.hints)
            notes, assumed = len(tracer.ledger), len(tracer.graph.assumptions)
            attempt = self._attempt()
            try:
                if self._holds(attempt):
                    return self._finish(attempt)
            except BaseException:
                if attempt.block.parent is None:
                    discard(attempt.block)
                raise
            discard(attempt.block)
            del tracer.graph.assumptions[assumed:]
            tracer.forget_notes(notes)
            tracer.forget_sizes([n for n in tracer.hints if n not in self.outside and n not in self.sizes.starts])
        raise CaptureError(
            "a loop's values do not settle into types that hold for every iteration",
            found=", ".join(carried.cell.name for carried in self.carried.values()),
            location=self.location,
            context=tracer.context,
            advice="let each variable keep its dtype and number of dimensions through the loop",
        )

    def _attempt(self) -> _Attempt:
        tracer = self.tracer
        block = Block(tracer.graph, [INT], ["i"])
        attempt = _Attempt(block, Growing(self.regions.depth + 1, tracer.lists_growing))
        reach, before, lists = Reach(self.functions), self.names.get(), tracer.lists_growing
        try:
            with self.regions.enter(block, conditional=False) as region:
                tracer.lists_growing = attempt.lists
                self.sizes.begin()
                number = tracer.bind("i", block.params[0], 0, 0)
                self._suppose("<", number, self.count)
                self._enter_values(block)
                self._suppose_condition()
                attempt.result = self.body(number)
                attempt.condition = leaf_value(tracer, truth(True if self.test is None else self.test()))
                self._note(attempt, region, reach, before)
        except BaseException:
            discard(block)
            raise
        finally:
            tracer.lists_growing = lists
            reach.restore()
            self.names.set(before)
        try:
            for change in attempt.changes:
                refuse_resizing(tracer, change, self._line_of)
        except CaptureError:
            discard(block)
            raise
        return attempt

    def _line_of(self, change: Change) -> Location | None:
        """The user's line by which the body changes an object: found by running the body once more."""
        tracer, block = self.tracer, Block(self.tracer.graph, [INT], ["i"])
        reach, before, lists = Reach(self.functions), self.names.get(), tracer.lists_growing
        try:
            with self.regions.enter(block, conditional=False):
                tracer.lists_growing = Growing(self.regions.depth, lists)
                self.sizes.begin()
                number = tracer.bind("i", block.params[0], 0, 0)
                self._suppose("<", number, self.count)
                self._enter_values(block)
                return line_of_change(lambda: self.body(number), change.read) or self.location
        finally:
            tracer.lists_growing = lists
            discard(block)
            reach.restore()
            self.names.set(before)

    def _suppose(self, op: str, a: Any, b: Any) -> None:
        """A relation of sizes that holds in the body."""
        tracer, a, b = self.tracer, as_size(a), as_size(b)
        if b is not None and tracer.known(op, a, b) is None:
            tracer.sizes.add(SizeRelation(op, a, b))

    def _suppose_condition(self) -> None:
        """What the condition says about sizes holds in the body."""
        if isinstance(self.first, SymBool) and self.first.relation is not None and self.test is not None:
            found = self.test()
            if isinstance(found, SymBool) and found.relation is not None:
                self._suppose(*found.relation)

    def _enter_values(self, block: Block) -> None:
        """Parameters for what is carried; the cells hold them."""
        for carried in self.carried.values():
            values = [self._entering(block, carried.cell, leaf) for leaf in carried.leaves]
            if carried.late:
                continue
            if carried.cell.identity[0] == "tensor":
                self.regions.change(carried.cell.identity[2], values[0])
            else:
                carried.cell.write(carried.shape.rebuild(values))

    def _entering(self, block: Block, cell: Cell, leaf: _Leaf) -> Any:
        tracer = self.tracer
        if leaf.derived is not None:
            return SymInt(leaf.derived, tracer)
        param = block.add_param(leaf.type, _parameter_name(cell.name))
        if leaf.kind == "int":
            example = 0 if leaf.start is None else hint(as_size(leaf.start), tracer.hints)
            return tracer.bind("k", param, example, leaf.low)
        found = self.regions.of_type(leaf.type)
        if isinstance(leaf.start, TensorBase):
            found._node, found._index = leaf.start._node, leaf.start._index
        leaf.param = found if leaf.kind == "tensor" else None
        return made_leaf(tracer, leaf.kind, found, param)

    def _note(self, attempt: _Attempt, region: Region, reach: Reach, before: tuple[Any, ...]) -> None:
        """What the body has changed."""
        for cell, old in zip(self.names.cells(), before, strict=True):
            value = settled(self.tracer, cell, cell.read(), self.location)
            attempt.after[cell.identity] = cell, held(self.tracer, value, old, region)
        attempt.lists.refuse_changed(region)
        attempt.result = held(self.tracer, attempt.result, None, region)
        for change in reach.changes():
            attempt.changes.append(change)
            cell = Cell(change.identity, change.path, change.read, change.write)
            attempt.after[cell.identity] = cell, held(self.tracer, change.after, change.before, region)
        for base in region.changed.values():
            cell = self._contents(base)
            attempt.after[cell.identity] = cell, stand_in(base)
        for identity, carried in self.carried.items():
            if identity not in attempt.after:
                attempt.after[identity] = carried.cell, carried.cell.read()

    def _contents(self, base: Any) -> Cell:
        regions = self.regions
        identity = ("tensor", id(base), base)
        return Cell(identity, "a tensor", lambda: stand_in(base), lambda new: regions.change(base, new))

    # -------------------------------------------------------------------------------------- what an attempt shows

    def _holds(self, attempt: _Attempt) -> bool:
        """Whether the attempt leaves behind what it assumed; what it shows is kept for the next one."""
        settled = True
        for identity, (cell, after) in attempt.after.items():
            known = self.carried.get(identity)
            if known is not None:
                settled &= self._agrees(known, after)
            elif not self._same(cell.read(), after):
                self.carried[identity] = self._newly_carried(cell, after)
                settled = False
        return settled

    def _same(self, before: Any, after: Any) -> bool:
        if before is after:
            return True
        if self.tracer.is_late(before):  # to compare it would be to use it
            return False
        a, b = Leaves(before), Leaves(after)
        return a.shape == b.shape and all(map(self._same_leaf, a.leaves, b.leaves))

    def _same_leaf(self, x: Any, y: Any) -> bool:
        if x is y:
            return True
        if leaf_kind(x) == "tensor":
            return self.tracer.value_of(x) is self.tracer.value_of(y)
        if isinstance(x, SymInt) and isinstance(y, SymInt):
            return bool(as_size(x) == as_size(y))
        return type(x) is type(y) and isinstance(x, (bool, int, float)) and (x == y or (x != x and y != y))

    def _newly_carried(self, cell: Cell, after: Any) -> _Carried:
        before = cell.read()
        if isinstance(before, Unbound) or self.tracer.is_late(before):
            shape = Leaves(after)
            if not cell.is_own and _has_objects(shape.shape):  # made anew by each iteration, such as a function
                return _Carried(cell, Leaves(Unbound(cell.name)), [], late=True)
            return _Carried(cell, shape, [self._late(leaf) for leaf in shape.leaves], late=True)
        shape = Leaves(before)
        found = _Carried(cell, shape, [_Leaf(str(leaf_kind(x)), x, leaf_type(self.tracer, x)) for x in shape.leaves])
        self._agrees(found, after)
        for leaf, then in zip(found.leaves, Leaves(after).leaves, strict=True):
            if leaf.kind == "int":
                self._first_step(leaf, as_size(leaf.start), as_size(then))
        return found

    def _first_step(self, leaf: _Leaf, start: Size, then: Size) -> None:
        """What the first iteration tells about an integer."""
        leaf.derived = self.sizes.known(start, then)
        if self.tracer.known(">=", then, start):
            leaf.low = start if isinstance(start, int) else bounds(start)[0]

    def _late(self, leaf: Any) -> _Leaf:
        """A leaf that has no value before the loop."""
        type_ = leaf_type(self.tracer, leaf)
        if isinstance(type_, TensorType):
            type_ = type_.with_(sizes=tuple(self.sizes.late() if self._inner(s) else s for s in type_.sizes))
        return _Leaf(str(leaf_kind(leaf)), None, type_)

    def _inner(self, size: Size) -> bool:
        return isinstance(size, SizeExpr) and not free_vars(size) <= self.outside

    def _agrees(self, known: _Carried, after: Any) -> bool:
        """Whether a carried cell's value at the end of the body fits its type at the beginning; else the type is made
        more general."""
        if isinstance(after, Unbound) or known.drops:
            return True
        shape = Leaves(after)
        if shape.shape != known.shape.shape:
            raise self._refusal(known.cell, known.shape.rebuild(known.shape.leaves), after)
        if known.late:
            return True
        fits = [self._fits(known.cell, leaf, y) for leaf, y in zip(known.leaves, shape.leaves, strict=True)]
        return all(fits)

    def _fits(self, cell: Cell, leaf: _Leaf, after: Any) -> bool:
        if leaf.kind == "int":
            return self._int_fits(leaf, as_size(after))
        now, then = leaf.type, leaf_type(self.tracer, after)
        if now == then:  # the key of a random state, among others
            return True
        assert isinstance(now, TensorType) and isinstance(then, TensorType)
        if then.dtype is not now.dtype or len(then.sizes) != len(now.sizes):
            raise self._refusal(cell, leaf.start, after)
        start = leaf_type(self.tracer, leaf.start)
        assert isinstance(start, TensorType)
        sizes = tuple(map(self.sizes.following, now.sizes, start.sizes, then.sizes))
        leaf.type = now.with_(sizes=sizes)
        return bool(sizes == now.sizes)

    def _int_fits(self, leaf: _Leaf, then: Size) -> bool:
        if leaf.derived is not None:
            if self.sizes.following(leaf.derived, as_size(leaf.start), then) == leaf.derived:
                return True
            leaf.derived = None
            return False
        lowest = then if isinstance(then, int) else bounds(then)[0]
        if leaf.low is not None and (lowest is None or lowest < leaf.low):
            leaf.low = None
            return False
        return True

    # ------------------------------------------------------------------------------------------------- the node

    def _finish(self, attempt: _Attempt) -> Any:
        """Make the node, and let what it has changed stand for its outputs."""
        tracer, block = self.tracer, attempt.block
        leaves = [leaf for c in self.carried.values() for leaf in c.leaves if leaf.derived is None]
        growths = [growth for growth in attempt.lists.growths.values() if growth.items]
        stacked = [item for growth in growths for item in growth.items]
        result = Leaves(attempt.result)
        stacked += result.leaves
        with self.regions.writing_to(block):
            yielded = [leaf_value(tracer, after) for after in self._after(attempt)]
            rows = [tracer.value_of(self._row(item)) for item in stacked]
            assert attempt.condition is not None
            block.set_returns([attempt.condition, *yielded, *rows], self.location)
        with self.regions.keeping():
            inputs = [self._trips(), leaf_value(tracer, truth(self.first))]
            starts = [leaf_value(tracer, self._start(leaf)) for leaf in leaves]
        trips = var(tracer.fresh_size("n", 2), 0)
        renamed = {name: var(tracer.fresh_size(name, 2), 0) for name in self.sizes.starts}
        types = [self._outgoing(leaf.type, renamed) for leaf in leaves]
        types += [self._stack_type(row.type, trips, renamed) for row in rows]
        node = tracer.builder.emit(
            "prim::Loop",
            [*inputs, *starts],
            types=types,
            location=self.location,
            path=tracer.module_path,
            blocks=[block],
        )
        for name in (str(trips), *map(str, renamed.values())):
            del tracer.hints[name]  # the run shows them
        results = tracer.regions.run(node)
        self._leave_values(node, results, leaves, renamed, attempt)
        return result.rebuild(self._leave_stacks(node, results, growths, result.leaves, len(leaves)))

    def _trips(self) -> Value:
        count = _FOREVER if self.count is None else self.count
        found: Value = self.tracer.value_of(count)
        return found

    def _after(self, attempt: _Attempt) -> list[Any]:
        """The leaves of the carried cells at the end of the body."""
        found = []
        for identity, carried in self.carried.items():
            _, after = attempt.after[identity]
            if carried.drops:
                continue
            values = Leaves(after).leaves if not isinstance(after, Unbound) else [None] * len(carried.leaves)
            for leaf, value in zip(carried.leaves, values, strict=True):
                if leaf.derived is None:
                    found.append(value if value is not None else self._start(leaf))
        return found

    def _start(self, leaf: _Leaf) -> Any:
        if leaf.start is not None:
            return leaf.start
        if leaf.kind != "tensor":
            return {"int": 0, "float": 0.0, "bool": False}[leaf.kind]
        assert isinstance(leaf.type, TensorType)
        sizes = tuple(substitute(size, self.sizes.starts) for size in leaf.type.sizes)
        return EAGER.full(sizes, 0, leaf.type.dtype)

    def _row(self, item: Any) -> Any:
        """An element to be stacked, as a tensor."""
        if isinstance(item, TensorBase):
            return item
        value = leaf_kind(item)
        if isinstance(item, SymInt) or value == "int":
            return EAGER.add(item, wrap(np.zeros((), np.int64)))
        return item.as_tensor() if hasattr(item, "as_tensor") else wrap(np.asarray(item))

    def _outgoing(self, type_: Type, renamed: dict[str, SizeExpr]) -> Type:
        if not isinstance(type_, TensorType):
            return type_
        return type_.with_(sizes=tuple(substitute(size, renamed) for size in type_.sizes))

    def _stack_type(self, type_: Type, trips: Size, renamed: dict[str, SizeExpr]) -> Type:
        assert isinstance(type_, TensorType)
        sizes = type_.sizes
        if any(self._inner(size) for size in sizes):
            raise CaptureError(
                "a list that grows in a loop gets elements of changing sizes",
                expected="elements of one size, which is known before the loop",
                found=str(type_),
                location=self.location,
                context=self.tracer.context,
                advice="pad the elements to one size, or join them with ingot.cat along the changing dimension",
            )
        count = as_size(self.count) if self.count is not None and self.test is None else trips
        return type_.with_(sizes=(count, *sizes))

    def _note_sharing(
        self, made: Sequence[Any], which: Sequence[tuple[int, _Leaf]], leaves: Sequence[_Leaf], attempt: _Attempt
    ) -> None:
        """What is carried may be tensors from outside of the loop at its end, or one memory."""
        sharing, visible = self.regions.sharing, self.regions.visible
        contents = {id(x) for c in self.carried.values() if c.cell.identity[0] == "tensor" for x in c.leaves}
        kept = [i for i, leaf in which if leaf.kind == "tensor" and id(leaf) not in contents]
        handed_on = self._after(attempt)
        starts = {id(leaf.param): leaf.start for leaf in leaves if leaf.param is not None}
        for i in kept:
            sharing.perhaps(made[i], leaves[i].start, self.location)
            for owner in sharing.kin(handed_on[i]) if isinstance(handed_on[i], TensorBase) else ():
                for other in (starts.get(id(owner)), owner if visible(owner) else None):
                    sharing.perhaps(made[i], other, self.location)
        for given in (handed_on, [leaf.start for leaf in leaves]):
            sharing.among([made[i] for i in kept], [given[i] for i in kept], self.location)

    def _leave_values(
        self,
        node: Node,
        results: Sequence[Any],
        leaves: Sequence[_Leaf],
        renamed: dict[str, SizeExpr],
        attempt: _Attempt,
    ) -> None:
        tracer = self.tracer
        made = []
        for leaf, tensor, output in zip(leaves, results, node.outputs, strict=False):
            made.append(made_leaf(tracer, leaf.kind, tensor, output, "k", leaf.low))
        record_control(tracer, node, made)
        late = {id(leaf) for carried in self.carried.values() if carried.late for leaf in carried.leaves}
        self._note_sharing(made, [(i, x) for i, x in enumerate(leaves) if id(x) not in late], leaves, attempt)
        by_leaf = {id(leaf): value for leaf, value in zip(leaves, made, strict=True)}
        for carried in self.carried.values():
            values = [
                by_leaf[id(leaf)] if leaf.derived is None else SymInt(renamed[str(leaf.derived)], tracer)
                for leaf in carried.leaves
            ]
            if carried.cell.identity[0] == "tensor" and self._is_left_alone(carried, attempt):
                continue
            carried.cell.write(self._left(carried, values))
        # What each iteration makes anew before it reads it may share memory that a later iteration changes.
        self._note_sharing(made, list(enumerate(leaves)), leaves, attempt)

    def _is_left_alone(self, carried: _Carried, attempt: _Attempt) -> bool:
        """Whether the body changes a tensor under a name alone that it lets stand for another one afterwards.

        Then the first iteration changes the tensor itself, and the others do not: who uses it later is refused.
        """
        [leaf] = carried.leaves
        base = carried.cell.identity[2]
        param = leaf.param._trace[1]
        if attempt.after[carried.cell.identity][1]._trace[1] is not param:
            return False
        self.regions.sharing.lose(self.tracer.value_of(base), self.regions.first_write(base) or self.location)
        if param.use_count > 1:  # in the body, besides being handed on
            self.tracer.value_of(base)
        return True

    def _left(self, carried: _Carried, values: Sequence[Any]) -> Any:
        """What a cell holds after the loop."""
        if not carried.late or carried.cell.is_own:
            return carried.shape.rebuild(values)
        what = "the loop that assigns it may have no iterations"
        undefined = Undefined(carried.cell.name.strip("'"), what, self.location, self.tracer.context)
        if not values:
            return undefined
        if self.count is not None and self.tracer.known(">=", as_size(self.count), 1):
            return carried.shape.rebuild(values)
        first = self.first if self.count is None else SymBool(None, self.tracer, (">=", as_size(self.count), 1))
        return carried.shape.rebuild([self.tracer.late(value, first, undefined) for value in values])

    def _leave_stacks(
        self, node: Node, results: Sequence[Any], growths: Sequence[Growth], result: Sequence[Any], at: int
    ) -> list[Any]:
        """Lists get what the loop has appended; gives what is left, the stacked results."""
        tracer = self.tracer
        stacks = []
        for tensor, output in zip(results[at:], node.outputs[at:], strict=True):
            stacks.append(made_leaf(tracer, "tensor", tensor, output))
        record_control(tracer, node, stacks, at)
        for growth in growths:
            parts, stacks = stacks[: len(growth.items)], stacks[len(growth.items) :]
            whole = parts[0]
            if len(parts) > 1:
                turned = EAGER.stack(parts, dim=1)
                whole = EAGER.reshape(turned, (turned.shape[0] * len(parts), *turned.shape[2:]))
            self._note_views([whole] * len(parts), growth.items)
            growth.list.take(Run(whole, growth.kind, growth.location))
        self._note_views(stacks, result)
        return stacks

    def _note_views(self, stacks: Sequence[Any], items: Sequence[Any]) -> None:
        """What is stacked may be views on a tensor from outside of the loop."""
        for stack, item in zip(stacks, items, strict=True):
            if isinstance(item, TensorBase) and self.regions.visible(base_of(item)):
                self.regions.sharing.perhaps(stack, item, self.location)

    def _refusal(self, cell: Cell, before: Any, after: Any) -> CaptureError:
        file = self.location.file if self.location is not None else ""
        line = f" at {file}:{cell.lines[0]}" if cell.lines[0] else ""
        found = f"{describe(self.tracer, before)} before the loop, {describe(self.tracer, after)} after an iteration"
        return CaptureError(
            f"{cell.name} changes its type in a loop whose length the run decides",
            expected="the same dtype, number of dimensions and structure in every iteration",
            found=found + line,
            location=self.location,
            context=self.tracer.context,
            advice="give it before the loop the type that it has at the end of the body",
        )


def _has_objects(shape: Any) -> bool:
    """Whether a structure has parts that are neither tensors nor numbers, nor plain constants."""
    if isinstance(shape, Static):
        return not (shape.value is None or isinstance(shape.value, (str, bytes, Unbound)))
    return isinstance(shape, tuple) and any(map(_has_objects, shape[-1]))


def _parameter_name(name: str) -> str:
    found = name.strip("'").rpartition(".")[2]
    return found if found.isidentifier() and not found.startswith("_") else "p"
