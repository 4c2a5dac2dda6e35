"""A traced call changes the caller's argument, or no longer does what the function did to it."""

from __future__ import annotations

from dataclasses import dataclass

import ingot
import numpy as np
from capture_corpus import call, captured, ones, randn, refused, refused_at_call
from ingot import nn
from ingot.nn import functional as F

CHANGED = "changes one of its inputs in place"


@refused("pytorch/pytorch#28360", example=lambda: (ones(3),), message=CHANGED, line="x.add_(1)  # the argument")
def added_to_in_place(x):
    x.add_(1)  # the argument
    return x * 2


@captured("pytorch/pytorch#28360", example=lambda: (ones(3),), mutates="write_back")
def added_to_and_written_back(x):
    x.add_(1)
    return x * 2


@captured("pytorch/pytorch#28360", example=lambda: (ones(3),), mutates="copy")
def added_to_a_copy(x):
    x.add_(1)
    return x * 2


@refused("pytorch/pytorch#28360", example=lambda: (ones(3),), message=CHANGED, line="x += 1")
def an_augmented_assignment(x):
    x += 1
    return x.sum()


@captured("pytorch/pytorch#28360", example=lambda: (ones(3),))
def an_augmented_assignment_to_a_copy(x):
    x = x.clone()
    x += 1
    return x.sum()


@refused(
    "pytorch/pytorch#28360",
    example=lambda: (ones(2, 3),),
    message=CHANGED,
    line="flat[0] = 0  # a view of the argument",
)
def changed_through_a_view(x):
    flat = x.view(-1)
    flat[0] = 0  # a view of the argument
    return x.sum(0)


@captured("pytorch/pytorch#28360", example=lambda: (ones(2, 3),), mutates="write_back")
def changed_through_views_and_written_back(x):
    x.view(-1)[0] = 0
    x.t()[1].mul_(2)
    x.detach()[1, 2] += 1
    return x.sum(0)


@refused("pytorch/pytorch#28360", example=lambda: (ones(3),), message=CHANGED, line="x.data.mul_(2)")
def changed_through_data(x):
    x.data.mul_(2)
    return x + 1


@refused(
    "pytorch/pytorch#113945",
    example=lambda: (ones(3),),
    message=CHANGED,
    line="return self.activation(x).sum()",
)
class ALayerThatWorksInPlace(nn.Module):
    def __init__(self):
        super().__init__()
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.activation(x).sum()


@captured("pytorch/pytorch#113945", example=lambda: (ones(3),), mutates="write_back")
class ALayerThatWorksInPlaceWrittenBack(nn.Module):
    def __init__(self):
        super().__init__()
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.activation(x).sum()


@refused("pytorch/pytorch#113945", example=lambda: (ones(3),), message=CHANGED, line="ingot.mul(x, 2, out=x)")
def an_argument_as_out(x):
    ingot.mul(x, 2, out=x)
    return x + 1


@refused(
    "pytorch/pytorch#113945",
    example=lambda: call(ones(3), cache={"k": ones(3), "v": ones(3)}),
    message="a change of input 'cache_k'",
    line='cache["k"].copy_(x)',
)
def a_tensor_in_a_dict_changed(x, cache):
    cache["k"].copy_(x)
    return x + cache["v"]


@captured(
    "pytorch/pytorch#113945",
    example=lambda: call(ones(3), cache={"k": ones(3), "v": ones(3)}),
    mutates="write_back",
)
def a_tensor_in_a_dict_written_back(x, cache):
    cache["k"].copy_(x)
    return x + cache["v"]


@refused(
    "pytorch/pytorch#113945",
    example=lambda: (ones(3), [ones(2)]),
    message="seen",
    line="seen.append(x)",
)
def a_list_appended_to(x, seen):
    seen.append(x)
    return x * 2


@captured("pytorch/pytorch#113945", example=lambda: (ones(3), [ones(2)]), mutates="write_back")
def a_list_appended_to_and_written_back(x, seen):
    seen.append(x * 3)
    return x * 2


@refused(
    "pytorch/pytorch#113945",
    example=lambda: (ones(3), {"last": ones(3)}),
    message="store",
    line='store["last"] = x * 2',
)
def an_item_replaced(x, store):
    store["last"] = x * 2
    return x


@captured("pytorch/pytorch#113945", example=lambda: (ones(3), {"last": ones(3)}), mutates="write_back")
def an_item_replaced_and_a_key_added(x, store):
    store["sum"] = store["last"] + x
    store["last"] = x * 2
    return x


@dataclass
class Cache:
    keys: ingot.Tensor
    length: int


@captured(
    "pytorch/pytorch#113945",
    example=lambda: (ones(3), Cache(ones(3), 2)),
    fresh=lambda rng: (randn(rng, 3), Cache(randn(rng, 3), 2)),
    mutates="write_back",
)
def fields_replaced(x, cache):
    cache.keys = ingot.cat([cache.keys, x])
    return cache.keys.sum()


@captured(
    "pytorch/pytorch#28360",
    example=lambda: (ones(3),),
    mutates="write_back",
    script_branches=True,
    fresh=lambda rng: (randn(rng, 3),),
    calls=8,
)
def changed_in_a_branch(x):
    if x.sum() > 0:
        x.mul_(2)
    return x + 1


@refused(
    "pytorch/pytorch#28360",
    example=lambda: (ones(3),),
    message=CHANGED,
    line="x.mul_(2)  # if positive",
    script_branches=True,
)
def changed_in_a_branch_refused(x):
    if x.sum() > 0:
        x.mul_(2)  # if positive
    return x + 1


def _one_array_twice():
    x = ones(3)
    return x, x


@refused_at_call(
    "pytorch/pytorch#113945",
    example=lambda: (ones(3), ones(3)),
    bad=_one_array_twice,
    message="two arguments share memory",
    mutates="write_back",
)
def two_arguments_of_which_one_is_changed(x, y):
    x.add_(y)
    return x * y


def _read_only():
    array = np.ones(3, np.float32)
    array.flags.writeable = False
    return (array,)


@refused_at_call(
    "pytorch/pytorch#113945",
    example=lambda: (ones(3),),
    bad=_read_only,
    message="read-only",
    mutates="write_back",
)
def a_change_of_a_read_only_array(x):
    return x.mul_(2).sum()


@captured("pytorch/pytorch#28360", example=lambda: (ones(2, 3),))
def results_of_in_place_functions_on_results(x):
    hidden = F.relu(x - 1, inplace=True)
    return F.dropout(hidden, 0.5, training=False, inplace=True).add_(1)


@refused(
    "pytorch/pytorch#113945",
    example=lambda: (ones(3),),
    message="leaves a gradient on its input 'x'",
    line="(x * x).sum().backward()",
)
def a_gradient_left_on_the_argument(x):
    x.requires_grad_()
    (x * x).sum().backward()
    return x.grad
