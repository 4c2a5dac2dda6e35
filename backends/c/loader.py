"""Compiled C functions that are called with NumPy arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from ...ir.dtypes import DType, bool_, float64, int64
from ...ir.types import ScalarType
from ..cfamily_function import LoopSource, Parameter
from ..loop_call import LoopCall, argument
from ..loops import scalar_dtype

__all__ = ["LoadedOp", "c_types"]

_NUMBERS: Final[dict[DType, Any]] = {bool_: ctypes.c_uint8, int64: ctypes.c_int64, float64: ctypes.c_double}


def c_types(source: LoopSource) -> list[Any]:
    """The ctypes of an emitted function's parameters."""
    return [_c_type(parameter, source) for parameter in source.parameters]


def _c_type(parameter: Parameter, source: LoopSource) -> Any:
    if parameter.kind == "number":
        type_ = source.operands[parameter.index]
        assert isinstance(type_, ScalarType)
        return _NUMBERS[scalar_dtype(type_)]
    return ctypes.c_int64 if parameter.kind == "size" or parameter.kind.endswith("stride") else ctypes.c_void_p


class LoadedOp(LoopCall):
    """An emitted op in a loaded library.

    Args:
        source: what was emitted.
        library: the compiled text that holds it.
    """

    def __init__(self, source: LoopSource, library: ctypes.CDLL) -> None:
        super().__init__(source)
        self._function = getattr(library, source.kernels[0].name)
        self._function.restype = ctypes.c_int32
        self._function.argtypes = c_types(source)

    def launch(self, arrays: Sequence[Any], outputs: Sequence[np.ndarray], bindings: Mapping[str, int]) -> int:
        """Call the function; returns its status."""
        return int(self._function(*(argument(p, arrays, outputs, bindings) for p in self.source.parameters)))
