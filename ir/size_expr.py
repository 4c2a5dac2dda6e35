"""Symbolic sizes: what a `SizeExpr` is, its arithmetic and its text.

A size expression is an integer polynomial over *atoms*: variables, and applications of `//`, `%`, `min` and
`max` that do not simplify. The polynomial is kept in canonical form, so two expressions that are the same
polynomial over the same atoms are equal and print alike. Arithmetic follows Python's integers (`//` rounds
down, `%` has the divisor's sign), and a result that is constant is a plain `int`.

What lives here: atoms, expressions, the operators with their simplifications, interval bounds term by term,
and printing. Sharper bounds and comparison are in `size_bounds`, substitution and evaluation in
`size_algebra`, the parser in `size_text`, assumptions in `size_context`; `sizes` exports them all.
"""

from __future__ import annotations

import operator
import re
from typing import Any, Final, NoReturn

from . import polynomial
from .errors import ArgumentError, ShapeError
from .polynomial import CONSTANT, Monomial, Polynomial
from .size_interval import INFINITY, Bound, Interval, poly_interval, quotient_interval, remainder_interval

__all__ = ["Atom", "Size", "SizeExpr", "interval", "make_atom", "size_of", "var"]

MAX_DEPTH: Final = 48  # of //, %, min and max inside each other
MAX_TEXT: Final = 8192  # characters of one atom

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED: Final = frozenset({"min", "max"})


class Atom(str):
    """A factor that the polynomial does not look into: a variable, or `//`, `%`, `min`, `max` of sizes.

    An atom *is* its canonical text: equality, hash and order are those of the text, at the speed of
    strings. Hence a variable equals every variable of its name, whatever their bounds.
    """

    __slots__ = ("args", "depth", "hi", "lo", "names", "op")

    op: str  # "var", "//", "%", "min" or "max"
    args: tuple[Size, ...]  # empty for a variable
    lo: Bound
    hi: Bound
    names: frozenset[str]  # of the variables in it
    depth: int


class SizeExpr:
    """A size that is not a constant. Made by `var` and arithmetic; immutable and hashable.

    >>> B, H = var("B", lo=1), var("H")
    >>> 2*B + 1 - B, (4*B + 6)//2, (H - 3)//2 + 1, (H*6) % 3
    (B + 1, 2*B + 3, (H - 3)//2 + 1, 0)
    >>> B*H - H*B
    0
    """

    __slots__ = ("_hash", "_interval", "_text", "poly", "tight")

    poly: Polynomial  # never changed once the expression exists
    tight: Interval | None  # where `size_bounds` keeps its result

    def __init__(self, poly: Polynomial) -> None:
        """For `size_of`, which knows that `poly` is not constant."""
        self.poly = poly
        self.tight = None
        self._hash: int | None = None
        self._interval: Interval | None = None
        self._text: str | None = None

    @property
    def terms(self) -> tuple[tuple[int, tuple[Atom, ...]], ...]:
        """Coefficients and their factors in printing order, for those who emit code.

        >>> (2*var("B")*var("T") + 1).terms
        ((2, ('B', 'T')), (1, ()))
        """
        return tuple((self.poly[m], m) for m in _ordered(self.poly))

    @property
    def atoms(self) -> frozenset[Atom]:
        """The distinct factors of the polynomial; those inside other atoms do not count."""
        return frozenset(atom for monomial in self.poly for atom in monomial)

    def __add__(self, other: Any) -> Size:
        right = _as_size(other)
        return NotImplemented if right is None else _sum(self, right, 1)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Size:
        right = _as_size(other)
        return NotImplemented if right is None else _sum(self, right, -1)

    def __rsub__(self, other: Any) -> Size:
        left = _as_size(other)
        return NotImplemented if left is None else _sum(-self, left, 1)

    def __neg__(self) -> SizeExpr:
        return SizeExpr(polynomial.scale(self.poly, -1))

    def __pos__(self) -> SizeExpr:
        return self

    def __mul__(self, other: Any) -> Size:
        if type(other) is SizeExpr:
            return size_of(polynomial.multiply(self.poly, other.poly))
        number = _as_int(other)
        if number is None:
            return NotImplemented
        return SizeExpr(polynomial.scale(self.poly, number)) if number else 0

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Size:
        divisor = _as_size(other)
        return NotImplemented if divisor is None else _floor_divide(self, divisor)

    def __rfloordiv__(self, other: Any) -> Size:
        number = _as_int(other)
        return NotImplemented if number is None else _floor_divide(number, self)

    def __mod__(self, other: Any) -> Size:
        divisor = _as_size(other)
        return NotImplemented if divisor is None else _modulo(self, divisor)

    def __rmod__(self, other: Any) -> Size:
        number = _as_int(other)
        return NotImplemented if number is None else _modulo(number, self)

    def __eq__(self, other: object) -> bool:
        return self is other or (type(other) is SizeExpr and self.poly == other.poly)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self.poly.items()))
        return self._hash

    def _no_order(self, other: object) -> NoReturn:
        raise ArgumentError(
            f"sizes have no order of their own: {self} and {other}",
            advice='ask with decide("<", a, b): the answer is True, False or None for unknown',
        )

    __lt__ = __le__ = __gt__ = __ge__ = _no_order

    def __bool__(self) -> NoReturn:
        raise ArgumentError(
            f"size {self} has no truth value", advice='ask with decide("!=", size, 0): it may be unknown'
        )

    def __str__(self) -> str:
        if self._text is None:
            self._text = _render(self.poly)
        return self._text

    __repr__ = __str__

    def __copy__(self) -> SizeExpr:
        return self

    def __deepcopy__(self, memo: object) -> SizeExpr:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return SizeExpr, (self.poly,)


