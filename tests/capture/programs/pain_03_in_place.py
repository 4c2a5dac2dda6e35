"""Operations in place and views are captured wrongly: a change through one of them is not seen through the other."""

from __future__ import annotations

import ingot
import numpy as np
from capture_corpus import captured, checked, integers, ones, randn, refused, zeros
from ingot import nn
from ingot.jit import Dim
from ingot.nn import functional as F

RESULTS = np.zeros(3, np.float32)


@captured("pytorch/pytorch#43548", example=lambda: (ones(3, 4), ones(3)))
def a_column_assigned(x, y):
    z = x.clone()
    z[:, 1] = y
    z[0] = 0
    return z, x


@captured("pytorch/pytorch#29008", example=lambda: (ones(3, 4),))
def a_change_through_a_view_seen_in_its_base(x):
    z = x * 2
    row = z[1]
    row.add_(10)
    return z, row


@captured("pytorch/pytorch#29008", example=lambda: (ones(3, 4),))
def a_change_of_the_base_seen_in_views_made_before(x):
    z = x * 2
    row, turned = z[1], z.t()
    z.mul_(-1)
    z[:, 0] = 7
    return row, turned, turned[0] + 1


@captured("pytorch/pytorch#48477", example=lambda: (ones(4, 4),))
def views_of_views_of_views(x):
    z = x.clone()
    z.t()[1:].view(3, 4)[::2].select(1, 2).fill_(5)
    z.view(2, 2, 4).permute(2, 0, 1)[0, 1].sub_(1)
    return z


@captured("pytorch/pytorch#43548", example=lambda: (ones(3, 4),), fresh=lambda rng: (randn(rng, 3, 4),))
def an_output_filled_by_a_python_loop(x):
    out = ingot.zeros(4, 3)
    for i in range(3):
        out[:, i] = x[i] * (i + 1)
    out[1:, 0] += out[:-1, 0]
    return out


@captured("pytorch/pytorch#43548", example=lambda: (ones(5),))
def a_sum_onto_memory_that_overlaps(x):
    z = x.clone()
    z[1:] += z[:-1]
    z[:-1] = z[1:]
    return z


@captured("pytorch/pytorch#43548", example=lambda: (ones(4),))
def two_elements_swapped_through_views(x):
    z = x.clone()
    z[0], z[1] = z[1], z[0]
    w = x.clone()
    w[0], w[1] = w[1].clone(), w[0].clone()
    return z, w


@captured("pytorch/pytorch#48477", example=lambda: (ones(3, 4), ones(3)))
def elements_chosen_by_a_mask_assigned(x, y):
    z = x.clone()
    z[z < 0] = 0
    z[y > 0] *= 2
    return z.masked_fill_(z > 1, 1.0)


@captured(
    "pytorch/pytorch#48477",
    example=lambda: (ones(5, 2), ingot.tensor([0, 2, 2])),
    fresh=lambda rng: (randn(rng, 5, 2), integers(rng, 0, 5, 3)),
)
def rows_chosen_by_indices_added_to(x, places):
    z = x.clone()
    z[places] += 1  # twice the same row: once
    w = x.clone()
    w.index_add_(0, places, ingot.ones(3, 2))  # twice the same row: twice
    return z, w


@captured("pytorch/pytorch#29008", example=lambda: (ones(3),))
def a_change_through_detach(x):
    z = x * 2
    z.detach().mul_(3)
    z.data.add_(1)
    return z


@captured("pytorch/pytorch#29008", example=lambda: (ones(3, 2),))
def rows_changed_while_iterating(x):
    z = x.clone()
    for i, row in enumerate(z):
        row.mul_(i)
    for part in z.split(1, dim=1):
        part.add_(part.sum())
    first, *_ = z.unbind(0)
    first.zero_()
    return z


@captured("pytorch/pytorch#43548", example=lambda: (ones(6),))
def a_reshape_that_shares_and_one_that_copies(x):
    z = x.clone().reshape(2, 3)
    z.reshape(6).add_(1)  # shares
    z.t().reshape(6).mul_(100)  # copies: changes nothing
    return z


