"""Control flow as functions: `cond`, `while_loop` and `scan`.

Eagerly they run as the Python they stand for. While a program is captured they become `prim::If` and `prim::Loop`, as
what `jit.script` rewrites does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..ir.errors import ArgumentError
from ..ir.locations import here
from .dispatch import EAGER
from .mode import mode
from .tensor_base import TensorBase

__all__ = ["cond", "scan", "while_loop"]


def cond(pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: Sequence[Any] = ()) -> Any:
    """`true_fn(*operands)` where `pred` holds, else `false_fn(*operands)`.

    In a captured program both are captured, and the run decides; what they return must agree in structure, dtypes and
    sizes.

    Args:
        pred: a bool, or a tensor with one element.
        operands: passed to either function, which may also use what is around it.

    Raises:
        CaptureError: when the results differ in type.

    >>> import ingot
    >>> x = ingot.tensor([1.0, -3.0])
    >>> ingot.cond(x.sum() > 0, lambda x: x, lambda x: -x, (x,))
    tensor([-1.,  3.])
    """
    from .capture.branches import branch
    from .capture.decisions import truth

    decided = truth(pred)
    if isinstance(decided, bool):
        return true_fn(*operands) if decided else false_fn(*operands)
    return branch(mode.tracer, decided, lambda: true_fn(*operands), lambda: false_fn(*operands))


def while_loop(cond_fn: Callable[..., Any], body_fn: Callable[..., Any], carried_inputs: Sequence[Any]) -> Any:
    """Apply `body_fn` to the carried values as long as `cond_fn` of them holds.

    Args:
        cond_fn: gives a bool or a tensor with one element.
        body_fn: gives the next carried values, as many as it takes. In a captured program each keeps its dtype and
            number of dimensions; sizes may change from iteration to iteration.
        carried_inputs: the first values.

    Returns:
        the last values, as a tuple.

    >>> import ingot
    >>> ingot.while_loop(lambda n, x: x < 100, lambda n, x: (n + 1, x * 3), (0, ingot.tensor(2)))
    (4, tensor(162))
    """
    from .capture.decisions import truth
    from .capture.loops import loop
    from .capture.structured import Names

    held = [tuple(carried_inputs)]

    def step(_: Any = None) -> None:
        found = body_fn(*held[0])
        found = tuple(found) if isinstance(found, (tuple, list)) else (found,)
        if len(found) != len(held[0]):
            raise ArgumentError(
                f"while_loop: body_fn gives {len(found)} values",
                expected=f"{len(held[0])}, as many as it takes",
                location=here(),
            )
        held[0] = found

    def test() -> Any:
        return cond_fn(*held[0])

    if mode.tracer is None:
        while truth(test()):
            step()
        return held[0]
    names = Names(("carried_inputs",), lambda: (held[0],), lambda values: held.__setitem__(0, values[0]))
    loop(mode.tracer, step, test, names, first=truth(test()), functions=(cond_fn, body_fn))
    return held[0]


def scan(
    combine_fn: Callable[[Any, Any], tuple[Any, Any]], init: Any, xs: Any, *, dim: int = 0, reverse: bool = False
) -> tuple[Any, Any]:
    """Go over the slices of tensors along a dimension with a carried value, and stack what comes out.

    Args:
        combine_fn: takes the carried value and a slice, gives the next carried value and an output.
        init: the first carried value: a tensor, a number, or tuples, lists and dicts of them.
        xs: a tensor, or tuples, lists and dicts of tensors of the same size along `dim`.
        dim: the dimension that is gone over; outputs have it in front.
        reverse: begin at the end. Outputs stand in the order of the slices either way.

    Returns:
        the last carried value, and the outputs stacked.

    >>> import ingot
    >>> ingot.scan(lambda total, x: (total + x, total + x), ingot.tensor(0.0), ingot.tensor([1.0, 2.0, 3.0]))
    (tensor(6.), tensor([1., 3., 6.]))
    """
    from .capture.loops import loop
    from .capture.structured import Leaves, Names

    taken = Leaves(xs)
    if not taken.leaves or not all(isinstance(x, TensorBase) for x in taken.leaves):
        raise ArgumentError("scan: xs holds no tensors", expected="tensors to go over", location=here())
    count = taken.leaves[0].shape[dim]
    if not all(x.shape[dim] == count for x in taken.leaves):
        raise ArgumentError(f"scan: sizes along dimension {dim} differ", location=here())
    held = [init]

    def step(i: Any) -> Any:
        at = count - 1 - i if reverse else i
        held[0], found = combine_fn(held[0], taken.rebuild([EAGER.select(x, dim, at) for x in taken.leaves]))
        return found

    if mode.tracer is not None:
        names = Names(("init",), lambda: (held[0],), lambda values: held.__setitem__(0, values[0]))
        stacked = loop(mode.tracer, step, names=names, count=count, functions=(combine_fn,))
        found = Leaves(stacked)
        return held[0], found.rebuild([EAGER.flip(x, (0,)) if reverse else x for x in found.leaves])
    if count == 0:
        raise ArgumentError("scan: no slices, so that the outputs have no type", location=here())
    steps = [step(i) for i in range(count)]
    rows = [Leaves(x) for x in (reversed(steps) if reverse else steps)]
    columns = zip(*[row.leaves for row in rows], strict=True)
    return held[0], rows[0].rebuild([EAGER.stack(list(column)) for column in columns])
