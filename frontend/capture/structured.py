"""`if` and `while` as graph nodes: what both sides of a branch, or the iterations of a loop, hand on.

What lives here: `Cell`, a place that a branch or a loop may change (a variable, an attribute, a tensor's contents), and
`Leaves`, a value of such a place taken apart into what can differ at run time (tensors and numbers) and what cannot.
`branches` and `loop_node` build the nodes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ...ir.dtypes import bool_, float64
from ...ir.errors import CaptureError
from ...ir.locations import Location
from ...ir.node import Value
from ...ir.types import INT, TensorType, Type
from ..tensor_base import TensorBase, wrap
from .containers import GivenList
from .merged import MergedDict, MergedList
from .run import Run, RunShape
from .sharing import base_of
from .symbols import SymBool, SymFloat
from .symint import SymInt

__all__ = [
    "Cell",
    "Leaves",
    "Names",
    "Static",
    "Unbound",
    "Undefined",
    "describe",
    "held",
    "leaf_kind",
    "leaf_type",
    "leaf_value",
    "made_leaf",
    "place_of",
    "refuse_resizing",
    "refuse_undefined",
    "settled",
    "stand_in",
]


class Unbound:
    """A variable that is not bound: what a branch or loop has found, or left, it as."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return "not assigned"


class Undefined(Unbound):
    """A variable that is bound on one side of a captured branch alone: any use of it is an error."""

    def __init__(self, name: str, what: str, location: Location | None, context: str) -> None:
        super().__init__(name)
        self._facts = what, location, context

    @property
    def location(self) -> Location | None:
        """The branch or loop that has left it without a value."""
        return self._facts[1]

    def refuse(self, *_: Any) -> Any:
        what, location, context = self._facts
        raise CaptureError(
            f"the variable '{self.name}' is used, but it does not always have a value",
            expected="a value on both sides of the branch, or before the loop",
            found=what,
            location=location,
            context=context,
            advice=f"assign '{self.name}' before it",
        )

    @property
    def __ingot_size__(self) -> Any:
        return self.refuse()

    __bool__ = __len__ = __iter__ = __call__ = __getitem__ = __float__ = __int__ = __index__ = refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __pow__ = refuse
    __lt__ = __le__ = __gt__ = __ge__ = __neg__ = __matmul__ = __rmatmul__ = refuse

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.refuse()


def refuse_undefined(value: Any) -> None:
    """Refuse a variable without a value on its way out.

    Raises:
        CaptureError: when it is one.
    """
    if isinstance(value, Undefined):
        value.refuse()


@dataclass(frozen=True, slots=True)
class Names:
    """The local variables that a branch or loop assigns.

    Attributes:
        names: the variables.
        get, set: read and assign all of them.
        lines: for each, the lines that assign it: in the first and in the second block.
        functions: what else assigns them, being called by the branch or loop.
        outliving: those that are read after a `return` of the function, too.
    """

    names: tuple[str, ...] = ()
    get: Callable[[], tuple[Any, ...]] = tuple
    set: Callable[[tuple[Any, ...]], None] = lambda values: None
    lines: tuple[tuple[int, int], ...] = ()
    functions: tuple[Callable[..., Any], ...] = ()
    outliving: tuple[str, ...] = ()

    def cells(self) -> list[Cell]:
        """The variables as cells."""
        return [self._cell(i, name) for i, name in enumerate(self.names)]

    def _cell(self, i: int, name: str) -> Cell:
        def write(value: Any) -> None:
            values = list(self.get())
            values[i] = value
            self.set(tuple(values))

        lines = self.lines[i] if self.lines else (0, 0)
        ends = name not in self.outliving
        return Cell(("name", name), f"'{name}'", lambda: self.get()[i], write, lines, ends)


@dataclass(frozen=True, slots=True)
class Cell:
    """A place that a branch or a loop changes.

    Attributes:
        identity: what tells it from others.
        name: what messages call it.
        read, write: its value.
        lines: where the first and the second block assign it; 0 where that is not known.
        ends: whether nothing reads it after a `return` of the function.
    """

    identity: Any
    name: str
    read: Callable[[], Any]
    write: Callable[[Any], None]
    lines: tuple[int, int] = (0, 0)
    ends: bool = False

    @property
    def is_own(self) -> bool:
        """Whether it is a variable that the rewriting of the source has made."""
        return self.name.startswith("'_ingot_")

    @property
    def is_returned(self) -> bool:
        """Whether it is the variable that holds what a `return` inside of a loop or branch gives."""
        return self.name == "'_ingot_return'"


