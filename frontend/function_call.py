"""The call of an `autograd.Function`: its run, and its node on the tape.

The class that users write is in `function`; what a capture makes of a call is in `capture.function_calls`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ir.errors import GradientError
from ..ir.gradient import sum_to
from ..ir.locations import here
from ..ir.types import TensorType
from .dispatch import EAGER
from .indexing import replay
from .mode import mode
from .storage import storage_of
from .tape import CustomNode, Leaf, SavedTensor, type_for_gradient
from .tensor_base import TensorBase, wrap

if TYPE_CHECKING:
    from .function import Function, FunctionCtx

__all__ = ["FunctionNode", "as_output", "fitted_gradient", "recorded_call", "run_forward", "user_backward"]


def run_forward(cls: type[Function], ctx: FunctionCtx, args: tuple[Any, ...], split: bool) -> Any:
    """The forward, without recording."""
    previous, mode.grad = mode.grad, False
    try:
        if not split:
            return cls.forward(ctx, *args)
        result = cls.forward(*args)
        cls.setup_context(ctx, args, result)
        return result
    finally:
        mode.grad = previous


def recorded_call(cls: type[Function], ctx: FunctionCtx, args: tuple[Any, ...], run: Callable[[], Any]) -> Any:
    """Run the forward and put its node on the tape; gives the forward's result with the outputs in their places."""
    tensors: list[Any] = [x for x in args if isinstance(x, TensorBase)]
    versions = [storage_of(x).version for x in tensors]
    result = run()
    _check_writes(cls, ctx, tensors, versions)
    given = result if isinstance(result, tuple) else (result,)
    _check_result(cls, given)
    outputs = [as_output(ctx, x, tensors) for x in given]
    node = FunctionNode(cls, ctx, args, given, outputs)
    for x in ctx._dirty:
        for alias in storage_of(x).aliases:
            again = replay(x, alias._chain)
            alias._node, alias._index = again._node, again._index
    ctx._node = weakref.ref(node)
    return tuple(outputs) if isinstance(result, tuple) else outputs[0]


def _check_writes(cls: type[Function], ctx: FunctionCtx, tensors: Sequence[Any], versions: Sequence[int]) -> None:
    for x, version in zip(tensors, versions, strict=True):
        dirty = any(x is d for d in ctx._dirty)
        if not dirty and storage_of(x).version != version and not any(_same_memory(x, d) for d in ctx._dirty):
            raise GradientError(
                f"{cls.__name__}.forward changes an argument in place",
                location=here(),
                advice="call ctx.mark_dirty(argument) in forward and return it, or work on a clone()",
            )
        if dirty and (isinstance(x._node, Leaf) or x._base is not None):
            what = "a leaf that requires a gradient" if isinstance(x._node, Leaf) else "a view of another tensor"
            raise GradientError(
                f"{cls.__name__}.forward changes {what} in place", location=here(), advice="pass it a clone()"
            )


def _same_memory(x: Any, other: Any) -> bool:
    return x._storage is not None and x._storage is other._storage


def _check_result(cls: type[Function], given: tuple[Any, ...]) -> None:
    for x in given:
        items = x.values() if isinstance(x, dict) else x if isinstance(x, (list, tuple)) else ()
        if any(isinstance(item, TensorBase) for item in items):
            raise GradientError(
                f"{cls.__name__}.forward returns tensors in a {type(x).__name__}, where no gradient reaches them",
                location=here(),
                advice="return them as a tuple",
            )


def as_output(ctx: FunctionCtx, x: Any, inputs: Sequence[Any]) -> Any:
    """A result as a tensor of its own, which may stand on the tape: a fresh object, and memory that no input has."""
    if not isinstance(x, TensorBase) or any(x is d for d in ctx._dirty):
        return x
    return _fresh(x, inputs)


def _fresh(x: Any, inputs: Sequence[Any]) -> Any:
    shares = x._base is not None or any(np.may_share_memory(x._array, i._array) for i in inputs)
    if shares:
        previous, mode.grad = mode.grad, False
        try:
            return EAGER.clone(x)
        finally:
            mode.grad = previous
    if mode.tracer is not None:
        mode.tracer.value_of(x)
    found = wrap(x._array)
    found._storage, found._trace = storage_of(x), x._trace
    return found


