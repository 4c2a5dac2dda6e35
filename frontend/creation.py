"""Tensors from numbers, lists and arrays, and tensors filled by a rule."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from ..ir import dtypes
from ..ir.arrays import is_array
from ..ir.dtypes import DType, get_default_dtype
from ..ir.errors import ArgumentError, DTypeError, ShapeError
from ..ir.locations import here
from .conversion import checked_dtype, on_device, to
from .devices import check_device, device_of
from .dispatch import EAGER
from .mode import mode
from .tensor_base import TensorBase, wrap

__all__ = [
    "arange",
    "as_array",
    "as_tensor",
    "as_tensor_like",
    "empty",
    "empty_like",
    "eye",
    "from_numpy",
    "full",
    "full_like",
    "linspace",
    "ones",
    "ones_like",
    "sizes_of",
    "tensor",
    "zeros",
    "zeros_like",
]


# Numbers that only the run of a captured program knows, by their classes' names.
_RUN_TIME: Final = {"SymInt": int, "SymFloat": float, "SymBool": bool}


def as_array(data: Any, dtype: Any = None) -> np.ndarray:
    """Data as an array of one of the dtypes; Python floats become the default dtype."""
    if isinstance(data, TensorBase):
        found = np.asarray(_plain(data))
    elif isinstance(data, (np.ndarray, np.generic)):
        found = np.asarray(data)
    else:
        found = _from_python(data, dtype)
    wanted = DType.of(dtype) if dtype is not None else DType.of(found.dtype)
    return found if found.dtype == wanted.np else found.astype(wanted.np)


def _from_python(data: Any, dtype: Any) -> np.ndarray:
    try:
        found = np.array(_plain(data))
    except ValueError as error:
        raise ShapeError(f"tensor: {error}", location=here(), advice="rows must have equal lengths") from None
    if found.dtype.kind == "O" or found.dtype.kind in "USM":
        raise DTypeError(f"tensor: cannot hold {type(data).__name__} {data!r:.60}", location=here())
    if dtype is None and _holds_tensors(data):
        return found.astype(functools.reduce(dtypes.promote, _leaf_dtypes(data)).np)
    if dtype is None and found.dtype == np.float64 and not _holds_arrays(data):
        return found.astype(get_default_dtype().np)
    return found


def _plain(data: Any) -> Any:
    if isinstance(data, TensorBase):
        if mode.tracer is not None:
            mode.tracer.leaves_graph(data, "making an array of it")
        return data._array
    return [_plain(x) for x in data] if isinstance(data, (list, tuple)) else data


def _holds_arrays(data: Any) -> bool:
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return isinstance(data, (np.ndarray, np.generic, TensorBase))


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A new tensor with a copy of the data.

    Args:
        data: numbers, nested lists of them, an array or a tensor.
        dtype: default: Python floats give the default dtype, integers int64, arrays keep theirs.
        requires_grad: record operations on it.

    Raises:
        ShapeError: for ragged lists. DTypeError: for what tensors do not hold.

    >>> import ingot
    >>> ingot.tensor([[1, 2], [3, 4]]).dtype
    ingot.int64
    """
    if mode.tracer is not None and getattr(data, "has_runs", False):
        found = to(data.as_tensor(), dtype=dtype, device=device)
    elif mode.tracer is not None and _holds_captured(data):
        found = to(_stacked(data), dtype=dtype, device=device)
    else:
        found = on_device(wrap(np.array(as_array(data, dtype), order="C")), device)
        if mode.tracer is not None:
            mode.tracer.made(found)
    return found.requires_grad_() if requires_grad else found


def _holds_tensors(data: Any) -> bool:
    return isinstance(data, TensorBase) or (isinstance(data, (list, tuple)) and any(map(_holds_tensors, data)))


def _holds_captured(data: Any) -> bool:
    """Whether there are tensors or run-time numbers in the data."""
    if isinstance(data, (list, tuple)):
        return any(map(_holds_captured, data))
    return isinstance(data, TensorBase) or type(data).__name__ in _RUN_TIME


def _leaf_dtypes(data: Any) -> Iterator[DType]:
    if isinstance(data, (list, tuple)):
        for item in data:
            yield from _leaf_dtypes(item)
    else:
        yield DType.of(data._array.dtype if isinstance(data, TensorBase) else as_array(data).dtype)


def _stacked(data: Any) -> Any:
    """Nested lists with tensors or run-time numbers in them as ops, which a capture can follow."""
    if isinstance(data, TensorBase):
        return EAGER.clone(EAGER.detach(data))
    if type(data).__name__ == "SymInt":
        return full((), data)
    if type(data).__name__ in _RUN_TIME:
        number = EAGER.clone(EAGER.detach(data.as_tensor()))
        return to(number, dtype=get_default_dtype()) if type(data).__name__ == "SymFloat" else number
    if not isinstance(data, (list, tuple)):
        return tensor(data)
    rows = [_stacked(item) for item in data]
    widest = functools.reduce(dtypes.promote, [row.dtype for row in rows])
    return EAGER.stack([to(row, dtype=widest) for row in rows])


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Any:
    """The data as a tensor, sharing memory where the dtype allows it."""
    if is_array(data) and not isinstance(data, np.ndarray):
        return to(wrap(data), dtype=dtype, device=device_of(data) if device is None else device)
    if isinstance(data, TensorBase):
        return to(data, dtype=dtype, device=device)
    if mode.tracer is not None and _holds_captured(data):
        return tensor(data, dtype=dtype, device=device)
    return _over_memory(on_device(wrap(as_array(data, dtype)), device))


