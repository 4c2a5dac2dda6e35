"""Where a difference between a program and its function comes from: the user's line.

In this order: does the function differ from itself? Does a second capture, with the inputs of the trial, give another
graph? Would a rounding make such a difference? Else: which node of the graph first gives another value than the
function computed there?
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from ...ir.arrays import is_array
from ...ir.binding import bind_sizes
from ...ir.errors import IngotError
from ...ir.graph import Node, Value
from ...ir.interpreter import interpret
from ...ir.locations import Location
from ...ir.types import TensorType
from .agreement import mismatch
from .graph_paths import Parting, part
from .python_path import branch_between, lines_of
from .subject import Gap, Outcome, Recorded, Subject, gaps, unwarned
from .time_limit import TimeLimit
from .trial_inputs import Inputs
from .verdict import Difference

__all__ = ["explain"]

_ROUNDINGS: Final = 3  # how often the function is run on inputs that a rounding has changed
_SLACK: Final = 10.0  # how many times what a rounding does still counts as rounding
_MOST_SECONDS: Final = 10.0  # what is run again
_OFF: Final = 'check="warn" of trace only warns of this, check=False does not look'
_LEFT: Final = ("value", "item", "tolist", "array", "random")  # kinds of ledger entries about what left the graph


def explain(
    subject: Subject,
    calls: Sequence[Inputs],
    k: int,
    state: Mapping[str, Any],
    program: Outcome,
    function: Outcome,
    found: Sequence[Gap],
    seed: int,
) -> Difference | None:
    """What makes call `k` of a trial differ, or None where it is rounding alone.

    Args:
        state: the program's state before that call.
        program, function: what each of them gave.
        found: how the program's outcome differs from that.
    """
    case = _Case(subject, calls, k)
    differs_from_itself = bool(gaps(case.run(), function))
    recorded, refusal = case.record()
    parting, pairs = (None, {}) if recorded is None else part(subject.graph, recorded.graph)
    if parting is None and refusal is None and not differs_from_itself:
        if case.is_rounding(function, found, seed):
            return None
        if recorded is not None:
            parting = _first_other_value(subject, calls[k], state, recorded, pairs, case.deadline)
    found_at = program.error.location if isinstance(program.error, IngotError) else None
    return _difference(case, found[0], parting, refusal, differs_from_itself, found_at)


class _Case:
    """One call of a trial, which can be run again."""

    def __init__(self, subject: Subject, calls: Sequence[Inputs], k: int) -> None:
        self.subject = subject
        self.calls = calls
        self.k = k
        self.deadline = time.perf_counter() + _MOST_SECONDS

    @property
    def inputs(self) -> Inputs:
        return self.calls[self.k]

    def before(self, count: int) -> None:
        """Everything as it was after the first calls."""
        self.subject.surroundings.restore()
        for inputs in self.calls[:count]:
            self.subject.run_function(inputs, deadline=self.deadline)

    def run(self) -> Outcome:
        """The function's outcome once more."""
        self.before(self.k)
        return self.subject.run_function(self.inputs, deadline=self.deadline)

    def record(self) -> tuple[Recorded | None, IngotError | None]:
        """A capture with these inputs, or why there is none. What the function itself raises is no reason."""
        self.before(self.k)
        sizes = self.subject.sizes(self.inputs)
        try:
            with TimeLimit(self.deadline):
                return self.subject.record(self.inputs.arrays(), sizes, self.inputs.same), None
        except IngotError as error:
            return None, error
        except Exception:  # the function's own, which the difference tells already
            return None, None
        return None, None  # it was stopped

    def branch(self, wanted: Sequence[Location | None]) -> Location | None:
        """The line behind which Python goes another way than at the capture."""
        self.subject.surroundings.restore()
        example = Inputs("the example", tuple(self.subject.examples))
        first = lines_of(lambda: self.subject.run_function(example, deadline=self.deadline))
        self.before(self.k)
        second = lines_of(lambda: self.subject.run_function(self.inputs, deadline=self.deadline))
        return branch_between(first, second, wanted)

    def is_rounding(self, function: Outcome, found: Sequence[Gap], seed: int) -> bool:
        """Whether the function's own values move as far when a rounding changes its inputs and its state."""
        wanted = {gap.where: gap.mismatch for gap in found}
        if not all(m is not None and m.rounding for m in wanted.values()):
            return False
        moved = dict.fromkeys(wanted, 0.0)
        for i in range(_ROUNDINGS):
            self.before(self.k)
            rng = np.random.default_rng((seed, i))
            for tensor in self.subject.tensors.values():
                if (now := self.subject.surroundings.current(tensor)) is not None:
                    _nudge(now._array, rng)
            arrays = self.inputs.arrays()
            for array in {id(x): x for x in arrays if is_array(x)}.values():
                _nudge(array, rng)
            for gap in gaps(self.subject.run_function(self.inputs, arrays, self.deadline), function):
                if gap.where in moved and gap.mismatch is not None:
                    moved[gap.where] = max(moved[gap.where], gap.mismatch.largest)
        return all(m is not None and m.largest <= _SLACK * moved[where] for where, m in wanted.items())


