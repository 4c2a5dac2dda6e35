"""`E`: the algebra in which ops state their ONNX form.

`E.Softmax(x, axis=1)` adds a node and gives its result. Operands are results and inputs (`OnnxValue`), NumPy arrays
(constants), Python numbers (constants in the dtype of the operands beside them) and None (an absent optional input).
Attributes are numbers, strings, bools, dtypes, tuples and arrays. Rules are written in the newest opset's form; what an
older one does differently is in `lowering`, what need not be computed at all in `simplify`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from ...ir.dtypes import DType
from ...ir.errors import ExportError
from ...ir.sizes import Size, SizeExpr
from .dtype_rules import fit, result_dtypes
from .lowering import lowered
from .naming import Names
from .opsets import ELEMENT_TYPES, Operators
from .shapes import infer_shapes
from .simplify import simplified
from .size_tensors import SizeTensors
from .values import OnnxNode, OnnxValue, Scope

__all__ = ["OnnxAlgebra"]


class OnnxAlgebra:
    """Writes ONNX nodes for one opset.

    Attributes:
        scope: where nodes go: the graph, or the body that is being written.
        top: the graph's own scope.
        sizes: size expressions as tensors.
        path, doc: the module path and source line of the op that is being written.
    """

    def __init__(self, operators: Operators, names: Names) -> None:
        self.operators = operators
        self.opset = operators.opset
        self.names = names
        self.top = self.scope = Scope()
        self.sizes = SizeTensors(self)
        self.path = ""
        self.doc = ""
        self.size_texts: dict[str, Size] = {}
        self._constants: dict[Any, OnnxValue] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if not name[:1].isupper():
            raise AttributeError(name)
        return partial(self.op, name)

    # ------------------------------------------------------------------------------------------------ where

    @contextmanager
    def at(self, path: str, doc: str) -> Iterator[None]:
        """Let nodes belong to a module path and a source line."""
        before = self.path, self.doc
        self.path, self.doc = path, doc
        try:
            yield
        finally:
            self.path, self.doc = before

    @contextmanager
    def inside(self, scope: Scope) -> Iterator[Scope]:
        """Write into another scope."""
        before, self.scope = self.scope, scope
        try:
            yield scope
        finally:
            self.scope = before

    # ---------------------------------------------------------------------------------------------- operands

    def number(self, value: Any, like: Any) -> OnnxValue:
        """A number, or a size, as a tensor of no dimensions in the dtype of `like`, a value or a dtype."""
        dtype = like if isinstance(like, DType) else like.dtype
        if isinstance(value, SizeExpr):
            return self.Cast(self.sizes.scalar(value), to=dtype)
        return self.constant(_number(value, dtype))

    def shape(self, sizes: Sequence[Any]) -> OnnxValue:
        """Sizes, which may be symbolic, as one vector of int64."""
        return self.sizes.vector(sizes)

    def constant(self, array: Any) -> OnnxValue:
        """A constant; there is one for each dtype, shape and content."""
        array = np.asarray(array)
        key = (array.dtype, array.shape, array.tobytes())
        found = self._constants.get(key)
        if found is None:
            found = OnnxValue(DType.of(array.dtype), array.shape, self.top, array=array)
            self._constants[key] = found
        return found

    def value(self, operand: Any) -> Any:
        """An operand as a value; a number that stands alone has the dtype that Python's has."""
        if operand is None or isinstance(operand, OnnxValue):
            return operand
        if isinstance(operand, SizeExpr):
            return self.sizes.scalar(operand)
        if isinstance(operand, (bool, int, float)):
            return self.constant(np.array(operand, {bool: np.bool_, int: np.int64}.get(type(operand), np.float64)))
        return self.constant(operand)

    # ------------------------------------------------------------------------------------------------- nodes

    def op(self, op_type: str, *operands: Any, outputs: int = 1, **attrs: Any) -> Any:
        """The result of an operator, or a tuple of `outputs` results.

        Raises:
            ExportError: when the opset has no such operator, or not for these dtypes.
        """
        values = [self.value(x) if not isinstance(x, (bool, int, float)) else x for x in operands]
        for rewritten in (simplified, lowered):
            found = rewritten(self, op_type, values, attrs)
            if found is not None:
                return found
        schema = self.operators.schema(op_type)
        inputs = self._without_absent_tail(_with_numbers(self, schema, values))
        inputs, narrow = fit(self, schema, inputs)
        stored = _attributes(schema, attrs)
        found = self._emit(schema, inputs, stored, outputs)
        results = [x if dtype is None else self.Cast(x, to=dtype) for x, dtype in _paired(found.outputs, narrow)]
        return results[0] if outputs == 1 else tuple(results)

    def structured(
        self, op_type: str, inputs: Sequence[OnnxValue], types: Sequence[tuple[DType, Sequence[Size]]], **attrs: Any
    ) -> list[OnnxValue]:
        """The results, whose types are given, of an operator with bodies."""
        node = self._node(op_type, inputs, attrs)
        names = self._output_names(node, [f"out_{i}" for i in range(len(types))])
        self._name_constants(node, [f"in_{i}" for i in range(len(inputs))])
        node.outputs = tuple(
            OnnxValue(dtype, sizes, self.scope, name, node=node)
            for (dtype, sizes), name in zip(types, names, strict=True)
        )
        self.scope.nodes.append(node)
        return list(node.outputs)

    def renamed(self, value: OnnxValue) -> OnnxValue:
        """The same tensor as the result of a node of its own in this scope."""
        return self._emit(self.operators.schema("Identity"), [value], {}, 1, shared=False).outputs[0]

    def _emit(
        self, schema: Any, inputs: Sequence[OnnxValue | None], attrs: dict[str, Any], outputs: int, shared: bool = True
    ) -> OnnxNode:
        key = (schema.name, tuple(map(id, inputs)), _frozen(attrs), outputs)
        known = self.scope.find(key) if shared else None
        if known is not None:
            return known
        node = self._node(schema.name, inputs, attrs)
        names = self._output_names(node, [_formal(schema.outputs, i).name for i in range(outputs)])
        dtypes = result_dtypes(schema, inputs, attrs, outputs)
        node.outputs = tuple(
            OnnxValue(dtype, None, self.scope, name, node=node) for dtype, name in zip(dtypes, names, strict=True)
        )
        self._name_constants(node, [_formal(schema.inputs, i).name for i in range(len(inputs))])
        self.scope.nodes.append(node)
        if shared:
            self.scope.known[key] = node
        return node

    def _node(self, op_type: str, inputs: Sequence[OnnxValue | None], attrs: dict[str, Any]) -> OnnxNode:
        stem = f"{self.path.replace('.', '/')}/{op_type}" if self.path else op_type
        return OnnxNode(op_type, inputs, attrs, self.names.take(stem), self.doc, partial(infer_shapes, self))

    def _output_names(self, node: OnnxNode, formal: Sequence[str]) -> list[str]:
        if len(formal) == 1:
            return [node.name]
        return [self.names.take(f"{node.name}.{name}") for name in formal]

    def _name_constants(self, node: OnnxNode, formal: Sequence[str]) -> None:
        """A constant is called by what it is to the node that first uses it: `fc1/Reshape.shape`."""
        for value, name in zip(node.inputs, formal, strict=True):
            if value is not None and not value.name:
                value.name = self.names.take(f"{node.name}.{name}")

    @staticmethod
    def _without_absent_tail(inputs: list[Any]) -> list[Any]:
        while inputs and inputs[-1] is None:
            inputs.pop()
        return inputs


