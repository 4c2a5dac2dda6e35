"""`prim::If` in source, and what branches and loops share: blocks that stand too deep, and values for Python variables.

Nested blocks are written in place, down to a depth at which Python itself would give up; deeper ones become functions.
What a branch yields is computed in the output's memory where it can be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from ...ir.graph import Block, Node, Value
from ...ir.types import TensorType
from .emitter import Emitter, Function, Line
from .seats import Storage

__all__ = ["emit_if", "kept", "outlined"]

_DEEPEST: Final = 12  # Python allows 20 loops inside each other, and 100 levels of indentation


def emit_if(e: Emitter, node: Node) -> Iterator[Block]:
    """Write a `prim::If`; hands out its blocks, to go on when they are written."""
    condition = e.decides(node.inputs[0])
    storages = [_storage_for(e, value) for value in node.outputs]
    names = [e.names.new("v") if storage is None else "" for storage in storages]
    e.line(f"if {condition}:", node)
    yield from _branch(e, node, 0, storages, names)
    e.line("else:")
    yield from _branch(e, node, 1, storages, names)
    for value, storage, name in zip(node.outputs, storages, names, strict=True):
        if storage is not None:
            e.sit(value, storage)
        else:
            e.function.assigned.add(name)
            e.seat_variable(value, name)


def _storage_for(e: Emitter, value: Value) -> Storage | None:
    """Memory for what several blocks may write; None where a Python variable does."""
    type_ = value.type
    if not isinstance(type_, TensorType) or value in e.scalars or not e.is_planned(type_.sizes):
        return None
    return e.target(value) or e.storage(type_)


def _branch(
    e: Emitter, node: Node, which: int, storages: Sequence[Storage | None], names: Sequence[str]
) -> Iterator[Block]:
    block, outputs = node.blocks[which], node.outputs
    returns = block.returns
    for value, storage in zip(returns, storages, strict=True):
        if storage is not None and returns.count(value) == 1 and value.node is not None and value.node.block is block:
            e.targets[value] = storage
    with e.indented(), outlined(e) as function:
        known = dict(e.sizes)
        yield block
        for value, output, storage, name in zip(returns, outputs, storages, names, strict=True):
            seat = e.seats[value]
            if storage is None:
                e.assign(name, kept(e, value, output))
            elif seat.storage is not storage or not seat.whole:
                e.line(f"np.copyto({storage.name}, {seat.text})")
        if block.terminator is not None:
            e.release(block.terminator)
        e.sizes = known
        function.extend(name for name in names if name)


def kept(e: Emitter, value: Value, to: Value) -> str:
    """A value for the Python variable of another one: a copy, where it lies in memory that will be used again."""
    if to in e.scalars:
        return e.scalar(value)
    seat = e.seats[value]
    return f"{seat.text}.copy()" if seat.storage is not None else seat.text


class outlined:
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
