"""A write to state is dropped: the program runs, and the next call finds what the first one found."""

from __future__ import annotations

import copy
import pickle
from collections import deque
from types import SimpleNamespace

import ingot
import numpy as np
from capture_corpus import call, captured, checked, ones, randn, refused, zeros
from ingot import nn
from ingot.nn import functional as F

THREE = {"example": lambda: (ones(3),)}


class _WithBuffers(nn.Module):
    """A module with buffers `total` of three zeros, `at` of one integer zero, and `cache` of four rows of three."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", zeros(3))
        self.register_buffer("at", ingot.tensor(0))
        self.register_buffer("cache", zeros(4, 3))


# ----------------------------------------------------------------------------------------------------- captured


@captured("pytorch/pytorch#140539", **THREE, state=["at"])
class ACounterThatNoResultReads(_WithBuffers):
    def forward(self, x):
        y = x * 2
        self.at += 1
        return y


@captured("tinygrad/tinygrad#16620", **THREE, state=["total"])
class ABufferThatIsReplaced(_WithBuffers):
    def forward(self, x):
        self.total = self.total * 0.9 + x
        return self.total.sum()


@captured("pytorch/pytorch#140539", **THREE, state=["cache", "at"])
class ARingIndexedByATensor(_WithBuffers):
    def forward(self, x):
        self.cache[self.at] = x
        self.at.copy_((self.at + 1) % 4)
        return self.cache.sum(0)


@captured("pytorch/pytorch#140539", **THREE, state=["cache", "at"])
class ARingIndexedByItem(_WithBuffers):
    """The position is a number in Python, and follows the buffer all the same."""

    def forward(self, x):
        position = self.at.item()
        self.cache[position] = x
        self.at.copy_((self.at + 1) % 4)
        return self.cache.sum(0), position


@captured("pytorch/pytorch#140539", **THREE, state=["cache"])
class AHistoryThatMovesOverItself(_WithBuffers):
    def forward(self, x):
        self.cache[1:] = self.cache[:-1]
        self.cache[0] = x
        return self.cache.mean(0)


@captured("tinygrad/tinygrad#16620", **THREE, state=["left"])
class TwoBuffersThatChangePlaces(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("left", zeros(3))
        self.register_buffer("right", ones(3))

    def forward(self, x):
        self.left, self.right = self.right, self.left
        self.left.add_(x)
        return self.left - self.right


@captured("pytorch/pytorch#140539", **THREE, script_branches=True, state=["total", "at"])
class ABufferChangedOnOneSideOfABranch(_WithBuffers):
    def forward(self, x):
        if x.sum() > 0:
            self.total.add_(x)
        else:
            self.at += 1
        return self.total * self.at


@captured("pytorch/pytorch#140539", **THREE, script_branches=True, state=["total", "at"])
class ABufferChangedInALoop(_WithBuffers):
    def forward(self, x):
        for row in self.cache + x:
            self.total = self.total + row
            self.at += 1
        return self.total.mean()


@captured("pytorch/pytorch#140539", **THREE)
class ACounterThatOnlyCounts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * 2


@captured("pytorch/pytorch#140539", **THREE)
class ANumberThatEachCallSetsBeforeItIsRead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rows = None

    def forward(self, x):
        self.rows = x.shape[0]
        return x * self.scale()

    def scale(self):
        return 1 / self.rows


TOTAL = zeros(3)


@captured("pytorch/pytorch#140539", **THREE, state=["TOTAL"])
def a_global_that_gets_another_tensor(x):
    global TOTAL
    TOTAL = TOTAL + x
    return TOTAL * 1


SETTINGS = SimpleNamespace(memory={"hidden": [zeros(3)]})


@captured("pytorch/pytorch#140539", **THREE, state=["SETTINGS.memory.hidden.0"])
def a_list_in_a_dict_in_an_object(x):
    hidden = SETTINGS.memory["hidden"]
    hidden[0] = (hidden[0] + x).tanh()
    return hidden[0] * 2


@captured("pytorch/pytorch#140539", **THREE, state=["last"])
def an_attribute_of_the_function(x):
    an_attribute_of_the_function.last = an_attribute_of_the_function.last * 0.5 + x
    return an_attribute_of_the_function.last.sum()


an_attribute_of_the_function.last = zeros(3)


@captured("pytorch/pytorch#140539", **THREE)
def a_default_that_remembers(x, memory=[zeros(3)]):  # noqa: B006, B008
    memory[0] = memory[0] + x
    return memory[0] * 1


@captured("pytorch/pytorch#140539", **THREE, state=["AnAttributeOfTheClass.total"])
class AnAttributeOfTheClass(nn.Module):
    total = zeros(3)

    def forward(self, x):
        AnAttributeOfTheClass.total = AnAttributeOfTheClass.total + x
        return AnAttributeOfTheClass.total * 1


@captured("tinygrad/tinygrad#16620", **THREE, state=["hidden.0", "hidden.1"])
class ATupleThatIsMadeAnew(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = (zeros(3), ones(3))

    def forward(self, x):
        h, c = self.hidden
        c = c * 0.5 + (h + x).sigmoid()
        self.hidden = (c.tanh(), c)
        return self.hidden[0] * 1


@captured("pytorch/pytorch#140539", **THREE, state=["total"])
class CopiesOfABuffer(_WithBuffers):
    """A deep copy keeps what the buffer was, a shallow one is the buffer."""

    def forward(self, x):
        kept, same = copy.deepcopy(self.total), copy.copy(self.total)
        self.total.add_(x)
        same[0] += 1
        return kept, same * 1, self.total * 1


def has_no_state(program):
    assert not program.state


@captured("pytorch/pytorch#140539", **THREE, then=has_no_state)
def an_accumulator_that_each_call_makes(x):
    """It is no state: the next call starts from zeros again."""
    total, count = ingot.tensor([0.0, 0.0, 0.0]), ingot.tensor(0)
    for row in (x, x * 2):
        total.add_(row)
        count += 1
    return total / count


@captured("pytorch/pytorch#140539", **THREE, script_branches=True, then=has_no_state)
def an_accumulator_that_each_iteration_makes(x):
    found = x * 0
    for element in x:
        pair = ingot.tensor([1.0, 2.0])
        pair[0] = element
        found = found + pair.sum()
    return found


@captured("tinygrad/tinygrad#16620", **THREE, then=has_no_state)
def an_optimizer_that_each_call_makes(x):
    weight = nn.Parameter(x * 2)
    optimizer = ingot.optim.SGD([weight], lr=0.1, momentum=0.9)
    for _ in range(3):
        optimizer.zero_grad()
        (weight**2).sum().backward()
        optimizer.step()
    return weight.detach()


def follows_its_state(program):
    program.load_state_dict({"factor": ingot.tensor(5.0)})
    assert program(ones(3)).tolist() == [5.0] * 3


@captured("pytorch/pytorch#140539", **THREE, then=follows_its_state)
class AParameterReadAsANumber(nn.Module):
    """The number is not the example's: it is the parameter's, whatever it is by then."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(ingot.tensor(2.0))

    def forward(self, x):
        return x * self.factor.item()


