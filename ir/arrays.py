"""Which array library an array belongs to, floating-point warnings kept quiet, and memory that is used again.

The one place in `ir` that touches CuPy, and only when a CuPy array is there or a CUDA device is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from collections.abc import Callable
from functools import cache, lru_cache, partial, wraps
from typing import Any

import numpy as np

from .scalar import ARRAYS, Arrays

__all__ = [
    "algebra_of",
    "cuda_device_count",
    "cupy",
    "is_array",
    "namespace",
    "quiet",
    "quiet_reset",
    "quiet_set",
    "to_device",
]


def namespace(*operands: Any) -> Any:
    """NumPy, or CuPy when any operand is a CuPy array."""
    cupy = sys.modules.get("cupy")
    if cupy is not None and any(isinstance(x, cupy.ndarray) for x in operands):
        return cupy
    return np


def is_array(value: Any) -> bool:
    """Whether the value is an array of a known library."""
    if isinstance(value, np.ndarray):
        return True
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(value, cupy.ndarray)


def cupy() -> Any:
    """The CuPy module; imported here, when a device is asked for, and nowhere before."""
    return importlib.import_module("cupy")


@cache
def cuda_device_count() -> int:
    """How many CUDA devices CuPy finds; 0 where CuPy is not installed or there is no driver."""
    if importlib.util.find_spec("cupy") is None:
        return 0
    try:
        return int(cupy().cuda.runtime.getDeviceCount())
    except (ImportError, RuntimeError):  # no driver library, or no device
        return 0


def to_device(array: Any, kind: str, index: int | None = None) -> Any:
    """An array on the CPU ("cpu") or a CUDA device ("cuda"); the same one where it already is there."""
    if kind == "cpu":
        return array if isinstance(array, np.ndarray) else array.get()
    library = cupy()
    with library.cuda.Device(index):
        return library.asarray(array)


@lru_cache(maxsize=4)
def _arrays(xp: Any) -> Arrays:
    return ARRAYS if xp is np else Arrays(xp)


def algebra_of(xp: Any) -> Arrays:
    """The scalar language's array algebra for an array library."""
    return ARRAYS if xp is np else _arrays(xp)


def _quiet_functions() -> tuple[Callable[[], Any], Callable[[Any], None]]:
    """Enter and leave NumPy's warning-free state. `np.errstate` costs 1.2 us an op, setting NumPy's own context
    variable 0.2 us; where a NumPy release has no such variable, `np.errstate` does."""
    umath = getattr(getattr(np, "_core", None), "umath", None)
    variable = getattr(umath, "_extobj_contextvar", None)
    make = getattr(umath, "_make_extobj", None)
    if variable is None or make is None:

        def enter() -> Any:
            state = np.errstate(all="ignore")
            state.__enter__()
            return state

        return enter, lambda state: state.__exit__(None, None, None)
    extobj = make(all="ignore")
    return partial(variable.set, extobj), variable.reset


quiet_set, quiet_reset = _quiet_functions()


def quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator that silences floating-point warnings: overflow and NaN are results here, as in PyTorch."""

    @wraps(function)
    def silent(*args: Any, **kwargs: Any) -> Any:
        token = quiet_set()
        try:
            return function(*args, **kwargs)
        finally:
            quiet_reset(token)

    return silent


# Fresh memory costs a page fault for every 4 KiB, which is more than filling it does. The GNU C library hands what is
# freed back to the system, and so fetches it again for every result; once it has seen a large block freed, it keeps
# up to twice as much. (The block is never touched: this takes a few microseconds and no memory.)
np.empty(31 << 20, np.uint8)

_KEPT = 1 << 25  # bytes that a thread keeps of each piece


class _Pieces(threading.local):
    def __init__(self) -> None:
        self.by_place: dict[int, np.ndarray] = {}


_pieces = _Pieces()


def workspace(place: int, count: int, dtype: Any) -> np.ndarray:
    """A flat array for what a kernel needs until it returns: this thread's piece number `place`, used again by the
    next call.

    >>> workspace(0, 10, np.float32) is workspace(0, 10, np.float32)
    False
    >>> np.shares_memory(workspace(0, 10, np.float32), workspace(0, 5, np.float64))
    True
    """
    size = count * np.dtype(dtype).itemsize
    if size > _KEPT:
        return np.empty(count, dtype)
    piece = _pieces.by_place.get(place)
    if piece is None or piece.size < size:
        piece = _pieces.by_place[place] = np.empty(size, np.uint8)
    return piece[:size].view(dtype)
