"""Which sizes of example inputs are dynamic: `Dim`, and the reading of `dynamic_shapes=`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from ...ir.errors import ArgumentError
from ...ir.sizes import Size, SizeExpr, evaluate, free_vars, solve, substitute, var

__all__ = ["DerivedDim", "Dim", "DynamicSizes"]

_EXPECTED: Final = "a name, a Dim, an expression of Dims, Dim.AUTO or None"


class _Arithmetic:
    """Sums, differences, products and whole quotients of sizes."""

    __slots__ = ()

    def __add__(self, other: Any) -> Any:
        return _combined(self, other, lambda a, b: a + b)

    def __radd__(self, other: Any) -> Any:
        return _combined(self, other, lambda a, b: b + a)

    def __sub__(self, other: Any) -> Any:
        return _combined(self, other, lambda a, b: a - b)

    def __rsub__(self, other: Any) -> Any:
        return _combined(self, other, lambda a, b: b - a)

    def __mul__(self, other: Any) -> Any:
        return _combined(self, other, lambda a, b: a * b)

    def __rmul__(self, other: Any) -> Any:
        return _combined(self, other, lambda a, b: b * a)

    def __floordiv__(self, other: Any) -> Any:
        return _combined(self, other, lambda a, b: a // b)


@dataclass(frozen=True, slots=True)
class Dim(_Arithmetic):
    """A dynamic size: its name, and the smallest and largest value it may take.

    Arithmetic gives sizes that follow from others: `2 * Dim("h")`, `Dim("t") + 1`. `Dim.AUTO` is a dynamic size with
    a name of Ingot's choice, which the program may fix to the example's.

    >>> Dim("time", min=1, max=2048).name, 2 * Dim("h") + 1
    ('time', 2*h + 1)
    """

    name: str
    min: int = 0
    max: int | None = None

    AUTO: ClassVar[Any]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise ArgumentError(f"Dim: {self.name!r} is no name", expected="letters, digits and _")
        if self.min < 0 or (self.max is not None and self.max < self.min):
            raise ArgumentError(f"Dim: no size lies between {self.min} and {self.max}")

    @property
    def size(self) -> SizeExpr:
        """The size as a variable."""
        return var(self.name, self.min, self.max)


@dataclass(frozen=True, slots=True)
class DerivedDim(_Arithmetic):
    """A size that follows from dynamic ones: what arithmetic on a `Dim` gives."""

    size: Size
    dims: tuple[Dim, ...]

    def __repr__(self) -> str:
        return str(self.size)


class _Auto:
    def __repr__(self) -> str:
        return "Dim.AUTO"


Dim.AUTO = _Auto()


def _combined(a: Any, b: Any, operation: Any) -> Any:
    if not isinstance(b, (int, Dim, DerivedDim)) or isinstance(b, bool):
        return NotImplemented
    dims: list[Dim] = []
    for side in (a, b):
        dims += () if isinstance(side, int) else (side,) if isinstance(side, Dim) else side.dims
    sizes = [side if isinstance(side, int) else side.size for side in (a, b)]
    return DerivedDim(operation(*sizes), tuple(dict.fromkeys(dims)))


@dataclass(frozen=True, slots=True)
class _Place:
    """A dimension of an input that is dynamic."""

    input: int
    dim: int
    spec: Any
    found: int
    where: str


class DynamicSizes:
    """The sizes of a program's inputs.

    Args:
        inputs: each input's name, its example's shape, and what `dynamic_shapes` says of it: `{dimension: name, Dim,
            expression of Dims or Dim.AUTO}`, a sequence with an entry (or None) for each dimension, `"all"`, or None.

    Attributes:
        sizes: each input's sizes, dynamic ones as expressions.
        hints: the example's value of each variable.
        auto: the variables that nobody named.

    Raises:
        ArgumentError: for a dimension that an input lacks, a name that stands for different sizes, or an example
            outside of what was said of it.
    """

    def __init__(self, inputs: Sequence[tuple[str, Sequence[int], Any]]) -> None:
        self.hints: dict[str, int] = {}
        self.auto: set[str] = set()
        self._dims: dict[str, Dim] = {}
        self._first: dict[str, str] = {}
        places = [place for i, (name, shape, given) in enumerate(inputs) for place in _places(i, name, shape, given)]
        self._declare(place.spec for place in places)
        for place in places:
            if isinstance(place.spec, (str, Dim)):
                self._bind(place.spec if isinstance(place.spec, str) else place.spec.name, place.found, place.where)
        found = [list[Size](shape) for _, shape, _ in inputs]
        for place in places:
            found[place.input][place.dim] = self._size(place, inputs[place.input][0])
        self.sizes = [tuple(sizes) for sizes in found]

    def fixable(self, allowed: Sequence[str] | bool) -> frozenset[str]:
        """The variables that a program may fix: those that nobody named, and those that the user allows by name, or
        all of them by True."""
        if allowed is True:
            return frozenset(self.hints)
        return frozenset(self.auto).union((allowed,) if isinstance(allowed, str) else allowed or ())

    def _declare(self, specs: Iterable[Any]) -> None:
        """Collect the bounds of every name, wherever they are said."""
        for spec in specs:
            for dim in (spec,) if isinstance(spec, Dim) else getattr(spec, "dims", ()):
                known = self._dims.setdefault(dim.name, dim)
                if known != dim:
                    raise ArgumentError(
                        f"dynamic_shapes: '{dim.name}' has different bounds",
                        found=f"{known} and {dim}",
                        advice="make the Dim once and use it in all places, or give each its own name",
                    )

    def _bind(self, name: str, size: int, where: str) -> None:
        """A variable's value in the example."""
        dim = self._dims.setdefault(name, Dim(name))
        if size < dim.min or (dim.max is not None and size > dim.max):
            limits = f"{name} >= {dim.min}" + ("" if dim.max is None else f" and {name} <= {dim.max}")
            raise ArgumentError(
                f"dynamic_shapes: the example's '{name}' is out of its bounds",
                expected=limits,
                found=f"{size} at {where}",
            )
        known = self.hints.setdefault(name, size)
        first = self._first.setdefault(name, where)
        if known != size:
            raise ArgumentError(
                f"dynamic_shapes: '{name}' names different sizes",
                found=f"{known} at {first}, {size} at {where}",
                advice="give each its own name",
            )

    def _size(self, place: _Place, name: str) -> Size:
        if isinstance(place.spec, _Auto):
            variable = f"{name}_{place.dim}"
            while variable in self.hints or variable in self._dims:
                variable += "_"
            self.auto.add(variable)
            self._bind(variable, place.found, place.where)
            return self._dims[variable].size
        if not isinstance(place.spec, DerivedDim):
            return self._dims[place.spec if isinstance(place.spec, str) else place.spec.name].size
        size = place.spec.size
        if isinstance(size, SizeExpr):
            self._solve(size, place)
        value = evaluate(size, self.hints) if isinstance(size, SizeExpr) else size
        if value != place.found:
            raise ArgumentError(
                "dynamic_shapes: the example does not fit",
                expected=f"{size} = {value} at {place.where}",
                found=str(place.found),
            )
        return size

    def _solve(self, size: SizeExpr, place: _Place) -> None:
        """Find the value of a variable that stands nowhere alone."""
        unknown = free_vars(size) - self.hints.keys()
        if not unknown:
            return
        solved = solve(substitute(size, self.hints), place.found)
        if solved is None:
            raise ArgumentError(
                "dynamic_shapes: the example does not fit",
                expected=f"{size} at {place.where}, for some {', '.join(sorted(unknown))}",
                found=str(place.found),
                advice="" if len(unknown) == 1 else "let every size but one stand alone somewhere",
            )
        self._bind(*solved, place.where)


