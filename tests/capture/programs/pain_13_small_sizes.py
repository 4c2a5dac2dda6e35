"""Sizes 0 and 1 of the example become facts: broadcast, squeezed, left out; and programs fail on empty inputs."""

from __future__ import annotations

import ingot
from capture_corpus import captured, ones, randn, refused, refused_at_call
from ingot import nn
from ingot.ir.errors import IngotError, ShapeError
from ingot.nn import functional as F

THREAD = "huggingface/optimum#2219"
ROWS = {"dynamic_shapes": {"x": {0: "rows"}}}


def rows(rng, low=0):
    return (randn(rng, rng.integers(low, 6), 3),)


@captured(THREAD, example=lambda: (ones(1, 3),), fresh=rows, calls=8, script_branches=True, **ROWS)
def an_example_of_one_row(x):
    return x.sum(0) / max(x.shape[0], 1), x.softmax(0), x * 2


@captured(THREAD, example=lambda: (ones(0, 3),), fresh=rows, calls=8, **ROWS)
def an_example_without_rows(x):
    return x.sum(0), x.relu(), ingot.cat([x, ingot.ones(1, 3)])


@captured(THREAD, example=lambda: (ones(4, 3),), fresh=rows, calls=8, **ROWS)
def an_empty_input_later(x):
    return x.cumsum(0), x.reshape(-1), x[:2], x.T


@captured(
    THREAD,
    example=lambda: (ones(2, 1, 4), ones(2, 0, 4)),
    fresh=lambda rng: (randn(rng, 2, rng.integers(1, 4), 4), randn(rng, 2, rng.integers(0, 4), 4)),
    calls=8,
    dynamic_shapes={"x": {1: "time"}, "past": {1: "past"}},
)
class ACacheThatIsEmptyAtFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.query = nn.Linear(4, 4)

    def forward(self, x, past):
        keys = ingot.cat([past, x], dim=1)
        return (self.query(x) @ keys.transpose(1, 2)).softmax(-1) @ keys, keys


@captured(THREAD, example=lambda: (ones(1, 3),), fresh=rows, calls=8, script_branches=True, **ROWS)
def a_scripted_branch_on_one_row(x):
    if x.shape[0] == 1:
        y = x[0] * 10
    else:
        y = x.sum(0)
    return y


@captured(THREAD, example=lambda: (ones(1, 3),), fresh=rows, calls=8, script_branches=True, **ROWS)
def a_loop_of_no_iterations(x):
    total, steps = ingot.zeros(3), 0
    for row in x:
        total = total * 0.5 + row
        steps += 1
    return total, steps


@captured(THREAD, example=lambda: (ones(1, 3),), fresh=lambda rng: rows(rng, 1), calls=8, script_branches=True, **ROWS)
def a_list_of_one_row(x):
    found = []
    for row in x:
        found.append(row * 2)
    return ingot.stack(found), len(found)


@captured(
    THREAD,
    example=lambda: (ones(1, 1, 3),),
    fresh=lambda rng: (randn(rng, rng.integers(1, 4), rng.integers(1, 4), 3),),
    calls=8,
    dynamic_shapes={"x": {0: "batch", 1: "time"}},
)
class LayersOnOneOfEach(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4)
        self.norm = nn.LayerNorm(4)

    def forward(self, x):
        y = self.norm(self.layer(x))
        return y.transpose(0, 1).reshape(-1, 4), y.mean((0, 1), keepdim=True)


@refused_at_call(
    THREAD,
    example=lambda: (ones(4, 3),),
    fresh=lambda rng: rows(rng, 2),
    bad=lambda: (ones(1, 3),),
    message="traced assuming rows != 1",
    line="return x.squeeze(0) * 2",
    **ROWS,
)
def a_squeeze_of_many_rows(x):
    return x.squeeze(0) * 2


@refused_at_call(
    THREAD,
    example=lambda: (ones(1, 3), ones(1, 3)),
    fresh=lambda rng: (lambda n: (randn(rng, n, 3), randn(rng, n, 3)))(rng.integers(1, 6)),
    bad=lambda: (ones(1, 3), ones(4, 3)),
    message="traced assuming a == b",
    line="return x + y",
    dynamic_shapes={"x": {0: "a"}, "y": {0: "b"}},
)
def two_sizes_of_one_in_the_example(x, y):
    return x + y


@refused_at_call(
    THREAD,
    example=lambda: (ones(1, 1, 4, 4),),
    fresh=lambda rng: (randn(rng, 1, 1, rng.integers(2, 9), 4),),
    bad=lambda: (ones(1, 1, 1, 4),),
    message="got height = 1",
    line="return F.avg_pool2d(x, 2)",
    dynamic_shapes={"x": {2: "height"}},
)
def a_pool_of_nothing(x):
    return F.avg_pool2d(x, 2)


@refused_at_call(
    THREAD,
    example=lambda: (ones(4, 3),),
    fresh=lambda rng: rows(rng, 1),
    bad=lambda: (ones(0, 3),),
    message="amax",
    line="return x.amax(0)",
    error=IngotError,
    **ROWS,
)
def an_extreme_of_nothing(x):
    return x.amax(0)


@refused(
    THREAD,
    example=lambda: (ones(1, 3),),
    message="the dynamic size 'rows' was fixed to 1",
    line="return x.squeeze(0)",
    **ROWS,
)
def a_squeeze_of_one_row(x):
    return x.squeeze(0)


@refused(
    THREAD,
    example=lambda: (ones(1, 3),),
    message="sizes do not broadcast",
    line="return x + ingot.ones(4, 3)",
    error=ShapeError,
    **ROWS,
)
def a_row_that_broadcasts(x):
    return x + ingot.ones(4, 3)


@refused(
    THREAD,
    example=lambda: (ones(4, 1),),
    message="only a dimension of size 1 can be expanded",
    line="return x.expand(-1, 5)",
    error=ShapeError,
    dynamic_shapes={"x": {1: "width"}},
)
def a_column_that_is_expanded(x):
    return x.expand(-1, 5)


@refused(
    THREAD,
    example=lambda: (ones(4, 3),),
    message="the dynamic size 'rows' was fixed to 4",
    line="return x + ingot.ones(4, 3)",
    **ROWS,
)
def rows_that_meet_as_many(x):
    return x + ingot.ones(4, 3)
