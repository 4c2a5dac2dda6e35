"""The script subset and its types surprise: control flow, lists and functions as Python users write them."""

from __future__ import annotations

import functools
import math

import ingot
from capture_corpus import captured, integers, ones, randn, refused
from ingot import nn
from ingot.jit import Dim

ROWS = {"script_branches": True, "dynamic_shapes": {"x": {0: "rows"}}}
SCRIPT = {"script_branches": True}
TOTAL = 0


def vectors(rng):
    return (randn(rng, 3) * 3,)


def rows(rng):
    return (randn(rng, rng.integers(1, 7), 3) * 2,)


def count(rng):
    return (integers(rng, 0, 9),)


def three():
    return (ingot.tensor(3),)


# ------------------------------------------------------------------------------------------------- control flow


@captured("pytorch/pytorch#41274", example=lambda: (ones(3),), fresh=vectors, calls=8, **SCRIPT)
def a_chain_of_elif(x):
    total = x.sum()
    if total > 4:
        return x * 2
    elif total > 1:
        y = x + 1
    elif total > -2:
        y = x - 1
    else:
        y = -x
    return y * 3


@captured("pytorch/pytorch#41274", example=three, fresh=count, calls=8, **SCRIPT)
def nested_loops_with_break_continue_and_else(n):
    total = 0
    for i in range(n):
        for j in range(n):
            if j > i:
                break
            if (i + j) % 3 == 0:
                continue
            total += i * j
        else:
            total += 100
    return total


@captured("pytorch/pytorch#41274", example=lambda: (ones(4, 3),), fresh=rows, calls=8, **ROWS)
def a_return_out_of_a_loop(x):
    for i, row in enumerate(x):
        if row.sum() > 2:
            return row, i
    return x[0] * 0, -1


@captured("pytorch/pytorch#41274", example=lambda: (ones(3),), fresh=vectors, calls=8, **SCRIPT)
def a_conditional_expression_and_chained_comparisons(x):
    scale = 2.0 if -1 < x.sum() <= 4 < 10 else 3.0
    return x * scale if not (x[0] > 1 and x[1] > 0) else x


@captured("pytorch/pytorch#41274", example=three, fresh=lambda rng: (integers(rng, 1, 20),), calls=8, **SCRIPT)
def a_loop_until_a_flag_is_set(n):
    value, steps, done = n, 0, False
    while not done:
        value = value // 2 if value % 2 == 0 else 3 * value + 1
        steps += 1
        done = value == 1 or steps > 30
    return value, steps


@captured("pytorch/pytorch#41274", example=lambda: (ones(3),), fresh=vectors, raises="positive", calls=20, **SCRIPT)
def an_assertion_in_a_branch(x):
    if x[0] > 0:
        assert x.sum() > 0, "positive"
        x = x * 2
    return x


@captured("arogozhnikov/einops#115", example=lambda: (ones(3),), fresh=vectors, raises="negative", calls=8, **SCRIPT)
def an_exception_that_the_data_raise(x):
    if x.sum() < 0:
        raise ValueError("negative")
    return x.sqrt().sum() if x.min() > 0 else x.sum()


@refused(
    "arogozhnikov/einops#115",
    example=lambda: (ones(3),),
    message="an exception is raised that the program catches",
    line='raise ValueError("negative")',
    **SCRIPT,
)
def an_exception_that_is_caught(x):
    try:
        if x.sum() < 0:
            raise ValueError("negative")
        y = x * 2
    except ValueError:
        y = -x
    return y


@captured("pytorch/pytorch#41274", example=lambda: (ones(3),), fresh=vectors, calls=8, **SCRIPT)
def a_value_of_and_and_or(x):
    return x.sum() > 1 and x[0] > 0, x.max() or x.min()


# ------------------------------------------------------------------------------------------------------- lists


@captured("pytorch/pytorch#37200", example=lambda: (ones(4, 3),), fresh=rows, **ROWS)
def a_list_that_grows_and_is_read(x):
    found = [x[0] * 0]
    for row in x:
        found.append(row * 2)
    found += [x[0]]
    return ingot.stack(found), found[0], found[-1], len(found), ingot.cat(found[::-1])


