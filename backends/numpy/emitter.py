"""The emitter's state: lines, names, storages and seats while a graph is turned into source.

A source has two functions: `plan` makes buffers and everything else that depends on sizes alone, `compute` does
the work of one call with them. What each op becomes is in `nodes` and `control`; how the text is put together, in
`emit`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...ir.dtypes import DType
from ...ir.graph import Graph, Node, Value
from ...ir.interpreter import last_uses
from ...ir.registry import lookup
from ...ir.size_matching import binding_dimensions
from ...ir.sizes import Size, SizeExpr, free_vars
from ...ir.types import TensorType
from . import runtime
from .embed import Embedder
from .seats import Seat, Storage
from .text import Names, attribute, dtype_text, number, place, python_size, shape_text
from .views import sample_sizes

__all__ = ["Emitter", "Function", "Line"]

_GROUP = lookup("prim::FusionGroup")
_IDENTIFIER = re.compile(r"\b[a-z]+\d+\b")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of source; `node` is what it computes, for errors. Comments have none and mention no names of ours."""

    depth: int
    text: str
    node: Node | None = None
    comment: bool = False

    def names(self) -> list[str]:
        """The identifiers in it that may be ours."""
        return [] if self.comment else _IDENTIFIER.findall(self.text)


@dataclass(slots=True)
class Function:
    """A function that is being written: `compute`, or a block that stands too deep to be written in place."""

    lines: list[Line] = field(default_factory=list)
    depth: int = 1
    assigned: set[str] = field(default_factory=set)

    def used(self) -> dict[str, None]:
        """The identifiers that it mentions, in order of appearance."""
        return {name: None for line in self.lines for name in line.names()}