LAYER = nn.Linear(3, 2)
AVERAGE = nn.Linear(3, 2)
OPTIMIZER = ingot.optim.Adam(LAYER.parameters(), lr=0.05)


@captured(
    "tinygrad/tinygrad#16620",
    example=lambda: (ones(4, 3), zeros(4, 2)),
    state=["LAYER.weight", "LAYER.bias", "AVERAGE.weight"],
)
def a_training_step_with_an_average_of_the_weights(x, target):
    OPTIMIZER.zero_grad()
    loss = F.mse_loss(LAYER(x), target)
    loss.backward()
    OPTIMIZER.step()
    with ingot.no_grad():
        for kept, new in zip(AVERAGE.parameters(), LAYER.parameters(), strict=True):
            kept.lerp_(new, 0.1)
    return loss.detach(), AVERAGE(x).detach()


SMALL = nn.Linear(3, 2)
SMALL_OPTIMIZER = ingot.optim.SGD(SMALL.parameters(), lr=0.05, momentum=0.9)


@captured(
    "tinygrad/tinygrad#16620",
    example=lambda: (ones(4, 3), zeros(4, 2)),
    state=["SMALL.weight", "SMALL.bias"],
    script_branches=True,
    dynamic_shapes=[{0: "batch"}, {0: "batch"}],
)
def gradients_that_add_up_over_rows(x, target):
    """Each row leaves a gradient, from as many rows as the call has."""
    SMALL_OPTIMIZER.zero_grad()
    for row, wanted in zip(x, target, strict=True):
        F.mse_loss(SMALL(row), wanted).backward()
    SMALL_OPTIMIZER.step()
    return SMALL(x).detach()


