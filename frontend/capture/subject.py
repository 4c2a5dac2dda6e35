"""What is checked: a captured graph and the function it came from, each run on the same inputs.

What lives here: one call of either. Which calls are made is `check`'s subject, what a difference comes from
`explanation`'s.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...ir.arrays import is_array
from ...ir.binding import bind_sizes
from ...ir.errors import AssertError, IngotError, TimeLimitError
from ...ir.graph import Graph, Value
from ...ir.interpreter import interpret
from ...ir.program import LedgerEntry, Signature
from ...ir.raised import BUILT_IN, kept_exception
from ...ir.trees import leaf_trees
from ..mode import mode
from ..tensor_base import TensorBase, wrap
from .agreement import Mismatch, StructureError, leaves_by_tree, mismatch
from .surroundings import Surroundings
from .time_limit import NEVER, TimeLimit
from .trial_inputs import Inputs

__all__ = ["Gap", "Outcome", "Recorded", "Subject", "gaps", "plainly", "unwarned"]


@contextmanager
def unwarned() -> Iterator[None]:
    """No warnings: made-up values may be odd, and what the user should know his own calls will tell him again."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


@contextmanager
def plainly() -> Iterator[None]:
    """What was scripted or compiled runs as plain Python: that is what a program is compared with."""
    before, mode.plain = mode.plain, True
    try:
        yield
    finally:
        mode.plain = before


@dataclass(frozen=True, slots=True)
class Recorded:
    """A second capture of the function: its graph, and the value that each node computed."""

    graph: Graph
    values: Mapping[Value, np.ndarray]


