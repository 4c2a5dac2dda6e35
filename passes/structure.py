"""Nodes with blocks: how values flow into, through and out of them, and how to take some of these ways away.

The facts about `prim::If`, `prim::Loop`, `prim::FusionGroup` and `prim::UserGradient` that passes need stand here
alone. A way through a node is called a slot: of an If, an output and what each block yields for it; of a Loop, a
carried value with its initial value, parameter, yield and output, or a stacked output with its yield.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from ..ir.graph import Block, Node, Value
from ..ir.registry import Op, lookup

__all__ = [
    "GROUP",
    "IF",
    "LOOP",
    "USER_GRADIENT",
    "Slot",
    "always_read",
    "arguments_of",
    "cut_slots",
    "drop_ends",
    "drop_outputs",
    "slots",
]

IF: Final = lookup("prim::If")
LOOP: Final = lookup("prim::Loop")
GROUP: Final = lookup("prim::FusionGroup")
USER_GRADIENT: Final = lookup("prim::UserGradient")


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


def cut_slots(node: Node, dropped: Collection[int]) -> None:
    """Stop reading what slots start from. Their outputs and parameters stay, for `drop_ends` to take away once
    nobody uses them; until then the node is not well formed."""
    _STRUCTURES[node.op].cut(node, dropped)


def drop_ends(node: Node, ends: Sequence[Value]) -> None:
    """Take away outputs and block parameters that nobody uses."""
    drop_outputs(node, {value.index for value in ends if value.node is node})
    for value in reversed(ends):
        if value.node is None:
            value.block.remove_param(value.index)


@dataclass(frozen=True, slots=True)
class _Structure:
    slots: Callable[[Node], list[Slot]]
    always: Callable[[Node], tuple[Value, ...]]
    cut: Callable[[Node, Collection[int]], None]


def _one_slot(node: Node) -> list[Slot]:
    """What is safe for an op of which nothing is known: all or nothing."""
    params = tuple(param for block in node.blocks for param in block.params)
    yielded = tuple(value for block in node.blocks for value in block.returns)
    return [Slot((*node.outputs, *params), (*node.inputs, *yielded))]


# -- prim::If


def _if_slots(node: Node) -> list[Slot]:
    returns = [block.returns for block in node.blocks]
    return [Slot((output,), tuple([r[i] for r in returns])) for i, output in enumerate(node.outputs)]


def _if_cut(node: Node, dropped: Collection[int]) -> None:
    for block in node.blocks:
        _yield_without(block, dropped)


# -- prim::Loop


def _loop_slots(node: Node) -> list[Slot]:
    (block,) = node.blocks
    carried, yielded, params = node.inputs[2:], block.returns[1:], block.params[1:]
    count = len(carried)
    ways = zip(node.outputs[:count], params, carried, yielded[:count], strict=True)
    found = [Slot((output, param), (start, following)) for output, param, start, following in ways]
    stacked = zip(node.outputs[count:], yielded[count:], strict=True)
    return found + [Slot((output,), (value,)) for output, value in stacked]


def _loop_cut(node: Node, dropped: Collection[int]) -> None:
    carried = len(node.inputs) - 2
    _yield_without(node.blocks[0], {1 + i for i in dropped})
    node.set_inputs(_without(node.inputs, {2 + i for i in dropped if i < carried}))


# -- prim::FusionGroup


def _group_slots(node: Node) -> list[Slot]:
    (block,) = node.blocks
    outputs = [Slot((output,), (value,)) for output, value in zip(node.outputs, block.returns, strict=True)]
    return outputs + [Slot((param,), (x,)) for param, x in zip(block.params, node.inputs, strict=True)]


def _group_cut(node: Node, dropped: Collection[int]) -> None:
    outputs = len(node.outputs)
    _yield_without(node.blocks[0], dropped)
    node.set_inputs(_without(node.inputs, {i - outputs for i in dropped}))


_STRUCTURES: Final[dict[Op, _Structure]] = {
    IF: _Structure(_if_slots, lambda node: node.inputs, _if_cut),
    LOOP: _Structure(_loop_slots, lambda node: (*node.inputs[:2], node.blocks[0].returns[0]), _loop_cut),
    GROUP: _Structure(_group_slots, lambda node: (), _group_cut),
}


# -- prim::UserGradient, whose slots are all or nothing


def arguments_of(node: Node) -> tuple[Value, ...]:
    """What the block of a user's gradient yields the gradients of."""
    return node.inputs[len(node.outputs) :]


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
