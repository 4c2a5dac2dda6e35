"""The check after a trace is noisy, so people switch it off: here it is silent where the program is right, and speaks
with the line where it is not."""

from __future__ import annotations

import time

import ingot
import numpy as np
from capture_corpus import captured, checked, integers, ones, randn, refused
from ingot import nn
from ingot.nn import functional as F

ROWS = {
    "example": lambda: (randn(np.random.default_rng(0), 4, 3),),
    "fresh": lambda rng: (randn(rng, 4, 3),),
}
THREE = {"example": lambda: (randn(np.random.default_rng(0), 3).abs() + 0.5,)}


def was_tried(program):
    """The check has looked, and has not left out what it meant to try."""
    assert program.verdict.passed
    assert program.verdict.trials and not program.verdict.left_out


SILENT = {"then": was_tried}


# ---------------------------------------------------------------------- programs that are right, and might look wrong


@captured("pytorch/pytorch#11639", **ROWS, **SILENT, state=["rng"])
class DropoutInTraining(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(x)


@captured("pytorch/pytorch#11639", **ROWS, **SILENT, state=["norm.running_mean"])
class BatchStatisticsInTraining(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x):
        return self.norm(x)


class _Unary(nn.Module):
    def __init__(self, operation) -> None:
        super().__init__()
        self.operation = operation

    def forward(self, *args):
        return self.operation(*args)


@captured("pytorch/pytorch#23993", **ROWS, **SILENT)
class OperationsThatAreAttributes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cat, self.add, self.mul = _Unary(ingot.cat), _Unary(ingot.add), _Unary(ingot.mul)

    def forward(self, x):
        y = self.cat([x, x, x])
        z = self.add(y, y)
        return self.mul(z, z)


@captured("pytorch/pytorch#23993", **ROWS, **SILENT)
def logarithms_of_negative_numbers(x):
    return x.log(), x.sqrt().sum(), x / (x - x)


@captured("pytorch/pytorch#23993", **ROWS, **SILENT)
def the_first_of_equal_elements(x):
    same = (x > 0).float()
    return same.argmax(1), same.max(0).values, same.sort(1).indices, same.argsort(0)


@captured("pytorch/pytorch#23993", example=lambda: (ones(5, 3),), **SILENT)
def an_example_without_variance(x):
    return (x - x.mean(0)) / (x.std(0) + 1e-5)


@captured(
    "pytorch/pytorch#23993",
    example=lambda: (ingot.tensor([0, 2, 4]), randn(np.random.default_rng(0), 3, 5)),
    fresh=lambda rng: (integers(rng, 0, 5, 3), randn(rng, 3, 5)),
    **SILENT,
)
class IntegersThatAreIndices(nn.Module):
    """Made-up indices stay within those of the example, so that nothing is out of range."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 2)

    def forward(self, i, scores):
        return self.table(i), F.one_hot(i, 5), scores.gather(1, i[:, None]), F.cross_entropy(scores, i)


@captured("pytorch/pytorch#23993", example=lambda: (ingot.tensor([7, -7, 100]), ingot.tensor([2, 3, 7])), **SILENT)
def integers_divided(x, y):
    return x // y, x % y, x * x * x * 1_000_003


@captured("pytorch/pytorch#11639", example=lambda: (randn(np.random.default_rng(0), 4, 4) / 4,), **SILENT)
def rounding_that_piles_up(x):
    for _ in range(30):
        x = (x @ x.t() @ x + x).tanh()
    return x


@captured("pytorch/pytorch#11639", example=lambda: (randn(np.random.default_rng(0), 64),), **SILENT)
def a_sum_in_half_precision(x):
    return x.half().sum().float(), (x.bfloat16() * 3).mean().float()


@captured(
    "pytorch/pytorch#23993",
    example=lambda: (ones(4, 3),),
    fresh=lambda rng: (randn(rng, int(rng.integers(3, 9)), 3),),
    dynamic_shapes={0: "rows"},
    **SILENT,
)
def sizes_that_the_function_itself_refuses(x):
    """Fewer than three rows are an assumption: no trial goes below."""
    assert x.shape[0] > 2, "at least three rows"
    return x.sum(0) / (x.shape[0] - 2)


@captured(
    "pytorch/pytorch#23993",
    **THREE,
    fresh=lambda rng: (randn(rng, 3) + 1.5,),
    calls=12,
    script_branches=True,
    raises="must be positive",
    **SILENT,
)
def an_assertion_about_values(x):
    assert x.min() > 0, "x must be positive"
    return x.log()


MODEL = nn.Linear(3, 1)
OPTIMIZER = ingot.optim.AdamW(MODEL.parameters(), lr=0.01)


@captured("pytorch/pytorch#11639", **ROWS, **SILENT, state=["MODEL.weight"])
def a_training_step(x):
    OPTIMIZER.zero_grad()
    loss = (MODEL(F.dropout(x, 0.2)) ** 2).mean()
    loss.backward()
    OPTIMIZER.step()
    return loss.detach()


SEEN: list[float] = []


@captured("pytorch/pytorch#23993", **ROWS, **SILENT)
def a_log_that_no_result_reads(x):
    SEEN.append(time.perf_counter())
    return x * 2, float("nan"), "label"


# ------------------------------------------------------------------------------- programs that only the check finds


CALLS: list[int] = []


@checked(
    "pytorch/pytorch#23993",
    **THREE,
    message="for these inputs Python takes another path than the captured one",
    line="if len(CALLS) == 3:",
)
def the_third_call_alone(x):
    CALLS.append(1)
    if len(CALLS) == 3:
        return x * 2
    return x + 0


@checked(
    "pytorch/pytorch#11639",
    **THREE,
    frozen_ok="the scale of the first batch",
    message="a value that Python computed was frozen",
    line="return x / scale",
)
def a_scale_that_may_be_frozen(x):
    scale = float(x.abs().max())
    return x / scale


@checked(
    "pytorch/pytorch#11639",
    **THREE,
    frozen_ok=True,
    message="for these inputs Python takes another path than the captured one",
    line="if positive:",
)
def a_branch_that_may_be_frozen(x):
    positive = bool((x > 0).all())
    if positive:
        return x.log()
    return x * 0


class _Warm:
    scale = 1.0


@checked(
    "pytorch/pytorch#23993",
    **THREE,
    frozen_ok="the scale of the first call",
    message="a value that Python computed was frozen",
    line="return x * scale",
)
def a_number_of_a_class(x):
    scale = _Warm.scale
    _Warm.scale = 0.5
    return x * scale


@checked(
    "pytorch/pytorch#23993",
    **THREE,
    message="the same while it is captured as when it is called",
    line=None,
)
def what_is_done_only_while_tracing(x):
    return x * 2 if ingot.jit.is_tracing() else x * 3


USED: list[int] = []


@checked(
    "pytorch/pytorch#23993",
    **THREE,
    message="expected  ValueError: only once",
    line="if USED:",
)
def an_exception_in_the_second_call(x):
    if USED:
        raise ValueError("only once")
    USED.append(1)
    return x * 2


@checked(
    "pytorch/pytorch#11639",
    **THREE,
    message="the result[1] is 2, not 1",
    line=None,
)
def a_number_among_the_results(x):
    COUNTED.append(1)
    return x, len(COUNTED)


COUNTED: list[int] = []


class _Scheduled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(ones(3))
        self.optimizer = ingot.optim.SGD([self.weight], lr=0.5)
        self.scheduler = ingot.optim.lr_scheduler.StepLR(self.optimizer, 1, gamma=0.1)


@checked(
    "pytorch/pytorch#11639",
    **THREE,
    message="a value that Python computed was frozen",
    line="self.optimizer.step()",
)
class AScheduleOfTheLearningRate(_Scheduled):
    def forward(self, x):
        self.optimizer.zero_grad()
        loss = (self.weight * x).sum()
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()
        return loss.detach()


@checked(
    "pytorch/pytorch#11639",
    example=lambda: (ones(3, 2),),
    dynamic_shapes={0: "n"},
    frozen_ok="NumPy counts the rows",
    message="a value that Python computed was frozen",
    line="return x.sum(0) / rows",
)
def rows_that_numpy_counts(x):
    rows = len(x.numpy())
    return x.sum(0) / rows


# ------------------------------------------------------------------------------------ what needs no check to be found


@refused(
    "pytorch/pytorch#11639",
    **THREE,
    check=False,
    message="float() takes a tensor's value out of the program",
    line="scale = float(x.max())",
)
def a_number_that_leaves_without_a_word(x):
    scale = float(x.max())
    return x / scale


@refused(
    "pytorch/pytorch#11639",
    **ROWS,
    check=False,
    message="bool() of a tensor that depends on the program's inputs or state",
    line="if self.ready:",
)
class AFlagThatIsABuffer(nn.Module):
    """No operation has read the flag before Python does."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("ready", ingot.tensor(False))

    def forward(self, x):
        if self.ready:
            return x * 2
        self.ready.fill_(True)
        return x


@refused(
    "pytorch/pytorch#11639",
    **ROWS,
    check=False,
    message="a list index or range() takes a tensor's value out of the program",
    line="for _ in range(self.steps):",
)
class ANumberOfStepsThatIsABuffer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("steps", ingot.tensor(3))

    def forward(self, x):
        for _ in range(self.steps):
            x = x * 2
        return x
