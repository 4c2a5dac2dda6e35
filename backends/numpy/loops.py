"""`prim::Loop` in source.

A loop keeps each carried value in memory of its own, which an iteration may compute its new value in as soon as nothing
needs the old one. Numbers, keys and tensors whose sizes no plan knows are carried in Python variables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...ir.graph import Block, Node, Value
from ...ir.types import TensorType
from .branches import kept, outlined
from .emitter import Emitter
from .seats import Seat, Storage
from .text import dtype_text

__all__ = ["emit_loop"]


def emit_loop(e: Emitter, node: Node) -> Iterator[Block]:
    """Write a `prim::Loop`; hands out its block, to go on when that is written."""
    (trips,), condition = e.texts(node.inputs[:1]), e.decides(node.inputs[1])
    block = node.blocks[0]
    count = len(node.inputs) - 2
    carried = [_Carried(e, node, i) for i in range(count)]
    for item in carried:
        item.begin()
    stacks = [_Stack(e, output) for output in node.outputs[count:]]
    for stack in stacks:
        stack.begin()
    always = condition == "True" and _is_true(block.returns[0])
    flag = ""
    if not always:
        flag = e.assign(e.names.new("v"), _as_bool(condition))
    index = e.names.new("v")
    e.function.assigned.add(index)
    e.line(f"for {index} in range({trips}):", node)
    with e.indented():
        if not always:
            e.line(f"if not {flag}: break")
        with outlined(e) as results:
            yield from _iteration(e, block, carried, stacks, index, flag)
            results.extend(item.name for item in carried if item.storage is None)
            if flag:
                results.append(flag)
    for item in carried:
        item.end()
    for stack in stacks:
        stack.end()
    e.position += 1


def _as_bool(text: str) -> str:
    return text if text in ("True", "False") else f"bool({text})"


def _is_true(value: Value) -> bool:
    return value.node is not None and value.node.op.name == "prim::Constant" and value.node.attrs["value"] is True


def _iteration(
    e: Emitter, block: Block, carried: Sequence[_Carried], stacks: Sequence[_Stack], index: str, flag: str
) -> Iterator[Block]:
    e.seat_loose(block.params[0], index, fresh=False)
    known = dict(e.sizes)
    for item, param in zip(carried, block.params[1:], strict=True):
        item.enter(param)
    returns = block.returns
    next_carried = returns[1 : 1 + len(carried)]
    for item, value in zip(carried, next_carried, strict=True):
        own = value.node is not None and value.node.block is block
        if item.storage is not None and own and returns.count(value) == 1:
            e.targets[value] = item.storage
    yield block
    for stack, value in zip(stacks, returns[1 + len(carried) :], strict=True):
        stack.add(value, index)
    _hand_over(e, carried, next_carried, returns[0] if flag else None, flag)
    assert block.terminator is not None
    e.release(block.terminator)
    e.sizes = known


def _hand_over(
    e: Emitter, carried: Sequence[_Carried], values: Sequence[Value], condition: Value | None, flag: str
) -> None:
    """Give the next iteration its values, all at once: none is overwritten before it is read."""
    moving = [
        (item, value)
        for item, value in zip(carried, values, strict=True)
        if item.storage is not None and not (e.seats[value].storage is item.storage and e.seats[value].whole)
    ]
    written = {item.storage for item, _ in moving}
    copies = []
    for item, value in moving:
        seat, text = e.seats[value], e.seats[value].text
        if seat.storage in written:
            (text,) = e.scratch([value.type])  # type: ignore[list-item]
            e.line(f"np.copyto({text}, {seat.text})")
        assert item.storage is not None
        copies.append(f"np.copyto({item.storage.name}, {text})")
    names = [item.name for item in carried if item.storage is None]
    texts = [kept(e, v, item.output) for item, v in zip(carried, values, strict=True) if item.storage is None]
    if condition is not None:
        names.append(flag)
        texts.append(e.seats[condition].scalar or _as_bool(e.seats[condition].text))
    if names:
        e.function.assigned.update(names)
        e.line(f"{', '.join(names)} = {', '.join(texts)}")
    for line in copies:
        e.line(line)


class _Carried:
    """One carried value of a loop: in a storage of its own, or in a Python variable."""

    def __init__(self, e: Emitter, node: Node, i: int) -> None:
        self.e = e
        self.node = node
        self.initial = node.inputs[2 + i]
        self.output = node.outputs[i]
        self.storage: Storage | None = None
        self.name = ""

    def begin(self) -> None:
        """Put the initial value in place."""
        e, type_ = self.e, self.output.type
        seat = e.seats[self.initial]
        if not isinstance(type_, TensorType) or self.output in e.scalars or not e.is_planned(type_.sizes):
            self.name = e.assign(e.names.new("v"), kept(e, self.initial, self.output))
            return
        target = e.target(self.output)
        own = seat.storage
        if target is None and own is not None and self._takes_over(own, seat):
            self.storage = own
        else:
            self.storage = target or e.storage(type_)
            e.line(f"np.copyto({self.storage.name}, {seat.text})", self.node)

    def _takes_over(self, storage: Storage, seat: Seat) -> bool:
        """Whether the initial value's memory can carry on: nothing else is in it, and nothing reads it again."""
        alone = storage.holders == {self.initial} and self.initial.use_count == 1
        same = storage.dtype is self.output.type.dtype and storage.sizes == self.output.type.sizes  # type: ignore[attr-defined]
        ours = seat.whole and not storage.result and not storage.external
        return alone and same and ours and self.initial in self.e.dying.get(self.node, ())

    def enter(self, param: Value) -> None:
        """Seat the block's parameter."""
        if self.storage is None:
            return self.e.seat_variable(param, self.name)
        self.storage.holders.discard(self.initial)
        self.e.sit(param, self.storage)
        if not param.use_count:
            self.storage.holders.discard(param)

    def end(self) -> None:
        """Seat the loop's output."""
        if self.storage is None:
            self.e.seat_variable(self.output, self.name)
        else:
            self.storage.holders.clear()
            self.storage.last = self.e.position + 1
            self.e.sit(self.output, self.storage)


class _Stack:
    """One stacked output of a loop: rows of an array, or a list where the number of iterations is not known."""

    def __init__(self, e: Emitter, output: Value) -> None:
        assert isinstance(output.type, TensorType)
        self.e = e
        self.output = output
        self.type = output.type
        self.storage: Storage | None = None
        self.name = ""

    def begin(self) -> None:
        if self.e.is_planned(self.type.sizes):
            self.storage = self.e.target(self.output) or self.e.storage(self.type)
        else:
            self.name = self.e.assign(self.e.names.new("v"), "[]")

    def add(self, value: Value, index: str) -> None:
        text = self.e.seats[value].text
        if self.storage is not None:
            self.e.line(f"{self.storage.name}[{index}] = {self.e.seats[value].scalar or text}")
        else:
            self.e.line(f"{self.name}.append({text}.copy())")

    def end(self) -> None:
        e = self.e
        if self.storage is not None:
            e.sit(self.output, self.storage)
            return
        # What nothing tells is a variable of the stack's own, and 0 where there is nothing to stack.
        inner = e.shape([size if e.is_known([size]) else 0 for size in self.type.sizes[1:]])
        empty = f"np.empty((0, *{inner}), {dtype_text(self.type.dtype)})"
        e.line(f"{self.name} = np.stack({self.name}) if {self.name} else {empty}", self.output.node)
        e.seat_loose(self.output, self.name, fresh=True)
        e.learn(self.output, self.name)
