"""Plain classes for named tuples and dataclasses of which only name and fields are known: those in program files.

They are made by `type(...)` from names that are checked first; nothing is imported, and no text is compiled.
"""

from __future__ import annotations

import keyword
from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from .errors import ArgumentError

__all__ = ["check_record_names", "make_record", "record_type"]


class _NamedTuple(tuple[Any, ...]):
    """What the named tuples made here have in common."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()

    def _asdict(self) -> dict[str, Any]:
        return dict(zip(self._fields, self, strict=True))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self._asdict().items())})"


class _Record:
    """What the classes made here for dataclasses have in common."""

    __slots__ = ()
    __ingot_record__ = "dataclass"
    _fields: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self._fields)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self._fields)})"


def check_record_names(name: str, fields: Sequence[str]) -> None:
    """Whether a class can have this name and these fields.

    Raises:
        ArgumentError: naming the one that it cannot have.

    >>> try:
    ...     check_record_names("Point", ["x", "class"])
    ... except ArgumentError as error:
    ...     print(error.what)
    a type's field cannot be named 'class'
    """
    for what, text in (("a type", name), *(("a type's field", field) for field in fields)):
        if not text.isidentifier() or keyword.iskeyword(text) or text.startswith("__"):
            raise ArgumentError(
                f"{what} cannot be named {text[:80]!a}",
                expected="an identifier that is no keyword and does not begin with __",
            )
    if len(set(fields)) != len(fields):
        raise ArgumentError(f"two fields of {name} have one name")


@lru_cache(maxsize=1024)
def record_type(kind: str, name: str, fields: tuple[str, ...]) -> type:
    """A class with the given fields: the same one for the same question.

    >>> point = record_type("namedtuple", "Point", ("x", "y"))
    >>> make_record(point, "namedtuple", ("x", "y"), [1, 2])
    Point(x=1, y=2)
    """
    check_record_names(name, fields)
    if kind == "namedtuple":
        places = {field: property(itemgetter(i)) for i, field in enumerate(fields)}
        return type(name, (_NamedTuple,), {**places, "__slots__": (), "_fields": fields})
    return type(name, (_Record,), {"__slots__": fields, "_fields": fields} if fields else {"__slots__": ()})


def make_record(cls: Any, kind: str, fields: Sequence[str], values: Sequence[Any]) -> Any:
    """An instance with the given fields. The class's own `__new__` and `__init__` do not run: they ran when the value
    was made that a program was captured with."""
    if kind == "namedtuple":
        return tuple.__new__(cls, values)
    found = object.__new__(cls)
    for field, value in zip(fields, values, strict=True):
        object.__setattr__(found, field, value)
    return found
