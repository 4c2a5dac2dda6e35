"""Counter-based random numbers: Philox4x64-10, the same integers on every backend.

Reference: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). The block
function maps a key of two and a counter of four 64-bit words to four random words. Everything here is a pure
function of a key, a `uint64[2]` NumPy array: there is no hidden state, and no draw depends on another.

**Streams.** The counter's last word separates what keys are used for, so no two uses share a block:

====================  =============================================================================
counter               use
====================  =============================================================================
`[b, 0, 0, 0]`        `raw`: words `4*(b - 1)` to `4*(b - 1) + 3` of the stream, b = 1, 2, ...
`[b, 0, 0, 1]`        `split`: new keys `2*(b - 1)` and `2*(b - 1) + 1`, two words each
`[1, 0, 0, 2]`        `seed_key`: the first two words, under the key `[seed mod 2**64, 0]`
====================  =============================================================================

Counters start at 1 and words keep the block's order because NumPy counts before it generates: `raw` is
`numpy.random.Philox(key=key, counter=0).random_raw` word for word.

**Values from words.** Element i of a result, in row-major order, depends on the words named here alone, so
any part of a result can be computed by itself, and a longer result begins with the shorter one:

- `uniform`: word i; its top 24 bits times 2**-24 for float32, 53 for float64, 11 for float16, 8 for bfloat16.
- `normal`, by Box and Muller: elements 2j and 2j+1 are `r*cos(t)` and `r*sin(t)` with `r = sqrt(-2*log(u))`.
  float32 takes word j: u is its upper half h as `h * 2**-32 + 2**-33`, t its lower half as a signed integer
  times `2*pi * 2**-32`, all in float32. float64 takes words 2j and 2j+1: u is `(w >> 11) * 2**-53 + 2**-53`
  of the first, t the second as a signed integer shifted right by 11, times `2*pi * 2**-53`. float16 and
  bfloat16 are float32 rounded. u lies in (0, 1], so no result is infinite: the largest magnitudes are 6.8
  and 8.6.
- `randint`: the upper 64 bits of the 128-bit product of word i and the number of values, plus the lowest one.
- `permutation`: the stable order of the first n words.
"""

from __future__ import annotations

import math
import operator
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from .dtypes import DType, bfloat16, float16, float32, float64
from .errors import ArgumentError, DTypeError

__all__ = [
    "normal",
    "permutation",
    "philox4x64",
    "randint",
    "raw",
    "raw_reference",
    "seed_key",
    "split",
    "uniform",
]

Key = np.ndarray[Any, np.dtype[np.uint64]]
Words = np.ndarray[Any, np.dtype[np.uint64]]
Shape = int | tuple[int, ...]

_MULTIPLIERS: Final = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_WEYL: Final = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_ROUNDS: Final = 10
_MASK: Final = (1 << 64) - 1

# The last counter word of each use.
_RAW, _SPLIT, _SEED = 0, 1, 2

# Words are turned into values in pieces that stay in the second-level cache.
_PIECE: Final = 1 << 14
_SMALL_SORT: Final = 1 << 13

_UPPER, _LOWER = (1, 0) if sys.byteorder == "little" else (0, 1)


# -- words


class _Generator(threading.local):
    """NumPy's generator in C, one per thread: setting its state costs less than a microsecond, making one
    costs seven. `numpy.random` is imported at the first use, for it takes longer than the rest of `ir`."""

    def __init__(self) -> None:
        self.bits: Any = np.random.Philox(key=0)
        self.states: Final = tuple(self._state_at(use) for use in (_RAW, _SPLIT))

    @staticmethod
    def _state_at(use: int) -> dict[str, Any]:
        counter = np.array([0, 0, 0, use], np.uint64)
        return {
            "bit_generator": "Philox",
            "state": {"counter": counter, "key": None},
            "buffer": np.zeros(4, np.uint64),
            "buffer_pos": 4,
            "has_uint32": 0,
            "uinteger": 0,
        }

    def start(self, key: Key, use: int) -> Callable[[int], Words]:
        """What gives the next words of the key's stream, until somebody else starts another one."""
        if key.shape != (2,) or key.dtype != np.uint64:
            raise ArgumentError("not a key", expected="uint64[2]", found=f"{key.dtype}{list(key.shape)}")
        state = self.states[use]
        state["state"]["key"] = key
        self.bits.state = state
        words: Callable[[int], Words] = self.bits.random_raw
        return words


_generator: _Generator | None = None


def _start(key: Key, use: int = _RAW) -> Callable[[int], Words]:
    global _generator
    if _generator is None:
        _generator = _Generator()
    return _generator.start(key, use)


def raw(key: Key, n: int) -> Words:
    """The first n words of a key's stream.

    Args:
        key: uint64[2].

    Returns:
        uint64[n], writable and fresh.

    Raises:
        ArgumentError: when the key is not uint64[2].

    >>> key = np.array([7, 9], np.uint64)
    >>> bool((raw(key, 9) == np.random.Philox(key=key, counter=0).random_raw(9)).all())
    True
    """
    return _start(key)(n)


