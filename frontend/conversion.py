"""A tensor in another dtype or on another device; as text; from what a copy keeps of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir.arrays import to_device
from ..ir.dtypes import DType
from ..ir.errors import IngotError, UnsupportedError
from ..ir.locations import here
from .devices import check_device
from .devices import device as Device
from .dispatch import EAGER
from .mode import mode
from .tensor_base import TensorBase, wrap

__all__ = ["checked_dtype", "on_device", "rebuild", "show", "to"]


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
        input = on_device(input, device)
    if dtype is None or dtype is input.dtype:
        return input
    wanted = checked_dtype(dtype)
    return input if wanted is input.dtype else EAGER.cast(input, dtype=wanted)


def on_device(input: Any, wanted: Any) -> Any:
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


def checked_dtype(dtype: Any) -> DType:
    """A dtype by any of its names; a mistake names the user's line."""
    try:
        return DType.of(dtype)
    except IngotError as error:
        raise error.located(here()) from None
