"""`program.watch`: what comes out of a module or of a line of source, at each call of a program.

A watched call runs another copy of the graph, in which a `prim::Watch` stands behind each watched value, inside of
branches and loops as well. The copy is compiled on its own, so that calls of a program that nobody watches cost
nothing, and no pass can drop what is watched. Where to look is `watch_places`' subject.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..ir.arrays import is_array
from ..ir.errors import ArgumentError
from ..ir.graph import Graph
from ..ir.locations import here
from ..ir.watched import listening
from .tensor_base import wrap
from .watch_places import Place, places_at, watched_graph

if TYPE_CHECKING:
    from .program import Program

__all__ = ["WatchHandle", "Watches", "watch"]


@dataclass(eq=False)
class WatchHandle:
    """What `program.watch` returns; `remove()` ends it, and so does leaving a `with` block.

    Attributes:
        where: what is watched.
        places: the values there, in the order of the graph.
        values: without a hook, what each call since had there: a tensor, or a tuple of several. Of a value that is
            computed in a loop it is a list of tensors, one for each iteration, in the order of the run; inside of
            loops in loops it is one flat list. Where another side of a branch ran, there is None.
    """

    where: str
    entry: str
    places: tuple[Place, ...]
    hook: Callable[[Any], Any] | None
    values: list[Any] = field(default_factory=list)
    _owner: Watches | None = None

    @property
    def last(self) -> Any:
        """What the last call had there.

        Raises:
            ArgumentError: when there was none.
        """
        if not self.values:
            raise ArgumentError(f"watch: no call yet since {self.where!r} is watched", location=here())
        return self.values[-1]

    def remove(self) -> None:
        """End the watch; a second call does nothing."""
        if self._owner is not None:
            self._owner.remove(self)
            self._owner = None

    def __enter__(self) -> WatchHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def take(self, shown: Sequence[list[Any]]) -> None:
        """Hand over what a call has shown at each place."""
        tensors = [[wrap(x) if is_array(x) else x for x in found] for found in shown]
        each = [found if place.repeats else found[0] for place, found in zip(self.places, tensors, strict=True)]
        found = each[0] if len(each) == 1 else tuple(each)
        if self.hook is None:
            self.values.append(found)
        else:
            self.hook(found)


class Watches:
    """The watches of one program.

    Attributes:
        handles: of those that have not been ended.
    """

    def __init__(self) -> None:
        self.handles: tuple[WatchHandle, ...] = ()
        self._compiled: dict[tuple[str, str, str, tuple[Place, ...]], Any] = {}
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self.handles)

    def add(self, handle: WatchHandle) -> None:
        """Begin a watch."""
        handle._owner = self
        with self._lock:
            self.handles = (*self.handles, handle)

    def remove(self, handle: WatchHandle) -> None:
        """End a watch."""
        with self._lock:
            self.handles = tuple(h for h in self.handles if h is not handle)
            if not self.handles:
                self._compiled.clear()

    def of(self, entry: str) -> tuple[WatchHandle, ...]:
        """The watches of an entry point, as they are now."""
        return tuple(h for h in self.handles if h.entry == entry)

    def run(
        self,
        program: Program,
        handles: Sequence[WatchHandle],
        make: Callable[[Graph], Any],
        call: Callable[[Any], Any],
        how: str = "plain",
    ) -> Any:
        """Call an entry point, and give each watch what the call has shown.

        Args:
            make: compiles a graph; what it makes is kept by `how`.
            call: calls what `make` has made.
        """
        places = tuple(dict.fromkeys(place for handle in handles for place in handle.places))
        key = (handles[0].entry, program.backend, how, places)
        compiled = self._compiled.get(key)
        if compiled is None:
            graph = watched_graph(program.record.graphs[handles[0].entry], places)
            compiled = self._compiled[key] = make(graph)
        with listening() as shown:
            result = call(compiled)
        by_place: dict[Place, list[Any]] = {place: [] for place in places}
        for number, value in shown:
            by_place[places[number]].append(value)
        for handle in handles:
            handle.take([by_place[place] for place in handle.places])
        return result


def watch(
    program: Program, where: str, hook: Callable[[Any], Any] | None = None, *, entry: str | None = None
) -> WatchHandle:
    """See what comes out of a module or a line, at each call from here on (but for calls inside of a capture).

    Args:
        where: a module path (`"encoder.layers.0"`: the values that are computed in the module or below it, and used
            outside), or a line (`"model.py:42"`: the values computed there and used on other lines).
        hook: called with the tensor, or the tuple of tensors, of each call. Without one, the handle keeps them. Of a
            value inside of a loop it is a list, with a tensor for each iteration; of one on a side of a branch that
            was not run, None.
        entry: the entry point; by default the main one.

    Returns:
        a handle: `.values`, `.last`, `.remove()`; also a context manager.

    Raises:
        ArgumentError: for a place that the program does not have; the message lists close ones.

    >>> import ingot
    >>> net = ingot.nn.Sequential(ingot.nn.Linear(2, 3), ingot.nn.ReLU())
    >>> program = ingot.jit.trace(net, ingot.ones(1, 2))
    >>> with program.watch("0") as linear:
    ...     result = program(ingot.ones(1, 2))
    >>> ingot.equal(linear.last.relu(), result)
    True
    """
    name = program._entry_name(entry)
    handle = WatchHandle(where, name, places_at(program.record.graphs[name], where), hook)
    program._watches.add(handle)
    return handle
