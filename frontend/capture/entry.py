"""The capture of one entry point: a function is run once on example inputs, and its graph is kept.

What lives here: the run and what it leaves, with everything of the user's put back. Several entry points, modes and the
program that they make are `trace`'s subject.
"""

from __future__ import annotations

import inspect
import linecache
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...ir.errors import CaptureError, IngotError
from ...ir.gc_pause import paused_gc
from ...ir.graph import Graph
from ...ir.locations import Location, resolve
from ...ir.program import Example, ProgramRecord, Signature, Tree, flatten
from ...ir.trees import Types
from ...ir.verifier import verify
from ..mode import mode
from ..module import Module
from ..tensor_base import TensorBase, wrap
from .attributes import Attributes
from .check import check
from .crossings import imagined, note_appeared, refuse_crossings
from .grown_list import refuse_grown
from .inputs import CaptureInputs, InputRun, Mutates, result_leaf
from .keys import Keys
from .known_state import known_state
from .parameters import ExampleCall, bind_example
from .retrace import subject_of
from .specialised import refuse_specialised
from .surroundings import Surroundings
from .tracer import Tracer
from .verdict import Verdict

__all__ = ["Captured", "EntryPoint", "Session", "capture", "definition", "exclusive"]

_MOST_DECORATORS = 50  # lines of them
_turn = threading.RLock()  # a check runs the function, which may capture something of its own (`ingot.compile`)


@contextmanager
def exclusive() -> Iterator[None]:
    """Capture within the `with` block: captures of several threads take turns, for they may meet in one module.

    Raises:
        CaptureError: when this thread is capturing already.
    """
    if mode.tracer is not None:
        raise CaptureError("trace: a capture is already in progress", advice="trace the outer function alone")
    with _turn:
        yield


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """What is to be captured: a function with example inputs.

    Attributes:
        mutates: what becomes of changes that the function makes to its inputs.
        specialize_ok: dynamic sizes that the function may fix; all of them when True.
        frozen_ok: why what becomes a Python value may be frozen; None where it may not.
        script: whether control flow that the run decides is captured.
    """

    name: str
    func: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    dynamic_shapes: Any = None
    mutates: Mutates = "refuse"
    specialize_ok: Sequence[str] | bool = ()
    frozen_ok: str | None = None
    script: bool = False

    def bind(self) -> ExampleCall:
        """The example inputs by parameter."""
        return bind_example(self.func, self.args, self.kwargs)


class Session:
    """What the entry points of one program have in common.

    Attributes:
        modules: the modules that they reach, by id with their paths.
        names: known state, by id.
        keys: the names of the program's state.
        types: the user's named tuples and dataclasses among inputs and outputs.
    """

    def __init__(self, functions: Sequence[Callable[..., Any]]) -> None:
        self.modules, self.names = known_state(functions)
        self.keys = Keys()
        self.types: Types = {}

    @contextmanager
    def shared_gradients(self) -> Iterator[None]:
        """Let all entry points find the gradients that one of them has been seen to leave behind."""
        for tensor in self.keys.gradients.values():
            tensor._grad = wrap(np.zeros_like(tensor._array))
            key = self.keys.claim_gradient(tensor, tensor._grad)
            self.names[id(tensor._grad)] = (key, tensor._grad)
            self.keys.share(tensor._grad)
        try:
            yield
        finally:
            for tensor in self.keys.gradients.values():
                tensor._grad = None


@dataclass(frozen=True, slots=True)
class Captured:
    """A captured entry point.

    Attributes:
        record: it alone as a program.
        tracer: what captured it.
        surroundings: what its function reaches, as it was before the run; None where no check is wanted.
    """

    entry: EntryPoint
    record: ProgramRecord
    tracer: Tracer
    session: Session
    inputs: CaptureInputs
    surroundings: Surroundings | None

    @property
    def graph(self) -> Graph:
        """The graph as captured."""
        return self.record.graphs[self.entry.name]

    @property
    def signature(self) -> Signature:
        """How it is called."""
        return self.record.signatures[self.entry.name]

    def check(self, seed: int, share: int) -> Verdict | None:
        """Try the graph against the function, beside `share - 1` others; None where no check is wanted."""
        if self.surroundings is None:
            return None

        def call(leaves: Sequence[Any]) -> Any:
            return self.inputs.call.call(self.entry.func, self.inputs.values(leaves))

        def again(tracer: Tracer, leaves: Sequence[Any]) -> Any:
            return _run(self.entry, self.session, self.inputs, tracer, leaves)

        grads = self.inputs.with_gradient
        return check(
            subject_of(self.tracer, self.record, self.surroundings, call, again, grads), seed=seed, share=share
        )


