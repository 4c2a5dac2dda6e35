"""A trace is silently wrong on control flow: it keeps the path that the example took."""

from __future__ import annotations

import ingot
from capture_corpus import call, captured, integers, ones, randn, refused, refused_at_call, zeros
from ingot import nn


@refused(
    "pytorch/pytorch#10841",
    example=lambda: (ones(3),),
    message="a Python branch on a tensor's value",
    line="if x.sum() > 0:  # refused",
)
def branch_on_the_sum(x):
    if x.sum() > 0:  # refused
        return x * 2
    return x - 1


@captured("pytorch/pytorch#10841", example=lambda: (ones(3),), script_branches=True)
def scripted_branch_on_the_sum(x):
    if x.sum() > 0:
        return x * 2
    return x - 1


@refused(
    "pytorch/pytorch#10841",
    example=lambda: (ones(3) * 4,),
    message="a Python branch on a tensor's value",
    line="while x.norm() > 1:  # refused",
)
def loop_until_the_norm_is_small(x):
    while x.norm() > 1:  # refused
        x = x / 2
    return x


@captured(
    "pytorch/pytorch#10841",
    example=lambda: (ones(3) * 4,),
    fresh=lambda rng: (randn(rng, 3) * 10.0 ** rng.integers(-2, 4),),
    script_branches=True,
)
def scripted_loop_until_the_norm_is_small(x):
    steps = 0
    while x.norm() > 1:
        x = x / 2
        steps += 1
    return x, steps


@refused(
    "pytorch/pytorch#10841",
    example=lambda: (ones(3),),
    message="a Python branch on a tensor's value",
    line="return x if x.mean() > 0 else -x",
)
def conditional_expression(x):
    return x if x.mean() > 0 else -x


@refused(
    "pytorch/pytorch#23498",
    example=lambda: (ones(3), ones(3)),
    message="a Python branch on a tensor's value",
    line="return x.max() and y.max()",
)
def the_last_operand_of_and(x, y):
    return x.max() and y.max()


@refused(
    "pytorch/pytorch#23498",
    example=lambda: (ones(()), zeros(())),
    message="a Python branch on a tensor's value",
    line="return max(x, y) * 2",
)
def the_builtin_max_of_tensors(x, y):
    return max(x, y) * 2


@refused(
    "pytorch/pytorch#23498",
    example=lambda: (ones(3),),
    message="a Python branch on a tensor's value",
    line="return sorted(x, key=lambda item: -item)",
)
def the_builtin_sorted_over_elements(x):
    return sorted(x, key=lambda item: -item)


@refused(
    "pytorch/pytorch#23498",
    example=lambda: (ones(3) * 2,),
    message="a Python branch on",
    line="if peak > 1:  # refused",
)
def branch_on_an_item(x):
    peak = x.max().item()
    if peak > 1:  # refused
        x = x / peak
    return x


@captured(
    "pytorch/pytorch#23498",
    example=lambda: (ones(3) * 2,),
    fresh=lambda rng: (randn(rng, 3) * 10.0 ** rng.integers(-2, 3),),
    script_branches=True,
)
def scripted_branch_on_an_item(x):
    peak = x.max().item()
    if peak > 1:
        x = x / peak
    return x


@refused(
    "pytorch/pytorch#10841",
    example=lambda: (ones(3),),
    message="a Python branch on a tensor's value",
    line="assert (x > 0).all()",
)
def an_assertion_on_values(x):
    assert (x > 0).all()
    return x.log()


@captured(
    "pytorch/pytorch#10841",
    example=lambda: (ones(3),),
    fresh=lambda rng: (randn(rng, 3) + 1.5 - 2.0 * rng.integers(0, 2),),
    calls=8,
    script_branches=True,
    raises="the logarithm needs positive numbers",
)
def scripted_assertion_on_values(x):
    assert (x > 0).all(), "the logarithm needs positive numbers"
    return x.log()


class OutOfTheBox(ValueError):
    """A class of the user's: programs raise the built-in one that it derives from."""


@captured(
    "pytorch/pytorch#10841",
    example=lambda: (ones(3),),
    fresh=lambda rng: (randn(rng, 3) * 2,),
    calls=12,
    script_branches=True,
    raises="of the numbers",
)
def scripted_exceptions_of_several_classes(x):
    if x.sum() > 4:
        if x.max() > 4:
            raise OverflowError("one of the numbers is large")
        raise OutOfTheBox("the sum of the numbers is large")
    if x.min() < -3:
        raise KeyError("the least of the numbers")
    return x * 2


def unless_it_is_negative(x):
    for number in x:
        if number < 0:
            raise ArithmeticError("the root of the numbers")
    return x.sqrt()


@captured(
    "pytorch/pytorch#10841",
    example=lambda: (ones(3),),
    fresh=lambda rng: (randn(rng, rng.integers(1, 4)) + 0.7,),
    calls=12,
    script_branches=True,
    dynamic_shapes={"x": {0: "n"}},
    raises="of the numbers",
)
def scripted_exception_in_a_loop_of_another_function(x):
    return unless_it_is_negative(x) + 1


@captured(
    "pytorch/pytorch#21774",
    example=lambda: (ones(3, 4),),
    fresh=lambda rng: (randn(rng, rng.integers(3, 9), 4),),
    dynamic_shapes={"x": {0: ingot.jit.Dim("rows", min=3)}},
)
def branch_on_a_size_that_bounds_decide(x):
    if x.shape[0] > 2:
        return x[2:]
    return x


