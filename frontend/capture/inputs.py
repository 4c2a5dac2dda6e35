"""A program's inputs while it is captured: made from the example, given to the function, looked at afterwards.

What the function did to them in place is refused, left to the program's copies, or written back by each call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from ...ir.arrays import is_array
from ...ir.errors import ArgumentError, CaptureError, IngotError
from ...ir.locations import Location, here
from ...ir.trees import Tree, Types, flatten, leaf_names, leaf_trees, unflatten
from ..random import Generator
from ..tensor_base import TensorBase
from .containers import Containers
from .dims import DynamicSizes
from .parameters import ExampleCall, Runtime
from .shapes import shapes_of_leaves
from .structured import refuse_undefined
from .tracer import Tracer

__all__ = ["CaptureInputs", "InputRun", "Mutates", "result_leaf"]

Mutates = Literal["refuse", "write_back", "copy"]


class CaptureInputs:
    """The inputs of one capture.

    Args:
        call: the example call.
        dynamic_shapes: as `trace` takes it.
        types: where the classes of records in the arguments are noted.

    Attributes:
        trees: each parameter's tree.
        names: the name of each leaf.
        examples: a copy of each leaf's array, or the number.
        sizes: the dynamic sizes.
    """

    def __init__(self, call: ExampleCall, dynamic_shapes: Any, types: Types) -> None:
        self.call = call
        self.trees: dict[str, Tree] = {}
        self.types = types
        self._given: list[Any] = []
        self.names: list[str] = []
        for (name, value), kind in zip(call.values.items(), call.kinds, strict=True):
            self._flatten(name, value, kind)
        self.examples = [x.value if isinstance(x, Runtime) else np.array(_array(x)) for x in self._given]
        shapes = shapes_of_leaves(dynamic_shapes, call, self.trees)
        places = [(name, np.shape(x), s) for name, x, s in zip(self.names, self.examples, shapes, strict=True)]
        self.sizes = DynamicSizes(places)

    def _flatten(self, name: str, value: Any, kind: str) -> None:
        try:
            leaves, tree = flatten(value, _leaf, self.types)
        except IngotError as error:
            raise ArgumentError(
                f"trace: argument '{name}': {error.what}",
                expected=error.expected,
                found=error.found,
                location=error.location or here(),
                advice=error.advice,
            ) from None
        self.trees[name] = tree
        self._given += leaves
        if kind == "**":
            pairs = zip(tree["keys"], tree["items"], strict=True)
            self.names += [leaf for key, item in pairs for leaf in leaf_names(key, item)]
        else:
            self.names += leaf_names(name, tree)

    def enter(self, tracer: Tracer) -> list[Any]:
        """Make the graph's inputs; gives what stands for them in the function."""
        tracer.set_hints(self.sizes.hints)
        found = []
        for name, given, example, sizes in zip(self.names, self._given, self.examples, self.sizes.sizes, strict=True):
            if isinstance(given, Runtime):
                found.append(tracer.add_scalar(name, example, given.min, given.max))
                continue
            made = tracer.add_input(name, np.asarray(example), sizes)
            if isinstance(given, TensorBase) and given._node is not None:
                made.requires_grad_()
            found.append(made)
        return found

    def values(self, leaves: Sequence[Any], make: Callable[[Any, Tree], Any] | None = None) -> dict[str, Any]:
        """The arguments by parameter over other leaves, which require a gradient where the example's do."""
        for i in self.with_gradient:
            if leaves[i]._node is None:
                leaves[i].requires_grad_()
        rest = iter(leaves)
        found = {}
        for name, tree in self.trees.items():
            own = [next(rest) for _ in leaf_trees(tree)]
            found[name] = unflatten(tree, own, self.types, make)
        return found

    @property
    def with_gradient(self) -> tuple[int, ...]:
        """The leaves that require a gradient in the example, by number."""
        return tuple(i for i, x in enumerate(self._given) if isinstance(x, TensorBase) and x._node is not None)

    def memory(self, number: int) -> Any:
        """The caller's own array for a leaf, or None for a number."""
        given = self._given[number]
        return None if isinstance(given, Runtime) else _array(given)


