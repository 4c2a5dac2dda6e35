"""Objects that a scripted function makes: `__init__` is rewritten as any function that it calls."""

from __future__ import annotations

import ingot
import pytest


class Tally:
    def __init__(self, start: int = 0):
        if start > 100:
            raise ValueError("too many")
        self.count = start
        self.rows = []

    def add(self, row, by):
        self.count += by
        self.rows.append(row)


class Signed(Tally):
    def __init__(self, x):
        super().__init__(2)
        self.x = x if x.sum() > 0 else -x

    def __call__(self, y):
        return self.x + y


def tallied(x, n: int):
    tally, signed = Tally(3), Signed(x[0])
    for i in range(n):
        tally.add(x[i] * i, i)
        signed.add(signed(x[i]), 1)
    return tally.count, ingot.stack(tally.rows).sum(0), ingot.stack(signed.rows), signed.x, signed.count


@pytest.mark.parametrize("n", [1, 4])
def test_lists_of_objects_grow(rng, n):
    scripted = ingot.jit.script(tallied)
    for sign in (1, -1):
        x = ingot.from_numpy(rng.standard_normal((4, 2))) * sign
        for found, wanted in zip(scripted(x, n), tallied(x, n), strict=True):
            assert found == wanted if isinstance(wanted, int) else ingot.allclose(found, wanted)


def test_an_exception_of_a_constructor_is_caught():
    def guarded(x, n):
        try:
            tally = Tally(n)
        except ValueError:
            return x
        return x + tally.count

    scripted = ingot.jit.script(guarded)
    assert scripted(ingot.zeros(1), 7).item() == 7 and ingot.jit.script(guarded)(ingot.zeros(1), 101).item() == 0
