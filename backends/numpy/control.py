"""What the graph's structure becomes: constants, sizes, containers, branches and loops.

Nested blocks are written in place, as Python's `if` and `for`, down to a depth at which Python itself would give
up; deeper ones become functions. What a branch yields is computed in the output's memory where it can be. A loop
keeps each carried value in memory of its own, which an iteration may compute its new value in as soon as nothing
needs the old one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np

from ...ir import philox
from ...ir.graph import Block, Node, Value
from ...ir.sizes import SizeExpr
from ...ir.types import TensorType, TupleType
from .emitter import Emitter, Function, Line
from .nodes import emit_group, emit_plain
from .seats import Seat, Storage
from .text import dtype_text, number, small_array

__all__ = ["emit_block", "emit_constant_array"]

_DEEPEST = 12  # Python allows 20 loops inside each other, and 100 levels of indentation


def emit_block(e: Emitter, block: Block) -> None:
    """Write a block's nodes and all that is nested in them. Its terminator is left to the caller.

    What writes a node with blocks hands each of them out, to go on when it is written: so nesting may be deeper than
    Python's stack.
    """
    running = [_nodes(e, block)]
    while running:
        inner = next(running[-1], None)
        if inner is None:
            running.pop()
        else:
            running.append(_nodes(e, inner))


def _nodes(e: Emitter, block: Block) -> Iterator[Block]:
    for node in block.nodes:
        e.position += 1
        plain = _STRUCTURE.get(node.op.name)
        if node.op.name in _NESTED:
            yield from _NESTED[node.op.name](e, node)
        elif plain is not None:
            plain(e, node)
        else:
            emit_plain(e, node)
        e.release(node)
    e.position += 1


# ---------------------------------------------------------------------------------------------------- plain structure


def _constant(e: Emitter, node: Node) -> None:
    value = node.attrs["value"]
    if isinstance(value, np.ndarray):
        e.seats[node.output] = Seat(emit_constant_array(e, value), static=True, contiguous=True)
    elif isinstance(value, SizeExpr):
        e.seat_loose(node.output, f"({e.size(value)})", fresh=False)
    else:
        e.seat_loose(node.output, "None" if value is None else _number_text(value), fresh=False)


def _number_text(value: bool | int | float) -> str:
    text = number(value)
    return f"({text})" if text.startswith("-") else text


def emit_constant_array(e: Emitter, value: np.ndarray) -> str:
    """The name of a constant array in the plan."""
    name = e.names.new("c")
    text = small_array(value)
    if text is None:
        e.constants[name] = value
        text = f'constants["{name}"]'
    return e.plan_line(name, text)


def _size(e: Emitter, node: Node) -> None:
    value = node.attrs["value"]
    e.seat_loose(node.output, f"({e.size(value)})" if isinstance(value, SizeExpr) else str(value), fresh=False)


def _bind(e: Emitter, node: Node) -> None:
    e.bind(str(node.attrs["variable"]), f"int({e.seats[node.inputs[0]].text})")


def _split(e: Emitter, node: Node) -> None:
    names = [e.names.new("v") for _ in node.outputs]
    e.function.assigned.update(names)
    e.line(f"{', '.join(names)} = {e.embed(philox.split)}({e.seats[node.inputs[0]].text})", node)
    for value, name in zip(node.outputs, names, strict=True):
        e.seat_loose(value, name, fresh=True)


def _container(e: Emitter, node: Node) -> None:
    """A tuple or list of copies: what it holds must outlast the memory that its values are computed in."""
    copied = e.helper("copied")
    is_tuple = isinstance(node.output.type, TupleType)
    items = "".join(f"{copied}({text}), " for text in e.texts(node.inputs))
    name = e.assign(e.names.new("v"), f"({items})" if is_tuple else f"[{items}]", node)
    e.seat_loose(node.output, name, fresh=False)


def _untuple(e: Emitter, node: Node) -> None:
    names = [e.names.new("v") for _ in node.outputs]
    e.function.assigned.update(names)
    e.line(f"{', '.join(names)}, = {e.seats[node.inputs[0]].text}" if names else "pass", node)
    for value, name in zip(node.outputs, names, strict=True):
        e.seat_loose(value, name, fresh=False)


def _group(e: Emitter, node: Node) -> None:
    block = node.blocks[0]
    inputs = list(zip(block.params, node.inputs, strict=True))
    nodes = []
    for inner in block.nodes:
        if inner.op.name != "prim::Constant":
            nodes.append(inner)
        elif isinstance(inner.attrs["value"], np.ndarray):
            e.seats[inner.output] = Seat(emit_constant_array(e, inner.attrs["value"]), static=True, contiguous=True)
            inputs.append((inner.output, inner.output))
    emit_group(e, node, inputs, nodes, block.returns)


# --------------------------------------------------------------------------------------------------------- branches


def _if(e: Emitter, node: Node) -> Iterator[Block]:
    condition = e.seats[node.inputs[0]].text
    storages = [_storage_for(e, value) for value in node.outputs]
    names = [e.names.new("v") if storage is None else "" for storage in storages]
    e.line(f"if {condition}:", node)
    yield from _branch(e, node.blocks[0], storages, names)
    e.line("else:")
    yield from _branch(e, node.blocks[1], storages, names)
    for value, storage, name in zip(node.outputs, storages, names, strict=True):
        if storage is not None:
            e.sit(value, storage)
        else:
            e.function.assigned.add(name)
            e.seat_loose(value, name, fresh=False)
            e.learn(value, name)


def _storage_for(e: Emitter, value: Value) -> Storage | None:
    """Memory for what several blocks may write; None where a Python variable does."""
    type_ = value.type
    if not isinstance(type_, TensorType) or not e.is_planned(type_.sizes):
        return None
    return e.target(value) or e.storage(type_)


def _branch(e: Emitter, block: Block, storages: Sequence[Storage | None], names: Sequence[str]) -> Iterator[Block]:
    returns = block.returns
    for value, storage in zip(returns, storages, strict=True):
        if storage is not None and returns.count(value) == 1 and value.node is not None and value.node.block is block:
            e.targets[value] = storage
    with e.indented(), _outlined(e) as function:
        known = dict(e.sizes)
        yield block
        for value, storage, name in zip(returns, storages, names, strict=True):
            seat = e.seats[value]
            if storage is None:
                e.assign(name, _kept(e, value))
            elif seat.storage is not storage or not seat.whole:
                e.line(f"np.copyto({storage.name}, {seat.text})")
        if block.terminator is not None:
            e.release(block.terminator)
        e.sizes = known
        function.extend(name for name in names if name)


def _kept(e: Emitter, value: Value) -> str:
    """A value that goes into a Python variable: a copy, where it lies in memory that will be used again."""
    seat = e.seats[value]
    return f"{seat.text}.copy()" if seat.storage is not None else seat.text


class _outlined:
    """Writes a block that stands too deep as a function of its own; what is given to it are the names that the
    block assigns and that are needed outside."""

    def __init__(self, e: Emitter) -> None:
        self.e = e
        self.outer: Function | None = None
        self.visible: set[str] = set()
        self.results: list[str] = []

    def __enter__(self) -> list[str]:
        e = self.e
        if e.function.depth > _DEEPEST:
            self.outer, self.visible = e.function, e.visible
            e.visible = e.visible | e.function.assigned
            e.function = Function()
        return self.results

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self.outer is None or kind is not None:
            return
        e, inner = self.e, self.e.function
        e.function = self.outer
        name = f"block_{e.names.new('f')}"
        own = inner.assigned
        parameters = [n for n in inner.used() if n not in own and (n in e.plan_names or n in e.visible)]
        e.visible = self.visible
        changed = [n for n in dict.fromkeys(self.results) if n in own]
        # A variable that only some way through the block assigns keeps its value on the others.
        parameters += [n for n in changed if n in self.outer.assigned and n not in parameters]
        result = f"return {', '.join(changed)}," if changed else "return ()"
        lines = [Line(0, f"def {name}({', '.join(parameters)}):"), *inner.lines, Line(1, result)]
        e.kernels.append(lines)
        call = f"{name}({', '.join(parameters)})"
        e.function.assigned.update(changed)
        e.line(f"{', '.join(changed)}, = {call}" if changed else call)


# ------------------------------------------------------------------------------------------------------------ loops


def _loop(e: Emitter, node: Node) -> Iterator[Block]:
    trips, condition = e.texts(node.inputs[:2])
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
        with _outlined(e) as results:
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
    texts = [_kept(e, v) for item, v in zip(carried, values, strict=True) if item.storage is None]
    if condition is not None:
        names.append(flag)
        texts.append(_as_bool(e.seats[condition].text))
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
        if not isinstance(type_, TensorType) or not e.is_planned(type_.sizes):
            self.name = e.assign(e.names.new("v"), _kept(e, self.initial))
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
        return alone and same and seat.whole and not storage.result and self.initial in self.e.dying.get(self.node, ())

    def enter(self, param: Value) -> None:
        """Seat the block's parameter."""
        if self.storage is None:
            self.e.seat_loose(param, self.name, fresh=False)
            return
        self.storage.holders.discard(self.initial)
        self.e.sit(param, self.storage)
        if not param.use_count:
            self.storage.holders.discard(param)

    def end(self) -> None:
        """Seat the loop's output."""
        if self.storage is None:
            self.e.seat_loose(self.output, self.name, fresh=False)
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
            self.e.line(f"{self.storage.name}[{index}] = {text}")
        else:
            self.e.line(f"{self.name}.append({text}.copy())")

    def end(self) -> None:
        e = self.e
        if self.storage is not None:
            e.sit(self.output, self.storage)
            return
        inner = e.shape(self.type.sizes[1:])
        empty = f"np.empty((0, *{inner}), {dtype_text(self.type.dtype)})"
        e.line(f"{self.name} = np.stack({self.name}) if {self.name} else {empty}")
        e.seat_loose(self.output, self.name, fresh=True)
        e.learn(self.output, self.name)


_STRUCTURE: Final[dict[str, Callable[[Emitter, Node], None]]] = {
    "prim::Constant": _constant,
    "prim::Size": _size,
    "prim::Bind": _bind,
    "prim::Split": _split,
    "prim::Tuple": _container,
    "prim::List": _container,
    "prim::Untuple": _untuple,
    "prim::FusionGroup": _group,
}
_NESTED: Final[dict[str, Callable[[Emitter, Node], Iterator[Block]]]] = {"prim::If": _if, "prim::Loop": _loop}
