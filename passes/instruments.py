"""Instruments: what watches a pipeline run. Verify, print, time, limit, why, reproducer.

`INGOT_DEBUG=verify,limit=40,repro=/tmp/crashes` puts instruments on every pipeline; `KEYS` is the one table of what
may stand there. In code they are passed to `run_pipeline`. An instrument's methods are called in this order:
`begin`; for each pass `may_run`, `before`, `after` (or `failed`); `end`.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from ..ir.errors import ArgumentError, IngotError
from ..ir.graph import Graph, Node
from .changes import Watch, watched
from .pipeline import Pipeline, Stage

__all__ = [
    "KEYS",
    "Instrument",
    "Key",
    "Limit",
    "Print",
    "Reproducer",
    "Time",
    "Verify",
    "Why",
    "from_environment",
    "from_text",
    "watching",
]


class Instrument:
    """Base class: watches and does nothing."""

    def begin(self, graph: Graph, pipeline: Pipeline) -> None:
        """A pipeline begins."""

    def may_run(self, stage: Stage) -> bool:
        """Whether a pass is to be run."""
        return True

    def before(self, graph: Graph, rest: Pipeline) -> None:
        """The first pass of `rest` is about to run; the others come after it."""

    def after(self, graph: Graph, stage: Stage, changed: bool) -> None:
        """A pass has run, and says whether it changed the graph."""

    def failed(self, graph: Graph, stage: Stage, error: Exception) -> None:
        """A pass, or an instrument's `after`, raised an error, which is about to be raised on."""

    def end(self, graph: Graph) -> None:
        """The pipeline is done."""

    def permits(self, what: str, node: Node) -> bool:
        """Whether a pass may make a change to a node."""
        return True

    def refused(self, rule: str, node: Node, reason: str) -> None:
        """A rule matched at a node, and was not applied."""


class Verify(Instrument):
    """Verifies the graph after every pass: the error says which one broke it."""

    def after(self, graph: Graph, stage: Stage, changed: bool) -> None:
        from ..ir.verifier import verify

        verify(graph)


class Print(Instrument):
    """Prints the graph at the beginning and after each pass that changed it."""

    def __init__(self, to: TextIO | None = None) -> None:
        self.to = to

    def begin(self, graph: Graph, pipeline: Pipeline) -> None:
        self._show(f"before {pipeline}", graph)

    def after(self, graph: Graph, stage: Stage, changed: bool) -> None:
        self._show(f"after {stage}" if changed else f"{stage} changed nothing", graph if changed else None)

    def _show(self, title: str, graph: Graph | None) -> None:
        text = f"# {title}\n" + ("" if graph is None else str(graph))
        print(text, end="", file=self.to or sys.stderr)


class Time(Instrument):
    """Prints how long each pass took, and by how much it changed the number of nodes.

    Attributes:
        rows: one per pass: its text, seconds, nodes before, nodes after, whether it changed anything.
    """

    def __init__(self, to: TextIO | None = None) -> None:
        self.to = to
        self.rows: list[tuple[str, float, int, int, bool]] = []
        self._start = 0.0
        self._nodes = 0

    def begin(self, graph: Graph, pipeline: Pipeline) -> None:
        self.rows = []

    def before(self, graph: Graph, rest: Pipeline) -> None:
        self._nodes = graph.node_count
        self._start = time.perf_counter()

    def after(self, graph: Graph, stage: Stage, changed: bool) -> None:
        seconds = time.perf_counter() - self._start
        self.rows.append((str(stage), seconds, self._nodes, graph.node_count, changed))

    def end(self, graph: Graph) -> None:
        width = max([len(row[0]) for row in self.rows], default=0)
        lines = [f"# passes on @{graph.name}"]
        for name, seconds, before, after, changed in self.rows:
            lines.append(f"{name:<{width}}  {seconds * 1e3:9.2f} ms  {before} -> {after} nodes" + " *" * changed)
        print(*lines, sep="\n", file=self.to or sys.stderr)


class Limit(Instrument):
    """Stops a pipeline after a number of changes, or of passes: for finding the one that is wrong by bisection.

    Changes are counted over the whole pipeline. `bisect.first_wrong_change` does the search.

    Attributes:
        done: how many changes were made.
        last: the last of them, in words.
    """

    def __init__(self, changes: int | None = None, passes: int | None = None, to: TextIO | None = None) -> None:
        self.changes = changes
        self.passes = passes
        self.to = to
        self.done = 0
        self.last = ""
        self._stage = ""
        self._begun = 0

    def begin(self, graph: Graph, pipeline: Pipeline) -> None:
        self.done = self._begun = 0
        self.last = ""

    def may_run(self, stage: Stage) -> bool:
        self._begun += 1
        return self.passes is None or self._begun <= self.passes

    def before(self, graph: Graph, rest: Pipeline) -> None:
        self._stage = rest.stages[0].name

    def permits(self, what: str, node: Node) -> bool:
        if self.changes is not None and self.done >= self.changes:
            return False
        self.done += 1
        if self.done == self.changes or self.changes is None:
            detail = "" if what == self._stage else f" ({what})"
            self.last = f"change {self.done}: {self._stage}{detail} at {node}"
        return True

    def end(self, graph: Graph) -> None:
        if self.changes is not None and self.done == self.changes:
            print(f"# limit reached at {self.last}", file=self.to or sys.stderr)


