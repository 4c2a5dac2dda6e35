"""What ONNX is on this machine: the package, the opsets it knows, the operators of one opset.

The package `onnx` is imported here and where models are built, when an export begins and not before.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final

from ...ir.dtypes import (
    DType,
    bfloat16,
    bool_,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from ...ir.errors import ArgumentError, ExportError, UnsupportedError

__all__ = ["ELEMENT_TYPES", "OLDEST", "TYPE_NAMES", "Operators", "ir_version", "require_onnx"]

OLDEST: Final = 13
"""The oldest opset that is written: in it Squeeze, Unsqueeze and ReduceSum take their axes as inputs."""

# ONNX's numbers and names of the element types (onnx.proto, TensorProto.DataType).
ELEMENT_TYPES: Final[dict[DType, int]] = {
    float32: 1,
    uint8: 2,
    int8: 3,
    int16: 5,
    int32: 6,
    int64: 7,
    bool_: 9,
    float16: 10,
    float64: 11,
    bfloat16: 16,
}
_NAMES: Final[dict[DType, str]] = {float32: "float", float64: "double", bool_: "bool"}
TYPE_NAMES: Final[dict[DType, str]] = {d: f"tensor({_NAMES.get(d, d.name)})" for d in ELEMENT_TYPES}


def require_onnx() -> ModuleType:
    """The package `onnx`.

    Raises:
        UnsupportedError: when it is not installed.
    """
    try:
        import onnx
        import onnx.checker
        import onnx.defs
        import onnx.helper
        import onnx.shape_inference
    except ImportError as error:
        raise UnsupportedError(
            f"exporting to ONNX needs the package onnx: {error}", advice='install it with: pip install "ingot[onnx]"'
        ) from None
    return onnx


def ir_version(opset: int) -> int:
    """The version of the file format that came with an opset: every reader of the opset reads it.

    >>> ir_version(20)
    9
    """
    helper = require_onnx().helper
    found: int = helper.find_min_ir_version_for([helper.make_opsetid("", opset)])
    return found


class Operators:
    """The operators of one opset.

    Raises:
        ArgumentError: for an opset older than `OLDEST`, or newer than the installed package knows.
    """

    def __init__(self, opset: int) -> None:
        self._defs: Any = require_onnx().defs
        newest = self._defs.onnx_opset_version()
        if not isinstance(opset, int) or isinstance(opset, bool) or not OLDEST <= opset <= newest:
            raise ArgumentError(
                f"opset_version is {opset!r}",
                expected=f"{OLDEST} to {newest}, the newest that the installed onnx knows",
            )
        self.opset = opset
        self._schemas: dict[str, Any] = {}

    def schema(self, name: str) -> Any:
        """The operator's schema, the newest that is not newer than the opset.

        Raises:
            ExportError: when the opset does not have the operator.
        """
        found = self._schemas.get(name)
        if found is None:
            found = self._schemas[name] = self._look_up(name)
        return found

    def _look_up(self, name: str) -> Any:
        if not self._defs.has(name):
            raise ExportError(f"ONNX has no operator {name!r}")
        try:
            return self._defs.get_schema(name, self.opset, "")
        except self._defs.SchemaError:
            first = min(
                s.since_version for s in self._defs.get_all_schemas_with_history() if s.name == name and not s.domain
            )
            raise ExportError(f"ONNX has {name} from opset {first} on", found=f"opset_version={self.opset}") from None
