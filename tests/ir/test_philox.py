"""The counter-based generator: against NumPy's, against published vectors, and as what it claims to be."""

from __future__ import annotations

import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import ml_dtypes
import numpy as np
import pytest
from ingot.ir import dtypes
from ingot.ir.errors import ArgumentError, DTypeError
from ingot.ir.philox import (
    normal,
    permutation,
    philox4x64,
    randint,
    raw,
    raw_reference,
    seed_key,
    split,
    uniform,
)

FLOATS = ["float16", "bfloat16", "float32", "float64"]
KEYS = [np.array(words, np.uint64) for words in ([0, 0], [1, 2], [2**64 - 1, 2**64 - 1], [2**63, 0x123456789ABCDEF])]
KEY = seed_key(0)


# -- words

# From Random123's kat_vectors, "philox4x64 10".
PUBLISHED = [
    (
        "0000000000000000 0000000000000000 0000000000000000 0000000000000000",
        "0000000000000000 0000000000000000",
        "16554d9eca36314c db20fe9d672d0fdc d7e772cee186176b 7e68b68aec7ba23b",
    ),
    (
        "ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff",
        "ffffffffffffffff ffffffffffffffff",
        "87b092c3013fe90b 438c3c67be8d0224 9cc7d7c69cd777b6 a09caebf594f0ba0",
    ),
    (
        "243f6a8885a308d3 13198a2e03707344 a4093822299f31d0 082efa98ec4e6c89",
        "452821e638d01377 be5466cf34e90c6c",
        "a528f45403e61d95 38c72dbd566e9788 a5a1610e72fd18b5 57bd43b5e52b7fe6",
    ),
]


def words(text: str) -> np.ndarray:
    return np.array([int(word, 16) for word in text.split()], np.uint64)


@pytest.mark.parametrize(("counter", "key", "expected"), PUBLISHED)
def test_published_vectors(counter: str, key: str, expected: str) -> None:
    found = philox4x64(words(counter)[None], words(key))[0]
    assert [hex(w) for w in found.tolist()] == [hex(w) for w in words(expected).tolist()]


@pytest.mark.parametrize("key", KEYS, ids=str)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 8, 1023])
def test_raw_is_numpys_and_the_reference(key: np.ndarray, n: int) -> None:
    found = raw(key, n)
    assert found.dtype == np.uint64 and found.shape == (n,) and found.flags.writeable
    np.testing.assert_array_equal(found, np.random.Philox(key=key, counter=0).random_raw(n))
    np.testing.assert_array_equal(found, raw_reference(key, n))


def test_a_draw_does_not_depend_on_the_one_before() -> None:
    first = raw(KEY, 7)
    split(KEY, 3), raw(KEYS[1], 5), normal(KEY, 3)
    np.testing.assert_array_equal(raw(KEY, 7), first)
    np.testing.assert_array_equal(raw(KEY, 100)[:7], first)


def test_draws_do_not_change_the_key() -> None:
    key = np.array([5, 6], np.uint64)
    key.flags.writeable = False
    split(key), uniform(key, 5), normal(key, 5), randint(key, 0, 9, 5), permutation(key, 5)
    assert key.tolist() == [5, 6]


@pytest.mark.parametrize("key", [np.zeros(2, np.int64), np.zeros(3, np.uint64), np.zeros((1, 2), np.uint64)])
def test_what_is_no_key(key: np.ndarray) -> None:
    with pytest.raises(ArgumentError, match="not a key"):
        raw(key, 1)


def test_threads_do_not_disturb_each_other() -> None:
    keys = [seed_key(i) for i in range(8)]
    expected = [(raw(key, 5000), normal(key, 501), split(key)) for key in keys]

    def draw(i: int) -> bool:
        stream, normals, children = raw(keys[i], 5000), normal(keys[i], 501), split(keys[i])
        same = [np.array_equal(stream, expected[i][0]), np.array_equal(normals, expected[i][1])]
        return all(same) and np.array_equal(children, expected[i][2])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(draw, list(range(8)) * 20))


def test_importing_leaves_numpys_random_alone() -> None:
    """It takes as long to import as a third of `ir`'s share of the start-up."""
    code = """
import sys, numpy
if "numpy.random" in sys.modules: sys.exit(2)
import ingot.ir.philox
ingot.ir.philox.seed_key(1)
sys.exit("numpy.random" in sys.modules)
"""
    status = subprocess.run([sys.executable, "-c", code], check=False).returncode
    if status == 2:
        pytest.skip("this NumPy imports numpy.random by itself")
    assert status == 0


# -- keys