@captured("pytorch/pytorch#37200", example=lambda: (ones(4, 3),), fresh=rows, **ROWS)
def a_list_that_grows_is_gone_over(x):
    found = []
    for row in x:
        found.append(row.cumsum(0))
    mixed = ingot.zeros(3)
    for number, (one, other) in enumerate(zip(found, reversed(found), strict=True)):
        mixed = mixed * 0.5 + one * other + number
    return mixed, sum([row.sum() for row in found])


@captured("pytorch/pytorch#37200", example=lambda: (ones(4, 3),), fresh=rows, **ROWS)
def both_sides_of_a_branch_append(x):
    found = []
    for row in x:
        if row.sum() > 0:
            found.append(row)
        elif row[0] > 0:
            found.append(-row)
        else:
            found.append(row * 0)
    return ingot.stack(found)


@captured("pytorch/pytorch#37200", example=lambda: (ones(4, 3),), fresh=rows, **ROWS)
def lists_of_lists(x):
    parts = [[], []]
    for row in x:
        inner = []
        for element in row:
            inner.append(element * 2)
        parts[0].append(ingot.stack(inner))
        parts[1].append(row.sum())
    return [ingot.stack(part) for part in parts]


@captured("pytorch/pytorch#37200", example=lambda: (ones(4, 3),), fresh=rows, calls=8, **ROWS)
def a_list_of_numbers(x):
    sizes = []
    for i in range(x.shape[0]):
        sizes.append(i * 2)
    sums = [float(row.sum()) for row in x]
    return sizes[-1], sum(sums), max(sums), min(sums), len(sums), 4 in sizes


@captured("pytorch/pytorch#37200", example=lambda: (ones(4, 3),), fresh=rows, **ROWS)
def lists_joined_copied_and_popped(x):
    first, second = [], []
    for row in x:
        first.append(row)
        second.append(-row)
    last = first.pop()
    joined = first + [last] + second  # noqa: RUF005
    return ingot.stack(joined), last, ingot.stack(list(reversed(joined))), bool(joined)


@refused(
    "pytorch/pytorch#37200",
    example=lambda: (ones(4, 3),),
    message="the program's result is a list whose length the run decides",
    line="found.append(row)",
    **ROWS,
)
def a_result_that_one_side_appends_to(x):
    found = []
    for row in x:
        if row.sum() > 0:
            found.append(row)
    return found


@captured("pytorch/pytorch#37200", example=lambda: (ones(4, 3),), fresh=rows, **ROWS)
def a_list_that_its_loop_reads(x):
    found = [x[0]]
    for row in x:
        found.append(found[-1] * 0.5 + row)
    return ingot.stack(found)


@refused(
    "pytorch/pytorch#37200",
    example=lambda: (ones(4, 3),),
    message="elements of types int and float",
    line="found.append(0.5)",
    **ROWS,
)
def a_list_of_ints_and_floats(x):
    found = []
    for i in range(x.shape[0]):
        found.append(i)
        found.append(0.5)
    return sum(found)


@captured("pytorch/pytorch#37200", example=lambda: (ones(3),), fresh=vectors, calls=8, **SCRIPT)
def a_list_that_is_longer_on_one_side(x):
    found = [x]
    if x.sum() > 0:
        found.append(x * 2)
    return ingot.stack(found)


@refused(
    "pytorch/pytorch#37200",
    example=lambda: (ones(4, 3),),
    message="also changes in place",
    line="found.append(total)",
    **ROWS,
)
def a_list_of_one_tensor_many_times(x):
    total, found = ingot.zeros(3), []
    for row in x:
        total += row
        found.append(total)
    return ingot.stack(found)


# ----------------------------------------------------------------------------------------------- types that differ


@refused(
    "pytorch/pytorch#41274",
    example=lambda: (ones(3),),
    message="pain_10_script_subset.py:",
    line="if x.sum() > 0:",
    **SCRIPT,
)
def dtypes_that_differ(x):
    if x.sum() > 0:
        y = x * 2
    else:
        y = x.to(ingot.int64)
    return y