class InputRun:
    """One run of the function on leaves of its own.

    Args:
        inputs: the program's inputs.
        leaves: what stands for each of them in this run.
    """

    def __init__(self, inputs: CaptureInputs, leaves: Sequence[Any]) -> None:
        self.inputs = inputs
        self.names = inputs.names
        self.made = list(leaves)
        self._memory = [getattr(x, "_array", None) for x in self.made]
        self._containers = Containers()
        self._values: dict[str, Any] = {}

    def call(self, func: Callable[..., Any]) -> Any:
        """Call the function."""
        self._values = self.inputs.values(self.made, self._containers.make)
        found = self.inputs.call.call(func, self._values)
        self._containers.note_order()
        return found

    def written(self, tracer: Tracer) -> dict[int, Location | None]:
        """The inputs that the run has changed in place, by number, with the lines.

        Raises:
            CaptureError: when one shares its memory with another input or with state, or is of another type now; or
                when the run has left a gradient on an input.
        """
        lines = tracer.input_writes
        found = {i: lines[id(memory)] for i, memory in enumerate(self._memory) if id(memory) in lines}
        for i, location in found.items():
            self._refuse_shared(i, location, tracer)
            before, now = tracer.graph.inputs[i].type, tracer.value_of(self.made[i]).type
            if before != now:
                raise CaptureError(
                    f"the program makes a tensor of another type of its input '{self.names[i]}'",
                    expected=str(before),
                    found=str(now),
                    location=location,
                    context=tracer.context,
                    advice="return the new tensor",
                )
        self._refuse_changed_state(tracer)
        self._refuse_gradients(tracer)
        return found

    def _refuse_shared(self, written: int, location: Location | None, tracer: Tracer) -> None:
        """Copies do not share memory as the example's arrays do."""
        mine = self.inputs.memory(written)
        others = [(f"input '{name}'", self.inputs.memory(i)) for i, name in enumerate(self.names) if i != written]
        others += [(f"state '{key}'", tensor._array) for key, tensor, _ in tracer._externals.values()]
        for what, other in others:
            if _share(mine, other):
                raise CaptureError(
                    f"the program changes its input '{self.names[written]}' in place, which shares memory with {what}",
                    expected="arguments in memory of their own",
                    location=location,
                    context=tracer.context,
                    advice="clone() one of them",
                )

    def _refuse_changed_state(self, tracer: Tracer) -> None:
        for base, location in tracer._written:
            for i, name in enumerate(self.names):
                if _share(self.inputs.memory(i), base._array):
                    raise CaptureError(
                        f"the program changes state in place that is its input '{name}' as well",
                        expected="arguments that are not state of the program",
                        found=f"{tracer.key_of(base)}",
                        location=location,
                        context=tracer.context,
                        advice="clone() the argument, or leave it out: the program has its state anyway",
                    )

    def _refuse_gradients(self, tracer: Tracer) -> None:
        for name, made in zip(self.names, self.made, strict=True):
            if isinstance(made, TensorBase) and made._grad is not None:
                raise CaptureError(
                    f"the program leaves a gradient on its input '{name}'",
                    expected="gradients as results, or on parameters",
                    location=tracer.gradients.line_of(made),
                    context=tracer.context,
                    advice="return ingot.autograd.grad(loss, [input]) instead of calling loss.backward()",
                )

    def changed_containers(self, tracer: Tracer, mutates: Mutates) -> tuple[dict[str, Tree], list[Any]]:
        """What becomes of the arguments whose lists, dicts and records the run has changed, with the new leaves.

        Raises:
            CaptureError: when that is to be refused, or cannot be written back.
        """
        changed = list(self._containers.changed())
        if not changed or mutates == "copy":
            return {}, []
        ids = {id(container) for container in changed}
        names = [name for name, value in self._values.items() if _holds(value, ids)]
        if mutates == "refuse":
            location = next((c.changed_at for c in changed if getattr(c, "changed_at", None)), None)
            raise CaptureError(
                f"the program changes its argument '{names[0] if names else self.names[0]}', a "
                f"{_word(changed[0])}, in place",
                expected="a program that leaves its arguments as they are",
                location=location,
                context=tracer.context,
                advice='copy it first, or return the new one; or trace with mutates="write_back", which changes the '
                'caller\'s as well, or mutates="copy", which changes a copy',
            )
        places = {id(x): i for i, x in enumerate(self.made)}
        trees, leaves = {}, []
        for name in names:
            found, trees[name] = flatten(self._values[name], _leaf_after(places), self.inputs.types)
            leaves += [x for x in found if id(x) not in places]
        return trees, leaves


def result_leaf(value: Any) -> bool | Tree:
    """Whether a value is a leaf of a result: a tensor, or a run-time number."""
    if isinstance(value, TensorBase):
        return True
    refuse_undefined(value)
    kind = _NUMBERS.get(type(value).__name__)
    return False if kind is None else {"kind": "number", "type": kind}


_NUMBERS = {"SymInt": "int", "LateInt": "int", "SymFloat": "float", "SymBool": "bool"}


def _refuse_generator(value: Any) -> None:
    """A source of random numbers is state: what a call gave to it would not be moved on.

    Raises:
        ArgumentError: when the value is one.
    """
    if isinstance(value, Generator):
        raise ArgumentError(
            "a Generator cannot be an argument of a program",
            expected="a generator that the function reaches: a global or closure variable, an attribute of its module",
            location=here(),
            advice="bind it before the capture, functools.partial(f, generator=g): it is state of the program then; "
            "program(x, generator=g) draws from another one for a call",
        )


def _leaf(value: Any) -> bool | Tree:
    _refuse_generator(value)
    if isinstance(value, Runtime):
        return {"kind": "number", "type": value.kind}
    return isinstance(value, TensorBase) or is_array(value)


def _leaf_after(places: Mapping[int, int]) -> Callable[[Any], bool | Tree]:
    def leaf(value: Any) -> bool | Tree:
        if id(value) in places:
            return {"kind": "input", "index": places[id(value)]}
        return result_leaf(value)

    return leaf


def _array(leaf: Any) -> Any:
    return leaf._array if isinstance(leaf, TensorBase) else leaf


def _share(a: Any, b: Any) -> bool:
    return isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.size > 0 and np.may_share_memory(a, b)


def _holds(value: Any, ids: set[int]) -> bool:
    if id(value) in ids:
        return True
    if isinstance(value, dict):
        return any(_holds(item, ids) for item in dict.values(value))
    if isinstance(value, (list, tuple)):
        return any(_holds(item, ids) for item in value)
    fields = getattr(type(value), "__dataclass_fields__", {})
    return any(_holds(getattr(value, name), ids) for name in fields)


def _word(container: Any) -> str:
    return (
        "list" if isinstance(container, list) else "dict" if isinstance(container, dict) else type(container).__name__
    )