def test_split_is_what_it_says() -> None:
    for n in (1, 2, 3, 5):
        counters = np.array([[b, 0, 0, 1] for b in range(1, (n + 1) // 2 + 1)], np.uint64)
        expected = philox4x64(counters, KEYS[1]).reshape(-1, 2)[:n]
        found = split(KEYS[1], n)
        assert isinstance(found, tuple) and all(k.dtype == np.uint64 and k.shape == (2,) for k in found)
        np.testing.assert_array_equal(found, expected)


def test_split_keys_are_distinct_from_everything_drawn() -> None:
    children = split(KEY, 64)
    seen = {tuple(k.tolist()) for k in children}
    seen |= {tuple(k.tolist()) for child in children for k in split(child, 4)}
    assert len(seen) == 64 * 5
    drawn = set(raw(KEY, 4096).tolist())
    assert not drawn & {word for pair in seen for word in pair}


def test_seed_key() -> None:
    expected = philox4x64(np.array([[1, 0, 0, 2]], np.uint64), np.array([42, 0], np.uint64))[0, :2]
    np.testing.assert_array_equal(seed_key(42), expected)
    np.testing.assert_array_equal(seed_key(np.int64(42)), expected)  # type: ignore[arg-type]
    np.testing.assert_array_equal(seed_key(-1), seed_key(2**64 - 1))
    keys = np.array([seed_key(i) for i in range(64)])
    assert len(np.unique(keys)) == 128
    bits = np.unpackbits(keys.view(np.uint8), axis=None).mean()
    assert abs(bits - 0.5) < 4 * 0.5 / math.sqrt(64 * 128)


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1, 1.5, "7", None])
def test_what_is_no_seed(seed: object) -> None:
    with pytest.raises(ArgumentError, match="seed"):
        seed_key(seed)  # type: ignore[arg-type]


# -- values


@pytest.mark.parametrize(("dtype", "bits"), [*zip(FLOATS, [11, 8, 24, 53], strict=True)])
def test_uniform_is_the_top_bits(dtype: str, bits: int) -> None:
    for n in (1, 1000, 40_001):  # the last one is computed in pieces
        found = uniform(KEY, n, dtype)
        expected = [math.ldexp(word >> (64 - bits), -bits) for word in raw(KEY, n).tolist()]
        assert found.dtype == dtypes.DType.of(dtype).np
        np.testing.assert_array_equal(found.astype(np.float64), expected)


@pytest.mark.parametrize("dtype", FLOATS)
def test_shapes(dtype: str) -> None:
    for draw in (uniform, normal):
        assert draw(KEY, (), dtype).shape == () and isinstance(draw(KEY, (), dtype), np.ndarray)
        assert draw(KEY, (0, 3), dtype).shape == (0, 3)
        assert draw(KEY, 5, dtype).shape == (5,)
        grid = draw(KEY, (3, 5), dtype)
        np.testing.assert_array_equal(grid.ravel().view(np.uint8), draw(KEY, 15, dtype).view(np.uint8))
    assert randint(KEY, 0, 9, (2, 3)).shape == (2, 3) and randint(KEY, 0, 9, ()).shape == ()


def test_dtypes_in_any_form() -> None:
    for form in (dtypes.float64, np.float64, "f64", np.dtype("float64")):
        assert uniform(KEY, 2, form).dtype == np.float64
    assert normal(KEY, 2, dtypes.bfloat16).dtype == ml_dtypes.bfloat16
    for draw in (uniform, normal):
        assert draw(KEY, 2).dtype == np.float32
        with pytest.raises(DTypeError, match="floating"):
            draw(KEY, 2, np.int32)


def reference_normal(n: int, wide: bool) -> np.ndarray:
    """The definition in the module's docstring, in Python's float64."""
    stream = raw(KEY, 2 * n).tolist()
    values: list[float] = []
    while len(values) < n:
        j = len(values) // 2
        if wide:
            first, second = stream[2 * j], stream[2 * j + 1]
            u = math.ldexp((first >> 11) + 1, -53)
            t = (second - (second >> 63 << 64) >> 11) * 2 * math.pi / 2**53
        else:
            h, low = stream[j] >> 32, stream[j] & 0xFFFFFFFF
            u = math.ldexp(h, -32) + 2.0**-33
            t = (low - (low >> 31 << 32)) * 2 * math.pi / 2**32
        r = math.sqrt(-2 * math.log(u))
        values += [r * math.cos(t), r * math.sin(t)]
    return np.array(values[:n])


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float16", 4e-3), ("bfloat16", 3e-2), ("float32", 4e-6), ("float64", 2e-14)]
)
def test_normal_is_box_muller(dtype: str, tolerance: float) -> None:
    for n in (1, 7, 1000, 40_001):
        found = normal(KEY, n, dtype).astype(np.float64)
        expected = reference_normal(n, dtype == "float64")
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    longer = normal(KEY, 1001, dtype).astype(np.float64)
    np.testing.assert_array_equal(longer[:500], normal(KEY, 500, dtype).astype(np.float64))


