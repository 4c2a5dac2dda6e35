"""Replay surprises where inputs, results and state share memory: a later call changes what an earlier one gave."""

from __future__ import annotations

import ingot
import numpy as np
from capture_corpus import captured, checked, ones, randn, refused, refused_at_call, zeros
from ingot import nn
from ingot.ir.errors import ArgumentError

THREE = {"example": lambda: (ones(3),)}
PAIR = {"example": lambda: (ones(3), ones(3) * 2)}


def tensors_of(value):
    if isinstance(value, ingot.Tensor):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else ()
    return [tensor for item in items for tensor in tensors_of(item)]


def results_stand_alone(program):
    """What calls give shares no memory: not with other results, nor with inputs or state; and it can be written."""
    given = [[ones(3) * (k + 1) for _ in program.signature.parameters] for k in range(3)]
    results = [program(*args) for args in given]
    kept = [[tensor.numpy().copy() for tensor in tensors_of(result)] for result in results]
    arrays = [tensor.numpy() for result in results for tensor in tensors_of(result)]
    others = [tensor.numpy() for args in given for tensor in args] + [x.numpy() for x in program.state.values()]
    for i, array in enumerate(arrays):
        assert not any(np.may_share_memory(array, other) for other in (*arrays[:i], *others))
    for result, arrays_before in zip(results, kept, strict=True):
        for tensor, before in zip(tensors_of(result), arrays_before, strict=True):
            np.testing.assert_array_equal(tensor.numpy(), before)
            tensor.add_(100)
    again = [tensor.numpy() for tensor in tensors_of(program(*given[0]))] if not program.graph.updates else kept[0]
    for found, before in zip(again, kept[0], strict=True):
        np.testing.assert_array_equal(found, before)


STANDS_ALONE = {"then": results_stand_alone}


# ----------------------------------------------------------------------------------------------------- captured


@captured("tinygrad/tinygrad#7020", **THREE, **STANDS_ALONE)
def two_results_compared(x):
    return x + 1


@captured("tinygrad/tinygrad#6803", **THREE, **STANDS_ALONE)
def an_input_that_is_the_result(x):
    return x


@captured("tinygrad/tinygrad#6803", **THREE, **STANDS_ALONE)
def one_result_under_two_names(x):
    y = x * 2
    return {"a": y, "b": y, "all": (y, [y])}


@captured("tinygrad/tinygrad#7637", **THREE, **STANDS_ALONE)
def a_result_and_views_of_it(x):
    y = x.relu()
    return y, y[1:], y.flip(0), y.expand(2, 3), y.reshape(3, 1)


@captured("tinygrad/tinygrad#7637", **THREE, **STANDS_ALONE)
def views_of_an_input(x):
    return x[:2], x.detach(), x.view(3, 1).t(), x.contiguous(), x.to(ingot.float32)


CONSTANTS = [ingot.full((3,), 4.0)]


@captured("tinygrad/tinygrad#6803", **THREE, **STANDS_ALONE)
def a_constant_that_is_the_result(x):
    return CONSTANTS[0], CONSTANTS[0][1:], x * 1


