"""Random functions, rewritten: nests of every kind of control flow do what they did before.

A function's choices come from a list of numbers that it takes as it goes; what it does, in its order, is written down.
"""

import random
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from ingot.frontend.script.rewrite import convert, rewritten_source
from plain_script import Plain
from random_functions import Programs, World, define, outcome


def check(chance: random.Random, depth: int) -> None:
    text = Programs(chance).function(depth)
    choices = [chance.randint(0, 3) for _ in range(20)]
    results: list[Any] = []
    for converts in (False, True):
        world = World(choices)
        function = define(text, world)
        results.append(outcome(convert(function, Plain()) if converts else function, world))
    assert results[0] == results[1], f"{text}\n{rewritten_source(function)}"


def test_random_functions_do_what_they_did(rng: np.random.Generator, conformance: bool) -> None:
    for seed in rng.integers(2**63, size=20_000 if conformance else 300):
        check(random.Random(int(seed)), depth=3)


@given(st.randoms(use_true_random=False))
def test_small_functions_do_what_they_did(chance: random.Random) -> None:
    check(chance, depth=2)
