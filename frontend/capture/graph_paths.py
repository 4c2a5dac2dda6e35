"""Where two captures of one function part: the first node that another op, attribute, constant or operand makes
different. Names, locations and the order of constants do not count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from ...ir.attributes import attribute_text, same_attribute
from ...ir.graph import Block, Graph, Node, Value
from ...ir.locations import Location

__all__ = ["Parting", "part"]


@dataclass(frozen=True, slots=True)
class Parting:
    """The first difference between two captures.

    Attributes:
        kind: `"path"` for another op, another operand, an op more or less, or the same from another line; `"value"` for
            an attribute or constant; `"computed"` for the same node with another result.
        first, second: the node of each capture, where there is one.
        what: the difference in words, such as `"p is 0.1, not 0.2"`.
    """

    kind: str
    first: Node | None
    second: Node | None
    what: str = ""

    @property
    def lines(self) -> tuple[Location | None, Location | None]:
        """Where the two nodes come from."""
        return tuple(None if node is None else node.location for node in (self.first, self.second))  # type: ignore[return-value]


def part(first: Graph, second: Graph) -> tuple[Parting | None, dict[Value, Value]]:
    """The first difference, and the values that stand for each other up to there."""
    pairs = dict(zip(first.inputs, second.inputs, strict=False))
    pairs |= {value: second.state[key] for key, value in first.state.items() if key in second.state}
    found = next(_blocks(first.block, second.block, pairs), None)
    if found is None:
        found = _returns(first, second, pairs)
    return found, pairs


def _blocks(first: Block, second: Block, pairs: dict[Value, Value]) -> Iterator[Parting]:
    for a, b in zip_longest(_steps(first), _steps(second)):
        if a is None or b is None:
            yield Parting("path", a, b)
            return
        yield from _nodes(a, b, pairs)


def _steps(block: Block) -> Iterator[Node]:
    return (node for node in block.nodes if node.op.name != "prim::Constant")


def _nodes(a: Node, b: Node, pairs: dict[Value, Value]) -> Iterator[Parting]:
    if a.op is not b.op or len(a.inputs) != len(b.inputs) or len(a.blocks) != len(b.blocks):
        yield Parting("path", a, b)
    for name, value in a.attrs.items():
        if name not in b.attrs or not same_attribute(value, b.attrs[name]):
            other = attribute_text(b.attrs[name]) if name in b.attrs else "nothing"
            yield _of_value(a, b, f"{name} is {_short(attribute_text(value))}, not {_short(other)}")
    for x, y in zip(a.inputs, b.inputs, strict=True):
        if (found := _operands(a, b, x, y, pairs)) is not None:
            yield found
    pairs.update(zip(a.outputs, b.outputs, strict=False))
    for mine, theirs in zip(a.blocks, b.blocks, strict=True):
        pairs.update(zip(mine.params, theirs.params, strict=False))
        yield from _blocks(mine, theirs, pairs)
        yield from _ends(mine, theirs, pairs)


def _operands(a: Node, b: Node, x: Value, y: Value, pairs: dict[Value, Value]) -> Parting | None:
    mine, other = _constant(x), _constant(y)
    if mine is None or other is None:
        return None if mine is other and pairs.get(x) is y else Parting("path", a, b)
    if same_attribute(*(node.attrs.get("value") for node in (mine, other))):
        return None
    shown = [_short(attribute_text(node.attrs.get("value"))) for node in (mine, other)]
    return _of_value(a, b, f"a constant is {shown[0]}, not {shown[1]}")


def _of_value(a: Node, b: Node, what: str) -> Parting:
    lines = [node.location and (node.location.file, node.location.line) for node in (a, b)]
    return Parting("value" if lines[0] == lines[1] else "path", a, b, what)


def _constant(value: Value) -> Node | None:
    node = value.node
    return node if node is not None and node.op.name == "prim::Constant" else None


def _ends(mine: Block, other: Block, pairs: dict[Value, Value]) -> Iterator[Parting]:
    a, b = mine.terminator, other.terminator
    if a is not None and b is not None:
        for x, y in zip(a.inputs, b.inputs, strict=False):
            if (found := _operands(a, b, x, y, pairs)) is not None:
                yield found


def _returns(first: Graph, second: Graph, pairs: dict[Value, Value]) -> Parting | None:
    mine: dict[Any, Value] = {**dict(enumerate(first.outputs)), **first.updates}
    other: dict[Any, Value] = {**dict(enumerate(second.outputs)), **second.updates}
    for key in (*mine, *(key for key in other if key not in mine)):
        x, y = mine.get(key), other.get(key)
        if x is None or y is None:
            return Parting("path", None if x is None else x.node, None if y is None else y.node)
        end, other_end = first.block.terminator, second.block.terminator
        assert end is not None and other_end is not None
        if (found := _operands(end, other_end, x, y, pairs)) is not None:
            return Parting(found.kind, x.node, y.node, found.what)
    return None


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
