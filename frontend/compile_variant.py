"""A variant of a compiled function: one captured graph, ready to be called on the tensors where they stand.

What lives here: passes and backend for a captured graph, the check whether a call may be served by it, and the call:
fetching tensors, running, writing back. How a graph is captured is `compile_capture`'s subject, which variant serves a
call that of `compile`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..backends.backend import get_backend
from ..ir.arrays import is_array
from ..ir.binding import SizeBinder, bind_sizes
from ..ir.errors import CaptureError, IngotError
from ..ir.graph import Graph
from ..passes import run_pipeline
from .compile_arguments import Arguments, Leaf
from .compile_capture import Captured
from .compile_gradient import Cut, Through, Walked, cut
from .mode import mode
from .storage import storage_of
from .tensor_base import TensorBase, wrap

__all__ = ["PIPELINE", "Variant"]

PIPELINE = "drop_user_gradients,fold,canonicalize{inference=true},share,cse,dce,fuse"


class Variant:
    """One captured graph of a function, and what must hold for it to be served.

    Attributes:
        number: 1 for the first one.
        why: what differed from the nearest earlier variant, in words.
        calls: how many calls it has served.
        capture_seconds, compile_seconds: what making it took.
        dynamic: sizes that vary, as (argument, dimension, variable).
        assumptions: what it takes for granted about those.
    """

    def __init__(
        self, number: int, why: str, given: Arguments, captured: Captured, dynamic: list[tuple[int, int, str]],
        backend: str, capture_seconds: float,
    ) -> None:  # fmt: skip
        self.number = number
        self.why = why
        self.calls = 0
        self.capture_seconds = capture_seconds
        self.dynamic = dynamic
        self.facts: tuple[Leaf, ...] = given.facts
        self._captured = captured
        self._guards = captured.guards
        self._objects = given.objects  # kept, for calls are told apart by what these are
        self._from_leaves = [i for i, slot in enumerate(captured.leaves) if slot is None and given.same[i] == i]
        self._known_leaves = [(i, slot) for i, slot in enumerate(captured.leaves) if slot is not None]
        self._walked = [i for i, wanted in enumerate(captured.with_grad) if wanted]
        self._left = [i for (kind, i), _ in captured.effects.gradients if kind == "leaf"]
        start = time.perf_counter()
        self._prepare(backend)
        self.compile_seconds = time.perf_counter() - start

    # ------------------------------------------------------------------------------------------------- compiling

    def _prepare(self, backend: str) -> None:
        captured, graph = self._captured, self._captured.graph
        self._cut: Cut | None = None
        self._backward: Any = None
        if captured.seeds:
            self._cut = cut(graph, captured.produced, len(captured.seeds))
            run_pipeline(self._cut.forward, "fuse")
            run_pipeline(self._cut.backward, "fuse")
            self._backward = get_backend(backend).compile(self._cut.backward)
        else:
            run_pipeline(graph, PIPELINE)
        self.graph: Graph = graph
        self._state = [(key, captured.state[key]) for key in graph.state]
        self._update_keys = frozenset(graph.updates)
        self._written = [captured.state[key] for key in self._update_keys]
        self._bind = SizeBinder(graph)
        self._run = get_backend(backend).compile(graph, in_place=self._update_keys)
        self._has_effects = bool(captured.effects)
        self._more_inputs = bool(captured.gradients or captured.numbers)

    @property
    def backward_graph(self) -> Graph | None:
        """The graph of the gradients, for a function whose results require one."""
        return None if self._cut is None else self._cut.backward

    @property
    def source(self) -> str:
        """The source that runs it, as far as its backend has one."""
        return str(getattr(getattr(self._run, "source", None), "text", ""))

    @property
    def assumptions(self) -> list[Any]:
        return list(self.graph.assumptions)

    # -------------------------------------------------------------------------------------------------- serving

    def tensors(self, given: Arguments) -> list[Any] | None:
        """The tensors that a call with these arguments reads; None where something is not as it was.

        The arguments' structure has been compared already.
        """
        if given.facts != self.facts and not (self.dynamic and self._fits(given)):
            return None
        slots = self._guards.check()
        if slots is None:
            return None
        for i in self._left:  # gradients are left on leaves alone
            if not given.leaves[i].is_leaf:
                return None
        for i, slot in self._known_leaves:
            if given.leaves[i] is not slots[slot]:
                return None
        return slots

    def _fits(self, given: Arguments) -> bool:
        """Whether arguments of other sizes fit the dynamic ones."""
        for a, b in zip(given.facts, self.facts, strict=True):
            if a.dtype != b.dtype or len(a.shape) != len(b.shape) or a[2:] != b[2:]:
                return False
        try:
            self._bind(self._inputs(given))
        except (IngotError, LookupError):  # a number that it reads may be gone
            return False
        return True

    def difference(self, given: Arguments) -> str | None:
        """Which watched fact does not hold, in words."""
        found = self._guards.failing()
        if found is not None:
            return found
        if self._guards.check() is not None and any(
            given.leaves[i] is not self._guards.check()[slot]  # type: ignore[index]
            for i, slot in self._known_leaves
        ):
            return "an argument was a tensor that the function knows anyway, and is another one now"
        return None

    def changing_numbers(self) -> frozenset[tuple[int, Any]]:
        """The places of numbers in optimizers' groups that hold other ones now."""
        groups = {id(group) for optimizer in self._captured.optimizers for group in optimizer.param_groups}
        return frozenset(
            (id(guard.place.owner), guard.place.key)
            for guard in self._guards.failing_guards()
            if guard.kind == "value" and isinstance(guard.expected, float) and id(guard.place.owner) in groups
        )

    @property
    def number_places(self) -> frozenset[tuple[int, Any]]:
        """The places of its run-time numbers."""
        return frozenset((id(place.owner), place.key) for place in self._captured.numbers)

    @property
    def numbers(self) -> list[Any]:
        """The places of numbers that are read at each call, not taken for constants."""
        return self._captured.numbers

    @property
    def optimizers(self) -> list[Any]:
        """The optimizers whose state it may read."""
        return self._captured.optimizers

    def _inputs(self, given: Arguments) -> list[Any]:
        leaves = given.leaves
        found = [x._array if isinstance(x, TensorBase) else x for x in [leaves[i] for i in self._from_leaves]]
        if self._more_inputs:
            found += [leaves[i]._grad._array for i in self._captured.gradients]
            found += [np.array(place.owner[place.key]) for place in self._captured.numbers]
        return found

    def __call__(self, given: Arguments, slots: list[Any]) -> Any:
        """Run it: results fresh, tensors that the function changes changed where they stand."""
        captured = self._captured
        inputs = self._inputs(given)
        sizes = self._bind(inputs) if self.dynamic else {}
        state = {key: slots[slot]._array for key, slot in self._state} if self._state else {}
        if self._written:
            _refuse_shared(state, self._update_keys, inputs)
        outputs, updates = self._run(inputs, state, sizes)
        for key, array in updates.items():
            np.copyto(state[key], array) if isinstance(array, np.ndarray) else state[key].__setitem__(..., array)
        for slot in self._written:
            storage_of(slots[slot]).version += 1
        produced = outputs if self._cut is None else outputs[: captured.produced]
        made = [wrap(x) if x.__class__ is np.ndarray or is_array(x) else x for x in produced]
        for i in captured.plain:
            made[i] = made[i].item()
        if self._cut is not None:
            self._record(given, slots, made, inputs, state, outputs[captured.produced :])
        elif self._walked and mode.grad:
            Walked([_LEAF], [made[i] for i in self._walked])
        if self._has_effects:
            captured.effects.apply(made, given.leaves, slots)
        self.calls += 1
        return captured.result(made, given.leaves, slots)

    def _record(
        self, given: Arguments, slots: list[Any], made: list[Any], inputs: list[Any], state: Mapping[str, Any],
        kept: Sequence[Any],
    ) -> None:  # fmt: skip
        """Put the call on the tape."""
        part = self._cut
        assert part is not None
        captured = self._captured
        sources = [given.leaves[i] if kind == "leaf" else slots[i] for kind, i in captured.wanted]
        outputs = [made[i] for i in captured.seeds]
        by_input = [given.leaves[i] for i in self._from_leaves]
        tensors = [x if isinstance(x, TensorBase) else wrap(x) for x in by_input]
        direct = [tensors[i] if i < len(tensors) else wrap(inputs[i]) for i in part.inputs]
        direct += [slots[captured.state[key]] for key in part.state]
        run, named = self._backward, bool(part.backward.sizes)

        def back(arrays: list[Any]) -> list[Any]:
            return list(run(arrays, {}, bind_sizes(part.backward, arrays) if named else {})[0])

        Through(sources, outputs, back, direct, kept, [(x._array.shape, x._array.dtype) for x in outputs])


