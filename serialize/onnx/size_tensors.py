"""Size expressions as ONNX tensors.

A size that is known is a constant. Another one is computed from the shapes of the values that bind its variables, once
for the whole model, in the outermost scope where they are visible.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...ir.errors import ExportError
from ...ir.sizes import Atom, Size, SizeExpr, bounds, decide, free_vars
from .values import OnnxValue, Scope

if TYPE_CHECKING:
    from .algebra import OnnxAlgebra

__all__ = ["SizeTensors"]


@dataclass(frozen=True, slots=True)
class _Dimension:
    """A variable n is bound by a dimension of a value: the dimension's size is `factor*n + offset`."""

    value: OnnxValue
    axis: int
    factor: int = 1
    offset: int = 0

    @property
    def is_plain(self) -> bool:
        return self.factor == 1 and not self.offset


class SizeTensors:
    """Writes size expressions into the graph of an algebra."""

    def __init__(self, algebra: OnnxAlgebra) -> None:
        self._E = algebra
        self._computed: dict[tuple[Scope, Size], OnnxValue] = {}

    # ---------------------------------------------------------------------------------------- where variables come from

    def bind_shapes(self, values: Sequence[OnnxValue]) -> None:
        """Let the variables in the values' sizes that nothing binds as yet be bound by them: first those that are a
        size by themselves, then those in linear expressions."""
        for linear in (False, True):
            for value in values:
                for axis, size in enumerate(value.known_shape or ()):
                    if isinstance(size, SizeExpr):
                        self._bind_size(value, axis, size, linear)

    def _bind_size(self, value: OnnxValue, axis: int, size: SizeExpr, linear: bool) -> None:
        terms = size.terms
        factor, atoms = terms[0]
        if len(atoms) != 1 or atoms[0].op != "var" or self._find(atoms[0]) is not None:
            return
        offset = 0
        if len(terms) == 2 and not terms[1][1]:
            offset = terms[1][0]
        elif len(terms) != 1:
            return
        if linear or (factor == 1 and not offset):
            self._bind(atoms[0], _Dimension(value, axis, factor, offset))

    def bind(self, name: str, value: OnnxValue | int) -> None:
        """Let a variable be a number, or what an integer tensor without dimensions holds."""
        self._bind(name, value)

    def _bind(self, name: str, source: Any) -> None:
        self._E.scope.sizes.setdefault(str(name), source)

    def _find(self, name: str) -> tuple[Scope, Any] | None:
        for scope in self._E.scope.outward():
            if (found := scope.sizes.get(str(name))) is not None:
                return scope, found
        return None

    # ---------------------------------------------------------------------------------------------- what is asked for

    def scalar(self, size: Size) -> OnnxValue:
        """A size as a tensor of int64 without dimensions."""
        if isinstance(size, int):
            return self._E.constant(np.array(size, np.int64))
        source = self._find(str(size))
        if source is not None and isinstance(source[1], OnnxValue):
            return source[1]
        found: OnnxValue = self._E.Squeeze(self.element(size), _ZERO)
        return found

    def vector(self, sizes: Sequence[Size]) -> OnnxValue:
        """Sizes as a vector of int64."""
        pieces: list[OnnxValue] = []
        for run in self._runs(sizes):
            if isinstance(run[0], SizeExpr):
                pieces.append(self._dimensions(run) if len(run) > 1 else self.element(run[0]))
            else:
                pieces.append(self._E.constant(np.array(run, np.int64)))
        if not pieces:
            return self._E.constant(np.zeros(0, np.int64))
        found: OnnxValue = pieces[0] if len(pieces) == 1 else self._E.Concat(*pieces, axis=0)
        return found

    def _runs(self, sizes: Sequence[Size]) -> Iterator[list[Size]]:
        """The sizes cut into runs of numbers, runs of neighbouring dimensions of one value, and single expressions."""
        run: list[Size] = []
        for size in sizes:
            if run and not self._continues(run[-1], size):
                yield run
                run = []
            run.append(size)
        if run:
            yield run

    def _continues(self, last: Size, size: Size) -> bool:
        if isinstance(last, int) or isinstance(size, int):
            return isinstance(last, int) and isinstance(size, int)
        a, b = self._find(str(last)), self._find(str(size))
        if a is None or b is None or not isinstance(a[1], _Dimension) or not isinstance(b[1], _Dimension):
            return False
        return a[1].value is b[1].value and b[1].axis == a[1].axis + 1 and a[1].is_plain and b[1].is_plain

    def _dimensions(self, run: Sequence[Size]) -> OnnxValue:
        first, last = self._find(str(run[0])), self._find(str(run[-1]))
        assert first is not None and last is not None
        with self._E.inside(first[0]), self._E.at("sizes", ", ".join(map(str, run))):
            found: OnnxValue = self._E.Shape(first[1].value, start=first[1].axis, end=last[1].axis + 1)
        return found

    def element(self, size: Size) -> OnnxValue:
        """A size as a vector of one element.

        Raises:
            ExportError: when a variable in it is bound by nothing that the ONNX graph can see.
        """
        if isinstance(size, int):
            return self._E.constant(np.array([size], np.int64))
        scope = self._scope_of(size)
        found = self._computed.get((scope, size))
        if found is None:
            with self._E.inside(scope), self._E.at("sizes", str(size)):
                found = self._computed[scope, size] = self._sum(size)
        return found

    def _scope_of(self, size: SizeExpr) -> Scope:
        """The outermost scope in which all variables of a size are bound."""
        best = self._E.top
        for name in free_vars(size):
            source = self._find(name)
            if source is None:
                raise ExportError(f"the ONNX graph has nothing that tells the size {name}", found=str(size))
            best = source[0] if source[0].depth > best.depth else best
        return best

    # ------------------------------------------------------------------------------------------------- computing them

    def _sum(self, size: SizeExpr) -> OnnxValue:
        total: Any = None
        for factor, atoms in sorted(size.terms, key=lambda term: term[0] < 0):
            term = self._product(factor if total is None else abs(factor), atoms)
            if total is None:
                total = term
            else:
                total = self._E.Sub(total, term) if factor < 0 else self._E.Add(total, term)
        return total

    def _product(self, factor: int, atoms: Sequence[Atom]) -> OnnxValue:
        found: Any = None if factor == 1 and atoms else self.element(factor)
        for atom in atoms:
            value = self._atom(atom)
            found = value if found is None else self._E.Mul(value, found)
        return found

    def _atom(self, atom: Atom) -> OnnxValue:
        if atom.op == "var":
            return self._variable(atom)
        values = [self.element(arg) for arg in atom.args]
        if atom.op in ("min", "max"):
            found = (self._E.Min if atom.op == "min" else self._E.Max)(*values)
        elif atom.op == "%":
            found = self._E.Mod(*values, fmod=0)
        else:
            found = self._floor_divided(atom.args, values)
        return found

    def _floor_divided(self, sizes: Sequence[Size], values: Sequence[OnnxValue]) -> Any:
        """ONNX's integer division rounds towards zero; where that may differ, the remainder is taken off first."""
        a, b = values
        low = bounds(sizes[0])[0]
        if low is not None and low >= 0 and decide(">", sizes[1], 0):
            return self._E.Div(a, b)
        return self._E.Div(self._E.Sub(a, self._E.Mod(a, b, fmod=0)), b)

    def _variable(self, name: Atom) -> OnnxValue:
        found = self._find(name)
        assert found is not None  # `_scope_of` has looked
        source = found[1]
        if isinstance(source, int):
            return self.element(source)
        if isinstance(source, OnnxValue):
            vector: OnnxValue = self._E.Unsqueeze(source, _ZERO)
            return vector
        value: Any = self._E.Shape(source.value, start=source.axis, end=source.axis + 1)
        if source.offset:
            value = self._E.Sub(value, self.element(source.offset))
        return value if source.factor == 1 else self._E.Div(value, self.element(source.factor))


_ZERO = np.array([0], np.int64)
