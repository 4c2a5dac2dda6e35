"""The types of graph values: tensors with symbolic sizes, run-time scalars, keys and containers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .dtypes import DType
from .dtypes import bool_ as _bool
from .dtypes import get_default_dtype as _default_dtype
from .dtypes import int64 as _int64
from .sizes import Size, SizeExpr

__all__ = [
    "BOOL",
    "FLOAT",
    "INT",
    "KEY",
    "NONE",
    "KeyType",
    "ListType",
    "NoneType",
    "OptionalType",
    "ScalarType",
    "TensorType",
    "TupleType",
    "Type",
    "of_number",
]


class Type:
    """Base class of all types. Types are frozen, hashable values."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class TensorType(Type):
    """A tensor's dtype, sizes and, where it matters, its device kind.

    >>> from . import dtypes
    >>> str(TensorType(dtypes.float32, (2, 3)))
    'f32[2, 3]'
    """

    dtype: DType
    sizes: tuple[Size, ...]
    device: str | None = None

    @property
    def ndim(self) -> int:
        return len(self.sizes)

    @property
    def is_static(self) -> bool:
        """Whether every size is a plain integer."""
        return not any(isinstance(size, SizeExpr) for size in self.sizes)

    def with_(self, dtype: DType | None = None, sizes: tuple[Size, ...] | None = None) -> TensorType:
        """The same type but for the given parts."""
        return TensorType(dtype or self.dtype, self.sizes if sizes is None else sizes, self.device)

    def __str__(self) -> str:
        sizes = ", ".join(map(str, self.sizes))
        return f"{self.dtype.short}[{sizes}]" + (f":{self.device}" if self.device else "")


@dataclass(frozen=True, slots=True)
class ScalarType(Type):
    """A Python number at run time: `int`, `float` or `bool`."""

    name: str

    @property
    def dtype(self) -> DType:
        """The dtype that the number counts as in promotion."""
        return {"bool": _bool, "int": _int64}.get(self.name) or _default_dtype()

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class KeyType(Type):
    """A key of the counter-based generator: two 64-bit words."""

    def __str__(self) -> str:
        return "key"


@dataclass(frozen=True, slots=True)
class NoneType(Type):
    """The type of an operand that is absent."""

    def __str__(self) -> str:
        return "none"


@dataclass(frozen=True, slots=True)
class TupleType(Type):
    """A tuple of values, each of its own type."""

    items: tuple[Type, ...]

    def __str__(self) -> str:
        inner = ", ".join(map(str, self.items))
        return f"({inner},)" if len(self.items) == 1 else f"({inner})"


@dataclass(frozen=True, slots=True)
class ListType(Type):
    """A list of values of one type; its length is known at run time only."""

    item: Type

    def __str__(self) -> str:
        return f"list<{self.item}>"


@dataclass(frozen=True, slots=True)
class OptionalType(Type):
    """A value of the given type, or none."""

    item: Type

    def __str__(self) -> str:
        return f"{self.item}?"


INT: Final = ScalarType("int")
FLOAT: Final = ScalarType("float")
BOOL: Final = ScalarType("bool")
KEY: Final = KeyType()
NONE: Final = NoneType()


def of_number(value: bool | int | float) -> ScalarType:
    """The type of a Python number.

    >>> str(of_number(2.5))
    'float'
    """
    if isinstance(value, bool):
        return BOOL
    return INT if isinstance(value, int) else FLOAT
