"""What a run that is captured puts at places that outlive it, for calls to repeat."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from types import CellType
from typing import Any

from ..ir.errors import ArgumentError, CaptureError, IngotError
from .capture.places import Place
from .compile_effects import Effects, Recipe
from .compile_guards import Guards
from .compile_reach import Reach

__all__ = ["add_changes"]


def add_changes(reach: Reach, guards: Guards, effects: Effects, recipe: Callable[[Any], Recipe], context: str) -> None:
    """Add what a run has changed to what calls do.

    Args:
        recipe: how a value is put together.

    Raises:
        CaptureError: for a change that a call cannot repeat.
    """
    for place, before in reach.changed():
        try:
            if isinstance(place.owner, (list, deque, set)):
                effects.contents.append((place, recipe(list(place.owner))))
                continue
            now = place.read()
            _check_order(now, before)
            effects.deleted += [(place, key) for key in before if key not in now]
            for key, _, value in place.changes(before):
                if key in now:
                    _guard_absent(guards, place, key, before)
                    effects.entries.append((place, key, recipe(value)))
        except IngotError as error:
            raise CaptureError(
                f"the function changes {place.path or 'an object'} in a way that a compiled call cannot repeat",
                found=error.what,
                context=context,
                advice="change it outside of the compiled function, or keep it in a tensor",
            ) from None


def _guard_absent(guards: Guards, place: Place, key: Any, before: Mapping[Any, Any]) -> None:
    """What the run adds must not be there when it begins."""
    if key not in before and not isinstance(place.owner, CellType):
        owner = vars(place.owner) if isinstance(place.owner, type) else place.owner
        guards.absent(f"{place.path}.{key}".lstrip("."), owner, key)


def _check_order(table: Any, before: Any) -> None:
    """Entries that are taken away or added, as calls do it, must leave a table's entries in the run's order.

    Raises:
        ArgumentError: when they do not.
    """
    kept = [key for key in before if key in table]
    if [*kept, *(key for key in table if key not in before)] != list(table):
        raise ArgumentError("its entries are in another order afterwards")