@refused("pytorch/pytorch#41274", example=lambda: (ones(3),), message="f32[3] at", line="if x.sum() > 0:", **SCRIPT)
def dimensions_that_differ(x):
    if x.sum() > 0:
        y = x
    else:
        y = x.sum()
    return y


@captured("pytorch/pytorch#41274", example=lambda: (ones(3),), fresh=vectors, calls=8, **SCRIPT)
def sizes_that_differ(x):
    if x.sum() > 0:
        y = x
    else:
        y = ingot.cat([x, x])
    return y, y.shape[0], y[1:].sum()


@captured("pytorch/pytorch#41274", example=lambda: (ones(2, 3),), fresh=rows, calls=10, **ROWS)
def nothing_or_what_was_found(x):
    found = x[x.sum(1) > 0]
    if len(found) == 0:
        return x.new_zeros(0, 3)
    return found / found.sum()


@captured("pytorch/pytorch#37200", example=lambda: (ones(2, 3),), fresh=rows, calls=8, **ROWS)
def a_sequence_that_grows_beyond_its_window(x):
    while x.shape[0] < 9:
        window = x if x.shape[0] <= 4 else x[-4:]
        x = ingot.cat([x, window.mean(0, keepdim=True).tanh()])
    return x


@refused("pytorch/pytorch#41274", example=lambda: (ones(3),), message="and None at", line="if x.sum() > 0:", **SCRIPT)
def none_on_one_side(x):
    best = None
    if x.sum() > 0:
        best = x * 2
    return best


@refused(
    "pytorch/pytorch#41274",
    example=lambda: (ones(3),),
    message="'scale' is used, but it does not always have a value",
    line="if x.sum() > 0:",
    **SCRIPT,
)
def a_variable_of_one_side_alone(x):
    if x.sum() > 0:
        scale = x.max()
    return x * scale


@refused(
    "pytorch/pytorch#41274",
    example=three,
    message="int 0 before the loop, float",
    line="for i in range(n):",
    **SCRIPT,
)
def a_loop_whose_number_becomes_a_float(n):
    total = 0
    for i in range(n):
        total = total + i * 0.5
    return total


@refused(
    "pytorch/pytorch#41274",
    example=lambda: (ones(3),),
    message="the value differs between the sides",
    line='mode = "up" if x.sum() > 0 else "down"',
    **SCRIPT,
)
def strings_that_differ(x):
    mode = "up" if x.sum() > 0 else "down"
    return x * 2 if mode == "up" else x


@refused(
    "pytorch/pytorch#41274",
    example=lambda: (ones(3),),
    message="max of values of different types",
    line="max(float(x.sum()), 0)",
    **SCRIPT,
)
def an_extreme_of_an_int_and_a_float(x):
    return x * max(float(x.sum()), 0)


@refused(
    "pytorch/pytorch#41274",
    example=lambda: (ones(3),),
    message="shares its memory with another, or not, as the run decides",
    line="part += 1",
    **SCRIPT,
)
def a_view_out_of_a_branch_that_is_changed(x):
    y = x.clone()
    if x.sum() > 0:
        part = y[:1]
    else:
        part = y[1:2]
    part += 1
    return y


@captured("pytorch/pytorch#41274", example=lambda: (ones(4, 3),), fresh=rows, **ROWS)
def results_of_loops_that_are_changed(x):
    total, other, table = ingot.zeros(3), ingot.ones(3), ingot.zeros_like(x)
    for i in range(x.shape[0]):
        total, other = other, total + x[i]
        table[i] = x[i].cumsum(0)
        if table[i].sum() > 1:
            table[i] -= 1
    total /= 2
    table += other
    return total, other, table


@captured("pytorch/pytorch#41274", example=lambda: (ones(4, 3),), fresh=rows, **ROWS)
def a_name_changed_in_place_and_set_anew(x):
    h = ingot.zeros(3)
    for row in x:
        h += row
        h = h.tanh()
    return h


@refused(
    "pytorch/pytorch#41274",
    example=lambda: (ones(4, 3),),
    message="shares its memory with another, or not, as the run decides",
    line="h += row",
    **ROWS,
)
def a_tensor_that_the_first_iteration_changes(x):
    start = h = ingot.zeros(3)
    for row in x:
        h += row
        h = h.tanh()
    return h, start


