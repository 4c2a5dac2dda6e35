"""JSON as the program file uses it: one canonical text for one value when written, no leniency when read.

Written: sorted keys, no spaces, numbers in Python's shortest exact form, no bare NaN or Infinity. Read: no repeated
keys, no NaN or Infinity, nesting bounded before the parser sees the text, and every failure is a `FileFormatError`.

What lives here besides: `text`, `integer`, `sequence` and `fields_of`, through which readers take a parsed value apart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final, NoReturn

import numpy as np

from ..ir.errors import FileFormatError
from .limits import MAX_JSON_DEPTH, MAX_JSON_LISTS, MAX_NAME, MAX_TEXT

__all__ = ["dump_json", "fields_of", "integer", "is_text", "parse_json", "sequence", "text"]

# The possessive quantifiers make one pass of it, whatever the text.
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_CHUNK: Final = 1 << 20
_STEP: Final = np.zeros(256, np.int64)
_STEP[list(b"[{")] = 1
_STEP[list(b"]}")] = -1


def dump_json(value: Any) -> str:
    """The canonical text of a value of dicts, lists, strings, numbers, booleans and None.

    >>> dump_json({"b": [1, 2.0, -0.0], "a": None})
    '{"a":null,"b":[1,2.0,-0.0]}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def parse_json(data: bytes, what: str) -> Any:
    """The value of a JSON text.

    Args:
        what: what the text is, for the message.

    Raises:
        FileFormatError: for text that is not UTF-8 or not JSON, and for repeated keys, bare NaN, deep nesting and
            absurdly long numbers.

    >>> parse_json(b'{"a": [1, 2.5]}', "the header")
    {'a': [1, 2.5]}
    """
    try:
        decoded = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{what} is not JSON", found=f"bytes that are not UTF-8 at {error.start}") from None
    _check_nesting(data, what)
    try:
        return json.loads(decoded, object_pairs_hook=_object, parse_constant=_no_constant)
    except FileFormatError as error:
        raise FileFormatError(f"{what}: {error.what}") from None
    except RecursionError:
        raise FileFormatError(f"{what} is nested too deep for what is left of the stack") from None
    except ValueError as error:
        raise FileFormatError(f"{what} is not JSON", found=_shown(str(error))) from None


def _check_nesting(data: bytes, what: str) -> None:
    """Whether lists and objects, outside of strings, are neither too deep inside each other nor too many."""
    marks = np.frombuffer(_STRING.sub(b"", data), np.uint8)
    depth = count = 0
    for start in range(0, len(marks), _CHUNK):
        steps = _STEP[marks[start : start + _CHUNK]]
        depths = depth + np.cumsum(steps)
        depth = int(depths[-1])
        count += int(np.count_nonzero(steps > 0))
        if depths.max() > MAX_JSON_DEPTH:
            raise FileFormatError(f"{what} is nested too deep", expected=f"at most {MAX_JSON_DEPTH} levels")
        if count > MAX_JSON_LISTS:
            raise FileFormatError(f"{what} has too many parts", expected=f"at most {MAX_JSON_LISTS} lists and objects")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise FileFormatError(f"the key {_shown(twice)!r} stands there twice")
    for key in found:
        if not is_text(key, MAX_TEXT):
            raise FileFormatError("a key is too long, or not Unicode text")
    return found


def _no_constant(name: str) -> NoReturn:
    raise FileFormatError(f"{name} is not a JSON number")


def _shown(value: str) -> str:
    value = value if len(value) <= 80 else value[:77] + "..."
    return value.encode("ascii", "backslashreplace").decode()


# -- taking parsed values apart


def is_text(value: Any, limit: int = MAX_TEXT) -> bool:
    """Whether a value is a string of Unicode text (no lone surrogates) that is not too long.

    >>> is_text("ü"), is_text("\\ud800"), is_text(3)
    (True, False, False)
    """
    if type(value) is not str or len(value) > limit:
        return False
    if value.isascii():
        return True
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def text(value: Any, what: str, limit: int = MAX_NAME) -> str:
    """The value, which has to be a string.

    Raises:
        FileFormatError: when it is not, is too long, or is not Unicode text.
    """
    if not is_text(value, limit):
        raise FileFormatError(f"{what} is not a string", expected=f"at most {limit} characters of Unicode text")
    return str(value)


def integer(value: Any, what: str, low: int, high: int) -> int:
    """The value, which has to be an integer with `low <= value <= high`.

    Raises:
        FileFormatError: when it is not.
    """
    if type(value) is not int or not low <= value <= high:
        found = _shown(repr(value)) if type(value) is not int or value.bit_length() < 256 else "a huge number"
        raise FileFormatError(f"{what} is out of range", expected=f"an integer from {low} to {high}", found=found)
    return value


def sequence(value: Any, what: str, *lengths: int) -> list[Any]:
    """The value, which has to be a list, of one of the lengths where any are given.

    Raises:
        FileFormatError: when it is not.
    """
    if type(value) is not list:
        raise FileFormatError(f"{what} is not a list")
    if lengths and len(value) not in lengths:
        raise FileFormatError(f"{what} has {len(value)} entries", expected=" or ".join(map(str, lengths)))
    return value


def fields_of(value: Any, what: str, keys: Sequence[str]) -> dict[str, Any]:
    """The value, which has to be an object with exactly the given keys.

    Raises:
        FileFormatError: naming the keys that are missing or unknown.
    """
    if type(value) is not dict:
        raise FileFormatError(f"{what} is not an object")
    missing = [key for key in keys if key not in value]
    unknown = [_shown(key) for key in value if key not in keys]
    if missing or unknown:
        problem = f"no {missing[0]!r}" if missing else f"the unknown key {unknown[0]!r}"
        raise FileFormatError(f"{what} is malformed", found=problem)
    return value
