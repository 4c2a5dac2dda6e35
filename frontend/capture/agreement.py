"""Whether what a program gives and what its function gives agree: values by a tolerance, everything else exactly.

The measure is `max|a - b| / max|b|` over the finite elements; NaN and infinities must lie at the same places. It is
taken relative to the largest element, however small that is: what only rounding makes different is for the check to
find out, by how the function itself moves when its inputs move by a rounding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ...ir.arrays import is_array
from ...ir.errors import IngotError
from ...ir.trees import LEAVES, Tree, flatten
from ..tensor_base import TensorBase

__all__ = ["TOLERANCE", "Mismatch", "StructureError", "leaves_by_tree", "mismatch"]

TOLERANCE: Final = {"float64": 1e-12, "float32": 1e-5, "float16": 5e-3, "bfloat16": 4e-2}


@dataclass(frozen=True, slots=True)
class Mismatch:
    """How two values differ.

    Attributes:
        expected: the function's value, where it is most different.
        found: the program's.
        index: where that is; empty for a number, None where kinds or sizes differ.
        largest: the measure; infinite where NaN, infinities or sizes differ.
        tolerance: what would have been allowed.
        rounding: whether rounding alone could make such a difference.
    """

    expected: str
    found: str
    index: tuple[int, ...] | None = None
    largest: float = math.inf
    tolerance: float = 0.0
    rounding: bool = True

    def __str__(self) -> str:
        at = f" at {list(self.index)}" if self.index else ""
        size = (
            f" (largest difference {self.largest:.3g}, {self.tolerance:.3g} allowed)" if self.index is not None else ""
        )
        return f"{self.found}{at}, not {self.expected}{size}"


def mismatch(found: Any, expected: Any) -> Mismatch | None:
    """How a program's value differs from the function's, or None where they agree.

    >>> print(mismatch(np.float32([1, 2]), np.float32([1, 4])))
    2.0 at [1], not 4.0 (largest difference 0.5, 1e-05 allowed)
    """
    a, b = np.asarray(found), np.asarray(expected)
    if is_array(found) and is_array(expected) and (a.dtype != b.dtype):
        return Mismatch(f"{b.dtype}{list(b.shape)}", f"{a.dtype}{list(a.shape)}", rounding=False)
    if a.shape != b.shape:
        return Mismatch(f"{b.dtype}{list(b.shape)}", f"{a.dtype}{list(a.shape)}")
    if a.dtype.kind in "biu" and b.dtype.kind in "biu":
        return _of_integers(a, b)
    return _of_floats(a, b)


def _of_integers(a: np.ndarray, b: np.ndarray) -> Mismatch | None:
    wrong = np.asarray(a != b)
    if not wrong.any():
        return None
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    largest = float(np.max(np.abs(a[wrong].astype(np.float64) - b[wrong].astype(np.float64))))
    return Mismatch(str(b[index]), str(a[index]), index, largest)


def _of_floats(a: np.ndarray, b: np.ndarray) -> Mismatch | None:
    tolerance = min(TOLERANCE.get(x.dtype.name, 1e-12) for x in (a, b)) if a.dtype == b.dtype else 1e-12
    x, y = a.astype(np.float64), b.astype(np.float64)
    wild = ~(np.isfinite(x) & np.isfinite(y))
    odd = wild & ~((x == y) | (np.isnan(x) & np.isnan(y)))
    if odd.any():
        index = tuple(int(i) for i in np.argwhere(odd)[0])
        return Mismatch(str(b[index]), str(a[index]), index, math.inf, tolerance)
    apart = np.where(wild, 0.0, np.abs(np.where(wild, 0.0, x) - np.where(wild, 0.0, y)))
    if not apart.size or not apart.any():
        return None
    largest = float(apart.max() / (np.max(np.abs(np.where(wild, 0.0, y))) or 1.0))
    if largest <= tolerance:
        return None
    index = tuple(int(i) for i in np.unravel_index(int(apart.argmax()), apart.shape))
    return Mismatch(str(b[index]), str(a[index]), index, largest, tolerance)


class StructureError(ValueError):
    """A function's result is built differently from the one that was captured."""


def leaves_by_tree(tree: Tree, value: Any) -> Iterator[tuple[str, Any]]:
    """The leaves of a function's result, by the tree of the captured one, each with its path, such as `["sum"][0]`.

    Raises:
        StructureError: where the result has another structure, or another constant.

    >>> list(leaves_by_tree({"kind": "tuple", "items": [{"kind": "leaf"}, {"kind": "none"}]}, (5, None)))
    [('[0]', 5)]
    """
    try:
        leaves, found = flatten(value, lambda x: isinstance(x, TensorBase) or is_array(x))
    except IngotError as error:
        raise StructureError(error.what) from None
    rest = iter(leaves)
    waiting = [("", tree, found)]
    while waiting:
        path, wanted, given = waiting.pop()
        if wanted["kind"] in LEAVES and given["kind"] in ("leaf", "constant"):
            yield path, next(rest) if given["kind"] == "leaf" else given["value"]
            continue
        mine, other = ({k: v for k, v in t.items() if k != "items"} for t in (wanted, given))
        items, others = wanted.get("items", []), given.get("items", [])
        if not _same_facts(mine, other) or len(items) != len(others):
            raise StructureError(f"the result{path} is {_shown(given)}, not {_shown(wanted)} as when it was captured")
        keys = wanted.get("keys") or range(len(items))
        parts = [(f"{path}[{key!r}]", x, y) for key, x, y in zip(keys, items, others, strict=True)]
        waiting.extend(reversed(parts))


def _same_facts(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(type(v) is type(b[k]) and (v == b[k] or v != v) for k, v in a.items())


def _shown(tree: Tree) -> str:
    if tree["kind"] == "constant":
        return repr(tree["value"])
    items = tree.get("items")
    return {"leaf": "a tensor", "none": "None"}.get(tree["kind"]) or f"a {tree['kind']} of {len(items or ())}"
