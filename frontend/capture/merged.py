"""Containers that are one or another, as the run decides: dicts, and lists that are not the scripted function's own.

A variable that holds a dict behind a captured branch or loop may hold the very dict that another name holds; the
capture makes a new one. That is right as long as neither is used after the other has been changed: such a change, or
use, is refused. (The same for lists of scripted functions is the subject of `list_identity`, for tensors of `sharing`.)
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from ...ir.errors import CaptureError
from ...ir.locations import Location, here
from ..mode import mode

__all__ = ["Merged", "MergedDict", "MergedList"]

_HOLDERS: Final = 3  # who refers to a container that has no name any more, where `_is_named` asks: the record and it


class Merged:
    """What stands for one of several containers.

    Attributes:
        kind: `dict` or `list`: its methods do what they do without asking.
    """

    kind: type
    _sources: list[tuple[Any, Any, Location | None]]  # each with what it held, and the branch or loop that decides

    def stands_for(self, source: Any, location: Location | None) -> None:
        """Note that this is what is left of another container, or not: the branch or loop at `location` decides it."""
        if source is not self:
            self._sources.append((source, self._contents(source), location))

    def _contents(self, source: Any) -> list[Any]:
        return [part for item in dict.items(source) for part in item] if self.kind is dict else list.copy(source)

    def _reading(self) -> None:
        """Refuse a use where one that this may be has been changed since."""
        for source, before, location in self._sources:
            now = self._contents(source)
            if len(now) != len(before) or any(x is not y for x, y in zip(now, before, strict=True)):
                self._refuse(
                    f"a {self.kind.__name__} is used that may be another one, which has been changed", location
                )

    def _changing(self) -> None:
        """Refuse a change where one that this may be has another name; none has later, where none has now."""
        self._reading()
        if any(map(self._is_named, range(len(self._sources)))):
            _forget()
        while self._sources:
            if self._is_named(-1):
                what = f"a {self.kind.__name__} is changed that may be another one, which is in use"
                self._refuse(what, self._sources[-1][2])
            source, _, _ = self._sources.pop()
            if isinstance(source, Merged):
                self._sources += source._sources
                source._sources = []

    def _is_named(self, index: int) -> bool:
        source = self._sources[index][0]
        return sys.getrefcount(source) > _HOLDERS

    def _refuse(self, what: str, location: Location | None) -> None:
        kind = self.kind.__name__
        raise CaptureError(
            what,
            expected=f"a {kind} of its own",
            found=f"a branch or loop at {location} that decides whether it is the other one",
            location=here(3),
            context=mode.tracer.context if mode.tracer is not None else "",
            advice=f"make a copy of the {kind} before it gets two names: new = {kind}(old)",
        )


class MergedDict(Merged, dict[Any, Any]):
    """A dict that stands for one of others."""

    kind = dict

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        dict.__init__(self, *args, **kwargs)
        self._sources = []


class MergedList(Merged, list[Any]):
    """A list that stands for one of others, none of which a scripted function has made."""

    kind = list

    def __init__(self, *args: Any) -> None:
        list.__init__(self, *args)
        self._sources = []


def _forget() -> None:
    """Let go of what nobody can name: what the capture has left in cycles, and what was looked up in frames before."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        _ = frame.f_locals  # before Python 3.13 a copy, which this brings up to date
        frame = frame.f_back
    gc.collect()


def _guarded(method: Callable[..., Any], changes: bool) -> Callable[..., Any]:
    def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if self._sources and mode.tracer is not None:
            self._changing() if changes else self._reading()
        return method(self, *args, **kwargs)

    call.__name__ = method.__name__
    return call


_READING: Final = {
    "__add__", "__contains__", "__eq__", "__getitem__", "__iter__", "__len__", "__mul__", "__ne__", "__or__",
    "__repr__", "__reversed__", "__rmul__", "__ror__", "copy", "count", "get", "index", "items", "keys", "values",
}  # fmt: skip
_CHANGING: Final = {
    "__delitem__", "__iadd__", "__imul__", "__ior__", "__setitem__", "append", "clear", "extend", "insert", "pop",
    "popitem", "remove", "reverse", "setdefault", "sort", "update",
}  # fmt: skip

for _class in (MergedDict, MergedList):
    for _name in _READING | _CHANGING:
        if hasattr(_class.kind, _name):
            setattr(_class, _name, _guarded(getattr(_class.kind, _name), _name in _CHANGING))
