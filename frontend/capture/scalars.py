"""Run-time numbers while a program is captured: how they leave tensors, and how relations of sizes are answered.

The tracer's part that `SymInt`, `SymFloat` and `SymBool` talk to. A number that the data decides stays in the graph:
`prim::Item` takes it out of a tensor, `prim::Bind` makes an integer a size variable, `prim::Assert` checks at run time
what a type rule had to take for granted about such a size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import Any, Final, NoReturn

import numpy as np

from ...ir.builder import Builder
from ...ir.dtypes import bool_, float64, int64
from ...ir.errors import CaptureError
from ...ir.graph import Assumption, Graph
from ...ir.locations import Location, here
from ...ir.node import Value
from ...ir.raised import BUILT_IN
from ...ir.sizes import (
    COMPARISONS,
    AssumingContext,
    Size,
    SizeExpr,
    SizeRelation,
    free_vars,
    use_context,
    var,
)
from ...ir.types import BOOL, FLOAT, INT
from ..dispatch import EAGER
from ..tensor_base import TensorBase, wrap
from .plain_values import show, shown_elements
from .structured import Leaves
from .symbols import Symbol, SymBool, SymFloat, unproven
from .symint import LateInt, SymInt, as_size, hint
from .texts import is_only_shown, who_writes

__all__ = ["ScalarTracing"]

_COMPARE: Final = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
# What a ledger calls the ways in which a tensor's elements become Python's.
_LEAVING: Final = {
    "item()": "item", "float()": "item", "int()": "item", "a list index or range()": "item", "tolist()": "tolist",
    "numpy()": "array", "np.asarray()": "array",
}  # fmt: skip
_SHOWN_ITEMS: Final = 64  # tolist() of more elements than this leaves the graph


class ScalarTracing(ABC):
    """What a tracer does about numbers. `Tracer` says what the attributes are."""

    graph: Graph
    builder: Builder
    hints: dict[str, int]
    sizes: AssumingContext
    context: str
    path: list[str]
    frozen_ok: str | None
    refusal: CaptureError | None
    has_ended: bool
    may_fix: frozenset[str]
    regions: Any
    _unproven: dict[Value, Callable[[], None]]
    _data_sizes: set[str]

    # -------------------------------------------------------------------------------------------- from tensors

    def item(self, tensor: Any) -> Any:
        """The single element of a tensor as a run-time number."""
        kind = tensor.dtype.kind
        single = EAGER.reshape(EAGER.detach(tensor) if kind == "float" else tensor, ())
        if kind == "bool":
            return SymBool(single, self)
        if kind == "float":
            return SymFloat(EAGER.cast(single, dtype=float64), self)
        return self.integer(single)

    def integer(self, tensor: Any) -> SymInt:
        """A tensor without dimensions as a run-time integer."""
        if tensor.dtype.kind in ("float", "bool"):
            tensor = EAGER.cast(tensor, dtype=int64)
        value = self.builder.emit("prim::Item", [self.value_of(tensor)], location=here(), path=self.module_path).output
        low = 0 if tensor.dtype.name.startswith("u") else None
        return self.bind("item", value, int(tensor._array) if not self.abstract else 1, low)

    def bind(self, name: str, value: Value, example: int, low: int | None = None, high: int | None = None) -> SymInt:
        """A run-time integer as a fresh size variable."""
        name = self.fresh_size(name, example)
        variable = var(name, low, high)
        self.builder.emit("prim::Bind", [value], {"variable": variable}, types=(), location=here())
        return SymInt(variable, self)

    def fresh_size(self, name: str, example: int) -> str:
        """A name for a size variable that the run decides."""
        found, number = name, 1
        while found in self.hints or found in self._data_sizes:  # an example may be taken away for a while
            found, number = f"{name}_{number}", number + 1
        self.set_hints({found: example})
        self._data_sizes.add(found)
        if self.regions.depth:
            self.regions.inner_sizes.add(found)
        return found

    def forget_sizes(self, names: Iterable[str]) -> None:
        """Let go of size variables that nothing mentions any more."""
        for name in names:
            del self.hints[name]
            self._data_sizes.discard(name)
            self.regions.inner_sizes.discard(name)

    def items(self, tensor: Any) -> Any:
        """The elements of a small tensor as nested lists of run-time numbers; None for a large one."""
        sizes = self.shape_of(tensor)
        if not all(isinstance(size, int) for size in sizes) or tensor._array.size > _SHOWN_ITEMS:
            return None
        return self._nested(tensor)

    def _nested(self, tensor: Any) -> Any:
        if tensor._array.ndim == 0:
            return self.item(tensor)
        return [self._nested(EAGER.select(tensor, 0, i)) for i in range(tensor._array.shape[0])]

    def add_scalar(self, name: str, value: Any, low: int | None = None, high: int | None = None) -> Any:
        """A run-time number among the program's inputs, as the program sees it; an integer may have bounds."""
        if isinstance(value, bool):
            given = self.graph.add_input(name, BOOL)
            return SymBool(self._converted(given, bool_, value), self)
        if isinstance(value, int):
            return self.bind(name, self.graph.add_input(name, INT), value, low, high)
        return SymFloat(self._converted(self.graph.add_input(name, FLOAT), float64, value), self)

    def _converted(self, given: Value, dtype: Any, example: Any) -> Any:
        found = wrap(np.asarray(example, dtype.np))
        self.adopt(found, (self, self.builder.emit("cast", [given], {"dtype": dtype}).output, False))
        return found

    # ------------------------------------------------------------------------------------------------ after loops

    def late(self, value: Any, condition: Any, undefined: Any) -> Any:
        """What a loop has assigned that had no value before it: to use it is to assume that the loop has run.

        Args:
            condition: whether it has.
            undefined: what the value is otherwise.
        """

        def prove() -> None:
            if (
                isinstance(condition, SymBool)
                and condition.relation is not None
                and not self.is_decided_by_data(condition)
            ):
                self.decide(*condition.relation)
                if not self.holds_in_example(*condition.relation):
                    undefined.refuse()
            elif condition is not True:
                message = f"'{undefined.name}' has no value: its loop had no iterations"
                self.require(condition, message, undefined.location, "UnboundLocalError")

        if isinstance(value, SymInt):
            return LateInt(as_size(value), self, prove)
        tensor = value.as_tensor() if isinstance(value, Symbol) else value
        self._unproven[self.value_of(tensor)] = prove
        return value

    def is_decided_by_data(self, condition: SymBool) -> bool:
        """Whether the data decide a relation of sizes."""
        return condition.relation is not None and self._decided_by_data(SizeRelation(*condition.relation))

    def is_late(self, value: Any) -> bool:
        """Whether something in a value comes from a loop that may not have run, and nothing has used it since."""
        return any(map(self._is_late, Leaves(value).leaves))

    def _is_late(self, value: Any) -> bool:
        if isinstance(value, LateInt):
            return value._prove is not None
        tensor = value.as_tensor() if isinstance(value, Symbol) else value
        if not self._unproven or not isinstance(tensor, TensorBase) or tensor._trace is None:
            return False
        return tensor._trace[1] in self._unproven

    # -------------------------------------------------------------------------------------------- as operands

    def plain_operands(self, inputs: Any, promotes: bool) -> list[Any]:
        """Operands with run-time floats and truth values as tensors; a float gives way to the tensors' dtype."""
        tensors = [x for x in inputs if hasattr(x, "_array")]
        found = list(inputs)
        for i, x in enumerate(inputs):
            if isinstance(x, Symbol):
                found[i] = x.as_tensor()
                if isinstance(x, SymFloat) and promotes:
                    found[i] = self._weak(found[i], tensors)
        return found

    def _weak(self, tensor: Any, others: list[Any]) -> Any:
        from ...ir.dtypes import get_default_dtype, promote

        if not others:
            return tensor
        wanted = None
        for other in others:
            if other.dtype.is_floating_point:
                wanted = other.dtype if wanted is None else promote(wanted, other.dtype)
        wanted = wanted or get_default_dtype()
        return tensor if wanted is tensor.dtype else EAGER.cast(tensor, dtype=wanted)

    def call(self, op: str, *operands: Any, **attrs: Any) -> Any:
        """An op on tensors and numbers, by name."""
        return getattr(EAGER, op)(*operands, **attrs)

    def float_of(self, size: SymInt) -> Any:
        """A run-time integer as a float64 tensor without dimensions."""
        return EAGER.cast(size, dtype=float64)

    # ------------------------------------------------------------------------------------------------ decisions

    def known(self, op: str, a: Size, b: Size) -> bool | None:
        """A relation of sizes as far as bounds and what is assumed already settle it."""
        with use_context(self.sizes):
            return self.sizes.known(op, a, b)

    def holds_in_example(self, op: str, a: Size, b: Size) -> bool:
        """A relation of sizes in the example."""
        return COMPARISONS[op](hint(a, self.hints), hint(b, self.hints))

    def decide(self, op: str, a: Size, b: Size) -> bool:
        """Let Python take the example's side of a relation of sizes.

        Raises:
            CaptureError: when the data decide it.
        """
        known = self.known(op, a, b)
        if known is not None:
            return known
        relation = SizeRelation(op, a, b)
        if self._decided_by_data(relation) and not self._frozen_branch(str(relation)):
            self.refuse(unproven(f"{relation}, which the data decide", self.context))
        return bool(self.sizes.ask(op, a, b))

    def _decided_by_data(self, relation: SizeRelation) -> bool:
        return bool(relation.free_vars & self._data_sizes)

    def refuse_branch(self, tensor: Any) -> None:
        """Python decides by a tensor's value.

        Raises:
            CaptureError: unless the tensor is constant, or the user has said that it may be frozen.
        """
        if not self.varies(tensor):
            self.take_constant(tensor)
        elif not self._frozen_branch("bool() of a tensor"):
            what = "bool() of a tensor that depends on the program's inputs or state"
            if _by_sizes_alone(self.value_of(tensor)):
                what = "bool() of a float that dynamic sizes decide: compare whole numbers, n > 2 * k for n / k > 2"
            self.refuse(unproven(what, self.context))

    def refuse(self, error: CaptureError) -> NoReturn:
        """Raise an error that must not be caught by the user's code: a capture that goes on after it would be of
        another path than the one that the function takes."""
        self.refusal = self.refusal or error
        raise error

    def refuse_caught(self) -> None:
        """At the end of the run: a refusal that the user's code has caught stands.

        Raises:
            CaptureError: the first of them.
        """
        self.has_ended = True
        if self.refusal is not None:
            raise self.refusal

    def _frozen_branch(self, what: str) -> bool:
        if self.frozen_ok is None or self.abstract:
            return False
        self.note("value", f"{what} was decided by the example: {self.frozen_ok or 'frozen_ok'}")
        return True

    def shown(self, text: str, caller: FrameType) -> str:
        """Note what a value that varies is written as; gives the text.

        Args:
            caller: what has asked for it.

        Raises:
            CaptureError: when the text is used, and not only shown to people.
        """
        frame = who_writes(caller)
        if frame is not None and is_only_shown(frame):
            text = "?" if self.abstract else text  # on a side of a branch, nothing has been computed
            self.note("text", "elements of a tensor, of which the capture shows the example's", here(), show(text))
        elif frame is not None:
            self._refuse_text(text)
        return text

    def _refuse_text(self, text: str) -> None:
        """A text of what varies is used: it would be that of the example in every call.

        Raises:
            CaptureError: unless the user has said that it may be frozen.
        """
        if self.frozen_ok is not None and not self.abstract:
            self.note("value", "a text of a tensor's elements", here(), show(text))
            return
        error = CaptureError(
            "a text is made of a tensor's elements, and would be the same in every call",
            expected="a text that is printed, logged, or the message of an exception",
            found=show(text),
            location=here(),
            context=self.context,
            advice="use the number, and write the text outside of the captured function; or freeze it: "
            "with ingot.jit.frozen_ok(): ...",
        )
        self.refuse(error)

    def relation_tensor(self, op: str, a: Size, b: Size) -> Any:
        """A relation of sizes as a bool tensor."""
        left, right = (SymInt(x, self) if isinstance(x, SizeExpr) else x for x in (a, b))
        if isinstance(left, int):
            left, right, op = right, left, {"<": ">", ">": "<", "<=": ">=", ">=": "<="}.get(op, op)
        return self.call(_COMPARE[op], left, right)

    def require(self, condition: Any, message: str, location: Location | None, error: str = "AssertionError") -> None:
        """Check at run time that a tensor without dimensions is true.

        Args:
            error: the built-in exception that the program raises where it is not.
        """
        condition = condition.as_tensor() if isinstance(condition, Symbol) else condition
        if not self.varies(condition) and not self.abstract:
            if bool(condition._array):
                return
            raise BUILT_IN[error](message)
        self.builder.emit(
            "prim::Assert",
            [self.value_of(condition)],
            {"message": message, "error": error},
            types=(),
            location=location,
            path=self.module_path,
        )

    # ---------------------------------------------------------------------------------------------- assumptions

    def _assume(self, relation: SizeRelation) -> None:
        """A question of a type rule was answered by the example: see to it that the answer is checked."""
        location = here()
        by_data = self._decided_by_data(relation)
        if by_data and relation.op == "==" and not (free_vars(relation.left) and free_vars(relation.right)):
            raise CaptureError(
                "the program depends on a size that the data decides",
                expected="a program that is the same for every such size",
                found=f"{relation} cannot be known before the run",
                location=location,
                context=self.context,
                advice="use a mask of the full size with ingot.where(...) instead of picking elements, or let the size "
                "that it has to equal be dynamic",
            )
        if by_data or self.regions.conditional:
            self.sizes.add(relation)
            found = self.relation_tensor(relation.op, relation.left, relation.right)
            self.require(found, f"captured for {relation}", location, "RuntimeError")
            return
        if any(assumption.relation == relation for assumption in self.graph.assumptions):
            return
        self.graph.assumptions.append(Assumption(relation, location))
        self.note("assumption", f"traced assuming {relation.plainer()}", location)

    def taken_to_be_equal(self, a: Size, b: Size) -> bool:
        """Whether two sizes are equal in the example, and nobody has said that they vary: they are taken to be equal
        then, from here on."""
        simple = all(isinstance(size, int) or free_vars(size) == {str(size)} for size in (a, b))
        names = {name for size in (a, b) if isinstance(size, SizeExpr) for name in free_vars(size)}
        if not simple or not names <= self.may_fix or hint(a, self.hints) != hint(b, self.hints):
            return False
        self._assume(SizeRelation("==", *((b, a) if isinstance(a, int) else (a, b))))
        return True

    def fix(self, size: SymInt, why: str) -> int:
        """A dynamic size as the plain integer it has in the example, from here on an assumption.

        Raises:
            CaptureError: when the data decide it.
        """
        expression = as_size(size)
        value = hint(expression, self.hints)
        with use_context(self.sizes):
            if self.sizes.known("==", expression, value) is True:
                return value
            names = free_vars(expression) & self._data_sizes
            if names and (self.frozen_ok is None or self.abstract):
                error = CaptureError(
                    "a number that the data decides is taken as a plain Python integer",
                    expected="a program that is the same for every such number",
                    found=why,
                    location=here(),
                    context=self.context,
                    advice="keep it in the program: index with tensors, loop over range(n) in a function under "
                    "@ingot.jit.script; or freeze it: with ingot.jit.frozen_ok(): ...",
                )
                self.refuse(error)
            if names:
                self.note("value", f"{expression} was frozen to {value}: {why}")
                return value
            self.note("size", f"{expression} was fixed to {value}: {why}")
            self.sizes.ask("==", expression, value)
        return value

    # ------------------------------------------------------------------------------------------- leaving the graph

    def leaves_graph(self, tensor: Any, how: str) -> None:
        """A tensor's value goes to Python, where the graph cannot follow.

        Raises:
            CaptureError: unless it is constant, or the user has said that it may be frozen.
        """
        if not self.varies(tensor):
            self.take_constant(tensor)
            return
        if self.frozen_ok is None or self.abstract:
            stays = "item(), and math.floor() of it, stay" if how == "int()" else "item() stays"
            error = CaptureError(
                f"{how} takes a tensor's value out of the program, to Python, where it is frozen",
                expected="a program that computes with tensors, or with numbers from item()",
                found=f"a tensor that depends on the program's inputs or state: {how}",
                location=here(),
                context=self.context,
                advice=f"{stays} in the program; where the number does not shape the result, or may be frozen: "
                "with ingot.jit.frozen_ok(): ...",
            )
            self.refuse(error)
        what = f"{how} took a tensor's value out of the graph; what Python made of it is frozen"
        self.note(_LEAVING.get(how, "value"), what, value=shown_elements(tensor))

    # What the tracer provides.

    @abstractmethod
    def value_of(self, x: Any) -> Value:
        """The graph value that stands for an operand."""

    @abstractmethod
    def varies(self, tensor: Any) -> bool:
        """Whether a tensor's value depends on the program's inputs or state, and not on constants alone."""

    @abstractmethod
    def take_constant(self, tensor: Any) -> None:
        """Python takes the value of a tensor that is constant."""

    @abstractmethod
    def adopt(self, tensor: Any, trace: Any) -> None:
        """Let a tensor stand for another value from here on."""

    @abstractmethod
    def shape_of(self, tensor: Any) -> Any:
        """A tensor's sizes, dynamic ones as `SymInt`."""

    @abstractmethod
    def set_hints(self, hints: Mapping[str, int]) -> None:
        """Example values of the size variables."""

    @abstractmethod
    def note(self, kind: str, what: str, location: Location | None = None, value: str = "") -> None:
        """Write down what capture took from Python."""

    @property
    @abstractmethod
    def module_path(self) -> str:
        """The module whose code runs."""

    @property
    def abstract(self) -> bool:
        """Whether nothing is computed: the place may not be reached, or many times."""
        return bool(self.regions.depth)


def _by_sizes_alone(value: Value) -> bool:
    """Whether nothing but dynamic sizes decides a value."""
    waiting, seen = [value], {value}
    while waiting:
        node = waiting.pop().node
        if node is None:
            return False
        if node.op.name in ("prim::Size", "prim::Constant"):
            continue
        if node.blocks:
            return False
        waiting += [x for x in node.inputs if x not in seen]
        seen.update(node.inputs)
    return True
