"""`Program`: what capture and loading give to the user. It can be called, looked into, emitted and saved.

Its stages are properties: `.graph` as captured, `.optimized`, `.code("numpy")`. State (parameters, buffers, the random
state) belongs to the program; calls that update it do so after the results are there.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..backends.backend import get_backend
from ..ir.arrays import is_array
from ..ir.binding import bind_sizes
from ..ir.errors import ArgumentError, CaptureError, GradientError
from ..ir.graph import Graph
from ..ir.locations import here
from ..ir.program import LedgerEntry, ProgramRecord, Signature, flatten, unflatten
from ..passes import INFERENCE, partition, run_pipeline
from .mode import mode
from .tensor_base import TensorBase, wrap

__all__ = ["Program", "load"]


class _Entry:
    """One entry point, compiled for one backend."""

    def __init__(self, graph: Graph, backend: str) -> None:
        self.graph = graph
        prepare, main = partition(graph)
        self.main = main
        self.prepare = None if prepare is None else get_backend(backend).compile(prepare)
        self.run = get_backend(backend).compile(main)
        self.derived: tuple[Any, dict[str, Any]] | None = None

    def state(self, state: Mapping[str, Any], version: int) -> Mapping[str, Any]:
        """State with what is derived from it alone, which is computed once per version of the state."""
        if self.prepare is None:
            return state
        found = self.derived
        if found is None or found[0] != version:
            values, _ = self.prepare([], state, {})
            keys = [key for key in self.main.state if key not in state]
            found = self.derived = (version, {**state, **dict(zip(keys, values, strict=True))})
        return found[1]


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
        self._optimized: dict[str, Graph] = {}
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._version = 0
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
        """Parameters, buffers and keys by name, as tensors that share the program's memory."""
        return {key: wrap(array) for key, array in self.record.state.items()}

    @property
    def ledger(self) -> list[LedgerEntry]:
        """What capture took from Python and froze."""
        return self.record.ledger

    @property
    def optimized(self) -> Graph:
        """The main entry point's graph after the passes."""
        return self._optimize(self._entry_name(None))

    def _optimize(self, entry: str) -> Graph:
        found = self._optimized.get(entry)
        if found is None:
            found = self.record.graphs[entry].copy()
            run_pipeline(found, INFERENCE)
            self._optimized[entry] = found
        return found

    def code(self, backend: str | None = None, entry: str | None = None) -> str:
        """The source text that a backend emits."""
        graph = self._optimize(self._entry_name(entry))
        _, main = partition(graph)
        return get_backend(backend or self.backend).emit(main).text

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
        outputs, updates = compiled.run(arrays, compiled.state(self.record.state, self._version), sizes)
        if updates:
            with self._lock:
                self.record.state.update(updates)
                self._version += 1
        return outputs

    def _compile(self, entry: str) -> _Entry:
        found = _Entry(self._optimize(entry), self.backend)
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
        return found


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
