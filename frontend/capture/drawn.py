"""Random numbers that a program draws outside of Ingot: from Python's `random`, NumPy's global state, or generators of
either that its code reaches. They are noticed by a change of the state; a number that was drawn is the same in every
call of the program.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from types import BuiltinMethodType, MethodType
from typing import Any, Final

import numpy as np

from ...ir.locations import Mark

__all__ = ["Drawn", "source_of"]

_PYTHON: Final[Any] = random._inst
_NUMPY: Final[Any] = np.random.mtrand._rand


def _is_source(value: Any) -> bool:
    """Whether a value draws random numbers."""
    kind = type(value)
    return kind is random.Random or issubclass(kind, (np.random.Generator, np.random.RandomState))


def source_of(value: Any) -> Any:
    """What a value draws from: itself, or what it is a method of (`random.random`); None where it is neither."""
    owner = value.__self__ if type(value) in (MethodType, BuiltinMethodType) else value
    return owner if _is_source(owner) else None


class _Source:
    """One random state: as it was when it was last looked at, and the code that has named it."""

    def __init__(self, source: Any, name: str) -> None:
        self.source = source
        self.name = name
        self.state = _state_of(source)
        self.marks: list[Mark] = []


class Drawn:
    """The random states that a capture watches."""

    def __init__(self) -> None:
        found = (_Source(_PYTHON, "Python's random state"), _Source(_NUMPY, "NumPy's random state"))
        self._sources = {id(source.source): source for source in found}

    def mentioned(self, source: Any, name: str, mark: Mark) -> None:
        """Code that is about to run names a source."""
        known = self._sources.get(id(source))
        if known is None:
            known = self._sources[id(source)] = _Source(source, name)
        if mark not in known.marks:
            known.marks.append(mark)

    def changed(self) -> Iterator[tuple[str, Mark | None]]:
        """The sources that were drawn from since the last question: their names, and code that names them."""
        for source in self._sources.values():
            now = _state_of(source.source)
            if now != source.state:
                source.state = now
                yield source.name, source.marks[-1] if source.marks else None


def _state_of(source: Any) -> Any:
    if isinstance(source, random.Random):
        return random.Random.getstate(source)
    if isinstance(source, np.random.RandomState):
        return _comparable(source.get_state(legacy=False))
    return _comparable(source.bit_generator.state)


def _comparable(state: Any) -> Any:
    if isinstance(state, dict):
        return tuple((key, _comparable(value)) for key, value in state.items())
    return state.tobytes() if isinstance(state, np.ndarray) else state
