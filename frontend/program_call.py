"""What runs an entry point of a program: its graph on the way to a backend, and the quick way of a plain call.

A call is plain where the entry point takes nothing but tensors and gets just these. It needs no names, no trees and no
messages, so that what can be settled once is settled here. Whatever is out of the ordinary (keywords, gradients,
watches, a capture in progress, a tensor that does not fit) is left to `Program`, which does the same at leisure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..backends.backend import get_backend
from ..ir.binding import UNUSUAL, SizeBinder
from ..ir.graph import Graph
from ..passes import SIMPLIFY, partition, run_pipeline
from .calling import Caller
from .mode import mode
from .tensor_base import TENSORS

if TYPE_CHECKING:
    from .program import Program

__all__ = ["MISSED", "CompiledEntry", "QuickCall", "Stages"]

MISSED: Final = object()
"""What a quick call gives that is none."""


class Stages:
    """One entry point on its way to a backend: what is derived from the state alone, and the graph to call."""

    def __init__(self, graph: Graph) -> None:
        simplified = graph.copy()
        run_pipeline(simplified, SIMPLIFY)
        self.prepare, self.main = partition(simplified)
        run_pipeline(self.main, "fuse")


class CompiledEntry:
    """One entry point, compiled for one backend.

    Attributes:
        bind: the checks of the inputs, which give the sizes.
        run: the graph on its backend.
    """

    def __init__(self, stages: Stages, backend: str) -> None:
        self.main = stages.main
        self.bind = SizeBinder(stages.main)
        self.prepare = None if stages.prepare is None else get_backend(backend).compile(stages.prepare)
        self.run = get_backend(backend).compile(stages.main)
        self.reads = () if stages.prepare is None else tuple(stages.prepare.state)
        self.derived: tuple[list[Any], Any, dict[str, Any]] | None = None

    def state(self, state: Mapping[str, Any], stamp: Any = ()) -> Mapping[str, Any]:
        """State with what is derived from it alone, which is computed again when what it derives from was replaced, or
        written into: then `stamp` is another one."""
        if self.prepare is None:
            return state
        read = [state[key] for key in self.reads]
        found = self.derived
        if found is None or found[1] != stamp or any(a is not b for a, b in zip(found[0], read, strict=True)):
            values, _ = self.prepare([], state, {})
            keys = [key for key in self.main.state if key not in state]
            found = self.derived = (read, stamp, dict(zip(keys, values, strict=True)))
        return {**state, **found[2]}


class QuickCall:
    """An entry point, for calls with as many tensors and arrays as it has parameters.

    Args:
        caller: how it is called, `plain`.
        compiled: what runs it.
        backend: the name of the backend that this is for.
    """

    __slots__ = ("_bind", "_count", "_entry", "_prepared", "_result", "_run", "backend")

    def __init__(self, caller: Caller, compiled: CompiledEntry, backend: str) -> None:
        self.backend = backend
        self._entry = compiled
        self._prepared = compiled.prepare is not None
        self._bind = compiled.bind.quick
        self._run = compiled.run
        self._count = len(caller.signature.parameters)
        self._result = caller.quick_result()

    def __call__(self, program: Program, args: Sequence[Any]) -> Any:
        """The result of a call; `MISSED` where it is not plain, and then nothing has happened."""
        own = program._own
        asked = mode.tracer is not None or program._watches.handles or program.num_threads is not None
        if asked or len(args) != self._count or program.backend is not self.backend:
            return MISSED
        grad, arrays = mode.grad, []
        for x in args:
            kind = x.__class__
            if kind in TENSORS:
                if grad and x._node is not None:
                    return MISSED
                arrays.append(x._array)
            elif kind is np.ndarray:
                arrays.append(x)
            else:
                return MISSED
        if grad and own.parameters:
            return MISSED
        try:
            sizes = self._bind(arrays)
        except UNUSUAL:
            return MISSED
        if sizes is None:
            return MISSED
        state, stamp = own.snapshot()
        if self._prepared:
            state = self._entry.state(state, stamp)
        outputs, updates = self._run(arrays, state, sizes)
        if updates:
            own.replace(updates)
        return self._result(args, outputs)
