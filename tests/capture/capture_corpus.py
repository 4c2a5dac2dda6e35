"""The corpus of small programs: how one is declared, what it declares, and how all of them are found.

Each file `programs/pain_NN_<name>.py` is about one thing that users of captured programs suffer from. A program in it
is a function, or a module class, which is built anew, under one of the decorators

- `captured`: its capture computes what it computes, on fresh inputs, several calls in a row, after save and load too;
- `refused`: its capture raises, with the user's line and a way out;
- `refused_at_call`: its capture is right for what it accepts, and refuses the given call;
- `checked`: nothing but the check after the trace sees that its capture is wrong.

What is done with a declared program stands in `capture_checks`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ingot
import numpy as np
from ingot.ir.errors import CaptureError, IngotError

__all__ = [
    "PAINS",
    "Call",
    "CaptureError",
    "Program",
    "call",
    "captured",
    "checked",
    "integers",
    "ones",
    "programs",
    "randn",
    "refused",
    "refused_at_call",
    "zeros",
]

FOLDER = Path(__file__).with_name("programs")

PAINS: Mapping[int, tuple[str, ...]] = {
    1: ("pytorch/pytorch#21774", "pytorch/pytorch#10841", "pytorch/pytorch#23498"),
    2: ("pytorch/pytorch#38472", "pytorch/pytorch#59530", "pytorch/pytorch#15319", "pytorch/pytorch#12579"),
    3: ("pytorch/pytorch#43548", "pytorch/pytorch#29008", "pytorch/pytorch#48477"),
    4: ("pytorch/pytorch#28360", "pytorch/pytorch#113945"),
    5: ("pytorch/pytorch#140539", "tinygrad/tinygrad#16620"),
    6: ("pytorch/pytorch#62961", "pytorch/pytorch#31141", "pytorch/pytorch#43134", "pytorch/pytorch#145995"),
    7: ("pytorch/pytorch#68190", "pytorch/pytorch#9069", "pytorch/pytorch#71929"),
    8: ("tinygrad/tinygrad#7020", "tinygrad/tinygrad#7637", "tinygrad/tinygrad#6803"),
    9: ("pytorch/pytorch#23993", "pytorch/pytorch#11639"),
    10: ("pytorch/pytorch#41274", "pytorch/pytorch#37200", "pytorch/pytorch#39449", "arogozhnikov/einops#115"),
    11: ("pytorch/pytorch#16847", "pytorch/pytorch#97229", "pytorch/pytorch#89374", "pytorch/pytorch#27743"),
    12: ("pytorch/pytorch#157355", "pytorch/pytorch#143222", "pytorch/pytorch#153955"),
    13: ("huggingface/optimum#2219",),
}
"""The pains by number, with the threads in which users report them."""


@dataclass(frozen=True)
class Call:
    """One call: its arguments, its entry point where there are several, its mode where there are both."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    entry: str | None = None
    training: bool | None = None


def call(*args: Any, entry: str | None = None, training: bool | None = None, **kwargs: Any) -> Call:
    """A call with keywords, of an entry point, or in a mode; where none of that is needed a tuple will do."""
    return Call(args, kwargs, entry, training)


@dataclass(frozen=True)
class Program:
    """A program of the corpus.

    Attributes:
        kind: the decorator that declared it.
        pain: which pain its file is about.
        subject: the function, or the class that is built anew for every capture.
        example: makes the example inputs of the capture: a tuple, a `Call`, or what `trace` takes.
        fresh: makes the inputs of one call from a generator; None for inputs like the example's.
        calls: how many calls are made in a row.
        options: of `trace`.
        error, message, line: the error's class, a part of its text, and a part of the user's line; None for errors
            that are about the call and no line of the program.
        bad: the call that is refused, of `refused_at_call`.
        state: names of state that the calls must have changed.
        ledger: kinds of entries with a part of their line that the ledger must have.
        raises: a part of the message of the error that some of the fresh calls raise, by the function and the program.
        then: looks at the program besides.
    """

    kind: str
    thread: str
    subject: Any
    example: Callable[[], Any]
    fresh: Callable[[np.random.Generator], Any] | None = None
    calls: int = 5
    options: Mapping[str, Any] = field(default_factory=dict)
    error: type[Exception] = IngotError
    message: str = ""
    line: str | None = None
    bad: Callable[[], Any] | None = None
    state: Sequence[str] = ()
    ledger: Sequence[tuple[str, str]] = ()
    raises: str = ""
    then: Callable[[Any], None] | None = None

    @property
    def name(self) -> str:
        return f"{self.stem}.{self.subject.__name__}"

    @property
    def stem(self) -> str:
        return str(self.subject.__module__).rpartition(".")[2]

    @property
    def pain(self) -> int:
        return int(self.stem.split("_")[1])


_declared: list[Program] = []


def _declare(kind: str, thread: str, **rest: Any) -> Callable[[Any], Any]:
    known = {name: rest.pop(name) for name in list(rest) if name in Program.__dataclass_fields__}

    def decorator(subject: Any) -> Any:
        _declared.append(Program(kind, thread, subject, options=rest, **known))
        return subject

    return decorator


def captured(thread: str, *, example: Callable[[], Any], **rest: Any) -> Callable[[Any], Any]:
    """Declare a program whose capture is right. See `Program` for what may be said; all else are options of `trace`."""
    return _declare("captured", thread, example=example, **rest)


def refused(thread: str, *, example: Callable[[], Any], message: str, line: str | None, **rest: Any) -> Any:
    """Declare a program whose capture raises `error`, `CaptureError` by default, at a line that contains `line`."""
    rest.setdefault("error", CaptureError)
    return _declare("refused", thread, example=example, message=message, line=line, **rest)


def refused_at_call(
    thread: str,
    *,
    example: Callable[[], Any],
    bad: Callable[[], Any],
    message: str,
    line: str | None = None,
    **rest: Any,
) -> Callable[[Any], Any]:
    """Declare a program whose capture is right, and whose call with `bad()` is refused; where a line of the program is
    why, `line` is a part of it."""
    return _declare("refused_at_call", thread, example=example, bad=bad, message=message, line=line, **rest)


def checked(thread: str, *, example: Callable[[], Any], message: str, line: str | None, **rest: Any) -> Any:
    """Declare a program whose capture is wrong, as nothing but the check after the trace can see."""
    rest.setdefault("error", CaptureError)
    return _declare("checked", thread, example=example, message=message, line=line, **rest)


def programs() -> list[Program]:
    """All programs of the corpus."""
    for path in sorted(FOLDER.glob("pain_*.py")):
        importlib.import_module(f"programs.{path.stem}")
    return list(_declared)


# ------------------------------------------------------------------------------------------------------- inputs


def ones(*sizes: int, dtype: Any = ingot.float32) -> ingot.Tensor:
    return ingot.ones(*sizes, dtype=dtype)


def zeros(*sizes: int, dtype: Any = ingot.float32) -> ingot.Tensor:
    return ingot.zeros(*sizes, dtype=dtype)


def randn(rng: np.random.Generator, *sizes: int, dtype: Any = ingot.float32) -> ingot.Tensor:
    """A tensor of normally distributed numbers."""
    return ingot.tensor(rng.standard_normal(sizes)).to(dtype)


def integers(rng: np.random.Generator, low: int, high: int, *sizes: int, dtype: Any = ingot.int64) -> ingot.Tensor:
    """A tensor of integers from `low` up to `high`, without it."""
    return ingot.tensor(rng.integers(low, high, sizes)).to(dtype)
