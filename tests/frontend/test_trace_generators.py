"""Generators that a captured function draws from itself: state of the program, moved on by each call."""

import copy
import functools

import ingot
import numpy as np
import pytest
from ingot import nn
from ingot.ir.errors import ArgumentError, CaptureError

SEED = 11
shared = ingot.Generator()


@pytest.fixture(autouse=True)
def seeded():
    ingot.manual_seed(0)
    return shared.manual_seed(SEED)


def noisy(x, generator):
    return x + ingot.rand(3, generator=generator)


def from_a_global(x):
    return noisy(x, shared)


def each_function(x):
    return (
        x + ingot.randn(3, generator=shared),
        ingot.randint(0, 9, (3,), generator=shared),
        ingot.randperm(3, generator=shared),
        nn.init.normal_(ingot.zeros(3), generator=shared),
    )


def seeding(x):
    shared.manual_seed(5)
    return noisy(x, shared), ingot.rand(3)


def made_inside(x):
    return noisy(x, ingot.Generator().manual_seed(4))


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.own = ingot.Generator().manual_seed(SEED)
        self.others = {"b": ingot.Generator().manual_seed(SEED + 1)}
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return self.dropout(noisy(x, self.own) + noisy(x, self.others["b"]) + ingot.rand(3))


def in_a_branch_and_a_loop(x):
    if x.sum() > 0:
        x = noisy(x, shared)
    for _ in range(int(x.max().item())):
        x = noisy(x, shared)
    return x


ZERO = ingot.zeros(3)
CASES = {
    "a global": (lambda: from_a_global, {"shared"}),
    "each function": (lambda: each_function, {"shared"}),
    "a partial": (lambda: functools.partial(noisy, generator=shared), {"generator"}),
    "seeding": (lambda: seeding, {"shared", "rng"}),
    "made inside": (lambda: made_inside, set()),
    "attributes": (Layer, {"own", "others.b", "rng"}),
    "control flow": (lambda: in_a_branch_and_a_loop, {"shared"}),
}


def flat(result):
    return [x.numpy() for x in (result if isinstance(result, tuple) else (result,))]


@pytest.mark.parametrize("what", CASES)
def test_calls_draw_what_the_function_draws(what, tmp_path):
    make, names = CASES[what]
    function = make()
    ingot.manual_seed(0)
    expected = [flat(function(ZERO + 2)) for _ in range(4)]
    ingot.manual_seed(0)
    shared.manual_seed(SEED)
    function = make()
    program = ingot.jit.trace(function, ZERO + 2, script_branches=True)
    assert set(program.state) == names
    start = dict(program.state)
    for one in (program, program.on("reference")):  # of one state
        program.load_state_dict(start)
        for k, values in enumerate(expected):
            if k == 2:  # in the middle of its draws
                one.save(tmp_path / "program.ingot")
                one = ingot.load(tmp_path / "program.ingot")
            for found, value in zip(flat(one(ZERO + 2)), values, strict=True):
                np.testing.assert_allclose(found, value, rtol=1e-6)


def test_the_capture_leaves_the_generator_as_it_was():
    before = shared.get_state().tolist()
    program = ingot.jit.trace(seeding, ZERO)
    program(ZERO)
    assert shared.get_state().tolist() == before and shared.initial_seed() == SEED


def test_entry_points_have_a_generator_in_common():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.g = ingot.Generator().manual_seed(SEED)

        def a(self, x):
            return noisy(x, self.g)

        def b(self, x):
            return noisy(x, self.g) * 2

    two = Two()
    program = ingot.jit.trace(two, {"a": ZERO, "b": ZERO})
    assert set(program.state) == {"g"}
    for name in ("a", "b", "b", "a"):
        assert ingot.equal(program.run(name, ZERO), getattr(two, name)(ZERO))


def test_a_program_inside_of_another_one():
    inner = ingot.jit.trace(from_a_global, ZERO)
    outer = ingot.jit.trace(lambda x: inner(x) + inner(x), ZERO)
    assert ingot.allclose(outer(ZERO), from_a_global(ZERO) + from_a_global(ZERO))
    assert ingot.allclose(outer(ZERO), from_a_global(ZERO) + from_a_global(ZERO))


@pytest.mark.parametrize("how", [ingot.jit.script, ingot.compile])
def test_scripted_and_compiled_functions_move_the_generator_itself(how):
    found = how(from_a_global)
    mixed = [found(ZERO), from_a_global(ZERO), found(ZERO), found(ZERO)]
    shared.manual_seed(SEED)
    for value in mixed:
        assert ingot.equal(value, from_a_global(ZERO))


@pytest.mark.parametrize("how", [ingot.jit.script, ingot.compile])
def test_a_generator_as_an_argument_of_them(how):
    found, other = how(noisy), ingot.Generator().manual_seed(3)
    drawn = [found(ZERO, shared), found(ZERO, other), found(ZERO, shared), found(ZERO, generator=other)]
    shared.manual_seed(SEED)
    other.manual_seed(3)
    for value, generator in zip(drawn, (shared, other, shared, other), strict=True):
        assert ingot.equal(value, noisy(ZERO, generator))


def test_another_generator_for_a_call():
    program = ingot.jit.trace(from_a_global, ZERO)
    other, same = (ingot.Generator().manual_seed(3) for _ in range(2))
    drawn = [program(ZERO, generator=other) for _ in range(2)]
    assert all(ingot.equal(value, noisy(ZERO, same)) for value in drawn)
    assert ingot.equal(program(ZERO), from_a_global(ZERO))


def test_what_a_program_cannot_do_with_a_generator_is_refused_with_the_line():
    with pytest.raises(ArgumentError, match=r"argument 'generator': a Generator cannot be an argument") as caught:
        ingot.jit.trace(noisy, (ZERO, shared))
    assert "functools.partial" in caught.value.advice and "jit.trace(noisy" in caught.value.location.source
    with pytest.raises(CaptureError, match="a value of type Generator"):
        ingot.jit.trace(lambda x: (x, shared), ZERO)
    for use in (lambda: shared.get_state(), lambda: shared.seed(), lambda: copy.deepcopy(shared)):
        with pytest.raises(CaptureError, match="of the random state in a captured program") as refused:
            ingot.jit.trace(lambda x, use=use: (use(), noisy(x, shared))[1], ZERO)
        assert refused.value.location is not None


def test_a_generator_and_its_copy():
    g = ingot.Generator(device="cpu").manual_seed(2)
    ingot.rand(3, generator=g)
    other = copy.deepcopy({"a": g, "b": g})
    assert other["a"] is other["b"] and other["a"].initial_seed() == 2 and str(other["a"].device) == "cpu"
    assert ingot.equal(ingot.rand(3, generator=other["a"]), ingot.rand(3, generator=g))
    with pytest.raises(ArgumentError, match="no device"):
        ingot.Generator(device="abacus")
