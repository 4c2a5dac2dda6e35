"""Regions of a capture that are imagined: the sides of a branch, the body of a loop.

Inside of a region nodes go to a block of their own, and nothing is computed: the place may not be reached by the
example, or many times. Tensors get the types that the ops infer, and memory of these sizes without contents. What a
region does to tensors from outside of it (in-place changes, draws from a generator) is noted, and undone at its end:
the caller makes it part of what the branch or loop yields.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from ...ir.block import Block
from ...ir.builder import Builder
from ...ir.errors import CaptureError, GradientError, IngotError
from ...ir.locations import Location, here
from ...ir.node import Node, Value
from ...ir.registry import Op
from ...ir.sizes import COMPARISONS, AssumingContext, SizeExpr, SizeRelation, evaluate, free_vars
from ...ir.types import TensorType
from ..dispatch import execute, link_view
from ..indexing import replay
from ..mode import mode
from ..storage import storage_of
from ..tape import Leaf
from ..tape_node import sequence
from ..tensor_base import wrap
from .sharing import Loss, Sharing, base_of

__all__ = ["Region", "Regions", "discard"]

_SLOTS: Final = ("_array", "_node", "_index", "_storage", "_base", "_chain", "_detached", "_trace")
_UNKNOWN_SIZE: Final = 2  # what a size is imagined to be that only a run could tell


class Region:
    """One region in progress.

    Attributes:
        block: where its nodes go.
        changed: tensors from outside that it has changed in place, by `id`.
        began: the number of the first node that it may put on the tape.
        freed: nodes of the tape from before it that it has walked and not retained, by `id`, with the line.
        lost: tensors from outside whose contents it has made unknown, by `id`, each with the reason.
        written: whatever it has changed in place, by `id`, each with the line that changes it first.
    """

    def __init__(self, block: Block) -> None:
        self.block = block
        self.changed: dict[int, Any] = {}
        self.lost: dict[int, tuple[Any, Loss]] = {}
        self.written: dict[int, tuple[Any, Location | None]] = {}
        self._kept: set[int] = set()
        self._before: list[tuple[Any, dict[str, Any]]] = []
        self._ends: dict[int, tuple[Any, dict[str, Any]]] = {}
        self._views: list[weakref.ref[Any]] = []
        self._gradients: dict[int, tuple[Any, Any, Location | None]] = {}
        self.began = next(sequence)
        self.freed: dict[int, tuple[Any, Location | None]] = {}
        self._derived: list[tuple[Any, Any]] = []

    def derived(self, view: Any) -> None:
        """A view from outside, which nothing has used so far, is about to be derived from what it views, inside."""
        self._derived.append((view, view._trace))

    def before_write(self, base: Any) -> None:
        """A tensor is about to be changed in place."""
        if self._keep(base):
            self.changed[id(base)] = base

    def before_loss(self, base: Any, loss: Loss) -> None:
        """The contents of a tensor are about to be unknown."""
        if self._keep(base):
            self.changed.pop(id(base), None)
            self.lost.setdefault(id(base), (base, loss))

    def _keep(self, base: Any) -> bool:
        """Keep a tensor from outside, and the views on it, as they are before the region's first change; gives whether
        it is from outside."""
        if id(base) in self._kept:
            return True
        if base._trace[1].block is self.block:
            return False
        self._kept.add(id(base))
        for tensor in (base, *([] if base._storage is None else base._storage.aliases)):
            self._before.append((tensor, {slot: getattr(tensor, slot) for slot in _SLOTS}))
        return True

    def has_touched(self, tensor: Any) -> bool:
        """Whether it has changed the contents of a tensor from outside, or made them unknown."""
        return id(base_of(tensor)) in self.changed or id(base_of(tensor)) in self.lost

    def before_gradient(self, tensor: Any) -> None:
        """Keep a tensor's gradient as it is before the region's first change."""
        self._gradients.setdefault(id(tensor), (tensor, tensor._grad, here()))

    def gradients(self) -> list[tuple[Any, Any, Location | None]]:
        """Tensors from outside whose gradient is another one now, with the one before and the line of the first
        change."""
        found = [entry for entry in self._gradients.values() if entry[0]._grad is not entry[1]]
        return [entry for entry in found if id(base_of(entry[0])) in self.changed or self._is_outside(entry[0])]

    def _is_outside(self, tensor: Any) -> bool:
        return tensor._trace is None or tensor._trace[1].block is not self.block

    def check_gradients(self, context: str) -> None:
        """Gradients must be as they were before.

        Raises:
            CaptureError: when the region leaves one behind.
        """
        for tensor, before, location in self._gradients.values():
            if tensor._grad is not before:
                raise CaptureError(
                    "a gradient is left behind in a branch or loop that the run decides",
                    expected="backward() behind it, or gradients that are None again at its end",
                    location=location,
                    context=context,
                    advice="take them with ingot.autograd.grad(...), which leaves nothing behind",
                )

    def add_view(self, view: Any) -> None:
        """A view was made inside."""
        self._views.append(weakref.ref(view))

    def at_end(self, tensor: Any) -> Any:
        """A tensor as the region has left it; itself where the region has not changed it."""
        if id(tensor) not in self._ends:
            return tensor
        found = wrap(None)
        for slot, value in self._ends[id(tensor)][1].items():
            setattr(found, slot, value)
        found._base, found._storage, found._chain = base_of(tensor), None, ()
        return found

    def undo(self) -> None:
        """Put the tensors from outside back, and let them go without the views that were made inside: these are derived
        by what only the inside knows, such as the number of an iteration."""
        for tensor, gradient, _ in self._gradients.values():
            tensor._grad = gradient
        for view, trace in self._derived:
            view._trace = trace
        for tensor, slots in self._before:
            self._ends.setdefault(id(tensor), (tensor, {slot: getattr(tensor, slot) for slot in _SLOTS}))
            for slot, value in slots.items():
                setattr(tensor, slot, value)
        views = [view for ref in self._views if (view := ref()) is not None and view._storage is not None]
        ids = {id(view) for view in views}
        for storage in {id(view._storage): view._storage for view in views}.values():
            storage.forget_views(ids)


class Regions:
    """The regions that a tracer is in.

    Attributes:
        depth: how many; 0 where ops are computed.
        conditional: whether one of them is a side of a branch, which may not be reached.
        watching: whether operands from outside are to be remembered.
    """

    def __init__(self, tracer: Any) -> None:
        self._tracer = tracer
        self.stack: list[Region] = []
        self.conditional = False
        self.watching = False
        self.operands: list[tuple[Any, Value]] | None = None  # where to note operands that nothing is computed from
        self.sharing = Sharing(tracer)
        self._written: dict[int, tuple[weakref.ref[Any], Location | None]] = {}
        self.catching: list[Any] = []  # for each `try` that is in progress, a function for what it catches
        self.inner_sizes: set[str] = set()  # variables that only the inside of a region binds
        self._arrays: dict[Value, Any] = {}
        self.freed: dict[int, tuple[Any, Location | None]] = {}  # what branches have walked, or not, as the run decides
        self.targets: Any = None  # what the walk that is in progress looks for
        self.unread: set[Value] = set()  # what is named as the argument of a gradient, and need not be there
        self._on_tape: dict[Value, tuple[Any, int]] = {}

    @property
    def depth(self) -> int:
        return len(self.stack)

    def first_write(self, base: Any) -> Location | None:
        """The line that first changed a tensor in a region."""
        found = self._written.get(id(base))
        return found[1] if found is not None and found[0]() is base else None

    def visible(self, tensor: Any) -> bool:
        """Whether a tensor is there without the region that has just ended."""
        if not self._tracer.is_traced(tensor):
            return True
        value = tensor._trace[1]
        if value.node is not None and value.node.block is None:  # of an attempt that was given up
            return False
        block = value.block
        return block is self._tracer.graph.block or any(block is region.block for region in self.stack)

    def before_write(self, base: Any) -> None:
        """A tensor is about to be changed in place."""
        for other, location in self.sharing.endangered(base):
            self.lose(other, Loss(here(), location))
        if self.stack:
            if id(base) not in self.stack[-1].written:
                line = here()
                if self.first_write(base) is None:
                    self._written[id(base)] = weakref.ref(base), line
                for region in self.stack:
                    region.written.setdefault(id(base), (base, line))
            self.stack[-1].before_write(base)

    def lose(self, tensor: Any, loss: Loss) -> None:
        """The contents of a tensor, and of the views on it, are unknown from here on.

        Raises:
            CaptureError: for a tensor from outside of the program, whose contents somebody else may read.
        """
        tracer, base = self._tracer, base_of(tensor)
        if not self.visible(base) or self.sharing.loss_of(base) is not None:
            return
        if tracer.is_from_outside(base):
            tracer.refuse(self.sharing.refusal(loss))
        if self.stack:
            self.stack[-1].before_loss(base, loss)
        storage = storage_of(base)
        for one in (*{id(view): view for view in storage.aliases}.values(), base):
            self.sharing.unknown(one, loss)
        self.sharing.lose_memory(storage, loss)

    def before_gradient(self, tensor: Any) -> None:
        """A tensor's gradient is about to be changed."""
        if self.stack:
            self.stack[-1].before_gradient(tensor)

    def before_rebind(self, target: Any, value: Any) -> None:
        """A tensor is about to take on another's memory.

        Raises:
            CaptureError: inside of a region, where the run would decide with whom it shares its memory.
        """
        self._tracer.user_gradients.written(target)
        if not self.stack:
            if self._tracer.is_external(target):
                self.sharing.perhaps(target, value, here())
            return
        inside = self.stack[-1].block
        if target._trace[1].block is inside:
            return
        views = [] if target._storage is None else target._storage.aliases
        if target._base is not None or views or value._trace[1].block is not inside:
            raise CaptureError(
                "a tensor takes on other memory in a branch or loop",
                expected="memory that is made there, for a tensor that shares none with another",
                location=here(),
                context=self._tracer.context,
                advice="copy the elements: y.copy_(...) in place of y.data = ...",
            )

    def used(self, tensor: Any, value: Value) -> Value:
        """A tensor is an operand inside of a region: its elements are needed to run the region afterwards."""
        if self.operands is None:
            self._arrays.setdefault(value, tensor._array)
        else:
            self.operands.append((tensor, value))
        if tensor._node is not None:
            self._on_tape.setdefault(value, (tensor._node, tensor._index))
        return value

    def before_walk(self, node: Any) -> None:
        """A node of the tape is about to be gone back through.

        Raises:
            GradientError: when it was freed, or may have been in a branch.
        """
        found = next((r.freed[id(node)] for r in self.stack if id(node) in r.freed), self.freed.get(id(node)))
        if found is not None:
            raise GradientError(
                "backward: the tape was already walked and has been freed, in a branch or before",
                found=f"a backward() at {found[1]}",
                location=here(),
                context=self._tracer.context,
                advice="pass retain_graph=True to the first backward()",
            )

    def release(self, node: Any) -> None:
        """A node has been gone back through, and nobody has asked to retain it. Inside of a region one from outside
        stays, for who goes another way."""
        if self.stack and node.sequence < self.stack[-1].began:
            self.stack[-1].freed[id(node)] = node, here()
        else:
            node.release()

    def walked(self, region: Region) -> None:
        """Whether what a side of a branch has walked is freed is the run's decision."""
        (self.stack[-1].freed if self.stack else self.freed).update(region.freed)

    def keep_place(self, value: Value, tensor: Any) -> None:
        """Where the gradient of a value goes: to a tensor's place on the tape."""
        self.keep_place_at(value, tensor._node, tensor._index)

    def keep_place_at(self, value: Value, node: Any, index: int) -> None:
        """The same, of a node on the tape and the number of its output."""
        self._on_tape.setdefault(value, (node, index))

    def let_go(self) -> None:
        """Let go of every tensor: nothing more will be run."""
        self.freed.clear()
        self._arrays.clear()
        self._on_tape.clear()

    def on_tape(self, value: Value) -> tuple[Any, int] | None:
        """Where the gradient of an operand goes, if it has one."""
        return self._on_tape.get(value)

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Remember the elements of the operands that are asked for: a node with blocks is to read them."""
        before, self.watching = self.watching, True
        try:
            yield
        finally:
            self.watching = before

    @contextmanager
    def enter(
        self, block: Block, facts: Sequence[SizeRelation] = (), *, conditional: bool, hands_on: bool = False
    ) -> Iterator[Region]:
        """Capture into a block.

        Args:
            facts: relations of sizes that hold inside.
            conditional: whether it depends on the run if the block is executed.
            hands_on: whether the caller makes gradients that are left behind part of what the block yields.
        """
        tracer = self._tracer
        before = tracer.builder, tracer.sizes, self.conditional, self.watching
        tracer.builder = Builder(block)
        tracer.sizes = _Context(tracer, before[1], facts)
        self.conditional, self.watching = self.conditional or conditional, True
        region = Region(block)
        self.stack.append(region)
        try:
            yield region
            if not hands_on:
                region.check_gradients(tracer.context)
        finally:
            self.stack.pop()
            region.undo()
            tracer.builder, tracer.sizes, self.conditional, self.watching = before

    @contextmanager
    def writing_to(self, block: Block) -> Iterator[None]:
        """Add nodes to the end of a block, which has been captured already."""
        tracer = self._tracer
        before, tracer.builder = tracer.builder, Builder(block)
        watching, self.watching = self.watching, True
        self.stack.append(Region(block))
        try:
            yield
        finally:
            self.stack.pop()
            tracer.builder, self.watching = before, watching

    def change(self, base: Any, new: Any) -> None:
        """Let a tensor from outside, and the views on it, have a new value, in place."""
        tracer = self._tracer
        tracer.before_write(base)
        if not self.depth and new._array is not base._array:
            base._array[...] = new._array
        storage_of(base).version += 1
        _take_over(tracer, base, new)
        for alias in storage_of(base).aliases:
            if alias is not base:
                _take_over(tracer, alias, replay(base, alias._chain))

    # ------------------------------------------------------------------------------------------------- imagining

    def imagine(self, op: Op, inputs: Sequence[Any], types: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
        """Tensors of the types that an op's results have, without their elements.

        Views are made as always, so that they share the memory that they would share.
        """
        if op.view:
            return self._imagined_view(op, inputs, types, attrs)
        found = tuple([self.of_type(type_) for type_ in types])
        return found[0] if len(found) == 1 else found

    def _imagined_view(self, op: Op, inputs: Sequence[Any], types: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
        tracer = self._tracer
        grad, mode.grad, mode.tracer = mode.grad, False, None
        try:
            found = execute(op, inputs, attrs)
            for view in found if isinstance(found, tuple) else (found,):
                self.stack[-1].add_view(view)
            return found
        except (IngotError, IndexError, ValueError):  # an index that the imagined sizes do not have
            found = self.of_type(types[0])
            found._array = np.lib.stride_tricks.as_strided(
                inputs[0]._array.reshape(-1)[:1], found._array.shape, (0,) * found._array.ndim
            )
            link_view(found, inputs[0], op, attrs)
            self.stack[-1].add_view(found)
            return found
        finally:
            mode.grad, mode.tracer = grad, tracer

    def of_type(self, type_: Any) -> Any:
        """A tensor of a type, without its elements."""
        if not isinstance(type_, TensorType):
            return wrap(np.zeros(2, np.uint64))
        for size in type_.sizes:
            if isinstance(size, SizeExpr):
                self.imagine_sizes(size)
        shape = tuple(self._tracer._at_hints(size) for size in type_.sizes)
        return wrap(np.zeros(tuple(max(size, 0) for size in shape), type_.dtype.np))

    def imagine_sizes(self, size: SizeExpr) -> None:
        """Give the variables of a size an example that have none."""
        tracer = self._tracer
        for name in free_vars(size):
            if name not in tracer.hints:
                tracer.set_hints({name: _UNKNOWN_SIZE})
                self.inner_sizes.add(name)
                tracer._data_sizes.add(name)

    # ------------------------------------------------------------------------------------------------- running

    def run(self, node: Node) -> list[Any]:
        """The results of a node with blocks: computed where the capture computes, else imagined."""
        if self.depth:
            return [self.of_type(output.type) for output in node.outputs]
        from ...ir.interpreter import run_node

        hints = self._tracer.hints
        known = {name: value for name, value in hints.items() if name not in self.inner_sizes}
        results, sizes = run_node(node, self._array_of, known)
        self._tracer.set_hints({name: value for name, value in sizes.items() if name not in hints})
        found = [wrap(np.array(x)) for x in results]  # not an operand's own memory, where one is handed on
        self._arrays.update(zip(node.outputs, [x._array for x in found], strict=True))
        return found

    def run_behind(self, nodes: Sequence[Node], again: Sequence[Node]) -> None:
        """Compute nodes that were written without being computed.

        Args:
            again: nodes before them that have got further outputs meanwhile.
        """
        for node in () if self.depth else (*again, *nodes):
            self.run(node)

    def result(self, value: Value) -> Any:
        """A tensor of the elements that a value has in the example."""
        return self.of_type(value.type) if self.depth else wrap(np.asarray(self._array_of(value)))

    def _array_of(self, value: Value) -> Any:
        """What a value is in the example."""
        if value in self._arrays:
            return self._arrays[value]
        if value in self.unread:
            return self.of_type(value.type)._array
        node = value.node
        assert node is not None, f"%{value.name} was used without its elements being kept"
        if node.op.name in ("prim::Constant", "prim::Size"):
            found = node.attrs["value"]
            return evaluate(found, self._tracer.hints) if isinstance(found, SizeExpr) else found
        self.run(node)  # computed outside of regions, and not kept
        return self._arrays[value]


class _Context(AssumingContext):
    """Questions inside of a region: what holds outside holds here, but not the other way round."""

    def __init__(self, tracer: Any, outer: AssumingContext, facts: Sequence[SizeRelation]) -> None:
        known = [*outer.facts, *(fact for fact in facts if outer.known(fact.op, fact.left, fact.right) is None)]
        super().__init__(_agreeing(tracer.hints, facts), tracer._assume, known)
        self._outer = outer


def _agreeing(hints: Mapping[str, int], facts: Sequence[SizeRelation]) -> dict[str, int]:
    """Example sizes that agree with what holds in a region, where a change of one variable is enough for that."""
    found = dict(hints)
    for fact in facts:
        if fact.free_vars <= found.keys() and not _holds(fact, found):
            for name in sorted(fact.free_vars):
                changed = next((n for n in (2, 3, 1, 0, 4, 5, 7, 8) if _holds(fact, {**found, name: n})), None)
                if changed is not None:
                    found[name] = changed
                    break
    return found


def _holds(fact: SizeRelation, sizes: Mapping[str, int]) -> bool:
    try:
        return COMPARISONS[fact.op](evaluate(fact.left, sizes), evaluate(fact.right, sizes))
    except (IngotError, ZeroDivisionError):
        return False


def _take_over(tracer: Any, tensor: Any, new: Any) -> None:
    # A leaf can only have been changed where nothing was recorded, and stays one; so does what is cut off.
    if not isinstance(tensor._node, Leaf) and not tensor._detached:
        tensor._node, tensor._index = new._node, new._index
    tracer.adopt(tensor, new._trace)


def discard(block: Block) -> None:
    """Take a block that belongs to no node out of the graph's books."""
    if block.terminator is not None:
        block.terminator.set_inputs(())
    for node in reversed(list(block.nodes)):
        for inner in node.blocks:
            discard(inner)
        node.erase()
    while block.params:
        block.remove_param(len(block.params) - 1)
