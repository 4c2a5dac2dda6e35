"""The gradients of what a captured run was given, from those of its results, as part of its graph.

How the graph is cut in two where they come in, and put on the tape, is `compile_gradient`'s subject.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..ir.sizes import Size, SizeRelation, free_vars, var
from ..ir.types import TensorType
from .compile_tracer import LiveTracer
from .dispatch import EAGER
from .tape import Leaf, TapeNode
from .tape import grad as gradients_of
from .tensor_base import TensorBase

__all__ = ["gradients_of_run"]


def gradients_of_run(
    tracer: LiveTracer, produced: Sequence[Any], origin: Callable[[Any], tuple[str, int] | None]
) -> tuple[list[int], list[Any], list[tuple[str, int]]]:
    """Capture them, as far as a tape is left.

    Args:
        produced: what the run gives.
        origin: where a call finds a tensor; None for one that the run has made.

    Returns:
        the results that gradients flow back from, by number; the gradients; and where what they are of is found.
    """
    seeds = [i for i, x in enumerate(produced) if isinstance(x, TensorBase) and x._node is not None]
    seeds = [i for i in seeds if not _is_spent(produced[i]._node)]
    if not seeds:
        return [], [], []
    tensors = [leaf.tensor for leaf in _leaves_of([produced[i]._node for i in seeds])]
    found = [(tensor, where) for tensor in tensors if (where := origin(tensor)) is not None]
    if not found:
        return [], [], []
    cotangents = [_cotangent(tracer, i, produced[i]) for i in seeds]
    tracer.user_gradients.uncertain = len(seeds) > 1  # a call may use one of them alone
    gradients = gradients_of(
        [produced[i] for i in seeds], [x for x, _ in found], cotangents, retain_graph=True, allow_unused=True
    )
    kept = [(where, g) for (_, where), g in zip(found, gradients, strict=True) if g is not None]
    return seeds, [g for _, g in kept], [where for where, _ in kept]


def _cotangent(tracer: LiveTracer, i: int, result: Any) -> Any:
    """An input for the gradient of a result. A size that only the run shows is one of its own at the entry."""
    type_ = tracer.value_of(result).type
    assert isinstance(type_, TensorType)
    array = np.ones_like(result._array)
    given = [x.type.sizes for x in tracer.graph.inputs if isinstance(x.type, TensorType)]
    bound = {name for own in given for size in own for name in free_vars(size)}
    sizes: list[Size] = [
        var(tracer.fresh_size(f"gradient_{i}_{dim}", actual), 0) if free_vars(size) - bound else size
        for dim, (size, actual) in enumerate(zip(type_.sizes, array.shape, strict=True))
    ]
    found = tracer.add_input(f"gradient_{i}", array, sizes)
    if tuple(sizes) == type_.sizes:
        return found
    for own, size in zip(sizes, type_.sizes, strict=True):
        tracer.sizes.add(SizeRelation("==", own, size))  # a gradient has the sizes of what it is of
    return EAGER.sized(found, size=type_.sizes)


def _is_spent(node: Any) -> bool:
    """Whether a walk back from a node would find a tape that was freed."""
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Leaf) or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, TapeNode) and node.saved is None:
            return True
        waiting.extend(parent for parent, _ in node.parents)
    return False


def _leaves_of(nodes: Sequence[Any]) -> list[Leaf]:
    """The leaves that a walk back from some nodes ends at."""
    seen: dict[int, Any] = {}
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen[id(node)] = node
        if not isinstance(node, Leaf):
            waiting.extend(parent for parent, _ in node.parents)
    return [node for node in seen.values() if isinstance(node, Leaf)]
