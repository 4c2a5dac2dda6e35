"""`program.watch`: what comes out of a module or of a line of source, at each call of a program.

A watched call runs another copy of the graph, which gives the watched values as further outputs; it is compiled on its
own, so that calls of a program that nobody watches cost nothing, and no pass can drop what is watched.
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..ir.arrays import is_array
from ..ir.errors import ArgumentError, UnsupportedError
from ..ir.graph import Graph, Node, Value
from ..ir.locations import Location, here
from ..passes.loop_history import add_output
from .tensor_base import wrap

if TYPE_CHECKING:
    from .program import Program

__all__ = ["WatchHandle", "Watches", "watch", "watched_graph", "watched_names"]


@dataclass(eq=False)
class WatchHandle:
    """What `program.watch` returns; `remove()` ends it, and so does leaving a `with` block.

    Attributes:
        where: what is watched.
        names: the watched values' names in the graph, in the order of the graph.
        values: without a hook, what each call since had there: a tensor, or a tuple of several.
    """

    where: str
    entry: str
    names: tuple[str, ...]
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

    def take(self, arrays: Sequence[Any]) -> None:
        """Hand over what a call had."""
        tensors = tuple([wrap(x) if is_array(x) else x for x in arrays])
        found = tensors[0] if len(tensors) == 1 else tensors
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
        self._compiled: dict[tuple[str, str, str, tuple[str, ...]], Any] = {}
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

    def compiled(
        self, program: Program, handles: Sequence[WatchHandle], make: Callable[[Graph], Any], how: str = "plain"
    ) -> Any:
        """The entry point with the watched values as further outputs, made by `make` from its graph; kept by `how`."""
        names = tuple(dict.fromkeys(name for handle in handles for name in handle.names))
        key = (handles[0].entry, program.backend, how, names)
        found = self._compiled.get(key)
        if found is None:
            found = self._compiled[key] = make(watched_graph(program.record.graphs[handles[0].entry], names))
        return found

    @staticmethod
    def hand_over(handles: Sequence[WatchHandle], outputs: Sequence[Any]) -> list[Any]:
        """Give each watch its values, which stand behind the results; returns the results."""
        names = tuple(dict.fromkeys(name for handle in handles for name in handle.names))
        count = len(outputs) - len(names)
        by_name = dict(zip(names, outputs[count:], strict=True))
        for handle in handles:
            handle.take([by_name[name] for name in handle.names])
        return list(outputs[:count])


def watch(
    program: Program, where: str, hook: Callable[[Any], Any] | None = None, *, entry: str | None = None
) -> WatchHandle:
    """See what comes out of a module or a line, at each call from here on (but for calls inside of a capture).

    Args:
        where: a module path (`"encoder.layers.0"`: the values that are computed in the module or below it, and used
            outside), or a line (`"model.py:42"`: the values computed there and used on other lines).
        hook: called with the tensor, or the tuple of tensors, of each call. Without one, the handle keeps them.
        entry: the entry point; by default the main one.

    Returns:
        a handle: `.values`, `.last`, `.remove()`; also a context manager.

    Raises:
        ArgumentError: for a place that the program does not have; the message lists close ones.
        UnsupportedError: for values inside of a loop, of which there are many at each call, or on one side of a branch.

    >>> import ingot
    >>> net = ingot.nn.Sequential(ingot.nn.Linear(2, 3), ingot.nn.ReLU())
    >>> program = ingot.jit.trace(net, ingot.ones(1, 2))
    >>> with program.watch("0") as linear:
    ...     result = program(ingot.ones(1, 2))
    >>> ingot.equal(linear.last.relu(), result)
    True
    """
    name = program._entry_name(entry)
    names = watched_names(program.record.graphs[name], where)
    handle = WatchHandle(where, name, tuple(names), hook)
    program._watches.add(handle)
    return handle


# ----------------------------------------------------------------------------------------------------- what is meant


def watched_names(graph: Graph, where: str) -> list[str]:
    """The names of the values that come out of a module or a line, in the graph's order; see `watch` for errors.

    What both sides of a branch compute there, as training and evaluation do, counts as one: `"name|other"`.
    """
    nodes = [node for node in graph.nodes() if _is_at(node, where)]
    if not nodes:
        raise _unknown(graph, where)
    inside = _with_nested(nodes)
    found = [value for node in nodes for value in node.outputs if _comes_out(value, inside)]
    reachable = [value for value in found if value.node is not None and value.node.block is graph.block]
    if found and not reachable:
        if pairs := _on_both_sides(graph, found):
            return [f"{a.name}|{b.name}" for a, b in pairs]
        raise UnsupportedError(
            f"watch: what {where!r} computes lies inside of a branch or a loop",
            location=found[0].node.location if found[0].node else None,
            advice="watch what comes out of the branch or the loop: its own line",
        )
    return [value.name for value in reachable]


def _on_both_sides(graph: Graph, found: Sequence[Value]) -> list[tuple[Value, Value]]:
    """Values inside of branches, each with its like on the other side; none where one side lacks it."""
    sides: dict[Node, tuple[list[Value], list[Value]]] = {}
    for value in found:
        branch = value.block.parent
        if branch is None or branch.op.name != "prim::If" or branch.block is not graph.block:
            return []
        sides.setdefault(branch, ([], []))[branch.blocks.index(value.block)].append(value)
    if any([v.type for v in a] != [v.type for v in b] for a, b in sides.values()):
        return []
    return [pair for a, b in sides.values() for pair in zip(a, b, strict=True)]


def _is_at(node: Node, where: str) -> bool:
    if node.op.name in ("prim::Constant", "prim::Size"):
        return False
    if _is_line(where):
        return node.location is not None and _fits(node.location, where)
    return node.path == where or node.path.startswith(f"{where}.")


def _is_line(where: str) -> bool:
    file, _, line = where.rpartition(":")
    return bool(file) and line.isdecimal()


def _fits(location: Location, where: str) -> bool:
    file, _, line = where.rpartition(":")
    same = location.file == file or location.file.endswith(f"/{file}") or file.endswith(f"/{location.file}")
    return same and location.line == int(line)


def _comes_out(value: Value, inside: set[Node]) -> bool:
    return not value.use_count or any(use.node not in inside for use in value.uses)


def _with_nested(nodes: Iterable[Node]) -> set[Node]:
    """Nodes, those in their blocks, and what closes these."""
    found: set[Node] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        found.add(node)
        for block in node.blocks:
            waiting += [*block.nodes, *([block.terminator] if block.terminator else [])]
    return found


def places(graph: Graph) -> list[str]:
    """All that can be watched: module paths and lines."""
    paths = dict.fromkeys(_ancestors(node.path for node in graph.nodes() if node.path))
    lines = dict.fromkeys(f"{n.location.file}:{n.location.line}" for n in graph.nodes() if n.location is not None)
    return [*paths, *lines]


def _ancestors(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        parts = path.split(".")
        yield from (".".join(parts[: i + 1]) for i in range(len(parts)))


def _unknown(graph: Graph, where: str) -> ArgumentError:
    known = places(graph)
    close = difflib.get_close_matches(where, known, 3, 0.5) or difflib.get_close_matches(
        where, [name.rpartition("/")[2] for name in known], 3, 0.5
    )
    return ArgumentError(
        f"watch: the program computes nothing at {where!r}",
        expected='a module path ("encoder.layers.0") or a line ("model.py:42")',
        found=f"close: {', '.join(close)}" if close else f"places: {', '.join(known[:8])}",
        location=here(),
    )


def watched_graph(graph: Graph, names: Sequence[str]) -> Graph:
    """A copy of a graph that returns the named values, too, behind its own results."""
    found = graph.copy()
    by_name = {value.name: value for node in found.nodes() for value in node.outputs}
    watched = [by_name[name] if "|" not in name else _out_of_branch(by_name, name) for name in names]
    found.set_return([*found.outputs, *watched], dict(found.updates))
    return found


def _out_of_branch(by_name: Mapping[str, Value], name: str) -> Value:
    """A further output of a branch, for what its sides have under two names."""
    values = [by_name[part] for part in name.split("|")]
    branch = values[0].block.parent
    assert branch is not None
    for value in values:
        value.block.set_returns([*value.block.returns, value])
    return add_output(branch, values[0].type, values[0].name, len(branch.outputs))