def _formal(parameters: Sequence[Any], i: int) -> Any:
    """A schema's i-th parameter; the last one may stand for any number."""
    return parameters[min(i, len(parameters) - 1)]


def _paired(values: Sequence[OnnxValue], dtypes: Sequence[DType | None]) -> list[tuple[OnnxValue, DType | None]]:
    return list(zip(values, (*dtypes, *[None] * len(values)), strict=False))


def _number(value: Any, dtype: DType) -> np.ndarray[Any, Any]:
    with np.errstate(all="ignore"):
        return np.asarray(value).astype(dtype.np)


def _with_numbers(E: OnnxAlgebra, schema: Any, operands: Sequence[Any]) -> list[Any]:
    """Python numbers as constants in the dtype of an operand that the schema wants to be of the same type."""
    found = list(operands)
    for i, x in enumerate(operands):
        if isinstance(x, (bool, int, float)):
            own = _formal(schema.inputs, i).type_str
            tensors = [(k, y) for k, y in enumerate(operands) if isinstance(y, OnnxValue)]
            same = [y for k, y in tensors if _formal(schema.inputs, k).type_str == own] or [y for _, y in tensors]
            found[i] = E.number(x, same[0]) if same else E.value(x)
    return found


def _attributes(schema: Any, attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as the schema wants them; None is one that is left out.

    Raises:
        ExportError: for one that the operator does not have, or that is not known when the file is written.
    """
    found = {}
    for name, value in attrs.items():
        if value is None:
            continue
        if name not in schema.attributes:
            raise ExportError(f"ONNX's {schema.name} of opset {schema.since_version} has no attribute {name}")
        found[name] = _attribute(schema, name, value)
    return found


def _attribute(schema: Any, name: str, value: Any) -> Any:
    if isinstance(value, DType):
        return ELEMENT_TYPES[value]
    if isinstance(value, (list, tuple)):
        return tuple(_attribute(schema, name, item) for item in value)
    if isinstance(value, SizeExpr):
        raise ExportError(
            f"ONNX needs {name} of {schema.name} to be a number",
            found=f"{value}, which is only known when the program runs",
        )
    if isinstance(value, (bool, int, float, np.number)):
        is_float = schema.attributes[name].type.name in ("FLOAT", "FLOATS")
        return float(value) if is_float else int(value)
    return value


def _frozen(attrs: Mapping[str, Any]) -> Any:
    return tuple(
        (name, (value.dtype.str, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value)
        for name, value in sorted(attrs.items())
    )