class Why(Instrument):
    """Prints which rules matched and were refused, with the reason and how often."""

    def __init__(self, to: TextIO | None = None) -> None:
        self.to = to
        self.reasons: Counter[tuple[str, str]] = Counter()
        self._first: dict[tuple[str, str], Node] = {}

    def refused(self, rule: str, node: Node, reason: str) -> None:
        self.reasons[rule, reason] += 1
        self._first.setdefault((rule, reason), node)

    def end(self, graph: Graph) -> None:
        for (rule, reason), count in self.reasons.items():
            location = self._first[rule, reason].location
            where = f", first at {location}" if location else ""
            print(f"# rule {rule!r} refused: {reason} ({count}x{where})", file=self.to or sys.stderr)


class Reproducer(Instrument):
    """Writes a file when a pass fails: the graph before it and the rest of the pipeline, as a golden file.

    Keeps a copy of the graph before each pass.

    Attributes:
        written: the files written so far.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.written: list[Path] = []
        self._graph: Graph | None = None
        self._rest: Pipeline | None = None

    def before(self, graph: Graph, rest: Pipeline) -> None:
        self._graph, self._rest = graph.copy(), rest

    def failed(self, graph: Graph, stage: Stage, error: Exception) -> None:
        first_line = str(error).partition("\n")[0]
        text = f"# pipeline: {self._rest}\n# failed: {type(error).__name__}: {first_line}\n{self._graph}# expect:\n"
        path = self._write(re.sub(r"\W+", "_", f"{graph.name}_{stage.name}"), text)
        self.written.append(path)
        if isinstance(error, IngotError):
            error.advice = "\n  ".join(filter(None, (error.advice, f"reproducer: {path}")))
        else:
            error.add_note(f"reproducer: {path}")

    def _write(self, stem: str, text: str) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        number = 0
        while True:
            path = self.folder / f"{stem}{f'_{number}' if number else ''}.ir"
            try:
                with path.open("x", encoding="utf-8") as file:
                    file.write(text)
                return path
            except FileExistsError:
                number += 1


@contextmanager
def watching(instruments: Sequence[Instrument]) -> Iterator[None]:
    """Within the `with` block passes ask and tell the instruments that care for changes."""
    asked = [i.permits for i in instruments if type(i).permits is not Instrument.permits]
    told = [i.refused for i in instruments if type(i).refused is not Instrument.refused]

    def permits(what: str, node: Node) -> bool:
        answers = [ask(what, node) for ask in asked]  # all of them count, whatever the others say
        return all(answers)

    def refused(rule: str, node: Node, reason: str) -> None:
        for tell in told:
            tell(rule, node, reason)

    with watched(Watch(permits if asked else None, refused if told else None)):
        yield


# ------------------------------------------------------------------------------------------------ the variable


@dataclass(frozen=True, slots=True)
class Key:
    """One key of `INGOT_DEBUG`: the form of its value ("" for none), what it does, and the instrument."""

    value: str
    doc: str
    make: Callable[[str], Instrument]


def _limit(value: str) -> Instrument:
    passes = value.startswith("pass:")
    number = value.removeprefix("pass:")
    if not number.isdecimal():
        raise ArgumentError(f"INGOT_DEBUG: limit={value}", expected="limit=N or limit=pass:N")
    return Limit(passes=int(number)) if passes else Limit(changes=int(number))


KEYS: Final[dict[str, Key]] = {
    "verify": Key("", "verify the graph after every pass", lambda _: Verify()),
    "print": Key("", "print the graph before the pipeline and after each pass that changed it", lambda _: Print()),
    "time": Key("", "print the time that each pass took", lambda _: Time()),
    "why": Key("", "print which rules matched and were refused, and why", lambda _: Why()),
    "limit": Key("N", "stop after N changes; limit=pass:N, after N passes", _limit),
    "repro": Key("DIR", "when a pass fails, write a file to DIR that makes it fail again", Reproducer),
}
"""Everything that the variable `INGOT_DEBUG` may hold: keys with commas between them, some with a value."""


def from_environment() -> list[Instrument]:
    """The instruments that `INGOT_DEBUG` asks for."""
    text = os.environ.get("INGOT_DEBUG", "")
    return from_text(text) if text else []


def from_text(text: str) -> list[Instrument]:
    """The instruments named by a text such as `verify,limit=40`.

    Raises:
        ArgumentError: for a key that does not exist, or a value that is missing or not wanted.
    """
    found = []
    for part in filter(None, map(str.strip, text.split(","))):
        name, equals, value = part.partition("=")
        key = KEYS.get(name)
        if key is None:
            close = difflib.get_close_matches(name, KEYS, 1)
            advice = f"did you mean {close[0]!r}?" if close else ""
            raise ArgumentError(f"INGOT_DEBUG: no key {name!r}", expected=f"one of {', '.join(KEYS)}", advice=advice)
        if bool(key.value) != bool(value) or bool(equals) != bool(value):
            raise ArgumentError(f"INGOT_DEBUG: {part}", expected=f"{name}={key.value}" if key.value else name)
        found.append(key.make(value))
    return found


def describe_keys() -> str:
    """The table of keys as text for people."""
    rows: list[tuple[str, Any]] = [(f"{n}={k.value}" if k.value else n, k.doc) for n, k in KEYS.items()]
    return "\n".join(f"{name:<10}{doc}" for name, doc in rows)