def _leaf() -> Any:
    found = wrap(np.zeros(()))
    found.requires_grad_()
    return found


_LEAF = _leaf()


def _owner(array: Any) -> int:
    base = array.base
    while base is not None and getattr(base, "base", None) is not None:
        base = base.base
    return id(array if base is None else base)


def _refuse_shared(state: Mapping[str, Any], updates: frozenset[str], inputs: Sequence[Any]) -> None:
    """What is written in place must be memory that nothing else in the call reads.

    Raises:
        CaptureError: when it is shared.
    """
    memory = {id(x) if x.base is None else _owner(x) for x in [*state.values(), *inputs]}
    if len(memory) == len(state) + len(inputs):
        return
    owners: dict[int, list[str]] = {}
    for key in state:
        owners.setdefault(_owner(state[key]), []).append(key)
    suspects = [(keys[0], state[keys[0]], other, state[other]) for keys in owners.values() for other in keys[1:]]
    for i, x in enumerate(inputs):
        suspects += [(key, state[key], f"input {i}", x) for key in owners.get(_owner(x), ())]
    for key, a, other, b in suspects:
        if (key in updates or other in updates) and np.shares_memory(a, b):
            raise CaptureError(
                f"{other} shares memory with {key}, and the compiled function changes it",
                expected="memory that one tensor owns, and others view",
                advice="clone() one of them",
            )
