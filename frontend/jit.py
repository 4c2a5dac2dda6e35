"""`ingot.jit`: capture, in TorchScript's words."""

from __future__ import annotations

from typing import Any

from .capture.dims import Dim
from .capture.frozen import frozen_ok
from .capture.parameters import runtime
from .capture.trace import trace
from .capture.verdict import CheckWarning, Verdict
from .capture_report import capture_report
from .jit_names import (
    Error,
    Final,
    Future,
    TracingCheckError,
    annotate,
    export,
    fork,
    ignore,
    is_scripting,
    isinstance,
    refuse_name,
    script_if_tracing,
    trace_module,
    unused,
    wait,
)
from .jit_programs import (
    ScriptFunction,
    ScriptModule,
    export_opnames,
    freeze,
    load,
    optimize_for_inference,
    save,
)
from .mode import mode
from .program import Program
from .program_module import ProgramModule
from .script.scripted import Scripted, script

RecursiveScriptModule = TracedModule = TopLevelTracedModule = ScriptModule
TracerWarning = CheckWarning

__all__ = [
    "CheckWarning",
    "Dim",
    "Error",
    "Final",
    "Future",
    "Program",
    "ProgramModule",
    "RecursiveScriptModule",
    "ScriptFunction",
    "ScriptModule",
    "Scripted",
    "TopLevelTracedModule",
    "TracedModule",
    "TracerWarning",
    "TracingCheckError",
    "Verdict",
    "annotate",
    "as_module",
    "capture_report",
    "export",
    "export_opnames",
    "fork",
    "freeze",
    "frozen_ok",
    "ignore",
    "is_scripting",
    "is_tracing",
    "isinstance",
    "load",
    "optimize_for_inference",
    "runtime",
    "save",
    "script",
    "script_if_tracing",
    "trace",
    "trace_module",
    "unused",
    "wait",
]


def is_tracing() -> bool:
    """Whether a capture is in progress."""
    return mode.tracer is not None


def as_module(program: Program) -> ProgramModule:
    """A program as a module; the same as `program.as_module()`."""
    return program.as_module()


def __getattr__(name: str) -> Any:
    refuse_name(name)
