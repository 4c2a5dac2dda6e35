"""Functions on tensors that are more than one op: creation, conversion, overloads, display.

Everything else that `ingot` offers by PyTorch's names is an op's entry function, found in the registry.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import numpy as np

from ..ir import dtypes
from ..ir.arrays import is_array, to_device
from ..ir.dtypes import DType, get_default_dtype
from ..ir.errors import ArgumentError, DTypeError, IngotError, ShapeError, UnsupportedError
from ..ir.families import normalise_dim
from ..ir.locations import here
from .devices import check_device, device_of
from .devices import device as Device
from .dispatch import EAGER
from .mode import mode
from .tensor_base import TensorBase, wrap

__all__ = [
    "arange",
    "as_tensor",
    "empty",
    "empty_like",
    "from_numpy",
    "full",
    "full_like",
    "ones",
    "ones_like",
    "tensor",
    "zeros",
    "zeros_like",
]


# ---------------------------------------------------------------------------------------------------- creation

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
    if mode.tracer is not None and _holds_captured(data):
        found = to(_stacked(data), dtype=dtype, device=device)
    else:
        found = _on(wrap(np.array(as_array(data, dtype), order="C")), device)
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
    return _over_memory(_on(wrap(as_array(data, dtype)), device))


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


def _sizes(size: tuple[Any, ...]) -> tuple[Any, ...]:
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
            dtype=_checked_dtype(_RUN_TIME[type(fill_value).__name__] if dtype is None else dtype),
        )
        return EAGER.clone(EAGER.expand(EAGER.detach(number), _sizes((size,))))
    kind = _RUN_TIME.get(type(fill_value).__name__, type(fill_value)) if dtype is None else dtype
    found = EAGER.full(_sizes((size,)), fill_value, _checked_dtype(kind))
    return found.requires_grad_() if requires_grad else found


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A tensor of zeros."""
    return full(_sizes(size), 0.0, dtype=dtype or get_default_dtype(), device=device, requires_grad=requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A tensor of ones."""
    return full(_sizes(size), 1.0, dtype=dtype or get_default_dtype(), device=device, requires_grad=requires_grad)


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
    return _on(EAGER.arange(start, end, step, wanted), device)


# -------------------------------------------------------------------------------------------------- conversion


def to(input: Any, *args: Any, dtype: Any = None, device: Any = None) -> Any:
    """The tensor in another dtype or on another device; itself where nothing changes."""
    for arg in args:
        if isinstance(arg, TensorBase):
            dtype = arg.dtype  # type: ignore[attr-defined]
        elif isinstance(arg, Device) or (isinstance(arg, str) and arg.split(":")[0] in ("cpu", "cuda")):
            device = arg
        elif not isinstance(arg, bool):
            dtype = arg
    if device is not None:
        input = _on(input, device)
    if dtype is None or dtype is input.dtype:
        return input
    wanted = _checked_dtype(dtype)
    return input if wanted is input.dtype else EAGER.cast(input, dtype=wanted)


def _on(input: Any, wanted: Any) -> Any:
    """A tensor on a device; itself where it already is there.

    Raises:
        UnsupportedError: for a device that is not there, for a move while capturing, or of a recorded tensor.
    """
    target = check_device(wanted)
    if wanted is None or (target.type == "cpu") == isinstance(input._array, np.ndarray):
        return input
    if input._node is not None or mode.tracer is not None:
        raise UnsupportedError(
            "moving between devices is neither recorded nor captured",
            location=here(),
            advice="move the tensor before it requires a gradient, and before capture",
        )
    return wrap(to_device(input._array, target.type, target.index))


def _caster(dtype: DType) -> Callable[..., Any]:
    def convert(self: Any) -> Any:
        return to(self, dtype=dtype)

    convert.__doc__ = f"The tensor as {dtype.name}."
    return convert


def rebuild(array: np.ndarray, requires_grad: bool) -> Any:
    """A tensor from what `copy` and `pickle` keep of one."""
    found = wrap(array)
    return found.requires_grad_() if requires_grad else found


def show(tensor: Any) -> str:
    """A tensor as text, as PyTorch prints it."""
    body = np.array2string(tensor._array, separator=", ", prefix="tensor(", precision=4)
    facts = ""
    if tensor._array.dtype.name not in ("float32", "int64", "bool"):
        facts += f", dtype={tensor._array.dtype.name}"
    if tensor._node is not None:
        facts += ", requires_grad=True" if tensor.is_leaf else f", grad_fn={tensor._node!r}"
    return f"tensor({body}{facts})"


# --------------------------------------------------------------------------------------------------- overloads


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


def _checked_dtype(dtype: Any) -> DType:
    try:
        return DType.of(dtype)
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


def eye(n: Any, m: Any = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A matrix with ones on its diagonal and zeros elsewhere.

    >>> import ingot
    >>> ingot.eye(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    found = _on(EAGER.eye(n, m, dtype=DType.of(dtype or get_default_dtype())), device)
    return found.requires_grad_() if requires_grad else found


def linspace(start: Any, end: Any, steps: int, *, dtype: Any = None, device: Any = None) -> Any:
    """`steps` numbers from `start` to `end`, both included, at equal distances."""
    return _on(EAGER.linspace(start, end, steps, DType.of(dtype or get_default_dtype())), device)


def is_floating_point(input: Any) -> bool:
    """Whether the dtype is a floating-point one."""
    return bool(input.is_floating_point())


def cpu(input: Any) -> Any:
    """The tensor in main memory."""
    return _on(input, "cpu")


def cuda(input: Any, device: Any = "cuda") -> Any:
    """The tensor on a CUDA device."""
    return _on(input, device)


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
