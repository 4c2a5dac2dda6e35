"""The verifier's rules for types: outputs have the types that their op infers, and size variables are in scope.

A size variable is bound where it first appears: in an input or a piece of state, a parameter of a block, an output of a
node with blocks, a `prim::Bind`, or an output of an op whose size depends on data (such an op infers a variable that
nothing has bound yet, whatever its name). It is in scope from there to the end of the block.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from .attributes import RESERVED_NAMES
from .dtypes import DType
from .errors import IngotError
from .graph import Graph
from .graph_sizes import Bounds, attribute_variables, size_variables, tensor_types
from .node import Node, Value
from .sizes import Size, SizeExpr, bounds, equal, free_vars, substitute
from .types import ListType, OptionalType, TensorType, TupleType, Type

__all__ = ["TypeRules"]


class Fail(Protocol):
    """Refuses the graph because of a node."""

    def __call__(self, node: Node | None, what: str, **facts: Any) -> Any: ...
