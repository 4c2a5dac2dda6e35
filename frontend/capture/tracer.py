"""The tracer: runs a program once on example inputs and records every op as a node.

Ops are computed as usual, so the program sees real values; beside them each tensor carries, in `_trace`, the tracer,
the graph value that stands for it, and whether that depends on constants alone. Types are inferred from the graph
values, so dynamic sizes stay symbolic. A tensor that the program did not get as an input and did not compute is state
(a parameter, a buffer, an optimizer's momentum) or a constant.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from ..indexing import replay
from ..mode import mode
from ..random import default_generator
from ..sizes import Size as Shape
from ..storage import storage_of
from ..tape import record
from ..tensor_base import TensorBase, wrap
from .attributes import holds_tensors, tensors_in
from .gradients import Gradients
from .keys import Keys
from .ledger import CaptureLedger
from .regions import Regions
from .scalars import ScalarTracing
from .symbols import Symbol
from .symint import SymInt, as_size, hint

__all__ = ["Tracer"]

_RESHAPE: Final = lookup("reshape")  # the one view op that copies where it must


class Tracer(ScalarTracing):
    """One capture in progress.

    Args:
        name: the entry point's name.
        names: known state: the tensor's `id` to its name and the tensor itself.
        keys: the names that state has in other entry points of the program.
    """

    keeps_ledger = True  # whether what Python reads is written down

    def __init__(self, name: str, names: Mapping[int, tuple[str, Any]], keys: Keys | None = None) -> None:
        self.graph = Graph(name)
        self.builder = Builder(self.graph)
        self.names = names
        self.keys = Keys() if keys is None else keys
        self.hints: dict[str, int] = {}
        self.context = f"while tracing @{name}"
        self.sizes = AssumingContext(self.hints, self._assume)
        self.ledger = CaptureLedger(self)
        self.state: dict[str, tuple[Any, Value]] = {}
        self.path: list[str] = []
        self._anonymous: list[tuple[str, Any, Value]] = []
        self._shown: list[str] = []  # what tensors and run-time numbers were written as
        self._taken: list[tuple[Value, Location | None]] = []  # constants that became Python's, with the lines
        self.paths: dict[int, str] = {}  # how the program reaches tensors that are no known state, by their `id`
        self._over_numpy: dict[int, Any] = {}  # tensors that the run has made over NumPy's memory
        self.may_fix: frozenset[str] = frozenset()  # dynamic sizes that nobody has named, or that may be fixed anyway
        self._externals: dict[int, tuple[str, Any, Value]] = {}  # state and constants alike, by the tensor's id
        self._replaced: dict[int, Value] = {}  # what takes the place of such a tensor at the end
        self._perhaps_views: list[tuple[weakref.ref[Any], weakref.ref[Any]]] = []
        self._written: list[tuple[Any, Location | None]] = []
        self._grads = Gradients(self)
        self._constants: dict[Any, Value] = {}
        self._snapshots: dict[int, tuple[Any, np.ndarray, np.ndarray]] = {}  # tensor, its array, its elements
        self._touched: list[weakref.ref[Any]] = []  # what nobody holds any more shares no memory with anything
        self._paths: dict[int, str] = {}
        self._inputs: set[int] = set()  # the memory of the inputs, by `id`
        self._input_arrays: list[np.ndarray] = []  # so that no other memory gets these ids
        self.may_write_inputs = False
        self.refusal: CaptureError | None = None  # the first that was raised where user code may catch it
        self.input_writes: dict[int, Location | None] = {}  # the line that first changes an input, by its memory's `id`
        self._data_sizes: set[str] = set()  # variables that stand for sizes which the data decides
        self.frozen_ok: str | None = None
        self.regions = Regions(self)
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
        results = [self.value_of(x) for x in outputs]
        self._grads.settle()
        self._refuse_shared_memory()
        for key, tensor, value in self._anonymous:
            if key in self.keys.changed or self._at_end(tensor) is not value:
                self.state[key] = (tensor, value)
        self._refuse_taken()
        now = {key: self._at_end(tensor) for key, (tensor, _) in self.state.items()}
        updates = {key: value for key, value in now.items() if value is not self.state[key][1]}
        self.keys.changed |= updates.keys()
        self.graph.set_return(results, updates)
        self._freeze_constants()

    def _at_end(self, tensor: Any) -> Value:
        return self._replaced.get(id(tensor)) or self.value_of(tensor)

    def _freeze_constants(self) -> None:
        """Tensors of no known name that did not change are constants."""
        for key, tensor, value in self._anonymous:
            if key in self.state:
                continue
            if value.use_count:
                value.replace_uses(self.builder_at_start().constant(_frozen(tensor._array)))
            self.graph.remove_state(key)

    def take_constant(self, tensor: Any) -> None:
        """Note that Python takes a value out of a tensor that is constant as far as is known."""
        value = tensor._trace[1] if self.is_traced(tensor) else self._external(tensor)
        self._taken.append((value, here()))

    def _refuse_taken(self) -> None:
        """What Python took out of a tensor must not be state after all.

        Raises:
            CaptureError: when the program changes the tensor that a value came from.
        """
        changed = {value: key for key, _, value in self._anonymous if key in self.state}
        for taken, location in self._taken if changed else ():
            waiting, seen = [taken], {taken}
            while waiting:
                value = waiting.pop()
                if value in changed:
                    raise CaptureError(
                        "the program takes a number out of a tensor, to Python, and changes the tensor",
                        expected="a number that follows the tensor from call to call",
                        found=f"{changed[value]}, a tensor of the caller's that no name leads to",
                        location=location,
                        context=self.context,
                        advice="make it a buffer of a module, or a variable that the function uses by its name: then "
                        "item() stays in the program",
                    )
                new = [x for x in (value.node.inputs if value.node is not None else ()) if x not in seen]
                waiting += new
                seen.update(new)

    def replace(self, path: str, old: Any, new: Any, elsewhere: str = "") -> None:
        """Note that a name from outside, which stood for `old`, stands for `new` at the end of the run.

        Args:
            elsewhere: another name that stood for `old` and does not stand for `new` now.

        Raises:
            CaptureError: when the program has read the old tensor, and the new one cannot be the next call's.
        """
        if not isinstance(old, TensorBase) and holds_tensors(old):
            self._replace_container(path, old, new)
            return
        is_state = isinstance(old, TensorBase) and (self.has_read(old) or id(old) in self.names)
        if not is_state and isinstance(old, TensorBase) and isinstance(new, TensorBase):
            # Nothing in the program reads it, but who holds the program may: it is state when its type stays.
            if type_of(old._array) == self.value_of(new).type:
                self.names = {**self.names, id(old): (path, old)}
                is_state = True
        made_by = self.value_of(new).node if isinstance(new, TensorBase) else None
        location = None if made_by is None else made_by.location
        if is_state and self.has_read(old) and elsewhere:
            raise CaptureError(
                "the program replaces a tensor under one of its names, and not under another",
                expected="state with one name, or names that stay together",
                found=f"{path} and {elsewhere}, which stood for one tensor",
                location=location,
                context=self.context,
                advice="clone() the tensor where one name gets it from the other, or change it in place: copy_(...)",
            )
        if is_state and isinstance(new, TensorBase) and self.value_of(old).type == self.value_of(new).type:
            self.replace_at_end(old, new)
            return
        if is_state and self.has_read(old):
            raise CaptureError(
                f"the program reads the tensor {path} and puts another kind of value in its place",
                expected=f"a tensor of type {self.value_of(old).type}, for the next call to read",
                found=str(self.value_of(new).type) if isinstance(new, TensorBase) else repr(new),
                location=location,
                context=self.context,
                advice="take it as an argument and return the new value",
            )
        if isinstance(old, TensorBase) and id(old) in self.names:
            key = self.keys.claim(old, self.names[id(old)][0])
            self.keys.lost.setdefault(key, (path, self.graph.name, location))
        what = "a tensor" if isinstance(new, TensorBase) else repr(new)
        what = "a number that the run decides" if isinstance(new, (SymInt, Symbol)) else what
        self.ledger.add("state", f"{path} was set to {what}, which calls of the program do not do", location)

    def _replace_container(self, path: str, old: Any, new: Any) -> None:
        """Note that another list, dict or object stands where one with tensors stood.

        Raises:
            CaptureError: when the program has read these tensors.
        """
        before, now = list(tensors_in(old)), list(tensors_in(new))
        if [id(x) for x in before] == [id(x) for x in now]:
            return
        made_by = [self.value_of(x).node for x in now if self.is_traced(x)]
        location = next((node.location for node in made_by if node is not None), None)
        if any(self.has_read(x) for x in before):
            raise CaptureError(
                f"the program reads tensors in {path} and puts another {type(old).__name__} in its place",
                expected=f"the same {type(old).__name__} with other tensors in it, for the next call to read",
                location=location,
                context=self.context,
                advice="assign to its items or attributes instead, or change the tensors in place: copy_(...)",
            )
        what = f"{path} was set to another {type(old).__name__}, which calls of the program do not do"
        self.ledger.add("state", what, location)

    def _refuse_shared_memory(self) -> None:
        """What the program writes must not be the memory of a tensor that was captured on its own.

        Raises:
            CaptureError: when one is.
        """
        lines = {id(base): location for base, location in self._written}
        for group in _sharing([(key, tensor) for key, tensor, _ in self._externals.values()] if lines else []):
            written = [lines[id(tensor)] for _, tensor in group if id(tensor) in lines]
            if not written:
                continue
            raise CaptureError(
                "the program changes a tensor in place that shares its memory with other state",
                expected="memory that one tensor owns, and others view",
                found=" and ".join(repr(key) for key in sorted(key for key, _ in group)),
                location=written[0],
                context=self.context,
                advice="clone() one of them where it is made",
            )

    def builder_at_start(self) -> Builder:
        """A builder that puts nodes before all others."""
        from ...ir.insertion import InsertionPoint

        return Builder(self.graph, at=InsertionPoint.start(self.graph.block))

    def restore(self) -> None:
        """Undo what the run did to tensors that outlive it, and let go of them."""
        for tensor, own, elements in self._snapshots.values():
            tensor._array = own
            own[...] = elements
        self._grads.restore()
        for reference in self._touched:
            if (touched := reference()) is not None:
                touched._trace = None
        self._touched.clear()

    def state_arrays(self) -> dict[str, np.ndarray]:
        """Copies of the state's arrays as they were before the run."""
        found = {}
        for key, (tensor, _) in self.state.items():
            before = self._snapshots.get(id(tensor))
            found[key] = np.array(before[2] if before else tensor._array)
        return found

    def before_write(self, base: Any) -> None:
        """Keep a tensor's elements before the program changes them in place.

        Raises:
            CaptureError: when the tensor is one of the program's inputs.
        """
        if id(base._array) in self._inputs and not self.may_write_inputs:
            error = CaptureError(
                "the program changes one of its inputs in place",
                expected="a program that leaves its arguments as they are",
                found=f"a change of input '{self.value_of(base).name}'",
                location=here(),
                context=self.context,
                advice='clone() the argument first, or return the changed tensor; or trace with mutates="write_back", '
                'which changes the caller\'s tensor as well, or mutates="copy", which changes a copy',
            )
            self.refuse(error)
        if id(base._array) in self._inputs:
            self.input_writes.setdefault(id(base._array), here())
        if id(base) in self._over_numpy:
            raise CaptureError(
                "the program changes memory of NumPy's in place, through a tensor that it makes over it",
                expected="a tensor with memory of its own",
                location=here(),
                context=self.context,
                advice="ingot.tensor(array) copies the array; for state, make the tensor once, outside of the program",
            )
        self._refuse_uncertain_alias(base)
        self.value_of(base)
        self.regions.before_write(base)
        if id(base) in self._externals and id(base) not in self._snapshots:
            self._snapshots[id(base)] = (base, base._array, np.array(base._array))
            self._written.append((base, here()))

    def _refuse_uncertain_alias(self, base: Any) -> None:
        """A reshape that copies at some sizes and not at others must not be written through."""
        for view_ref, source_ref in self._perhaps_views:
            view, source = view_ref(), source_ref()
            if (
                view is None
                or source is None
                or (base is not source and base is not (view if view._base is None else view._base))
            ):
                continue
            raise CaptureError(
                "the program changes a reshaped tensor, or its origin, in place",
                expected="memory that is shared, or is not, at every size",
                found="whether the reshape copies depends on a dynamic size",
                location=here(),
                context=self.context,
                advice="clone() the reshaped tensor first",
            )

    def adopt(self, tensor: Any, trace: Any) -> None:
        """Let a tensor stand for another value from here on."""
        tensor._trace = trace
        self._touched.append(weakref.ref(tensor))

    def made(self, tensor: Any) -> None:
        """Note that the program makes a tensor of plain values: a constant, which is made anew by each call, and no
        state, whatever is written to it."""
        fixed = wrap(np.array(tensor._array))
        type_ = self._external(fixed).type
        # Inside of a branch or loop it belongs to the inside, where it can be changed.
        inside = self.regions.depth and isinstance(type_, TensorType)
        self.adopt(tensor, (EAGER.clone(fixed) if inside else fixed)._trace)

    def second_leaf(self, tensor: Any) -> dict[str, Any]:
        """The parts of a tensor on the same memory, cut off from the gradient, which follows changes of the first."""
        found = EAGER.detach(tensor)
        parts = dict(vars(found))
        storage_of(found._base).forget_views({id(found)})
        return parts

    def made_over(self, tensor: Any) -> None:
        """Note that the program makes a tensor over NumPy's memory."""
        self._over_numpy[id(tensor)] = tensor

    def is_external(self, tensor: Any) -> bool:
        """Whether the program neither got the tensor as an input nor made it, but found it."""
        self.value_of(tensor)
        return id(tensor) in self._externals

    def has_read(self, tensor: Any) -> bool:
        """Whether the program has found the tensor outside of it and used it."""
        return id(tensor) in self._externals

    @property
    def gradients(self) -> Gradients:
        """The `.grad` of tensors, as the run changes them."""
        return self._grads

    def add_state(self, key: str, tensor: Any) -> Value:
        """Make a tensor state of the program."""
        value = self.graph.add_state(key, type_of(tensor._array))
        self.state[key] = (tensor, value)
        self.adopt(tensor, (self, value, False))
        self._externals[id(tensor)] = (key, tensor, value)
        return value

    def drop_state(self, key: str) -> None:
        """Take back `add_state`, where nothing uses it."""
        del self.state[key]
        self.graph.remove_state(key)

    def key_of(self, tensor: Any) -> str:
        """The name of an external tensor."""
        return self._externals[id(tensor)][0]

    def replace_at_end(self, tensor: Any, new: Any) -> None:
        """The next call finds `new` where this one found `tensor`."""
        self._replaced[id(tensor)] = self.value_of(new)

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

    def is_known_state(self, tensor: Any) -> bool:
        """Whether a tensor was known for state before the run."""
        return id(tensor) in self.names

    def value_of(self, x: Any) -> Value:
        """The graph value that stands for an operand."""
        if isinstance(x, TensorBase):
            value = x._trace[1] if x._trace is not None and x._trace[0] is self else self._external(x)
            if self._unproven and value in self._unproven:
                self._unproven.pop(value)()
            if self.regions.sharing.lost:
                self.regions.sharing.refuse_use(value)
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

    def _external(self, tensor: Any) -> Value:
        if tensor._base is not None and id(tensor) not in self.names:
            view = replay(tensor._base, tensor._chain)
            self.value_of(view)
            self.adopt(tensor, view._trace)
            return view._trace[1]
        type_ = type_of(tensor._array)
        known = self.names.get(id(tensor))
        if known is None and tensor is default_generator._key:
            known = ("rng", tensor)
        key = (
            self.keys.claim(tensor, known[0])
            if known
            else self.keys.claim_anonymous(tensor, self.paths.get(id(tensor), ""))
        )
        value = self.graph.add_state(key, type_)
        self._externals[id(tensor)] = (key, tensor, value)
        if known:
            self.state[key] = (tensor, value)
        else:
            self._anonymous.append((key, tensor, value))
        self.adopt(tensor, (self, value, known is None and key not in self.keys.changed))
        return value

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
            f"{' and '.join(sorted(names))} may have any value, and the operation does not take all of them: an example "
            "of size 1 broadcasts, but other sizes do not; leave the dimension static, or give it bounds: Dim(max=1)"
        )

    def _apply(self, op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any], location: Location | None) -> Any:
        if any(isinstance(x, Symbol) for x in inputs):
            inputs = self.plain_operands(inputs, bool(op.promotes))
        if op.promotes and get_default_dtype() is not float32:
            inputs = _in_default_dtype(op, inputs)
        values = [self.value_of(x) for x in inputs]
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
        constant = concrete == symbolic and all(
            x._trace[2] if isinstance(x, TensorBase) else not isinstance(x, (SymInt, SizeExpr)) for x in inputs
        )
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


def _sharing(named: Sequence[tuple[str, Any]]) -> Iterator[list[tuple[str, Any]]]:
    """The groups of tensors whose memory overlaps, each tensor with its name."""
    spans = sorted(
        ((*_span(tensor._array), key, tensor) for key, tensor in named if tensor._array.size), key=lambda span: span[:2]
    )
    group: list[tuple[str, Any]] = []
    end = 0
    for low, high, key, tensor in spans:
        if group and low >= end:
            if len(group) > 1:
                yield group
            group = []
        group.append((key, tensor))
        end = max(end, high)
    if len(group) > 1:
        yield group


def _span(array: Any) -> tuple[int, int]:
    """Where an array's memory begins and ends."""
    if isinstance(array, np.ndarray):
        return np.lib.array_utils.byte_bounds(array)
    return array.data.ptr, array.data.ptr + array.nbytes


def _owner(tensor: Any) -> Any:
    """The tensor that a view views; any other tensor itself."""
    return tensor if tensor._base is None else tensor._base


def _frozen(array: np.ndarray) -> np.ndarray:
    found = np.array(array)
    found.setflags(write=False)
    return found


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
