"""A tracer that also keeps what every node computed: for a second capture, whose values a check compares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...ir.node import Value
from ...ir.registry import Op
from ...ir.sizes import Size
from .tracer import Tracer

__all__ = ["Recorder"]


class Recorder(Tracer):
    """A tracer with a memory.

    Attributes:
        values: copies of the arrays that the nodes computed, by the graph's values.
    """

    keeps_ledger = False

    def __init__(self, name: str, names: Mapping[int, tuple[str, Any]]) -> None:
        super().__init__(name, names)
        self.values: dict[Value, np.ndarray] = {}

    def add_input(self, name: str, array: np.ndarray, sizes: Sequence[Size]) -> Any:
        """As a tracer does, but in the memory layout that the array has."""
        found = super().add_input(name, array, sizes)
        self._inputs.discard(id(found._array))
        found._array = array
        self._inputs.add(id(array))
        self._input_arrays.append(array)
        return found

    def apply(self, op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
        """Record one op, compute it, and keep the result."""
        result = super().apply(op, inputs, attrs)
        for output in result if isinstance(result, tuple) else (result,):
            self.values[output._trace[1]] = np.array(output._array)
        return result
