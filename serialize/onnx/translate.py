"""From a graph to ONNX nodes: each op by its rule, opened where it has none, and everything that cannot go at once.

An op's rule is a name, a function of `E` and of what it asks for by name, or `NotExportable`. A composite whose rule
does not apply is replaced by its decomposition, whose ops are tried in turn.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np

from ...ir.builder import Builder
from ...ir.errors import ExportError, IngotError
from ...ir.families import elementwise_dtype
from ...ir.graph import Block, InsertionPoint, Node, Value
from ...ir.graph_algebra import GraphAlgebra
from ...ir.locations import Location
from ...ir.registry import NotExportable, Op
from ...ir.types import KeyType, TensorType, TupleType, Type
from .algebra import OnnxAlgebra
from .control_flow import tensor_type, write_if, write_loop
from .values import OnnxValue

__all__ = ["Failure", "Translator"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A node that cannot be exported, and why."""

    op: str
    why: str
    location: Location | None
    path: str


class Translator:
    """Writes the nodes of one graph.

    Attributes:
        env: what stands for each value: an ONNX value, a number, None for what is absent, a tuple.
        failures: the nodes that could not be written. Where there are any, the ONNX graph is of no use.
    """

    def __init__(self, algebra: OnnxAlgebra, doc_strings: bool) -> None:
        self.E = algebra
        self.doc_strings = doc_strings
        self.env: dict[Value, Any] = {}
        self.failures: list[Failure] = []

    def block(self, block: Block, params: Sequence[Any]) -> list[Any]:
        """Write a block's nodes; gives what stands for what it hands out."""
        self.env.update(zip(block.params, params, strict=True))
        for node in list(block.nodes):
            self.node(node)
        return [self.env[value] for value in block.returns]

    def node(self, node: Node) -> None:
        """Write a node, or note why it cannot be written."""
        with self.E.at(node.path, _doc(node.location) if self.doc_strings else ""):
            try:
                results = self._results(node)
            except IngotError as error:
                self.failures.append(Failure(node.op.name, _reason(error), node.location, node.path))
                results = [self._stand_in(value.type) for value in node.outputs]
            except Exception as error:
                error.add_note(f"in the ONNX form of {node.op.name}, used at {node.location}")
                raise
            for value, result in zip(node.outputs, results, strict=True):
                self._define(value, result)

    def _define(self, value: Value, result: Any) -> None:
        """Let a result stand for a value, in the value's own type, whose sizes say more than ONNX's inference."""
        if isinstance(result, OnnxValue) and isinstance(value.type, TensorType):
            if result.dtype is not value.type.dtype:
                result = self.E.Cast(result, to=value.type.dtype)
            if result.node is not None:
                result.shape = value.type.sizes
            self.E.sizes.bind_shapes([result])
        self.env[value] = result

    def _stand_in(self, type_: Type) -> Any:
        """A value in place of one that could not be computed, so that what uses it is looked at, too."""
        if isinstance(type_, TupleType):
            return tuple(map(self._stand_in, type_.items))
        try:
            dtype, sizes = tensor_type(type_, "")
        except ExportError:
            return None
        return OnnxValue(dtype, sizes, self.E.scope, "?")

    # ---------------------------------------------------------------------------------------------------- one node

    def _results(self, node: Node) -> Sequence[Any]:
        structure = _STRUCTURE.get(node.op.name)
        if structure is not None:
            return structure(self, node)
        if isinstance(node.op.onnx, NotExportable):
            return self._opened(node, ExportError(node.op.onnx.why))
        try:
            return self._by_rule(node)
        except ExportError as error:
            return self._opened(node, error)

    def _by_rule(self, node: Node) -> Sequence[Any]:
        op = node.op
        inputs = op.schema.unflatten(self._operands(node))
        if isinstance(op.onnx, str):
            result = self.E.op(op.onnx, *_flat(inputs))
        else:
            given = {p.name: x for p, x in zip(op.schema.inputs, inputs, strict=True)} | node.attrs
            result = op.onnx(**{name: self.E if name == "E" else given[name] for name in _asked_for(op)})
        results = result if isinstance(result, tuple) else (result,)
        return [self.E.value(x) for x in results]

    def _operands(self, node: Node) -> list[Any]:
        """What stands for the inputs; those that are promoted in the common dtype."""
        op = node.op
        found = [self.env[value] for value in node.inputs]
        if not op.promotes:
            return found
        common = elementwise_dtype(op, [value.type for value in node.inputs])
        for i, parameter in enumerate(op.schema.inputs):
            if parameter.name in op.promotes:
                found[i] = self.E.Cast(found[i], to=common) if _is_value(found[i]) else self.E.number(found[i], common)
            elif isinstance(found[i], (bool, int, float)):
                found[i] = self.E.value(found[i])
        return found

    def _opened(self, node: Node, refusal: ExportError) -> Sequence[Any]:
        """A composite by its decomposition.

        Raises:
            ExportError: the refusal, when the node is no composite or its decomposition cannot be written either.
        """
        if node.op.kind != "composite":
            raise refusal
        algebra = GraphAlgebra(Builder(node.block, InsertionPoint.before(node)), node.location, node.path)  # type: ignore[arg-type]
        values = algebra.run(node.op, node.inputs, node.attrs)
        for inner in algebra.made:
            try:
                results = self._results(inner)
            except ExportError as error:
                raise _because(refusal, inner, error) from None
            for value, result in zip(inner.outputs, results, strict=True):
                self._define(value, result)
        return [self.env[value] for value in values]

    # --------------------------------------------------------------------------------------------------- structure

    def _constant(self, node: Node) -> Sequence[Any]:
        value = node.attrs["value"]
        if isinstance(node.output.type, KeyType):
            raise ExportError("ONNX has no random keys")
        return [self.E.constant(value) if isinstance(value, np.ndarray) else value]

    def _size(self, node: Node) -> Sequence[Any]:
        return [self.E.sizes.scalar(node.attrs["value"])]

    def _bind(self, node: Node) -> Sequence[Any]:
        number = self.env[node.inputs[0]]
        self.E.sizes.bind(str(node.attrs["variable"]), number if isinstance(number, int) else self.E.value(number))
        return []

    def _item(self, node: Node) -> Sequence[Any]:
        (value,) = node.inputs
        assert isinstance(value.type, TensorType)
        single = self.E.value(self.env[value])
        if value.type.ndim:
            single = self.E.Reshape(single, np.zeros(0, np.int64))
        dtype = tensor_type(node.output.type, "")[0]
        return [single if single.dtype is dtype else self.E.Cast(single, to=dtype)]

    def _tuple(self, node: Node) -> Sequence[Any]:
        return [tuple(self.env[value] for value in node.inputs)]

    def _untuple(self, node: Node) -> Sequence[Any]:
        found: Sequence[Any] = self.env[node.inputs[0]]
        return found

    def _if(self, node: Node) -> Sequence[Any]:
        return write_if(self.E, node, self.E.value(self.env[node.inputs[0]]), self.block)

    def _loop(self, node: Node) -> Sequence[Any]:
        return write_loop(self.E, node, [self.E.value(self.env[value]) for value in node.inputs], self.block)

    def _group(self, node: Node) -> Sequence[Any]:
        return self.block(node.blocks[0], [self.env[value] for value in node.inputs])


