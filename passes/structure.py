"""Nodes with blocks: how values flow into, through and out of them, and how to take some of these ways away.

The facts about `prim::If`, `prim::Loop` and `prim::FusionGroup` that passes need stand here alone. A way through a
node is called a slot: of an If, an output and what each block yields for it; of a Loop, a carried value with its
initial value, parameter, yield and output, or a stacked output with its yield.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ..ir.graph import Block, Node, Value
from ..ir.registry import Op, lookup

__all__ = ["GROUP", "IF", "LOOP", "Slot", "always_read", "drop_outputs", "drop_slots", "slots"]

IF: Final = lookup("prim::If")
LOOP: Final = lookup("prim::Loop")
GROUP: Final = lookup("prim::FusionGroup")


@dataclass(frozen=True, slots=True)
class Slot:
    """One way of values through a node with blocks.

    Attributes:
        ends: outputs and block parameters that it leads to; it is needed when one of them is.
        starts: inputs of the node and of its blocks' terminators that are then read.
    """

    ends: tuple[Value, ...]
    starts: tuple[Value, ...]


def slots(node: Node) -> list[Slot]:
    """The slots of a node with blocks, in the order of its outputs, those without an output last."""
    return _STRUCTURES[node.op].slots(node) if node.op in _STRUCTURES else _one_slot(node)


def always_read(node: Node) -> tuple[Value, ...]:
    """What a node with blocks reads whichever of its slots are needed."""
    return _STRUCTURES[node.op].always(node) if node.op in _STRUCTURES else ()


def drop_slots(node: Node, dropped: Collection[int]) -> None:
    """Take slots away. Their outputs and parameters must not be used, but by what the slots themselves yield."""
    if dropped:
        _STRUCTURES[node.op].drop(node, dropped)


@dataclass(frozen=True, slots=True)
class _Structure:
    slots: Callable[[Node], list[Slot]]
    always: Callable[[Node], tuple[Value, ...]]
    drop: Callable[[Node, Collection[int]], None]


def _one_slot(node: Node) -> list[Slot]:
    """What is safe for an op of which nothing is known: all or nothing."""
    params = tuple(param for block in node.blocks for param in block.params)
    yielded = tuple(value for block in node.blocks for value in block.returns)
    return [Slot((*node.outputs, *params), (*node.inputs, *yielded))]


# -- prim::If


def _if_slots(node: Node) -> list[Slot]:
    returns = [block.returns for block in node.blocks]
    return [Slot((output,), tuple([r[i] for r in returns])) for i, output in enumerate(node.outputs)]


def _if_drop(node: Node, dropped: Collection[int]) -> None:
    for block in node.blocks:
        _yield_without(block, dropped)
    drop_outputs(node, dropped)


# -- prim::Loop


def _loop_slots(node: Node) -> list[Slot]:
    (block,) = node.blocks
    carried, yielded, params = node.inputs[2:], block.returns[1:], block.params[1:]
    found = [
        Slot((output, param), (start, following))
        for output, param, start, following in zip(node.outputs, params, carried, yielded, strict=False)
    ]
    stacked = zip(node.outputs[len(carried) :], yielded[len(carried) :], strict=True)
    return found + [Slot((output,), (value,)) for output, value in stacked]


def _loop_drop(node: Node, dropped: Collection[int]) -> None:
    (block,) = node.blocks
    carried = len(node.inputs) - 2
    _yield_without(block, {1 + i for i in dropped})
    for i in sorted([i for i in dropped if i < carried], reverse=True):
        _detach(block, block.params[1 + i])
        block.remove_param(1 + i)
    node.set_inputs(_without(node.inputs, {2 + i for i in dropped if i < carried}))
    drop_outputs(node, dropped)


def _detach(block: Block, param: Value) -> None:
    """Erase what still reads a dead parameter: nodes whose results lead nowhere but back into its slot."""
    waiting = list(param.walk_uses())
    doomed: dict[Node, None] = {}
    while waiting:
        node = waiting.pop().node
        if node not in doomed:
            doomed[node] = None
            waiting += [use for output in node.outputs for use in output.walk_uses()]
    erase_together(doomed)


# -- prim::FusionGroup


def _group_slots(node: Node) -> list[Slot]:
    (block,) = node.blocks
    outputs = [Slot((output,), (value,)) for output, value in zip(node.outputs, block.returns, strict=True)]
    return outputs + [Slot((param,), (x,)) for param, x in zip(block.params, node.inputs, strict=True)]


def _group_drop(node: Node, dropped: Collection[int]) -> None:
    (block,) = node.blocks
    outputs = len(node.outputs)
    _yield_without(block, dropped)
    inputs = {i - outputs for i in dropped if i >= outputs}
    for i in sorted(inputs, reverse=True):
        _detach(block, block.params[i])
        block.remove_param(i)
    node.set_inputs(_without(node.inputs, inputs))
    drop_outputs(node, [i for i in dropped if i < outputs])


_STRUCTURES: Final[dict[Op, _Structure]] = {
    IF: _Structure(_if_slots, lambda node: node.inputs, _if_drop),
    LOOP: _Structure(_loop_slots, lambda node: (*node.inputs[:2], node.blocks[0].returns[0]), _loop_drop),
    GROUP: _Structure(_group_slots, lambda node: (), _group_drop),
}


# -- parts of nodes


def _yield_without(block: Block, dropped: Collection[int]) -> None:
    assert block.terminator is not None
    block.terminator.set_inputs(_without(block.returns, dropped))


def _without(values: Sequence[Value], dropped: Collection[int]) -> list[Value]:
    return [value for i, value in enumerate(values) if i not in dropped]


def drop_outputs(node: Node, dropped: Collection[int]) -> None:
    """Take outputs away that nobody uses."""
    assert node.block is not None
    names = node.block.graph.names
    kept = []
    for output in node.outputs:
        if output.index in dropped:
            assert not output.use_count, f"%{output.name} is used"
            names.release(output.name)
        else:
            kept.append(output)
    for index, output in enumerate(kept):
        output.index = index
    node.outputs = tuple(kept)


def erase_together(nodes: Collection[Node]) -> None:
    """Erase nodes that only each other use."""
    for node in nodes:
        if node.block is not None:
            node.set_inputs(())
    for node in nodes:
        if node.block is not None:
            node.erase()


def enclosing(node: Node) -> Iterator[Node]:
    """The nodes around a node, from the inside out."""
    parent = None if node.block is None else node.block.parent
    while parent is not None:
        yield parent
        parent = None if parent.block is None else parent.block.parent
