"""Types whose size variables are bound where they stand: what the variables are for types that take their place.

A block's parameters, the outputs of a node with blocks and results whose sizes depend on data bind the variables in
their types that nothing has bound so far: in order, a dimension that is linear in one such variable gives its value.
What lives here does so for sizes that are expressions, as the verifier, the passes and copies need it; `binding` does
it for the shapes of a call.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .size_algebra import polynomial_quotient, variables
from .sizes import Size, SizeExpr, bounds, free_vars, substitute
from .sizes import ask as _ask
from .types import ListType, OptionalType, TensorType, TupleType, Type

__all__ = [
    "Binding",
    "binding_dimensions",
    "fits_bounds",
    "linear_in",
    "solve_types",
    "substituted_type",
    "why_out_of_bounds",
]


@dataclass(frozen=True, slots=True)
class Binding:
    """A dimension that binds a variable: its size is `factor*variable + rest`.

    Attributes:
        variable: with its bounds.
        place: the position of the type among the types, and of the dimension in it.
        rest: of variables that are bound before.
    """

    variable: SizeExpr
    place: tuple[int, int]
    factor: int
    rest: Size

    @property
    def name(self) -> str:
        """The variable's name."""
        return str(self.variable)

    @property
    def is_plain(self) -> bool:
        """Whether the dimension is the variable itself, which is then no negative number."""
        return self.factor == 1 and self.rest == 0


def linear_in(size: Size, known: Container[str], besides: Container[str] = ()) -> tuple[SizeExpr, int, Size] | None:
    """The one variable V of a size `a*V + rest` that is not known, a, and the rest; None where it has another form.

    >>> from .sizes import var
    >>> linear_in(2*var("n") + var("B") - 1, {"B"}), linear_in(var("n")*var("m"), {"m"})
    ((n, 2, B - 1), None)
    """
    if isinstance(size, int):
        return None
    unknown = [name for name in free_vars(size) if name not in known and name not in besides]
    if len(unknown) != 1:
        return None
    (name,) = unknown
    terms = [(monomial, factor) for monomial, factor in size.poly.items() if any(name in a.names for a in monomial)]
    if len(terms) != 1 or len(terms[0][0]) != 1 or terms[0][0][0].op != "var":
        return None
    variable = next(v for v in variables(size) if str(v) == name)
    factor = terms[0][1]
    return variable, factor, size - factor * variable


def binding_dimensions(types: Iterable[Type], known: Container[str]) -> Iterator[Binding]:
    """The dimensions that bind variables beyond the known ones, in order."""
    bound: set[str] = set()
    for index, type_ in enumerate(types):
        for dim, size in enumerate(type_.sizes if isinstance(type_, TensorType) else ()):
            found = linear_in(size, known, bound)
            if found is not None:
                bound.add(str(found[0]))
                yield Binding(found[0], (index, dim), found[1], found[2])


def solve_types(bindings: Iterable[Binding], types: Sequence[Type]) -> dict[str, Size] | None:
    """What the variables are where `types` take the place of those that bind them; None where no size fits.

    >>> from . import dtypes
    >>> from .sizes import var
    >>> n, B = var("n"), var("B")
    >>> row = binding_dimensions([TensorType(dtypes.float32, (n + 1, 2))], ())
    >>> solve_types(row, [TensorType(dtypes.float32, (2*B, 2))])
    {'n': 2*B - 1}
    """
    solved: dict[str, Size] = {}
    for binding in bindings:
        index, dim = binding.place
        type_ = types[index]
        if not isinstance(type_, TensorType) or dim >= len(type_.sizes):
            return None
        value = polynomial_quotient(type_.sizes[dim] - substitute(binding.rest, solved), binding.factor)
        if value is None:
            return None
        solved[binding.name] = value
    return solved


def why_out_of_bounds(bindings: Iterable[Binding], solved: Mapping[str, Size]) -> str | None:
    """Which variable may be outside of its bounds for what it was solved as, or None where none can be."""
    for binding in bindings:
        lo, hi = bounds(binding.variable)
        value = solved[binding.name]
        if lo is not None and not (binding.is_plain and lo <= 0) and _ask(">=", value, lo) is not True:
            return f"{binding.name} >= {lo}, where it is {value}"
        if hi is not None and _ask("<=", value, hi) is not True:
            return f"{binding.name} <= {hi}, where it is {value}"
    return None


def fits_bounds(variable: SizeExpr, number: int) -> bool:
    """Whether a variable may have a value.

    >>> from .sizes import var
    >>> fits_bounds(var("n"), 3), fits_bounds(var("n"), -1)
    (True, False)
    """
    lo, hi = bounds(variable)
    return (lo is None or number >= lo) and (hi is None or number <= hi)


def substituted_type(type_: Type, replacements: Mapping[str, Size]) -> Type:
    """A type with other sizes for its variables."""
    if isinstance(type_, TensorType):
        if type_.is_static or not replacements:
            return type_
        return type_.with_(sizes=tuple(substitute(s, replacements) for s in type_.sizes))
    if isinstance(type_, TupleType):
        return TupleType(tuple(substituted_type(item, replacements) for item in type_.items))
    if isinstance(type_, ListType):
        return ListType(substituted_type(type_.item, replacements))
    if isinstance(type_, OptionalType):
        return OptionalType(substituted_type(type_.item, replacements))
    return type_