def _places(number: int, name: str, shape: Sequence[int], given: Any) -> list[_Place]:
    """The dynamic dimensions of one input."""
    ndim = len(shape)
    if given is None:
        return []
    if isinstance(given, str) and given == "all":
        entries: list[tuple[Any, Any]] = [(dim, Dim.AUTO) for dim in range(ndim)]
    elif isinstance(given, Mapping):
        entries = list(given.items())
    elif isinstance(given, (tuple, list)):
        entries = list(enumerate(given))
    else:
        raise ArgumentError(f"dynamic_shapes: {name} is {given!r}", expected='{dimension: name or Dim}, or "all"')
    found = []
    for dim, spec in entries:
        if type(dim) is not int or not -ndim <= dim < ndim:
            raise ArgumentError(f"dynamic_shapes: {name} has no dimension {dim!r}", found=f"{ndim} dimensions")
        if spec is None:
            continue
        named = isinstance(spec, str) and spec.isidentifier()
        if not named and not isinstance(spec, (Dim, DerivedDim, _Auto)):
            raise ArgumentError(f"dynamic_shapes: {name}: dimension {dim} is {spec!r}", expected=_EXPECTED)
        found.append(_Place(number, dim % ndim, spec, shape[dim], f"{name}, dimension {dim % ndim}"))
    return found
