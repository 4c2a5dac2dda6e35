"""Making nodes: where they go, what types they have, where they came from.

What lives here: `Builder`, by which capture, passes and tests write graphs. Raw nodes, as they are given, are
`node`'s subject.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from .attributes import frozen_array
from .block import Block
from .errors import ArgumentError, IngotError
from .graph import Graph
from .insertion import InsertionPoint
from .locations import Location
from .node import Node
from .registry import Op, lookup
from .types import Type
from .value import Value

__all__ = ["Builder"]


class Builder:
    """Inserts nodes one after the other at an insertion point.

    Args:
        where: the graph or block to write to, at its end.
        at: another insertion point.

    Attributes:
        point: where the next node goes.
        location, path: the source location and module path of nodes that are emitted without their own.

    >>> from .dtypes import float32
    >>> from .types import TensorType
    >>> from . import ops
    >>> graph = Graph("twice")
    >>> x = graph.add_input("x", TensorType(float32, (2,)))
    >>> _ = graph.set_return([Builder(graph).emit("add", [x, x]).output])
    >>> print(graph, end="")
    graph @twice(%x : f32[2]) -> (f32[2]):
      %add : f32[2] = ingot::add(%x, %x)
      return (%add)
    """

    __slots__ = ("location", "path", "point")

    def __init__(self, where: Graph | Block, at: InsertionPoint | None = None) -> None:
        block = where.block if isinstance(where, Graph) else where
        self.point = InsertionPoint.end(block) if at is None else at
        self.location: Location | None = None
        self.path = ""

    @property
    def graph(self) -> Graph:
        """The graph that is written to."""
        return self.point.block.graph

    @contextmanager
    def at(self, point: InsertionPoint) -> Iterator[Builder]:
        """Write at another point within the `with` block."""
        before, self.point = self.point, point
        try:
            yield self
        finally:
            self.point = before

    @contextmanager
    def located(self, location: Location | None, path: str = "") -> Iterator[Builder]:
        """Let nodes that are emitted within the `with` block come from this source location and module."""
        before = self.location, self.path
        self.location, self.path = location, path
        try:
            yield self
        finally:
            self.location, self.path = before

    def emit(
        self,
        op: Op | str,
        inputs: Sequence[Value],
        attrs: Mapping[str, Any] | None = None,
        types: Sequence[Type] | None = None,
        location: Location | None = None,
        path: str = "",
        blocks: Sequence[Block] = (),
        names: Sequence[str] | None = None,
    ) -> Node:
        """Insert a node.

        Args:
            op: the op, or its name; `"add"` means `"ingot::add"`.
            inputs: what it reads.
            attrs: static parameters; those left out have their defaults.
            types: the types of its outputs; inferred by the op when None. Ops with blocks need them.
            location, path: where it comes from, unless that is what the builder says.
            blocks: finished blocks that belong to no node as yet.
            names: wished names of the outputs; by default the op's name.

        Raises:
            ArgumentError: for inputs or attributes that the op does not take, or a number of names that is
                not that of the outputs.
            ShapeError, DTypeError: when the op cannot be applied to inputs of these types.
        """
        if isinstance(op, str):
            op = lookup(op)
        location = location or self.location
        path = path or self.path
        try:
            stored = _stored_attributes(op, attrs)
            if types is None:
                op.schema.check_inputs(len(inputs))
                types = op.infer([value.type for value in inputs], stored)
        except IngotError as error:
            raise error.located(location, path) from None
        if names is None:
            names = (_result_name(op.name),) * len(types)
        elif len(names) != len(types):
            raise ArgumentError(f"{op.name}: {len(names)} names for {len(types)} outputs")
        self.point.check()
        node = Node(self.point, op, inputs, types, names, stored, location, path)
        for block in blocks:
            node.attach(block)
        return node

    def constant(self, value: Any, type: Type | None = None, name: str = "constant") -> Value:
        """A number, None, a dtype-bearing array or a size as a value.

        Args:
            value: an array is copied unless it is read-only.
            type: its type, when that is not the one that the value has by itself.
        """
        if type is None:
            return self.emit("prim::Constant", (), {"value": value}, names=(name,)).output
        return self.emit("prim::Constant", (), {"value": value}, (type,), names=(name,)).output

    def none(self) -> Value:
        """The value that stands for an absent operand."""
        return self.constant(None, name="none")


def _stored_attributes(op: Op, attrs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Attributes as nodes hold them: complete, of their kinds, immutable."""
    if not attrs and not op.schema.attributes:
        return {}
    stored = op.schema.check_attrs(attrs or {})
    for name, value in stored.items():
        if isinstance(value, np.ndarray):
            stored[name] = frozen_array(value)
    return stored


@lru_cache(maxsize=4096)
def _result_name(op: str) -> str:
    return op.rpartition("::")[2].lower()
