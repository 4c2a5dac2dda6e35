"""Random numbers: generators, `manual_seed`, and the functions that draw from the default one.

A generator holds a Philox key. Each draw splits it: one half is the generator's next key, the other the draw's. So a
sequence of draws depends on the seed alone, on every backend, and a captured program carries the key as state.
"""

from __future__ import annotations

import os
from typing import Any, Final

import numpy as np

from ..ir import philox
from ..ir.dtypes import DType, get_default_dtype, int64
from ..ir.errors import CaptureError
from ..ir.locations import here
from .conversion import on_device
from .creation import sizes_of
from .devices import device as device_
from .dispatch import EAGER
from .mode import mode
from .tensor_base import wrap

__all__ = [
    "Generator",
    "default_generator",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "seed",
    "set_rng_state",
]


class Generator:
    """A source of random keys.

    A captured program that draws from one has the generator's key as state, under the path by which the function
    reaches it: each call moves it on, as eagerly, and it is saved.

    Args:
        device: where the numbers are wanted, for the sake of code that says so; they are the same everywhere.

    >>> import ingot
    >>> g = ingot.Generator().manual_seed(0)
    >>> ingot.rand(2, generator=g).shape
    ingot.Size([2])
    """

    def __init__(self, device: Any = "cpu") -> None:
        self.device = device_(device)
        self._seed = 0
        self._key = wrap(philox.seed_key(0))
        if mode.tracer is not None:
            mode.tracer.made(self._key)

    def __deepcopy__(self, memo: dict[int, Any]) -> Generator:
        _refuse_capture("a copy")
        found = memo[id(self)] = Generator(self.device)
        found._seed = self._seed
        found._key._array[...] = self._key._array
        return found

    def manual_seed(self, seed: int) -> Generator:
        """Start again from a seed."""
        self._seed = int(seed)
        if mode.tracer is not None:
            mode.tracer.ledger.operation("manual_seed", (self._seed,), {})
            mode.tracer.ledger.resume()
        self._write(philox.seed_key(self._seed))
        return self

    def seed(self) -> int:
        """Start again from a seed of the operating system's, which is returned."""
        _refuse_capture("seed()")
        self.manual_seed(int.from_bytes(os.urandom(8), "little") >> 1)
        return self._seed

    def initial_seed(self) -> int:
        """The seed that the generator last started from."""
        return self._seed

    def get_state(self) -> Any:
        """The current key, as an opaque tensor of two int64 numbers."""
        _refuse_capture("get_state()")
        return wrap(self._key._array.view(np.int64).copy())

    def set_state(self, state: Any) -> None:
        """Go back to a key that `get_state` gave."""
        _refuse_capture("set_state()")
        self._write(np.asarray(state._array, np.int64).view(np.uint64))

    def _write(self, key: np.ndarray) -> None:
        if mode.tracer is not None:
            mode.tracer.before_write(self._key)
            fixed = wrap(key)
            mode.tracer.value_of(fixed)
            mode.tracer.adopt(self._key, fixed._trace)
            if mode.tracer.abstract:
                return
        self._key._array[...] = key

    def next_key(self) -> Any:
        """A key for one draw; the generator moves on."""
        if mode.tracer is not None:
            if not mode.tracer.is_traced(self._key):
                mode.tracer.drawn_from.add(id(self._key))
            following, key = EAGER.apply(_SPLIT(), [self._key], {})
            mode.tracer.before_write(self._key)
            if not mode.tracer.abstract:
                self._key._array[...] = following._array
            mode.tracer.adopt(self._key, following._trace)
            return key
        following, key = philox.split(self._key._array)
        self._key._array[...] = following
        return wrap(key)


def _refuse_capture(what: str) -> None:
    if mode.tracer is not None:
        raise CaptureError(
            f"{what} of the random state in a captured program",
            expected="a program that draws, or seeds with a number",
            location=here(),
            context=mode.tracer.context,
            advice="save and restore the random state outside of it",
        )


def _SPLIT() -> Any:
    from ..ir.registry import lookup

    return lookup("prim::Split")


default_generator: Final = Generator()


def manual_seed(seed: int) -> Generator:
    """Seed the default generator.

    >>> import ingot
    >>> _ = ingot.manual_seed(0); a = ingot.rand(3)
    >>> _ = ingot.manual_seed(0); ingot.equal(a, ingot.rand(3))
    True
    """
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seed the default generator from the operating system; returns the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The default generator's seed."""
    return default_generator.initial_seed()


def get_rng_state() -> Any:
    """The default generator's state."""
    return default_generator.get_state()


def set_rng_state(state: Any) -> None:
    """Set the default generator's state."""
    default_generator.set_state(state)


def next_key(generator: Generator | None = None) -> Any:
    """A key from a generator, by default the default one."""
    return (generator or default_generator).next_key()


def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Uniform numbers in [0, 1)."""
    found = on_device(EAGER.rand(next_key(generator), sizes_of(size), DType.of(dtype or get_default_dtype())), device)
    return found.requires_grad_() if requires_grad else found


def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Numbers from the standard normal distribution."""
    found = on_device(EAGER.randn(next_key(generator), sizes_of(size), DType.of(dtype or get_default_dtype())), device)
    return found.requires_grad_() if requires_grad else found


def rand_like(input: Any, *, dtype: Any = None) -> Any:
    """Uniform numbers in the sizes and dtype of another tensor."""
    return rand(*input.shape, dtype=dtype or input.dtype)


def randn_like(input: Any, *, dtype: Any = None) -> Any:
    """Normal numbers in the sizes and dtype of another tensor."""
    return randn(*input.shape, dtype=dtype or input.dtype)


def randint(low: int, high: Any, size: Any = None, *, generator: Generator | None = None, dtype: Any = None) -> Any:
    """Integers in [low, high); `randint(high, size)` starts at 0."""
    if size is None:
        low, high, size = 0, low, high
    found = EAGER.randint(next_key(generator), low, high, tuple(size))
    return found if dtype is None or DType.of(dtype) is int64 else found.to(dtype=dtype)


def randperm(n: int, *, generator: Generator | None = None) -> Any:
    """The integers from 0 to n - 1 in random order."""
    return EAGER.randperm(next_key(generator), n)
