"""`library.opcheck`: whether what is declared of an operator fits together, on example arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..ir.algebra import type_of
from ..ir.dtypes import bfloat16
from ..ir.errors import IngotError
from ..ir.graph import same_graph
from ..ir.registry import NotDifferentiable, Op, find
from .gradcheck import gradcheck
from .mode import mode
from .tensor_base import TensorBase, wrap

__all__ = ["OpCheckError", "opcheck"]


class OpCheckError(IngotError):
    """Two declarations of an operator contradict each other."""


def opcheck(
    op: Callable[..., Any] | Op | str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any] | None = None,
    *,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> dict[str, str]:
    """Check a declared operator on example arguments.

    `types`: the type rule against what the kernel computes, memory included; `kernel`: a quick kernel against the body;
    `gradient`: against central differences, for arguments that require one; `program`: a trace against the kernel, its
    text, and every backend.

    Returns:
        what was checked, each `"SUCCESS"`, or without `raise_exception` what is wrong.

    Raises:
        OpCheckError: for the first contradiction.

    >>> import ingot
    >>> ingot.library.opcheck("ingot::relu", (ingot.ones(3),))
    {'types': 'SUCCESS', 'kernel': 'SUCCESS', 'gradient': 'SUCCESS', 'program': 'SUCCESS'}
    """
    found = _op_of(op)
    inputs, attrs = found.schema.bind(args, kwargs or {})
    checks: dict[str, Callable[[], None]] = {
        "types": lambda: _check_types(found, inputs, attrs),
        "kernel": lambda: _check_kernel(found, inputs, attrs, atol, rtol),
        "gradient": lambda: _check_gradient(found, inputs, attrs, atol, rtol),
        "program": lambda: _check_program(found, inputs, attrs),
    }
    results = {}
    for name, check in checks.items():
        try:
            check()
            results[name] = "SUCCESS"
        except IngotError as error:
            if raise_exception:
                raise
            results[name] = str(error)
    return results


def _op_of(op: Any) -> Op:
    if isinstance(op, Op):
        return op
    found = find(op) if isinstance(op, str) else getattr(op, "op", None)
    if not isinstance(found, Op):
        raise OpCheckError(f"opcheck: {op!r} is no operator", expected="what a declaration returned, or its full name")
    return found


def _arrays(inputs: Sequence[Any]) -> list[Any]:
    return [x._array.copy() if isinstance(x, TensorBase) else x for x in inputs]


def _outputs(op: Op, arrays: Sequence[Any], attrs: Mapping[str, Any]) -> tuple[Any, ...]:
    result = op.kernel(*arrays, **attrs)
    return result if isinstance(result, tuple) else (result,)


def _check_types(op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any]) -> None:
    arrays = _arrays(inputs)
    inferred: tuple[Any, ...] = op.infer([type_of(x) for x in arrays], attrs)
    computed = _outputs(op, arrays, attrs)
    found: tuple[Any, ...] = tuple(type_of(x) for x in computed)
    fits = len(found) == len(inferred) and all(
        a.dtype is b.dtype and len(a.sizes) == len(b.sizes)
        and all(not isinstance(m, int) or m == n for m, n in zip(a.sizes, b.sizes, strict=True))
        for a, b in zip(inferred, found, strict=True)
    )  # fmt: skip
    if not fits:
        raise OpCheckError(
            f"{op.name}: its type rule and its kernel disagree",
            expected=", ".join(map(str, inferred)),
            found=", ".join(map(str, found)),
        )
    for array, x in zip(arrays, inputs, strict=True):
        if isinstance(x, TensorBase) and not np.array_equal(_plain(array), _plain(x._array), equal_nan=True):
            raise OpCheckError(f"{op.name}: its kernel changes its argument", advice="compute into a new array")
        if op.view or not isinstance(x, TensorBase):
            continue
        if any(np.may_share_memory(array, y) for y in computed):
            raise OpCheckError(f"{op.name}: its result shares the memory of an argument", advice="copy() it")


def _plain(array: Any) -> Any:
    return array.astype(np.float32) if array.dtype == bfloat16.np else array


def _check_kernel(op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any], atol: float, rtol: float) -> None:
    reference = op.extras.get("reference")
    if reference is None:
        return
    expected = reference(*_arrays(inputs), **attrs)
    found = _outputs(op, _arrays(inputs), attrs)
    for a, b in zip(found, expected if isinstance(expected, tuple) else (expected,), strict=True):
        if not np.allclose(_plain(a), _plain(b), atol=atol, rtol=rtol, equal_nan=True):
            raise OpCheckError(f"{op.name}: its quick kernel and its body disagree", expected=str(b), found=str(a))


def _check_gradient(op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any], atol: float, rtol: float) -> None:
    from .dispatch import apply

    wanted = [isinstance(x, TensorBase) and x._node is not None for x in inputs]
    if isinstance(op.grad, NotDifferentiable) or not any(wanted):
        return
    precise = [
        wrap(x._array.astype(np.float64)) if isinstance(x, TensorBase) and x._array.dtype.kind in "fV" else x
        for x in inputs
    ]
    for x, needed in zip(precise, wanted, strict=True):
        if needed:
            x.requires_grad_()
    gradcheck(lambda *xs: apply(op, xs, attrs), tuple(precise), atol=atol, rtol=rtol)


def _check_program(op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any]) -> None:
    from ..ir.parser import parse
    from .capture.trace import trace
    from .dispatch import apply

    places = [i for i, x in enumerate(inputs) if isinstance(x, TensorBase)]

    def run(*tensors: Any) -> Any:
        given = list(inputs)
        for i, tensor in zip(places, tensors, strict=True):
            given[i] = tensor
        return apply(op, given, attrs)

    previous, mode.grad = mode.grad, False
    try:
        tensors = tuple(wrap(inputs[i]._array) for i in places)
        program = trace(run, tensors)
        difference = same_graph(parse(str(program.graph)), program.graph)
        if difference is not None:
            raise OpCheckError(f"{op.name}: its node's text reads back as another node", found=str(difference))
        expected = _outputs(op, _arrays(inputs), attrs)
        for backend in ("reference", "numpy"):
            result = program.on(backend)(*tensors)
            found = result if isinstance(result, tuple) else (result,)
            for a, b in zip(found, expected, strict=True):
                if not np.allclose(_plain(a._array), _plain(b), rtol=1e-4, atol=1e-5, equal_nan=True):
                    raise OpCheckError(
                        f"{op.name}: the {backend} backend computes something else", expected=str(b), found=str(a)
                    )
    finally:
        mode.grad = previous
