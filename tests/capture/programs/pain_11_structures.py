"""Dicts, keywords and nested structures go in and out, or are refused by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import ingot
from capture_corpus import call, captured, ones, randn, refused, refused_at_call
from ingot import nn
from ingot.ir.errors import ArgumentError


class Pair(NamedTuple):
    first: Any
    second: Any


@dataclass
class Batch:
    images: Any
    scale: int = 3


class Wrapped:
    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return isinstance(other, Wrapped) and ingot.equal(self.x, other.x)


def two(rng):
    return randn(rng, 3), randn(rng, 3)


# -------------------------------------------------------------------------------------------------------------- in


@captured(
    "pytorch/pytorch#16847",
    example=lambda: ({"a": ones(3), "b": ones(3)},),
    fresh=lambda rng: ({"a": randn(rng, 3), "b": randn(rng, 3)},),
)
def a_dict_in(parts):
    return parts["a"] - parts["b"]


@captured(
    "pytorch/pytorch#97229",
    example=lambda: ({"a": ones(3), "b": ones(3)},),
    fresh=lambda rng: ({"b": randn(rng, 3), "a": randn(rng, 3)},),
)
def a_dict_in_another_order(parts):
    return parts["a"] - parts["b"]


@captured(
    "pytorch/pytorch#27743",
    example=lambda: call(ones(3), scale=ones(3)),
    fresh=lambda rng: call(randn(rng, 3), scale=randn(rng, 3)),
)
def a_keyword_in(x, *, scale, flag=True):
    return x * scale if flag else x


@captured(
    "pytorch/pytorch#27743",
    example=lambda: call(ones(3), left=ones(3), right=ones(3)),
    fresh=lambda rng: call(randn(rng, 3), left=randn(rng, 3), right=randn(rng, 3)),
)
def any_keywords_in(x, **parts):
    return {name: x * part for name, part in parts.items()}


@captured(
    "pytorch/pytorch#27743",
    example=lambda: (ones(3), ones(3), ones(3)),
    fresh=lambda rng: (*two(rng), randn(rng, 3)),
)
def any_number_in(*parts):
    total = parts[0] * 0
    for number, part in enumerate(parts):
        total = total + part * number
    return total


@captured(
    "pytorch/pytorch#89374",
    example=lambda: ({"list": [ones(3), (ones(3), ones(2))], "deep": {"er": {"est": ones(3)}}},),
    fresh=lambda rng: ({"list": [randn(rng, 3), (randn(rng, 3), randn(rng, 2))], "deep": {"er": {"est": ones(3)}}},),
)
def structures_in_structures(parts):
    first, (second, third) = parts["list"]
    return first + second * third.sum() + parts["deep"]["er"]["est"]


@captured("pytorch/pytorch#16847", example=lambda: (ones(3), None), fresh=lambda rng: (randn(rng, 3), None))
def an_optional_that_is_left_out(x, mask=None):
    return x if mask is None else x * mask


@captured(
    "pytorch/pytorch#97229",
    example=lambda: (Pair(ones(3), ones(2)),),
    fresh=lambda rng: (Pair(randn(rng, 3), randn(rng, 2)),),
)
def a_named_tuple_in(pair):
    first, second = pair
    return pair.second, first * second.sum(), len(pair)


@captured("pytorch/pytorch#97229", example=lambda: (Batch(ones(3)),), fresh=lambda rng: (Batch(randn(rng, 3)),))
def a_dataclass_in(batch):
    return batch.images * batch.scale, batch.scale


@captured(
    "pytorch/pytorch#16847",
    example=lambda: ({"x": ones(4, 3)},),
    fresh=lambda rng: ({"x": randn(rng, rng.integers(1, 7), 3)},),
    dynamic_shapes={"parts": {"x": {0: "rows"}}},
)
def a_dynamic_size_in_a_dict(parts):
    return {"sum": parts["x"].sum(0), "count": parts["x"].shape[0]}


@captured("pytorch/pytorch#16847", example=lambda: (ones(3), 2), fresh=lambda rng: (randn(rng, 3), 2))
def a_number_in(x, factor):
    return x * factor, factor


@captured(
    "pytorch/pytorch#16847",
    example=lambda: (ones(3), ingot.jit.runtime(2)),
    fresh=lambda rng: (randn(rng, 3), int(rng.integers(1, 9))),
)
def a_number_that_calls_choose(x, factor):
    return x * factor, factor + 1


# ------------------------------------------------------------------------------------------------------------- out


@captured("pytorch/pytorch#89374", example=lambda: (ones(3),), fresh=lambda rng: (randn(rng, 3),))
def none_strings_and_numbers_out(x):
    return {"x": x, "none": None, "name": "text", "sizes": (3, 0.5, True), "rest": [], "again": [x, {"x": x * 2}]}


@captured(
    "pytorch/pytorch#89374",
    example=lambda: (ones(3),),
    fresh=lambda rng: (randn(rng, 3),),
    script_branches=True,
    calls=8,
)
def a_dict_built_by_branches(x):
    found = {"both": x}
    if x.sum() > 0:
        found["side"] = x * 2
        found["both"] = found["both"] + 1
    else:
        found["side"] = -x
    found.update(count=len(found), pair=(x.max(), x.min()))
    return found


@captured(
    "pytorch/pytorch#89374",
    example=lambda: (ones(4, 3),),
    fresh=lambda rng: (randn(rng, rng.integers(1, 7), 3),),
    script_branches=True,
    dynamic_shapes={"x": {0: "rows"}},
)
class StructuresCarriedByALoop(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.Linear(3, 3)

    def forward(self, x):
        state = {"h": ingot.zeros(3), "counts": [0, 0], "last": (ingot.zeros(()), 1.5)}
        for row in x:
            state["h"] = (self.cell(row) + state["h"]).tanh()
            state["counts"][row.shape[0] % 2] += 1
            state["last"] = (row.sum(), state["last"][1] * 0.5)
        return state


# ------------------------------------------------------------------------------------------------------- refused


@refused_at_call(
    "pytorch/pytorch#16847",
    example=lambda: ({"a": ones(3), "b": ones(3)},),
    bad=lambda: ({"a": ones(3)},),
    message="there is no 'b'; the keys of a dict are fixed when it is captured",
)
def a_dict_without_a_key(parts):
    return parts["a"] + parts["b"]


@refused_at_call(
    "pytorch/pytorch#27743",
    example=lambda: call(ones(3), scale=ones(3)),
    bad=lambda: call(ones(3), scale=ones(3), bias=ones(3)),
    message="argument 'bias' is not a parameter of the program",
)
def a_keyword_too_many(x, scale):
    return x * scale


@refused_at_call(
    "pytorch/pytorch#27743",
    example=lambda: call(ones(3), scale=ones(3)),
    bad=lambda: (ones(3),),
    message="argument 'scale' is missing",
)
def a_keyword_that_is_missing(x, scale):
    return x * scale


@refused_at_call(
    "pytorch/pytorch#97229",
    example=lambda: ([ones(3), ones(3)],),
    bad=lambda: ([ones(3), ones(3), ones(3)],),
    message="argument 'parts' has another structure than the captured one",
)
def a_list_of_another_length(parts):
    return [part * 2 for part in parts]


@refused_at_call(
    "pytorch/pytorch#16847",
    example=lambda: (ones(3), None),
    bad=lambda: (ones(3), ones(3)),
    message="argument 'mask' has another structure",
)
def an_optional_that_is_given_later(x, mask=None):
    return x if mask is None else x * mask


@refused_at_call(
    "pytorch/pytorch#97229",
    example=lambda: (ones(3), "sum"),
    bad=lambda: (ones(3), "mean"),
    message="argument 'how' is a constant of the program",
)
def a_string_that_chooses(x, how):
    return x.sum() if how == "sum" else x.mean()


@refused_at_call(
    "pytorch/pytorch#97229",
    example=lambda: (Batch(ones(3)),),
    bad=lambda: (Batch(ones(3), 4),),
    message="argument 'batch'.scale is a constant of the program",
)
def a_number_in_a_dataclass(batch):
    return batch.images * batch.scale


@refused(
    "pytorch/pytorch#89374",
    example=lambda: (ones(3),),
    message="a dict key is 0",
    line="def a_dict_out_with_numbers_for_keys(x):",
)
def a_dict_out_with_numbers_for_keys(x):
    return {0: x, 1: x * 2}


@refused(
    "pytorch/pytorch#89374",
    example=lambda: (ones(3),),
    message="a value of type set at ['kinds'] cannot be an input or output",
    line="def a_set_out(x):",
)
def a_set_out(x):
    return {"x": x, "kinds": {"a", "b"}}


@refused(
    "pytorch/pytorch#89374",
    example=lambda: (ones(3),),
    message="a value of type Wrapped cannot be an input or output",
    line="def an_object_out(x):",
)
def an_object_out(x):
    return Wrapped(x)


@refused(
    "pytorch/pytorch#97229",
    example=lambda: (Wrapped(ones(3)),),
    message="argument 'wrapped': a value of type Wrapped cannot be an input",
    line=None,
    error=ArgumentError,
)
def an_object_in(wrapped):
    return wrapped.x * 2


@refused(
    "pytorch/pytorch#89374",
    example=lambda: (ones(3),),
    message="found['more'] is set on one side alone of a branch",
    line='found["more"] = x * 2',
    script_branches=True,
)
def a_dict_of_other_keys_on_one_side(x):
    found = {"x": x}
    if x.sum() > 0:
        found["more"] = x * 2
    return found


@refused(
    "pytorch/pytorch#89374",
    example=lambda: (ones(3),),
    message="differs in type between the sides",
    line="if x.sum() > 0:",
    script_branches=True,
)
def structures_that_differ(x):
    if x.sum() > 0:
        return x, x
    return [x, x]


@refused(
    "pytorch/pytorch#16847",
    example=lambda: ({"a": ones(3)},),
    message="the program changes its argument 'parts', a dict, in place",
    line='parts["b"] = parts["a"] * 2',
)
def a_key_put_into_the_argument(parts):
    parts["b"] = parts["a"] * 2
    return parts["b"]


@refused(
    "pytorch/pytorch#89374",
    example=lambda: (ones(4, 3),),
    message="the program's result is a list whose length the run decides",
    line="rows.append(row * 2)",
    script_branches=True,
    dynamic_shapes={"x": {0: "rows"}},
)
def a_list_out_of_a_length_that_varies(x):
    rows = []
    for row in x:
        rows.append(row * 2)
    return rows
