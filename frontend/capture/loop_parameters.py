"""What the body of a loop begins with: parameters for the iteration's number and for what is carried.

What lives here: `enter_body`, which lets the cells hold the parameters, and `suppose`. What the cells hold at the end
of the body is the subject of `loop_changes`.
"""

from __future__ import annotations

from typing import Any

from ...ir.block import Block
from ...ir.sizes import SizeRelation
from ..mode import mode
from .carried_values import Carried, Leaf, LoopState
from .control_tape import enter_recorded
from .joining import note_kin
from .list_identity import Identities
from .structured import made_leaf
from .symint import SymInt, as_size, hint

__all__ = ["enter_body", "suppose"]


def enter_body(state: LoopState, block: Block) -> Any:
    """Begin the body in a block of its own; gives the number of the iteration."""
    state.sizes.begin()
    number = state.tracer.bind("i", block.params[0], 0, 0)
    suppose(state.tracer, "<", number, state.count)
    _enter_values(state, block)
    return number


def suppose(tracer: Any, op: str, a: Any, b: Any) -> None:
    """A relation of sizes holds in the body; it says nothing where `b` is no integer."""
    a, b = as_size(a), as_size(b)
    if b is not None and tracer.known(op, a, b) is None:
        tracer.sizes.add(SizeRelation(op, a, b))


def _enter_values(state: LoopState, block: Block) -> None:
    """Parameters for what is carried; the cells hold them."""
    state.sharing.lose()
    identities = Identities(state.regions.depth - 1, state.location)
    for identity, carried in state.carried.items():
        values = [_entering(state, block, carried, leaf) for leaf in carried.leaves]
        if carried.late:
            continue
        if carried.is_contents:
            state.regions.change(carried.cell.identity[2], values[0])
            continue
        entering, carried.entering = (carried.shape.rebuild(values) for _ in range(2))
        identities.add(entering, carried.cell.read())
        identities.add(entering, state.left.get(identity))
        carried.cell.write(entering)
    _enter_sharing(state)
    identities.settle()


def _entering(state: LoopState, block: Block, carried: Carried, leaf: Leaf) -> Any:
    """What stands for a leaf in the body."""
    tracer = state.tracer
    if leaf.derived is not None:
        return SymInt(leaf.derived, tracer)
    param = block.add_param(leaf.type, _parameter_name(carried.cell.name))
    if leaf.kind == "int":
        example = 0 if leaf.start is None else hint(as_size(leaf.start), tracer.hints)
        return tracer.bind("k", param, example, leaf.low)
    found = state.regions.of_type(leaf.type)
    if leaf.recorded and mode.grad:
        enter_recorded(tracer, state.asked, found)
        state.found.append((found._node, leaf))
    leaf.param, leaf.value = (found, param) if leaf.kind == "tensor" else (None, None)
    return made_leaf(tracer, leaf.kind, found, param)


def _enter_sharing(state: LoopState) -> None:
    """What the parameters share with one another, and which have unknown contents."""
    tensors = state.tensors()
    # What is returned is not read in the loop, which runs only as long as nothing is.
    state.sharing.enter([leaf for carried, leaf in tensors if not (carried.late or carried.cell.is_returned)])
    for carried, leaf in tensors:
        if carried.late:
            continue
        if leaf.loss is not None:
            state.regions.lose(leaf.param, leaf.loss)
        if carried.is_run(leaf):
            note_kin(leaf.param, [leaf.start])


def _parameter_name(name: str) -> str:
    found = name.strip("'").rpartition(".")[2]
    return found if found.isidentifier() and not found.startswith("_") else "p"
