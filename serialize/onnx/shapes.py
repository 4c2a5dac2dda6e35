"""Shapes of intermediate results, by ONNX's own inference of one node; types as ONNX writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...ir.dtypes import DType
from ...ir.sizes import Size
from .opsets import ELEMENT_TYPES, require_onnx
from .values import OnnxNode

if TYPE_CHECKING:
    from .algebra import OnnxAlgebra

__all__ = ["infer_shapes", "node_proto", "tensor_proto", "type_proto"]

_MAX_DATA: Final = 1024  # elements of a constant that shapes may depend on


def infer_shapes(E: OnnxAlgebra, node: OnnxNode) -> None:
    """Set the shapes of a node's outputs, as far as they follow from its inputs' shapes."""
    onnx = require_onnx()
    types: dict[str, Any] = {}
    data: dict[str, Any] = {}
    for value in node.inputs:
        if value is None or value.dtype is None:
            continue
        types[value.name] = type_proto(value.dtype, value.known_shape)
        for size in value.known_shape or ():
            if size is not None and not isinstance(size, int):
                E.size_texts[str(size)] = size
        if value.array is not None and value.array.size <= _MAX_DATA:
            data[value.name] = tensor_proto(value.name, value.array)
    schema = E.operators.schema(node.op_type)
    try:
        found = onnx.shape_inference.infer_node_outputs(
            schema, node_proto(node), types, data, opset_imports=[onnx.helper.make_opsetid("", E.opset)]
        )
    except onnx.shape_inference.InferenceError:
        return  # an operand of unknown shape; the checker judges the whole model later
    for output in node.outputs:
        tensor = found[output.name].tensor_type if output.name in found else None
        if tensor is not None and tensor.HasField("shape"):
            output.shape = [_size(E, dim) for dim in tensor.shape.dim]


def _size(E: OnnxAlgebra, dim: Any) -> Size | None:
    if dim.HasField("dim_value"):
        return int(dim.dim_value)
    return E.size_texts.get(dim.dim_param)


# -- protocol buffers


def type_proto(dtype: DType, shape: Sequence[Size | None] | None) -> Any:
    """A tensor's type; symbolic sizes by their text, sizes that are not known without one."""
    helper = require_onnx().helper
    dims = None if shape is None else [None if n is None else n if isinstance(n, int) else str(n) for n in shape]
    return helper.make_tensor_type_proto(ELEMENT_TYPES[dtype], dims)


def tensor_proto(name: str, array: np.ndarray[Any, Any]) -> Any:
    """An array under a name, its elements as raw bytes."""
    little = array.astype(array.dtype.newbyteorder("<"), copy=False) if array.dtype.kind in "iuf" else array
    proto = require_onnx().TensorProto(name=name, data_type=ELEMENT_TYPES[DType.of(array.dtype)], dims=array.shape)
    proto.raw_data = little.tobytes()
    return proto


def node_proto(node: OnnxNode, doc: bool = False) -> Any:
    """A node without bodies."""
    helper = require_onnx().helper
    proto = require_onnx().NodeProto(op_type=node.op_type, name=node.name)
    proto.input.extend("" if value is None else value.name for value in node.inputs)
    proto.output.extend(value.name for value in node.outputs)
    for name, value in sorted(node.attrs.items()):
        if isinstance(value, np.ndarray):
            value = tensor_proto(name, value)
        proto.attribute.append(helper.make_attribute(name, value))
    if doc and node.doc:
        proto.doc_string = node.doc
    return proto
