"""What stands on the tape: nodes that know how to go back, and what they keep for it.

A recorded call of an op is the subject of `tape`, as is the walk. Everything else that has a gradient (a user's
function, a captured program, a control flow construct) is a `CustomNode`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..ir.errors import GradientError
from ..ir.locations import here
from .hooks import Hooks
from .mode import mode
from .storage import storage_of
from .tensor_base import wrap

if TYPE_CHECKING:
    from .tensor import Tensor

__all__ = ["CustomNode", "Node", "SavedTensor", "again", "changed", "kept", "sequence", "version_of"]

sequence = itertools.count()
"""Numbers nodes in the order in which they are recorded."""


class Node:
    """Anything that gradients flow back through.

    Attributes:
        parents: whose outputs its inputs were, as (node or leaf, index of the output), for the inputs that can carry
            a gradient.
        sequence: when it was recorded; the walk goes from the latest to the earliest.
        hooks: on the gradients of its outputs, by index; there only once somebody has asked for them (`hooks_of`).
    """

    __slots__ = ("hooks", "parents", "sequence")
    parents: tuple[tuple[Any, int], ...]
    sequence: int
    hooks: dict[int, Hooks]

    @property
    def output_count(self) -> int:
        """How many outputs the node has, those without a gradient included."""
        raise NotImplementedError

    def backward(self, slots: list[Any]) -> Sequence[Any]:
        """Gradients of the parents, in their order, from those of the outputs; None is "nothing flows back" in both.

        `mode.grad` is on exactly when the gradient's own operations are to be recorded (`create_graph=True`). Each
        gradient has the sizes and the dtype of the parent's output.
        """
        raise NotImplementedError

    def release(self) -> None:
        """Forget what was saved: the node has been walked, and nobody asked to retain it."""


class CustomNode(Node):
    """A node that is not the call of an op: subclass it, and write `backward` and, if it keeps anything, `release`.

    Making one puts it on the tape: outputs of a floating-point dtype become its outputs.
    It must not hold its outputs themselves, which hold it: `SavedTensor` keeps what is needed.

    Args:
        inputs: tensors and other values; those that can carry a gradient are its parents, in this order.
        outputs: its results; None stands for one that is no tensor.
        differentiable: which outputs can carry a gradient. Default: those of a floating-point dtype.

    >>> import ingot
    >>> class Doubled(CustomNode):
    ...     def backward(self, slots):
    ...         return [slots[0] * 2]
    >>> x = ingot.ones(2, requires_grad=True)
    >>> with ingot.no_grad():
    ...     y = x * 2
    >>> node = Doubled([x], [y])
    >>> y.sum().backward()
    >>> x.grad
    tensor([2., 2.])
    """

    def __init__(
        self, inputs: Sequence[Any], outputs: Sequence[Any], differentiable: Sequence[bool] | None = None
    ) -> None:
        nodes = [(getattr(x, "_node", None), getattr(x, "_index", 0)) for x in inputs]
        self.parents = tuple([(node, index) for node, index in nodes if node is not None])
        self.sequence = next(sequence)
        self._count = len(outputs)
        for index, output in enumerate(outputs):
            allowed = differentiable is None or differentiable[index]
            if output is not None and allowed and output._array.dtype.kind in "fV":
                output._node = self
                output._index = index

    @property
    def output_count(self) -> int:
        return self._count


class SavedTensor:
    """A tensor that a `CustomNode` keeps for its way back, which must not be changed in place meanwhile.

    Args:
        tensor: what to keep; None is kept as None.
        of: the node whose output it is, if it is one: then the tensor itself, which holds the node, is not kept.
    """

    __slots__ = ("_kept", "_tensor", "_version")

    def __init__(self, tensor: Any, of: Node | None = None) -> None:
        self._kept = self._tensor = None
        self._version = 0
        if tensor is None:
            return
        if of is not None and tensor._node is of:
            self._kept = (*kept(tensor), tensor._index)
        else:
            self._tensor, self._version = tensor, version_of(tensor)

    def get(self, node: Node, what: str = "a saved tensor") -> Any:
        """The tensor again, for the node that saved it.

        Raises:
            GradientError: when it was changed in place since.
        """
        if self._kept is not None:
            array, storage, version, trace, index = self._kept
            if storage.version != version:
                raise changed(node, what, storage)
            return again(node, index, array, storage, trace)
        if self._tensor is not None and version_of(self._tensor) != self._version:
            raise changed(node, what, self._tensor._storage)
        return self._tensor


def version_of(x: Any) -> int:
    """How often a tensor's memory has been changed in place."""
    storage = getattr(x, "_storage", None)
    return 0 if storage is None else storage.version


def kept(output: Tensor) -> tuple[Any, Any, int, Any]:
    """An output without the tensor itself, whose tape node would make a cycle."""
    storage = storage_of(output)
    return output._array, storage, storage.version, output._trace


def again(node: Node, index: int, array: Any, storage: Any, trace: Any) -> Any:
    """An output that was kept by `kept`, as the tensor that it was."""
    output = wrap(array)
    output._storage = storage
    output._node, output._index = node, index
    output._trace = trace
    return output


def changed(node: Node, name: str, storage: Any = None) -> GradientError:
    """The error for something that a node kept, in this memory, and that is not what it was.

    Raises:
        CaptureError: where a capture knows better why it is not.
    """
    if mode.tracer is not None:
        mode.tracer.before_changed(storage)
    op = getattr(node, "op", None)
    owner = str(node) if op is None else op.short
    return GradientError(
        f"backward: {name} of {owner} was changed in place after the gradient had kept it",
        location=here(),
        advice="use the out-of-place form, or clone() the tensor first",
    )
