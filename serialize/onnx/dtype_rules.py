"""Dtypes by the operators' schemas: what a result has, and what to do with operands that an operator does not take.

ONNX lists for each operator the element types that it is defined for, and the lists grow with the opsets. Where a
dtype is missing, the operands are widened to one that holds all its values, and the result is narrowed again; integers
that would overflow wrap around then as they do in Ingot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ...ir.dtypes import DType, bfloat16, bool_, float16, float32, float64, int8, int16, int32, int64, uint8
from ...ir.errors import ExportError
from .opsets import ELEMENT_TYPES, TYPE_NAMES
from .values import OnnxValue

if TYPE_CHECKING:
    from .algebra import OnnxAlgebra

__all__ = ["fit", "result_dtypes"]

_WIDER: Final[dict[DType, tuple[DType, ...]]] = {
    bool_: (uint8, int32, int64),
    uint8: (int32, int64),
    int8: (int32, int64),
    int16: (int32, int64),
    int32: (int64,),
    float16: (float32,),
    bfloat16: (float32,),
}
# Operators that only pick elements may see integers as floats that hold them exactly.
_PICKING: Final = frozenset({"MaxPool"})
_AS_FLOAT: Final = {bool_: float32, uint8: float32, int8: float32, int16: float32, int32: float64}
_BY_NAME: Final = {text: dtype for dtype, text in TYPE_NAMES.items()}
_BY_NUMBER: Final = {number: dtype for dtype, number in ELEMENT_TYPES.items()}
# Attributes that say of what dtype the result is.
_NAMING: Final = {"Cast": "to", "EyeLike": "dtype"}


def fit(
    E: OnnxAlgebra, schema: Any, inputs: Sequence[OnnxValue | None]
) -> tuple[list[OnnxValue | None], list[DType | None]]:
    """Operands in dtypes that the operator takes; and for each result the dtype to bring it back to, or None.

    Raises:
        ExportError: when the operator takes nothing that holds the operands' values, or they differ where the operator
            wants them to be of one dtype.
    """
    if len(inputs) > schema.max_input:
        raise ExportError(f"ONNX's {schema.name} takes {schema.max_input} inputs, not {len(inputs)}")
    wanted: dict[str, tuple[DType, DType]] = {}
    found: list[OnnxValue | None] = []
    for i, value in enumerate(inputs):
        if value is None or value.dtype is None:
            found.append(value)
            continue
        formal = schema.inputs[min(i, len(schema.inputs) - 1)]
        own, target = wanted.setdefault(formal.type_str, (value.dtype, _allowed(schema, formal, value.dtype)))
        if own is not value.dtype and formal.is_homogeneous:
            raise ExportError(f"{schema.name}: operands differ in dtype", found=f"{own.name} and {value.dtype.name}")
        found.append(value if target is value.dtype else E.Cast(value, to=target))
    changed = {text: own for text, (own, target) in wanted.items() if own is not target}
    return found, [changed.get(formal.type_str) for formal in schema.outputs] if changed else []


def _allowed(schema: Any, formal: Any, dtype: DType) -> DType:
    allowed = formal.types
    if TYPE_NAMES[dtype] in allowed:
        return dtype
    for wider in _WIDER.get(dtype, ()):
        if TYPE_NAMES[wider] in allowed:
            return wider
    if schema.name in _PICKING and dtype in _AS_FLOAT:
        return _AS_FLOAT[dtype]
    names = sorted(_BY_NAME[text].name for text in allowed if text in _BY_NAME)
    raise ExportError(
        f"ONNX's {schema.name} of opset {schema.since_version} does not take {dtype.name}",
        expected=f"{formal.name} of {', '.join(names)}",
    )


def result_dtypes(
    schema: Any, inputs: Sequence[OnnxValue | None], attrs: Mapping[str, Any], count: int
) -> list[DType | None]:
    """The dtype of each result: what an attribute names, what the schema fixes, or that of the operand of the same
    type; None for what is not a tensor."""
    number = attrs.get(_NAMING.get(schema.name, ""))
    if number is not None:
        return [_BY_NUMBER[number]]
    if schema.name == "ConstantOfShape":
        return [DType.of(attrs["value"].dtype) if "value" in attrs else float32]
    known: dict[str, DType | None] = {}
    for i, value in enumerate(inputs):
        if value is not None:
            known.setdefault(schema.inputs[min(i, len(schema.inputs) - 1)].type_str, value.dtype)
    texts = [schema.outputs[min(i, len(schema.outputs) - 1)].type_str for i in range(count)]
    return [known.get(text) or _BY_NAME.get(text) or _single(schema, text) for text in texts]


def _single(schema: Any, text: str) -> DType | None:
    """The dtype of a type variable that has one choice: `T1: tensor(bool)`."""
    for constraint in schema.type_constraints:
        if constraint.type_param_str == text and len(constraint.allowed_type_strs) == 1:
            return _BY_NAME.get(constraint.allowed_type_strs[0])
    return None
