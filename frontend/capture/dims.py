"""Which sizes of example inputs are dynamic: `Dim`, and the reading of `dynamic_shapes=`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...ir.errors import ArgumentError
from ...ir.sizes import Size, SizeExpr, var

__all__ = ["Dim", "DynamicSizes"]


@dataclass(frozen=True, slots=True)
class Dim:
    """A dynamic size: its name, and the smallest and largest value it may take.

    >>> Dim("time", min=1, max=2048).name
    'time'
    """

    name: str
    min: int = 0
    max: int | None = None


class DynamicSizes:
    """Size variables as they are met in the inputs, each with its example's value."""

    def __init__(self) -> None:
        self.hints: dict[str, int] = {}
        self._variables: dict[str, tuple[SizeExpr, Dim]] = {}

    def sizes(self, name: str, shape: Sequence[int], given: Any) -> tuple[Size, ...]:
        """An input's sizes, those that `given` names replaced by variables.

        Args:
            given: `{dimension: name or Dim}`, a sequence with an entry (or None) for each dimension, or None.

        Raises:
            ArgumentError: for a dimension that the input lacks, or a name used for different sizes.
        """
        found: list[Size] = list(shape)
        for dim, spec in _entries(name, given, len(shape)):
            found[dim] = self._variable(name, dim, spec, shape[dim])
        return tuple(found)

    def _variable(self, name: str, dim: int, spec: Any, size: int) -> SizeExpr:
        wanted = Dim(spec) if isinstance(spec, str) else spec
        if not isinstance(wanted, Dim) or not wanted.name.isidentifier():
            raise ArgumentError(f"dynamic_shapes: {name}: dimension {dim} is {spec!r}", expected="a name or a Dim")
        if size < wanted.min or (wanted.max is not None and size > wanted.max):
            raise ArgumentError(
                f"dynamic_shapes: {name}: the example's size lies outside of {wanted}",
                found=f"{size} in dimension {dim}",
            )
        known = self._variables.get(wanted.name)
        if known is None:
            known = self._variables[wanted.name] = (var(wanted.name, wanted.min, wanted.max), wanted)
            self.hints[wanted.name] = size
        if self.hints[wanted.name] != size or (not isinstance(spec, str) and known[1] != wanted):
            raise ArgumentError(
                f"dynamic_shapes: '{wanted.name}' names different sizes",
                found=f"{self.hints[wanted.name]} and {size} ({name}, dimension {dim})",
                advice="give each its own name",
            )
        return known[0]


def _entries(name: str, given: Any, ndim: int) -> list[tuple[int, Any]]:
    if given is None:
        return []
    if isinstance(given, Mapping):
        entries = list(given.items())
    elif isinstance(given, (tuple, list)):
        entries = list(enumerate(given))
    else:
        raise ArgumentError(f"dynamic_shapes: {name} is {given!r}", expected="{dimension: name or Dim}")
    found = []
    for dim, spec in entries:
        if not isinstance(dim, int) or not -ndim <= dim < ndim:
            raise ArgumentError(f"dynamic_shapes: {name} has no dimension {dim!r}", found=f"{ndim} dimensions")
        if spec is not None:
            found.append((dim % ndim, spec))
    return found