@refused_at_call(
    "pytorch/pytorch#21774",
    example=lambda: (ones(5, 4),),
    fresh=lambda rng: (randn(rng, rng.integers(3, 9), 4),),
    bad=lambda: (ones(2, 4),),
    message="rows > 2",
    line="if x.shape[0] > 2:  # assumed",
    dynamic_shapes={"x": {0: "rows"}},
)
def branch_on_a_size_that_calls_must_keep_to(x):
    if x.shape[0] > 2:  # assumed
        return x[2:]
    return x


@captured(
    "pytorch/pytorch#21774",
    example=lambda: (ones(5, 4),),
    fresh=lambda rng: (randn(rng, rng.integers(1, 6), 4),),
    calls=8,
    dynamic_shapes={"x": {0: "rows"}},
    script_branches=True,
)
def scripted_branch_on_a_size(x):
    if x.shape[0] > 2:
        return x[2:].sum(0)
    return x.sum(0) * 2


@refused_at_call(
    "pytorch/pytorch#23498",
    example=lambda: call(ones(3), negate=True),
    fresh=lambda rng: call(randn(rng, 3), negate=True),
    bad=lambda: call(ones(3), negate=False),
    message="argument 'negate' is a constant of the program",
)
def branch_on_a_python_flag(x, *, negate):
    return -x if negate else x


@captured(
    "pytorch/pytorch#23498",
    example=lambda: call(ones(3), negate=ingot.jit.runtime(True)),
    fresh=lambda rng: call(randn(rng, 3), negate=bool(rng.integers(0, 2))),
    calls=6,
    script_branches=True,
)
def scripted_branch_on_a_flag_of_the_call(x, *, negate):
    return -x if negate else x


@refused(
    "pytorch/pytorch#23498",
    example=lambda: call(ones(3), negate=ingot.jit.runtime(True)),
    message="branch",
    line="if negate:  # refused",
)
def branch_on_a_flag_of_the_call(x, negate):
    if negate:  # refused
        return -x
    return x


@refused_at_call(
    "pytorch/pytorch#21774",
    example=lambda: (ones(3), None),
    fresh=lambda rng: (randn(rng, 3), None),
    bad=lambda: (ones(3), ones(3)),
    message="argument 'bias'",
)
def branch_on_whether_an_argument_is_given(x, bias):
    return x if bias is None else x + bias


@refused_at_call(
    "pytorch/pytorch#21774",
    example=lambda: (ones(3, dtype=ingot.float16),),
    bad=lambda: (ones(3),),
    message="f16",
)
def branch_on_a_dtype(x):
    return x.float().sum() if x.dtype == ingot.float16 else x.sum()


@captured(
    "pytorch/pytorch#21774",
    example=lambda: (ones(6), integers_(3)),
    fresh=lambda rng: (randn(rng, 6), integers(rng, 0, 6)),
)
def an_element_chosen_by_data(x, place):
    return x[place.item()] * 2


def integers_(value):
    return ingot.tensor(value)


@captured("pytorch/pytorch#10841", example=lambda: (ones(3),))
def both_sides_given_as_functions(x):
    return ingot.cond(x.sum() > 0, lambda x: x * 2, lambda x: x - 1, (x,))


@captured(
    "pytorch/pytorch#21774",
    example=lambda: (ones(4, 3), ingot.tensor(3)),
    fresh=lambda rng: (randn(rng, 4, 3), integers(rng, 0, 5)),
    calls=8,
    script_branches=True,
)
def scripted_loop_that_the_data_bound(x, count):
    total = ingot.zeros(3)
    for i in range(count.item()):
        total = total + x[i]
    return total


@refused(
    "pytorch/pytorch#21774",
    example=lambda: (ones(4, 3), ingot.tensor(3)),
    message="range",
    line="for i in range(count.item()):  # refused",
)
def loop_that_the_data_bound(x, count):
    total = ingot.zeros(3)
    for i in range(count.item()):  # refused
        total = total + x[i]
    return total


@refused(
    "pytorch/pytorch#23498",
    example=lambda: (ones(3),),
    message="the program depends on first, which it sets to another value",
    line="if self.first:  # only at the first call",
)
class BranchOnTheFirstCall(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = True

    def forward(self, x):
        if self.first:  # only at the first call
            self.first = False
            return x * 0.5
        return x.relu()


@captured(
    "pytorch/pytorch#23498",
    example=lambda: (ones(3),),
    fresh=lambda rng: (ingot.cat([randn(rng, 2).clamp(max=1.0), ones(1)]),),
    ledger=[("item", "if float(x.max()) > 0.5:  # frozen")],
    frozen_ok="the largest element is 1 in all data",
    check=False,
)
def a_branch_frozen_on_purpose(x):
    if float(x.max()) > 0.5:  # frozen
        return x * 2
    return x


@refused(
    "pytorch/pytorch#10841",
    example=lambda: (ones(3),),
    message="a Python branch on a tensor's value",
    line="return x * 2 if x.sum() > 0 else x",
)
def a_branch_whose_refusal_is_caught(x):
    try:
        return x * 2 if x.sum() > 0 else x
    except Exception:
        return x - 1


@refused(
    "pytorch/pytorch#10841",
    example=lambda: (ones(3),),
    message="hashing takes a tensor's value out of the program",
    line="return x * {1.0: 2.0}.get(x.max().item(), 5.0)",
)
def a_factor_looked_up_by_an_item(x):
    return x * {1.0: 2.0}.get(x.max().item(), 5.0)


@captured("pytorch/pytorch#23498", example=lambda: (ones(3),))
def a_branch_on_the_type_of_an_item(x):
    peak, place, positive = x.max().item(), x.argmax().item(), (x > 0).any().item()
    if isinstance(peak, float) and isinstance(place, int) and isinstance(positive, bool):
        return x / peak + place
    return x
