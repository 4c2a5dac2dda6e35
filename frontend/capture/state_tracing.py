"""State while a program is captured: tensors from outside of it, what it writes to them, and what they are at its end.

The tracer's part about tensors that the program neither got as inputs nor made. Those with a known name, and those that
it changes, are state; the rest are constants. What the example run does to them is undone after it.
"""

from __future__ import annotations

import weakref
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...ir.algebra import type_of
from ...ir.builder import Builder
from ...ir.errors import CaptureError
from ...ir.locations import Location, here
from ...ir.node import Value
from ...ir.types import TensorType
from ..dispatch import EAGER
from ..indexing import replay
from ..random import default_generator
from ..storage import storage_of
from ..tensor_base import TensorBase, wrap
from .attributes import holds_tensors, tensors_in
from .gradients import Gradients
from .keys import Keys
from .ledger import CaptureLedger
from .scalars import ScalarTracing
from .sharing import base_of
from .symbols import Symbol
from .symint import SymInt
from .user_gradients import UserGradients

__all__ = ["StateTracing"]


class StateTracing(ScalarTracing):
    """What a tracer does about state. `Tracer` makes the attributes.

    Attributes:
        names: known state: the tensor's `id` to its name and the tensor itself.
        keys: the names that state has in all entry points of the program.
        paths: how the program reaches tensors that are no known state, by their `id`.
        state: what has turned out to be state, by name: the tensor, and what it is at the beginning.
        input_writes: the line that first changes an input, by the `id` of its memory.
        drawn_from: the keys of generators from outside that the program draws from, by their `id`.
    """

    names: Mapping[int, tuple[str, Any]]
    keys: Keys
    paths: dict[int, str]
    state: dict[str, tuple[Any, Value]]
    ledger: CaptureLedger
    may_write_inputs: bool
    drawn_from: set[int]
    input_writes: dict[int, Location | None]
    _anonymous: list[tuple[str, Any, Value]]
    _externals: dict[int, tuple[str, Any, Value]]
    _replaced: dict[int, Value]
    _taken: list[tuple[Value, Location | None]]
    _over_numpy: dict[int, Any]
    _perhaps_views: list[tuple[weakref.ref[Any], weakref.ref[Any]]]
    _written: list[tuple[Any, Location | None]]
    _snapshots: dict[int, tuple[Any, np.ndarray, np.ndarray]]
    _places: list[tuple[Any, Any, int]]
    _inputs: set[int]
    _grads: Gradients
    user_gradients: UserGradients

    # --------------------------------------------------------------------------------------------- from outside

    def _external(self, tensor: Any) -> Value:
        if tensor._base is not None and id(tensor) not in self.names:
            view = replay(tensor._base, tensor._chain)
            self.value_of(view)
            if self.regions.depth:
                self.regions.stack[-1].derived(tensor)
            self.adopt(tensor, view._trace)
            return view._trace[1]
        type_ = type_of(tensor._array)
        known = self.names.get(id(tensor))
        if known is None and id(tensor) in self.drawn_from:  # which changes it
            wanted = "rng" if tensor is default_generator._key else self.paths.get(id(tensor), "generator")
            known = (wanted, tensor)
        key = (
            self.keys.claim(tensor, known[0])
            if known
            else self.keys.claim_anonymous(tensor, self.paths.get(id(tensor), ""))
        )
        value = self.graph.add_state(key, type_)
        self._externals[id(tensor)] = (key, tensor, value)
        if known:
            self.state[key] = (tensor, value)
        else:
            self._anonymous.append((key, tensor, value))
        self.adopt(tensor, (self, value, known is None and key not in self.keys.changed))
        return value

    def is_known_state(self, tensor: Any) -> bool:
        """Whether a tensor was known for state before the run."""
        return id(tensor) in self.names

    def made(self, tensor: Any) -> None:
        """Note that the program makes a tensor of plain values: a constant, which is made anew by each call, and no
        state, whatever is written to it."""
        fixed = wrap(np.array(tensor._array))
        type_ = self._external(fixed).type
        # Inside of a branch or loop it belongs to the inside, where it can be changed.
        inside = self.regions.depth and isinstance(type_, TensorType)
        self.adopt(tensor, (EAGER.clone(fixed) if inside else fixed)._trace)

    def second_leaf(self, tensor: Any) -> dict[str, Any]:
        """The parts of a tensor on the same memory, cut off from the gradient, which follows changes of the first."""
        found = EAGER.detach(tensor)
        parts = dict(vars(found))
        storage_of(found._base).forget_views({id(found)})
        return parts

    def made_over(self, tensor: Any) -> None:
        """Note that the program makes a tensor over NumPy's memory."""
        self._over_numpy[id(tensor)] = tensor

    def is_external(self, tensor: Any) -> bool:
        """Whether the program neither got the tensor as an input nor made it, but found it."""
        self.value_of(tensor)
        return id(tensor) in self._externals

    def is_from_outside(self, tensor: Any) -> bool:
        """Whether somebody else than the program may hold a tensor: an input, or one that the program has found."""
        return id(tensor._array) in self._inputs or id(tensor) in self._externals or self.is_known_state(tensor)

    def has_read(self, tensor: Any) -> bool:
        """Whether the program has found the tensor outside of it and used it."""
        return id(tensor) in self._externals

    @property
    def gradients(self) -> Gradients:
        """The `.grad` of tensors, as the run changes them."""
        return self._grads

    def add_state(self, key: str, tensor: Any) -> Value:
        """Make a tensor state of the program."""
        value = self.graph.add_state(key, type_of(tensor._array))
        self.state[key] = (tensor, value)
        self.adopt(tensor, (self, value, False))
        self._externals[id(tensor)] = (key, tensor, value)
        return value

    def drop_state(self, key: str) -> None:
        """Take back `add_state`, where nothing uses it."""
        del self.state[key]
        self.graph.remove_state(key)

    def key_of(self, tensor: Any) -> str:
        """The name of an external tensor."""
        return self._externals[id(tensor)][0]

    def replace_at_end(self, tensor: Any, new: Any) -> None:
        """The next call finds `new` where this one found `tensor`."""
        self._replaced[id(tensor)] = self.value_of(new)

    # ---------------------------------------------------------------------------------------------------- writes

    def state_arrays(self) -> dict[str, np.ndarray]:
        """Copies of the state's arrays as they were before the run."""
        found = {}
        for key, (tensor, _) in self.state.items():
            before = self._snapshots.get(id(tensor))
            found[key] = np.array(before[2] if before else tensor._array)
        return found

    def before_write(self, base: Any) -> None:
        """Keep a tensor's elements before the program changes them in place.

        Raises:
            CaptureError: when the tensor is one of the program's inputs.
        """
        if id(base._array) in self._inputs and not self.may_write_inputs:
            error = CaptureError(
                "the program changes one of its inputs in place",
                expected="a program that leaves its arguments as they are",
                found=f"a change of input '{self.value_of(base).name}'",
                location=here(),
                context=self.context,
                advice='clone() the argument first, or return the changed tensor; or trace with mutates="write_back", '
                'which changes the caller\'s tensor as well, or mutates="copy", which changes a copy',
            )
            self.refuse(error)
        if id(base._array) in self._inputs:
            self.input_writes.setdefault(id(base._array), here())
        if id(base) in self._over_numpy:
            raise CaptureError(
                "the program changes memory of NumPy's in place, through a tensor that it makes over it",
                expected="a tensor with memory of its own",
                location=here(),
                context=self.context,
                advice="ingot.tensor(array) copies the array; for state, make the tensor once, outside of the program",
            )
        self._refuse_uncertain_alias(base)
        self.value_of(base)
        self.regions.before_write(base)
        self.user_gradients.written(base)
        if id(base) in self._externals and id(base) not in self._snapshots:
            self._snapshots[id(base)] = (base, base._array, np.array(base._array))
            self._places += [(x, x._node, x._index) for x in (base, *storage_of(base).aliases)]
            self._written.append((base, here()))

    def _refuse_uncertain_alias(self, base: Any) -> None:
        """A reshape that copies at some sizes and not at others must not be written through."""
        for view_ref, source_ref in self._perhaps_views:
            view, source = view_ref(), source_ref()
            if (
                view is None
                or source is None
                or (base is not source and base is not (view if view._base is None else view._base))
            ):
                continue
            raise CaptureError(
                "the program changes a reshaped tensor, or its origin, in place",
                expected="memory that is shared, or is not, at every size",
                found="whether the reshape copies depends on a dynamic size",
                location=here(),
                context=self.context,
                advice="clone() the reshaped tensor first",
            )

    # ---------------------------------------------------------------------------------------------------- the end

    def _at_end(self, tensor: Any) -> Value:
        return self._replaced.get(id(tensor)) or self.value_of(tensor)

    def _freeze_constants(self) -> None:
        """Tensors of no known name that did not change are constants."""
        for key, tensor, value in self._anonymous:
            if key in self.state:
                continue
            if value.use_count:
                value.replace_uses(self.builder_at_start().constant(_frozen(tensor._array)))
            self.graph.remove_state(key)

    def take_constant(self, tensor: Any) -> None:
        """Note that Python takes a value out of a tensor that is constant as far as is known."""
        value = tensor._trace[1] if self.is_traced(tensor) else self._external(tensor)
        self._taken.append((value, here()))

    def _refuse_taken(self) -> None:
        """What Python took out of a tensor must not be state after all.

        Raises:
            CaptureError: when the program changes the tensor that a value came from.
        """
        changed = {value: key for key, _, value in self._anonymous if key in self.state}
        for taken, location in self._taken if changed else ():
            waiting, seen = [taken], {taken}
            while waiting:
                value = waiting.pop()
                if value in changed:
                    raise CaptureError(
                        "the program takes a number out of a tensor, to Python, and changes the tensor",
                        expected="a number that follows the tensor from call to call",
                        found=f"{changed[value]}, a tensor of the caller's that no name leads to",
                        location=location,
                        context=self.context,
                        advice="make it a buffer of a module, or a variable that the function uses by its name: then "
                        "item() stays in the program",
                    )
                new = [x for x in (value.node.inputs if value.node is not None else ()) if x not in seen]
                waiting += new
                seen.update(new)

    def replace(self, path: str, old: Any, new: Any, elsewhere: str = "") -> None:
        """Note that a name from outside, which stood for `old`, stands for `new` at the end of the run.

        Args:
            elsewhere: another name that stood for `old` and does not stand for `new` now.

        Raises:
            CaptureError: when the program has read the old tensor, and the new one cannot be the next call's.
        """
        if not isinstance(old, TensorBase) and holds_tensors(old):
            self._replace_container(path, old, new)
            return
        is_state = isinstance(old, TensorBase) and (self.has_read(old) or id(old) in self.names)
        tensors = isinstance(old, TensorBase) and isinstance(new, TensorBase)
        if tensors:
            self.keys.moved.add(id(base_of(old)))
        if not is_state and tensors and type_of(old._array) == self.value_of(new).type:
            # Nothing in the program reads it, but who holds the program may: it is state when its type stays.
            self.names = {**self.names, id(old): (path, old)}
            is_state = True
        made_by = self.value_of(new).node if isinstance(new, TensorBase) else None
        location = None if made_by is None else made_by.location
        if isinstance(old, TensorBase) and elsewhere:
            error = CaptureError(
                "the program replaces a tensor under one of its names, and not under another",
                expected="state with one name, or names that stay together",
                found=f"{path} and {elsewhere}, which stood for one tensor",
                location=location,
                context=self.context,
                advice="clone() the tensor where one name gets it from the other, or change it in place: copy_(...)",
            )
            if is_state and self.has_read(old):
                raise error
            self.keys.parted.append((error, old))
        if is_state and isinstance(new, TensorBase) and self.value_of(old).type == self.value_of(new).type:
            self.replace_at_end(old, new)
            return
        if is_state and self.has_read(old):
            raise CaptureError(
                f"the program reads the tensor {path} and puts another kind of value in its place",
                expected=f"a tensor of type {self.value_of(old).type}, for the next call to read",
                found=str(self.value_of(new).type) if isinstance(new, TensorBase) else repr(new),
                location=location,
                context=self.context,
                advice="take it as an argument and return the new value",
            )
        if isinstance(old, TensorBase) and id(old) in self.names:
            key = self.keys.claim(old, self.names[id(old)][0])
            self.keys.lost.setdefault(key, (path, self.graph.name, location))
        what = "a tensor" if isinstance(new, TensorBase) else repr(new)
        what = "a number that the run decides" if isinstance(new, (SymInt, Symbol)) else what
        self.ledger.add("state", f"{path} was set to {what}, which calls of the program do not do", location)

    def _replace_container(self, path: str, old: Any, new: Any) -> None:
        """Note that another list, dict or object stands where one with tensors stood.

        Raises:
            CaptureError: when the program has read these tensors.
        """
        before, now = list(tensors_in(old)), list(tensors_in(new))
        if [id(x) for x in before] == [id(x) for x in now]:
            return
        made_by = [self.value_of(x).node for x in now if self.is_traced(x)]
        location = next((node.location for node in made_by if node is not None), None)
        if any(self.has_read(x) for x in before):
            raise CaptureError(
                f"the program reads tensors in {path} and puts another {type(old).__name__} in its place",
                expected=f"the same {type(old).__name__} with other tensors in it, for the next call to read",
                location=location,
                context=self.context,
                advice="assign to its items or attributes instead, or change the tensors in place: copy_(...)",
            )
        what = f"{path} was set to another {type(old).__name__}, which calls of the program do not do"
        self.ledger.add("state", what, location)

    def refuse_joined(self, names: Iterable[tuple[str, Any, Any, str, Any]]) -> None:
        """Names that stand for one tensor after a run, and did not before, must not be of state that is changed in
        place: the next call would change it under both names. Nor must names part that another entry point reads.

        Args:
            names: what `Attributes.joined` gives.

        Raises:
            CaptureError: when they are.
        """
        keys = self.keys
        keys.read.update(self._externals)
        for base, location in self._written:
            keys.written.setdefault(id(base), location)
        keys.joined += names
        for error, tensor in keys.parted:
            if id(tensor) in keys.read:
                raise error
        for path, old, now, other, before in keys.joined if keys.written else ():
            owners = {id(base_of(x)) for x in (old, now, before) if isinstance(x, TensorBase)} | keys.moved
            written = [location for x, location in keys.written.items() if x in owners]
            if not written or id(base_of(old)) not in keys.read:
                continue
            raise CaptureError(
                "the program lets two names of its state stand for one tensor, and changes it in place",
                expected="a tensor of its own under each name",
                found=f"{path} and {other}",
                location=written[0],
                context=self.context,
                advice="clone() the tensor where one name gets it from the other",
            )

    def _refuse_shared_memory(self) -> None:
        """What the program writes must not be the memory of a tensor that was captured on its own.

        Raises:
            CaptureError: when one is.
        """
        lines = {id(base): location for base, location in self._written}
        for group in _sharing([(key, tensor) for key, tensor, _ in self._externals.values()] if lines else []):
            written = [lines[id(tensor)] for _, tensor in group if id(tensor) in lines]
            if not written:
                continue
            raise CaptureError(
                "the program changes a tensor in place that shares its memory with other state",
                expected="memory that one tensor owns, and others view",
                found=" and ".join(repr(key) for key in sorted(key for key, _ in group)),
                location=written[0],
                context=self.context,
                advice="clone() one of them where it is made",
            )

    # What the tracer provides.

    @abstractmethod
    def is_traced(self, tensor: Any) -> bool:
        """Whether a graph value stands for the tensor."""

    @abstractmethod
    def builder_at_start(self) -> Builder:
        """A builder that puts nodes before all others."""


def _sharing(named: Sequence[tuple[str, Any]]) -> Iterator[list[tuple[str, Any]]]:
    """The groups of tensors whose memory overlaps, each tensor with its name."""
    spans = sorted(
        ((*_span(tensor._array), key, tensor) for key, tensor in named if tensor._array.size), key=lambda span: span[:2]
    )
    group: list[tuple[str, Any]] = []
    end = 0
    for low, high, key, tensor in spans:
        if group and low >= end:
            if len(group) > 1:
                yield group
            group = []
        group.append((key, tensor))
        end = max(end, high)
    if len(group) > 1:
        yield group


def _span(array: Any) -> tuple[int, int]:
    """Where an array's memory begins and ends."""
    if isinstance(array, np.ndarray):
        return np.lib.array_utils.byte_bounds(array)
    return array.data.ptr, array.data.ptr + array.nbytes


def _frozen(array: np.ndarray) -> np.ndarray:
    found = np.array(array)
    found.setflags(write=False)
    return found
