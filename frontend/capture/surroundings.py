"""What a function can reach and change: found before it runs, and put back after it.

`Attributes` knows the names that a program's state hangs on. This is wider, for the checks after a capture run the
function many times and must leave nothing behind: globals that its code names, variables of enclosing functions,
objects, classes and containers however deep, tensors with their elements and gradients, arrays, and the random states
of Ingot, NumPy and Python. What it cannot put back: iterators, files, and what extension modules keep to themselves.

The walk over objects stands in `reachable`.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ...ir.arrays import namespace
from ...ir.dtypes import get_default_dtype, set_default_dtype
from ..mode import mode
from ..tensor_base import TensorBase
from .places import Place, Way, identical, state_path_of
from .reachable import reachable

__all__ = ["Surroundings"]


class Surroundings:
    """Everything that a function reaches, as it was when this was made.

    Args:
        func: the function, module, or bound method.
        others: further values that are put back with it, each with its name.
    """

    def __init__(self, func: Any, others: Iterable[tuple[str, Any]] = ()) -> None:
        found = reachable(func, others)
        self.complete = found.complete
        self._places = found.places
        self._tensors = [_TensorState(way, tensor) for way, tensor in found.tensors]
        own = [tensor._array for _, tensor in found.tensors if tensor._base is None]
        self._memory = _memory([*own, *(array for _, array in found.arrays)])
        self._sources = [_source_state(source) for source in found.sources]
        self._environment = dict(os.environ)
        self._switches = mode.grad, get_default_dtype()
        self._holders: dict[int, list[tuple[Place, Any, tuple[int, ...]]]] = {}
        self._owners: Mapping[int, Any] = {}

    def follow(self, tensors: Iterable[Any], owners: Mapping[int, Any]) -> None:
        """Be ready to say what took the place of some tensors.

        Args:
            owners: for tensors that are the `.grad` of others, those others, by the gradient's `id`.
        """
        wanted = {id(tensor) for tensor in tensors}
        self._owners = owners
        for place, before in self._places:
            for key, value in before.items():
                for index, item in _leaves(value):
                    if id(item) in wanted:
                        self._holders.setdefault(id(item), []).append((place, key, index))

    def current(self, tensor: Any) -> Any:
        """What stands now where `tensor` stood: another tensor where it was replaced, None for a gradient that is
        gone."""
        owner = self._owners.get(id(tensor))
        if owner is not None:
            return owner._grad
        for place, key, index in self._holders.get(id(tensor), ()):
            now = dict(_leaves(place.read().get(key))).get(index)
            if isinstance(now, TensorBase) and now is not tensor:
                return now
        return tensor

    def changed(self) -> Iterator[tuple[str, Any]]:
        """The tensors that are not views and whose elements are no longer what they were, with their paths."""
        saved = {id(array): copy for array, copy in self._memory}
        for state in self._tensors:
            copy = saved.get(id(state.array))
            if copy is not None and not _same(state.array, copy):
                yield state_path_of(state.way), state.tensor

    def restore(self) -> None:
        """Put everything back."""
        for place, before in self._places:
            place.restore(before)
        for tensor in self._tensors:
            tensor.restore()
        for array, copy in self._memory:
            array[...] = copy
        for put_back in self._sources:
            put_back()
        if dict(os.environ) != self._environment:
            os.environ.clear()
            os.environ.update(self._environment)
        mode.grad, dtype = self._switches
        set_default_dtype(dtype)


def _leaves(value: Any, index: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Any]]:
    """The items of a tuple and of tuples in it, each with where it stands; for any other value, itself."""
    if isinstance(value, tuple):
        for i, item in enumerate(value):
            yield from _leaves(item, (*index, i))
    else:
        yield index, value


class _TensorState:
    """A tensor's parts: which array it has, where it stands on the tape, its gradient, its memory's version."""

    __slots__ = ("array", "parts", "storage", "tensor", "version", "way")

    def __init__(self, way: Way, tensor: Any) -> None:
        self.way = way
        self.tensor = tensor
        self.array = tensor._array
        self.parts = dict(vars(tensor))
        self.storage = tensor._storage
        self.version = 0 if self.storage is None else self.storage.version

    def restore(self) -> None:
        now = vars(self.tensor)
        if not identical(now, self.parts):
            now.clear()
            now.update(self.parts)
        if self.storage is not None:
            self.storage.version = self.version


def _source_state(source: Any) -> Callable[[], None]:
    """What puts a source of random numbers back to where it is now."""
    if isinstance(source, random.Random):
        state = source.getstate()
        return lambda: source.setstate(state)
    if isinstance(source, np.random.Generator):
        generator = source.bit_generator
        found = generator.state

        def put_back() -> None:
            generator.state = found

        return put_back
    drawn = source.get_state()
    return lambda: source.set_state(drawn)


def _memory(arrays: Iterable[Any]) -> list[tuple[Any, Any]]:
    """Copies of the elements that can change, each piece of memory once."""
    found: dict[Any, tuple[Any, Any]] = {}
    for array in arrays:
        key: Any = id(array)
        if isinstance(array, np.ndarray):
            if not array.flags.writeable or array.dtype.hasobject:
                continue
            key = (array.__array_interface__["data"][0], array.shape, array.strides, array.dtype)
        if array.size and key not in found:
            found[key] = (array, array.copy())
    return list(found.values())


def _same(a: Any, b: Any) -> bool:
    """Whether two arrays of one kind hold the same bits."""
    if namespace(a) is not np:
        return bool((a == b).all())
    return np.array_equal(a, b) or a.tobytes() == b.tobytes()
