"""Errors about dynamic sizes say which relation failed, at which line, and what to do."""

from __future__ import annotations

from capture_corpus import captured, ones, randn, refused, refused_at_call
from ingot.ir.errors import ArgumentError
from ingot.jit import Dim

ROWS = {"dynamic_shapes": {"x": {0: "rows"}}}
TWO = {"dynamic_shapes": {"x": {0: "a"}, "y": {0: "b"}}}
FACTORS = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]


def even(rng):
    return (randn(rng, 2 * rng.integers(1, 5), 3),)


def any_rows(rng):
    return (randn(rng, rng.integers(1, 9), 3),)


def equal_rows(rng):
    rows = rng.integers(1, 9)
    return randn(rng, rows, 3), randn(rng, rows, 3)


@refused_at_call(
    "pytorch/pytorch#157355",
    example=lambda: (ones(4, 3),),
    fresh=even,
    bad=lambda: (ones(5, 3),),
    message="traced assuming rows % 2 == 0",
    line="return x.reshape(2, -1)",
    **ROWS,
)
def a_reshape_into_two(x):
    return x.reshape(2, -1)


@refused_at_call(
    "pytorch/pytorch#157355",
    example=lambda: (ones(4, 3),),
    fresh=even,
    bad=lambda: (ones(5, 3),),
    message="got rows = 5",
    line="if x.shape[0] % 2 == 0:",
    **ROWS,
)
def a_branch_on_an_even_size(x):
    if x.shape[0] % 2 == 0:
        return x[::2] + x[1::2]
    return x


@captured(
    "pytorch/pytorch#157355", example=lambda: (ones(4, 3),), fresh=any_rows, calls=8, script_branches=True, **ROWS
)
def a_scripted_branch_on_an_even_size(x):
    if x.shape[0] % 2 == 0:
        return x.sum(0)
    return x.mean(0)


@refused_at_call(
    "pytorch/pytorch#143222",
    example=lambda: (ones(4, 3), ones(4, 3)),
    fresh=equal_rows,
    bad=lambda: (ones(4, 3), ones(5, 3)),
    message="traced assuming a == b",
    line="return x + y",
    **TWO,
)
def two_sizes_that_turn_out_equal(x, y):
    return x + y


@refused_at_call(
    "pytorch/pytorch#143222",
    example=lambda: (ones(4, 3), ones(4, 3)),
    fresh=equal_rows,
    bad=lambda: (ones(4, 3), ones(5, 3)),
    message="input y has another size at dimension 0",
    dynamic_shapes={"x": {0: "rows"}, "y": {0: "rows"}},
)
def two_sizes_of_one_name(x, y):
    return x + y


@captured(
    "pytorch/pytorch#143222",
    example=lambda: (ones(4, 3), ones(2, 3)),
    fresh=lambda rng: (lambda half: (randn(rng, 2 * half, 3), randn(rng, half, 3)))(rng.integers(1, 5)),
    dynamic_shapes={"x": {0: 2 * Dim("half")}, "y": {0: Dim("half")}},
)
def a_size_that_is_twice_another(x, y):
    return x[::2] + y


@refused_at_call(
    "pytorch/pytorch#153955",
    example=lambda: (ones(4, 3),),
    fresh=lambda rng: (randn(rng, rng.integers(2, 9), 3),),
    bad=lambda: (ones(9, 3),),
    message="size rows is out of its bounds",
    dynamic_shapes={"x": {0: Dim("rows", min=2, max=8)}},
)
def a_size_out_of_its_bounds(x):
    return x * x.shape[0]


@refused_at_call(
    "pytorch/pytorch#153955",
    example=lambda: (ones(2, 6),),
    fresh=lambda rng: (randn(rng, 2, rng.integers(6, 12)),),
    bad=lambda: (ones(2, 5),),
    message="traced assuming time > 5",
    line="return x[:, 5]",
    dynamic_shapes={"x": {1: "time"}},
)
def an_index_that_needs_a_size(x):
    return x[:, 5]


@captured(
    "pytorch/pytorch#153955",
    example=lambda: (ones(2, 6),),
    fresh=lambda rng: (randn(rng, 2, rng.integers(1, 12)),),
    calls=8,
    dynamic_shapes={"x": {1: "time"}},
)
def a_slice_that_needs_no_size(x):
    return x[:, :5].sum(1), x[:, -2:]


@refused_at_call(
    "pytorch/pytorch#157355",
    example=lambda: (ones(4, 3),),
    fresh=lambda rng: (randn(rng, 4, 3),),
    bad=lambda: (ones(5, 3),),
    message="traced assuming rows == 4",
    line="return x * int(x.shape[0])",
    specialize_ok=("rows",),
    **ROWS,
)
def a_size_that_may_be_fixed(x):
    return x * int(x.shape[0])


@refused(
    "pytorch/pytorch#157355",
    example=lambda: (ones(4, 3),),
    message="the dynamic size 'rows' was fixed to 4",
    line="count = int(x.shape[0])",
    **ROWS,
)
def a_size_made_a_plain_number(x):
    count = int(x.shape[0])
    return x * count


@refused(
    "pytorch/pytorch#143222",
    example=lambda: (ones(4, 3), ones(4, 3)),
    message="traced assuming rows == 4",
    line="return x + y",
    **ROWS,
)
def a_static_size_beside_a_dynamic_one(x, y):
    return x + y


@refused(
    "pytorch/pytorch#157355",
    example=lambda: (ones(4, 3),),
    message="the dynamic size 'rows' was fixed to 4",
    line="for i in range(x.shape[0]):",
    **ROWS,
)
def a_plain_loop_over_a_size(x):
    total = x[0] * 0
    for i in range(x.shape[0]):
        total = total + x[i] * i
    return total


@refused(
    "pytorch/pytorch#153955",
    example=lambda: (ones(4, 3),),
    message="Python needs a plain integer here",
    line="return x * FACTORS[x.shape[0]]",
    **ROWS,
)
def a_size_that_picks_from_a_list(x):
    return x * FACTORS[x.shape[0]]


@refused(
    "pytorch/pytorch#143222",
    example=lambda: (ones(4, 3),),
    message="dynamic_shapes: no argument 'z'",
    line=None,
    error=ArgumentError,
    dynamic_shapes={"z": {0: "rows"}},
)
def a_dynamic_size_of_no_argument(x):
    return x * 2
