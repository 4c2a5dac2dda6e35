"""`Program`: what capture and loading give to the user. It can be called, looked into, emitted and saved.

Its stages are properties: `.graph` as captured, `.optimized`, `.code("numpy")`. State (parameters, buffers, the random
state) belongs to the program; calls that update it do so after the results are there.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..backends.backend import get_backend
from ..ir.arrays import is_array
from ..ir.binding import bind_sizes
from ..ir.errors import ArgumentError, CaptureError, GradientError, ShapeError
from ..ir.graph import Graph
from ..ir.locations import here
from ..ir.program import LedgerEntry, ProgramRecord, Signature, flatten, unflatten
from ..passes import SIMPLIFY, partition, run_pipeline
from .mode import mode
from .tensor_base import TensorBase, wrap

__all__ = ["Program", "load"]


class _Stages:
    """One entry point on its way to a backend: what is derived from the state alone, and the graph to call."""

    def __init__(self, graph: Graph) -> None:
        simplified = graph.copy()
        run_pipeline(simplified, SIMPLIFY)
        self.prepare, self.main = partition(simplified)
        run_pipeline(self.main, "fuse")


class _Entry:
    """One entry point, compiled for one backend."""

    def __init__(self, stages: _Stages, backend: str) -> None:
        self.main = stages.main
        self.prepare = None if stages.prepare is None else get_backend(backend).compile(stages.prepare)
        self.run = get_backend(backend).compile(stages.main)
        self.reads = () if stages.prepare is None else tuple(stages.prepare.state)
        self.derived: tuple[list[Any], dict[str, Any]] | None = None

    def state(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """State with what is derived from it alone, which is computed again when what it derives from was replaced."""
        if self.prepare is None:
            return state
        read = [state[key] for key in self.reads]
        found = self.derived
        if found is None or any(a is not b for a, b in zip(found[0], read, strict=True)):
            values, _ = self.prepare([], state, {})
            keys = [key for key in self.main.state if key not in state]
            found = self.derived = (read, dict(zip(keys, values, strict=True)))
        return {**state, **found[1]}


class Program:
    """A captured program.

    Called like the function it was captured from. Arguments are tensors or arrays, results are tensors.

    Args:
        record: the program as data.
        backend: what runs it: `"numpy"` or `"reference"`.

    >>> import ingot
    >>> program = ingot.jit.trace(lambda x: (x + 1).relu(), ingot.ones(2))
    >>> program(ingot.tensor([1.0, -3.0]))
    tensor([2., 0.])
    """

    def __init__(self, record: ProgramRecord, *, backend: str = "numpy") -> None:
        self.record = record
        self.backend = get_backend(backend).name
        self._staged: dict[str, _Stages] = {}
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._lock = threading.Lock()

    # ------------------------------------------------------------------------------------------------ facts

    @property
    def entry_points(self) -> tuple[str, ...]:
        """The names of the entry points."""
        return tuple(self.record.graphs)

    def _entry_name(self, entry: str | None) -> str:
        if entry is None:
            return "forward" if "forward" in self.record.graphs else self.entry_points[0]
        if entry not in self.record.graphs:
            raise ArgumentError(f"no entry point {entry!r}", found=f"entry points: {', '.join(self.entry_points)}")
        return entry

    @property
    def graph(self) -> Graph:
        """The graph of the main entry point, as captured."""
        return self.record.graphs[self._entry_name(None)]

    @property
    def signature(self) -> Signature:
        """How the main entry point is called."""
        return self.record.signatures[self._entry_name(None)]

    @property
    def state(self) -> dict[str, Any]:
        """Parameters, buffers and keys by name, as tensors that can be read; `load_state_dict` changes them."""
        return {key: wrap(_read_only(array)) for key, array in self.record.state.items()}

    def state_dict(self) -> dict[str, Any]:
        """The same as `state`."""
        return self.state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over new values for all or some of the state; nothing changes unless all of them fit.

        Raises:
            ArgumentError: for a name that the program does not have.
            ShapeError: for a value of other sizes or dtype.
        """
        new = {}
        for key, value in state_dict.items():
            if key not in self.record.state:
                raise ArgumentError(f"load_state_dict: the program has no state {key!r}", location=here())
            old = self.record.state[key]
            array = value._array if isinstance(value, TensorBase) else value
            if array.shape != old.shape or array.dtype != old.dtype:
                found = f"{array.dtype}{list(array.shape)}"
                expected = f"{old.dtype}{list(old.shape)}"
                raise ShapeError(f"load_state_dict: {key!r} does not fit", expected=expected, found=found)
            new[key] = array.copy()
        self._replace(new)

    @property
    def ledger(self) -> list[LedgerEntry]:
        """What capture took from Python and froze."""
        return self.record.ledger

    @property
    def optimized(self) -> Graph:
        """The main entry point's graph after the passes. What follows from the state alone is read as state of its
        own (`"%derived.0"`): it is computed again only when that state is replaced."""
        return self._stages(self._entry_name(None)).main

    def _stages(self, entry: str) -> _Stages:
        found = self._staged.get(entry)
        if found is None:
            found = self._staged[entry] = _Stages(self.record.graphs[entry])
        return found

    def code(self, backend: str | None = None, entry: str | None = None) -> str:
        """The source text that a backend emits for the optimised graph."""
        return get_backend(backend or self.backend).emit(self._stages(self._entry_name(entry)).main).text

    def __repr__(self) -> str:
        entries = ", ".join(f"{name}({', '.join(s.parameters)})" for name, s in self.record.signatures.items())
        return f"<Program {entries}, {sum(a.nbytes for a in self.record.state.values()):,} bytes of state>"

    # ------------------------------------------------------------------------------------------------ calls

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(None, args, kwargs)

    def run(self, entry: str | None, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None) -> Any:
        """Call an entry point by name.

        Raises:
            ArgumentError: for a missing or unknown argument, or one of another structure.
            ShapeError, DTypeError: for a tensor that does not fit the signature or what tracing assumed.
        """
        name = self._entry_name(entry)
        signature = self.record.signatures[name]
        arrays = self._arrays(signature, args, kwargs or {})
        outputs = self.run_arrays(name, arrays)
        return unflatten(signature.result, [wrap(x) if is_array(x) else x for x in outputs])

    def run_arrays(self, entry: str, arrays: list[Any]) -> list[Any]:
        """Call an entry point on the flat arrays of its graph's inputs; gives the flat outputs."""
        compiled = self._entries.get((entry, self.backend)) or self._compile(entry)
        sizes = bind_sizes(compiled.main, arrays)
        outputs, updates = compiled.run(arrays, compiled.state(self.record.state), sizes)
        if updates:
            self._replace(updates)
        return outputs

    def _replace(self, values: Mapping[str, Any]) -> None:
        """Put new arrays into the state: a new dict, so that calls under way keep theirs."""
        with self._lock:
            self.record.state = {**self.record.state, **values}

    def _compile(self, entry: str) -> _Entry:
        found = _Entry(self._stages(entry), self.backend)
        self._entries[entry, self.backend] = found
        return found

    def _arrays(self, signature: Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
        if mode.tracer is not None:
            raise CaptureError(
                "a program is called while another one is being captured",
                location=here(),
                advice="call the function it was captured from",
            )
        values = _by_name(signature, args, kwargs)
        arrays: list[Any] = []
        for name, tree in zip(signature.parameters, signature.arguments, strict=True):
            leaves, found = flatten(values[name], lambda x: isinstance(x, TensorBase) or is_array(x))
            if found != tree:
                raise ArgumentError(
                    f"argument '{name}' has another structure than the captured one",
                    expected=show_tree(tree),
                    found=show_tree(found),
                    location=here(),
                )
            for leaf in leaves:
                if mode.grad and isinstance(leaf, TensorBase) and leaf._node is not None:
                    raise GradientError(
                        f"argument '{name}' requires a gradient, which programs do not compute",
                        location=here(),
                        advice="call the program under ingot.no_grad()",
                    )
                arrays.append(leaf._array if isinstance(leaf, TensorBase) else leaf)
        return arrays

    # ------------------------------------------------------------------------------------------------ files

    def save(self, path: str | Path, *, sources: bool = True) -> None:
        """Save the program as one data-only file; see `ingot.load`.

        Args:
            sources: keep the text of source lines, for messages.
        """
        from ..serialize import save

        save(self.record, path, sources=sources)

    def to(self, backend: str) -> Program:
        """The same program, sharing its state, on another backend."""
        found = Program(self.record, backend=backend)
        found._lock = self._lock
        return found


def _read_only(array: Any) -> Any:
    view = array.view()
    if isinstance(view, np.ndarray):
        view.setflags(write=False)
    return view


def show_tree(tree: Mapping[str, Any]) -> str:
    """A tree's structure as a reader would write it."""
    kind = tree["kind"]
    if kind == "leaf":
        return "tensor"
    if kind in ("none", "constant"):
        return repr(tree.get("value"))
    items = [show_tree(item) for item in tree["items"]]
    if kind == "dict":
        return "{" + ", ".join(f"{k!r}: {v}" for k, v in zip(tree["keys"], items, strict=True)) + "}"
    return ("({})" if kind == "tuple" else "[{}]").format(", ".join(items))


def _by_name(signature: Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    names = signature.parameters
    if len(args) > len(names):
        raise ArgumentError(
            f"{len(args)} arguments for a program that takes {len(names)}",
            expected=", ".join(names),
            location=here(),
        )
    values = dict(zip(names, args, strict=False))
    for name, value in kwargs.items():
        if name not in names or name in values:
            what = "given twice" if name in values else "not a parameter of the program"
            raise ArgumentError(f"argument '{name}' is {what}", expected=", ".join(names), location=here())
        values[name] = value
    for name in names:
        if name not in values:
            raise ArgumentError(f"argument '{name}' is missing", expected=", ".join(names), location=here())
    return values


def load(path: str | Path, *, backend: str = "numpy", allow_ops: Sequence[str] = ()) -> Program:
    """Load a program file. Nothing in the file is run.

    Args:
        path: what `Program.save` wrote.
        backend: what runs the program.
        allow_ops: full names of registered ops outside of Ingot's own that the file may use.

    Raises:
        FileFormatError: when the file is not a program, damaged, or newer than this version reads.
    """
    from ..serialize import load as load_record

    return Program(load_record(path, allow_ops=allow_ops), backend=backend)