# A leaf's kind says what it is at run time; anything that is not a leaf must stay the same object.
_KINDS: Final[tuple[tuple[Any, str], ...]] = (
    (TensorBase, "tensor"),
    ((bool, SymBool), "bool"),
    ((int, SymInt), "int"),
    ((float, SymFloat), "float"),
)


def leaf_kind(value: Any) -> str | None:
    """`"tensor"`, `"bool"`, `"int"`, `"float"`, or None for what a graph cannot hold."""
    return next((kind for types, kind in _KINDS if isinstance(value, types)), None)


def leaf_value(tracer: Any, value: Any) -> Value:
    """A leaf as a graph value: integers as integers, floats and truth values as tensors without dimensions."""
    if isinstance(value, bool):
        return tracer.value_of(wrap(np.array(value)))
    if isinstance(value, float):
        return tracer.value_of(wrap(np.array(value)))
    return tracer.operand(value)


def leaf_type(tracer: Any, value: Any) -> Type:
    """The type that `leaf_value` gives a leaf."""
    kind = leaf_kind(value)
    if kind == "tensor":  # (what a loop may not have assigned is not used by asking for its type)
        return value._trace[1].type if tracer.is_traced(value) else tracer.value_of(value).type
    return INT if kind == "int" else TensorType(float64 if kind == "float" else bool_, ())


def made_leaf(tracer: Any, kind: str, tensor: Any, value: Value, name: str = "n", low: int | None = None) -> Any:
    """A leaf that stands for a new graph value. Integers get a size variable of their own."""
    if kind == "int":
        return tracer.bind(name, value, int(tensor._array) if tensor._array.shape == () else 1, low)
    tracer.adopt(tensor, (tracer, value, False))
    return tensor if kind == "tensor" else (SymFloat if kind == "float" else SymBool)(tensor, tracer)


class Leaves:
    """A value taken apart: leaves in order, and how to put others in their places.

    Containers are tuples (named ones too), lists and dicts. What is neither a leaf nor a container is kept as it is.

    Attributes:
        runs: the numbers of the leaves that are elements of a list, of which the run decides how many there are.
    """

    def __init__(self, value: Any) -> None:
        self.leaves: list[Any] = []
        self.runs: set[int] = set()
        self.shape = self._take(value)

    def _take(self, value: Any) -> Any:
        if leaf_kind(value) is not None:
            self.leaves.append(value)
            return leaf_kind(value)
        if isinstance(value, Run):
            self.runs.add(len(self.leaves))
            self.leaves.append(value.tensor)
            return value.shape
        if isinstance(value, list):
            if hasattr(value, "reading"):
                value.reading()
            kind = list if isinstance(value, (MergedList, GivenList)) else type(value)
            items = list.__iter__(value) if hasattr(value, "reading") else iter(value)
            return (kind, tuple(self._take(item) for item in items))
        if isinstance(value, tuple):
            return (type(value), tuple(self._take(item) for item in value))
        if isinstance(value, dict):
            return (dict, tuple(value), tuple(self._take(item) for item in value.values()))
        return Static(value)

    def rebuild(self, leaves: Sequence[Any]) -> Any:
        """The same structure over other leaves."""
        return _rebuild(self.shape, iter(leaves))