_STRUCTURE: Final[Mapping[str, Callable[[Translator, Node], Sequence[Any]]]] = {
    "prim::Constant": Translator._constant,
    "prim::Size": Translator._size,
    "prim::Bind": Translator._bind,
    "prim::Item": Translator._item,
    "prim::Tuple": Translator._tuple,
    "prim::Untuple": Translator._untuple,
    "prim::If": Translator._if,
    "prim::Loop": Translator._loop,
    "prim::FusionGroup": Translator._group,
}


@lru_cache(maxsize=4096)
def _asked_for(op: Op) -> tuple[str, ...]:
    """The names by which a rule asks for `E`, inputs and attributes; its other parameters have defaults."""
    known = {"E", *(p.name for p in op.schema.inputs), *(p.name for p in op.schema.attributes)}
    return tuple(name for name in inspect.signature(op.onnx).parameters if name in known)


def _is_value(operand: Any) -> bool:
    return isinstance(operand, OnnxValue)


def _flat(inputs: Sequence[Any]) -> list[Any]:
    return [x for item in inputs for x in (item if isinstance(item, tuple) else (item,))]


def _doc(location: Location | None) -> str:
    if location is None:
        return ""
    return f"{location.file}:{location.line}  {location.source.strip()}".rstrip()


def _reason(error: IngotError) -> str:
    details = "; ".join(filter(None, (error.expected and f"expected {error.expected}", error.found)))
    return f"{error.what} ({details})" if details else error.what


def _because(refusal: ExportError, inner: Node, error: ExportError) -> ExportError:
    """The composite's own reason where it states one; else what in its decomposition is to blame."""
    if refusal.what not in _UNDECLARED:
        return refusal
    return ExportError(f"its part {inner.op.short}: {error.what}", found=error.found, expected=error.expected)


# What declarations without an ONNX form of their own say.
_UNDECLARED: Final = ("no ONNX form declared", "it is exported as its decomposition")
