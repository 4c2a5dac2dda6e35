"""`Size`: a tensor's sizes as a tuple."""

from __future__ import annotations

from typing import Any

__all__ = ["Size"]


class Size(tuple[Any, ...]):
    """A tensor's sizes; a tuple that also counts elements.

    >>> Size((2, 3)).numel()
    6
    """

    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return Size(found) if isinstance(index, slice) else found

    def __add__(self, other: Any) -> Size:
        return Size(super().__add__(tuple(other)))

    def numel(self) -> Any:
        """The number of elements."""
        total: Any = 1
        for size in self:
            total = total * size
        return total

    def __repr__(self) -> str:
        return f"ingot.Size({list(self)})"
