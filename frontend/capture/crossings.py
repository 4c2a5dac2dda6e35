"""Names that one entry point sets and another reads: found, and refused where the program could not do the same.

State that entry points share is a tensor that is there from the start. Where one of them puts a tensor in the place of
None, the others are captured anew with a tensor there: one that uses it would not find it in the program.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...ir.errors import CaptureError
from ...ir.graph import Graph
from ...ir.locations import Location
from ..tensor_base import wrap
from .attributes import Attributes
from .keys import Keys
from .places import MISSING, Place
from .tracer import Tracer

__all__ = ["Appeared", "imagined", "note_appeared", "refuse_crossings", "refuse_lost"]


@dataclass(frozen=True, slots=True)
class Appeared:
    """A name that stands for a tensor after a run, and stood for none before it.

    Attributes:
        path: the name.
        place, key: where it stands.
        array: the tensor's elements in the example.
        entry: the entry point that sets it.
    """

    path: str
    place: Place
    key: Any
    array: np.ndarray
    entry: str


def note_appeared(tracer: Tracer, attributes: Attributes) -> None:
    """Remember the names that a run has given tensors."""
    for path, place, key, tensor in attributes.appeared():
        found = Appeared(path, place, key, np.array(tensor._array), tracer.graph.name)
        tracer.keys.appeared.setdefault((id(place.owner), key), found)


@contextmanager
def imagined(entry: str, keys: Keys, names: dict[int, tuple[str, Any]]) -> Iterator[list[tuple[Appeared, Any]]]:
    """Let names that other entry points set stand for tensors within the `with` block."""
    made = []
    others = [found for found in keys.appeared.values() if found.entry != entry]
    before = [(found, found.place.get(found.key)) for found in others]
    try:
        for found in others:
            tensor = wrap(found.array.copy())
            names[id(tensor)] = (found.path, tensor)
            made.append((found, tensor))
            found.place.put(found.key, tensor)
        yield made
    finally:
        for found, old in before:
            if old is MISSING:
                found.place.remove(found.key)
            else:
                found.place.put(found.key, old)
        for _, tensor in made:
            names.pop(id(tensor), None)


def refuse_crossings(tracer: Tracer, made: list[tuple[Appeared, Any]]) -> None:
    """Refuse a run that used one of the imagined tensors.

    Raises:
        CaptureError: naming the line that reads it, and the entry point that sets it.
    """
    for found, tensor in made:
        if not tracer.has_read(tensor):
            continue
        uses = tracer._externals[id(tensor)][2].uses
        raise CaptureError(
            f"the program reads {found.path}, which the entry point '{found.entry}' sets to a tensor",
            expected="a tensor from the start, for the entry points to share",
            location=uses[0].node.location if uses else None,
            context=tracer.context,
            advice=f"let {found.path} be a tensor of its final type at first (register_buffer), or return it from "
            f"'{found.entry}' and pass it on",
        )


def refuse_lost(keys: Keys, graphs: Mapping[str, Graph]) -> None:
    """Refuse state that one entry point replaces by what is no state, where another reads it.

    Raises:
        CaptureError: naming the line that replaces it.
    """
    for key, (path, entry, location) in keys.lost.items():
        readers = [name for name, graph in graphs.items() if key in graph.state and graph.state[key].use_count]
        if readers:
            raise CaptureError(
                f"the entry point '{entry}' puts another kind of value in the place of {path}, which "
                f"'{readers[0]}' reads",
                expected="a tensor of the same type, which is state that entry points share",
                location=_known(location),
                context=f"while tracing @{entry}",
                advice="keep its dtype and sizes, or return the new value and pass it on",
            )


def _known(location: Any) -> Location | None:
    return location if isinstance(location, Location) else None
