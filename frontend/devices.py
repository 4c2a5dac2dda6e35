"""Where a tensor's memory lies: `device`, and the `ingot.cuda` questions that scripts ask."""

from __future__ import annotations

from typing import Any

from ..ir import arrays
from ..ir.errors import ArgumentError, UnsupportedError
from ..ir.locations import here
from .mode import mode

__all__ = ["check_device", "current_device", "device", "device_count", "device_of", "is_available", "synchronize"]


class device:
    """A kind of memory and, for several of one kind, its number.

    Raises:
        ArgumentError: for a kind other than "cpu" and "cuda".

    >>> device("cuda:1").type, device("cuda:1").index
    ('cuda', 1)
    >>> device("cpu") == "cpu"
    True
    """

    __slots__ = ("index", "type")

    def __init__(self, type: Any, index: int | None = None) -> None:
        kind, _, number = str(type).partition(":")
        if kind not in ("cpu", "cuda") or (number and not number.isdigit()):
            raise ArgumentError(f"no device {str(type)!r}", expected="'cpu', 'cuda' or 'cuda:N'", location=here())
        self.type = kind
        self.index = int(number) if number else index

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return (
            f"device(type={self.type!r})" if self.index is None else f"device(type={self.type!r}, index={self.index})"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (device, str)) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


def device_of(array: Any) -> device:
    """The device that an array lies on."""
    return device("cpu") if arrays.namespace(array) is arrays.np else device("cuda", array.device.id)


def check_device(wanted: Any) -> device:
    """The device that a caller names; None is the CPU.

    Raises:
        ArgumentError: for what names no device.
        UnsupportedError: for a CUDA device where CuPy finds none.
    """
    found = wanted if isinstance(wanted, device) else device("cpu" if wanted is None else wanted)
    if found.type == "cuda" and not is_available():
        raise UnsupportedError(
            "no CUDA device can be used",
            location=here(),
            advice='CuPy and a driver are needed: pip install "ingot[cuda]" (CUDA 12) or "ingot[cuda13]"',
        )
    return found


def is_available() -> bool:
    """Whether CuPy is installed and finds a device."""
    found = arrays.cuda_device_count() > 0
    if mode.tracer is not None:
        mode.tracer.ledger.read("device", "whether a CUDA device is available", found)
    return found


def device_count() -> int:
    """How many CUDA devices CuPy finds."""
    found = arrays.cuda_device_count()
    if mode.tracer is not None:
        mode.tracer.ledger.read("device", "number of CUDA devices", found)
    return found


def current_device() -> int:
    """The number of the CUDA device that new arrays are made on."""
    check_device("cuda")
    return int(arrays.cupy().cuda.runtime.getDevice())


def synchronize() -> None:
    """Wait until the CUDA device has done all that it was asked to."""
    check_device("cuda")
    arrays.cupy().cuda.runtime.deviceSynchronize()
