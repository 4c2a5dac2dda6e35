"""What a piece of code changes of the Python objects that it can reach: found afterwards, and put back.

What lives here: `Reach`, for the sides of branches and the bodies of loops. Tensors and arrays are left alone: their
contents are the tracer's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from .grown_list import SymList
from .list_growth import ListChange
from .places import MISSING, Place, identical, path_of
from .reachable import Walk
from .structured import Unbound

__all__ = ["Change", "Reach"]

_UNSET: Final = Unbound("it")


@dataclass(slots=True)
class Change:
    """A place that holds something else than before: an entry of a table, a list, an enclosing variable.

    Attributes:
        path: the place as the program would write it.
        place, key: what was changed, and what of it.
        before, after: what it held and holds.
    """

    path: str
    place: Place
    key: Any
    before: Any
    after: Any

    def write(self, value: Any) -> None:
        """Let the place hold a value."""
        self.place.put(self.key, value)

    def read(self) -> Any:
        """What the place holds now."""
        return _told(self.place.get(self.key))

    @property
    def identity(self) -> tuple[str, int, Any]:
        """What tells the place from others, while its object lives."""
        return "place", id(self.place.owner), self.key


class Reach:
    """What functions can reach, as it is now.

    Args:
        functions: the functions; their enclosing variables themselves are looked after elsewhere.
    """

    def __init__(self, functions: Iterable[Callable[..., Any]]) -> None:
        # A walk for each side of each branch must be a short one: packages that were installed are left out.
        walk = Walk(tensors=False, machinery=False, library=True, installed=False)
        walk.begin_in(functions)
        self._places = walk.places

    def changes(self) -> Iterator[Change]:
        """Places that hold something else than before; but for lists that `lists` tells to be of other lengths."""
        for place, before in self._places:
            if isinstance(place.owner, SymList) and ListChange.of(place.owner, before).resizes:
                continue
            for key, old, now in place.changes(before):
                yield Change(path_of((place, key)), place, key, _told(old), _told(now))

    def lists(self) -> Iterator[ListChange]:
        """Lists of scripted functions that hold something else than before."""
        for place, before in self._places:
            if isinstance(place.owner, SymList) and not identical(place.read(), before):
                yield replace(ListChange.of(place.owner, before), path=path_of(place.way))

    def has_changes(self) -> bool:
        """Whether there are any."""
        return next(self.changes(), None) is not None or next(self.lists(), None) is not None

    def restore(self) -> None:
        """Give every place back what it held."""
        for place, before in self._places:
            place.restore(before)


def _told(value: Any) -> Any:
    return _UNSET if value is MISSING else value