@captured("pytorch/pytorch#41274", example=lambda: (ones(3),), fresh=vectors, calls=8, **SCRIPT)
def a_tensor_changed_and_named_in_a_branch(x):
    y, kept = x.clone(), x * 0
    if x.sum() > 0:
        y += 1
        kept = y
    return y, kept


# ----------------------------------------------------------------------------------------------- run-time numbers


@captured("pytorch/pytorch#39449", example=three, fresh=count, calls=8, **SCRIPT)
def integers_that_the_run_decides(n):
    k = int(n)
    return divmod(k, 4), -k % 3, k**2, 2**k, k / 2, k & 5, k << 2, k >> 1, ~k, abs(k - 4), max(k, 3), min(k, 3, 7)


@captured("pytorch/pytorch#39449", example=three, fresh=lambda rng: (integers(rng, 1, 20),), calls=8, **SCRIPT)
def floats_that_the_run_decides(n):
    f = float(n) / 7
    whole = int(f), math.floor(f), math.ceil(f), round(f)
    return whole, f**2, f % 0.3, f // 0.3, -f, abs(f - 1), max(f, 0.5), min(f, 0.5), f > 0.3, math.log(f, 2)


@captured(
    "pytorch/pytorch#39449", example=lambda: (ones(3),), fresh=vectors, raises="math domain error", calls=8, **SCRIPT
)
def a_square_root_that_may_not_exist(x):
    return x * math.sqrt(float(x.sum()))


@captured("pytorch/pytorch#39449", example=lambda: (ones(4, 3),), fresh=rows, **ROWS)
def variables_of_a_loop_after_it(x):
    for i in range(x.shape[0]):
        row = x[i] * i
    for i in range(0, x.shape[0], 2):
        row = row + x[i]
    return i, row, len(x)


# ----------------------------------------------------------------------------------------------------- functions


def twice(function):
    @functools.wraps(function)
    def wrapped(x):
        y = function(x)
        return function(y) if y.sum() > 0 else y

    return wrapped


@twice
def moved(x):
    return x + 1 if x[0] > 0 else x - 1


@captured("pytorch/pytorch#39449", example=lambda: (ones(3),), fresh=vectors, calls=8, **SCRIPT)
def closures_decorators_and_lambdas(x):
    scale, seen = 2.0, 0

    def inner(y, *, by=scale):
        nonlocal seen
        if y.sum() > 0:
            seen += 1
            return y * by
        return y / by

    scale = 5.0
    pick = lambda y: y if y[0] > 0 else -y  # noqa: E731
    result = pick(inner(moved(x))) * scale
    return result, seen


class Layer(nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            return x + 1
        return x - 1


@captured("pytorch/pytorch#39449", example=lambda: (ones(3),), fresh=vectors, calls=8, **SCRIPT)
class ACallOfSuper(Layer):
    def forward(self, x):
        y = super().forward(x)
        if y.sum() > 2:
            y = super().forward(y)
        return y


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x, h):
        return (self.layer(x) + h).tanh() if h.sum() > 0 else h - self.layer(x)


