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

from ...ir.block import Block
from ...ir.errors import CaptureError
from ...ir.locations import Location, here
from ...ir.node import Node, Value
from ...ir.sizes import Size, SizeExpr, SizeRelation, bounds, free_vars, substitute, var
from ...ir.types import INT, TensorType, Type
from ..dispatch import EAGER
from ..mode import mode
from ..tensor_base import TensorBase
from .carried_sharing import CarriedSharing
from .carried_sizes import CarriedSizes
from .change_line import line_of_change
from .control_tape import depends, enter_recorded, hide_leaves, is_recorded, record_control
from .decisions import truth
from .gradient_cells import Pair, gradient_cell
from .grown_list import SymList, made_list
from .joining import note_kin
from .kept_inside import Kept
from .list_growth import (
    CarriedList,
    Growing,
    Growth,
    common,
    contents_now,
    contents_of,
    in_turn,
    same_but_for_lists,
)  # fmt: skip
from .list_identity import Identities, LostLists, other_lists
from .reach import Change, Reach
from .regions import Region, Regions, discard
from .run import as_row, list_refused
from .sharing import Loss, base_of
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
        recorded: whether it carries a gradient, in some iteration.
        value: the block's parameter.
        loss: why its contents are unknown at the beginning of an iteration; None where they are not.
    """

    kind: str
    start: Any
    type: Type
    derived: SizeExpr | None = None
    low: int | None = None
    param: Any = None
    value: Value | None = None
    recorded: bool = False
    loss: Loss | None = None

    @property
    def is_changed(self) -> bool:
        """Whether the body changes in place what it gets."""
        return self.param is not None and self.param._trace[1] is not self.value


@dataclass(slots=True)
class _Carried:
    """A cell that is carried: its structure at the beginning of an iteration, and its leaves.

    Attributes:
        late: it has no value before the loop; the body assigns it before it reads it.
        entering: what the cell holds at the beginning of an iteration.
    """

    cell: Cell
    shape: Leaves
    leaves: list[_Leaf]
    late: bool = False
    entering: Any = None

    def is_run(self, leaf: _Leaf) -> bool:
        """Whether a leaf is the elements of a list, of which the run decides how many there are."""
        return any(self.leaves[i] is leaf for i in self.shape.runs)

    @property
    def drops(self) -> bool:
        """Whether no iteration hands it on: it holds an object that a graph cannot hold."""
        return self.late and isinstance(self.shape.shape, Static) and isinstance(self.shape.shape.value, Unbound)


@dataclass(slots=True)
class _Attempt:
    """One capture of the body."""

    block: Block
    lists: Growing
    region: Region
    lost: LostLists
    left: dict[Any, Any] = field(default_factory=dict)  # the objects in the cells that have got others
    condition: Value | None = None
    after: dict[Any, tuple[Cell, Any]] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    result: Any = None
    handed_on: list[Any] = field(default_factory=list)  # what is carried, as it is at the end of the body
    kept: Kept | None = None


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
        self.lists: dict[int, SymList] = {}  # those whose elements are carried, by `id`
        self.lost: LostLists | None = None  # what the body changes of lists that it may not name
        self.left: dict[Any, Any] = {}  # what the last attempt has left in the cells
        self.found: list[tuple[Any, _Leaf]] = []  # what the iteration finds on the tape
        self.asked: list[tuple[Any, Any, Location | None]] = []  # of that, whose gradients are asked for together
        self.pairs: dict[int, Pair] = {}  # gradients that are there in some iterations, by the tensors' `id`
        self.sizes = CarriedSizes(tracer)
        self.sharing = CarriedSharing(self.regions, self.location)
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
            attempt = self._attempt_with_lists()
            if attempt is not None:
                try:
                    if self._holds(attempt):
                        return self._finish(attempt)
                except BaseException:
                    if attempt.block.parent is None:
                        discard(attempt.block)
                    raise
                self.left = attempt.left
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

    def _attempt_with_lists(self) -> _Attempt | None:
        """An attempt; None where it shows that the loop must carry a list."""
        try:
            return self._attempt()
        except CarriedList as found:
            outer = self.tracer.lists_growing
            if outer is not None and outer.has_to_carry(found.list):
                raise
            self.lists[id(found.list)] = found.list
            return None

    def _attempt(self) -> _Attempt:
        tracer = self.tracer
        block = Block(tracer.graph, [INT], ["i"])
        lost = LostLists(self.regions.sharing.lost_lists, self.regions.depth)
        if self.lost is not None:
            self.lost.put_back()
        self.found, self.asked = [], []
        reach, before, lists = Reach(self.functions), self.names.get(), tracer.lists_growing
        try:
            with self.regions.enter(block, conditional=False, hands_on=True) as region:
                attempt = _Attempt(block, Growing(self.regions.depth, lists, self.lists), region, lost)
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
            lost.take_back()
        try:
            self._refuse_freed(region)
            for change in attempt.changes:
                refuse_resizing(tracer, change, self._line_of)
        except CaptureError:
            discard(block)
            raise
        return attempt

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
        tracer, block = self.tracer, Block(self.tracer.graph, [INT], ["i"])
        reach, before, lists = Reach(self.functions), self.names.get(), tracer.lists_growing
        try:
            with self.regions.enter(block, conditional=False, hands_on=True):
                tracer.lists_growing = Growing(self.regions.depth, lists, self.lists)
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
            known = set(self.tracer.hints)
            found = self._asked_again(self.test)
            if isinstance(found, SymBool) and found.relation is not None:
                relation = SizeRelation(*found.relation)
                if relation.free_vars <= known:
                    self._suppose(*found.relation)

    def _asked_again(self, test: Callable[[], Any]) -> Any:
        """What a condition says, once more, with nothing left behind; None for one that changes something, which would
        say what holds one iteration later."""
        tracer, block = self.tracer, Block(self.tracer.graph)
        reach, before, lists = Reach((test,)), self.names.get(), tracer.lists_growing
        notes, assumed = len(tracer.ledger), len(tracer.graph.assumptions)
        try:
            with self.regions.enter(block, conditional=False, hands_on=True) as region:
                tracer.lists_growing = growing = Growing(self.regions.depth, lists, self.lists)
                found = test()
                changes = region.changed or region.gradients() or growing.growths or reach.has_changes()
                same = all(x is y for x, y in zip(self.names.get(), before, strict=True))
                return found if same and not changes else None
        finally:
            tracer.lists_growing = lists
            reach.restore()
            self.names.set(before)
            discard(block)
            del tracer.graph.assumptions[assumed:]
            tracer.forget_notes(notes)

    def _enter_values(self, block: Block) -> None:
        """Parameters for what is carried; the cells hold them."""
        self.sharing.lose()
        identities = Identities(self.regions.depth - 1, self.location)
        for identity, carried in self.carried.items():
            values = [self._entering(block, carried.cell, leaf) for leaf in carried.leaves]
            if carried.late:
                continue
            if carried.cell.identity[0] == "tensor":
                self.regions.change(carried.cell.identity[2], values[0])
                continue
            entering, carried.entering = (carried.shape.rebuild(values) for _ in range(2))
            identities.add(entering, carried.cell.read())
            identities.add(entering, self.left.get(identity))
            carried.cell.write(entering)
        self._enter_sharing()
        identities.settle()

    def _enter_sharing(self) -> None:
        """What the parameters share with one another, and which have unknown contents."""
        tensors = self._tensors()
        # What is returned is not read in the loop, which runs only as long as nothing is.
        self.sharing.enter([leaf for carried, leaf in tensors if not (carried.late or carried.cell.is_returned)])
        for carried, leaf in tensors:
            if carried.late:
                continue
            if leaf.loss is not None:
                self.regions.lose(leaf.param, leaf.loss)
            if carried.is_run(leaf):
                note_kin(leaf.param, [leaf.start])

    def _tensors(self) -> list[tuple[_Carried, _Leaf]]:
        """The tensors that are carried under a name, or in an object."""
        found = [(c, leaf) for c in self.carried.values() for leaf in c.leaves if leaf.kind == "tensor"]
        return [(carried, leaf) for carried, leaf in found if carried.cell.identity[0] != "tensor"]

    def _entering(self, block: Block, cell: Cell, leaf: _Leaf) -> Any:
        tracer = self.tracer
        if leaf.derived is not None:
            return SymInt(leaf.derived, tracer)
        param = block.add_param(leaf.type, _parameter_name(cell.name))
        if leaf.kind == "int":
            example = 0 if leaf.start is None else hint(as_size(leaf.start), tracer.hints)
            return tracer.bind("k", param, example, leaf.low)
        found = self.regions.of_type(leaf.type)
        if leaf.recorded and mode.grad:
            enter_recorded(tracer, self.asked, found)
            self.found.append((found._node, leaf))
        leaf.param, leaf.value = (found, param) if leaf.kind == "tensor" else (None, None)
        return made_leaf(tracer, leaf.kind, found, param)

    def _note(self, attempt: _Attempt, region: Region, reach: Reach, before: tuple[Any, ...]) -> None:
        """What the body has changed."""
        for cell, old in zip(self.names.cells(), before, strict=True):
            value = settled(self.tracer, cell, cell.read(), self.location)
            self._note_value(attempt, cell, held(self.tracer, value, old, region), old)
        attempt.lists.end()
        attempt.lists.refuse_changed(region)
        attempt.result = held(self.tracer, attempt.result, None, region)
        for change in reach.changes():
            if id(change.place.owner) in self.lists:
                continue
            attempt.changes.append(change)
            cell = Cell(change.identity, change.path, change.read, change.write)
            self._note_value(attempt, cell, held(self.tracer, change.after, change.before, region), change.before)
        for one in reach.lists():
            if one.resizes and id(one.owner) not in self.lists:
                attempt.lists.carry(one.owner)
            if id(one.owner) in self.lists:
                cell = contents_of(one.owner, one.path)
                attempt.after[cell.identity] = cell, made_list(one.held(self.tracer, region).after, one.owner.line)
        for identity, (cell, after) in attempt.after.items():
            known = self.carried.get(identity)
            if known is not None and known.shape.runs and not known.late:
                attempt.after[identity] = cell, common(after, known.entering, self.outside)
        for base in region.changed.values():
            cell = self._contents(base)
            attempt.after[cell.identity] = cell, stand_in(base)
        for tensor, old, line in region.gradients():
            self._note_gradient(attempt, tensor, old, line, region)
        for identity, carried in self.carried.items():
            if identity not in attempt.after:
                attempt.after[identity] = carried.cell, carried.cell.read()
        if mode.grad:
            left = [attempt.result, *(after for _, after in attempt.after.values())]
            attempt.kept = Kept((x for value in left for x in Leaves(value).leaves), region.began)

    def _note_value(self, attempt: _Attempt, cell: Cell, value: Any, before: Any) -> None:
        """What the body leaves in a cell: lists and dicts as they are now, for they are put back."""
        if value is not before:
            attempt.left[cell.identity], value = value, contents_now(value)
        attempt.after[cell.identity] = cell, value

    def _note_gradient(self, attempt: _Attempt, tensor: Any, old: Any, line: Location | None, region: Region) -> None:
        """What the body leaves as a tensor's gradient; as two values where there is none before or afterwards."""
        self.tracer.gradients.stays(tensor, old)
        after, pair = held(self.tracer, tensor._grad, old, region), self.pairs.get(id(tensor))
        if pair is None and isinstance(old, TensorBase) and isinstance(after, TensorBase):
            cell = gradient_cell(self.tracer, tensor)
        else:
            if pair is None:
                pair = self.pairs[id(tensor)] = Pair(self.tracer, tensor, line)
                self.carried.pop(pair.cell().identity, None)
            cell, after = pair.cell(), pair.of(after)
        attempt.after[cell.identity] = cell, after

    def _contents(self, base: Any) -> Cell:
        regions = self.regions
        identity = ("tensor", id(base), base)
        return Cell(identity, "a tensor", lambda: stand_in(base), lambda new: regions.change(base, new))

    # -------------------------------------------------------------------------------------- what an attempt shows

    def _holds(self, attempt: _Attempt) -> bool:
        """Whether the attempt leaves behind what it assumed; what it shows is kept for the next one."""
        settled = attempt.lost.is_known_to(self.lost)
        self.lost = attempt.lost
        settled &= self.sharing.learn_losses(attempt.region)
        for identity, (cell, after) in attempt.after.items():
            if identity[0] == "tensor" and identity[1] in self.sharing.lost:
                self.carried.pop(identity, None)
                continue
            known = self.carried.get(identity)
            if known is not None:
                settled &= self._agrees(known, after)
            elif not self._same(cell.read(), after):
                self.carried[identity] = self._newly_carried(cell, after)
                settled = False
        return self.sharing.learn(self._given(attempt), attempt.region) and settled

    def _given(self, attempt: _Attempt) -> list[tuple[_Leaf, Any]]:
        """Each tensor that is carried under a name, or in an object, with what the body hands on for it, or None."""
        found: list[tuple[_Leaf, Any]] = []
        for identity, carried in self.carried.items():
            after = Leaves(attempt.after[identity][1])
            fits = identity[0] != "tensor" and after.shape == carried.shape.shape
            pairs = zip(carried.leaves, after.leaves if fits else [None] * len(carried.leaves), strict=True)
            found += [(leaf, given) for leaf, given in pairs if leaf.kind == "tensor" and identity[0] != "tensor"]
        return found

    def _same(self, before: Any, after: Any) -> bool:
        if before is after:
            return True
        if self.tracer.is_late(before):  # to compare it would be to use it
            return False
        if other_lists(after, before):
            return False
        a, b = Leaves(before), Leaves(after)
        return a.shape == b.shape and all(map(self._same_leaf, a.leaves, b.leaves))

    def _same_leaf(self, x: Any, y: Any) -> bool:
        if x is y:
            return True
        if leaf_kind(x) == "tensor":
            sharing = self.regions.sharing
            if sharing.loss_of(x) or sharing.loss_of(y) or base_of(x) is not base_of(y):
                return False
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
        found = _Carried(cell, shape, [self._leaf(x) for x in shape.leaves])
        self._agrees(found, after)
        if found.shape.shape != Leaves(after).shape:  # which has lists of other lengths
            return found
        for leaf, then in zip(found.leaves, Leaves(after).leaves, strict=True):
            if leaf.kind == "int":
                self._first_step(leaf, as_size(leaf.start), as_size(then))
        return found

    def _leaf(self, value: Any) -> _Leaf:
        return _Leaf(str(leaf_kind(value)), value, self._type(value), loss=self.regions.sharing.loss_of(value))

    def _type(self, value: Any) -> Type:
        """The type of what is carried, be its contents known or not."""
        with self.regions.sharing.handing_on():
            return leaf_type(self.tracer, value)

    def _first_step(self, leaf: _Leaf, start: Size, then: Size) -> None:
        """What the first iteration tells about an integer."""
        leaf.derived = self.sizes.known(start, then)
        if self.tracer.known(">=", then, start):
            leaf.low = start if isinstance(start, int) else bounds(start)[0]

    def _late(self, leaf: Any) -> _Leaf:
        """A leaf that has no value before the loop."""
        type_ = self._type(leaf)
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
            before = known.shape.rebuild(known.shape.leaves)
            if known.late or not same_but_for_lists(known.shape.shape, shape.shape):
                raise self._refusal(known.cell, before, after)
            known.shape = Leaves(common(before, after, self.outside))
            known.leaves = [self._leaf(x) for x in known.shape.leaves]
            return False
        same = [self._is_recorded_as(leaf, y) for leaf, y in zip(known.leaves, shape.leaves, strict=True)]
        lost = [self._loses(leaf, y) for leaf, y in zip(known.leaves, shape.leaves, strict=True)]
        if known.late:
            fits = [self._late_fits(leaf, y) for leaf, y in zip(known.leaves, shape.leaves, strict=True)]
            return all(fits)
        pairs = enumerate(zip(known.leaves, shape.leaves, strict=True))
        fits = [self._fits(known.cell, leaf, y, i in known.shape.runs) for i, (leaf, y) in pairs]
        return all(fits) and all(same) and not any(lost)

    def _late_fits(self, leaf: _Leaf, after: Any) -> bool:
        """Whether a leaf that has no value before the loop has the sizes that an earlier attempt has shown; a size that
        other variables have changed since is one of its own."""
        now, then = leaf.type, self._type(after)
        if not isinstance(now, TensorType) or not isinstance(then, TensorType) or len(now.sizes) != len(then.sizes):
            return True
        sizes = [
            p if p == q or self.sizes.is_one(p) else self.sizes.late()
            for p, q in zip(now.sizes, then.sizes, strict=True)
        ]
        leaf.type = now.with_(sizes=tuple(sizes))
        return bool(leaf.type == now)

    def _is_recorded_as(self, leaf: _Leaf, after: Any) -> bool:
        """Whether a leaf carries a gradient as it did before."""
        before = leaf.recorded
        leaf.recorded = before or is_recorded(leaf.start) or is_recorded(after)
        return leaf.recorded == before

    def _loses(self, leaf: _Leaf, after: Any) -> bool:
        """Whether an iteration hands on unknown contents, which was not known."""
        loss = self.regions.sharing.loss_of(after)
        if loss is None or leaf.loss is not None:
            return False
        leaf.loss = loss
        return True

    def _fits(self, cell: Cell, leaf: _Leaf, after: Any, is_run: bool) -> bool:
        if leaf.kind == "int":
            return self._int_fits(leaf, as_size(after))
        now, then = leaf.type, self._type(after)
        if now == then:  # the key of a random state, among others
            return True
        assert isinstance(now, TensorType) and isinstance(then, TensorType)
        if then.dtype is not now.dtype or len(then.sizes) != len(now.sizes):
            raise self._refusal(cell, leaf.start, after)
        start = self._type(leaf.start)
        assert isinstance(start, TensorType)
        sizes = tuple(map(self.sizes.following, now.sizes, start.sizes, then.sizes))
        if is_run:
            self.sizes.counts_elements(sizes[0])
            if sizes[1:] != start.sizes[1:]:
                raise self._changing_sizes(str(then.with_(sizes=then.sizes[1:])))
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
        leaves = self._yielded()
        growths = [growth for growth in attempt.lists.growths.values() if growth.items]
        stacked = [item for growth in growths for item in growth.stacked()]
        result = Leaves(attempt.result)
        stacked += result.leaves
        with self.regions.writing_to(block):
            attempt.handed_on = self._after(attempt)
            self._refuse_depending(leaves, attempt)
            with self.regions.sharing.handing_on():
                yielded = [leaf_value(tracer, after) for after in attempt.handed_on]
            rows = [tracer.value_of(as_row(item)) for item in stacked]
            assert attempt.condition is not None
            block.set_returns([attempt.condition, *yielded, *rows], self.location)
        with self.regions.keeping():
            inputs = [self._trips(), leaf_value(tracer, truth(self.first))]
            given = [self._start(leaf) for leaf in leaves]
            with self.regions.sharing.handing_on():
                starts = [leaf_value(tracer, start) for start in given]
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
        self._refuse_changed_elements(growths, attempt)
        made = self._leave_values(node, results, leaves, renamed, attempt)
        attempt.lost.put_back()
        return result.rebuild(self._leave_stacks(node, results, growths, result.leaves, made, attempt))

    def _yielded(self) -> list[_Leaf]:
        """The leaves that each iteration hands on."""
        return [leaf for c in self.carried.values() if not c.drops for leaf in c.leaves if leaf.derived is None]

    def _refuse_depending(self, leaves: Sequence[_Leaf], attempt: _Attempt) -> None:
        """Gradients of several values that an iteration finds: one must not be computed from another before it."""
        after = {id(leaf): value for leaf, value in zip(leaves, attempt.handed_on, strict=True)}
        of_node = {id(node): leaf for node, leaf in self.found}
        for first, second, line in self.asked:
            pair = of_node[id(first)], of_node[id(second)]
            for x, y in ([leaf.start for leaf in pair], [after.get(id(leaf)) for leaf in pair]):
                if is_recorded(x) and is_recorded(y) and (depends(x, y) or depends(y, x)):
                    raise CaptureError(
                        "gradients of several values from the iteration before, one of which is computed from another",
                        expected="values that are computed each on its own",
                        location=line,
                        context=self.tracer.context,
                        advice="ask for the gradient of one of them, or detach() them where they are computed",
                    )

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

    def _outgoing(self, type_: Type, renamed: dict[str, SizeExpr]) -> Type:
        if not isinstance(type_, TensorType):
            return type_
        return type_.with_(sizes=tuple(substitute(size, renamed) for size in type_.sizes))

    def _stack_type(self, type_: Type, trips: Size, renamed: dict[str, SizeExpr]) -> Type:
        assert isinstance(type_, TensorType)
        sizes = type_.sizes
        if any(self._inner(size) for size in sizes):
            raise self._changing_sizes(str(type_))
        count = as_size(self.count) if self.count is not None and self.test is None else trips
        return type_.with_(sizes=(count, *sizes))

    def _changing_sizes(self, found: str) -> CaptureError:
        return list_refused(
            "a list that grows in a loop gets elements of changing sizes",
            "elements of one size, which is known before the loop",
            "pad the elements to one size, or join them with ingot.cat along the changing dimension",
            self.location,
            [found],
        )

    def _leave_values(
        self,
        node: Node,
        results: Sequence[Any],
        leaves: Sequence[_Leaf],
        renamed: dict[str, SizeExpr],
        attempt: _Attempt,
    ) -> list[Any]:
        tracer = self.tracer
        made = []
        for leaf, tensor, output in zip(leaves, results, node.outputs, strict=False):
            made.append(made_leaf(tracer, leaf.kind, tensor, output, "k", leaf.low))
        captured = record_control(tracer, node, made, recorded=[leaf.recorded for leaf in leaves])
        hide_leaves(tracer, made, list(zip([leaf.start for leaf in leaves], attempt.handed_on, strict=True)))
        for leaf, output in zip(leaves, made, strict=True):
            if leaf.loss is not None:
                self.regions.lose(output, leaf.loss)
        self.sharing.lose()
        by_leaf = {id(leaf): value for leaf, value in zip(leaves, made, strict=True)}
        identities = Identities(self.regions.depth, self.location)
        for identity, carried in self.carried.items():
            values = [
                by_leaf[id(leaf)] if leaf.derived is None else SymInt(renamed[str(leaf.derived)], tracer)
                for leaf in carried.leaves
            ]
            if carried.cell.identity[0] == "tensor" and self._is_left_alone(carried, attempt):
                continue
            left = self._left(carried, values)
            if identity[0] == "gradient" and id(identity[2]) in self.pairs and self._runs_surely():
                ends = zip(attempt.after[identity][1], left, strict=True)
                left = tuple(x if x is True or x is False else y for x, y in ends)
            identities.add(left, carried.cell.read())
            identities.add(left, attempt.left.get(identity))
            carried.cell.write(left)
        identities.settle()
        if captured is not None and attempt.kept is not None:
            given = [*zip(attempt.handed_on, made, strict=True), *((leaf.param, leaf.start) for leaf in leaves)]
            traced = [(x, y) for x, y in given if isinstance(x, TensorBase) and x._trace is not None]
            captured.keep(attempt.kept, [(x._trace[1], y) for x, y in traced])
        # Only now: what the loop changes is what it hands on where they share memory.
        self.sharing.hand_on(by_leaf)
        self._note_runs(by_leaf, dict(zip(map(id, leaves), attempt.handed_on, strict=True)))
        return made

    def _note_runs(self, made: dict[int, Any], handed_on: dict[int, Any]) -> None:
        """Elements of lists that may be one memory at the beginning, or after an iteration, may be at the end."""
        sharing = self.regions.sharing
        for carried, leaf in self._tensors():
            given = (leaf.start, handed_on.get(id(leaf))) if carried.is_run(leaf) else ()
            if any(isinstance(x, TensorBase) and sharing.is_one_memory(x) for x in given):
                sharing.one_memory(made[id(leaf)], self.location)

    def _runs_surely(self) -> bool:
        """Whether there is an iteration, as far as is known."""
        return self.first is True and (self.count is None or self.tracer.known(">=", as_size(self.count), 1) is True)

    def _is_left_alone(self, carried: _Carried, attempt: _Attempt) -> bool:
        """Whether the body changes a tensor under a name alone that it lets stand for another one afterwards.

        Then the first iteration changes the tensor itself, and the others do not: who uses it later is refused.
        """
        [leaf] = carried.leaves
        base = carried.cell.identity[2]
        param = leaf.param._trace[1]
        if attempt.after[carried.cell.identity][1]._trace[1] is not param:
            return False
        self.regions.lose(base, Loss(self.regions.first_write(base) or self.location, self.location))
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
        self,
        node: Node,
        results: Sequence[Any],
        growths: Sequence[Growth],
        result: Sequence[Any],
        made: Sequence[Any],
        attempt: _Attempt,
    ) -> list[Any]:
        """Lists get what the loop has appended; gives what is left, the stacked results."""
        tracer, at = self.tracer, len(made)
        stacks = []
        for tensor, output in zip(results[at:], node.outputs[at:], strict=True):
            stacks.append(made_leaf(tracer, "tensor", tensor, output))
        record_control(tracer, node, stacks, at)
        for growth in growths:
            count = len(growth.stacked())
            parts, stacks = stacks[:count], stacks[count:]
            whole = in_turn(parts[: len(growth.items)])
            self._note_stacked([whole] * len(growth.items), growth.items, made, attempt)
            growth.leave(whole, in_turn(parts[len(growth.items) :]))
        self._note_stacked(stacks, result, made, attempt)
        return stacks

    def _note_stacked(
        self, stacks: Sequence[Any], items: Sequence[Any], made: Sequence[Any], attempt: _Attempt
    ) -> None:
        """What is stacked may be tensors from outside of the loop, or what it carries, in one iteration or in many."""
        sharing, seen = self.regions.sharing, set[int]()
        starts = {id(x.param): x.start for c in self.carried.values() for x in c.leaves if x.param is not None}
        for stack, item in zip(stacks, items, strict=True):
            if not isinstance(item, TensorBase):
                continue
            kin = sharing.sources(item)
            outside = [x for x in kin if id(x) in starts or self.regions.visible(x)]
            if outside or not seen.isdisjoint(map(id, kin)):
                sharing.one_memory(stack, self.location)
            seen.update(map(id, kin))
            for other in outside:
                sharing.perhaps(stack, starts.get(id(other), other), self.location)
            for output, given in zip(made, attempt.handed_on, strict=True):
                if isinstance(given, TensorBase) and not seen.isdisjoint(map(id, sharing.sources(given))):
                    sharing.perhaps(stack, output, self.location)
            loss = self.sharing.loss_of_rows(item, attempt.region)
            if loss is not None:
                self.regions.lose(stack, loss)

    def _refuse_changed_elements(self, growths: Sequence[Growth], attempt: _Attempt) -> None:
        """What an iteration appends to a list, the next one may not change in place.

        Raises:
            CaptureError: where it does.
        """
        sharing = self.regions.sharing
        leaves = self._yielded()
        for growth in growths:
            listed = {id(x) for item in growth.items if isinstance(item, TensorBase) for x in sharing.sources(item)}
            self._refuse_changed_in(listed, leaves, attempt, growth.location)
        for carried in self.carried.values():
            if carried.cell.identity[0] == "list":
                for run in Leaves(attempt.after[carried.cell.identity][1]).leaves:
                    self._refuse_changed_in({id(x) for x in sharing.sources(run)}, leaves, attempt, None)

    def _refuse_changed_in(
        self, listed: set[int], leaves: Sequence[_Leaf], attempt: _Attempt, location: Location | None
    ) -> None:
        for leaf, after in zip(leaves, attempt.handed_on, strict=True):
            if not leaf.is_changed or not isinstance(after, TensorBase):
                continue
            if not listed.isdisjoint(map(id, self.regions.sharing.sources(after))):
                raise list_refused(
                    "a loop appends a tensor to a list, and changes it in place in the next iteration",
                    "a tensor of its own for each iteration",
                    "append a clone()",
                    location or self.regions.first_write(leaf.param) or self.location,
                )

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
