"""The state of a program: its record's arrays, and the parameters through which they are trained.

What lives here: who may change the state, and how others learn of it. Until somebody asks for the parameters, arrays
are replaced and never written. From then on each parameter is a tensor that shares its array with the record: an
optimizer writes into it, and what was derived from it is derived anew.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..ir.errors import ShapeError
from ..ir.program import ProgramRecord
from .inplace import rebind
from .parameter import Parameter
from .storage import storage_of
from .tensor_base import wrap

__all__ = ["ProgramState"]


class ProgramState:
    """A record's state, shared by all programs over it.

    Attributes:
        parameters: those that have been handed out, by name; empty until somebody asks for one.
        buffers: the other state as tensors, likewise: for a module or a capture that the program is part of.
    """

    def __init__(self, record: ProgramRecord) -> None:
        self._record = record
        self._lock = threading.Lock()
        self.parameters: dict[str, Parameter] = {}
        self.buffers: dict[str, Any] = {}

    @property
    def record(self) -> ProgramRecord:
        """The record, whose arrays are those of the parameters.

        Raises:
            ShapeError: when a parameter has been given memory of other sizes or another dtype.
        """
        if not self.parameters and not self.buffers:
            return self._record
        state = self._record.state
        moved = {key: p for key, p in self._handed_out() if state[key] is not p._array}
        if moved:
            for key, parameter in moved.items():
                check_fits(key, state[key], parameter._array)
            with self._lock:
                self._record.state = {**self._record.state, **{key: p._array for key, p in moved.items()}}
        return self._record

    def named_parameters(self) -> Mapping[str, Parameter]:
        """The trainable state as parameters, the same ones each time."""
        with self._lock:
            if not self.parameters:
                # Copies, because others may hold the arrays, or they may be a file that is mapped into memory.
                made = {key: Parameter(wrap(self._record.state[key].copy())) for key in self._record.trainable}
                self._record.state = {**self._record.state, **{key: p._array for key, p in made.items()}}
                self.parameters = made
        return self.parameters

    def named_buffers(self) -> Mapping[str, Any]:
        """The state that is not trained, keys of the random state included, as tensors, the same ones each time."""
        with self._lock:
            if not self.buffers:
                rest = [key for key in self._record.state if key not in self._record.trainable]
                self.buffers = {key: wrap(np.array(self._record.state[key])) for key in rest}
                self._record.state = {**self._record.state, **{key: b._array for key, b in self.buffers.items()}}
        return self.buffers

    def _handed_out(self) -> list[tuple[str, Any]]:
        return [*self.parameters.items(), *self.buffers.items()]

    def replace(self, values: Mapping[str, Any]) -> None:
        """Take over new values, which nobody else writes into. Parameters keep their memory and are written; other
        state gets the new array, in a new dict, so that calls under way, and the tape, keep what they have."""
        with self._lock:
            rest = {}
            for key, value in values.items():
                parameter = self.parameters.get(key)
                if parameter is None:
                    rest[key] = value
                    if key in self.buffers:
                        rebind(self.buffers[key], wrap(value))
                elif parameter._array is not value:
                    parameter._array[...] = value
                    storage_of(parameter).version += 1
            if rest:
                self._record.state = {**self._record.state, **rest}

    def for_tape(self) -> dict[str, Any]:
        """The state for a call that is recorded: what has been handed out as tensors, whose changes are noticed."""
        buffers = {}
        for key, buffer in self.buffers.items():
            # Another tensor of the same memory: the buffer itself gets new memory when a call updates it.
            buffers[key] = wrap(buffer._array)
            buffers[key]._storage = storage_of(buffer)
        return {**self.record.state, **buffers, **self.parameters}

    def snapshot(self) -> tuple[Mapping[str, Any], Any]:
        """The arrays of the state as a call reads them, and the stamp from before: who writes in between will be
        noticed next time."""
        if not self.parameters and not self.buffers:
            return self._record.state, ()
        stamp = self.stamp()
        return self.record.state, stamp

    def stamp(self) -> Any:
        """Something that changes whenever memory of the state may have been written. It compares equal to itself, and
        to the last one if nothing was written."""
        if not self.parameters and not self.buffers:
            return ()
        storages = [storage_of(p) for _, p in self._handed_out()]
        if any(storage.exposed for storage in storages):
            return object()
        return [storage.version for storage in storages]


def check_fits(key: str, old: np.ndarray, new: np.ndarray) -> None:
    """Refuse a new value of state that is of another type.

    Raises:
        ShapeError: when its sizes or dtype are others.
    """
    if new.shape != old.shape or new.dtype != old.dtype:
        expected, found = f"{old.dtype}{list(old.shape)}", f"{new.dtype}{list(new.shape)}"
        raise ShapeError(f"state {key!r} of the program: the new value does not fit", expected=expected, found=found)