@captured("pytorch/pytorch#39449", example=lambda: (ones(4, 3),), fresh=rows, state=["steps"], **ROWS)
class SubmodulesInALoop(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = Recurrent()
        self.register_buffer("steps", ingot.zeros(()))

    def forward(self, x):
        h = ingot.zeros(3)
        for row in x:
            h = self.cell(row, h)
            if h.sum() < 100:
                self.steps += 1
        return h


def parts(x):
    yield x
    if x.sum() > 0:
        yield x * 2


@refused(
    "arogozhnikov/einops#115",
    example=lambda: (ones(3),),
    message="a Python branch on a tensor's value",
    line="if x.sum() > 0:",
    **SCRIPT,
)
def a_generator_with_a_branch(x):
    return sum(parts(x))


made = {}
exec("def sign(x):\n    return x if x.sum() > 0 else -x\n", made)


@refused(
    "arogozhnikov/einops#115",
    example=lambda: (ones(3),),
    message="a Python branch on a tensor's value",
    line=None,
    **SCRIPT,
)
def a_function_without_source(x):
    return made["sign"](x)


@captured("pytorch/pytorch#39449", example=lambda: (ones(3),), fresh=vectors, calls=8, **SCRIPT)
def recursion_of_a_known_depth(x):
    def halved(y, depth):
        if depth == 0:
            return y
        return halved(y / 2 if y.sum() > 1 else y + 1, depth - 1)

    return halved(x, 3)


@refused(
    "pytorch/pytorch#39449",
    example=three,
    message="a function calls itself as often as the data decide",
    line="return n * factorial(n - 1)",
    **SCRIPT,
)
def recursion_that_the_data_end(n):
    def factorial(n):
        if n <= 1:
            return n * 0 + 1
        return n * factorial(n - 1)

    return factorial(n)


# ---------------------------------------------------------------------------------------------- objects that change


@captured("pytorch/pytorch#39449", example=lambda: (ones(3),), fresh=vectors, calls=8, **SCRIPT)
def a_global_set_in_a_branch(x):
    global TOTAL
    TOTAL = 1
    if x.sum() > 0:
        TOTAL = TOTAL + 2
    return x * TOTAL


@captured("pytorch/pytorch#39449", example=lambda: (ones(3),), fresh=vectors, state=["seen"], calls=8, **SCRIPT)
class ABufferChangedInABranch(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("seen", ingot.zeros(()))

    def forward(self, x):
        self.found = 0
        if x.sum() < 50:
            self.seen = self.seen + 1
            self.found += 1
        return x * self.seen, self.found


class Notes:
    def __init__(self):
        self.count = 1


def note(notes, x):
    notes.count += 1
    notes.last = x


@refused(
    "pytorch/pytorch#39449",
    example=lambda: (ones(3),),
    message="notes.last is set on one side alone of a branch",
    line="notes.last = x",
    **SCRIPT,
)
def an_attribute_that_a_callee_sets(x):
    notes = Notes()
    if x.sum() > 0:
        note(notes, x)
    return x * notes.count


@refused(
    "pytorch/pytorch#39449",
    example=lambda: (ones(4, 3),),
    message="'seen' of kinds is added in a branch or loop",
    line='kinds.add("seen")',
    **ROWS,
)
def a_set_that_grows_in_a_loop(x):
    kinds = set()
    for row in x:
        x = x + row
        kinds.add("seen")
    return x


@refused(
    "pytorch/pytorch#39449",
    example=lambda: (ones(3),),
    message="parts['b'] is removed in a branch or loop",
    line='parts.pop("b")',
    **SCRIPT,
)
def a_dict_that_loses_an_item(x):
    parts = {"a": x, "b": x * 2}
    if x.sum() > 0:
        parts.pop("b")
    return parts


# ---------------------------------------------------------------------------------------- traces, scripts, gradients


@ingot.jit.script
def clipped(x, limit):
    if x.abs().max() > limit:
        return x * (limit / x.abs().max())
    return x


@captured("arogozhnikov/einops#115", example=lambda: (ones(3),), fresh=vectors, calls=8)
def a_scripted_function_in_a_trace(x):
    return clipped(x * 2, 3.0) + 1


inner = ingot.jit.trace(lambda x: x.relu().sum(0), ones(4, 3), dynamic_shapes={"x": {0: Dim("many", min=0)}})


@captured("arogozhnikov/einops#115", example=lambda: (ones(4, 3),), fresh=rows, **ROWS)
def a_traced_program_in_a_loop(x):
    total = ingot.zeros(3)
    for i in range(x.shape[0]):
        if x[i].sum() > 0:
            total = total + inner(x[:i])
    return total


@captured("arogozhnikov/einops#115", example=lambda: (ones(4, 3),), fresh=rows, **ROWS)
class BackwardThroughALoop(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(ingot.full((3,), 0.5))

    def forward(self, x):
        h = ingot.zeros(3)
        for row in x:
            h = (h + row) * self.weight if row.sum() > 0 else h - row * self.weight
        (gradient,) = ingot.autograd.grad(h.sum(), self.weight)
        return h.detach(), gradient