@dataclass(frozen=True, slots=True)
class Subject:
    """A graph and its function.

    Attributes:
        graph: as captured.
        signature: how it is called; its result's tree.
        state: the program's state at the time of the capture.
        examples: what it was captured with, one array or number per input.
        call: runs the function on one tensor or number per input.
        record: captures it anew on arrays, with the given sizes for dynamic ones and perhaps two inputs that are one.
        surroundings: what the function reaches, as it was before the capture.
        tensors: the tensors that the state came from, by key.
        ledger: what capture froze.
        with_gradient: the inputs that require a gradient, by number.
    """

    graph: Graph
    signature: Signature
    state: Mapping[str, np.ndarray]
    examples: Sequence[Any]
    call: Callable[[Sequence[Any]], Any]
    record: Callable[[Sequence[Any], Mapping[str, int], tuple[int, int] | None], Recorded]
    surroundings: Surroundings
    tensors: Mapping[str, Any]
    ledger: Sequence[LedgerEntry] = ()
    with_gradient: tuple[int, ...] = ()

    def refusal(self, inputs: Inputs) -> IngotError | None:
        """Why the program does not take some inputs, if so: it says so itself, which is right whatever the function
        does."""
        try:
            bind_sizes(self.graph, inputs.arrays())
        except IngotError as error:
            return error
        return None

    def sizes(self, inputs: Inputs) -> dict[str, int]:
        """The dynamic sizes of some inputs; none where the program does not take them."""
        try:
            return bind_sizes(self.graph, inputs.arrays())
        except IngotError:
            return {}

    def run_program(self, inputs: Inputs, state: Mapping[str, Any], deadline: float = NEVER) -> Outcome:
        """The captured graph's outputs and updates."""
        arrays = inputs.arrays()
        try:
            with unwarned():
                sizes = bind_sizes(self.graph, arrays)
                outputs, updates = interpret(self.graph, arrays, state, sizes, deadline=deadline)
        except TimeLimitError as error:
            return Outcome(error=error, stopped=True)
        except Exception as error:  # compared with what the function raises, or shown
            return Outcome(error=error)
        results = [np.array(x) if is_array(x) else x for x in outputs]
        count = sum(1 for _ in leaf_trees(self.signature.result))
        written = {self.graph.inputs[i].name: x for i, x in zip(self.signature.writes, results[count:], strict=False)}
        return Outcome(results[:count], state=dict(updates), written=written)

    def run_function(self, inputs: Inputs, arrays: Sequence[Any] | None = None, deadline: float = NEVER) -> Outcome:
        """The function's results, and what it did to the state, to its inputs and to other tensors."""
        arrays = inputs.arrays() if arrays is None else arrays
        before = [np.array(x) if is_array(x) else x for x in arrays]
        made: dict[int, Any] = {id(x): wrap(x) for x in arrays if is_array(x)}
        leaves = [made[id(x)] if is_array(x) else x for x in arrays]
        found: list[tuple[str, Any]] = []
        limit = TimeLimit(deadline)
        try:
            with unwarned(), plainly(), limit:
                found = list(leaves_by_tree(self.signature.result, self.call(leaves)))
        except StructureError as error:
            return Outcome(structure=str(error))
        except Exception as error:  # compared with what the program raises, or shown
            return Outcome(stopped=True) if limit.passed else Outcome(error=error)
        if limit.passed:
            return Outcome(stopped=True)
        return Outcome(
            [np.array(x._array) if isinstance(x, TensorBase) else x for _, x in found],
            [path for path, _ in found],
            self._state(),
            {self.graph.inputs[i].name: np.array(leaves[i]._array) for i in self.signature.writes},
            changed=[*self._changed_inputs(leaves, before), *self._changed_tensors()],
        )

    def _state(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key in self.graph.updates:
            now = self.surroundings.current(self.tensors[key])
            found[key] = None if now is None else np.array(now._array)
        return found

    def _changed_inputs(self, leaves: Sequence[Any], before: Sequence[Any]) -> Iterator[str]:
        expected = (*self.signature.writes, *self.signature.copies)
        for i, (value, leaf, old) in enumerate(zip(self.graph.inputs, leaves, before, strict=True)):
            if i in expected or not isinstance(leaf, TensorBase):
                continue
            if leaf._array.tobytes() != old.tobytes():
                yield f"its input {value.name}"

    def _changed_tensors(self) -> Iterator[str]:
        updated = [self.tensors[key]._array for key in self.graph.updates]
        keys = {id(tensor): key for key, tensor in self.tensors.items()}
        for path, tensor in self.surroundings.changed():
            if not any(np.may_share_memory(tensor._array, array) for array in updated):
                yield f"the tensor {keys.get(id(tensor), path)}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call gave.

    Attributes:
        results: flat, with their `paths` in the result where the function gave them.
        state: by key, what is updated.
        written: by name, the new values of the inputs that the program writes.
        changed: what else the call changed in place, in words.
        structure: how the result is built differently, if so.
        error: what was raised instead of all that.
        stopped: whether its time was over before it ended; for a program, `error` says so as well.
    """

    results: list[Any] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)
    written: dict[str, Any] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    structure: str = ""
    error: Exception | None = None
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """One difference between the outcomes of two calls; `mismatch` where it is one of values."""

    where: str
    expected: str
    found: str
    mismatch: Mismatch | None = None


def gaps(program: Outcome, function: Outcome) -> list[Gap]:
    """How a program's outcome differs from its function's; both gave results, or neither did."""
    if any(outcome.stopped and outcome.error is None for outcome in (program, function)):
        return []  # a function's own run that was stopped is nothing to compare with
    if function.error is not None or program.error is not None:
        if function.error is not None and program.error is not None and _caught_alike(program.error, function.error):
            return []
        return [Gap("", _told(function), _told(program))]
    if function.structure or program.structure:
        if function.structure == program.structure:
            return []
        return [Gap("the result", function.structure, "the captured structure")]
    found = []
    for path, mine, theirs in zip(function.paths, program.results, function.results, strict=True):
        found.append(_gap(f"the result{path}", mine, theirs))
    for key, theirs in function.state.items():
        where = f"the state {key!r} after the call"
        if theirs is None:
            found.append(Gap(where, "no gradient", "a gradient"))
        else:
            found.append(_gap(where, program.state[key], theirs))
    written = function.written.items()
    found += [_gap(f"the input {name} after the call", program.written[name], theirs) for name, theirs in written]
    new = [what for what in function.changed if what not in program.changed]
    found += [Gap(what, f"{what} is changed in place", "it stays as it is") for what in new]
    return [gap for gap in found if gap is not None]


def _caught_alike(mine: Exception, theirs: Exception) -> bool:
    """Whether an `except` of a built-in class catches the program's exception where it catches the function's.

    Only what the program raises on purpose is compared: an operation that fails, or a refusal, is Ingot's own.
    """
    if not isinstance(mine, AssertError) or type(mine) is AssertError:
        return True
    kinds = [kind for kind in BUILT_IN.values() if isinstance(mine, kind) and not issubclass(AssertError, kind)]
    return isinstance(mine, BUILT_IN[kept_exception(theirs)[0]]) and all(isinstance(theirs, kind) for kind in kinds)


def _gap(where: str, mine: Any, theirs: Any) -> Gap | None:
    found = mismatch(mine, theirs)
    if found is None:
        return None
    at = f" at {list(found.index)}" if found.index else ""
    return Gap(where, f"{where} is {found.expected}{at}", str(found), found)


def _told(outcome: Outcome) -> str:
    if outcome.error is None:
        return "a result"
    text = str(outcome.error).strip().splitlines()
    return f"{type(outcome.error).__name__}: {text[0] if text else ''}".rstrip(": ")
