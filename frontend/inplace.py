"""In-place operations: `add_`, `copy_`, `zero_`, `x[...] = y` and their kin.

The memory changes at once. When a gradient or a capture is at stake, the change is also expressed functionally:
the new value is computed by ordinary ops, a view's change is written back into its base by the view ops' inverses,
and every live alias is derived anew. So neither the tape nor a graph ever contains a mutation.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..ir import registry
from ..ir.arrays import quiet
from ..ir.errors import ArgumentError, DTypeError, GradientError, ShapeError
from ..ir.families import single_ufunc
from ..ir.locations import here
from .dispatch import EAGER, entry
from .indexing import replay, write_back
from .mode import mode
from .storage import storage_of
from .tape import Leaf, keep_old_value
from .tensor_base import TensorBase, wrap

if TYPE_CHECKING:
    from .tensor import Tensor

__all__ = ["METHODS", "assign", "method"]


def assign(target: Tensor, new: Tensor) -> Tensor:
    """Give `target` the value `new`, in place: memory, gradient and capture alike."""
    tracing = mode.tracer is not None
    recording = mode.grad and (target._node is not None or new._node is not None or _base_node(target))
    if not tracing and not recording:
        return _write(target, new._array)
    # For the tape, what is detached stands on its own; a capture follows the memory.
    alone = target._base is None or (target._detached and not tracing)
    base = target if alone else target._base
    if recording and isinstance(base._node, Leaf) and not target._detached:
        raise GradientError(
            "a leaf that requires a gradient is changed in place",
            location=here(),
            advice="do it under no_grad(), or on a clone()",
        )
    new = _fitted(target, new)
    if tracing:
        mode.tracer.before_write(base)
    whole = new if alone else write_back(base, target._chain, new)
    if tracing and mode.tracer.abstract:  # what is imagined must not be written
        storage_of(target).version += 1
    else:
        _write(target, new._array)
    _adopt(base, whole, recording and not target._detached, target._detached)
    if alone and target._base is not None:
        return target
    for alias in storage_of(base).aliases:
        if alias is not base:
            _adopt(alias, replay(base, alias._chain), recording and not alias._detached, target._detached)
    return target


def _base_node(target: Tensor) -> bool:
    return target._base is not None and not target._detached and target._base._node is not None


def _adopt(tensor: Any, value: Any, with_grad: bool, detached: bool) -> None:
    """Let a tensor stand for a value.

    Args:
        detached: whether it was changed through a view that is cut off from the gradient.
    """
    if with_grad:
        tensor._node, tensor._index = value._node, value._index
    if mode.tracer is not None:
        mode.tracer.value_of(value)  # the program may not have used it before
        recorded = with_grad or (mode.grad and not detached)
        trace = value._trace if recorded else mode.tracer.unrecorded.trace(tensor, value)
        # What is imagined was not written: Python must not take the elements that the memory has for a constant's.
        mode.tracer.adopt(tensor, (*trace[:2], False) if mode.tracer.abstract else trace)


def _fitted(target: Tensor, new: Tensor) -> Any:
    """`new` in the target's dtype and sizes."""
    if new._array.dtype != target._array.dtype:
        new = EAGER.cast(new, dtype=target.dtype)
    if new._array.shape != target._array.shape:
        new = EAGER.expand(new, tuple(target.shape))
    if new is target or (new._array is target._array):
        return new
    return new if new._base is None else EAGER.clone(new)


def _write(target: Tensor, array: Any) -> Tensor:
    out = target._array
    try:
        # The right-hand side may share memory with the target in another order; NumPy sees to that.
        np.copyto(out, array, casting="unsafe") if isinstance(out, np.ndarray) else out.__setitem__(..., array)
    except ValueError:
        if not out.flags.writeable:
            raise ShapeError(
                "an in-place change of an expanded view, whose elements share memory, or of read-only memory",
                location=here(),
                advice="clone() it first",
            ) from None
        raise ShapeError(
            "an in-place change needs other sizes",
            found=f"{list(array.shape)} into {list(out.shape)}",
            location=here(),
        ) from None
    storage_of(target).version += 1
    return target


def write_out(out: Any, result: Any, name: str) -> Any:
    """Let the tensor given as `out=` hold a result, in place. An empty one takes on the result's sizes.

    Raises:
        ArgumentError: for what is no tensor.
        ShapeError: for a tensor of other sizes.
        DTypeError: for a dtype that cannot hold the result.
        GradientError: while gradients are recorded: what `out=` held before would be lost to them.
    """
    if not isinstance(out, TensorBase):
        raise ArgumentError(f"{name}: out= is {out!r}", expected="a tensor", location=here())
    target: Any = out
    if target._node is not None or result._node is not None:
        raise GradientError(
            f"{name}: out= while a gradient is recorded",
            location=here(),
            advice="leave out= away, or compute under no_grad()",
        )
    _check_cast(target, result, name)
    if tuple(target.shape) != tuple(result.shape):
        if target._array.size or target._base is not None:
            raise ShapeError(
                f"{name}: out= has other sizes than the result",
                expected=str(list(result.shape)),
                found=str(list(target.shape)),
                location=here(),
            )
        rebind(target, EAGER.cast(result, dtype=target.dtype) if result.dtype is not target.dtype else result)
        return target
    return assign(target, result)