def test_normal_at_the_ends_is_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    """All bits zero and all bits one, where u is smallest and largest."""
    from ingot.ir import philox

    ends = np.array([0, 0, 2**64 - 1, 2**64 - 1], np.uint64)
    monkeypatch.setattr(philox, "_start", lambda key, use=0: lambda n: np.resize(ends, n))
    for dtype, largest in (("float32", 6.8), ("float64", 8.6)):
        found = normal(KEY, 8, dtype)
        assert np.isfinite(found).all() and np.abs(found).max() < largest
    for dtype in FLOATS:
        found = uniform(KEY, 8, dtype).astype(np.float64)
        assert found.min() == 0 and found.max() < 1


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (0, 1),
        (0, 10),
        (-5, 7),
        (0, 2**31),
        (-(2**31), 2**31),
        (0, 2**32 + 1),
        (-3, 2**40),
        (0, 2**63),
        (-(2**63), 2**63),
        (-(2**63), -(2**63) + 1),
        (2**63 - 2, 2**63),
    ],
)
def test_randint_is_the_upper_product(low: int, high: int) -> None:
    found = randint(KEY, low, high, 300)
    assert found.dtype == np.int64
    assert found.tolist() == [low + (word * (high - low) >> 64) for word in raw(KEY, 300).tolist()]


@pytest.mark.parametrize(("low", "high"), [(0, 0), (3, 2), (0, 2**63 + 1), (-(2**63) - 1, 0)])
def test_randint_without_values(low: int, high: int) -> None:
    with pytest.raises(ArgumentError, match="no such range"):
        randint(KEY, low, high, 3)


@pytest.mark.parametrize("n", [0, 1, 2, 17, 1000, 20_000])
def test_permutation_is_the_stable_order(n: int) -> None:
    found = permutation(KEY, n)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(np.sort(found), np.arange(n))
    np.testing.assert_array_equal(found, np.argsort(raw(KEY, n), kind="stable"))


def test_permutation_is_stable_where_words_are_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    from ingot.ir import philox

    alike = raw(KEY, 20_000) % np.uint64(50)
    monkeypatch.setattr(philox, "raw", lambda key, n: alike)
    np.testing.assert_array_equal(permutation(KEY, 20_000), np.argsort(alike, kind="stable"))


# -- as random numbers; the keys are fixed, so these do not vary from run to run

N = 100_000


def chi_squared(counts: np.ndarray) -> float:
    """In standard deviations from what equally likely cells give."""
    expected = counts.sum() / counts.size
    statistic = ((counts - expected) ** 2 / expected).sum()
    return float((statistic - (counts.size - 1)) / math.sqrt(2 * (counts.size - 1)))


@pytest.mark.parametrize("dtype", FLOATS)
def test_uniform_fills_its_range_evenly(dtype: str) -> None:
    values = uniform(KEY, N, dtype).astype(np.float64)
    assert values.min() >= 0 and values.max() < 1
    assert abs(chi_squared(np.bincount((values * 64).astype(int), minlength=64))) < 4


@pytest.mark.parametrize("dtype", FLOATS)
def test_normal_has_its_moments(dtype: str) -> None:
    values = normal(KEY, N, dtype).astype(np.float64)
    for power, expected, deviation in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((values**power).mean() - expected) < 4 * math.sqrt(deviation / N) + 0.01 * (dtype == "bfloat16")
    assert abs(np.corrcoef(values[0::2], values[1::2])[0, 1]) < 4 / math.sqrt(N / 2)
    assert abs((np.abs(values) < 1).mean() - 0.6827) < 0.008


def test_randint_is_even() -> None:
    assert abs(chi_squared(np.bincount(randint(KEY, 0, 37, N), minlength=37))) < 4


def test_permutations_are_even() -> None:
    counts = np.zeros(24)
    for key in split(KEY, 4800):
        order = permutation(key, 4)
        counts[_rank(order)] += 1
    assert abs(chi_squared(counts)) < 4


def _rank(order: np.ndarray) -> int:
    """The place of a permutation of 4 among all 24."""
    rest, rank = list(range(4)), 0
    for value in order.tolist():
        rank = rank * len(rest) + rest.index(value)
        rest.remove(value)
    return rank


def test_streams_of_related_keys_are_unrelated() -> None:
    first, second = split(KEY)
    streams = [uniform(k, N // 4, "f64") for k in (KEY, first, second, seed_key(1), *split(first))]
    correlations = np.corrcoef(streams) - np.eye(len(streams))
    assert np.abs(correlations).max() < 4.5 / math.sqrt(N / 4)