class FunctionNode(CustomNode):
    """The call of a `Function` on the tape."""

    def __init__(
        self, cls: type[Function], ctx: FunctionCtx, args: tuple[Any, ...], given: Sequence[Any], outputs: Sequence[Any]
    ) -> None:
        tensors = [x if isinstance(x, TensorBase) else None for x in outputs]
        constant = [any(x is c for c in ctx._constant) for x in given]
        self.cls, self.ctx = cls, ctx
        self.wanted = [i for i, x in enumerate(args) if isinstance(x, TensorBase) and x._node is not None]
        self.count = len(args)
        self.input_types = [type_for_gradient(args[i]) for i in self.wanted]
        super().__init__(args, tensors, [not c for c in constant])
        self.output_types = [None if x is None else type_for_gradient(x) for x in tensors]
        places = {id(x): i for i, x in enumerate(given)}
        kept = [x if id(x) not in places else outputs[places[id(x)]] for x in ctx._to_save]
        ctx._saved = [SavedTensor(x, of=self) for x in kept]
        ctx._to_save = ()

    def __repr__(self) -> str:
        return f"<{self.cls.__name__} backward>"

    def backward(self, slots: list[Any]) -> Sequence[Any]:
        found = self._found(slots)
        results = []
        for i, type_, (parent, _) in zip(self.wanted, self.input_types, self.parents, strict=True):
            value = None if found[i] is None else fitted_gradient(self.cls, i, found[i], type_)
            if value is not None and isinstance(parent, Leaf) and mode.tracer is None and not mode.grad:
                # Whoever else holds the memory that the user's function returned must not see what becomes of `.grad`:
                # of a view, the leaf makes a copy.
                value = wrap(value._array[...])
            results.append(value)
        return results

    def _found(self, slots: list[Any]) -> list[Any]:
        def walk() -> list[Any]:
            return user_backward(self.cls, self.ctx, slots, self.output_types, self.count)

        tracer = mode.tracer
        return walk() if tracer is None else tracer.user_gradients.walked(tracer, self.cls, self.ctx, slots, walk)

    def release(self) -> None:
        self.ctx._saved = None


def user_backward(
    cls: type[Function], ctx: FunctionCtx, slots: Sequence[Any], types: Sequence[TensorType | None], count: int
) -> list[Any]:
    """Call a function's `backward`; gives one gradient, or None, per argument of its `forward`."""
    given = list(slots)
    if ctx._materialize:
        like = next(g for g in slots if g is not None)
        given = [
            _zeros(type_, like) if g is None and type_ is not None else g for g, type_ in zip(slots, types, strict=True)
        ]
    result = cls.backward(ctx, *given)
    found = list(result) if isinstance(result, (tuple, list)) else [result]
    if len(found) < count or any(x is not None for x in found[count:]):
        raise GradientError(
            f"{cls.__name__}.backward returned another number of gradients than forward has arguments",
            expected=f"{count}, None for those without a gradient",
            found=str(len(found)),
            location=here(),
        )
    return found[:count]


def _zeros(type_: TensorType, like: Any) -> Any:
    """The gradient of an output that nothing flows back to, on the device of one that something does."""
    found = EAGER.full(type_.sizes, 0.0, type_.dtype)
    return found.to(like.device) if like.is_cuda else found


def fitted_gradient(cls: type[Function], i: int, value: Any, type_: TensorType) -> Any:
    """A gradient as its argument wants it: summed over broadcast dimensions, and cast.

    Raises:
        GradientError: when it is no tensor, or its sizes do not fit.
    """
    found = tuple(getattr(value, "shape", ())) if isinstance(value, TensorBase) else None
    if found is None or not _broadcasts(type_.sizes, found):
        raise GradientError(
            f"{cls.__name__}.backward returned a gradient that does not fit argument {i} of forward",
            expected=f"a tensor of sizes {list(type_.sizes)}, or one that broadcasting made of them",
            found=type(value).__name__ if found is None else f"sizes {list(found)}",
            location=here(),
        )
    return sum_to(EAGER, value, type_.sizes, type_.dtype)


def _broadcasts(sizes: Sequence[Any], to: Sequence[Any]) -> bool:
    """Whether broadcasting makes the second sizes of the first."""
    extra = len(to) - len(sizes)
    return extra >= 0 and all(a == 1 or b == a for a, b in zip(sizes, to[extra:], strict=True))