def _nudge(array: Any, rng: np.random.Generator) -> None:
    """Change each floating-point number by about one unit in its last place."""
    if not is_array(array) or array.dtype.kind not in "fV" or not array.flags.writeable:
        return
    step = float(np.finfo(array.dtype).eps) if array.dtype.kind == "f" else 2.0**-7
    array[...] = (array.astype(np.float64) * (1 + step * rng.choice((-1.0, 1.0), array.shape))).astype(array.dtype)


def _first_other_value(
    subject: Subject,
    inputs: Inputs,
    state: Mapping[str, Any],
    recorded: Recorded,
    pairs: Mapping[Value, Value],
    deadline: float,
) -> Parting | None:
    """The first node whose value in the interpreter is not what the function computed there."""
    copy = subject.graph.copy()
    mine: list[tuple[Node, Value, Value]] = []
    for node, twin in zip(subject.graph.block.nodes, copy.block.nodes, strict=True):
        for output, value in zip(node.outputs, twin.outputs, strict=True):
            if isinstance(output.type, TensorType) and pairs.get(output) in recorded.values:
                mine.append((node, pairs[output], value))
    copy.set_return([value for _, _, value in mine])
    arrays = inputs.arrays()
    try:
        with unwarned():
            found, _ = interpret(copy, arrays, state, bind_sizes(subject.graph, arrays), deadline=deadline)
    except IngotError:  # the program stops on the way; its message names the line
        return None
    for (node, value, _), array in zip(mine, found, strict=True):
        if (wrong := mismatch(array, recorded.values[value])) is not None:
            return Parting("computed", node, value.node, str(wrong))
    return None


def _difference(
    case: _Case,
    gap: Gap,
    parting: Parting | None,
    refusal: IngotError | None,
    differs_from_itself: bool,
    found_at: Location | None,
) -> Difference:
    layout = case.inputs.layout
    what, advice = _headline(gap, parting, refusal, differs_from_itself, layout)
    lines: tuple[Location | None, Location | None] = (None, None) if parting is None else parting.lines
    location = lines[1] or lines[0] or found_at
    path = ""
    notes: list[str] = []
    if refusal is not None:
        location = refusal.location
        notes.append(f"a capture with these inputs is refused: {refusal.what}")
    if parting is not None:
        notes += _notes(parting)
        path = next((node.path for node in (parting.second, parting.first) if node is not None), "")
    if parting is None or parting.kind == "path":
        branch = case.branch((*lines, location))
        location, path = branch or location, "" if branch else path
    notes += _left_the_graph(case.subject)
    during = f"call {case.k + 1} of {len(case.calls)}" if len(case.calls) > 1 else "a call"
    sizes = ", ".join(f"{name} = {size}" for name, size in case.subject.sizes(case.inputs).items())
    return Difference(
        what,
        gap.expected,
        gap.found,
        f"{during} with {case.inputs.what}" + (f", {sizes}" if sizes else ""),
        location,
        path,
        tuple(notes),
        f"{advice}; {_OFF}",
        tuple(case.inputs.arrays()),
        case.subject.graph.name,
    )


def _headline(
    gap: Gap, parting: Parting | None, refusal: IngotError | None, differs_from_itself: bool, layout: str
) -> tuple[str, str]:
    """What is wrong, and the way out."""
    if differs_from_itself:
        return (
            "the function differs from one run to the next, from the same state and on the same inputs",
            "draw random numbers with ingot.rand and its kin, and take times, counters and the like as arguments",
        )
    if layout and (refusal is not None or parting is not None):
        return (
            f"the function depends on how its inputs lie in memory: for {layout} ones it gives something else",
            "make them contiguous first, with contiguous()",
        )
    if refusal is not None or (parting is not None and parting.kind == "path"):
        return (
            "for these inputs Python takes another path than the captured one",
            "choose with ingot.where(...), make what decides an argument, or keep it in a tensor that is state",
        )
    if parting is not None and parting.kind == "value":
        return (
            "a value that Python computed was frozen when the program was captured",
            "compute it with tensor operations, make it an argument, or keep it in a tensor that is state",
        )
    if parting is not None:
        return "the program computes another value than its function", "this is an error of Ingot's: please report it"
    return (
        f"the program differs from the function it was captured from: {gap.where or 'one of them raises'}",
        "let the function do the same while it is captured as when it is called",
    )


def _notes(parting: Parting) -> Iterable[str]:
    for word, node in (("captured", parting.first), ("with these inputs", parting.second)):
        if node is None:
            yield f"{word}: nothing more"
        elif node.location is not None:
            yield f"{word}: {node.op.short} at {node.location}  {node.location.source.strip()}".rstrip()
        else:
            yield f"{word}: {node.op.short}"
    if parting.what:
        yield parting.what


def _left_the_graph(subject: Subject) -> Iterable[str]:
    entries = [entry for entry in subject.ledger if entry.kind in _LEFT and entry.location is not None]
    for entry in entries[:3]:
        assert entry.location is not None
        yield f"left the graph: {entry.location}  {entry.location.source.strip()}"
