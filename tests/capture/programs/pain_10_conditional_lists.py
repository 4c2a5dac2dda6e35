"""Lists that grow and shrink as the run decides: they are captured where all elements are of one type."""

import ingot
from capture_corpus import captured, integers, ones, randn, refused
from ingot import nn

ROWS = {"script_branches": True, "dynamic_shapes": {"x": {0: "rows"}}}
SCRIPT = {"script_branches": True}


def rows(rng):
    return (randn(rng, rng.integers(1, 9), 3) * 2,)


@captured("pytorch/pytorch#37200", example=lambda: (ones(4, 3),), fresh=rows, calls=8, **ROWS)
def rows_above_a_threshold(x):
    kept = [x.sum(0)]
    for row in x:
        if row.sum() > 0:
            kept.append(row)
    return ingot.stack(kept), len(kept), kept[-1]


@captured("pytorch/pytorch#37200", example=lambda: (ones(4, 3),), fresh=rows, calls=8, **ROWS)
def branches_that_append_different_counts(x):
    kept = []
    for row in x:
        if row.sum() > 1:
            kept += [row, row * 2]
        elif row.sum() < -1:
            continue
        else:
            kept.append(-row)
        if row[0] > 2:
            break
    return sum([row.sum() for row in kept]) if len(kept) > 0 else x.sum(), len(kept)


@captured(
    "pytorch/pytorch#37200",
    example=lambda: (ones(4, 3),),
    fresh=lambda rng: (-abs(randn(rng, 3, 3)),),
    raises="tensors is empty",
    **ROWS,
)
def a_list_that_may_be_empty(x):
    kept = []
    for row in x:
        if row.sum() > 0:
            kept.append(row)
    return ingot.cat(kept)


@captured(
    "pytorch/pytorch#37200",
    example=lambda: (ingot.tensor(3),),
    fresh=lambda rng: (integers(rng, 0, 9),),
    calls=8,
    **SCRIPT,
)
def tokens_until_the_end(start):
    tokens = [int(start)]
    while len(tokens) < 8:
        token = (tokens[-1] * 3 + len(tokens)) % 7
        if token == 5:
            break
        tokens.append(token)
    return ingot.tensor(tokens), tokens[-1], len(tokens)


@captured("pytorch/pytorch#37200", example=lambda: (ones(4, 3),), fresh=rows, calls=8, **ROWS)
def a_stack_of_work(x):
    work = [x.sum(0)]
    for row in x:
        if row.sum() > 0:
            work.append(row)
        elif len(work) > 1:
            top = work.pop()
            work[-1] = work[-1] + top * 0.5
    return ingot.stack(work)


@captured("pytorch/pytorch#37200", example=lambda: (ones(4, 3),), fresh=rows, calls=8, **ROWS)
def pairs_found_by_two_loops(x):
    found = [x.sum(0)]
    for i in range(x.shape[0]):
        for j in range(i):
            if x[j].sum() < x[i].sum():
                found.append(x[i] - x[j])
    return ingot.stack(found).sum(0), len(found)


@captured("pytorch/pytorch#37200", example=lambda: (ones(4, 3),), fresh=rows, calls=8, **ROWS)
def rows_in_chunks(x):
    chunk, sums = [], [x.sum(0)]
    for row in x:
        chunk.append(row)
        if row.sum() > 0:
            sums.append(ingot.stack(chunk).sum(0))
            chunk = []
    return ingot.stack(sums), len(chunk)


@captured("pytorch/pytorch#37200", example=lambda: (ones(4, 3),), fresh=rows, calls=8, **ROWS)
class BackwardThroughAListOfSome(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(ingot.full((3,), 0.5))

    def forward(self, x):
        states = [x.sum(0) * self.weight]
        for row in x:
            if row.sum() > 0:
                states.append((states[-1] + row * self.weight).tanh())
        (gradient,) = ingot.autograd.grad(ingot.stack(states).sum(), self.weight)
        return gradient


@refused(
    "pytorch/pytorch#37200",
    example=lambda: (ones(4, 3),),
    message="elements of different types",
    line="kept.append(row[:2])",
    **ROWS,
)
def elements_of_two_sizes(x):
    kept = []
    for row in x:
        if row.sum() > 0:
            kept.append(row)
            kept.append(row[:2])
    return len(kept)


@refused(
    "pytorch/pytorch#37200",
    example=lambda: (ones(4, 3),),
    message="gets an element of type tuple",
    line="kept.append((row, row.sum()))",
    **ROWS,
)
def elements_that_are_tuples(x):
    kept = []
    for row in x:
        if row.sum() > 0:
            kept.append((row, row.sum()))
    return len(kept)


@refused(
    "pytorch/pytorch#41274",
    example=lambda: (ones(4, 3),),
    message="shares its memory with another, or not, as the run decides",
    line="return ingot.stack(kept)",
    **ROWS,
)
def an_element_changed_by_its_other_name(x):
    first, kept = x[0] * 2, [x.sum(0)]
    if x.sum() > 0:
        kept.append(first)
    first += 1
    return ingot.stack(kept)


@refused(
    "pytorch/pytorch#41274",
    example=lambda: (ones(4, 3),),
    message="a list is used that a change of another one has changed, or not, as the run decides",
    line="return len(first), len(second)",
    **ROWS,
)
def a_list_of_two_names(x):
    first, second = [x[0]], [x[0] * 2]
    if x.sum() > 0:
        second = first
    second.append(x[0])
    return len(first), len(second)


@refused(
    "pytorch/pytorch#37200",
    example=lambda: (ones(4, 3),),
    message="sort() of a list whose length the run decides",
    line="kept.sort()",
    **ROWS,
)
def a_list_of_some_that_is_sorted(x):
    kept = []
    for row in x:
        if row.sum() > 0:
            kept.append(float(row[0]))
    kept.sort()
    return kept[0]


@captured("pytorch/pytorch#41274", example=lambda: (ones(4, 3),), fresh=rows, calls=8, **ROWS)
def constants_made_and_changed_in_a_branch(x):
    place, y = ingot.zeros(()), x[0] * 1
    if x.sum() > 0:
        place += 1
        y = y * 2 + int(place)
    else:
        y = y - int(ingot.ones(()) * 3)
    return y, int(place)
