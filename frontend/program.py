"""`Program`: what capture and loading give to the user. It can be called, looked into, emitted and saved.

Its stages are properties: `.graph` as captured, `.optimized`, `.code("numpy")`. State (parameters, buffers, the random
state) belongs to the program; calls that update it do so after the results are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backends.backend import get_backend
from ..ir.errors import ArgumentError, ShapeError
from ..ir.graph import Graph
from ..ir.ledger import Ledger
from ..ir.locations import here
from ..ir.program import ProgramRecord, Signature
from .calling import Caller
from .capture_report import capture_report
from .mode import mode
from .program_call import MISSED, CompiledEntry, QuickCall, Stages
from .program_entry import ProgramEntry
from .program_gradient import DifferentiableGraph, needs_gradient
from .program_modes import is_training, set_training
from .program_modules import ModuleInfo, module_tree
from .program_random import Draws, generator_of, seed_program
from .program_state import ProgramState
from .tensor_base import TensorBase, wrap
from .threads import limited
from .watch import Watches, WatchHandle, watch

if TYPE_CHECKING:
    from .capture.verdict import Verdict
    from .program_module import ProgramModule

__all__ = ["Program", "load"]


class Program:
    """A captured program.

    Called like the function it was captured from. Arguments are tensors or arrays, results are tensors.

    Args:
        record: the program as data.
        backend: what runs it: `"numpy"` or `"reference"`.

    Attributes:
        num_threads: how many threads a call may use; None is as many as `ingot.get_num_threads()` says.
        verdict: what the check after the capture found; None for a program that was loaded or not checked.

    >>> import ingot
    >>> program = ingot.jit.trace(lambda x: (x + 1).relu(), ingot.ones(2))
    >>> program(ingot.tensor([1.0, -3.0]))
    tensor([2., 0.])
    """

    def __init__(self, record: ProgramRecord, *, backend: str = "numpy") -> None:
        self._own = ProgramState(record)
        self.backend = get_backend(backend).name
        self.verdict: Verdict | None = None
        self._staged: dict[str, Stages] = {}
        self._entries: dict[tuple[str, str], CompiledEntry] = {}
        self._on_tape: dict[tuple[str, str], DifferentiableGraph] = {}
        self._callers: dict[str, Caller] = {}
        self._quick: dict[str | None, QuickCall] = {}
        self._watches = Watches()
        self._module: ProgramModule | None = None
        self.num_threads: int | None = None

    @property
    def record(self) -> ProgramRecord:
        """The program as data."""
        return self._own.record

    # ------------------------------------------------------------------------------------------------ facts

    @property
    def entry_points(self) -> tuple[str, ...]:
        """The names of the entry points."""
        return tuple(self.record.graphs)

    def entry(self, name: str) -> ProgramEntry:
        """An entry point by name: its graph, signature and ledger, and a call of it. `program.encode` is the same as
        `program.entry("encode")`.

        Raises:
            ArgumentError: when there is none of that name.
        """
        return ProgramEntry(self, self._entry_name(name))

    def __getattr__(self, name: str) -> ProgramEntry:
        own = self.__dict__.get("_own")
        if own is not None and name in own.record.graphs:
            return ProgramEntry(self, name)
        raise AttributeError(f"{type(self).__name__} has no attribute and no entry point {name!r}")

    @property
    def training(self) -> bool:
        """Which mode a call without `training=` is in, for a program that was captured in both.

        Raises:
            ArgumentError: for any other program.
        """
        return is_training(self.record)

    def train(self, mode: bool = True) -> Program:
        """Let calls be in training where they do not say `training=`; only for a program captured in both modes.

        >>> import ingot
        >>> program = ingot.jit.trace(ingot.nn.Dropout(1.0), ingot.ones(2), modes=("train", "eval"))
        >>> program.train()(ingot.ones(2)), program.eval()(ingot.ones(2)), program(ingot.ones(2), training=True)
        (tensor([0., 0.]), tensor([1., 1.]), tensor([0., 0.]))
        """
        set_training(self.record, mode)
        return self

    def eval(self) -> Program:
        """Let calls be in evaluation where they do not say `training=`; only for a program captured in both modes."""
        return self.train(False)

    def report(self) -> str:
        """What calls may give and what the capture took for granted, as text; see `ingot.jit.capture_report`."""
        return capture_report(self.record)

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

    def parameters(self) -> Iterator[Any]:
        """The trainable state, to be given to an optimizer; see `named_parameters`."""
        return iter(self.named_parameters().values())

    def named_parameters(self) -> dict[str, Any]:
        """The trainable state by name, as parameters: the same tensors at each call.

        They are what the program computes with: a call after an optimizer's step uses the new values, and `save` saves
        them. Once somebody has asked for them, calls are recorded while gradients are, as those of a module are.

        >>> import ingot
        >>> layer = ingot.nn.Linear(2, 1)
        >>> program = ingot.jit.trace(layer, ingot.ones(1, 2))
        >>> optimizer = ingot.optim.SGD(program.parameters(), lr=0.1)
        >>> program(ingot.ones(1, 2)).sum().backward()
        >>> program.named_parameters()["weight"].grad
        tensor([[1., 1.]])
        """
        return dict(self._own.named_parameters())

    def requires_grad_(self, requires_grad: bool = True) -> Program:
        """Let all parameters be trained, or none; to freeze some, say so to these."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

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
    def ledger(self) -> Ledger:
        """What capture took from Python and froze: prints as a table, `ledger.of("frozen")` picks a kind,
        `ledger.diff(other)` compares two captures. docs/ledger.md says what it holds."""
        return Ledger(self.record.ledger)

    @property
    def optimized(self) -> Graph:
        """The main entry point's graph after the passes. What follows from the state alone is read as state of its
        own (`"%derived.0"`): it is computed again only when that state is replaced."""
        return self._stages(self._entry_name(None)).main

    def _stages(self, entry: str) -> Stages:
        found = self._staged.get(entry)
        if found is None:
            found = self._staged[entry] = Stages(self.record.graphs[entry])
        return found

    def code(self, backend: str | None = None, entry: str | None = None) -> str:
        """The source text that a backend emits for the optimised graph."""
        return get_backend(backend or self.backend).emit(self._stages(self._entry_name(entry)).main).text

    def __repr__(self) -> str:
        entries = ", ".join(f"{name}({', '.join(s.parameters)})" for name, s in self.record.signatures.items())
        return f"<Program {entries}, {sum(a.nbytes for a in self.record.state.values()):,} bytes of state>"

    @property
    def modules(self) -> ModuleInfo:
        """The modules that the program was captured from, as a tree with node and parameter counts."""
        return module_tree(self.record)

    def watch(self, where: str, hook: Callable[[Any], Any] | None = None, *, entry: str | None = None) -> WatchHandle:
        """See what comes out of a module (`"encoder.layers.0"`) or of a line (`"model.py:42"`) at each call; see
        `watch.watch`."""
        return watch(self, where, hook, entry=entry)

    def as_module(self) -> ProgramModule:
        """The program as a part of a module: its parameters and buffers are the module's. The same one each time."""
        from .program_module import ProgramModule

        if self._module is None:
            self._module = ProgramModule(self)
        return self._module

    def named_state(self, names: Mapping[int, str] | None = None) -> Iterator[tuple[str, Any]]:
        """The tensors that hold the state, by name, for a capture that the program is called in."""
        yield from self._own.named_parameters().items()
        yield from self._own.named_buffers().items()

    def __deepcopy__(self, memo: dict[int, Any]) -> Program:
        """A program with state of its own; the graphs, which nobody changes, are shared."""
        record = self.record
        state = {key: np.array(array) for key, array in record.state.items()}
        found = memo[id(self)] = Program(
            replace(record, state=state, extras=deepcopy(record.extras, memo)), backend=self.backend
        )
        found.num_threads, found.verdict = self.num_threads, self.verdict
        return found

    def manual_seed(self, seed: int) -> Program:
        """Start the program's random state again from a seed.

        >>> import ingot
        >>> program = ingot.jit.trace(lambda x: x + ingot.rand(2), ingot.zeros(2))
        >>> ingot.equal(program.manual_seed(0)(ingot.zeros(2)), program.manual_seed(0)(ingot.zeros(2)))
        True
        """
        seed_program(self, seed)
        return self

    # ------------------------------------------------------------------------------------------------ calls

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        quick = self._quick.get(None)
        if quick is not None and not kwargs:
            found = quick(self, args)
            if found is not MISSED:
                return found
        return self._call(None, args, kwargs)

    def run(self, entry: str | None, /, *args: Any, **kwargs: Any) -> Any:
        """Call an entry point by name; None is the main one.

        Raises:
            ArgumentError: for a missing or unknown argument, or one of another structure.
            ShapeError, DTypeError: for a tensor that does not fit the signature or what tracing assumed.
        """
        quick = self._quick.get(entry)
        if quick is not None and not kwargs:
            found = quick(self, args)
            if found is not MISSED:
                return found
        return self._call(entry, args, kwargs)

    def _call(self, entry: str | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        name = self._entry_name(entry)
        caller = self._caller(name)
        draws = None
        if "generator" in kwargs:
            draws = generator_of(self, caller.signature.parameters, kwargs)
            if draws is not None:
                kwargs = {key: value for key, value in kwargs.items() if key != "generator"}
        leaves = caller.leaves(args, kwargs)
        outputs = self._outputs(name, leaves, draws)
        if caller.plain:
            self._make_quick(entry, name, caller)
        result = caller.result(leaves, outputs)
        caller.write_containers(args, kwargs, leaves, outputs)
        return result

    def _make_quick(self, entry: str | None, name: str, caller: Caller) -> None:
        """Let further calls be quick, once the entry point has been compiled."""
        known = self._quick.get(entry)
        compiled = self._entries.get((name, self.backend))
        if compiled is not None and (known is None or known.backend is not self.backend):
            self._quick[entry] = QuickCall(caller, compiled, self.backend)

    def _outputs(self, name: str, leaves: Sequence[Any], draws: Draws | None) -> Sequence[Any]:
        """What the graph gives: tensors, arrays and numbers."""
        if mode.tracer is not None:
            from .program_module import call_inside

            return call_inside(self, name, leaves, draws)
        with limited(self.num_threads):
            recorded = self._recorded(name, leaves, draws) if mode.grad else None
            if recorded is not None:
                return recorded
            return self.run_arrays(name, [x._array if isinstance(x, TensorBase) else x for x in leaves], draws)

    def _caller(self, name: str) -> Caller:
        found = self._callers.get(name)
        if found is None or found.signature is not self.record.signatures[name]:
            found = self._callers[name] = Caller(self.record.signatures[name], self.record.types)
        return found

    def run_arrays(self, entry: str, arrays: list[Any], draws: Draws | None = None) -> list[Any]:
        """Call an entry point on the flat arrays of its graph's inputs; gives the flat outputs."""
        if self._watches and (watches := self._watches.of(entry)):
            make = lambda graph: CompiledEntry(Stages(graph), self.backend)  # noqa: E731
            found: list[Any] = self._watches.run(self, watches, make, lambda made: self._run(made, arrays, draws))
            return found
        return self._run(self._entries.get((entry, self.backend)) or self._compile(entry), arrays, draws)

    def _run(self, compiled: CompiledEntry, arrays: list[Any], draws: Draws | None) -> list[Any]:
        sizes = compiled.bind(arrays)
        state, stamp = self._own.snapshot()
        state = state if draws is None else draws.state(state)
        outputs, updates = compiled.run(arrays, compiled.state(state, stamp), sizes)
        if updates:
            self._replace(updates if draws is None else draws.move_on(updates))
        return outputs

    def _replace(self, values: Mapping[str, Any]) -> None:
        """Put new values into the state."""
        self._own.replace(values)

    def _recorded(self, entry: str, leaves: Sequence[Any], draws: Draws | None = None) -> list[Any] | None:
        """The outputs of a call that goes on the tape, or None where nothing requires a gradient."""
        parameters = self._own.parameters
        if not needs_gradient((*leaves, *parameters.values())):
            return None
        state = self._own.for_tape()
        state = state if draws is None else draws.state(state)
        if self._watches and (watches := self._watches.of(entry)):
            on_tape = lambda graph: DifferentiableGraph(graph, self.backend)  # noqa: E731
            outputs, updates = self._watches.run(self, watches, on_tape, lambda made: made(leaves, state), "tape")
        else:
            found = self._on_tape.get((entry, self.backend))
            if found is None:
                graph = self.record.graphs[entry]
                found = self._on_tape[entry, self.backend] = DifferentiableGraph(graph, self.backend)
            outputs, updates = found(leaves, state)
        if updates:
            self._replace(updates if draws is None else draws.move_on(updates))
        return outputs

    def _compile(self, entry: str) -> CompiledEntry:
        found = CompiledEntry(self._stages(entry), self.backend)
        self._entries[entry, self.backend] = found
        return found

    # ------------------------------------------------------------------------------------------------ files

    def save(self, path: str | Path, *, sources: bool = True) -> None:
        """Save the program as one data-only file; see `ingot.load`.

        Args:
            sources: keep the text of source lines, for messages.
        """
        from ..serialize import save

        save(self.record, path, sources=sources)

    def to(self, *args: Any, **kwargs: Any) -> Program:
        """The program with its floating-point state, inputs and results in another dtype, or on another device; see
        `program_convert.convert`. The name of a backend is that backend: `on` says it plainly."""
        from .program_convert import convert

        return convert(self, args, kwargs)

    def half(self) -> Program:
        """The program in float16; see `to`."""
        return self.to("float16")

    def float(self) -> Program:
        """The program in float32; see `to`."""
        return self.to("float32")

    def double(self) -> Program:
        """The program in float64; see `to`."""
        return self.to("float64")

    def bfloat16(self) -> Program:
        """The program in bfloat16; see `to`."""
        return self.to("bfloat16")

    def cpu(self) -> Program:
        """The program on the CPU; see `to`."""
        return self.to("cpu")

    def cuda(self) -> Program:
        """The program on the GPU; see `to`."""
        return self.to("cuda")

    def on(self, backend: str) -> Program:
        """The same program, sharing its state, on another backend.

        >>> import ingot
        >>> ingot.jit.trace(lambda x: x * 2, ingot.ones(2)).on("reference").backend
        'reference'
        """
        found = Program(self.record, backend=backend)
        found._own = self._own
        found.verdict = self.verdict
        return found


def _read_only(array: Any) -> Any:
    view = array.view()
    if isinstance(view, np.ndarray):
        view.setflags(write=False)
    return view


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
