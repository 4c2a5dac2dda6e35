"""What a tensor is made of, before it has any operation: so that dispatch and tensors can know each other."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["TENSORS", "TensorBase", "tensor_class", "use_tensor_class", "wrap"]

# The classes whose instances entry functions take without further questions.
TENSORS: Final[set[type]] = set()


class TensorBase:
    """The parts of a tensor.

    Attributes:
        _array: the NumPy or CuPy array.
        _node, _index: where its value comes from on the tape (a `Leaf` for a leaf), None without gradient.
        _grad: the gradient that `backward` left here.
        _storage: identity and version of the memory, made on demand.
        _base, _chain: for a view, the tensor that it views and the view ops that lead to it.
        _detached: whether that view is cut off from its base's gradient.
        _trace: (tracer, graph value, whether it is constant) while a capture runs.
    """

    _array: Any
    _node: Any = None
    _index: int = 0
    _grad: Any = None
    _storage: Any = None
    _base: Any = None
    _chain: tuple[Any, ...] = ()
    _detached: bool = False
    _trace: Any = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        TENSORS.add(cls)


_tensor_class: type = TensorBase


def use_tensor_class(cls: type) -> None:
    """Say which class `wrap` makes; called once, by the module that defines `Tensor`."""
    global _tensor_class
    _tensor_class = cls


def tensor_class() -> type:
    """The class that results are made of."""
    return _tensor_class


def wrap(array: Any) -> Any:
    """A tensor over an array, without a copy."""
    tensor: Any = object.__new__(_tensor_class)
    tensor._array = array
    return tensor