@captured("pytorch/pytorch#140539", **THREE, state=["weight", "weight.grad"], script_branches=True)
class AGradientThatSomeCallsLeave(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(ones(3))
        self.weight.grad = zeros(3)

    def forward(self, x):
        if x.sum() > 0:
            (self.weight * x).sum().backward()
        with ingot.no_grad():
            self.weight -= 0.1 * self.weight.grad
        return x


@captured(
    "pytorch/pytorch#140539",
    example=lambda: {"observe": (ones(3),), "mean": ()},
    fresh=lambda rng: call(randn(rng, 3), entry="observe") if rng.random() < 0.6 else call(entry="mean"),
    calls=8,
    state=["total", "at"],
)
class WhatOneMethodWritesAnotherReads(_WithBuffers):
    def observe(self, x):
        self.total += x
        self.at += 1
        return self.at * 1

    def mean(self):
        return self.total / self.at.clamp(min=1)


# ------------------------------------------------------------------------------------------------------ refused


@refused(
    "tinygrad/tinygrad#16620",
    **THREE,
    message="reads the tensor seen and puts another kind of value in its place",
    line="self.seen = ingot.cat([self.seen, x])",
)
class ABufferThatGrows(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", zeros(1))

    def forward(self, x):
        self.seen = ingot.cat([self.seen, x])
        return self.seen.sum()


@refused(
    "tinygrad/tinygrad#16620",
    **THREE,
    message="expected  a tensor of type f32[3], for the next call to read",
    line="self.total = self.total + x.double()",
)
class ABufferOfAnotherDtype(_WithBuffers):
    def forward(self, x):
        self.total = self.total + x.double()
        return self.total * 1


@refused(
    "pytorch/pytorch#140539",
    **THREE,
    message="changes a tensor in place that shares its memory with other state",
    line="self.first.add_(x)",
)
class StateWithTwoOwnersOfItsMemory:
    def __init__(self) -> None:
        memory = np.ones(3, np.float32)
        self.first, self.second = ingot.from_numpy(memory), ingot.from_numpy(memory)

    def __call__(self, x):
        self.first.add_(x)
        return self.second * 1


@refused(
    "pytorch/pytorch#140539",
    **THREE,
    message="replaces a tensor under one of its names, and not under another",
    line="self.hidden = (self.hidden + x).tanh()",
)
class AStateThatHasTheNameOfItsStart(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.start = self.hidden = zeros(3)

    def forward(self, x):
        self.hidden = (self.hidden + x).tanh()
        return self.hidden - self.start


@refused(
    "pytorch/pytorch#140539",
    **THREE,
    message="replaces a tensor under one of its names, and not under another",
    line="newest = x * 1",
)
class AWindowOfTheLastInputs:
    def __init__(self) -> None:
        self.window = deque([zeros(3)] * 2, maxlen=2)

    def __call__(self, x):
        newest = x * 1
        self.window.append(newest)
        return self.window[0] + self.window[1]


@refused(
    "pytorch/pytorch#140539",
    **THREE,
    message="replaces a tensor under one of its names, and not under another",
    line="self.total = self.total + x  # what views it stays",
)
class AViewOfABufferThatIsReplaced(_WithBuffers):
    """The view goes on showing the memory of the first buffer, not that of the one in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.part = self.total[:2]

    def forward(self, x):
        self.total = self.total + x  # what views it stays
        return self.part * 1


@refused(
    "pytorch/pytorch#140539",
    **THREE,
    message="lets two names of its state stand for one tensor, and changes it in place",
    line="self.left.add_(x)  # from the second call on, that is right as well",
)
class TwoNamesThatBecomeOne(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("left", zeros(3))
        self.register_buffer("right", ones(3))

    def forward(self, x):
        self.left.add_(x)  # from the second call on, that is right as well
        result = self.left - self.right
        self.left = self.right
        return result


@refused(
    "pytorch/pytorch#140539",
    **THREE,
    message="takes a number out of a tensor, to Python, and changes the tensor",
    line="count = (self.counts[0] * 2).item()",
)
class ANumberOutOfATensorWithoutAName:
    def __init__(self) -> None:
        self.counts = [ingot.tensor(1)]

    def __call__(self, x):
        count = (self.counts[0] * 2).item()
        self.counts[0].add_(1)
        return x * count


@refused(
    "tinygrad/tinygrad#16620",
    **THREE,
    message="reads tensors in hidden and puts another list in its place",
    line="new = self.hidden[0] + x",
)
class AListThatIsMadeAnew(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = [zeros(3), zeros()]

    def forward(self, x):
        new = self.hidden[0] + x
        self.hidden = [new, new.sum()]
        return self.hidden[1] * 1


@refused(
    "pytorch/pytorch#140539",
    **THREE,
    message="reads tensors in box and puts another SimpleNamespace in its place",
    line="new = SimpleNamespace(total=self.box.total + x)",
)
class AnObjectThatIsMadeAnew(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.box = SimpleNamespace(total=zeros(3))

    def forward(self, x):
        new = SimpleNamespace(total=self.box.total + x)
        self.box = new
        return new.total * 1


@refused(
    "pytorch/pytorch#140539",
    **THREE,
    message="pickle takes a tensor's value out of the program",
    line="before = pickle.loads(pickle.dumps(self.total))",
)
class ABufferThatIsPickled(_WithBuffers):
    def forward(self, x):
        before = pickle.loads(pickle.dumps(self.total))
        self.total.add_(x)
        return before + x


@refused(
    "tinygrad/tinygrad#16620",
    **THREE,
    message="reads a gradient from before it, which later calls will not find",
    line="(self.weight * x).sum().backward()",
)
class AGradientThatTheFirstCallAloneFinds:
    def __init__(self) -> None:
        self.weight = ones(3).requires_grad_()
        self.weight.grad = ones(3)

    def __call__(self, x):
        (self.weight * x).sum().backward()
        result = self.weight.grad * 1
        self.weight.grad = None
        return result


@refused(
    "pytorch/pytorch#140539",
    **THREE,
    message="a gradient is read that is a tensor or None, as the run decides",
    line="(self.weight * x).sum().backward()",
    script_branches=True,
)
class AGradientThatOneSideLeaves(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(ones(3))

    def forward(self, x):
        self.weight.grad = None
        if x.sum() > 0:
            (self.weight * x).sum().backward()
        return x if self.weight.grad is None else x * self.weight.grad


@refused(
    "pytorch/pytorch#140539",
    example=lambda: {"remember": (ones(3),), "recall": (ones(3),)},
    message="reads memory, which the entry point 'remember' sets to a tensor",
    line="return x if self.memory is None else x + self.memory",
)
class AMemoryThatIsNoneAtFirst(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.memory = None

    def remember(self, x):
        self.memory = x * 2
        return x * 1

    def recall(self, x):
        return x if self.memory is None else x + self.memory


@refused(
    "pytorch/pytorch#140539",
    **THREE,
    message="the program depends on calls, which it sets to another value",
    line="return x * self.calls",
)
class ACounterInPython(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * self.calls


# ------------------------------------------------------------------------------------------------------ checked


@checked(
    "pytorch/pytorch#140539",
    **THREE,
    message="for these inputs Python takes another path than the captured one",
    line="if self.last is not None:",
)
class AMemoryThatAppearsInTheFirstCall(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = None

    def forward(self, x):
        y = x * 1
        if self.last is not None:
            y = y + self.last
        self.last = x * 2
        return y


HISTORY: list[ingot.Tensor] = []


@checked(
    "pytorch/pytorch#140539",
    **THREE,
    message="for these inputs Python takes another path than the captured one",
    line="return ingot.stack(HISTORY).mean(0)",
)
def a_history_that_grows(x):
    HISTORY.append(x * 1)
    return ingot.stack(HISTORY).mean(0)


SEEN = np.zeros(3, np.float32)


@checked(
    "tinygrad/tinygrad#16620",
    **THREE,
    message="a value that Python computed was frozen",
    line="return x + ingot.tensor(SEEN)",
)
def an_array_that_numpy_changes(x):
    SEEN[:] += 1
    return x + ingot.tensor(SEEN)
