"""The check after a capture: is the program what its function is, also for inputs that the capture did not see?

The function runs eagerly and the captured graph in the interpreter, from the same state and on the same made-up inputs:
several calls in a row, other sizes, other values, NaN and infinities, other layouts in memory, one tensor for two
inputs. Results, state and exceptions are compared. The state of the user's objects is put back after each trial.

What counts, and what does not:

- The program may refuse sizes, as its declared bounds and its assumptions say.
- Where both raise, they agree, whatever they raise.
- Where only the function raises, that is a difference for inputs like the example; for values and layouts that are
  made to be odd (NaN, zeros, reversed memory) it is not: the function says that they are none of its inputs.
- Where values differ by what a rounding of the inputs would do to the function itself, they agree.

An eager run and the program's run on the same inputs count as one forward. At most 20 are made, in at most 10 s; what
looks into a difference, once there is one, comes on top.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from ...ir.errors import ArgumentError
from .explanation import explain
from .subject import Outcome, Subject, gaps
from .trial_inputs import InputMaker, Inputs
from .verdict import CheckWarning, Difference, Trial, Verdict

__all__ = ["check", "is_wanted", "report"]

MOST_FORWARDS: Final = 20
MOST_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Plan:
    """Calls in a row; `strict` where the function must not raise unless the program does."""

    calls: tuple[Inputs, ...]
    strict: bool = True


def check(subject: Subject, *, seed: int = 0) -> Verdict:
    """Try a captured graph against its function.

    Args:
        subject: both, and what the function reaches, which is left as it was before the capture.
        seed: decides the inputs that are made up.

    Returns:
        the verdict. Two checks of one seed try the same, but for what time leaves out.
    """
    return _Check(subject, seed).run()


def is_wanted(how: Any) -> bool:
    """Whether `check=` of `trace` asks for a check.

    Raises:
        ArgumentError: when it is neither True nor False nor `"warn"`.
    """
    if how is not True and how is not False and how != "warn":
        raise ArgumentError(f"trace: check is {how!r}", expected='True, False or "warn"')
    return bool(how)


def report(verdict: Verdict, how: bool | Literal["warn"]) -> None:
    """Raise or warn about a difference.

    Raises:
        CaptureError: for a difference, unless `how` is `"warn"`.
    """
    if verdict.difference is None:
        return
    error = verdict.difference.error()
    if how != "warn":
        raise error
    warnings.warn(str(error), CheckWarning, stacklevel=3)


def _plans(subject: Subject, seed: int) -> list[_Plan]:
    """The trials, the most telling first."""
    maker = InputMaker(subject.graph, subject.examples, seed)
    example = maker.like_example()
    if not subject.examples:
        return [_Plan((example,) * 3)]
    sizes = maker.sizes()
    other = [maker.make("other values", sizes=s) for s in sizes]
    found = [_Plan((example, maker.make("other values")))]
    found += [_Plan((inputs,)) for inputs in other[:2]]
    if maker.has_layouts:
        found.append(_Plan((maker.like_example("strided"),), strict=False))
    if maker.has_floats:
        found.append(_Plan((maker.make("NaN and infinities", maker.with_specials),), strict=False))
        found.append(_Plan((maker.make("negated", np.negative),), strict=False))
    # A call refuses one array for two inputs where one is written; the gradient of a tensor given twice is another one.
    apart = (*subject.with_gradient, *subject.signature.writes, *subject.signature.copies)
    if (pair := maker.pair_alike(apart)) is not None:
        names = " is ".join(maker.names[i] for i in pair)
        found.append(_Plan((maker.make(names, same=pair),), strict=False))
    found.append(_Plan((maker.make("other values"), example, maker.make("other values"), maker.make("other values"))))
    found += [_Plan((inputs,)) for inputs in other[2:4]]
    if maker.has_floats:
        found.append(_Plan((maker.make("zeros", np.zeros_like),), strict=False))
        found.append(_Plan((maker.make("large", lambda x: 1e3 * x),), strict=False))
    if maker.has_layouts:
        found += [_Plan((maker.like_example(layout),), strict=False) for layout in ("transposed", "reversed")]
    return [*found, *(_Plan((inputs,)) for inputs in other[4:7])]


class _Check:
    def __init__(self, subject: Subject, seed: int) -> None:
        self.subject = subject
        self.seed = seed
        self.started = time.perf_counter()
        self.forwards = 0
        self.trials: list[Trial] = []
        self.difference: Difference | None = None

    def run(self) -> Verdict:
        plans = _plans(self.subject, self.seed)
        left_out = 0
        try:
            for plan in plans:
                if self.difference is not None:
                    break
                if self._has_room(plan):
                    self._trial(plan)
                else:
                    left_out += 1
        finally:
            self.subject.surroundings.restore()
        seconds = time.perf_counter() - self.started
        notes = () if self.subject.surroundings.complete else ("the function reaches more objects than were looked at",)
        entry = self.subject.graph.name
        return Verdict(entry, tuple(self.trials), self.difference, seconds, self.seed, left_out, notes)

    def _has_room(self, plan: _Plan) -> bool:
        """Whether a trial fits into the limits, by how long the forwards so far took."""
        if not self.forwards:
            return True
        spent = time.perf_counter() - self.started
        expected = spent / self.forwards * len(plan.calls)
        return self.forwards + len(plan.calls) <= MOST_FORWARDS and spent + expected <= MOST_SECONDS

    def _trial(self, plan: _Plan) -> None:
        started = time.perf_counter()
        subject = self.subject
        subject.surroundings.restore()
        state: dict[str, Any] = dict(subject.state)
        outcome, done = "agree", 0
        for k, inputs in enumerate(plan.calls):
            if k and time.perf_counter() - self.started > MOST_SECONDS:
                break
            if (error := subject.refusal(inputs)) is not None:
                outcome = f"the program refuses: {error.what}"
                break
            done += 1
            program, function = subject.run_program(inputs, state), subject.run_function(inputs)
            outcome = self._compare(plan, k, state, program, function)
            if outcome != "agree":
                break
            # Each call starts from one state, so that roundings do not add up.
            state |= {key: value for key, value in function.state.items() if value is not None}
        self.forwards += done
        tried = plan.calls[: max(done, 1)]
        sizes = ", ".join(f"{name} = {size}" for name, size in subject.sizes(tried[-1]).items())
        self.trials.append(Trial(tuple(i.what for i in tried), sizes, outcome, time.perf_counter() - started, done))

    def _compare(self, plan: _Plan, k: int, state: dict[str, Any], program: Outcome, function: Outcome) -> str:
        if function.error is not None:
            kind = type(function.error).__name__
            if program.error is not None:
                return f"both raise {kind}"
            if not plan.strict:
                return f"the function refuses: {kind}"
        found = gaps(program, function)
        if found:
            self.difference = explain(self.subject, plan.calls, k, state, program, function, found, self.seed)
        return "agree" if self.difference is None else "differ"