Size = int | SizeExpr


def var(name: str, lo: int | None = 0, hi: int | None = None) -> SizeExpr:
    """A size variable with its bounds (inclusive; None is unbounded).

    Raises:
        ArgumentError: for a name that is not an identifier, or bounds without an integer between them.

    >>> var("B", lo=1, hi=2048) == var("B")
    True
    """
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise ArgumentError(f"size variable cannot be called {name!r}", expected="an identifier")
    if lo is not None and hi is not None and lo > hi:
        raise ArgumentError(f"size variable {name}: empty range", expected="lo <= hi", found=f"{lo} > {hi}")
    atom = Atom(name)
    atom.op, atom.args, atom.names, atom.depth = "var", (), frozenset((name,)), 0
    atom.lo = -INFINITY if lo is None else lo
    atom.hi = INFINITY if hi is None else hi
    return SizeExpr({(atom,): 1})


def size_of(poly: Polynomial) -> Size:
    """The size that a polynomial over atoms stands for; the dictionary now belongs to it."""
    if not poly:
        return 0
    if len(poly) == 1 and CONSTANT in poly:
        return poly[CONSTANT]
    return SizeExpr(poly)


def make_atom(op: str, args: tuple[Size, ...], bounds: Interval) -> SizeExpr:
    """`op` applied to sizes, as an expression. The caller has simplified it as far as it goes.

    Raises:
        ShapeError: when it is longer or deeper than any real size expression.
    """
    atom = Atom(_atom_text(op, args))
    atom.op, atom.args = op, args
    atom.lo, atom.hi = bounds
    inner = [a for arg in args if type(arg) is SizeExpr for monomial in arg.poly for a in monomial]
    atom.names = frozenset[str]().union(*(a.names for a in inner))
    atom.depth = 1 + max(a.depth for a in inner)
    if atom.depth > MAX_DEPTH or len(atom) > MAX_TEXT:
        raise ShapeError(
            "size expression too large",
            expected=f"at most {MAX_DEPTH} of //, %, min and max inside each other and {MAX_TEXT} characters",
            advice="bind an intermediate size to a variable of its own",
        )
    return SizeExpr({(atom,): 1})


# -- operators


def _as_int(value: Any) -> int | None:
    if type(value) is int:
        return value
    try:
        return int(operator.index(value))
    except TypeError:
        return None


def _as_size(value: Any) -> Size | None:
    return value if type(value) is SizeExpr else _as_int(value)


def _sum(left: SizeExpr, right: Size, sign: int) -> Size:
    if isinstance(right, SizeExpr):
        return size_of(polynomial.add(left.poly, right.poly, sign))
    return SizeExpr(polynomial.add(left.poly, {CONSTANT: right}, sign)) if right else left


