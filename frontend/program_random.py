"""The random state of a program: seeding it, and drawing from another generator for a call.

A program has a random state of its own, which each call that draws moves on: state with the name `"rng"` where it draws
from the default generator. `program(x, generator=g)` draws from `g` instead, which moves on in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ir import philox
from ..ir.errors import ArgumentError
from ..ir.locations import here
from .random import Generator

if TYPE_CHECKING:
    from .program import Program

__all__ = ["Draws", "generator_of", "seed_program"]


def key_name(program: Program) -> str:
    """The name of the random state that seeds and generators stand for.

    Raises:
        ArgumentError: when the program draws nothing, or from several generators of its own.
    """
    keys = [key for key, array in program.record.state.items() if array.dtype == np.uint64]
    if "rng" in keys:
        return "rng"
    if len(keys) == 1:
        return keys[0]
    raise ArgumentError(
        "the program draws no random numbers" if not keys else "the program has several random states",
        found=", ".join(keys),
        location=here(),
        advice="" if not keys else "set one of them: program.load_state_dict({name: key})",
    )


def seed_program(program: Program, seed: int) -> None:
    """Start the program's random state again from a seed, as `ingot.manual_seed` does for the default generator."""
    program._replace({key_name(program): philox.seed_key(int(seed))})


class Draws:
    """A generator in the place of the program's random state, for one call."""

    def __init__(self, program: Program, generator: Generator) -> None:
        self.name = key_name(program)
        self._generator = generator

    @property
    def key(self) -> Any:
        """The generator's key, as a tensor."""
        return self._generator._key

    def state(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """The state that the call reads."""
        return {**state, self.name: self._generator._key._array.copy()}

    def move_on(self, updates: Mapping[str, Any]) -> dict[str, Any]:
        """Take the generator's next key out of the call's updates."""
        rest = dict(updates)
        if self.name in rest:
            self._generator._write(np.asarray(rest.pop(self.name)))
        return rest


def generator_of(program: Program, parameters: tuple[str, ...], kwargs: Mapping[str, Any]) -> Draws | None:
    """What the argument `generator=` of a call asks for, where the program has no parameter of this name."""
    generator = kwargs.get("generator")
    if generator is None or "generator" in parameters:
        return None
    if not isinstance(generator, Generator):
        raise ArgumentError(
            f"generator is a {type(generator).__name__}", expected="an ingot.Generator", location=here()
        )
    return Draws(program, generator)
