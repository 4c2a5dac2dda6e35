"""How benchmarks measure: subjects in turns, medians and minima, and no verdict on a noisy run."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Row", "Timing", "interleaved", "overhead_row", "ratio_row"]


@dataclass(frozen=True)
class Timing:
    """Seconds per call of one subject."""

    median: float
    minimum: float

    @property
    def noisy(self) -> bool:
        """Whether calls scattered so much that a ratio says little."""
        return self.median > 1.5 * self.minimum


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, its figure, and the limit it should keep."""

    name: str
    subject: str
    reference: str
    figure: float
    unit: str
    limit: float | None
    at_least: bool
    noisy: bool

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return ""
        good = self.figure >= self.limit if self.at_least else self.figure <= self.limit
        if good:
            return "ok"
        return "noisy" if self.noisy else "MISSED"


def interleaved(
    subjects: Mapping[str, Callable[[], object]], *, seconds: float = 2.0, inner: int = 0
) -> dict[str, Timing]:
    """Time subjects in turns for about `seconds` in all.

    Args:
        inner: calls per timing; 0 chooses so many that a timing takes about 200 microseconds.
    """
    repeats = {name: inner or _calls_for(run, 2e-4) for name, run in subjects.items()}
    times: dict[str, list[float]] = {name: [] for name in subjects}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(times.values()))) < 7:
        for name, run in subjects.items():
            count = repeats[name]
            start = time.perf_counter()
            for _ in range(count):
                run()
            times[name].append((time.perf_counter() - start) / count)
    return {name: Timing(statistics.median(found), min(found)) for name, found in times.items()}


def _calls_for(run: Callable[[], object], wanted: float) -> int:
    run()
    start = time.perf_counter()
    run()
    once = max(time.perf_counter() - start, 1e-8)
    return max(1, int(wanted / once))


def ratio_row(
    name: str,
    found: Mapping[str, Timing],
    subject: str,
    reference: str,
    limit: float | None,
    *,
    speedup: bool = False,
) -> Row:
    """A row with subject's time over reference's, or with `speedup` the other way round (larger is better)."""
    a, b = found[subject], found[reference]
    figure = b.median / a.median if speedup else a.median / b.median
    return Row(name, _time(a.median), _time(b.median), figure, "x", limit, speedup, a.noisy or b.noisy)


def overhead_row(name: str, found: Mapping[str, Timing], subject: str, reference: str, limit: float) -> Row:
    """A row with how many microseconds the subject takes over the reference."""
    a, b = found[subject], found[reference]
    return Row(
        name,
        _time(a.median),
        _time(b.median),
        1e6 * (a.median - b.median),
        "us over",
        limit,
        False,
        a.noisy or b.noisy,
    )


def _time(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{1e6 * seconds:.2f} us"
    return f"{1e3 * seconds:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"


def other_load() -> float:
    """How many other processes compete for the processor, by the one-minute load average."""
    return max(0.0, os.getloadavg()[0] - 1.0)
