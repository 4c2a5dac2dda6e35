"""What a compiled call gives back and leaves behind: results put together, and entries, lists and gradients written.

A `Recipe` is a nested value with places for tensors: of the arguments, of the tensors that are watched, of those that
the graph has made.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..ir.errors import ArgumentError
from .capture.places import Place
from .compile_reach import PLAIN

__all__ = ["Effects", "Recipe", "recipe_of"]

# From the tensors that are made, those of the arguments, and those that are watched, to a value.
Recipe = Callable[[Sequence[Any], Sequence[Any], Sequence[Any]], Any]


def recipe_of(
    value: Any,
    is_leaf: Callable[[Any], bool],
    place_of: Callable[[Any], tuple[str, int]],
    is_known: Callable[[Any], bool],
) -> Recipe:
    """How to put a value together again.

    Args:
        is_leaf: whether a part is a tensor or a run-time number.
        place_of: where such a part comes from: ("made" | "leaf" | "slot", number).
        is_known: whether an object was there before, so that it can be put in place as it is.

    Raises:
        ArgumentError: for a part that is none of these.
    """
    if is_leaf(value):
        return _part(*place_of(value))
    if isinstance(value, (*PLAIN, type)) or is_known(value):
        return lambda made, leaves, slots: value

    def inner(x: Any) -> Recipe:
        return recipe_of(x, is_leaf, place_of, is_known)

    if isinstance(value, (tuple, list)):
        items = [inner(x) for x in value]
        return _sequence(type(value), items, hasattr(value, "_fields"))
    if isinstance(value, dict):
        entries = [(key, inner(x)) for key, x in value.items()]
        kind = type(value) if type(value) is not dict else dict
        return lambda made, leaves, slots: kind({key: recipe(made, leaves, slots) for key, recipe in entries})
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [(f.name, inner(getattr(value, f.name))) for f in dataclasses.fields(value) if f.init]
        made_of = type(value)
        return lambda made, leaves, slots: made_of(**{name: recipe(made, leaves, slots) for name, recipe in fields})
    raise ArgumentError(
        f"a value of type {type(value).__name__}",
        expected="tensors, numbers, None, and tuples, lists, dicts and dataclasses of them",
    )


def _part(kind: str, number: int) -> Recipe:
    if kind == "made":
        return lambda made, leaves, slots: made[number]
    if kind == "leaf":
        return lambda made, leaves, slots: leaves[number]
    return lambda made, leaves, slots: slots[number]


def _sequence(kind: type, items: list[Recipe], named: bool) -> Recipe:
    if named:
        return lambda made, leaves, slots: kind(*[recipe(made, leaves, slots) for recipe in items])
    return lambda made, leaves, slots: kind([recipe(made, leaves, slots) for recipe in items])


@dataclass(slots=True)
class Effects:
    """What a call changes besides the memory of tensors.

    Attributes:
        entries: (place, key, recipe) of what is put there.
        contents: lists, deques and sets whose contents are others, with their recipes.
        deleted: (place, key) of what is taken away.
        gradients: ((kind, number) of a tensor, recipe of its gradient).
        written: the slots of the tensors whose memory the graph writes.
    """

    entries: list[tuple[Place, Any, Recipe]] = field(default_factory=list)
    contents: list[tuple[Place, Recipe]] = field(default_factory=list)
    deleted: list[tuple[Place, Any]] = field(default_factory=list)
    gradients: list[tuple[tuple[str, int], Recipe]] = field(default_factory=list)
    written: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.entries or self.contents or self.deleted or self.gradients)

    def apply(self, made: Sequence[Any], leaves: Sequence[Any], slots: Sequence[Any]) -> None:
        """Do it all."""
        for (kind, number), recipe in self.gradients:
            (leaves if kind == "leaf" else slots)[number]._grad = recipe(made, leaves, slots)
        changed = [(place, key, recipe(made, leaves, slots)) for place, key, recipe in self.entries]
        contents = [(place, recipe(made, leaves, slots)) for place, recipe in self.contents]
        for place, key in self.deleted:
            place.remove(key)
        for place, key, value in changed:
            place.put(key, value)
        for place, items in contents:
            place.fill(items)