def capture(entry: EntryPoint, session: Session, checked: bool = False) -> Captured:
    """Run a function once and keep its graph. Whatever the run does to what outlives it is put back.

    Args:
        checked: whether `Captured.check` will be asked for.

    Raises:
        CaptureError: for what a graph cannot hold.
        ArgumentError: when example inputs or dynamic sizes do not fit.
    """
    inputs = CaptureInputs(entry.bind(), entry.dynamic_shapes, session.types)
    surroundings = Surroundings(entry.func) if checked else None
    tracer = Tracer(entry.name, session.names, session.keys)
    tracer.name_modules({key: path for key, (path, _) in session.modules.items()})
    tracer.frozen_ok = entry.frozen_ok
    tracer.may_fix = inputs.sizes.fixable(entry.specialize_ok)
    try:
        with imagined(entry.name, session.keys, session.names) as others:
            signature, outputs, state = _run(entry, session, inputs, tracer, inputs.enter(tracer))
            refuse_crossings(tracer, others)
        verify(tracer.graph)
        refuse_specialised(tracer, inputs.sizes, entry.specialize_ok)
    except BaseException:
        # After a capture that succeeds the check does it.
        if surroundings is not None:
            surroundings.restore()
        raise
    trainable = tuple(key for key, (tensor, _) in tracer.state.items() if tensor._node is not None)
    example = Example(entry.name, tuple(np.asarray(x) for x in inputs.examples), outputs)
    record = ProgramRecord(
        {entry.name: tracer.graph},
        state,
        {entry.name: signature},
        trainable,
        tracer.ledger.entries(),
        examples=[example],
    )
    return Captured(entry, record, tracer, session, inputs, surroundings)


def _run(
    entry: EntryPoint, session: Session, inputs: CaptureInputs, tracer: Tracer, leaves: Sequence[Any]
) -> tuple[Signature, tuple[np.ndarray, ...], dict[str, np.ndarray]]:
    """Run the function under a tracer, close its graph, and put everything back; gives the signature, the example's
    outputs and the state as it was."""
    from ..script.callees import scripted

    tracer.may_write_inputs = entry.mutates != "refuse"
    attributes = Attributes(session.modules.values(), entry.func)
    tracer.paths = attributes.tensor_paths
    run = InputRun(inputs, leaves)
    mode.tracer = tracer
    try:
        with paused_gc():
            with tracer.ledger.watching():
                result = run.call(scripted(entry.func) if entry.script else entry.func)
            tracer.refuse_caught()
            refuse_grown(result, tracer.context)
            results, tree = _flatten_result(result, session.types, entry.func)
            tracer.python_state.refuse_changed(attributes.changed())
            for path, old, new, elsewhere in attributes.replaced():
                tracer.replace(path, old, new, elsewhere)
            tracer.refuse_joined(attributes.joined())
            note_appeared(tracer, attributes)
            written = run.written(tracer)
            after, further = run.changed_containers(tracer, entry.mutates)
            writes = tuple(written) if entry.mutates == "write_back" else ()
            outputs = [*results, *(run.made[i] for i in writes), *further]
            tracer.finish(outputs)
        examples = tuple(_example_output(x, tracer) for x in outputs)
        state = tracer.state_arrays()
    finally:
        mode.tracer = None
        tracer.restore()
        attributes.restore()
    call = inputs.call
    kinds = call.kinds if any(call.kinds) else ()
    copies = () if writes else tuple(written)
    trees = tuple(inputs.trees.values())
    signature = Signature(tuple(call.values), trees, tree, kinds, call.defaults, writes, copies, after)
    return signature, examples, state


def _flatten_result(result: Any, types: Types, func: Any) -> tuple[list[Any], Tree]:
    try:
        return flatten(result, result_leaf, types)
    except CaptureError:
        raise
    except IngotError as error:
        raise CaptureError(
            f"the program's result: {error.what}",
            expected=error.expected,
            found=error.found,
            location=definition(func),
            advice=error.advice or "leave it out of what the captured function returns, or return the tensors in it",
        ) from None


def definition(func: Any) -> Location | None:
    """The line where a function, or a module's `forward`, is defined."""
    found = getattr(func, "forward", func) if isinstance(func, Module) else func
    code = getattr(inspect.unwrap(getattr(found, "__func__", found)), "__code__", None)
    if code is None:
        return None
    if code.co_name == "<lambda>":
        return resolve((code, 0))
    first = code.co_firstlineno
    for line in range(first, first + _MOST_DECORATORS):  # the first line is that of a decorator
        text = linecache.getline(code.co_filename, line).rstrip()
        if text.lstrip().startswith("def "):
            return replace(resolve((code, 0)), line=line, column=0, end_line=line, end_column=0, source=text)
    return resolve((code, 0))


def _example_output(value: Any, tracer: Tracer) -> np.ndarray:
    if not isinstance(value, TensorBase) and hasattr(value, "as_tensor"):
        value = value.as_tensor()
    return np.array(value._array if isinstance(value, TensorBase) else tracer.example_of(value))
