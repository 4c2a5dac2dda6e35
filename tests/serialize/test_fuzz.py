"""Damaged files are refused or load as valid programs: no other error, and no endless loop.

What a run tries is decided by its seed, which is printed; `--conformance` tries much more.
"""

import copy
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from corpus import good_file
from ingot.ir.errors import FileFormatError
from ingot.serialize import dumps, loads
from program_files import document_of, with_document

PATIENCE = 20  # seconds for one file; every one takes milliseconds


def outcome(data: bytes, what: str) -> str:
    """Read a file: `"refused"` or `"loaded"`. Anything else fails the test."""
    with watched(what):
        try:
            program = loads(data)
        except FileFormatError as error:
            assert str(error)
            return "refused"
        except Exception as error:
            raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
        written = dumps(program)
        assert dumps(loads(written)) == written, what
    return "loaded"


@contextmanager
def watched(what: str) -> Iterator[None]:
    """Fail, saying what was read, when the block does not end; where the platform can interrupt it."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def late(*_: object) -> None:
        raise AssertionError(f"{what}: still reading after {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def seeds(request: pytest.FixtureRequest, conformance: bool) -> list[int]:
    first = request.config.getoption("--seed")
    print(f"seeds from {first}")
    return list(range(first, first + (20_000 if conformance else 1_000)))


def test_truncated_files() -> None:
    data = good_file()
    header = 8 + int.from_bytes(data[:8], "little")
    for length in [*range(0, header, 97), *range(header - 3, len(data), 61)]:
        assert outcome(data[:length], f"the first {length} bytes") == "refused"


def test_flipped_bytes(seeds: list[int]) -> None:
    good = good_file()
    header = 8 + int.from_bytes(good[:8], "little")
    outcomes = set()
    for seed in seeds:
        rnd = random.Random(seed)
        data = bytearray(good)
        for _ in range(rnd.choice((1, 1, 2, 8))):
            place = rnd.randrange(rnd.choice((8, header, len(data))))
            data[place] ^= 1 << rnd.randrange(8)
        outcomes.add(outcome(bytes(data), f"seed {seed}"))
    assert outcomes == {"refused", "loaded"}


def test_moved_and_repeated_bytes(seeds: list[int]) -> None:
    good = good_file()
    for seed in seeds:
        rnd = random.Random(seed)
        start, stop = sorted(rnd.randrange(len(good)) for _ in range(2))
        stop = min(stop, start + rnd.choice((1, 8, 100, 5000)))
        place = rnd.randrange(len(good))
        removed = good[:start] + good[stop:]
        for data in (
            removed,
            good[:place] + good[start:stop] + good[place:],
            removed[:place] + good[start:stop] + removed[place:],
        ):
            if data != good:
                outcome(data, f"seed {seed}")


# What a stranger may write where anything else is expected.
STRANGE: list[Any] = [
    *(-1, 0, 1, 2, 3, 7, 65, 2**31, 2**63 - 1, -(2**63), 2**70, 10**400),
    *("", "x", "B", "B*T", "f32", "-B", "B//0", "__class__", "ingot::relu", "prim::If", "a" * 10_000),
    *(None, True, False, 1.5, -0.0, 1e300),
    *([], {}, [0], [[]], {"a": 1}, {"size": "B"}, {"dtype": "f32"}, {"float": "nan"}, {"constant": 0}),
    *({"array": ["f32", [2], "AAAAAAAAAAA="]}, {"tuple": [0]}, {"list": 0}, {"optional": 0}, "leaf", {"tuple": []}),
]


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of everything inside of a JSON value."""
    items = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    for key, item in items:
        yield (*path, key)
        yield from paths(item, (*path, key))


def mutate(document: Any, places: list[tuple[Any, ...]], rnd: random.Random) -> None:
    """Change one place of a document."""
    path = rnd.choice(places)
    parent = at(document, path[:-1])
    old = at(document, path)
    if not isinstance(parent, (list, dict)) or old is None:
        return
    kind = rnd.choice(("strange", "strange", "near", "near", "copy", "copy", "remove", "repeat"))
    if kind == "near" and type(old) is int:
        parent[path[-1]] = old + rnd.choice((-2, -1, 1, 2, 10))
    elif kind == "copy":
        parent[path[-1]] = copy.deepcopy(at(document, rnd.choice(places)))
    elif kind == "remove":
        del parent[path[-1]]
    elif kind == "repeat" and isinstance(parent, list):
        parent.insert(path[-1], copy.deepcopy(old))
    else:
        parent[path[-1]] = copy.deepcopy(rnd.choice(STRANGE))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    """What stands at a place, or None where the document has changed."""
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def test_documents_with_strange_values(seeds: list[int]) -> None:
    good = good_file()
    original = document_of(good)
    places = list(paths(original))
    outcomes = set()
    for seed in seeds:
        rnd = random.Random(seed)
        document = copy.deepcopy(original)
        for _ in range(rnd.choice((1, 1, 1, 2, 4))):
            mutate(document, places, rnd)
        outcomes.add(outcome(with_document(good, document), f"seed {seed}"))
    assert outcomes == {"refused", "loaded"}


def test_every_number_in_attributes_and_types_may_be_absurd() -> None:
    good = good_file()
    original = document_of(good)
    graph = ("entries", 0, "graph")
    for table in "attributes", "types", "sizes":
        for path in paths(at(original, (*graph, table))):
            place = (*graph, table, *path)
            if type(at(original, place)) is not int:
                continue
            for value in (0, -1, 65, 100_000, 2**31, 2**63 - 1, -(2**63)):
                document = copy.deepcopy(original)
                at(document, place[:-1])[place[-1]] = value
                outcome(with_document(good, document), f"{place} = {value}")
