"""The sample calls of ops that are printed as loops, with one emitted function for every signature among them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ingot.backends.cfamily_function import LoopSource
from ingot.backends.loop_call import LoopCall
from ingot.backends.loops import printable
from ingot.ir.algebra import type_of
from ingot.ir.dtypes import DType
from ingot.ir.registry import Op, all_ops
from ingot.ir.types import TensorType
from sample_maker import Sample
from samples import samples
from special_values import worst_difference

__all__ = ["Call", "calls_of", "check_call", "printable_ops"]


@dataclass(frozen=True)
class Call:
    """One call and the loaded function that serves it."""

    op: Op
    sample: Sample
    function: LoopCall


def printable_ops() -> list[Op]:
    """The built-in ops that are printed as loops."""
    return [op for op in all_ops() if printable(op) is None and op.name.startswith("ingot::")]


def calls_of(
    ops: Iterable[Op],
    dtypes: Iterable[DType],
    emit: Callable[..., LoopSource],
    load: Callable[[Sequence[LoopSource]], Sequence[LoopCall]],
) -> dict[str, list[Call]]:
    """The calls by op; all functions are loaded together.

    Args:
        emit: `emit_op` of a backend.
        load: sources to functions, in one file.
    """
    chosen = tuple(dtypes)
    samples_of = {op: [s for d in chosen for s in samples(op.name, np.random.default_rng(11), d)] for op in ops}
    places: dict[Any, int] = {}
    sources: list[LoopSource] = []
    for op, found in samples_of.items():
        for sample in found:
            key = _signature(op, sample)
            if key not in places:
                places[key] = len(sources)
                types = [type_of(x) for x in sample.inputs]
                sources.append(emit(op, types, sample.attrs, name=f"{op.short}_{len(sources)}"))
    functions = load(sources)
    return {
        op.short: [Call(op, sample, functions[places[_signature(op, sample)]]) for sample in found]
        for op, found in samples_of.items()
    }


def _signature(op: Op, sample: Sample) -> Any:
    """What a function is emitted for. The sizes of element-wise operands are not part of it."""
    types = [type_of(x) for x in sample.inputs]
    if op.kind == "elementwise":
        types = [t.with_(sizes=(0,) * t.ndim) if isinstance(t, TensorType) else t for t in types]
    return op.name, tuple(types), repr(sample.attrs)


def check_call(call: Call) -> None:
    """Assert that the function gives what the op's kernel gives, and what its definition does."""
    inputs, attrs = call.sample.inputs, call.sample.attrs
    got = _tuple(call.function(*inputs))
    for kernel in {call.op.kernel, call.op.extras.get("reference", call.op.kernel)}:
        for a, b in zip(got, _tuple(kernel(*inputs, **attrs)), strict=True):
            # Sums of float32 and float64 depend on their order; halves are summed in float32.
            absolute = 64 if b.dtype.itemsize > 2 else 6
            found = worst_difference(a, b, ulps=6, absolute=absolute, equal_zeros=True)
            assert found is None, f"{call.op.short}({call.sample}): {found}"


def _tuple(found: Any) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else (found,)
