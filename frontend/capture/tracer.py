"""The tracer: runs a program once on example inputs and records every op as a node.

Ops are computed as usual, so the program sees real values; beside them each tensor carries, in `_trace`, the tracer,
the graph value that stands for it, and whether that depends on constants alone. Types are inferred from the graph
values, so dynamic sizes stay symbolic. A tensor that the program did not get as an input and did not compute is state
(a parameter, a buffer, an optimizer's momentum) or a constant.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from ...ir.algebra import type_of
from ...ir.builder import Builder
from ...ir.dtypes import float32, get_default_dtype
from ...ir.errors import CaptureError, IngotError, ShapeError, VerifyError
from ...ir.graph import Graph
from ...ir.locations import Location, here
from ...ir.node import Value
from ...ir.registry import Op, lookup
from ...ir.sizes import AssumingContext, Size, SizeExpr, evaluate, free_vars, use_context
from ...ir.types import TensorType
from ..dispatch import EAGER, execute, link_view
from ..mode import mode
from ..sizes import Size as Shape
from ..tape import record
from ..tensor_base import TensorBase, wrap
from .gradients import Gradients
from .keys import Keys
from .ledger import CaptureLedger
from .python_state import PythonState
from .regions import Regions
from .state_tracing import StateTracing
from .symbols import Symbol
from .symint import SymInt, as_size, hint
from .unrecorded import Unrecorded
from .user_gradients import UserGradients

__all__ = ["Tracer"]

_RESHAPE: Final = lookup("reshape")  # the one view op that copies where it must


class Tracer(StateTracing):
    """One capture in progress.

    Args:
        name: the entry point's name.
        names: known state: the tensor's `id` to its name and the tensor itself.
        keys: the names that state has in other entry points of the program.
    """

    keeps_ledger = True  # whether what Python reads is written down
    keeps_user_gradients = True  # whether somebody may differentiate what is being captured

    def __init__(self, name: str, names: Mapping[int, tuple[str, Any]], keys: Keys | None = None) -> None:
        self.graph = Graph(name)
        self.builder = Builder(self.graph)
        self.names = names
        self.keys = Keys() if keys is None else keys
        self.hints: dict[str, int] = {}
        self.context = f"while tracing @{name}"
        self.sizes = AssumingContext(self.hints, self._assume)
        self.ledger = CaptureLedger(self)
        self.python_state = PythonState(self)
        self.state: dict[str, tuple[Any, Value]] = {}
        self.path: list[str] = []
        self._anonymous: list[tuple[str, Any, Value]] = []
        self._taken: list[tuple[Value, Location | None]] = []  # constants that became Python's, with the lines
        self.paths: dict[int, str] = {}  # how the program reaches tensors that are no known state, by their `id`
        self._over_numpy: dict[int, Any] = {}  # tensors that the run has made over NumPy's memory
        self.may_fix: frozenset[str] = frozenset()  # dynamic sizes that nobody has named, or that may be fixed anyway
        self._externals: dict[int, tuple[str, Any, Value]] = {}  # state and constants alike, by the tensor's id
        self._replaced: dict[int, Value] = {}  # what takes the place of such a tensor at the end
        self._perhaps_views: list[tuple[weakref.ref[Any], weakref.ref[Any]]] = []
        self._written: list[tuple[Any, Location | None]] = []
        self.has_ended = False  # whether the program's own code has run to its end
        self._grads = Gradients(self)
        self._constants: dict[Any, Value] = {}
        self._snapshots: dict[int, tuple[Any, np.ndarray, np.ndarray]] = {}  # tensor, its array, its elements
        self._places: list[tuple[Any, Any, int]] = []  # tensors that were written to, with where they were on the tape
        self._touched: list[weakref.ref[Any]] = []  # what nobody holds any more shares no memory with anything
        self._paths: dict[int, str] = {}
        self._inputs: set[int] = set()  # the memory of the inputs, by `id`
        self._input_arrays: list[np.ndarray] = []  # so that no other memory gets these ids
        self.may_write_inputs = False
        self.refusal: CaptureError | None = None  # the first that was raised where user code may catch it
        self.input_writes: dict[int, Location | None] = {}  # the line that first changes an input, by its memory's `id`
        self._data_sizes: set[str] = set()  # variables that stand for sizes which the data decides
        self.frozen_ok: str | None = None
        self.drawn_from: set[int] = set()  # keys of generators from outside, by `id`
        self.regions = Regions(self)
        self.user_gradients = UserGradients()
        self.unrecorded = Unrecorded(self)
        self.lists_growing: Any = None  # what the loop that is being captured appends to lists
        self._unproven: dict[Value, Callable[[], None]] = {}

    # ------------------------------------------------------------------------------------------- begin and end

    def add_input(self, name: str, array: np.ndarray, sizes: Sequence[Size]) -> Any:
        """A graph input and the tensor that stands for it in the program."""
        found = wrap(np.array(array))
        type_ = type_of(array)
        assert isinstance(type_, TensorType)
        value = self.graph.add_input(name, type_.with_(sizes=tuple(sizes)))
        found._trace = (self, value, False)
        self._inputs.add(id(found._array))
        self._input_arrays.append(found._array)
        self._touched.append(weakref.ref(found))
        return found

    def set_hints(self, hints: Mapping[str, int]) -> None:
        """Example values of the size variables."""
        self.hints.update(hints)
        self.sizes.hints.update(hints)

    def finish(self, outputs: Sequence[Any]) -> None:
        """Close the graph over the program's outputs and the state it has changed."""
        results = [self.operand(x) for x in outputs]
        self._grads.settle()
        self._refuse_shared_memory()
        for key, tensor, value in self._anonymous:
            if key in self.keys.changed or self._at_end(tensor) is not value:
                self.state[key] = (tensor, value)
        self._refuse_taken()
        self.user_gradients.settle()
        now = {key: self._at_end(tensor) for key, (tensor, _) in self.state.items()}
        updates = {key: value for key, value in now.items() if value is not self.state[key][1]}
        self.keys.changed |= updates.keys()
        self.graph.set_return(results, updates)
        self._freeze_constants()

    def builder_at_start(self) -> Builder:
        """A builder that puts nodes before all others."""
        from ...ir.insertion import InsertionPoint

        return Builder(self.graph, at=InsertionPoint.start(self.graph.block))

    def restore(self) -> None:
        """Undo what the run did to tensors that outlive it, and let go of them."""
        for tensor, own, elements in self._snapshots.values():
            tensor._array = own
            own[...] = elements
        for tensor, node, index in self._places:
            tensor._node, tensor._index = node, index
        self._places.clear()
        self._grads.restore()
        self.user_gradients.release()
        for reference in self._touched:
            if (touched := reference()) is not None:
                touched._trace = None
        self._touched.clear()

    def adopt(self, tensor: Any, trace: Any) -> None:
        """Let a tensor stand for another value from here on."""
        tensor._trace = trace
        self._touched.append(weakref.ref(tensor))

    # --------------------------------------------------------------------------------------------- module paths

    def enter_module(self, module: Any) -> None:
        """The program calls a module: nodes recorded until `exit_module` carry its path."""
        self.path.append(self._paths.get(id(module), ""))
        self.ledger.layer(module)

    def exit_module(self) -> None:
        """The module's call has ended."""
        self.path.pop()

    def name_modules(self, paths: Mapping[int, str]) -> None:
        """Paths of the modules that may be called, by their `id`."""
        self._paths.update(paths)

    @property
    def module_path(self) -> str:
        return self.path[-1] if self.path else ""

    def rewritten(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        """A module's `forward` with its control flow rewritten, where a scripted function calls the module."""
        from ..script.callees import scripted

        found: Callable[..., Any] = scripted(forward)
        return found

    # -------------------------------------------------------------------------------------------------- values

    def is_traced(self, tensor: Any) -> bool:
        """Whether a graph value stands for the tensor."""
        return tensor._trace is not None and tensor._trace[0] is self

    def varies(self, tensor: Any) -> bool:
        """Whether a tensor's value depends on the program's inputs or state, and not on constants alone."""
        if not self.is_traced(tensor):
            if not self.is_known_state(tensor) and (tensor._base is None or not self.is_known_state(tensor._base)):
                return False
            self.value_of(tensor)  # state that no operation has read yet
        return not tensor._trace[2]

    def value_of(self, x: Any) -> Value:
        """The graph value that stands for an operand."""
        if isinstance(x, TensorBase):
            value = x._trace[1] if x._trace is not None and x._trace[0] is self else self._external(x)
            if self._unproven and value in self._unproven:
                self._unproven.pop(value)()
            if self.regions.sharing.lost:
                value = self.regions.sharing.known(value)
            return self.regions.used(x, value) if self.regions.watching else value
        if isinstance(x, Symbol):
            return self.value_of(x.as_tensor())
        if isinstance(x, (SymInt, SizeExpr)):
            return self.builder.emit("prim::Size", [], {"value": as_size(x)}, location=here()).output
        key = (type(x), repr(x))
        found = self._constants.get(key)
        if found is None:
            found = self._constants[key] = (
                self.builder_at_start().constant(x) if x is not None else self.builder_at_start().none()
            )
        return found

    def operand(self, x: Any) -> Value:
        """`value_of`, for who may be differentiated: what was computed without being recorded is cut off."""
        value = self.value_of(x)
        return self.unrecorded.read(x, value) if isinstance(x, TensorBase) else value

    def before_changed(self, storage: Any) -> None:
        """The tape is about to refuse something that was changed in place: what perhaps was says more.

        Raises:
            CaptureError: where the run decides whether it was.
        """
        self.regions.sharing.refuse_lost(storage)

    # ----------------------------------------------------------------------------------------------------- ops

    def apply(self, op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
        """Record one op and compute it."""
        location = here(3)
        try:
            self.ledger.operation(op.short, inputs, attrs)
            return self._apply(op, inputs, attrs, location)
        except IngotError as error:
            error.advice = error.advice or self._advice_on_sizes(error, inputs)
            raise error.located(location, self.module_path, self.context) from None
        finally:
            self.ledger.resume()

    def _advice_on_sizes(self, error: IngotError, inputs: Sequence[Any]) -> str:
        """What to do where an operation takes the example's sizes, and not all those that they stand for."""
        types = [x._trace[1].type for x in inputs if isinstance(x, TensorBase) and self.is_traced(x)]
        names = {str(size) for type_ in types for size in getattr(type_, "sizes", ()) if isinstance(size, SizeExpr)}
        if not names or not isinstance(error, ShapeError):
            return ""
        return (
            f"{' and '.join(sorted(names))} may have any value, and the operation does not take all: an example of "
            "size 1 broadcasts, but other sizes do not; leave the dimension static, or give it bounds: Dim(max=1)"
        )

    def _apply(self, op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any], location: Location | None) -> Any:
        if any(isinstance(x, Symbol) for x in inputs):
            inputs = self.plain_operands(inputs, bool(op.promotes))
        if op.promotes and get_default_dtype() is not float32:
            inputs = _in_default_dtype(op, inputs)
        values = [self.operand(x) for x in inputs]
        types = [value.type for value in values]
        symbolic = {name: _map_sizes(value, as_size) for name, value in attrs.items()}
        concrete = {name: _map_sizes(value, self._at_hints) for name, value in symbolic.items()}
        with use_context(self.sizes):
            inferred = op.infer(types, symbolic)
        node = self.builder.emit(op, values, symbolic, types=inferred, location=location, path=self.module_path)
        with_grad = mode.grad
        result = self.regions.imagine(op, inputs, inferred, concrete) if self.regions.depth else None
        if result is None:
            raw = [self._at_hints(as_size(x)) for x in inputs]
            mode.grad, mode.tracer = False, None
            try:
                result = execute(op, raw, concrete)
            finally:
                mode.grad, mode.tracer = with_grad, self
        outputs = result if isinstance(result, tuple) else (result,)
        # What is imagined has no elements that Python could take.
        constant = (
            concrete == symbolic
            and not self.regions.depth
            and all(x._trace[2] if isinstance(x, TensorBase) else not isinstance(x, (SymInt, SizeExpr)) for x in inputs)
        )
        if not constant:
            self.unrecorded.note(node)
        for output, value in zip(outputs, node.outputs, strict=True):
            self._check(op, output, value)
            output._trace = (self, value, constant)
        if op is _RESHAPE and self._may_copy(inputs[0], values[0].type):
            source = inputs[0]
            self._perhaps_views.append(
                (weakref.ref(outputs[0]), weakref.ref(source if source._base is None else source._base))
            )
        if op.view and outputs[0]._base is not None:
            self._relink(outputs[0], inputs[0], op, symbolic)
        if with_grad and any(isinstance(x, TensorBase) and x._node is not None for x in inputs):
            record(op, inputs, symbolic, outputs, (types, inferred))
        return result

    def _may_copy(self, source: Any, type_: Any) -> bool:
        """Whether it depends on dynamic sizes if a reshape shares memory: with sizes of 0 and 1 every order of
        elements is contiguous, with others it may not be."""
        dynamic = [hint(size, self.hints) for size in type_.sizes if not isinstance(size, int)]
        if not dynamic:
            return False
        rearranged = any(op is None or op is not _RESHAPE for op, _ in source._chain)
        return not source._array.flags.c_contiguous or (rearranged and min(dynamic) < 2)

    def _relink(self, output: Any, source: Any, op: Op, attrs: Mapping[str, Any]) -> None:
        """A view's chain with symbolic attributes in place of the example's."""
        output._base, output._chain = None, ()
        link_view(output, source, op, attrs)

    def _check(self, op: Op, output: Any, value: Value) -> None:
        if not isinstance(value.type, TensorType):
            return
        self._bind_fresh(value.type, output)
        expected = tuple(hint(size, self.hints) for size in value.type.sizes)
        if expected != output._array.shape or value.type.dtype.np != output._array.dtype:
            raise VerifyError(
                f"{op.short}: its type rule and its kernel disagree",
                expected=f"{value.type} (sizes {list(expected)})",
                found=f"{output._array.dtype}{list(output._array.shape)}",
            )

    def _bind_fresh(self, type_: TensorType, output: Any) -> None:
        """Sizes that depend on the data are variables of their own; the run shows an example of them."""
        for size, actual in zip(type_.sizes, output._array.shape, strict=False):
            name = str(size)
            if isinstance(size, SizeExpr) and name not in self.hints and name in free_vars(size):
                self.set_hints({name: actual})
                self._data_sizes.add(name)

    def _at_hints(self, size: Any) -> Any:
        return evaluate(size, self.hints) if isinstance(size, SizeExpr) else size

    # ---------------------------------------------------------------------------------------------------- sizes

    def shape_of(self, tensor: Any) -> Shape:
        """A tensor's sizes, dynamic ones as `SymInt`."""
        if not self.is_traced(tensor):
            return Shape(tensor._array.shape)
        type_ = tensor._trace[1].type
        if not isinstance(type_, TensorType):
            return Shape(tensor._array.shape)
        return Shape(size if isinstance(size, int) else SymInt(size, self) for size in type_.sizes)

    def example_of(self, size: SymInt) -> int:
        """A dynamic size in the example."""
        return hint(size.__ingot_size__, self.hints)

    # --------------------------------------------------------------------------------------------------- ledger

    def note(self, kind: str, what: str, location: Location | None = None, value: str = "") -> None:
        """Write down what capture took from Python; `kind` is one of `ir.ledger.KINDS`."""
        self.ledger.add(kind, what, location or here(), value)

    def forget_notes(self, count: int) -> None:
        """Keep the first notes alone: the rest belong to an attempt that is given up."""
        self.ledger.forget(count)


def _owner(tensor: Any) -> Any:
    """The tensor that a view views; any other tensor itself."""
    return tensor if tensor._base is None else tensor._base


def _in_default_dtype(op: Op, inputs: Sequence[Any]) -> Sequence[Any]:
    """Operands with the cast written out that the default dtype stands for: types in a graph must not depend on what
    the default is where the graph is read."""
    places = [i for i, p in enumerate(op.schema.inputs) if p.name in op.promotes]
    tensors = [i for i in places if isinstance(inputs[i], TensorBase)]
    floats = op.promotion == "float" or any(isinstance(inputs[i], float) for i in places)
    if not floats or any(inputs[i]._array.dtype.kind in "fV" for i in tensors):
        return inputs
    found = list(inputs)
    for i in tensors:
        found[i] = EAGER.cast(inputs[i], dtype=get_default_dtype())
    return found


def _map_sizes(value: Any, change: Callable[[Any], Any]) -> Any:
    return tuple(change(item) for item in value) if isinstance(value, tuple) else change(value)