def rebind(target: Tensor, value: Tensor) -> None:
    """Let `target` have the memory of `value` from here on; views made before stay with the memory it had."""
    tracer = mode.tracer
    if tracer is not None:
        tracer.regions.sharing.refuse_other_memory(target)
        tracer.before_write(target)
        tracer.value_of(value)
        tracer.regions.before_rebind(target, value)
    if target._storage is not None:
        _leave_views_behind(target)
    if tracer is not None:
        tracer.adopt(target, tracer.unrecorded.trace(target, value))
    target._array = value._array
    target._base, target._chain = None, ()
    target._storage = storage_of(value)
    if tracer is not None and not tracer.is_external(target):  # a change of one is a change of the other
        target._base = value if value._base is None else value._base
        target._chain = value._chain
        target._storage.add_view(target)


def _leave_views_behind(target: Tensor) -> None:
    """Give the views of a tensor another base, which has the tensor's memory."""
    left = wrap(target._array)
    left._storage, left._node, left._index, left._trace = target._storage, target._node, target._index, target._trace
    for view in storage_of(target).aliases:
        if view._base is target:
            view._base = left


def method(name: str) -> Callable[..., Any] | None:
    """The in-place form of an op: `add_` computes `add` and assigns."""
    op = registry.find(f"ingot::{name[:-1]}")
    if (
        op is None
        or len(op.schema.outputs) != 1
        or op.view
        or not op.schema.inputs
        or op.schema.inputs[0].kind != "Tensor"
    ):
        return None
    compute = entry(op)
    ufunc = single_ufunc(op)

    def changed(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        quick = ufunc is not None and not kwargs and mode.tracer is None and _plain(self, args)
        if quick and _in_place(ufunc, self, args):
            return self
        new = compute(self, *args, **kwargs)
        _check_cast(self, new, name)
        keep_old_value(new._node, self)
        return assign(self, new)

    changed.__name__ = name
    changed.__doc__ = f"In-place form of `{name[:-1]}`."
    return changed


def _plain(target: Tensor, args: tuple[Any, ...]) -> bool:
    """Whether no gradient is at stake."""
    if not mode.grad:
        return True
    if target._node is not None or _base_node(target):
        return False
    return not any(isinstance(a, TensorBase) and a._node is not None for a in args)


@quiet
def _in_place(ufunc: Any, target: Tensor, args: tuple[Any, ...]) -> bool:
    """The ufunc straight into the target's memory; False where dtypes call for the general way."""
    out = target._array
    operands = []
    for a in args:
        if isinstance(a, TensorBase) and a._array.dtype == out.dtype:
            operands.append(a._array)
        elif isinstance(a, (int, float)) and not isinstance(a, bool) and out.dtype.kind == "f":
            operands.append(a)
        else:
            return False
    if not isinstance(out, np.ndarray) or not out.flags.writeable:
        return False
    try:
        ufunc(out, *operands, out=out)
    except (ValueError, TypeError):
        return False  # the general way names what is wrong
    storage_of(target).version += 1
    return True


def _check_cast(target: Tensor, new: Tensor, name: str) -> None:
    if new.dtype.rank > target.dtype.rank:
        raise DTypeError(
            f"{name}: the result is {new.dtype.name} and cannot be kept in a tensor of dtype {target.dtype.name}",
            location=here(),
        )


def copy_(self: Tensor, src: Any) -> Tensor:
    """Take over the elements of `src`, cast to this dtype and stretched to these sizes."""
    from .creation import as_tensor_like

    return assign(self, as_tensor_like(src, self))


def fill_(self: Tensor, value: Any) -> Tensor:
    """Set every element to `value`."""
    return copy_(self, value)


def zero_(self: Tensor) -> Tensor:
    """Set every element to 0."""
    return copy_(self, 0)


def add_(self: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """self += alpha * other."""
    return _form("add_")(self, other if alpha == 1 else EAGER.mul(other, alpha))


def sub_(self: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """self -= alpha * other."""
    return _form("sub_")(self, other if alpha == 1 else EAGER.mul(other, alpha))


@cache
def _form(name: str) -> Callable[..., Any]:
    found = method(name)
    assert found is not None
    return found


def addcmul_(self: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1.0) -> Tensor:
    """self += value * tensor1 * tensor2."""
    return add_(self, EAGER.mul(EAGER.mul(tensor1, tensor2), value))


def addcdiv_(self: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1.0) -> Tensor:
    """self += value * tensor1 / tensor2."""
    return add_(self, EAGER.mul(EAGER.div(tensor1, tensor2), value))


def lerp_(self: Tensor, end: Tensor, weight: Any) -> Tensor:
    """self += weight * (end - self)."""
    return add_(self, EAGER.mul(EAGER.sub(end, self), weight))


def scatter_(self: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None) -> Tensor:
    """Put the elements of `src`, or one number, at `index` along a dimension."""
    from .derived import scatter

    return assign(self, scatter(self, dim, index, src, value=value))


METHODS: Final[dict[str, Callable[..., Any]]] = {
    f.__name__: f for f in (add_, sub_, copy_, fill_, zero_, addcmul_, addcdiv_, lerp_, scatter_)
}
