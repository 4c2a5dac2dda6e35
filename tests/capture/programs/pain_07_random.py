"""Training flags and random values are frozen: dropout stays on, or every call draws the same numbers."""

from __future__ import annotations

import itertools
import os
import random

import ingot
import numpy as np
from capture_corpus import call, captured, checked, ones, randn, refused, refused_at_call
from ingot import nn
from ingot.ir.errors import ArgumentError
from ingot.nn import functional as F

THREE = {"example": lambda: (ones(3),)}
ROWS = {"example": lambda: (randn(np.random.default_rng(0), 4, 3),), "fresh": lambda rng: (randn(rng, 4, 3),)}
BOTH = {"modes": ("train", "eval"), "fresh": lambda rng: call(randn(rng, 4, 3), training=bool(rng.random() < 0.5))}


def draws_anew(program):
    """Two calls on the same input draw different numbers."""
    x = ones(3)
    assert not ingot.equal(program(x), program(x))


# ----------------------------------------------------------------------------------------------------- captured


@captured("pytorch/pytorch#9069", **THREE, state=["rng"], then=draws_anew)
def noise_in_each_call(x):
    return x + 0.1 * ingot.randn(3)


@captured("pytorch/pytorch#9069", **THREE, state=["rng"], then=draws_anew)
def noise_like_the_input(x):
    return x * ingot.rand_like(x) + ingot.randint(0, 5, (3,))


@captured("pytorch/pytorch#9069", **THREE, state=["rng"])
def a_permutation_of_the_elements(x):
    return (x + ingot.arange(3))[ingot.randperm(3)]


@captured("pytorch/pytorch#9069", **THREE, state=["rng"], then=draws_anew)
def a_random_number_as_a_number(x):
    factor = ingot.rand(()).item()
    return x * factor


@captured("pytorch/pytorch#9069", **THREE, state=["rng"], script_branches=True)
def a_branch_on_a_random_number(x):
    if ingot.rand(()) < 0.5:
        return x * 2
    return x + ingot.rand(3)


@captured("pytorch/pytorch#9069", **THREE, state=["rng"], script_branches=True, calls=8)
def noise_in_a_loop_that_the_noise_ends(x):
    steps = 0
    while ingot.rand(()) < 0.7:
        x = x + ingot.rand(3)
        steps += 1
    return x, steps


SEED = 3


@captured("pytorch/pytorch#9069", **THREE, ledger=[("frozen", "ingot.manual_seed(SEED)")])
def a_seed_in_each_call(x):
    ingot.manual_seed(SEED)
    return x + ingot.rand(3)


@captured("pytorch/pytorch#9069", **THREE)
def a_generator_in_each_call(x):
    mine = ingot.Generator().manual_seed(5)
    return x + ingot.rand(3, generator=mine), ingot.rand(3, generator=mine)


@captured("pytorch/pytorch#9069", **THREE, state=["source"])
class AGeneratorOfTheModule(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.source = ingot.Generator().manual_seed(7)

    def forward(self, x):
        return x + ingot.rand(3, generator=self.source)


@captured("pytorch/pytorch#68190", **ROWS, state=["rng"], ledger=[("training", "training=self.training")])
class DropoutByTheModulesFlag(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.5, training=self.training)


@captured("pytorch/pytorch#68190", **{**ROWS, **BOTH}, state=["rng"])
class DropoutInBothModes(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.5, training=self.training) * 2


@captured("pytorch/pytorch#71929", **{**ROWS, **BOTH}, calls=9, state=["norm.running_mean", "norm.running_var"])
class ANetInBothModes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm, self.drop = nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.3)

    def forward(self, x):
        return self.drop(self.norm(self.layer(x)))


@captured("pytorch/pytorch#71929", **{**ROWS, **BOTH})
class ABranchOnTheMode(nn.Module):
    def forward(self, x):
        if self.training:
            return x * 2
        return x - x.mean()


@captured("pytorch/pytorch#71929", **ROWS, ledger=[("training", "return self.drop(x)")])
class ANetCapturedInEvaluation(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.9)
        self.eval()

    def forward(self, x):
        return self.drop(x)


@captured("pytorch/pytorch#68190", **THREE, ledger=[("grad", "if ingot.is_grad_enabled():")])
def a_path_for_recorded_gradients(x):
    if ingot.is_grad_enabled():
        return x * 2
    return x * 3


@captured("pytorch/pytorch#71929", **ROWS, state=["norm.running_var"])
class AnAverageOverAllBatches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3, momentum=None)

    def forward(self, x):
        return self.norm(x)


# ------------------------------------------------------------------------------------------------------ refused


@refused(
    "pytorch/pytorch#9069",
    **THREE,
    message="draws random numbers from Python's random state",
    line="return x * random.random()",
)
def pythons_random_numbers(x):
    return x * random.random()


@refused(
    "pytorch/pytorch#9069",
    **THREE,
    message="draws random numbers from NumPy's random state",
    line="noise = np.random.rand(3)",
)
def numpys_random_numbers(x):
    noise = np.random.rand(3)
    return x + ingot.tensor(noise)


