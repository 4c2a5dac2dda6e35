"""One capture of a function on live tensors: the run, what it did to the world, and the graph of it.

What lives here: `capture`, which runs the function once under a tracer that reads every tensor where it stands, and
`Captured`, what a variant is made from. Nothing that the run changed is left behind. How a variant runs is
`compile_variant`'s subject.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..ir.builder import Builder
from ..ir.errors import CaptureError, IngotError
from ..ir.gc_pause import paused_gc
from ..ir.graph import Graph
from ..ir.insertion import InsertionPoint
from ..ir.locations import Location
from ..ir.sizes import Size
from ..ir.verifier import verify
from .capture.entry import definition
from .capture.gradient_cells import Perhaps
from .capture.structured import refuse_undefined
from .capture.symbols import Symbol
from .capture.symint import SymInt
from .compile_arguments import Arguments, entries_of, is_changed, names_of, rebuilt
from .compile_backward import gradients_of_run
from .compile_changes import add_changes
from .compile_effects import Effects, Recipe, recipe_of
from .compile_guards import Guards, same_array
from .compile_reach import Entry, Reach, read
from .compile_tracer import LiveTracer
from .mode import mode
from .module import Module
from .script.callees import scripted
from .tape import Leaf
from .tensor_base import TensorBase, wrap

__all__ = ["Captured", "Numbers", "capture"]

# Captures of several threads take turns, for they may meet in one module.
_TURN = threading.RLock()

Numbers = frozenset[tuple[int, Any]]  # places, by (id of the owner, key), whose floats are run-time inputs


@dataclass(slots=True)
class Captured:
    """A function as it was captured.

    Attributes:
        graph: of the whole run; its inputs are the tensor arguments that it does not know already, the gradients that
            arguments had, the run-time numbers, and the gradients of the results.
        guards: what must hold for it to be served.
        leaves: for each tensor argument, the slot of the tensor that it must be, or None for a graph input.
        numbers: the places of run-time numbers.
        state: for each state of the graph, by key, the slot of its tensor.
        result: how the function's result is put together.
        effects: what else the run changed.
        produced: how many results the graph has for those two.
        with_grad: which of them require a gradient.
        plain: which of them become Python numbers.
        optimizers: whose state it may need to have made.
        seeds: which of the results gradients can flow back from.
        wanted: what they flow to: ("leaf", position) or ("slot", slot).
    """

    graph: Graph
    guards: Guards
    leaves: list[int | None]
    gradients: list[int]
    numbers: list[Entry]
    state: dict[str, int]
    result: Recipe
    effects: Effects
    produced: int
    with_grad: list[bool]
    plain: list[int]
    optimizers: list[Any]
    seeds: list[int] = field(default_factory=list)
    wanted: list[tuple[str, int]] = field(default_factory=list)


def capture(
    func: Callable[..., Any],
    given: Arguments,
    sizes: Sequence[Sequence[Size]],
    hints: dict[str, int],
    numbers: Numbers,
    script: bool = False,
) -> Captured:
    """Run a function once and capture what it does.

    Args:
        sizes: of each tensor argument, symbolic where they are to be dynamic.
        hints: the values of the sizes' variables.
        numbers: places in optimizers' groups whose floats become inputs.
        script: capture the control flow that the data decide.

    Raises:
        CaptureError: for what a graph cannot hold.
    """
    paths, objects = names_of(func, given)
    reach = Reach(func, list(zip(objects, given.objects, strict=True)))
    made = _materialise(reach)
    if made:
        reach = Reach(func, list(zip(objects, given.objects, strict=True)))
    try:
        with _TURN:
            return _Capture(func, given, sizes, hints, numbers, reach, paths, script).run(made)
    except BaseException:
        for entries, key, _ in made:
            entries.pop(key, None)
        raise


def materialise(optimizers: Sequence[Any]) -> list[tuple[dict[str, Any], str, Any]]:
    """Make what an optimizer's first step would make; returns the entries that are new."""
    made = []
    for optimizer in optimizers:
        before = {id(p): set(entries) for p, entries in optimizer.state.items()}
        for _ in optimizer.named_state({}):
            pass
        for parameter, entries in optimizer.state.items():
            made += [(entries, key, entries[key]) for key in entries if key not in before.get(id(parameter), ())]
    return made


def _materialise(reach: Reach) -> list[tuple[dict[str, Any], str, Any]]:
    return materialise([optimizer for _, optimizer in reach.optimizers])


