"""Tensors that share memory or not, as the run decides: what a captured branch or loop hands on.

A branch may hand on a tensor from outside of it, or a view on one; a loop of no iterations hands on what was there
before. In the graph its output is a value of its own. That is right as long as neither is changed in place. Where one
is, the contents of the other are unknown from there on, and whoever uses them is refused: `Regions.lose` marks them.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from ...ir.errors import CaptureError
from ...ir.locations import Location, here
from ...ir.node import Value
from ..tensor_base import TensorBase

__all__ = ["Loss", "Sharing", "base_of"]


def base_of(tensor: Any) -> Any:
    """The tensor that owns a tensor's memory."""
    return tensor if tensor._base is None else tensor._base


@dataclass(frozen=True, slots=True)
class Loss:
    """Why the contents of a tensor are unknown.

    Attributes:
        write: the line that changes memory which is perhaps the tensor's.
        shared: the branch or loop that decides whether it is.
    """

    write: Location | None
    shared: Location | None


@dataclass(frozen=True, slots=True)
class _Owner:
    """A tensor that owns memory, and where those others come from that perhaps own the same, by `id`."""

    tensor: weakref.ref[Any]
    partners: dict[int, Location | None]


class Sharing:
    """Which tensors perhaps share memory, and which have unknown contents for that.

    What is noted is complete: whatever may be the memory of a tensor's partner is a partner as well, so far as that
    does not take two decisions of the run that exclude each other.

    Attributes:
        lost: values that stand for unknown contents, with what the tensor was before.
    """

    def __init__(self, tracer: Any) -> None:
        self._tracer = tracer
        self._owners: dict[int, _Owner] = {}
        self.lost: dict[Value, tuple[Loss, Value]] = {}
        self.lost_lists: list[Any] = []  # in the order in which they were
        self._lost_memory: dict[int, tuple[Any, Loss]] = {}
        self._exempt: list[Any] = []
        self._handing_on = False

    # ------------------------------------------------------------------------------------------------- who shares

    def perhaps(self, output: Any, other: Any, location: Location | None) -> None:
        """Note that what the branch or loop at `location` hands on may be another tensor's memory."""
        if not isinstance(output, TensorBase) or not isinstance(other, TensorBase):
            return
        output = base_of(output)
        if base_of(other) is not output:
            for owner in self.sources(other):
                self.pair(output, owner, location)

    def pair(self, a: Any, b: Any, location: Location | None) -> None:
        """Note that two owners of memory may be one."""
        if a is not b:
            self._entry(a).partners.setdefault(id(b), location)
            self._entry(b).partners.setdefault(id(a), location)

    def hand_on(
        self, outputs: Sequence[tuple[Any, Any]], visible: Callable[[Any], bool], location: Location | None
    ) -> None:
        """Note what the outputs of the branch or loop at `location` may share, each given with what is handed on.

        Args:
            visible: whether a tensor is there outside of the block that hands them on.
        """
        made: dict[int, list[Any]] = {}
        for output, given in outputs:
            made.setdefault(id(base_of(given)), []).append(output)
        for output, given in outputs:
            for owner in self.sources(given):
                others = made.get(id(owner), [])
                for other in [*others, owner] if visible(owner) else others:
                    self.pair(output, other, location)
            if given._base is None and self.is_one_memory(given):
                self.one_memory(output, location)

    def one_memory(self, elements: Any, location: Location | None) -> None:
        """Note that several elements of a list, which are one tensor in the graph, may be one memory in the program."""
        owner = base_of(elements)
        self._entry(owner).partners.setdefault(id(owner), location)

    def is_one_memory(self, elements: Any) -> bool:
        """Whether that has been noted."""
        owner = base_of(elements)
        return id(owner) in self._owners and id(owner) in self._owners[id(owner)].partners

    def sources(self, tensor: Any) -> list[Any]:
        """The owner of the memory that a tensor has, and the owners that it perhaps shares it with."""
        owner = base_of(tensor)
        return [owner, *(other for other, _ in self._partners(owner) if other is not owner)]

    def endangered(self, owner: Any) -> list[tuple[Any, Location | None]]:
        """The owners whose contents are unknown when this one is changed in place, each with the branch or loop that
        decides.

        Raises:
            CaptureError: when the tensor's own elements are, too.
        """
        partners = self._partners(owner) if self._owners else []
        for other, location in partners:
            if other is owner:
                raise self.refusal(Loss(here(), location))
        return [(x, location) for x, location in partners if not any(x is exempt for exempt in self._exempt)]

    def _entry(self, owner: Any) -> _Owner:
        found = self._owners.get(id(owner))
        if found is None:
            found = self._owners[id(owner)] = _Owner(weakref.ref(owner, self._forget(id(owner))), {})
        return found

    def _forget(self, key: int) -> Callable[[Any], None]:
        def forget(_: Any) -> None:
            gone = self._owners.pop(key)
            for other in gone.partners:
                if other in self._owners:
                    self._owners[other].partners.pop(key, None)

        return forget

    def _partners(self, owner: Any) -> list[tuple[Any, Location | None]]:
        found = self._owners.get(id(owner))
        if found is None:
            return []
        pairs = [(self._owners[key].tensor(), location) for key, location in found.partners.items()]
        return [(tensor, location) for tensor, location in pairs if tensor is not None]

    # ------------------------------------------------------------------------------------------- unknown contents

    def unknown(self, tensor: Any, loss: Loss) -> None:
        """Let the contents of a tensor be unknown."""
        tracer = self._tracer
        now = tensor._trace[1] if tracer.is_traced(tensor) else tracer.value_of(tensor)  # which is no use of it
        found = Value(now.type, now.name, None, now.block, now.index)
        self.lost[found] = (loss, now)
        tracer.adopt(tensor, (tracer, found, False))

    def lose_memory(self, storage: Any, loss: Loss) -> None:
        """What the tape keeps of this memory is not to be used either."""
        storage.version += 1
        self._lost_memory[id(storage)] = (storage, loss)

    def loss_of(self, tensor: Any) -> Loss | None:
        """Why a tensor's contents are unknown; None where they are not."""
        if not self.lost or not isinstance(tensor, TensorBase):
            return None
        for one in (tensor, base_of(tensor)):
            if self._tracer.is_traced(one) and one._trace[1] in self.lost:
                return self.lost[one._trace[1]][0]
        return None

    def known(self, value: Value) -> Value:
        """A value as an operand, or as a result.

        Raises:
            CaptureError: when it stands for unknown contents.
        """
        if value not in self.lost:
            return value
        loss, before = self.lost[value]
        if self._handing_on:
            return before
        refuse: Callable[[CaptureError], NoReturn] = self._tracer.refuse
        refuse(self.refusal(loss, "" if self._tracer.has_ended else "used"))

    @contextmanager
    def handing_on(self) -> Iterator[None]:
        """Unknown contents may be asked for: who does marks as unknown what he hands them on to."""
        before, self._handing_on = self._handing_on, True
        try:
            yield
        finally:
            self._handing_on = before

    def refuse_lost(self, storage: Any) -> None:
        """The tape has kept something whose memory has been changed since.

        Raises:
            CaptureError: when it is perhaps another memory that has been changed.
        """
        found = self._lost_memory.get(id(storage))
        if found is not None:
            self._tracer.refuse(self.refusal(found[1], "read by backward()"))

    def refuse_other_memory(self, tensor: Any) -> None:
        """A tensor is about to take on other memory.

        Raises:
            CaptureError: when it perhaps shares what it has.
        """
        for _, location in self._partners(base_of(tensor)):
            raise CaptureError(
                "a tensor takes on other memory, and shares what it has with another, or not, as the run decides",
                expected="memory of its own",
                found=f"what the branch or loop at {location} hands on may be that memory",
                location=here(),
                context=self._tracer.context,
                advice="copy the elements: y.copy_(...) in place of y.data = ...",
            )

    def refusal(self, loss: Loss, how: str = "") -> CaptureError:
        """The error for a change whose effect the run decides.

        Args:
            how: what becomes of the tensor at the user's present line; empty where the change itself is the place.
        """
        changed = f"what the branch or loop at {loss.shared} hands on may be that memory"
        return CaptureError(
            "an in-place change of a tensor that shares its memory with another, or not, as the run decides"
            + (f", and the other is {how}" if how else ""),
            expected="memory of its own",
            found=f"the change at {loss.write}, where {changed}" if how else changed,
            location=here() if how else loss.write,
            context=self._tracer.context,
            advice="hand on a clone() from the branch or loop, clone() before the change, or write the change as a new "
            "tensor: y = y + 1 in place of y += 1",
        )

    @contextmanager
    def exempt(self, tensors: Sequence[Any]) -> Iterator[None]:
        """Code that runs only where nobody reads these tensors: it may change what they perhaps share."""
        before, self._exempt = self._exempt, [*self._exempt, *tensors]
        try:
            yield
        finally:
            self._exempt = before