@captured(
    "pytorch/pytorch#43548",
    example=lambda: (ones(4, 3),),
    fresh=lambda rng: (randn(rng, rng.integers(2, 9), 3),),
    dynamic_shapes={"x": {0: Dim("rows", min=2)}},
)
def the_first_half_changed_of_a_dynamic_size(x):
    z = x.clone()
    z[: x.shape[0] // 2].mul_(-1)
    z[-1, 1:] = z[0, :-1]
    z.view(-1)[::3] += 1
    return z


@captured("pytorch/pytorch#48477", example=lambda: (ones(3),), script_branches=True)
def a_change_in_a_branch(x):
    z = x.clone()
    head = z[0]
    if x.sum() > 0:
        z[1] = 5
        head.add_(1)
    else:
        z.neg_()
    return z, head


@captured(
    "pytorch/pytorch#48477",
    example=lambda: (ones(3), ingot.tensor(2)),
    fresh=lambda rng: (randn(rng, 3), integers(rng, 0, 5)),
    calls=8,
    script_branches=True,
)
def a_change_in_a_loop(x, count):
    z = x.clone()
    last = z[2:]
    for i in range(count.item()):
        z[0] += z[1] * i
        last.mul_(2)
    return z, last


@captured("pytorch/pytorch#29008", example=lambda: (ones(2, 3),))
def in_place_functions_of_layers(x):
    z = nn.ReLU(inplace=True)(x - 0.5)
    w = z + 1
    F.relu(w[0], inplace=True).neg_()
    return z, w, F.hardtanh(x * 1, inplace=True), nn.Sequential(nn.Hardtanh(), nn.ReLU(inplace=True))(x * 3)


@captured("pytorch/pytorch#43548", example=lambda: (ones(3),), state=["seen", "scaled"])
class ChangesOfBuffersThroughViews(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("seen", zeros(4))
        self.register_buffer("scaled", ones(2, 3))

    def forward(self, x):
        self.seen[1:] += x
        self.scaled.t()[0].mul_(1.5)
        return self.seen[0] + self.scaled.sum() + self.seen.sum()


@captured("pytorch/pytorch#43548", example=lambda: (ones(3),), state=["base"])
class TwoBuffersOfOneMemory(nn.Module):
    def __init__(self):
        super().__init__()
        base = zeros(6)
        self.register_buffer("base", base)
        self.register_buffer("head", base[:3])

    def forward(self, x):
        self.head.add_(x)
        return self.base * 1


@captured("pytorch/pytorch#29008", example=lambda: (ones(3),))
def memory_exchanged_by_data(x):
    y, z = x * 1, x * 2
    y.data, z.data = z.data, y.data
    y.add_(1)
    w = x * 3
    z.data = w
    w.mul_(2)
    z.sub_(1)
    return y, z, w


@captured("pytorch/pytorch#48477", example=lambda: (ones(3),))
def a_gradient_of_what_was_changed_in_place(x):
    weight = ingot.ones(3, requires_grad=True)
    y = weight * 1
    y[:2].mul_(x[:2])
    y.sum().backward()
    return weight.grad


@refused(
    "pytorch/pytorch#48477",
    example=lambda: (ones(3),),
    message="numpy() takes a tensor's value out of the program",
    line="y.numpy()[0] = 5",
)
def a_write_through_numpy(x):
    y = x * 2
    y.numpy()[0] = 5
    return y


@refused(
    "pytorch/pytorch#43548",
    example=lambda: (ones(3),),
    message="takes a tensor's value out of the program",
    line="RESULTS[:] = x  # into an array",
)
def a_numpy_array_filled(x):
    RESULTS[:] = x  # into an array
    return ingot.tensor(RESULTS) * 2


@refused(
    "pytorch/pytorch#43548",
    example=lambda: (ones(3),),
    message="float() takes a tensor's value out of the program",
    line="RESULTS[0] = x.max().item()",
)
def an_element_of_a_numpy_array_set(x):
    RESULTS[0] = x.max().item()
    return ingot.tensor(RESULTS) * 2


@refused(
    "pytorch/pytorch#43548",
    example=lambda: (ones(3),),
    message="changes memory of NumPy's in place",
    line="total.add_(x)  # and to the memory",
)
class AnAccumulatorInNumpyMemory(nn.Module):
    def __init__(self):
        super().__init__()
        self.memory = np.zeros(3, np.float32)

    def forward(self, x):
        total = ingot.from_numpy(self.memory)
        total.add_(x)  # and to the memory
        return total * 2


@refused(
    "pytorch/pytorch#48477",
    example=lambda: (ones(3),),
    message="int() takes",
    line="y[int(y.argmax())] = 0",
)
def the_largest_element_cleared(x):
    y = x.clone()
    y[int(y.argmax())] = 0
    return y


@refused(
    "pytorch/pytorch#29008",
    example=lambda: (ones(3, 4),),
    message="changes a reshaped tensor, or its origin, in place",
    line="flat.add_(1)  # shared at sizes of 1 only",
    dynamic_shapes={"x": {0: "rows", 1: "columns"}},
)
def a_reshape_that_shares_at_some_sizes(x):
    turned = (x * 1).t()
    flat = turned.reshape(-1)
    flat.add_(1)  # shared at sizes of 1 only
    return turned


@checked(
    "pytorch/pytorch#29008",
    example=lambda: (ones(3, 4),),
    message="the function depends on how its inputs lie in memory",
    line="y = x.contiguous()  # a copy, or x itself",
    mutates="write_back",
)
def a_contiguous_that_copies_some_inputs(x):
    y = x.contiguous()  # a copy, or x itself
    y.add_(1)
    return x * 2


@checked(
    "pytorch/pytorch#48477",
    example=lambda: (ones(3, 4),),
    message="the function depends on how its inputs lie in memory",
    line="if x.is_contiguous():  # decides",
)
def a_change_that_the_layout_decides(x):
    y = x * 2
    if x.is_contiguous():  # decides
        y.add_(1)
    return y


@captured("pytorch/pytorch#29008", example=lambda: (ones(3),), calls=8, script_branches=True)
def memory_exchanged_in_a_branch(x):
    y = x * 1
    if x.sum() > 0:
        y.data = x * 2
    y.add_(1)
    return y


@refused(
    "pytorch/pytorch#29008",
    example=lambda: (ones(3),),
    message="a tensor takes on other memory in a branch or loop",
    line="y.data = x * 2  # and leaves the view behind",
    script_branches=True,
)
def memory_exchanged_in_a_branch_under_a_view(x):
    y = x * 1
    head = y[:1]
    if x.sum() > 0:
        y.data = x * 2  # and leaves the view behind
    y.add_(1)
    return y, head


@refused(
    "pytorch/pytorch#29008",
    example=lambda: (ones(3),),
    message="a tensor takes on other memory in a branch or loop",
    line="y.data = z  # on one side",
    script_branches=True,
)
def memory_shared_in_a_branch(x):
    y, z = x * 1, x * 2
    if x.sum() > 0:
        y.data = z  # on one side
    y.add_(1)
    return y, z
