"""`ingot.jit`'s functions of programs: freezing, saving and loading, and what `isinstance` asks."""

from __future__ import annotations

import base64
from collections.abc import Mapping, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Final

from ..ir.errors import CaptureError
from ..ir.locations import here
from ..ir.program import ProgramRecord
from ..passes import SIMPLIFY, run_pipeline
from ..passes import freeze as freeze_graph
from .program import Program
from .program_module import ProgramModule
from .script.scripted import Scripted
from .script.scripted_module import ScriptedPart

__all__ = [
    "ScriptFunction",
    "ScriptModule",
    "export_opnames",
    "freeze",
    "load",
    "optimize_for_inference",
    "save",
]


def freeze(mod: Any, preserved_attrs: list[str] | None = None) -> Program:
    """The program with its state as constants, but for what its calls update and what is to be preserved.

    Args:
        mod: a program, or one as a module, or what `jit.script` has made.
        preserved_attrs: names of state that stays.

    >>> import ingot
    >>> program = ingot.jit.trace(ingot.nn.Linear(2, 1), ingot.ones(1, 2))
    >>> list(ingot.jit.freeze(program).state)
    []
    """
    program = _program_of(mod)
    record = program.record
    kept = set(preserved_attrs or ())
    unknown = sorted(name for name in kept if name not in record.state)
    if unknown:
        raise CaptureError(f"freeze: the program has no state {unknown[0]!r}", found=", ".join(record.state))
    for graph in record.graphs.values():
        kept.update(graph.updates)
    graphs = {name: graph.copy() for name, graph in record.graphs.items()}
    for graph in graphs.values():
        freeze_graph(graph, record.state, [key for key in graph.state if key not in kept])
    return _derived(program, replace(record, graphs=graphs, **_without_state(record, kept)))


def _without_state(record: ProgramRecord, kept: set[str]) -> dict[str, Any]:
    state = {key: array for key, array in record.state.items() if key in kept}
    return {"state": state, "trainable": tuple(key for key in record.trainable if key in kept)}


def optimize_for_inference(mod: Any, other_methods: Any = None) -> Program:
    """The program frozen, with its graphs optimised once and for all: constants folded, batch norms merged into what
    stands before them, gradients forgotten."""
    frozen = freeze(mod)
    graphs = {name: graph.copy() for name, graph in frozen.record.graphs.items()}
    for graph in graphs.values():
        run_pipeline(graph, SIMPLIFY)
    return _derived(frozen, replace(frozen.record, graphs=graphs))


def _program_of(mod: Any) -> Program:
    if isinstance(mod, ProgramModule):
        return mod.program
    if isinstance(mod, Program):
        return mod
    if isinstance(mod, (Scripted, ScriptedPart)):
        found: Program = mod.program()
        return found
    raise CaptureError(
        f"a {type(mod).__name__} is no captured program",
        expected="a program",
        location=here(),
        advice="capture it first: ingot.jit.trace(model.eval(), example_inputs)",
    )


def _derived(program: Program, record: ProgramRecord) -> Program:
    return Program(record, backend=program.backend)


def export_opnames(mod: Any) -> list[str]:
    """The names of the ops that a program uses, sorted."""
    record = _program_of(mod).record
    return sorted({node.op.name for graph in record.graphs.values() for node in graph.nodes()})


class _Captured(type):
    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, (Program, ProgramModule, Scripted, ScriptedPart))


class ScriptModule(metaclass=_Captured):
    """What `isinstance` asks of captured programs, and of what `jit.script` makes:
    `isinstance(program, ingot.jit.ScriptModule)`.

    A program is made by capturing a module, not by subclassing this one.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        raise AttributeError("ingot.jit.ScriptModule cannot be subclassed; capture an ordinary module instead")


ScriptFunction = ScriptModule


# ------------------------------------------------------------------------------------------------------------ files


def save(
    m: Any, f: str | Path | IO[bytes], _extra_files: Mapping[str, str | bytes] | None = None, **options: Any
) -> None:
    """Save a program to a path or an open binary file.

    Args:
        _extra_files: texts or bytes to keep in the file, by name; `load` gives them back.
        options: as for `Program.save`.
    """
    from ..serialize.program_file import dumps
    from ..serialize.program_file import save as save_record

    record = _program_of(m).record
    if _extra_files:
        kept = {**dict(record.extras.get(_EXTRA_FILES, {})), **{k: _as_text(v) for k, v in _extra_files.items()}}
        record = replace(record, extras={**record.extras, _EXTRA_FILES: kept})
    if hasattr(f, "write"):
        f.write(dumps(record, **options))
    else:
        save_record(record, f, **options)


_EXTRA_FILES: Final = "extra_files"


def _as_text(value: str | bytes) -> Any:
    if isinstance(value, str):
        return value
    return {"base64": base64.b64encode(value).decode()}


def load(
    f: str | Path | IO[bytes],
    map_location: Any = None,
    _extra_files: MutableMapping[str, Any] | None = None,
    **options: Any,
) -> Program:
    """Load a program from a path or an open binary file.

    Args:
        map_location: the device to load it to.
        _extra_files: a dict whose keys name texts that were saved with the program; it gets them as bytes.
        options: `backend` and `allow_ops`, as for `ingot.load`.
    """
    from ..serialize.program_file import load as load_record
    from ..serialize.program_file import loads

    backend = options.pop("backend", "numpy")
    record = loads(f.read(), **options) if hasattr(f, "read") else load_record(f, **options)
    saved = record.extras.get(_EXTRA_FILES, {})
    for name in _extra_files if _extra_files is not None else ():
        if name in saved:
            _extra_files[name] = _as_bytes(saved[name])  # type: ignore[index]
    program = Program(record, backend=backend)
    return program if map_location is None else program.to(map_location)


def _as_bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    return base64.b64decode(value["base64"])
