"""Compiled functions that are called with NumPy arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from ...ir.dtypes import DType, bool_, float64
from ...ir.errors import ArgumentError, DTypeError, IndexOutOfRange, ShapeError
from ...ir.sizes import Size, SizeExpr, evaluate, solve
from ...ir.types import ScalarType, TensorType
from ..cfamily_function import EMPTY, OUTSIDE, LoopSource, Parameter
from ..loops import scalar_dtype

__all__ = ["LoadedOp"]

_NUMBERS: Final = {bool_: ctypes.c_uint8, float64: ctypes.c_double}


class LoadedOp:
    """An emitted op in a loaded library, called with arrays, numbers and None as its operands are.

    Args:
        source: what was emitted.
        library: the compiled text that holds it.
    """

    def __init__(self, source: LoopSource, library: ctypes.CDLL) -> None:
        self.source = source
        self._call = getattr(library, source.kernels[0].name)
        self._call.restype = ctypes.c_int32
        self._call.argtypes = [self._type_of(p) for p in source.parameters]

    def _type_of(self, parameter: Parameter) -> Any:
        if parameter.kind in ("output", "input"):
            return ctypes.c_void_p
        if parameter.kind == "number":
            return _NUMBERS.get(self._number(parameter.index), ctypes.c_int64)
        return ctypes.c_int64

    def _number(self, operand: int) -> DType:
        type_ = self.source.operands[operand]
        assert isinstance(type_, ScalarType)
        return scalar_dtype(type_)

    def __call__(self, *operands: Any) -> Any:
        """The op's result, or a tuple of its results.

        Raises:
            DTypeError, ShapeError: when an operand is not of the type that the function was emitted for.
            IndexOutOfRange: when the op reads or writes outside of a tensor.
        """
        if len(operands) != len(self.source.operands):
            raise ArgumentError(f"{self.source.name}: {len(operands)} operands", expected=str(len(self.source.operands)))
        arrays = [self._operand(i, value) for i, value in enumerate(operands)]
        if self.source.broadcasts:
            return self._run_broadcast(arrays)
        bindings = self._bindings(arrays)
        outputs = [
            np.empty(tuple(evaluate(size, bindings) for size in t.sizes), t.dtype.np) for t in self.source.outputs
        ]
        self._run(arrays, outputs, bindings)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _operand(self, i: int, value: Any) -> Any:
        type_ = self.source.operands[i]
        if not isinstance(type_, TensorType):
            return value
        if not isinstance(value, np.ndarray) or value.dtype != type_.dtype.np:
            found = getattr(value, "dtype", type(value).__name__)
            raise DTypeError(f"{self.source.name}: operand {i} is {found}", expected=str(type_))
        return _addressable(value)

    def _bindings(self, arrays: Sequence[Any]) -> dict[str, int]:
        """The values of the size variables, from the operands' shapes.

        Raises:
            ShapeError: when a shape does not fit the operand's type.
        """
        pairs: list[tuple[int, Size, int]] = []
        for i, (type_, array) in enumerate(zip(self.source.operands, arrays, strict=True)):
            if not isinstance(type_, TensorType):
                continue
            if array.ndim != type_.ndim:
                raise ShapeError(f"{self.source.name}: operand {i} has {array.ndim} dimensions", expected=str(type_))
            pairs += [(i, size, n) for size, n in zip(type_.sizes, array.shape, strict=True)]
        bindings: dict[str, int] = {}
        for _, size, n in pairs:
            if isinstance(size, SizeExpr) and (found := solve(size, n)):
                bindings.setdefault(*found)
        for i, size, n in pairs:
            if evaluate(size, bindings) != n:
                raise ShapeError(f"{self.source.name}: operand {i}: {size} is {n}", expected=str(evaluate(size, bindings)))
        return bindings

    def _run_broadcast(self, arrays: list[Any]) -> np.ndarray:
        """Element-wise: shapes are broadcast, and dimensions merged until there are as many as loops."""
        tensors = [i for i, t in enumerate(self.source.operands) if isinstance(t, TensorType)]
        (type_,) = self.source.outputs
        shape = np.broadcast_shapes(*(arrays[i].shape for i in tensors))
        result = np.empty(shape, type_.dtype.np)
        flat = _merged([result, *(np.broadcast_to(arrays[i], shape) for i in tensors)], type_.ndim)
        if flat is None:
            raise ShapeError(f"{self.source.name}: more than {type_.ndim} loops", found=str(shape))
        for i, array in zip(tensors, flat[1:], strict=True):
            arrays[i] = array
        variables = [p.variable for p in self.source.parameters if p.kind == "size"]
        order = {str(size): axis for axis, size in enumerate(type_.sizes)}
        self._run(arrays, flat[:1], {name: flat[0].shape[order[name]] for name in variables})
        return result

    def _run(self, arrays: Sequence[Any], outputs: Sequence[np.ndarray], bindings: Mapping[str, int]) -> None:
        status = self._call(*(self._argument(p, arrays, outputs, bindings) for p in self.source.parameters))
        if status == OUTSIDE:
            raise IndexOutOfRange(f"{self.source.name}: an index is out of range")
        if status == EMPTY:
            raise ShapeError(f"{self.source.name}: a maximum or minimum over no elements has no value")

    def _argument(
        self, p: Parameter, arrays: Sequence[Any], outputs: Sequence[np.ndarray], bindings: Mapping[str, int]
    ) -> Any:
        if p.kind == "size":
            return bindings[p.variable]
        array = outputs[p.index] if p.kind.startswith("output") else arrays[p.index]
        if p.kind == "number":
            return array
        return array.strides[p.axis] // array.itemsize if p.kind.endswith("stride") else array.ctypes.data


def _addressable(array: np.ndarray) -> np.ndarray:
    """The array itself, or a copy where its elements are not where whole strides lead."""
    whole = all(stride % array.itemsize == 0 for stride in array.strides)
    return array if whole and array.flags.aligned and array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _merged(arrays: Sequence[np.ndarray], rank: int) -> list[np.ndarray] | None:
    """Views of arrays of one shape with exactly `rank` dimensions, or None where that takes more.

    Neighbouring dimensions become one where every array steps through them evenly.
    """
    shape = list(arrays[0].shape)
    strides = [list(array.strides) for array in arrays]
    for axis in range(len(shape) - 2, -1, -1):
        if shape[axis] == 1 or shape[axis + 1] == 1:
            gone = axis if shape[axis] == 1 else axis + 1
        elif all(s[axis] == s[axis + 1] * shape[axis + 1] for s in strides):
            gone = axis
            shape[axis + 1] *= shape[axis]
        else:
            continue
        del shape[gone]
        for s in strides:
            del s[gone]
    if len(shape) == 1 and rank == 0 and shape[0] == 1:
        shape, strides = [], [[] for _ in strides]
    if len(shape) > rank:
        return None
    missing = rank - len(shape)
    as_strided = np.lib.stride_tricks.as_strided
    return [
        as_strided(array, (1,) * missing + tuple(shape), (0,) * missing + tuple(s))
        for array, s in zip(arrays, strides, strict=True)
    ]
