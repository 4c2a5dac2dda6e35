"""Calling emitted loops with arrays: checks, values of size variables, results, and merged dimensions.

The same for every language; what starts the function is a subclass's `launch`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..ir.errors import ArgumentError, DTypeError, IndexOutOfRange, ShapeError
from ..ir.sizes import SizeExpr, evaluate, solve
from ..ir.types import TensorType
from .cfamily_function import EMPTY, OUTSIDE, LoopSource, Parameter

__all__ = ["LoopCall", "argument"]


class LoopCall:
    """An emitted op, called with arrays, numbers and None as its operands are."""

    def __init__(self, source: LoopSource) -> None:
        self.source = source

    def launch(self, arrays: Sequence[Any], outputs: Sequence[np.ndarray], bindings: Mapping[str, int]) -> int:
        """Run the function; returns its status.

        Args:
            arrays: the operands, with as many dimensions as the function was emitted for.
            bindings: values of the size variables.
        """
        raise TypeError(f"{type(self).__name__} does not define launch")

    def __call__(self, *operands: Any) -> Any:
        """The op's result, or a tuple of its results.

        Raises:
            DTypeError: when an operand does not have the dtype that the function was emitted for.
            ShapeError: when sizes do not fit the types, or a maximum is taken over no elements.
            IndexOutOfRange: when the op reads or writes outside of a tensor.
        """
        source = self.source
        if len(operands) != len(source.operands):
            raise ArgumentError(f"{source.name}: {len(operands)} operands", expected=str(len(source.operands)))
        arrays = [self._operand(i, value) for i, value in enumerate(operands)]
        if source.broadcasts:
            return self._broadcast(arrays)
        bindings = self._bindings(arrays)
        outputs = [np.empty(tuple(evaluate(n, bindings) for n in t.sizes), t.dtype.np) for t in source.outputs]
        self._run(arrays, outputs, bindings)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _run(self, arrays: Sequence[Any], outputs: Sequence[np.ndarray], bindings: Mapping[str, int]) -> None:
        status = self.launch(arrays, outputs, bindings)
        if status == OUTSIDE:
            raise IndexOutOfRange(f"{self.source.name}: an index is out of range")
        if status == EMPTY:
            raise ShapeError(f"{self.source.name}: a maximum or minimum over no elements has no value")

    def _operand(self, i: int, value: Any) -> Any:
        type_ = self.source.operands[i]
        if not isinstance(type_, TensorType):
            return value
        if isinstance(value, np.generic):
            value = np.asarray(value)
        if not isinstance(value, np.ndarray) or value.dtype != type_.dtype.np:
            found = getattr(value, "dtype", type(value).__name__)
            raise DTypeError(f"{self.source.name}: operand {i} is {found}", expected=str(type_))
        return _addressable(value)

    def _bindings(self, arrays: Sequence[Any]) -> dict[str, int]:
        """The values of the size variables, from the operands' shapes.

        Raises:
            ShapeError: when a shape does not fit the operand's type.
        """
        pairs = []
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
                raise ShapeError(
                    f"{self.source.name}: a size of operand {i} does not fit",
                    expected=f"{size} == {evaluate(size, bindings)}",
                    found=str(n),
                )
        return bindings

    def _broadcast(self, arrays: list[Any]) -> np.ndarray:
        """Element-wise: shapes are broadcast, and dimensions merged until there are as many as loops."""
        tensors = [i for i, t in enumerate(self.source.operands) if isinstance(t, TensorType)]
        (type_,) = self.source.outputs
        shape = np.broadcast_shapes(*(arrays[i].shape for i in tensors))
        result = np.empty(shape, type_.dtype.np)
        views = _merged([result, *(np.broadcast_to(arrays[i], shape) for i in tensors)], type_.ndim)
        if views is None:
            raise ShapeError(
                f"{self.source.name}: too many dimensions", expected=f"{type_.ndim} loops", found=str(shape)
            )
        for i, array in zip(tensors, views[1:], strict=True):
            arrays[i] = array
        self._run(arrays, views[:1], {str(n): k for n, k in zip(type_.sizes, views[0].shape, strict=True)})
        return result


def argument(
    parameter: Parameter, arrays: Sequence[Any], outputs: Sequence[np.ndarray], bindings: Mapping[str, int]
) -> Any:
    """What a parameter is given: an address, a stride in elements, a number or a size."""
    if parameter.kind == "size":
        return bindings[parameter.variable]
    array = outputs[parameter.index] if parameter.kind.startswith("output") else arrays[parameter.index]
    if parameter.kind == "number":
        return array
    if parameter.kind.endswith("stride"):
        return array.strides[parameter.axis] // array.itemsize
    return array.ctypes.data


def _addressable(array: np.ndarray) -> np.ndarray:
    """The array itself, or a copy where strides in whole elements do not lead to its elements."""
    whole = all(stride % array.itemsize == 0 for stride in array.strides)
    return (
        array if whole and array.flags.aligned and array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    )


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
    if rank == 0 and shape == [1]:
        shape, strides = [], [[] for _ in strides]
    if len(shape) > rank:
        return None
    missing = rank - len(shape)
    as_strided = np.lib.stride_tricks.as_strided
    return [
        as_strided(array, (1,) * missing + tuple(shape), (0,) * missing + tuple(s))
        for array, s in zip(arrays, strides, strict=True)
    ]