def _floor_divide(a: Size, b: Size) -> Size:
    if type(b) is int:
        return _floor_divide_by_int(a, b)
    assert isinstance(b, SizeExpr)
    a, b, _ = _without_common_factor(a, b)
    if isinstance(b, int):
        return _floor_divide_by_int(a, b)
    quotient, rest = _split_quotient(a, b)
    if quotient is not None:
        return quotient if rest == 0 else quotient + _floor_divide(rest, b)
    if _lies_within(a, b):
        return 0
    return make_atom("//", (a, b), quotient_interval(interval(a), interval(b)))


def _floor_divide_by_int(a: Size, k: int) -> Size:
    if k == 0:
        raise ZeroDivisionError(f"size {a} divided by zero")
    if isinstance(a, int):
        return a // k
    if k < 0:
        return _floor_divide_by_int(-a, -k)
    if k == 1:
        return a
    whole = {m: c // k for m, c in a.poly.items() if c % k == 0}
    if whole:
        rest = {m: c for m, c in a.poly.items() if c % k}
        return size_of(whole) + _floor_divide_by_int(size_of(rest), k)
    # (g*x + c)//(g*k) == (x + c//g)//k for integer x.
    common = polynomial.content([k, *(c for m, c in a.poly.items() if m)])
    if common > 1:
        reduced = {m: c // common for m, c in a.poly.items() if c // common}
        return _floor_divide_by_int(size_of(reduced), k // common)
    nested = _only_nested_quotient(a)
    if nested is not None:
        inner, divisor, others = nested
        return _floor_divide_by_int(inner + divisor * others, divisor * k)
    lo, hi = quotient_interval(interval(a), (k, k))
    return lo if isinstance(lo, int) and lo == hi else make_atom("//", (a, k), (lo, hi))


def _only_nested_quotient(a: SizeExpr) -> tuple[Size, int, Size] | None:
    """`(x, m, rest)` where a is `x//m + rest`, and `x//m` is the only such term: then `a//k` is
    `(x + m*rest)//(m*k)`."""
    found: Monomial | None = None
    for monomial, coefficient in a.poly.items():
        if coefficient != 1 or len(monomial) != 1:
            continue
        atom = monomial[0]
        if atom.op == "//" and type(atom.args[1]) is int:
            if found is not None:
                return None
            found = monomial
    if found is None:
        return None
    inner, divisor = found[0].args
    return inner, divisor, size_of({m: c for m, c in a.poly.items() if m != found})


def _modulo(a: Size, b: Size) -> Size:
    if type(b) is int:
        return _modulo_int(a, b)
    assert isinstance(b, SizeExpr)
    a, b, common = _without_common_factor(a, b)
    if isinstance(b, int):
        return common * _modulo_int(a, b)
    quotient, rest = _split_quotient(a, b)
    if quotient is not None:
        return 0 if rest == 0 else common * _modulo(rest, b)
    if _lies_within(a, b):
        return common * a
    return common * make_atom("%", (a, b), remainder_interval(interval(a), interval(b)))


def _modulo_int(a: Size, k: int) -> Size:
    if k == 0:
        raise ZeroDivisionError(f"size {a} modulo zero")
    if isinstance(a, int):
        return a % k
    if k < 0:
        return -_modulo_int(-a, -k)
    unwrapped = _without_inner_modulo(a, k)
    if unwrapped is not None:
        return _modulo_int(unwrapped, k)
    settled = _settled_modulo(a, k)
    if settled is not None:
        return settled
    reduced = size_of({m: r for m, c in a.poly.items() if (r := _nearest_residue(c, k))})
    if isinstance(reduced, int):
        return reduced % k
    common = polynomial.content([k, *reduced.poly.values()])
    if common > 1:
        return common * _modulo_int(size_of({m: c // common for m, c in reduced.poly.items()}), k // common)
    settled = _settled_modulo(reduced, k)
    if settled is not None:
        return settled
    return make_atom("%", (reduced, k), remainder_interval(interval(reduced), (k, k)))


def _nearest_residue(c: int, k: int) -> int:
    """The residue nearest to zero: `-B % 8` reads better than `7*B % 8`."""
    residue = c % k
    return residue - k if 2 * residue > k else residue


def _without_inner_modulo(a: SizeExpr, k: int) -> Size | None:
    """a with a term `c*(x % m)` replaced by `c*x`, which is the same modulo k when k divides c*m."""
    for monomial, c in a.poly.items():
        if len(monomial) != 1 or monomial[0].op != "%":
            continue
        inner, m = monomial[0].args
        if type(m) is int and c * m % k == 0:
            unwrapped: Size = c * inner
            return unwrapped + size_of({key: v for key, v in a.poly.items() if key != monomial})
    return None


def _settled_modulo(a: SizeExpr, k: int) -> Size | None:
    """`a % k` where a's bounds lie between two neighbouring multiples of k."""
    lo, hi = quotient_interval(interval(a), (k, k))
    return a - k * lo if isinstance(lo, int) and lo == hi else None


def _without_common_factor(a: Size, b: SizeExpr) -> tuple[Size, Size, int]:
    """`(a/g, b/g, g)` for the common divisor g of all coefficients."""
    common = polynomial.content([*b.poly.values(), *(a.poly.values() if isinstance(a, SizeExpr) else (a,))])
    if common == 1:
        return a, b, 1
    return _shrunk(a, common), _shrunk(b, common), common


def _shrunk(a: Size, factor: int) -> Size:
    if isinstance(a, int):
        return a // factor
    return SizeExpr({m: c // factor for m, c in a.poly.items()})


def _split_quotient(a: Size, b: SizeExpr) -> tuple[Size | None, Size]:
    """`(q, r)` with `a == q*b + r`, where b is never zero and splitting makes the quotient plainer."""
    lo, hi = interval(b)
    if lo <= 0 <= hi:
        return None, a
    poly = a.poly if isinstance(a, SizeExpr) else {CONSTANT: a} if a else {}
    quotient, rest = polynomial.divide(poly, b.poly)
    if rest and (not quotient or len(b.poly) > 1):
        return None, a
    return size_of(quotient), size_of(rest)


def _lies_within(a: Size, b: SizeExpr) -> bool:
    """Whether `0 <= a < b` is certain."""
    return interval(a)[0] >= 0 and interval(b - a)[0] > 0


def interval(size: Size) -> Interval:
    """Bounds of a size: the sum of its terms' bounds, each term for itself.

    >>> interval(2*var("B", lo=1, hi=4) - var("T"))
    (-inf, 8)
    """
    if isinstance(size, int):
        return size, size
    if size._interval is None:
        size._interval = poly_interval(size.poly)
    return size._interval


# -- text


def _ordered(poly: Polynomial) -> list[Monomial]:
    """Monomials by falling degree, then by name; a positive one leads where there is one."""
    ordered = sorted(poly, key=polynomial.order)
    if poly[ordered[0]] < 0:
        first = next((m for m in ordered if poly[m] > 0), ordered[0])
        ordered.remove(first)
        ordered.insert(0, first)
    return ordered


def _render(poly: Polynomial) -> str:
    first, *others = _ordered(poly)
    text = _term(poly[first], first) if poly[first] > 0 else _negated(-poly[first], first)
    return text + "".join(f" {'+' if poly[m] > 0 else '-'} {_term(abs(poly[m]), m)}" for m in others)


def _term(coefficient: int, monomial: Monomial) -> str:
    if not monomial:
        return str(coefficient)
    if coefficient == 1 and len(monomial) == 1:
        return str(monomial[0])
    factors = [f"({atom})" if atom.op in ("//", "%") else str(atom) for atom in monomial]
    return "*".join(factors if coefficient == 1 else [str(coefficient), *factors])


def _negated(coefficient: int, monomial: Monomial) -> str:
    text = _term(coefficient, monomial)
    bare = coefficient == 1 and len(monomial) == 1 and monomial[0].op in ("//", "%")
    return f"-({text})" if bare else f"-{text}"


def _atom_text(op: str, args: tuple[Size, ...]) -> str:
    if op in ("min", "max"):
        return f"{op}({', '.join(map(str, args))})"
    left, right = args
    dividend = f"({left})" if isinstance(left, SizeExpr) and len(left.poly) > 1 else str(left)
    return f"{dividend}//{_divisor(right)}" if op == "//" else f"{dividend} % {_divisor(right)}"


def _divisor(size: Size) -> str:
    if isinstance(size, int):
        return str(size)
    (monomial, coefficient), *others = size.poly.items()
    plain = not others and coefficient == 1 and len(monomial) == 1 and monomial[0].op not in ("//", "%")
    return str(size) if plain else f"({size})"