@refused(
    "pytorch/pytorch#9069",
    **THREE,
    message="draws random numbers from self.source",
    line="return x * float(self.source.normal())",
)
class AGeneratorOfNumpys(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.source = np.random.default_rng(0)

    def forward(self, x):
        return x * float(self.source.normal())


@refused(
    "pytorch/pytorch#68190",
    **ROWS,
    message="draws random numbers from Python's random state",
    line="if self.training and random.random() < 0.1:",
)
class ALayerThatIsSometimesLeftOut(nn.Module):
    def forward(self, x):
        if self.training and random.random() < 0.1:
            return x
        return x * 2


def _augmented(x):
    order = [1.0, 2.0, 3.0]
    random.shuffle(order)
    return x * ingot.tensor(order)


@refused(
    "pytorch/pytorch#9069",
    **THREE,
    message="draws random numbers from Python's random state",
    line="random.shuffle(order)",
)
def a_shuffle_in_a_function_that_is_called(x):
    return _augmented(x)


@refused(
    "pytorch/pytorch#9069",
    **THREE,
    message="a Python branch on a tensor's value",
    line="return x * 2 if ingot.rand(()) < 0.5 else x",
)
def a_branch_of_pythons_on_a_random_tensor(x):
    return x * 2 if ingot.rand(()) < 0.5 else x


@refused(
    "pytorch/pytorch#9069",
    **THREE,
    message="get_state() of the random state in a captured program",
    line="before = ingot.get_rng_state()",
)
def a_random_state_that_is_put_back(x):
    before = ingot.get_rng_state()
    noise = ingot.rand(3)
    ingot.set_rng_state(before)
    return x + noise


@refused(
    "pytorch/pytorch#9069",
    **THREE,
    message="seed() of the random state in a captured program",
    line="start = ingot.seed()",
)
def a_seed_of_the_system(x):
    start = ingot.seed()
    return x + 0 * start


@refused(
    "pytorch/pytorch#71929",
    example=lambda: (ones(3),),
    modes=("train", "eval"),
    message="the program's result is built differently in training and in evaluation",
    line=None,
)
class MoreResultsInTraining(nn.Module):
    def forward(self, x):
        return (x, x.sum()) if self.training else x


@refused_at_call(
    "pytorch/pytorch#68190",
    example=lambda: (ones(4), False),
    bad=lambda: (ones(4), True),
    message="argument 'training' is a constant of the program",
    error=ArgumentError,
)
def a_flag_among_the_arguments(x, training):
    return F.dropout(x, 0.5, training=training)


@refused_at_call(
    "pytorch/pytorch#71929",
    **ROWS,
    bad=lambda: call(ones(4, 3), training=False),
    message="argument 'training' is not a parameter of the program",
    error=ArgumentError,
)
class ANetCapturedInTrainingAlone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(x)


# ------------------------------------------------------------------------------------------------------ checked


@checked(
    "pytorch/pytorch#9069",
    **THREE,
    message="the function differs from one run to the next",
    line="return x * (1 + os.urandom(2)[0])",
)
def random_bytes_of_the_system(x):
    return x * (1 + os.urandom(2)[0])


@checked(
    "pytorch/pytorch#9069",
    **THREE,
    message="the function differs from one run to the next",
    line="return x + ingot.tensor(np.random.default_rng().random(3))",
)
def a_generator_that_is_seeded_by_the_system(x):
    return x + ingot.tensor(np.random.default_rng().random(3))


TICKS = itertools.count(1)


@checked(
    "pytorch/pytorch#9069",
    **THREE,
    message="the function differs from one run to the next",
    line="return x * next(TICKS)",
)
def numbers_of_an_iterator(x):
    return x * next(TICKS)


@checked(
    "pytorch/pytorch#71929",
    **ROWS,
    message="for these inputs Python takes another path than the captured one",
    line="y = self.drop(x)",
)
class ALayerThatIsSwitchedOffAfterwards(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        y = self.drop(x)
        self.drop.eval()
        return y


# ------------------------------------------------------------------------------------------ generators of the user's


@captured("pytorch/pytorch#9069", **THREE, state=["first", "more.0"], script_branches=True, then=draws_anew, calls=8)
class GeneratorsInABranchAndALoop(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = ingot.Generator(device="cpu").manual_seed(1)
        self.more = [ingot.Generator().manual_seed(2)]

    def forward(self, x):
        if ingot.rand((), generator=self.first) < 0.5:
            x = x + ingot.randn(3, generator=self.first)
        for _ in range(ingot.randint(0, 4, (), generator=self.first).item()):
            x = x + ingot.rand(3, generator=self.more[0])
        return x


@refused(
    "pytorch/pytorch#9069",
    example=lambda: (ones(3), ingot.Generator().manual_seed(1)),
    error=ArgumentError,
    message="a Generator cannot be an argument",
    line=None,
)
def a_generator_as_an_argument(x, generator):
    return x + ingot.rand(3, generator=generator)
