"""Places: what holds values that code can replace, and what each of them holds.

What lives here: reading a place, writing it, putting it back, and saying how a program gets there. Which places code
can reach is `reachable`'s subject. Nothing here runs the user's `__getattribute__`, `__getattr__` or `__setattr__`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import is_
from types import CellType
from typing import Any, Final

from .merged import Merged

__all__ = [
    "MISSING",
    "MODULE_TABLES",
    "Place",
    "Way",
    "identical",
    "is_special",
    "own_attribute",
    "path_of",
    "slots_of",
    "state_path_of",
]

MODULE_TABLES: Final = ("_parameters", "_buffers", "_modules")  # what they hold reads as the module's attributes


class Missing:
    """What a place holds that does not exist."""

    def __repr__(self) -> str:
        return "nothing"


MISSING: Final = Missing()

# How a value is reached: a name, or an entry of a place. It becomes text when somebody asks for it.
Way = str | tuple["Place", Any]
_KINDS: Final = {list: "a list", set: "a set", deque: "a deque", CellType: "a variable", type: "a class"}


class Place:
    """Something that names or numbers stand for values in: a dict, a list, a variable, an object with slots, a class.

    Args:
        way: how it is reached.
        owner: it.
        names: the keys or attributes that count, where not all do.
        attributes: whether a dict's entries are read as attributes.
    """

    __slots__ = ("attributes", "names", "owner", "way")

    def __init__(self, way: Way, owner: Any, names: Iterable[str] | None = None, attributes: bool = False) -> None:
        self.way = way
        self.owner = owner
        self.names = None if names is None else tuple(names)
        self.attributes = attributes

    @property
    def path(self) -> str:
        """How it is reached, as a program would write it."""
        return path_of(self.way)

    @property
    def kind(self) -> str:
        """What it is, in words."""
        if isinstance(self.owner, dict):
            return "a variable" if self.names is not None else "an object" if self.attributes else "a dict"
        return next((words for kind, words in _KINDS.items() if isinstance(self.owner, kind)), "an object")

    def read_from(self, path: str, key: Any) -> str:
        """One of its entries as a program would write it, after the place's own path."""
        owner = self.owner
        if isinstance(owner, (list, deque, tuple)):
            return f"{path}[{key}]"
        if isinstance(owner, (set, frozenset)):
            return f"{key!r} of {path}"
        if isinstance(owner, dict) and not self.attributes and self.names is None:
            return f"{path}[{key!r}]"
        if isinstance(owner, CellType) or (self.attributes and key in MODULE_TABLES):
            return path
        return f"{path}.{key}" if path else str(key)

    def read(self) -> dict[Any, Any]:
        """What it holds now."""
        owner = self.owner
        if isinstance(owner, dict):
            return (
                dict(_own(owner).items(owner))
                if self.names is None
                else {n: owner[n] for n in self.names if n in owner}
            )
        if isinstance(owner, CellType):
            try:
                return {"": owner.cell_contents}
            except ValueError:  # a variable that is not bound yet
                return {}
        if isinstance(owner, list):
            return dict(enumerate(list.__iter__(owner)))
        if isinstance(owner, deque):
            return dict(enumerate(owner))
        if isinstance(owner, set):
            return {item: item for item in owner}
        if isinstance(owner, type):
            return {key: value for key, value in vars(owner).items() if not is_special(key)}
        found = {name: own_attribute(owner, name) for name in self.names or ()}
        return {name: value for name, value in found.items() if value is not MISSING}

    def get(self, key: Any) -> Any:
        """What one of its entries is now; `MISSING` for none."""
        if isinstance(self.owner, dict):
            return dict.get(self.owner, key, MISSING)
        return self.read().get(key, MISSING)

    def put(self, key: Any, value: Any) -> None:
        """Let one of its entries be a value; the one behind a list's last is appended."""
        owner = self.owner
        if isinstance(owner, dict):  # without what dicts of scripted functions do where they are changed
            _own(owner).__setitem__(owner, key, value)
        elif isinstance(owner, CellType):
            owner.cell_contents = value
        elif isinstance(owner, list) and key == list.__len__(owner):
            list.append(owner, value)
        elif isinstance(owner, list):  # without what lists of scripted functions do where they are changed
            list.__setitem__(owner, key, value)
        elif isinstance(owner, deque):
            owner[key] = value
        elif isinstance(owner, set):
            owner.add(value)
        else:
            _namer(owner).__setattr__(owner, key, value)

    def remove(self, key: Any) -> None:
        """Let there be no such entry."""
        owner = self.owner
        if isinstance(owner, CellType):
            del owner.cell_contents
        elif isinstance(owner, (dict, list)):
            _own(owner).__delitem__(owner, key)
        elif isinstance(owner, deque):
            del owner[key]
        elif isinstance(owner, set):
            owner.discard(key)
        else:
            _namer(owner).__delattr__(owner, key)

    def write(self, before: Mapping[Any, Any]) -> None:
        """Make it hold what it held before."""
        owner = self.owner
        if isinstance(owner, (list, deque, set)):
            self.fill(before.values())
        elif isinstance(owner, dict) and self.names is None:
            _own(owner).clear(owner)
            _own(owner).update(owner, before)
        else:
            for key, _, now in self.changes(before):
                if key not in before:
                    self.remove(key)
                elif before[key] is not now:
                    self.put(key, before[key])

    def fill(self, items: Iterable[Any]) -> None:
        """Let a list, deque or set hold these items alone."""
        owner = self.owner
        if isinstance(owner, list):
            list.__setitem__(owner, slice(None), list(items))
        else:
            owner.clear()
            (owner.update if isinstance(owner, set) else owner.extend)(items)

    def changes(self, before: Mapping[Any, Any]) -> Iterator[tuple[Any, Any, Any]]:
        """The entries that are others than before: (key, what it was, what it is), `MISSING` for nothing."""
        now = self.read()
        if identical(now, before):
            return
        for key in {**before, **now}:
            old, new = before.get(key, MISSING), now.get(key, MISSING)
            if old is not new:
                yield key, old, new

    def differs(self, before: Mapping[Any, Any]) -> bool:
        """Whether it holds something else than before, or, unless it is a set, in another order."""
        return not identical(self.read(), before) and (not isinstance(self.owner, set) or any(self.changes(before)))

    def restore(self, before: Mapping[Any, Any]) -> None:
        """Make it hold what it held before, unless it does."""
        if not identical(self.read(), before):
            self.write(before)


