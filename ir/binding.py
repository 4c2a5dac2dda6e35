"""Binding: what the size variables of a graph are for given inputs, and whether those inputs fit the graph.

What lives here: the checks that every call begins with (number, rank, dtype, sizes, bounds, assumptions), and a
size expression as Python source. A graph's checks are compiled to one Python function of plain comparisons; what
is wrong with inputs that fail it is worked out afterwards, at leisure.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from .dtypes import DType
from .errors import ArgumentError, DTypeError, IngotError, ShapeError
from .graph import Graph, Value
from .sizes import Size, SizeExpr, bounds, evaluate, free_vars, solve, substitute
from .types import BOOL, FLOAT, INT, KeyType, ScalarType, TensorType, Type

__all__ = ["UNUSUAL", "SizeBinder", "bind_sizes", "python_size", "solve_sizes"]

UNUSUAL: Final = (AttributeError, TypeError, ValueError, ZeroDivisionError)
"""What the compiled checks raise at inputs that are no arrays, too few, or of sizes that a division does not take."""

_NAME: Final = re.compile(r"[A-Za-z_]\w*")
_FUNCTIONS: Final = {"min": "min", "max": "max"}


def python_size(size: Size, names: Mapping[str, str]) -> str:
    """A size as a Python expression over other names for its variables.

    Raises:
        KeyError: for a variable without a name.

    >>> from .sizes import var
    >>> python_size((var("H") - 3)//2 + 1, {"H": "s0"})
    '(s0 - 3)//2 + 1'
    """
    if isinstance(size, int):
        return str(size)
    return _NAME.sub(lambda found: _FUNCTIONS.get(found[0]) or names[found[0]], str(size))


def solve_sizes(type_: Type, shape: Sequence[int], bindings: dict[str, int]) -> None:
    """Add to `bindings` the variables of a tensor type that a run-time shape determines.

    >>> from . import dtypes, sizes
    >>> found = {}
    >>> solve_sizes(TensorType(dtypes.float32, (sizes.var("B"), 2*sizes.var("H"))), (4, 6), found)
    >>> found
    {'B': 4, 'H': 3}
    """
    if not isinstance(type_, TensorType):
        return
    for size, value in zip(type_.sizes, shape, strict=True):
        if isinstance(size, int) or free_vars(size) <= bindings.keys():
            continue
        if found := solve(substitute(size, bindings), value):
            bindings.setdefault(*found)


class SizeBinder:
    """The checks of one graph, compiled. Call it with inputs; it gives the values of the size variables.

    The graph's inputs, state and assumptions must not change afterwards.

    Attributes:
        names: the size variables.
        quick: the compiled checks: from inputs to the variables' values, or to None, or to one of the errors `UNUSUAL`,
            where something does not fit or is out of the ordinary. A call of the binder says what.
    """

    __slots__ = ("_assumptions", "_bounds", "_inputs", "_name", "_state", "names", "quick")

    def __init__(self, graph: Graph) -> None:
        self._name = graph.name
        self._inputs = [(value.name, value.type) for value in graph.inputs]
        self._state = {key: value.type for key, value in graph.state.items()}
        self._assumptions = tuple(graph.assumptions)
        variables = graph.sizes
        self.names = tuple(variables)
        self._bounds = {name: bounds(variable) for name, variable in variables.items()}
        self.quick = _compile(graph, self._bounds)

    def __call__(self, inputs: Sequence[Any], state: Mapping[str, Any] | None = None) -> dict[str, int]:
        """The size variables' values.

        Args:
            inputs: one array, number or key for each input of the graph.
            state: arrays by key; needed only where the state's sizes name variables that no input has.

        Raises:
            ArgumentError: for a wrong number of inputs, or an input of another kind.
            ShapeError: for a wrong rank or size, a size out of bounds, or a broken assumption.
            DTypeError: for a wrong dtype.
        """
        try:
            found: dict[str, int] | None = self.quick(inputs)
        except UNUSUAL:
            found = None
        return self._careful(inputs, state or {}) if found is None else found

    def _careful(self, inputs: Sequence[Any], state: Mapping[str, Any]) -> dict[str, int]:
        if len(inputs) != len(self._inputs):
            names = ", ".join(name for name, _ in self._inputs)
            raise ArgumentError(
                f"@{self._name} takes {len(self._inputs)} inputs, not {len(inputs)}", expected=f"({names})"
            )
        given = [(f"input {name}", type_, x) for (name, type_), x in zip(self._inputs, inputs, strict=True)]
        given += [(f"state {key!r}", self._state[key], x) for key, x in state.items() if key in self._state]
        for name, type_, value in given:
            self._check_kind(name, type_, value)
        bindings = self._solve([(name, type_, value.shape) for name, type_, value in given if _tensor(type_)])
        self._check_bounds(bindings)
        self._check_assumptions(bindings)
        return bindings

    def _check_kind(self, name: str, type_: Type, value: Any) -> None:
        """Rank and dtype of a tensor, the kind of anything else."""
        if isinstance(type_, ScalarType):
            if not isinstance(value, _PYTHON[type_]) or (type_ is not BOOL and isinstance(value, bool)):
                raise ArgumentError(f"@{self._name}: {name} is {value!r}", expected=f"a number of type {type_}")
            return
        if not isinstance(type_, (TensorType, KeyType)):
            return
        if not hasattr(value, "shape") or not hasattr(value, "dtype"):
            raise ArgumentError(
                f"@{self._name}: {name} is of type {type(value).__name__}", expected=f"an array: {type_}"
            )
        if isinstance(type_, KeyType):
            if value.dtype != np.uint64 or tuple(value.shape) != (2,):
                raise ArgumentError(f"@{self._name}: {name} is not a key", expected="uint64[2]", found=_shown(value))
            return
        if value.dtype != type_.dtype.np:
            raise DTypeError(
                f"@{self._name}: {name} is {value.dtype}, not {type_.dtype.name}",
                expected=str(type_),
                found=_shown(value),
                advice=f"cast it to {type_.dtype.name} first",
            )
        if len(value.shape) != len(type_.sizes):
            raise ShapeError(
                f"@{self._name}: {name} has {len(value.shape)} dimensions, not {len(type_.sizes)}",
                expected=str(type_),
                found=_shown(value),
            )

    def _solve(self, tensors: Sequence[tuple[str, Type, Sequence[int]]]) -> dict[str, int]:
        """Every variable's value; then every size must be what those make of it."""
        bindings: dict[str, int] = {}
        sources: dict[str, str] = {}
        known = -1
        while known != len(bindings):
            known = len(bindings)
            for name, type_, shape in tensors:
                solve_sizes(type_, shape, bindings)
                for variable in list(bindings)[len(sources) :]:
                    sources[variable] = name
        for name, type_, shape in tensors:
            assert isinstance(type_, TensorType)
            for dim, (size, found) in enumerate(zip(type_.sizes, shape, strict=True)):
                self._check_size(name, type_, dim, size, found, bindings, sources)
        return bindings

    def _check_size(
        self,
        name: str,
        type_: TensorType,
        dim: int,
        size: Size,
        found: int,
        bindings: Mapping[str, int],
        sources: Mapping[str, str],
    ) -> None:
        names = sorted(free_vars(size))
        if any(variable not in bindings for variable in names):
            raise ShapeError(
                f"@{self._name}: {name} has a size that does not fit at dimension {dim}",
                expected=f"{size}, in {type_}",
                found=str(found),
            )
        wanted = evaluate(size, bindings)
        if wanted != found:
            bound = ", ".join(f"{v} = {bindings[v]} by {sources[v]}" for v in names)
            expected = str(size) if str(size) == str(wanted) else f"{size} = {wanted}"
            raise ShapeError(
                f"@{self._name}: {name} has another size at dimension {dim}",
                expected=f"{expected}, in {type_}" + (f" ({bound})" if bound else ""),
                found=str(found),
            )

    def _check_bounds(self, bindings: Mapping[str, int]) -> None:
        for variable, (lo, hi) in self._bounds.items():
            value = bindings.get(variable)
            if value is not None and ((lo is not None and value < lo) or (hi is not None and value > hi)):
                limits = " and ".join(
                    f"{variable} {op} {limit}" for op, limit in ((">=", lo), ("<=", hi)) if limit is not None
                )
                where = next(
                    (f"input {name}: {type_}" for name, type_ in self._inputs if variable in _variables(type_)), ""
                )
                raise ShapeError(
                    f"@{self._name}: size {variable} is out of its bounds",
                    expected=limits,
                    found=f"{variable} = {value}",
                    notes=(where,) if where else (),
                )

    def _check_assumptions(self, bindings: Mapping[str, int]) -> None:
        for assumption in self._assumptions:
            relation = assumption.relation
            # Assumptions about sizes that appear only later, in the middle of the graph, are checked there.
            if not relation.free_vars <= bindings.keys() or relation.holds(bindings):
                continue
            said = relation.plainer()
            at = f" at {assumption.location}" if assumption.location else ""
            values = ", ".join(f"{v} = {bindings[v]}" for v in sorted(relation.free_vars))
            raise ShapeError(
                f"@{self._name}: traced assuming {said}{at}; got {values}",
                expected=str(said),
                found=values,
                location=assumption.location,
                advice="trace again with an example of these sizes, or leave the size out of the condition",
            )


_PYTHON: Final[dict[ScalarType, Any]] = {
    INT: (int, np.integer),
    FLOAT: (int, float, np.integer, np.floating),
    BOOL: (bool, np.bool_),
}


def _tensor(type_: Type) -> bool:
    return isinstance(type_, TensorType)


def _variables(type_: Type) -> frozenset[str]:
    sizes = type_.sizes if isinstance(type_, TensorType) else ()
    return frozenset[str]().union(*(free_vars(size) for size in sizes))


def _shown(value: Any) -> str:
    try:
        return str(TensorType(DType.of(value.dtype), tuple(value.shape)))
    except IngotError:
        return f"{value.dtype}[{', '.join(map(str, value.shape))}]"


# ------------------------------------------------------------------------------------------------ the compiled checks


def _compile(graph: Graph, limits: Mapping[str, tuple[int | None, int | None]]) -> Callable[[Sequence[Any]], Any]:
    """A function from inputs to bindings, or to None where something does not fit or is out of the ordinary."""
    writer = _Checks(limits)
    inputs = graph.inputs
    writer.lines.append(f"    ({''.join(f'x{i}, ' for i in range(len(inputs)))}) = inputs")
    for i, value in enumerate(inputs):
        writer.kind(i, value)
    for i, value in enumerate(inputs):
        writer.sizes(i, value.type)
    if not writer.finish([a.relation for a in graph.assumptions], tuple(graph.sizes)):
        return lambda inputs: None
    namespace = writer.constants
    exec(compile("\n".join(["def bind(inputs):", *writer.lines]), "<size checks>", "exec"), namespace)
    found: Callable[[Sequence[Any]], Any] = namespace["bind"]
    return found


class _Checks:
    """Writes the source of the compiled checks. Names are our own; only numbers and operators come from sizes."""

    def __init__(self, limits: Mapping[str, tuple[int | None, int | None]]) -> None:
        self.limits = limits
        self.lines: list[str] = []
        self.constants: dict[str, Any] = {}
        self.variables: dict[str, str] = {}
        self.pending: list[tuple[str, SizeExpr]] = []

    def refuse_if(self, condition: str) -> None:
        self.lines.append(f"    if {condition}: return None")

    def kind(self, i: int, value: Value) -> None:
        type_ = value.type
        if isinstance(type_, ScalarType):
            self.refuse_if(f"type(x{i}) is not {type_.name}")
        elif isinstance(type_, TensorType):
            self.constants[f"d{i}"] = type_.dtype.np
            self.lines.append(f"    a{i} = x{i}.shape")
            self.refuse_if(f"x{i}.dtype is not d{i} or len(a{i}) != {len(type_.sizes)}")
        elif isinstance(type_, KeyType):
            self.refuse_if(f"x{i}.shape != (2,) or x{i}.dtype != 'uint64'")

    def sizes(self, i: int, type_: Type) -> None:
        for dim, size in enumerate(type_.sizes if isinstance(type_, TensorType) else ()):
            at = f"a{i}[{dim}]"
            if isinstance(size, int):
                self.refuse_if(f"{at} != {size}")
                continue
            name = str(size)
            if _NAME.fullmatch(name) and name not in self.variables:
                self.variables[name] = f"n{len(self.variables)}"
                self.lines.append(f"    {self.variables[name]} = {at}")
                self.bounds(name)
            else:
                self.pending.append((at, size))

    def bounds(self, name: str) -> None:
        lo, hi = self.limits[name]
        if lo is not None and lo > 0:
            self.refuse_if(f"{self.variables[name]} < {lo}")
        if hi is not None:
            self.refuse_if(f"{self.variables[name]} > {hi}")

    def finish(self, relations: Sequence[Any], names: tuple[str, ...]) -> bool:
        """Whether the checks are complete: every variable stands alone as some size."""
        if any(name not in self.variables for name in names):
            return False
        for at, size in self.pending:
            self.refuse_if(f"{at} != {python_size(size, self.variables)}")
        for relation in relations:
            if relation.free_vars <= self.variables.keys():
                left, right = (python_size(side, self.variables) for side in (relation.left, relation.right))
                self.refuse_if(f"not ({left} {relation.op} {right})")
        self.constants["k"] = names
        entries = ", ".join(f"k[{i}]: {self.variables[name]}" for i, name in enumerate(names))
        self.lines.append(f"    return {{{entries}}}")
        return True


_binders: dict[int, tuple[Any, Any, SizeBinder]] = {}


def bind_sizes(graph: Graph, inputs: Sequence[Any], state: Mapping[str, Any] | None = None) -> dict[str, int]:
    """The values that inputs give to a graph's size variables, after all checks; see `SizeBinder`.

    The compiled checks are kept with the graph, and made anew when its parameters or assumptions have changed.

    >>> from .dtypes import float32
    >>> from .sizes import var
    >>> graph = Graph("double")
    >>> x = graph.add_input("x", TensorType(float32, (var("B"), 2)))
    >>> bind_sizes(graph, [np.ones((3, 2), np.float32)])
    {'B': 3}
    """
    key = id(graph)
    # Values would keep the graph alive; types do not.
    facts = (len(graph.assumptions), len(graph.inputs), [value.type for value in graph.block.params])
    known = _binders.get(key)
    if known is None or known[1] != facts:
        known = _binders[key] = weakref.ref(graph, lambda _: _binders.pop(key, None)), facts, SizeBinder(graph)
    return known[2](inputs, state)
