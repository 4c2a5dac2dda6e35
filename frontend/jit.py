"""`ingot.jit`: capture, in TorchScript's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .capture.dims import Dim
from .capture.trace import trace
from .mode import mode
from .program import Program, load

__all__ = ["Dim", "Program", "is_tracing", "load", "save", "trace"]


def is_tracing() -> bool:
    """Whether a capture is in progress."""
    return mode.tracer is not None


def save(program: Program, path: str | Path, **options: Any) -> None:
    """Save a program; the same as `program.save(path)`."""
    program.save(path, **options)
