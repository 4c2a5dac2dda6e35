"""The algebra of all operators over a graph: each call becomes a node.

With it a composite's body, a gradient or a rewrite rule writes nodes: `GraphAlgebra(builder).run(op, inputs, attrs)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .algebra import Algebra, Proxy
from .builder import Builder
from .graph import Node, Value
from .locations import Location
from .registry import Op
from .sizes import SizeExpr
from .types import NONE

__all__ = ["GraphAlgebra"]


class GraphAlgebra(Algebra):
    """Emits a node for each call, at a builder's insertion point.

    Operands are proxies of graph values, numbers and arrays (which become constants) and None (an absent operand).

    Args:
        builder: where nodes go.
        location, path: where in the user's source the new nodes come from.

    Attributes:
        made: the nodes that were emitted so far, constants included, in order.

    >>> from .builder import Builder
    >>> from .dtypes import float32
    >>> from .graph import Graph
    >>> from .types import TensorType
    >>> graph = Graph()
    >>> x = graph.add_input("x", TensorType(float32, (2,)))
    >>> F = GraphAlgebra(Builder(graph))
    >>> F.value(F.exp(F.proxy(x)) * 2.0).type
    TensorType(dtype=ingot.float32, sizes=(2,), device=None)
    """

    def __init__(self, builder: Builder, location: Location | None = None, path: str = "") -> None:
        self.builder = builder
        self.location = location
        self.path = path
        self.made: list[Node] = []

    def proxy(self, value: Value) -> Any:
        """A graph value as an operand; None where the value stands for an absent one."""
        return None if value.type is NONE else Proxy(self, value, value.type)

    def value(self, operand: Any) -> Value:
        """An operand as a graph value; numbers and arrays become constants, sizes run-time numbers."""
        if isinstance(operand, Proxy):
            found: Value = operand.value
            return found
        made = "prim::Size" if isinstance(operand, SizeExpr) else "prim::Constant"
        node = self.builder.emit(made, (), {"value": operand}, location=self.location, path=self.path)
        self.made.append(node)
        return node.output

    def apply(self, op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
        values = [self.value(x) for x in inputs]
        node = self.builder.emit(op, values, dict(attrs), location=self.location, path=self.path)
        self.made.append(node)
        proxies = tuple(Proxy(self, output, output.type) for output in node.outputs)
        return proxies[0] if len(proxies) == 1 else proxies

    def run(self, op: Op, inputs: Sequence[Value], attrs: Mapping[str, Any]) -> list[Value]:
        """Emit a composite's decomposition; returns a value for each of its outputs."""
        assert op.body is not None
        operands = op.schema.unflatten([self.proxy(x) for x in inputs])
        result = op.body(self, *operands, **attrs)
        return [self.value(x) for x in (result if isinstance(result, tuple) else (result,))]
