"""What a check of a captured program found: the trials, and the first difference with the user's lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...ir.errors import CaptureError
from ...ir.locations import Location

__all__ = ["CheckWarning", "Difference", "Trial", "Verdict", "joined"]


class CheckWarning(UserWarning):
    """A captured program differs from its function, and `check="warn"` let it pass."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial: calls in a row, from the state at the time of the capture.

    Attributes:
        inputs: what each call was given, in words.
        sizes: the dynamic sizes of the last call.
        outcome: `"agree"`, `"differ"`, or why there is nothing to compare.
        seconds: how long it took.
        forwards: how many of the calls were made; none where the program refuses the sizes of the first.
    """

    inputs: tuple[str, ...]
    sizes: str
    outcome: str
    seconds: float
    forwards: int

    @property
    def agrees(self) -> bool:
        return self.outcome != "differ"


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a program and its function part.

    Attributes:
        what: the first line.
        expected: what the function does.
        found: what the program does.
        during: the trial, in words.
        location: the user's line, where it is known.
        path: the module path there.
        notes: further lines: what was captured, and what happens with these inputs.
        advice: the way out.
        inputs: the inputs of the call, one array or number per input of the graph.
        entry: the entry point that was called.
    """

    what: str
    expected: str
    found: str
    during: str
    location: Location | None = None
    path: str = ""
    notes: tuple[str, ...] = ()
    advice: str = ""
    inputs: tuple[Any, ...] = ()
    entry: str = "forward"

    def error(self) -> CaptureError:
        """The difference as an error."""
        return CaptureError(
            self.what,
            expected=self.expected,
            found=self.found,
            location=self.location,
            path=self.path,
            context=f"while checking @{self.entry} after its capture, {self.during}",
            advice="\n  ".join(filter(None, (*self.notes, self.advice))),
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a check; `print(program.verdict)` shows all of it.

    Attributes:
        entry: the entry point that was checked.
        trials: what was tried, in order.
        difference: the first difference, or None.
        seconds: how long the check took.
        seed: which inputs were made up.
        left_out: how many trials the limits on time and number left no room for.
        notes: what a reader should know besides.
    """

    entry: str
    trials: tuple[Trial, ...]
    difference: Difference | None
    seconds: float
    seed: int
    left_out: int = 0
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no difference was found."""
        return self.difference is None

    @property
    def forwards(self) -> int:
        """How often the function ran, each time with the program on the same inputs."""
        return sum(trial.forwards for trial in self.trials)

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        word = "passed" if self.passed else "FAILED"
        head = f"check of @{self.entry}: {word}, {self.forwards} forwards in {_time(self.seconds)} (seed {self.seed})"
        rows = [(" then ".join(t.inputs), t.sizes, t.outcome, _time(t.seconds)) for t in self.trials]
        rows.insert(0, ("inputs", "sizes", "outcome", "time"))
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = [head]
        for *cells, seconds in rows:
            padded = "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True) if width)
            lines.append(f"  {padded}  {seconds:>8}")
        if self.left_out:
            lines.append(
                f"  {self.left_out} more trials were left out, for the check takes 20 forwards or 10 s at most"
            )
        lines += [f"  {note}" for note in self.notes]
        if self.difference is not None:
            lines += ["", str(self.difference.error())]
        return "\n".join(lines)


def joined(verdicts: Sequence[Verdict]) -> Verdict | None:
    """The verdicts on several entry points or modes as one, with the first difference; None for none."""
    if len(verdicts) < 2:
        return verdicts[0] if verdicts else None
    return Verdict(
        entry=", @".join(dict.fromkeys(verdict.entry for verdict in verdicts)),
        trials=tuple(trial for verdict in verdicts for trial in verdict.trials),
        difference=next((v.difference for v in verdicts if v.difference is not None), None),
        seconds=sum(verdict.seconds for verdict in verdicts),
        seed=verdicts[0].seed,
        left_out=sum(verdict.left_out for verdict in verdicts),
        notes=tuple(dict.fromkeys(note for verdict in verdicts for note in verdict.notes)),
    )


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"