def _over_memory(tensor: Any) -> Any:
    """A tensor over memory that NumPy may know; a capture is told."""
    if mode.tracer is not None:
        mode.tracer.made_over(tensor)
    return tensor


def from_numpy(array: np.ndarray) -> Any:
    """A tensor that shares the array's memory.

    >>> import ingot, numpy as np
    >>> ingot.from_numpy(np.zeros(2, np.float32)).shape
    ingot.Size([2])
    """
    if not isinstance(array, np.ndarray):
        raise ArgumentError(f"from_numpy: expected an array, not {type(array).__name__}", location=here())
    DType.of(array.dtype)
    return _over_memory(wrap(array))


def as_tensor_like(value: Any, like: Any) -> Any:
    """A value as a tensor, in the dtype of another where it is a Python number."""
    if isinstance(value, TensorBase):
        return value
    if isinstance(value, (bool, int, float)):
        return wrap(np.asarray(value, dtype=like._array.dtype))
    return as_tensor(value)


def sizes_of(size: tuple[Any, ...]) -> tuple[Any, ...]:
    """Sizes that are given one by one, or as a tuple or list."""
    found = size[0] if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    return tuple(found)


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A tensor of the given sizes filled with one value.

    >>> import ingot
    >>> ingot.full((2,), 7)
    tensor([7, 7])
    """
    check_device(device)
    if isinstance(fill_value, np.generic):
        fill_value = fill_value.item()
    if type(fill_value).__name__ in ("SymFloat", "SymBool"):
        number = to(
            fill_value.as_tensor(),
            dtype=checked_dtype(_RUN_TIME[type(fill_value).__name__] if dtype is None else dtype),
        )
        return EAGER.clone(EAGER.expand(EAGER.detach(number), sizes_of((size,))))
    kind = _RUN_TIME.get(type(fill_value).__name__, type(fill_value)) if dtype is None else dtype
    found = EAGER.full(sizes_of((size,)), fill_value, checked_dtype(kind))
    return found.requires_grad_() if requires_grad else found


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A tensor of zeros."""
    return full(sizes_of(size), 0.0, dtype=dtype or get_default_dtype(), device=device, requires_grad=requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A tensor of ones."""
    return full(sizes_of(size), 1.0, dtype=dtype or get_default_dtype(), device=device, requires_grad=requires_grad)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A tensor to be filled; its elements are zeros, so that programs stay reproducible."""
    return zeros(*size, dtype=dtype, device=device, requires_grad=requires_grad)


def full_like(input: Any, fill_value: Any, *, dtype: Any = None) -> Any:
    """A tensor of the sizes and dtype of another, filled with one value."""
    return full(tuple(input.shape), fill_value, dtype=dtype or input.dtype)


def zeros_like(input: Any, *, dtype: Any = None) -> Any:
    """Zeros of the sizes and dtype of another tensor."""
    return full_like(input, 0, dtype=dtype)


def ones_like(input: Any, *, dtype: Any = None) -> Any:
    """Ones of the sizes and dtype of another tensor."""
    return full_like(input, 1, dtype=dtype)


def empty_like(input: Any, *, dtype: Any = None) -> Any:
    """A tensor to be filled, of the sizes and dtype of another."""
    return full_like(input, 0, dtype=dtype)


def arange(start: Any = 0, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None) -> Any:
    """Numbers from `start` (default 0) up to, and without, `end`.

    >>> import ingot
    >>> ingot.arange(3)
    tensor([0, 1, 2])
    """
    if end is None:
        start, end = 0, start
    whole = not any(isinstance(x, float) for x in (start, end, step))
    wanted = DType.of(dtype) if dtype is not None else dtypes.int64 if whole else get_default_dtype()
    return on_device(EAGER.arange(start, end, step, wanted), device)


def eye(n: Any, m: Any = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A matrix with ones on its diagonal and zeros elsewhere.

    >>> import ingot
    >>> ingot.eye(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    found = on_device(EAGER.eye(n, m, dtype=DType.of(dtype or get_default_dtype())), device)
    return found.requires_grad_() if requires_grad else found


def linspace(start: Any, end: Any, steps: int, *, dtype: Any = None, device: Any = None) -> Any:
    """`steps` numbers from `start` to `end`, both included, at equal distances."""
    return on_device(EAGER.linspace(start, end, steps, DType.of(dtype or get_default_dtype())), device)