def raw_reference(key: Key, n: int) -> Words:
    """The definition of `raw` in NumPy arithmetic: counters 1, 2, ... through the block function, in order.

    >>> key = np.array([7, 9], np.uint64)
    >>> bool((raw_reference(key, 9) == raw(key, 9)).all())
    True
    """
    counters = np.zeros(((n + 3) // 4, 4), np.uint64)
    counters[:, 0] = np.arange(1, len(counters) + 1, dtype=np.uint64)
    return philox4x64(counters, key).reshape(-1)[:n]


def philox4x64(counters: Words, key: Key) -> Words:
    """The block function, ten rounds: uint64[m, 4] counters and a uint64[2] key to uint64[m, 4] words."""
    c0, c1, c2, c3 = (counters[:, i].copy() for i in range(4))
    k0, k1 = int(key[0]), int(key[1])
    for _ in range(_ROUNDS):
        high0, low0 = _multiply_high(c0, _MULTIPLIERS[0]), c0 * np.uint64(_MULTIPLIERS[0])
        high1, low1 = _multiply_high(c2, _MULTIPLIERS[1]), c2 * np.uint64(_MULTIPLIERS[1])
        c0, c1, c2, c3 = high1 ^ c1 ^ np.uint64(k0), low1, high0 ^ c3 ^ np.uint64(k1), low0
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return np.stack([c0, c1, c2, c3], axis=1)


def _multiply_high(words: Words, factor: int) -> Words:
    """The upper 64 bits of the 128-bit products, by halves of 32 bits."""
    half, low_half = np.uint64(32), np.uint64(0xFFFFFFFF)
    factor_high, factor_low = np.uint64(factor >> 32), np.uint64(factor & 0xFFFFFFFF)
    high, low = words >> half, words & low_half
    if not factor_high:
        return (high * factor_low + (low * factor_low >> half)) >> half
    cross = low * factor_high
    middle = (low * factor_low >> half) + (cross & low_half) + high * factor_low
    result: Words = high * factor_high + (cross >> half) + (middle >> half)
    return result


# -- keys


def seed_key(seed: int) -> Key:
    """The key of a seed: well mixed, so that neighbouring seeds have nothing in common.

    Args:
        seed: from -2**63 to 2**64 - 1; a negative seed is the one 2**64 above it, as in PyTorch.

    Raises:
        ArgumentError: outside of that range.

    >>> seed_key(0)
    array([16006495525962256124, 11263462740154766164], dtype=uint64)
    """
    try:
        number = operator.index(seed)
    except TypeError:
        raise ArgumentError(f"seed {seed!r} is not an integer") from None
    if not -(1 << 63) <= number <= _MASK:
        raise ArgumentError("seed out of range", expected="-2**63 <= seed < 2**64", found=str(number))
    counter = np.array([[1, 0, 0, _SEED]], np.uint64)
    return philox4x64(counter, np.array([number & _MASK, 0], np.uint64))[0, :2].copy()


def split(key: Key, n: int = 2) -> tuple[Key, ...]:
    """n new keys, independent of each other and of what the key itself draws.

    New key i is words `2*i` and `2*i + 1` of the blocks at counters `[1, 0, 0, 1]`, `[2, 0, 0, 1]`, ...,
    which no `raw` stream reaches.

    >>> first, second = split(seed_key(0))
    >>> bool((first == second).any())
    False
    """
    return tuple(_start(key, _SPLIT)(2 * n).reshape(n, 2))


# -- values


def uniform(key: Key, shape: Shape, dtype: Any = float32) -> np.ndarray:
    """Uniform numbers in [0, 1), each a multiple of the resolution that the dtype has below 1.

    Args:
        key: uint64[2].
        shape: of the result.
        dtype: float16, bfloat16, float32 or float64, in any form that `DType.of` takes.

    Raises:
        DTypeError: for another dtype.

    >>> x = uniform(seed_key(0), (2, 3))
    >>> x.shape, x.dtype, bool((x >= 0).all() and (x < 1).all())
    ((2, 3), dtype('float32'), True)
    """
    found = DType.of(dtype)
    if found not in _UNIFORM_BITS:
        raise DTypeError(f"uniform: no floating-point dtype: {found.name}")
    bits = _UNIFORM_BITS[found]
    dims, n = _dims(shape)
    words = _start(key)
    if n <= _PIECE:
        return _top_bits(words(n), *bits).astype(found.np, copy=False).reshape(dims)
    out = np.empty(n, found.np)
    for start, stop in _pieces(n):
        out[start:stop] = _top_bits(words(stop - start), *bits)
    return out.reshape(dims)


# How far down a word is shifted, the unit of what is left, the dtype to compute in: converting integers to
# float16 is slow, and the detour is exact.
_UNIFORM_BITS: Final = {
    float16: (np.uint64(53), np.float32(2.0**-11), np.float32),
    bfloat16: (np.uint64(56), np.float32(2.0**-8), np.float32),
    float32: (np.uint64(40), np.float32(2.0**-24), np.float32),
    float64: (np.uint64(11), np.float64(2.0**-53), np.float64),
}


def _top_bits(words: Words, shift: np.uint64, unit: Any, work: Any) -> np.ndarray:
    words >>= shift
    # Signed integers convert faster, and these are small enough to be either.
    values = words.view(np.int64).astype(work)
    values *= unit
    return values


def normal(key: Key, shape: Shape, dtype: Any = float32) -> np.ndarray:
    """Numbers of the standard normal distribution.

    The words are the same on every backend; logarithm, sine and cosine may differ in the last places.

    Args:
        key: uint64[2].
        shape: of the result.
        dtype: float16, bfloat16, float32 or float64, in any form that `DType.of` takes.

    Raises:
        DTypeError: for another dtype.

    >>> x = normal(seed_key(0), 10_000)
    >>> abs(float(x.mean())) < 0.05, abs(float(x.std()) - 1) < 0.05
    (True, True)
    """
    found = DType.of(dtype)
    if not found.is_floating_point:
        raise DTypeError(f"normal: no floating-point dtype: {found.name}")
    dims, n = _dims(shape)
    words = _start(key)
    if found is float64:
        pairs, words_per_pair, work = _normal_pairs_64, 2, found.np
    else:
        pairs, words_per_pair, work = _normal_pairs_32, 1, float32.np
    out = np.empty((n + 1) // 2 * 2, work)
    for start, stop in _pieces(len(out)):
        pairs(words((stop - start) // 2 * words_per_pair), out[start:stop])
    return out[:n].astype(found.np, copy=False).reshape(dims)


def _normal_pairs_32(words: Words, out: np.ndarray) -> None:
    radius = words.view(np.uint32)[_UPPER::2].astype(np.float32)
    radius *= np.float32(2.0**-32)
    radius += np.float32(2.0**-33)
    angle = words.view(np.int32)[_LOWER::2].astype(np.float32)
    angle *= np.float32(2 * math.pi * 2.0**-32)
    _box_muller(radius, angle, out)


def _normal_pairs_64(words: Words, out: np.ndarray) -> None:
    radius = (words[0::2] >> np.uint64(11)).view(np.int64).astype(np.float64)
    radius *= 2.0**-53
    radius += 2.0**-53
    angle = (words.view(np.int64)[1::2] >> np.int64(11)).astype(np.float64)
    angle *= 2 * math.pi * 2.0**-53
    _box_muller(radius, angle, out)


def _box_muller(radius: np.ndarray, angle: np.ndarray, out: np.ndarray) -> None:
    """Write the pairs; `radius` comes as u and is overwritten, `angle` too."""
    np.log(radius, out=radius)
    radius *= radius.dtype.type(-2)
    np.sqrt(radius, out=radius)
    np.multiply(np.cos(angle), radius, out=out[0::2])
    np.multiply(np.sin(angle, out=angle), radius, out=out[1::2])


def randint(key: Key, low: int, high: int, shape: Shape) -> np.ndarray:
    """Integers from low to high - 1.

    Element i is `low + (word_i * (high - low) >> 64)` in exact arithmetic (Lemire, "Fast random integer
    generation in an interval", 2019, without its rejection step): any two values' probabilities differ by
    at most 2**-64.

    Args:
        key: uint64[2].
        low: the smallest value, at least -2**63.
        high: one more than the largest value, at most 2**63.
        shape: of the result.

    Returns:
        int64 of the given shape.

    Raises:
        ArgumentError: when there is no value, or one does not fit int64.

    >>> x = randint(seed_key(0), -2, 3, 1000)
    >>> int(x.min()), int(x.max())
    (-2, 2)
    """
    if not -(1 << 63) <= low < high <= 1 << 63:
        raise ArgumentError("randint: no such range", expected="-2**63 <= low < high <= 2**63", found=f"{low}, {high}")
    dims, n = _dims(shape)
    words = raw(key, n)
    count = high - low
    for start, stop in _pieces(n) if count <= _MASK else ():
        words[start:stop] = _multiply_high(words[start:stop], count)
    words += np.uint64(low & _MASK)
    return words.view(np.int64).reshape(dims)


def permutation(key: Key, n: int) -> np.ndarray:
    """The integers 0 to n - 1 in random order: int64[n].

    >>> sorted(permutation(seed_key(0), 5).tolist())
    [0, 1, 2, 3, 4]
    """
    words = raw(key, n)
    if n > _SMALL_SORT:
        # Quicker by a factor of three, and stable unless words are alike, which they hardly ever are.
        order = np.argsort(words)
        ordered = words[order]
        if (ordered[1:] != ordered[:-1]).all():
            return order
    return np.argsort(words, kind="stable")


def _dims(shape: Shape) -> tuple[tuple[int, ...], int]:
    if isinstance(shape, tuple):
        return shape, math.prod(shape)
    return (shape,), shape


def _pieces(n: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + _PIECE, n)) for start in range(0, n, _PIECE))