class Emitter:
    """Everything that is known while a graph is written.

    Attributes:
        graph: what is emitted.
        names: makes identifiers.
        embedder: collects the kernels' definitions.
        helpers: what is needed of `runtime`, and its names in the source.
        seats: where values are.
        sizes: size variables to identifiers, those that a call binds on its way included.
        plan_sizes: the size variables that the plan takes.
        plan: lines of the plan, behind its buffers.
        plan_names: the identifiers that the plan defines.
        storages: all storages that lie in the arena.
        kernels: functions of fused groups, nests and outlined blocks.
        position: counts nodes, for the storages' first and last uses.
        targets: storages that certain values should be written to.
        scalars: tensors without dimensions that are kept as NumPy scalars; see `scalars`.
        results: values that are to be written to memory that the caller gets.
        function: what is being written; `visible` are the variables of those around it.
        dying: the values that no node after a given one needs.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.names = Names()
        self.embedder = Embedder()
        self.embedder.reserve(["plan", "run", "compute", "constants", "inputs", "state", "p", "scratch", "bfloat16"])
        self.helpers: dict[str, str] = {}
        self.seats: dict[Value, Seat] = {}
        self.plan_sizes = tuple(graph.sizes)
        self.sizes: dict[str, str] = {name: self.names.new("s") for name in self.plan_sizes}
        self.sample = sample_sizes(graph, tuple(graph.sizes.values()))
        self.plan: list[Line] = []
        self.plan_names: set[str] = set(self.sizes.values())
        self.storages: list[Storage] = []
        self.constants: dict[str, np.ndarray] = {}
        self.kernels: list[list[Line]] = []
        self.position = 0
        self.targets: dict[Value, Storage] = {}
        self.dying = {node: frozenset(values) for node, values in last_uses(graph).items()}
        self.results: set[Value] = set()
        self.scalars: frozenset[Value] = frozenset()
        self.literals: dict[tuple[str, str], str] = {}
        self.function = Function()
        self.visible: set[str] = set()
        self.place = ""

    # -- writing

    def line(self, text: str, node: Node | None = None) -> None:
        """A line of what a call does."""
        if node is not None:
            where = place(node.location, node.path)
            if where and where != self.place:
                self.function.lines.append(Line(self.function.depth, f"# {where}", comment=True))
                self.place = where
        self.function.lines.append(Line(self.function.depth, text, node))

    def plan_line(self, name: str, text: str) -> str:
        """Something that the plan makes; returns its name."""
        self.plan.append(Line(1, f"{name} = {text}"))
        self.plan_names.add(name)
        return name

    def assign(self, name: str, text: str, node: Node | None = None) -> str:
        """A variable of the function that is being written; returns its name."""
        self.function.assigned.add(name)
        self.line(f"{name} = {text}", node)
        return name

    @contextmanager
    def indented(self) -> Iterator[None]:
        """Lines within the `with` block stand one level deeper."""
        self.function.depth += 1
        count = len(self.function.lines)
        self.place = ""
        try:
            yield
        finally:
            if all(line.comment for line in self.function.lines[count:]):
                self.line("pass")
            self.function.depth -= 1
            self.place = ""

    def helper(self, name: str) -> str:
        """The name of something of `runtime`'s, which is copied into the source."""
        if name not in self.helpers:
            self.helpers[name] = self.embed(getattr(runtime, name))
        return self.helpers[name]

    def embed(self, function: Callable[..., Any]) -> str:
        """A Python function, copied into the source; returns its name there."""
        return self.embedder.function(function)

    # -- sizes

    def is_planned(self, sizes: Iterable[Size]) -> bool:
        """Whether sizes are known to the plan."""
        return all(isinstance(s, int) or free_vars(s) <= set(self.plan_sizes) for s in sizes)

    def is_known(self, sizes: Iterable[Size]) -> bool:
        """Whether sizes are known at this point of a call."""
        return all(isinstance(s, int) or free_vars(s) <= self.sizes.keys() for s in sizes)

    def size(self, size: Size) -> str:
        """A size as an expression."""
        return python_size(size, self.sizes)

    def shape(self, sizes: Sequence[Size]) -> str:
        """Sizes as a tuple expression."""
        return shape_text(sizes, self.sizes)

    def attrs(self, node: Node) -> list[str]:
        """A node's attributes as keyword arguments. Quick kernels take NumPy's dtypes, others Ingot's."""
        dtype = dtype_text if node.op.fast is not None else self.embedder.dtype
        return [f"{name}={attribute(value, self.sizes, dtype)}" for name, value in node.attrs.items()]

    def attrs_planned(self, node: Node) -> bool:
        """Whether the plan knows the sizes in a node's attributes."""
        found: list[Size] = []
        waiting = list(node.attrs.values())
        while waiting:
            item = waiting.pop()
            if isinstance(item, tuple):
                waiting.extend(item)
            elif isinstance(item, SizeExpr):
                found.append(item)
        return self.is_planned(found)

    def learn(self, value: Value, text: str) -> None:
        """Bind the size variables that an array of unknown sizes brings in."""
        type_ = value.type
        if not isinstance(type_, TensorType) or self.is_known(type_.sizes):
            return
        for binding in binding_dimensions([type_], self.sizes):
            found = f"{text}.shape[{binding.place[1]}]"
            if binding.rest != 0:
                found = f"({found} - ({self.size(binding.rest)}))"
            self.bind(binding.name, found if binding.factor == 1 else f"{found} // {binding.factor}")

    def bind(self, variable: str, text: str) -> str:
        """Give a size variable a value at this point of a call; returns its name."""
        self.sizes[variable] = name = self.assign(self.names.new("n"), text)
        return name

    # -- storages

    def storage(self, type_: TensorType, name: str | None = None) -> Storage:
        """New memory in the arena, in use from here on."""
        name = name or self.names.new("v")
        found = Storage(name, type_.dtype, type_.sizes, self.position, self.position)
        self.storages.append(found)
        self.plan_names.add(name)
        return found

    def result_storage(self, type_: TensorType) -> Storage:
        """Memory for a result, made by each call at this point."""
        name = self.names.new("r")
        self.assign(name, f"np.empty({self.shape(type_.sizes)}, {dtype_text(type_.dtype)})")
        return Storage(name, type_.dtype, type_.sizes, self.position, result=True)

    def sit(self, value: Value, storage: Storage) -> Seat:
        """Seat a value in all of a storage."""
        storage.holders.add(value)
        planned = not (storage.result or storage.external)
        seat = Seat(storage.name, storage, True, planned, None if storage.external else True, storage.result)
        self.seats[value] = seat
        return seat

    def seat_loose(self, value: Value, text: str, *, fresh: bool, contiguous: bool | None = None) -> Seat:
        """Seat a value that lies in no storage."""
        self.seats[value] = Seat(text, None, contiguous=contiguous, fresh=fresh)
        return self.seats[value]

    def seat_scalar(self, value: Value, text: str) -> None:
        """Seat a value that is kept as a NumPy scalar; to all who need an array, it is one."""
        self.seats[value] = Seat(f"np.asarray({text})", fresh=True, scalar=text)

    def seat_variable(self, value: Value, name: str) -> None:
        """Seat a value that is carried in a Python variable."""
        if value in self.scalars:
            return self.seat_scalar(value, name)
        self.seat_loose(value, name, fresh=False)
        self.learn(value, name)

    def scalar(self, value: Value) -> str:
        """A tensor without dimensions as a NumPy scalar, or a bool of Python's."""
        seat = self.seats[value]
        return seat.scalar or f"{seat.text}[()]"

    def decides(self, value: Value) -> str:
        """A bool, or a tensor of one, as a condition."""
        seat = self.seats[value]
        return seat.scalar or seat.text

    def literal(self, dtype: DType, value: Any) -> str:
        """A number of a dtype, which the plan makes once."""
        if dtype.kind == "bool":
            return str(bool(value))
        key = (dtype.name, repr(value))
        if key not in self.literals:
            self.literals[key] = self.plan_line(self.names.new("k"), f"{dtype_text(dtype)}({number(value)})")
        return self.literals[key]

    def target(self, value: Value) -> Storage | None:
        """Where a value should be written to, if that is settled and nothing else lies there."""
        if value in self.results:
            assert isinstance(value.type, TensorType)
            return self.result_storage(value.type)
        found = self.targets.pop(value, None)
        return found if found is not None and not found.holders else None

    def allocate(self, value: Value, node: Node, replaceable: Sequence[Value] = ()) -> tuple[str, Value | None]:
        """An array for a result, and the operand whose place it takes, if any.

        Args:
            replaceable: operands that may be written over in their last use.
        """
        type_ = value.type
        assert isinstance(type_, TensorType)
        aim = self.targets.get(value)
        if aim is not None and (old := self._sole_holder(aim, node, replaceable, type_)) is not None:
            return self.sit(value, aim).text, old
        target = self.target(value)
        if target is not None:
            return self.sit(value, target).text, None
        if not self.is_planned(type_.sizes):
            name = self.names.new("v")
            self.assign(name, f"np.empty({self.shape(type_.sizes)}, {dtype_text(type_.dtype)})")
            self.seat_loose(value, name, fresh=True, contiguous=True)
            return name, None
        for operand in replaceable:
            storage = self.seats[operand].storage
            if storage is None or storage.external:
                continue
            if self._sole_holder(storage, node, (operand,), type_) is not None:
                return self.sit(value, storage).text, operand
        return self.sit(value, self.storage(type_)).text, None

    def _sole_holder(
        self, storage: Storage, node: Node, replaceable: Sequence[Value], type_: TensorType
    ) -> Value | None:
        """The operand that alone holds a storage, to its very size, for the last time."""
        if len(storage.holders) != 1 or storage.dtype is not type_.dtype or storage.sizes != type_.sizes:
            return None
        (holder,) = storage.holders
        fits = holder in replaceable and holder in self.dying.get(node, ()) and self.seats[holder].whole
        return holder if fits else None

    def scratch(self, types: Sequence[TensorType]) -> list[str]:
        """Arrays that one node alone uses."""
        found = []
        for type_ in types:
            if self.is_planned(type_.sizes):
                found.append(self.storage(type_).name)
            else:
                found.append(f"np.empty({self.shape(type_.sizes)}, {dtype_text(type_.dtype)})")
        return found

    def release(self, node: Node) -> None:
        """Let go the values that nothing after this node needs."""
        for value in self.dying.get(node, ()):
            self.let_go(value)

    def let_go(self, value: Value) -> None:
        """The value is not needed any more."""
        seat = self.seats.get(value)
        if seat is not None and seat.storage is not None:
            seat.storage.holders.discard(value)
            seat.storage.last = max(seat.storage.last, self.position)

    # -- parameters of the graph

    def seat_parameters(self) -> tuple[list[str], list[str]]:
        """Name the graph's inputs and state."""
        inputs = [self.names.new("v") for _ in self.graph.inputs]
        state = [self.names.new("v") for _ in self.graph.state]
        self.function.assigned.update(inputs, state)
        values = (*self.graph.inputs, *self.graph.state.values())
        for value, name in zip(values, (*inputs, *state), strict=True):
            self.seat_loose(value, name, fresh=False)
        for value in self.graph.inputs:
            if value in self.scalars:
                self.seats[value].scalar = self.assign(self.names.new("v"), f"{self.seats[value].text}[()]")
        return inputs, state

    def write_in_place(self, keys: Collection[str]) -> None:
        """Let new values of state be written to the state's own memory, where nothing needs what lay there."""
        for key in keys:
            old, new = self.graph.state[key], self.graph.updates[key]
            type_ = old.type
            if not isinstance(type_, TensorType) or new.type != type_ or not self.is_planned(type_.sizes):
                continue
            storage = Storage(self.seats[old].text, type_.dtype, type_.sizes, 0, external=True)
            if old.use_count:
                storage.holders.add(old)
            self.seats[old] = Seat(storage.name, storage, whole=True)
            made_by = new.node
            if made_by is not None and new not in self.targets and (not made_by.blocks or made_by.op is _GROUP):
                self.targets[new] = storage

    def texts(self, values: Iterable[Value]) -> list[str]:
        """Values as expressions."""
        return [self.seats[value].text for value in values]