@captured("tinygrad/tinygrad#7637", **THREE, **STANDS_ALONE)
class AWeightThatIsTheResult(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(ones(3))

    def forward(self, x):
        return self.weight.detach(), self.weight.detach()[1:], x * self.weight.detach()


@captured("tinygrad/tinygrad#6803", **THREE, **STANDS_ALONE, state=["total"])
class TheOldStateAndTheNew(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", zeros(3))

    def forward(self, x):
        before = self.total
        self.total = self.total + x
        return before, self.total


@captured("tinygrad/tinygrad#6803", **THREE, state=["total"])
class StateThatIsReturnedAndThenChanged(nn.Module):
    """The function's own first result changes with the second change: so does the program's."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", zeros(3))

    def forward(self, x):
        self.total.add_(x)
        shown = self.total
        kept = self.total.clone()
        self.total.mul_(2)
        return shown.clone(), kept


@captured("tinygrad/tinygrad#7637", **PAIR, fresh=lambda rng: (x := randn(rng, 3), x), then=results_stand_alone)
def one_tensor_for_two_inputs(x, y):
    return x * 2 + y


def _overlapping(rng):
    memory = randn(rng, 6)
    return memory[:3], memory[2:5]


@captured("tinygrad/tinygrad#7637", **PAIR, fresh=_overlapping)
def inputs_that_overlap(x, y):
    return x.exp() + y, x - y.exp()


@captured(
    "tinygrad/tinygrad#7637",
    **PAIR,
    fresh=lambda rng: (
        randn(rng, 1).expand(3),
        ingot.from_numpy(rng.standard_normal(6).astype(np.float32)[::-2].copy()),
    ),
)
def inputs_of_odd_strides(x, y):
    return (x + y).tanh() * x


def fed_its_own_results(program):
    x = zeros(3)
    for _ in range(5):
        x = program(x)
    assert x.tolist() == [5.0] * 3


@captured("tinygrad/tinygrad#7020", **THREE, then=fed_its_own_results)
def a_result_that_is_the_next_input(x):
    return (x.clone().add_(0.25) + 0.75).reshape(3)


def given_its_own_state(program):
    before = program.state["total"]
    kept = before.numpy().copy()
    found = program(before)
    np.testing.assert_array_equal(found.numpy(), kept + 2 * kept)
    np.testing.assert_array_equal(program.state["total"].numpy(), 2 * kept)


@captured("tinygrad/tinygrad#7637", **THREE, state=["total"], then=given_its_own_state)
class AnInputThatIsTheProgramsState(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", ones(3))

    def forward(self, x):
        self.total += x
        return self.total + x


@captured("tinygrad/tinygrad#6803", **THREE, mutates="write_back")
def a_changed_input_and_a_view_of_it_as_results(x):
    head = x[:2]
    x.mul_(2)
    head.add_(1)
    return x * 1, head * 1


@captured("tinygrad/tinygrad#6803", example=lambda: (ones(3), 1.0), script_branches=True)
def the_same_memory_from_both_sides(x, scale):
    if x.sum() > 0:
        y = x
    else:
        y = x.flip(0)
    return y, x


@captured("tinygrad/tinygrad#6803", **THREE, calls=8, script_branches=True)
def memory_that_a_branch_shares_and_nobody_else_reads(x):
    z = x * 1
    y = z if x.sum() > 0 else x * 2
    y += 1
    return y


@captured(
    "tinygrad/tinygrad#6803",
    example=lambda: (ones(3), ingot.tensor(2)),
    fresh=lambda rng: (randn(rng, 3), ingot.tensor(int(rng.integers(0, 4)))),
    calls=8,
    script_branches=True,
)
def a_window_of_a_cache_that_is_filled(x, filled):
    cache = zeros(4, 3)
    cache[0] = x
    keys = cache[:2] if filled > 1 else ones(2, 3)
    weights = keys.sum(1)
    cache[filled] = x * weights.sum()
    return cache, weights


# ------------------------------------------------------------------------------------------------------ refused


@refused_at_call(
    "tinygrad/tinygrad#7637",
    **PAIR,
    mutates="write_back",
    bad=lambda: (x := ones(3), x),
    message="two arguments share memory, and the program changes one of them in place",
    error=ArgumentError,
)
def one_of_two_inputs_changed(x, y):
    x.add_(1)
    return x * y


def _halves():
    memory = ones(5)
    return memory[2:], memory[:3]


@refused_at_call(
    "tinygrad/tinygrad#7637",
    **PAIR,
    mutates="copy",
    bad=_halves,
    message="two arguments share memory, and the program changes one of them in place",
    error=ArgumentError,
)
def one_of_two_inputs_changed_in_a_copy(x, y):
    y[0] = 7
    return x + y


@refused_at_call(
    "tinygrad/tinygrad#6803",
    **THREE,
    mutates="write_back",
    bad=lambda: (ones(1).expand(3),),
    message="the program writes to an argument that is read-only",
    error=ArgumentError,
)
def an_input_whose_elements_share_memory(x):
    x.mul_(2)
    return x.sum()


def _same_twice():
    x = ones(3)
    return x, x


@refused(
    "tinygrad/tinygrad#7637",
    example=_same_twice,
    mutates="write_back",
    message="changes its input 'x' in place, which shares memory with input 'y'",
    line="x.add_(1)  # and y",
)
def an_example_with_one_tensor_twice(x, y):
    x.add_(1)  # and y
    return x * y


WEIGHT = ones(3)


@refused(
    "tinygrad/tinygrad#7637",
    example=lambda: (WEIGHT,),
    mutates="copy",
    message="changes its input 'x' in place, which shares memory with state 'WEIGHT'",
    line="x = x.mul_(1)",
)
def an_example_that_is_state(x):
    x = x.mul_(1)
    return x + WEIGHT


@refused(
    "tinygrad/tinygrad#6803",
    example=lambda: (WEIGHT,),
    message="changes state in place that is its input 'x' as well",
    line="WEIGHT.mul_(1)",
)
def state_that_is_the_example(x):
    WEIGHT.mul_(1)
    return x + WEIGHT


@refused(
    "tinygrad/tinygrad#7637",
    **THREE,
    dynamic_shapes={0: "n"},
    message="changes a reshaped tensor, or its origin, in place",
    line="flat.add_(1)",
)
def a_reshape_that_is_a_copy_at_some_sizes(x):
    wide = (x * ones(2, 1)).t()
    flat = wide.reshape(-1)
    flat.add_(1)
    return wide, flat


@refused(
    "tinygrad/tinygrad#6803",
    **THREE,
    message="shares its memory with another, or not, as the run decides, and the other is used",
    line="return y, z * 2",
    script_branches=True,
)
def memory_that_a_branch_shares_and_somebody_reads(x):
    z = x * 1
    y = z if x.sum() > 0 else x * 2
    y += 1
    return y, z * 2


@refused(
    "tinygrad/tinygrad#6803",
    example=lambda: (ones(3), ingot.tensor(2)),
    message="shares its memory with another, or not, as the run decides, and the other is used",
    line="x = x + z  # y of the iteration before",
    script_branches=True,
)
def memory_that_iterations_share(x, count):
    y, z = x * 1, x * 2
    for _ in range(count.item()):
        y += 1
        x = x + z  # y of the iteration before
        y = y * 2
        z = y
    return x


@refused(
    "tinygrad/tinygrad#6803",
    example=lambda: ([ones(3), zeros(3)],),
    message="changes its argument 'parts', a list, in place",
    line="parts[0], parts[1] = parts[1], parts[0]",
)
def inputs_that_change_places(parts):
    parts[0], parts[1] = parts[1], parts[0]
    return parts[0] + 2 * parts[1]


# ------------------------------------------------------------------------------------------------------ checked


@checked(
    "tinygrad/tinygrad#7637",
    example=_same_twice,
    message="for these inputs Python takes another path than the captured one",
    line="if x is y:",
)
def a_path_for_one_tensor_twice(x, y):
    if x is y:
        return x * 2
    return x - y


@checked(
    "tinygrad/tinygrad#7637",
    **PAIR,
    message="for these inputs Python takes another path than the captured one",
    line="if np.shares_memory(x._array, y._array):",
)
def a_path_for_shared_memory(x, y):
    if np.shares_memory(x._array, y._array):
        return x * 2
    return x - y
