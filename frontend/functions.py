"""Functions on tensors that are more than one op, and the tables of functions and methods by PyTorch's names.

What makes tensors is in `creation`, what converts them in `conversion`. All else that `ingot` offers by PyTorch's names
is an op's entry function, found in the registry.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np

from ..ir import dtypes
from ..ir.dtypes import DType
from ..ir.errors import ArgumentError, IngotError, ShapeError
from ..ir.families import normalise_dim
from ..ir.locations import here
from .conversion import on_device, to
from .creation import empty, eye, full, linspace, ones, tensor, zeros
from .dispatch import EAGER
from .mode import mode
from .tensor_base import TensorBase

__all__ = ["FUNCTIONS", "METHODS", "checked_dim", "close_match", "flatten"]


def add(input: Any, other: Any, *, alpha: Any = 1, out: Any = None) -> Any:
    """input + alpha * other."""
    return EAGER.add(input, other if alpha == 1 else EAGER.mul(other, alpha), out=out)


def sub(input: Any, other: Any, *, alpha: Any = 1, out: Any = None) -> Any:
    """input - alpha * other."""
    return EAGER.sub(input, other if alpha == 1 else EAGER.mul(other, alpha), out=out)


def checked_dim(name: str, dim: int, ndim: int) -> int:
    """A dimension counted from the front.

    Raises:
        IndexOutOfRange: when there is none such.
    """
    try:
        return normalise_dim(name, dim, ndim)
    except IngotError as error:
        raise error.located(here()) from None


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Several neighbouring dimensions as one."""
    ndim = input.ndim
    if ndim == 0:
        return EAGER.reshape(input, (1,))
    first, last = checked_dim("flatten", start_dim, ndim), checked_dim("flatten", end_dim, ndim)
    shape = tuple(input.shape)
    merged: Any = 1
    for size in shape[first : last + 1]:
        merged = merged * size
    return EAGER.reshape(input, (*shape[:first], merged, *shape[last + 1 :]))


def split(input: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of consecutive pieces along a dimension, of one size (the last may be smaller) or of the sizes listed.

    Raises:
        ShapeError: when the sizes do not add up. ArgumentError: for a size that is not positive.
    """
    total = input.shape[checked_dim("split", dim, input.ndim)]
    if isinstance(split_size_or_sections, (list, tuple)):
        sections = list(split_size_or_sections)
        if sum(sections) != total:
            raise ShapeError(
                "split: the sections do not add up", expected=str(total), found=str(sum(sections)), location=here()
            )
    else:
        sections = _equal_pieces(total, split_size_or_sections)
    pieces, start = [], 0
    for length in sections:
        pieces.append(EAGER.slice(input, dim, start, start + length))
        start += length
    return tuple(pieces)


def _equal_pieces(total: Any, step: Any) -> list[Any]:
    """The sizes of the pieces that `total` is cut into, each of size `step` but the last."""
    if step < 1:
        raise ArgumentError("split: the size of a piece is not positive", found=str(step), location=here())
    count = int((total + step - 1) // step) or 1
    return [step] * (count - 1) + [total - step * (count - 1)]


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most `chunks` views of equal size along a dimension; the last may be smaller.

    Raises:
        ArgumentError: when `chunks` is not positive.
    """
    if chunks < 1:
        raise ArgumentError("chunk: the number of pieces is not positive", found=str(chunks), location=here())
    size = (input.shape[checked_dim("chunk", dim, input.ndim)] + chunks - 1) // chunks
    return split(input, size if size > 0 else 1, dim)


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of every index along a dimension."""
    dim = checked_dim("unbind", dim, input.ndim)
    return tuple(EAGER.select(input, dim, i) for i in range(int(input.shape[dim])))


def _values_leave(how: str, *tensors: Any) -> None:
    """Note that Python gets an answer about the values of tensors, where a capture is in progress."""
    if mode.tracer is not None:
        for each in tensors:
            mode.tracer.leaves_graph(each, how)


def allclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether all elements are within `atol + rtol * abs(other)` of each other."""
    _values_leave("allclose()", input, other)
    return bool(np.allclose(input._array, other._array, rtol, atol, equal_nan))


def equal(input: Any, other: Any) -> bool:
    """Whether both tensors have the same sizes and elements."""
    _values_leave("equal()", input, other)
    return bool(np.array_equal(input._array, other._array))


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Two dimensions swapped; a view."""
    return input.transpose(dim0, dim1)


def numel(input: Any) -> Any:
    """The number of elements."""
    return input.numel()


def close_match(name: str, names: Iterable[str]) -> str:
    """A question after a misspelt name: "; did you mean 'relu'?", or nothing."""
    found = difflib.get_close_matches(name, [n for n in names if not n.startswith("_")], n=1, cutoff=0.7)
    return f"; did you mean {found[0]!r}?" if found else ""


def is_tensor(value: Any) -> bool:
    """Whether a value is a tensor."""
    return isinstance(value, TensorBase)


def _new(maker: Callable[..., Any]) -> Callable[..., Any]:
    def new(self: Any, *args: Any, dtype: Any = None, **options: Any) -> Any:
        return maker(*args, dtype=dtype or self.dtype, **options)

    new.__doc__ = maker.__doc__
    return new


def is_floating_point(input: Any) -> bool:
    """Whether the dtype is a floating-point one."""
    return bool(input.is_floating_point())


def cpu(input: Any) -> Any:
    """The tensor in main memory."""
    return on_device(input, "cpu")


def cuda(input: Any, device: Any = "cuda") -> Any:
    """The tensor on a CUDA device."""
    return on_device(input, device)


def _caster(dtype: DType) -> Callable[..., Any]:
    def convert(self: Any) -> Any:
        return to(self, dtype=dtype)

    convert.__doc__ = f"The tensor as {dtype.name}."
    return convert


METHODS: Final[dict[str, Callable[..., Any]]] = {
    "add": add,
    "sub": sub,
    "flatten": flatten,
    "split": split,
    "chunk": chunk,
    "unbind": unbind,
    "allclose": allclose,
    "equal": equal,
    "cpu": cpu,
    "cuda": cuda,
    "new_zeros": _new(zeros),
    "new_ones": _new(ones),
    "new_full": _new(full),
    "new_empty": _new(empty),
    "new_tensor": _new(tensor),
    "ndimension": lambda input: input.ndim,
    "nelement": numel,
    "swapaxes": transpose,
    "swapdims": transpose,
    "byte": _caster(dtypes.uint8),
    "char": _caster(dtypes.int8),
    "short": _caster(dtypes.int16),
    "float": _caster(dtypes.float32),
    "double": _caster(dtypes.float64),
    "half": _caster(dtypes.float16),
    "bfloat16": _caster(dtypes.bfloat16),
    "long": _caster(dtypes.int64),
    "int": _caster(dtypes.int32),
    "bool": _caster(dtypes.bool_),
}
FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "eye": eye,
    "is_floating_point": is_floating_point,
    "linspace": linspace,
    "numel": numel,
    "swapaxes": transpose,
    "swapdims": transpose,
    "transpose": transpose,
    "is_tensor": is_tensor,
    **{name: METHODS[name] for name in ("add", "sub", "flatten", "split", "chunk", "unbind", "allclose", "equal")},
}