def path_of(way: Way) -> str:
    """How a value is reached, as a program would write it."""
    return _told(way, Place.read_from)


def state_path_of(way: Way) -> str:
    """How a value is reached, as state is named in a file: names and numbers with dots between them."""

    def step(place: Place, path: str, key: Any) -> str:
        name = key if isinstance(key, str) and key not in MODULE_TABLES else str(key) if isinstance(key, int) else ""
        return ".".join(part for part in (path, name) if part)

    return _told(way, step)


def _told(way: Way, step: Callable[[Place, str, Any], str]) -> str:
    steps: list[tuple[Place, Any]] = []
    while not isinstance(way, str):
        steps.append(way)
        way = way[0].way
    for place, key in reversed(steps):
        way = step(place, way, key)
    return way


def identical(now: Mapping[Any, Any], before: Mapping[Any, Any]) -> bool:
    """Whether two places hold the very same objects, in the same order."""
    if len(now) != len(before):
        return False
    if not all(map(is_, now.values(), before.values())):
        return False
    # Keys may be tensors, which do not compare as keys should: they are told apart by what they are.
    same = all(map(is_, now, before))
    return same or all(a is b or (isinstance(a, (int, str)) and a == b) for a, b in zip(now, before, strict=True))


def is_special(name: str) -> bool:
    """Whether a name is Python's own, such as `__doc__`."""
    return name.startswith("__") and name.endswith("__")


def own_attribute(owner: Any, name: str) -> Any:
    """An attribute of an object without running the user's code for it; `MISSING` for none."""
    try:
        return object.__getattribute__(owner, name)
    except AttributeError:
        return MISSING


def slots_of(cls: type) -> Iterator[str]:
    """The names of the slots that an object has by its class and the classes above."""
    for base in cls.__mro__:
        found = vars(base).get("__slots__", ())
        for name in (found,) if isinstance(found, str) else found:
            if name not in ("__dict__", "__weakref__"):
                private = name.startswith("__") and not is_special(name)
                yield f"_{base.__name__.lstrip('_')}{name}" if private else name


def _own(owner: Any) -> Any:
    """The class whose methods read and change a dict or list, and do nothing else."""
    return owner.kind if isinstance(owner, Merged) else type(owner)


def _namer(owner: Any) -> Any:
    """Whose `__setattr__` names something in an object or class."""
    return type if isinstance(owner, type) else object
