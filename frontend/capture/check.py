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
looks into a difference, once there is one, comes on top, in 10 s more. Made-up inputs may let a loop run forever: a run
that takes much longer than those before it is stopped, and its trial ends there, with nothing to compare. The example,
for which the function is known to end, is given all the time that is left.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
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
_PATIENCE: Final = 0.25  # seconds that any run is given, less with each that was stopped
_LONGER: Final = 20.0  # times the longest run so far


@dataclass(frozen=True, slots=True)
class _Plan:
    """Calls in a row; `strict` where the function must not raise unless the program does."""

    calls: tuple[Inputs, ...]
    strict: bool = True


def check(subject: Subject, *, seed: int = 0, share: int = 1) -> Verdict:
    """Try a captured graph against its function.

    Args:
        subject: both, and what the function reaches, which is left as it was before the capture.
        seed: decides the inputs that are made up.
        share: how many graphs of one program share the limits.

    Returns:
        the verdict. Two checks of one seed try the same, but for what time leaves out.
    """
    return _Check(subject, seed, share).run()


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


def _plans(subject: Subject, maker: InputMaker, example: Inputs) -> list[_Plan]:
    """The trials, the most telling first."""
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
    def __init__(self, subject: Subject, seed: int, share: int) -> None:
        self.subject = subject
        self.seed = seed
        self.most_forwards = max(1, MOST_FORWARDS // share)
        self.most_seconds = MOST_SECONDS / share
        self.started = time.perf_counter()
        self.forwards = 0
        self.longest = 0.0  # seconds that a run took which ended
        self.stopped = 0
        self.compared = 0
        self.trials: list[Trial] = []
        self.difference: Difference | None = None

    def run(self) -> Verdict:
        maker = InputMaker(self.subject.graph, self.subject.examples, self.seed)
        self.example = maker.like_example()
        plans = _plans(self.subject, maker, self.example)
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
        entry = self.subject.graph.name
        return Verdict(entry, tuple(self.trials), self.difference, seconds, self.seed, left_out, tuple(self._notes()))

    def _notes(self) -> Iterator[str]:
        if not self.subject.surroundings.complete:
            yield "the function reaches more objects than were looked at"
        if not self.compared:
            yield "nothing was compared: no call ended in time, or the program refused all inputs"

    def _has_room(self, plan: _Plan) -> bool:
        """Whether a trial fits into the limits, by how long the forwards so far took."""
        if not self.forwards:
            return True
        spent = time.perf_counter() - self.started
        expected = spent / self.forwards * len(plan.calls)
        return self.forwards + len(plan.calls) <= self.most_forwards and spent + expected <= self.most_seconds

    def _trial(self, plan: _Plan) -> None:
        started = time.perf_counter()
        subject = self.subject
        subject.surroundings.restore()
        state: dict[str, Any] = dict(subject.state)
        outcome, done = "agree", 0
        for k, inputs in enumerate(plan.calls):
            if k and time.perf_counter() - self.started > self.most_seconds:
                break
            if (error := subject.refusal(inputs)) is not None:
                outcome = f"the program refuses: {error.what}"
                break
            done += 1
            outcome = self._call(plan, k, state)
            if outcome != "agree":
                break
        self.forwards += done
        tried = plan.calls[: max(done, 1)]
        sizes = ", ".join(f"{name} = {size}" for name, size in subject.sizes(tried[-1]).items())
        self.trials.append(Trial(tuple(i.what for i in tried), sizes, outcome, time.perf_counter() - started, done))

    def _call(self, plan: _Plan, k: int, state: dict[str, Any]) -> str:
        """Make one call of a trial; gives the outcome, and puts the new state into `state`."""
        inputs = plan.calls[k]
        ends = k == 0 and inputs is self.example  # the capture has seen the function end
        program, taken = self._timed(lambda until: self.subject.run_program(inputs, state, until), 0.6 if ends else 0.0)
        if program.stopped and not ends:
            return f"the program was stopped after {taken:.2f} s"
        function, seconds = self._timed(lambda until: self.subject.run_function(inputs, deadline=until), float(ends))
        if function.stopped:
            return f"the function was stopped after {seconds:.2f} s"
        if program.stopped and taken < _LONGER * seconds:  # it may be slow, as the function is
            return f"the program was stopped after {taken:.2f} s"
        outcome = self._compare(plan, k, state, program, function)
        self.compared += 1
        # Each call starts from one state, so that roundings do not add up.
        state |= {key: value for key, value in function.state.items() if value is not None}
        return outcome

    def _timed(self, run: Callable[[float], Outcome], part: float) -> tuple[Outcome, float]:
        """A run within its limit of time, at least a part of what is left, and how long it took."""
        started = time.perf_counter()
        left = self.started + self.most_seconds - started
        patience = max(_PATIENCE / (1 + self.stopped), _LONGER * self.longest, part * left)
        outcome = run(started + min(left, patience))
        seconds = time.perf_counter() - started
        if outcome.stopped:
            self.stopped += 1
        else:
            self.longest = max(self.longest, seconds)
        return outcome, seconds

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
