"""What an ONNX graph is made of before it becomes a protocol buffer: values, nodes and scopes.

A scope is a list of nodes: the graph itself, or the body of a branch or loop, which also sees what is around it.
Values carry types, so that rules can ask for them; nodes are made by `algebra`, protocol buffers by `model`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...ir.dtypes import DType
from ...ir.errors import ExportError
from ...ir.sizes import Size

__all__ = ["OnnxNode", "OnnxValue", "Scope", "Sizes"]

Sizes = tuple[Size | None, ...]


class OnnxValue:
    """A tensor in an ONNX graph: a graph input, a constant, or what a node computes.

    Attributes:
        dtype: the element type; None where not even the operator's schema tells (a sequence, for instance).
        name: unique within the model; empty for a constant that nobody uses as yet.
        array: the elements of a constant.
        is_state: whether a constant is a parameter or buffer of the program's, with a name of its own.
        node: the node that computes it.
        scope: where it is defined.
    """

    __slots__ = ("_shape", "array", "dtype", "is_state", "name", "node", "scope")

    def __init__(
        self,
        dtype: DType | None,
        shape: Sequence[Size | None] | None,
        scope: Scope,
        name: str = "",
        *,
        node: OnnxNode | None = None,
        array: np.ndarray[Any, Any] | None = None,
        is_state: bool = False,
    ) -> None:
        self.dtype = dtype
        self._shape: Sizes | None = None if shape is None else tuple(shape)
        self.scope = scope
        self.name = name
        self.node = node
        self.array = array
        self.is_state = is_state

    @property
    def known_shape(self) -> Sizes | None:
        """The sizes, as far as they are known; None where not even their number is."""
        if self._shape is None and self.node is not None:
            self.node.infer_shapes()
        return self._shape

    @property
    def shape(self) -> Sizes:
        """The sizes: numbers, size expressions, and None where ONNX computes one that nobody has a name for.

        Raises:
            ExportError: when the number of dimensions is not known.
        """
        found = self.known_shape
        if found is None:
            raise ExportError(f"ONNX does not tell how many dimensions the result of {self.node} has")
        return found

    @shape.setter
    def shape(self, sizes: Sequence[Size | None]) -> None:
        self._shape = tuple(sizes)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def is_constant(self) -> bool:
        """Whether its elements are known and nobody asks for them by name."""
        return self.array is not None and not self.is_state

    def __repr__(self) -> str:
        return f"<{self.name or 'constant'}: {self.dtype}{list(self._shape or ())}>"


class OnnxNode:
    """One ONNX operator applied to values. An input of None is an optional one that is absent.

    An attribute may be a `Scope`: the body of a branch or loop.
    """

    __slots__ = ("_inferred", "attrs", "doc", "infer", "inputs", "name", "op_type", "outputs")

    def __init__(
        self, op_type: str, inputs: Sequence[OnnxValue | None], attrs: dict[str, Any], name: str, doc: str, infer: Any
    ) -> None:
        self.op_type = op_type
        self.inputs = tuple(inputs)
        self.attrs = attrs
        self.name = name
        self.doc = doc
        self.outputs: tuple[OnnxValue, ...] = ()
        self.infer = infer
        self._inferred = False

    @property
    def bodies(self) -> list[Scope]:
        """The scopes among the attributes."""
        return [value for value in self.attrs.values() if isinstance(value, Scope)]

    def infer_shapes(self) -> None:
        """Let ONNX work out the shapes of the outputs from those of the inputs, once."""
        if not self._inferred:
            self._inferred = True
            self.infer(self)

    def __repr__(self) -> str:
        return f"{self.op_type} ({self.name})"


class Scope:
    """Nodes in order, with what comes in and goes out.

    Attributes:
        parent: the scope around it, whose values can be used in here.
        known: nodes by what they compute, so that nothing is computed twice.
        sizes: size variables by name, and where their values come from.
    """

    __slots__ = ("depth", "inputs", "known", "nodes", "outputs", "parent", "sizes")

    def __init__(self, parent: Scope | None = None) -> None:
        self.parent = parent
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.inputs: list[OnnxValue] = []
        self.outputs: list[OnnxValue] = []
        self.nodes: list[OnnxNode] = []
        self.known: dict[Any, OnnxNode] = {}
        self.sizes: dict[str, Any] = {}

    def outward(self) -> Iterator[Scope]:
        """This scope and those around it."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def find(self, key: Any) -> OnnxNode | None:
        """A node in here or around here that computes the same."""
        return next((found for scope in self.outward() if (found := scope.known.get(key)) is not None), None)

    def drop_unused(self) -> None:
        """Remove the nodes, in here and in bodies, on which no output depends."""
        self._drop_unused({id(value) for value in self.outputs})

    def _drop_unused(self, used: set[int]) -> None:
        kept = []
        for node in reversed(self.nodes):
            if not any(id(output) in used for output in node.outputs):
                continue
            kept.append(node)
            used.update(id(value) for value in node.inputs if value is not None)
            for body in node.bodies:
                used.update(id(value) for value in body.outputs)
                body._drop_unused(used)
        self.nodes = kept[::-1]
