"""Where values are while emitted source runs: storages, and the seats of values in them.

A storage is memory of one dtype and shape that emitted source owns: a piece of the arena, or a result. Several
values may sit in it, one after the other (an operand and what is computed in its place) or at once (a value and
its views). It is in use from its first holder's making to its last one's end.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ...ir.dtypes import DType
from ...ir.graph import Value
from ...ir.sizes import Size

__all__ = ["Seat", "Storage"]


@dataclass(slots=True, eq=False)
class Storage:
    """Memory that the source owns.

    Attributes:
        name: of the array that is all of it.
        first, last: positions of its first and last use.
        result: it is handed to the caller, and so made anew by each call.
        external: it is the caller's: state that is written in place.
        holders: the values that need what lies in it.
    """

    name: str
    dtype: DType
    sizes: tuple[Size, ...]
    first: int
    last: int = -1
    result: bool = False
    external: bool = False
    holders: set[Value] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class Seat:
    """How the source names a value, and what is known of the array behind the name.

    Attributes:
        text: an expression: a name or a literal.
        storage: what it lies in; None for inputs, state, constants, numbers and arrays that NumPy allocated.
        whole: it is all of its storage, with the storage's dtype and sizes.
        static: it is made with the plan and does not change afterwards.
        contiguous: whether it lies in memory in row-major order without gaps; None where only the call shows.
        fresh: an array that the call itself made, and that nothing else shares.
        scalar: for a tensor without dimensions that is kept as a NumPy scalar (a bool may be Python's own): that.
    """

    text: str
    storage: Storage | None = None
    whole: bool = False
    static: bool = False
    contiguous: bool | None = None
    fresh: bool = False
    scalar: str = ""