class Static:
    """Something that a graph cannot hold: equal to itself alone."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Static):
            return False
        mine, theirs = self.value, other.value
        same = mine is theirs or (type(mine) is type(theirs) and isinstance(mine, (str, bytes)) and mine == theirs)
        return same or (isinstance(mine, Unbound) and isinstance(theirs, Unbound))

    __hash__ = None  # type: ignore[assignment]


def _rebuild(shape: Any, leaves: Any) -> Any:
    if isinstance(shape, str):
        return next(leaves)
    if isinstance(shape, RunShape):
        return Run(next(leaves), shape.kind, shape.location)
    if isinstance(shape, Static):
        return shape.value
    if shape[0] is dict:
        return MergedDict((key, _rebuild(item, leaves)) for key, item in zip(shape[1], shape[2], strict=True))
    items = [_rebuild(item, leaves) for item in shape[1]]
    kind = MergedList if shape[0] is list else shape[0]
    return kind(*items) if hasattr(kind, "_fields") else kind(items)


def place_of(tracer: Any, value: Any, line: int, location: Location | None) -> str:
    """Where a value comes from, for messages: the line that assigns it, or else that of the node that made it."""
    if line and location is not None:
        return f"{location.file}:{line}"
    if isinstance(value, TensorBase) and tracer.is_traced(value):
        node = value._trace[1].node
        if node is not None and node.location is not None:
            return str(node.location)
    return str(location) if location is not None else "an unknown line"


def stand_in(base: Any) -> Any:
    """A tensor's present value under an identity of its own."""
    found: Any = wrap(base._array)
    found._base = base_of(base)
    found._trace, found._node, found._index = base._trace, base._node, base._index
    return found


def describe(tracer: Any, value: Any) -> str:
    """A value in a message about types."""
    if isinstance(value, TensorBase):
        return str(tracer.value_of(value).type)
    kind = leaf_kind(value)
    if kind is not None:
        return kind if type(value).__name__.startswith("Sym") else f"{kind} {value!r}"
    return repr(value)


def settled(tracer: Any, cell: Cell, value: Any, location: Location | None) -> Any:
    """What a block leaves in a variable: what only a loop inside of it has assigned may have no value."""
    if not tracer.is_late(value):
        return value
    if cell.is_own:  # it is returned, and so it is used
        for leaf in Leaves(value).leaves:
            if isinstance(leaf, SymInt):
                _ = leaf.__ingot_size__
            elif tracer.is_late(leaf):
                tracer.value_of(leaf.as_tensor() if hasattr(leaf, "as_tensor") else leaf)
        return value
    what = "a loop inside of the block assigns it, which may have no iterations"
    return Undefined(cell.name.strip("'"), what, location, tracer.context)


def refuse_resizing(tracer: Any, change: Any, line: Callable[[Any], Location | None], appended: bool = False) -> None:
    """A list, dict or set gets or loses elements, or an object attributes, where a branch or loop cannot follow.

    Args:
        line: finds the line of a change.
        appended: whether what is new at the end of a list can be followed.

    Raises:
        CaptureError: when one does.
    """
    owner = change.place.owner
    added, removed = isinstance(change.before, Unbound), isinstance(change.after, Unbound)
    if isinstance(owner, list):
        if (added and appended) or not (added or removed):
            return
    elif not isinstance(owner, (set, deque)) and not removed:
        return
    how = "is removed" if removed else "is added" if added else "is changed"
    grows = isinstance(owner, list) and added
    raise CaptureError(
        f"{change.path} {how} in a branch or loop that the run decides",
        expected="lists that a scripted function makes and appends to" if grows else "the same elements and attributes",
        found=f"{change.place.kind} that changes its length",
        location=line(change),
        context=tracer.context,
        advice="make the list in the scripted function itself, or keep the values in a tensor"
        if grows
        else "keep what differs in a tensor, or choose with ingot.where(...)",
    )


def held(tracer: Any, value: Any, before: Any, region: Any) -> Any:
    """What a variable holds at the end of a block, with tensors from outside as the block has changed them.

    Their changes are undone behind the block; the variable's part of what the block hands on is the new contents.
    """
    if value is before or not (region.changed or region.lost):
        return value
    taken = Leaves(value)
    leaves = [_as_changed(leaf) if _is_changed(leaf, region) else leaf for leaf in taken.leaves]
    return taken.rebuild(leaves) if any(x is not y for x, y in zip(leaves, taken.leaves, strict=True)) else value


def _as_changed(leaf: Any) -> Any:
    """A tensor's present value, which is known to share the tensor's memory."""
    found = stand_in(leaf)
    found._base = base_of(leaf)
    return found


def _is_changed(leaf: Any, region: Any) -> bool:
    return isinstance(leaf, TensorBase) and region.has_touched(leaf)