class _Capture:
    """The steps of one capture."""

    def __init__(
        self,
        func: Callable[..., Any],
        given: Arguments,
        sizes: Sequence[Sequence[Size]],
        hints: dict[str, int],
        numbers: Numbers,
        reach: Reach,
        paths: list[str],
        script: bool,
    ) -> None:
        self.script = script
        self.func, self.given, self.sizes, self.numbers = func, given, sizes, numbers
        self.reach, self.paths = reach, paths
        labels: dict[int, str] = {}
        for place in reach.places:
            if isinstance(place.value, TensorBase):
                labels.setdefault(id(place.value), place.path or "tensor")
                base = place.value._base
                if base is not None:
                    labels.setdefault(id(base), f"{place.path}.base")
        name = getattr(func, "__name__", type(func).__name__)
        self.tracer = LiveTracer(name if name.isidentifier() else "compiled", labels)
        self.tracer.name_modules(_module_paths(reach))
        self.tracer.set_hints(hints)
        self.guards = Guards()
        self.number_places: list[Entry] = []
        self.stand_ins: dict[int, Any] = {}  # by id of the caller's tensor, what the function is given
        self.leaf_of: dict[int, int] = {}  # by id of what the function is given, which argument it is
        self.leaves: list[int | None] = []
        self.gradient_inputs: list[int] = []

    def run(self, made: Sequence[tuple[dict[str, Any], str, Any]]) -> Captured:
        tracer = self.tracer
        self._watch()
        self._inputs()
        drawn = self.reach.drawn()
        mode.tracer = tracer
        try:
            with paused_gc():
                self._substitute_numbers()
                result = self._call()
                tracer.refuse_caught()
                self._refuse_random(drawn)
                found = self._finish(result)
                del result
        finally:
            mode.tracer = None
            tracer.restore()
            self.reach.restore()
            used = {id(tensor) for tensor, _ in tracer.state.values()}
            self.guards.forget([tensor for _, _, tensor in made if id(tensor) not in used])
            for entries, key, _ in made:  # the call makes those again that it needs
                entries.pop(key, None)
        self._settle_unknown(found)
        verify(found.graph)
        self.guards.compile()
        return found

    # ------------------------------------------------------------------------------------------- before the run

    def _watch(self) -> None:
        for place in self.reach.places:
            self.guards.watch(place, self.numbers)
        for path, owner, count, ordered in self.reach.sizes:
            self.guards.size(path, owner, count, ordered)
        for path, table, key in self.reach.missing:
            self.guards.absent(path, table, key)

    def _inputs(self) -> None:
        """What stands for the tensor arguments: themselves where the function knows them anyway, else inputs."""
        for i, leaf in enumerate(self.given.leaves):
            slot = self.guards.slot_of(leaf)
            if slot is not None or id(leaf) in self.stand_ins:
                self.leaves.append(slot)
                self.stand_ins.setdefault(id(leaf), leaf)
                self.leaf_of.setdefault(id(leaf), i)
                continue
            array = leaf._array if isinstance(leaf, TensorBase) else leaf
            stand_in = self.tracer.add_input(_identifier(self.paths[i]), array, self.sizes[i])
            self.leaves.append(None)
            self.stand_ins[id(leaf)] = stand_in
            self.leaf_of[id(stand_in)] = i
            if self.given.facts[i].with_grad:
                stand_in._node = Leaf(stand_in)
        for i, leaf in enumerate(self.given.leaves):
            stand_in = self.stand_ins[id(leaf)]
            if self.given.facts[i].has_gradient and stand_in is not leaf and stand_in._grad is None:
                name = f"{_identifier(self.paths[i])}_grad"
                stand_in._grad = self.tracer.add_input(name, leaf._grad._array, self.sizes[i])
                self.gradient_inputs.append(i)

    def _substitute_numbers(self) -> None:
        for place in self.reach.places:
            if (id(place.owner), place.key) in self.numbers and type(place.value) is float:
                number = self.tracer.add_input(_identifier(place.path), np.array(place.value), ())
                self.number_places.append(place)
                place.owner[place.key] = number

    def _call(self) -> Any:
        containers: list[Any] = []
        args = rebuilt(tuple(self.given.args), lambda leaf: self.stand_ins[id(leaf)], containers.append)
        kwargs = rebuilt(dict(self.given.kwargs), lambda leaf: self.stand_ins[id(leaf)], containers.append)
        before = [entries_of(container) for container in containers]
        arrays = [(place, place.value.copy()) for place in self.reach.places if isinstance(place.value, np.ndarray)]
        try:
            result = (scripted(self.func) if self.script else self.func)(*args, **kwargs)
        finally:
            changed_arrays = _put_back(arrays)
        changed = [x for x, entries in zip(containers, before, strict=True) if is_changed(x, entries)]
        if changed or changed_arrays:
            what = changed_arrays or [f"a {type(changed[0]).__name__} among its arguments"]
            raise CaptureError(
                f"the function changes {what[0]} in place, which compiled calls would not do",
                location=definition(self.func),
                context=self.tracer.context,
                advice="return what is new, or keep it in a tensor",
            )
        return result

    def _refuse_random(self, before: Any) -> None:
        if self.reach.drawn() != before:
            raise CaptureError(
                "the function draws from Python's or NumPy's random state, which compiled calls would not do",
                context=self.tracer.context,
                advice="draw with ingot.rand(...) and its kin, or pass the numbers as arguments",
            )

    # -------------------------------------------------------------------------------------------- after the run

    def _finish(self, result: Any) -> Captured:
        tracer = self.tracer
        self._check_numbers()
        self._check_tape()
        produced: list[Any] = []
        known = {id(place.value) for place in self.reach.places}

        def place_of(x: Any) -> tuple[str, int]:
            """Where a tensor of the run comes from when a variant is called."""
            if id(x) in self.leaf_of:
                return "leaf", self.leaf_of[id(x)]
            slot = self.guards.slot_of(x)
            if slot is not None:
                return "slot", slot
            for i, y in enumerate(produced):
                if x is y:
                    return "made", i
            produced.append(x)
            return "made", len(produced) - 1

        try:
            answer = recipe_of(result, _is_leaf, place_of, lambda x: id(x) in known)
        except CaptureError:
            raise
        except IngotError as error:
            raise CaptureError(f"the function's result: {error.what}", context=tracer.context) from None
        effects = Effects()
        for tensor, gradient in tracer.live.left():
            if id(tensor) in self.leaf_of or self.guards.slot_of(tensor) is not None:
                where = place_of(tensor)
                parts = (gradient.flag, gradient.value) if isinstance(gradient, Perhaps) else (True, gradient)
                recipe = recipe_of(parts, _is_leaf, place_of, lambda x: False)
                effects.gradients.append((where, _perhaps(recipe)))
        add_changes(
            self.reach, self.guards, effects, lambda x: recipe_of(x, _is_leaf, place_of, lambda y: id(y) in known),
            tracer.context,
        )  # fmt: skip
        plain = [i for i, x in enumerate(produced) if isinstance(x, Symbol)]
        with_grad = [isinstance(x, TensorBase) and x._node is not None for x in produced]
        seeds, outputs, wanted = gradients_of_run(tracer, produced, self._origin)
        tracer.close([*produced, *outputs])
        self._guard_gradients()
        tracer.unknown = [(key, x) for key, x in tracer.unknown if self.guards.slot_of(x) is None]
        for tensor, _ in tracer.state.values():
            self._slot(tensor)
        effects.written = [self._slot(tracer.state[key][0]) for key in tracer.graph.updates]
        return Captured(
            tracer.graph, self.guards, self.leaves, self.gradient_inputs, self.number_places,
            {key: self._slot(tensor) for key, (tensor, _) in tracer.state.items()},
            answer, effects, len(produced), with_grad, plain, [x for _, x in self.reach.optimizers], seeds, wanted,
        )  # fmt: skip

    def _origin(self, tensor: Any) -> tuple[str, int] | None:
        """Where a call finds a tensor that the run was given or has found; None for one that it has made."""
        if id(tensor) in self.leaf_of:
            return "leaf", self.leaf_of[id(tensor)]
        return ("slot", self._slot(tensor)) if id(tensor) in self.tracer._externals else None

    def _slot(self, tensor: Any) -> int:
        slot = self.guards.slot_of(tensor)
        return self.guards.keep(self.tracer.label(tensor), tensor) if slot is None else slot

    def _check_numbers(self) -> None:
        """A run-time number that the run has replaced would have to be computed by the graph."""
        for place in self.number_places:
            now = read(place)
            if not isinstance(now, TensorBase) or now._trace is None or now._trace[1] not in self.tracer.graph.inputs:
                raise CaptureError(f"the function changes {place.path}", context=self.tracer.context)
            place.owner[place.key] = place.value

    def _check_tape(self) -> None:
        """What was computed outside of the function must not be walked back into."""
        for i, leaf in enumerate(self.given.leaves):
            stand_in = self.stand_ins[id(leaf)]
            if stand_in is not leaf and stand_in._grad is not None and not isinstance(leaf._node, Leaf):
                raise CaptureError(
                    f"backward() within the function reaches '{self.paths[i]}', which was computed outside of it",
                    context=self.tracer.context,
                    advice="detach() the argument, or call backward() outside",
                )
        for tensor, node in self.tracer.nodes.values():
            if mode.grad and node is not None and not isinstance(node, Leaf):
                raise CaptureError(
                    f"the function reads {self.tracer.label(tensor)}, which was computed outside of it and requires a "
                    "gradient",
                    location=self._first_read(tensor),
                    context=self.tracer.context,
                    advice="pass it as an argument, detach() what stays for the next call, or call it under no_grad()",
                )

    def _first_read(self, tensor: Any) -> Location | None:
        """The line that first reads a tensor from outside."""
        value = self.tracer._externals[id(tensor)][2]
        return next((use.node.location for use in value.uses if use.node.location is not None), None)

    def _guard_gradients(self) -> None:
        for tensor, gradient in self.tracer.live.depends.values():
            if id(tensor) in self.tracer._externals or self.guards.slot_of(tensor) is not None:
                self.guards.gradient(self.tracer.label(tensor), self._slot(tensor), gradient)
        for tensor in self.tracer.live.touched():
            if id(tensor) not in self.leaf_of and isinstance(tensor._node, Leaf):
                self._guard_hooks(f"the hooks of {self.tracer.label(tensor)}", tensor._node.hooks)

    def _guard_hooks(self, path: str, hooks: dict[int, Any]) -> None:
        """Hooks on a gradient, which run where it arrives."""
        self.guards.size(path, hooks, len(hooks), False)
        for entries in hooks.values():
            self.guards.size(path, entries, len(entries), True)
            for number, entry in entries.items():
                self.guards.watch(Entry(path, entries, number, entry))

    # ------------------------------------------------------------------------------- tensors of no known place

    def _settle_unknown(self, found: Captured) -> None:
        """Tensors that the run made of numbers are constants; those that somebody else holds are read where they
        are."""
        tracer, graph = self.tracer, found.graph
        unknown, tracer.unknown = tracer.unknown, []
        before = {key: tracer._snapshots[id(x)][2] for key, x in unknown if id(x) in tracer._snapshots}
        watched = [(key, weakref.ref(tensor), tensor._array) for key, tensor in unknown]
        # Let go of everything that the capture itself holds; what is still there then belongs to others.
        unknown.clear()
        self.guards.release([found.state[key] for key, _, _ in watched])
        tracer.release()
        for key, ref, array in watched:
            tensor = ref()
            # Three hold the array here: `watched`, `array`, and the call that counts.
            if tensor is not None or array.base is not None or sys.getrefcount(array) > 3:
                self.guards.hold(found.state[key], wrap(array) if tensor is None else tensor)
                continue
            self.guards.drop(found.state[key])
            value = graph.state[key]
            elements = before.get(key, array)
            if value.use_count:
                frozen = np.array(elements)
                frozen.setflags(write=False)
                builder = Builder(graph, at=InsertionPoint.start(graph.block))
                value.replace_uses(builder.constant(frozen))
            updates = {k: v for k, v in graph.updates.items() if k != key}
            graph.set_return(graph.outputs, updates)
            graph.remove_state(key)
            found.effects.written = [s for s in found.effects.written if s != found.state[key]]
            del found.state[key]


def _perhaps(parts: Recipe) -> Recipe:
    """The gradient of (whether it is there, what it is)."""

    def gradient(made: Sequence[Any], leaves: Sequence[Any], slots: Sequence[Any]) -> Any:
        found = parts(made, leaves, slots)
        return found[1] if found[0] else None

    return gradient


def _is_leaf(value: Any) -> bool:
    """Whether a part of a result is a tensor or a run-time number."""
    refuse_undefined(value)
    return isinstance(value, (TensorBase, SymInt, Symbol))


def _put_back(arrays: Sequence[tuple[Entry, np.ndarray]]) -> list[str]:
    """Give NumPy arrays their elements back; the paths of those that had others."""
    changed = [(place, before) for place, before in arrays if not same_array(place.value, before)]
    for place, before in changed:
        place.value[...] = before
    return [f"the NumPy array {place.path}" for place, _ in changed]


def _module_paths(reach: Reach) -> dict[int, str]:
    return {id(place.value): place.path for place in reach.places if isinstance(place.value, Module)}


def _identifier(path: str) -> str:
    text = "".join(c if c.isalnum() else "_" for c in path).strip("_")
    return text if text[:1].isalpha() else f"x_{text}"
