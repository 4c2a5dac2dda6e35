"""Sizes are hard-coded: what Python computes from a shape is a number of the example for ever."""

from __future__ import annotations

import math

import ingot
import numpy as np
from capture_corpus import captured, ones, randn, refused, refused_at_call
from ingot import nn
from ingot.jit import Dim
from ingot.nn import functional as F

TABLE = ingot.arange(40, dtype=ingot.float32).reshape(10, 4)


@captured(
    "pytorch/pytorch#12579",
    example=lambda: (ones(3, 2, 4),),
    fresh=lambda rng: (randn(rng, rng.integers(1, 9), 2, 4),),
    dynamic_shapes={"x": {0: "batch"}},
)
def flattened_by_the_batch_size(x):
    return x.view(x.shape[0], -1)


@captured(
    "pytorch/pytorch#15319",
    example=lambda: (ones(3, 4, 6),),
    fresh=lambda rng: (randn(rng, rng.integers(1, 5), rng.integers(1, 7), 6),),
    dynamic_shapes={"x": {0: "batch", 1: "time"}},
)
def heads_split_off_and_merged(x):
    batch, time, width = x.size()
    heads = x.reshape(batch, time, 2, width // 2).transpose(1, 2)
    return (heads * 2).transpose(1, 2).reshape(batch * time, width)


@captured(
    "pytorch/pytorch#38472",
    example=lambda: (ones(3, 4),),
    fresh=lambda rng: (randn(rng, rng.integers(1, 9), 4),),
    dynamic_shapes={"x": {0: "batch"}},
)
class StateMadeForTheBatch(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.Linear(4 + 5, 5)

    def forward(self, x):
        hidden = ingot.zeros(x.shape[0], 5)
        for _ in range(2):
            hidden = self.cell(ingot.cat([x, hidden], dim=1)).tanh()
        return hidden


@refused_at_call(
    "pytorch/pytorch#59530",
    example=lambda: (ones(3, 4),),
    fresh=lambda rng: (randn(rng, rng.integers(1, 11), 4),),
    bad=lambda: (ones(11, 4),),
    message="11",
    dynamic_shapes={"x": {0: Dim("time", min=1, max=10)}},
)
def positions_looked_up_in_a_table(x):
    return x + TABLE[ingot.arange(x.shape[0])]


@refused_at_call(
    "pytorch/pytorch#59530",
    example=lambda: (ones(3, 4),),
    fresh=lambda rng: (randn(rng, rng.integers(1, 11), 4),),
    bad=lambda: (ones(11, 4),),
    message="time <= 10",
    line="return x + TABLE[: x.shape[0]]",
    dynamic_shapes={"x": {0: "time"}},
)
def positions_sliced_from_a_table(x):
    return x + TABLE[: x.shape[0]]


@captured(
    "pytorch/pytorch#15319",
    example=lambda: (ones(3, 4),),
    fresh=lambda rng: (randn(rng, rng.integers(1, 9), rng.integers(1, 9)),),
    dynamic_shapes={"x": {0: "rows", 1: "columns"}},
)
def means_by_division_by_sizes(x):
    return x.sum(0) / x.shape[0], x.sum() / x.numel(), (x * x.shape[1] ** -0.5).sum(1)


@captured(
    "pytorch/pytorch#15319",
    example=lambda: (ones(1, 1, 4, 6),),
    fresh=lambda rng: (randn(rng, 1, 1, rng.integers(2, 8), rng.integers(2, 8)),),
    dynamic_shapes={"x": {2: Dim("height", min=2), 3: Dim("width", min=2)}},
)
def upsampled_to_twice_the_size(x):
    small = F.max_pool2d(x, 2)
    return F.interpolate(small, size=(x.shape[2], x.shape[3]), mode="nearest"), F.interpolate(
        x, size=(2 * x.shape[2], 2 * x.shape[3])
    )


@captured(
    "pytorch/pytorch#59530",
    example=lambda: (ones(2, 5),),
    fresh=lambda rng: (randn(rng, 2, rng.integers(1, 20)),),
    calls=9,
    dynamic_shapes={"x": {1: "time"}},
)
def padded_to_a_multiple_of_eight(x):
    padded = F.pad(x, (0, -x.shape[1] % 8))
    return padded.reshape(2, padded.shape[1] // 8, 8).sum(-1)


@captured(
    "pytorch/pytorch#38472",
    example=lambda: (ones(6, 2),),
    fresh=lambda rng: (randn(rng, rng.integers(2, 12), 2),),
    dynamic_shapes={"x": {0: Dim("time", min=2)}},
)
def halves_and_ends_by_slices(x):
    half = x.shape[0] // 2
    return x[:half], x[half:], x[-half:], x[x.shape[0] - 1], x.flip(0)[:half:2]


@captured(
    "pytorch/pytorch#38472",
    example=lambda: (ones(3, 4), ones(2, 4)),
    fresh=lambda rng: (randn(rng, rng.integers(1, 5), 4), randn(rng, rng.integers(1, 5), 4)),
    dynamic_shapes={"x": {0: "m"}, "y": {0: "n"}},
)
def all_pairs_of_two_sizes(x, y):
    pairs = x[:, None].expand(-1, y.shape[0], -1) * y.repeat(x.shape[0], 1).view(x.shape[0], *y.shape)
    return pairs, ingot.cat([x, y]), ingot.eye(x.shape[0]), ingot.full((y.shape[0], x.shape[0]), 2.0)


@captured(
    "pytorch/pytorch#15319",
    example=lambda: (ones(4, 6),),
    fresh=lambda rng: (randn(rng, 4, rng.integers(3, 9)),),
    dynamic_shapes={"x": {1: Dim("width", min=3)}},
)
def a_factor_that_numpy_computed(x):
    return (
        x / np.sqrt(np.float64(4)) + x.topk(3).values.sum(),
        x / np.sqrt(x.shape[1]),
        x.sum() * (np.int64(2) * x.shape[1]),
    )


@refused(
    "pytorch/pytorch#12579",
    example=lambda: (ones(3, 4),),
    message="batch",
    line="count = int(x.shape[0])",
    dynamic_shapes={"x": {0: "batch"}},
)
def a_size_made_an_int(x):
    count = int(x.shape[0])
    return x.reshape(count * 4)


@captured(
    "pytorch/pytorch#12579",
    example=lambda: (ones(3, 4),),
    dynamic_shapes={"x": {0: "batch"}},
    specialize_ok=["batch"],
)
def a_size_made_an_int_on_purpose(x):
    count = int(x.shape[0])
    return x.reshape(count * 4)


@refused(
    "pytorch/pytorch#38472",
    example=lambda: (ones(3, 4),),
    message="time",
    line="for i in range(x.shape[0]):",
    dynamic_shapes={"x": {0: "time"}},
)
def a_loop_over_a_size(x):
    total = ingot.zeros(4)
    for i in range(x.shape[0]):
        total = total * 0.5 + x[i]
    return total


@captured(
    "pytorch/pytorch#38472",
    example=lambda: (ones(3, 4),),
    fresh=lambda rng: (randn(rng, rng.integers(0, 7), 4),),
    calls=7,
    dynamic_shapes={"x": {0: "time"}},
    script_branches=True,
)
def scripted_loop_over_a_size(x):
    total = ingot.zeros(4)
    for i in range(x.shape[0]):
        total = total * 0.5 + x[i]
    return total


@refused(
    "pytorch/pytorch#38472",
    example=lambda: (ones(3, 4),),
    message="time",
    line="for row in x:  # each row",
    dynamic_shapes={"x": {0: "time"}},
)
def a_loop_over_rows(x):
    total = ingot.zeros(4)
    for row in x:  # each row
        total = total * 0.5 + row
    return total


@refused(
    "pytorch/pytorch#12579",
    example=lambda: (ones(3, 4),),
    message="batch",
    line="places = np.arange(x.shape[0])",
    dynamic_shapes={"x": {0: "batch"}},
)
def a_size_given_to_numpy(x):
    places = np.arange(x.shape[0])
    return x * ingot.tensor(places)[:, None]


@refused_at_call(
    "pytorch/pytorch#59530",
    example=lambda: (ones(2, 4),),
    fresh=lambda rng: (randn(rng, 2, rng.integers(4, 6)),),
    bad=lambda: (ones(2, 3),),
    message="traced assuming width//2",
    line="return self.layers[x.shape[1] // 2](x)",
    dynamic_shapes={"x": {1: "width"}},
)
class ALayerChosenByASize(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.ReLU(), nn.Tanh(), nn.Sigmoid()])

    def forward(self, x):
        return self.layers[x.shape[1] // 2](x)


@refused(
    "pytorch/pytorch#59530",
    example=lambda: (ones(2, 4),),
    message="width",
    line="return x * self.scales[str(x.shape[1])]",
    dynamic_shapes={"x": {1: "width"}},
)
class AKeyMadeOfASize(nn.Module):
    def __init__(self):
        super().__init__()
        self.scales = {"4": 0.5, "8": 0.25}

    def forward(self, x):
        return x * self.scales[str(x.shape[1])]


@refused(
    "pytorch/pytorch#59530",
    example=lambda: (ones(2, 4),),
    message="width",
    line="return x * self.scales[x.shape[1]]",
    dynamic_shapes={"x": {1: "width"}},
)
class ASizeAsAKey(nn.Module):
    def __init__(self):
        super().__init__()
        self.scales = {4: 0.5, 8: 0.25}

    def forward(self, x):
        return x * self.scales[x.shape[1]]


@refused(
    "pytorch/pytorch#15319",
    example=lambda: (ones(3, 4),),
    message="batch",
    line="parts = [x] * x.shape[0]",
    dynamic_shapes={"x": {0: "batch"}},
)
def a_list_as_long_as_a_size(x):
    parts = [x] * x.shape[0]
    return ingot.cat(parts)


@refused_at_call(
    "pytorch/pytorch#12579",
    example=lambda: (ones(3, 4),),
    bad=lambda: (ones(5, 4),),
    message="input x has another size at dimension 0",
)
def a_size_that_was_not_named(x):
    return x.reshape(x.shape[0] * 4)


@refused_at_call(
    "pytorch/pytorch#38472",
    example=lambda: (ones(3, 4), ones(3)),
    fresh=lambda rng: (lambda n: (randn(rng, n, 4), randn(rng, n)))(rng.integers(1, 9)),
    bad=lambda: (ones(5, 4), ones(4)),
    message="batch",
    dynamic_shapes={"x": {0: "batch"}, "y": {0: "batch"}},
)
def two_sizes_of_one_name(x, y):
    return (x * y[:, None]).sum(0)


@refused_at_call(
    "pytorch/pytorch#38472",
    example=lambda: (ones(3), ones(3)),
    fresh=lambda rng: (lambda n: (randn(rng, n), randn(rng, n)))(rng.integers(1, 9)),
    bad=lambda: (ones(5), ones(4)),
    message="m == n",
    line="return x + y  # of two sizes",
    dynamic_shapes={"x": {0: "m"}, "y": {0: "n"}},
)
def two_sizes_that_a_sum_makes_equal(x, y):
    return x + y  # of two sizes


@refused(
    "pytorch/pytorch#12579",
    example=lambda: (ones(3, 4),),
    message="the dynamic size 'rows' was fixed to 3",
    line="return x.sum() / len(x)",
    dynamic_shapes={"x": {0: "rows"}},
)
def the_length_of_a_dynamic_size(x):
    return x.sum() / len(x)


@refused_at_call(
    "pytorch/pytorch#59530",
    example=lambda: (ones(3, 4),),
    fresh=lambda rng: (randn(rng, 3, rng.integers(2, 9)),),
    bad=lambda: (ones(3, 1),),
    message="width >= 2",
    line="if x.shape[1] < 2:",
    dynamic_shapes={"x": {1: "width"}},
)
def a_check_for_enough(x):
    if x.shape[1] < 2:
        raise ValueError("two columns at least, please")
    return x[:, 1] - x[:, 0]


@refused(
    "pytorch/pytorch#59530",
    example=lambda: (ones(3, 4),),
    message="the dynamic size 'width' was fixed to 4",
    line="if x.shape[1] != 4:  # the user's own check",
    dynamic_shapes={"x": {1: "width"}},
)
def a_check_of_the_users_own(x):
    if x.shape[1] != 4:  # the user's own check
        raise ValueError("four columns, please")
    return x * 2


@captured(
    "pytorch/pytorch#15319",
    example=lambda: (ones(6, 2),),
    fresh=lambda rng: (randn(rng, rng.integers(3, 10), 2),),
    dynamic_shapes={"x": {0: Dim("time", min=3)}},
)
def windows_of_three(x):
    count = x.shape[0] - 2
    return ingot.stack([x[i : i + count] for i in range(3)], dim=1), ingot.full((count,), count)


@captured(
    "pytorch/pytorch#15319",
    example=lambda: (ones(3, 4),),
    fresh=lambda rng: (randn(rng, rng.integers(1, 9), 4),),
    dynamic_shapes={"x": {0: "batch"}},
)
def tensors_made_of_sizes(x):
    return ingot.tensor(x.shape[0]), ingot.tensor([x.shape[0], 2]), ingot.tensor([x.shape[0] / 4, x.shape[0]])


@refused(
    "pytorch/pytorch#59530",
    example=lambda: (ones(3, 4),),
    message="its text is used, not only shown",
    line='return x * 2 if f"batch of {x.shape[0]}"',
    dynamic_shapes={"x": {0: "batch"}},
)
def a_text_that_holds_a_size(x):
    return x * 2 if f"batch of {x.shape[0]}" == "batch of 3" else x


@refused(
    "pytorch/pytorch#15319",
    example=lambda: (ones(3, 4),),
    message="the dynamic size 'batch' was fixed to 3",
    line="count = np.prod(x.shape)",
    dynamic_shapes={"x": {0: "batch"}},
)
def a_product_that_numpy_computes(x):
    count = np.prod(x.shape)
    return x.sum() / count


@refused(
    "pytorch/pytorch#59530",
    example=lambda: (ones(2, 6),),
    message="a float that dynamic sizes decide",
    line="if x.shape[1] / 2 > 1.5:",
    dynamic_shapes={"x": {1: "width"}},
)
def a_branch_on_a_ratio_of_sizes(x):
    if x.shape[1] / 2 > 1.5:
        return x[:, ::2]
    return x


@captured(
    "pytorch/pytorch#59530",
    example=lambda: (ones(2, 6),),
    fresh=lambda rng: (randn(rng, 2, rng.integers(1, 9)),),
    calls=8,
    dynamic_shapes={"x": {1: "width"}},
    script_branches=True,
)
def scripted_branch_on_a_ratio_of_sizes(x):
    if x.shape[1] / 2 > 1.5:
        return x[:, ::2].sum(1)
    return x.sum(1)


@captured(
    "pytorch/pytorch#15319",
    example=lambda: (ones(3, 4),),
    fresh=lambda rng: (randn(rng, rng.integers(1, 9), 4),),
    dynamic_shapes={"x": {0: "batch"}},
)
def a_branch_on_the_type_of_a_size(x):
    size = x.shape[0]
    if isinstance(size, int):
        size = (size, 2)
    return ingot.full(size, 1.0) * x[:, :2]


@refused(
    "pytorch/pytorch#15319",
    example=lambda: (ones(1, 1, 3, 4),),
    message="int() takes a tensor's value out of the program",
    line="height = int(x.shape[2] * 1.5)",
    dynamic_shapes={"x": {2: "height"}},
)
def a_scaled_size_made_an_int(x):
    height = int(x.shape[2] * 1.5)
    return F.interpolate(x, size=(height, 4))


@captured(
    "pytorch/pytorch#15319",
    example=lambda: (ones(1, 1, 3, 4),),
    fresh=lambda rng: (randn(rng, 1, 1, rng.integers(1, 9), 4),),
    dynamic_shapes={"x": {2: "height"}},
)
def a_scaled_size_rounded_down(x):
    height = math.floor(x.shape[2] * 1.5)
    return F.interpolate(x, size=(height, 4)), x[:, :, : math.ceil(x.shape[2] / 2)]


# --------------------------------------------------------------------------------------------------- texts and keys

ROWS = {"example": lambda: (ones(3, 4),), "dynamic_shapes": {"x": {0: "batch"}}}
MANY = {"fresh": lambda rng: (randn(rng, rng.integers(1, 12), 4),)}
BY_SIZE: dict = {}


@captured("pytorch/pytorch#59530", **ROWS, **MANY, ledger=[("text", "text = f")])
def a_text_of_a_size_that_is_printed(x):
    text = f"{x.shape[0]:>4} rows of {x.shape}"
    print(text, str(x.shape[0]).rjust(4), "%s" % (x.shape,))  # noqa: UP031
    return x * 2


@captured("pytorch/pytorch#59530", **ROWS, **MANY, script_branches=True, raises="rows")
def a_text_of_a_size_that_an_exception_says(x):
    if x.sum() < 0:
        raise ValueError(f"{x.shape[0]} rows")
    return x * 2


@refused("pytorch/pytorch#59530", **ROWS, message="batch was fixed to 3", line="table = BY_SIZE.setdefault(x.shape[0]")
def a_table_by_sizes(x):
    table = BY_SIZE.setdefault(x.shape[0], x.shape[0] * 0.5)
    return x * table


@refused("pytorch/pytorch#59530", **ROWS, message="its text is used", line='key = f"{x.shape[0]}x{x.shape[1]}"')
def a_key_that_is_kept_in_a_variable(x):
    key = f"{x.shape[0]}x{x.shape[1]}"
    return x * 2 if key in ("3x4", "5x4") else x


@refused("pytorch/pytorch#59530", **ROWS, message="its text is used", line="return getattr(x, ")
def a_method_named_by_a_size(x):
    return getattr(x, {"ingot.Size([3, 4])": "exp"}.get(str(x.shape), "sin"))()


@captured("pytorch/pytorch#15319", example=lambda: (ones(3, 4),), fresh=lambda rng: (randn(rng, 3, 4),))
def a_text_of_a_size_that_does_not_vary(x):
    return x * {"3x4": 2.0}[f"{x.shape[0]}x{x.shape[1]}"]


@refused(
    "pytorch/pytorch#15319",
    example=lambda: (ones(3),),
    message="a text is made of a tensor's elements",
    line='return x * {"0.50": 2.0}',
    script_branches=True,
)
def a_key_made_of_an_element(x):
    return x * {"0.50": 2.0}.get(f"{x.mean().item():.2f}", 1.0)
