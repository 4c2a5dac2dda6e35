"""C and CUDA text of single scalars: what differs between the two languages, literals, primitives, casts.

Both are written by one printer, in the same short type names (`f32`, `i64`, ...); a `Dialect` holds what differs.
float16 and bfloat16 are stored as 16 bits and computed in float, rounded after every primitive, as NumPy does.

The other parts of the printer: `cfamily_library` holds the functions that the text calls, `cfamily_statements`
writes expressions that share parts, `cfamily_nests` and `cfamily_lines` the loops around them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import copysign, isinf, isnan
from typing import Final, NamedTuple

import numpy as np

from ..ir.dtypes import DType, bfloat16, bool_, float16, float64, int64
from .cfamily_library import compute_type

__all__ = ["HALVES", "LOOSE", "PRODUCT", "Dialect", "Text", "apply", "cast", "integer", "literal", "loaded", "stored"]

HALVES: Final = (float16, bfloat16)


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between the languages of the family.

    Attributes:
        header: the first lines of a file: includes, and the short type names.
        function: what stands before an auxiliary function.
        entry: what stands before an entry function.
        restrict: the keyword for pointers that do not overlap.
        specials: text of "inf" and "nan" by what it is and the type name.
        fail: the statement that ends a function with a status; `{}` is the status.
        finish: the statement at the end of an entry function, if any.
        grid: whether outer loops are shared among the threads of a grid, and updates are atomic.
        functions: further auxiliary functions by name, in the form of `cfamily_library`'s.
    """

    name: str
    header: str
    function: str
    entry: str
    restrict: str
    specials: Mapping[tuple[str, str], str]
    fail: str
    finish: str
    grid: bool
    functions: Mapping[str, str] = field(default_factory=dict)


LOOSE, AND, SUM, PRODUCT, NAME = range(5)  # how tightly an expression binds


class Text(NamedTuple):
    """Code of an expression, and how tightly it binds: as a name does, a product, a sum, an `&`, or less."""

    code: str
    level: int = NAME

    @property
    def tight(self) -> str:
        """The code, in parentheses where it needs them as any operand."""
        return self.within(NAME)

    def within(self, level: int) -> str:
        """The code as an operand of something that takes what binds at least that tightly."""
        return self.code if self.level >= level else f"({self.code})"


# -- literals


def integer(value: int) -> Text:
    """A literal with the value of an int64.

    >>> integer(-(2**63)).code
    '-9223372036854775807LL - 1'
    """
    if value == -(2**63):
        return Text("-9223372036854775807LL - 1", SUM)
    return Text(f"{value}LL" if abs(value) >= 2**31 else str(value), LOOSE if value < 0 else NAME)


def literal(value: float, dtype: DType, dialect: Dialect) -> Text:
    """A typed literal: decimal where that is exact, else hexadecimal with the decimal in a comment."""
    if dtype is bool_:
        return Text("1" if value else "0")
    if dtype.kind == "int":
        return integer(_wrapped(int(value), dtype))
    with np.errstate(all="ignore"):
        number = float(dtype.np.type(value))
    short = compute_type(dtype)
    if isnan(number) or isinf(number):
        special = dialect.specials["nan" if isnan(number) else "inf", short]
        return Text(f"-{special}", LOOSE) if number < 0 else Text(special)
    return Text(_decimal(number, short), LOOSE if copysign(1, number) < 0 else NAME)


def _wrapped(value: int, dtype: DType) -> int:
    bits = 8 * dtype.itemsize
    low = -(1 << (bits - 1)) if dtype.is_signed else 0
    return (value - low) % (1 << bits) + low


def _decimal(number: float, short: str) -> str:
    suffix = "f" if short == "f32" else ""
    text = repr(number) if short == "f64" else str(np.float32(number))
    if Fraction(text) == Fraction(number):
        return text + suffix
    mantissa, exponent = number.hex().split("p")
    return f"{mantissa.rstrip('0')}p{exponent}{suffix} /* {text} */"


# -- primitives: `{t}` is the type computed in, `{u}` its unsigned twin or nothing, `{m}` the suffix of math functions

_MATH: Final = [
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "sqrt",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "erf",
    "floor",
    "ceil",
    "trunc",
]
_COMPARE: Final = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_COMPARISONS: Final = {name: f"{{0}} {sign} {{1}}" for name, sign in _COMPARE.items()}
_FLOAT: Final[dict[str, str]] = {
    **_COMPARISONS,
    **{name: f"{name}{{m}}({{0}})" for name in _MATH},
    "round": "rint{m}({0})",
    "abs": "fabs{m}({0})",
    "atan2": "atan2{m}({0}, {1})",
    "pow": "pow{m}({0}, {1})",
    "fmod": "fmod{m}({0}, {1})",
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "floordiv": "floordiv_{t}({0}, {1})",
    "mod": "mod_{t}({0}, {1})",
    "sign": "sign_{t}({0})",
    "maximum": "max_{t}({0}, {1})",
    "minimum": "min_{t}({0}, {1})",
    "isnan": "is_nan_{t}({0})",
    "isinf": "is_inf_{t}({0})",
}
# Signed overflow is undefined in C: wide integers are added as unsigned ones, narrow ones are computed in int.
_INTEGER: Final[dict[str, str]] = {
    **_COMPARISONS,
    "add": "({t})({u}{0} + {u}{1})",
    "sub": "({t})({u}{0} - {u}{1})",
    "mul": "({t})({u}{0} * {u}{1})",
    "neg": "({t})(0 - {u}{0})",
    "and_": "({t})({0} & {1})",
    "or_": "({t})({0} | {1})",
    "xor": "({t})({0} ^ {1})",
    "not_": "({t})~{0}",
    **{name: f"{name}_{{t}}({{0}}, {{1}})" for name in ("floordiv", "mod", "fmod", "pow")},
    **{name: f"{name}_{{t}}({{0}})" for name in ("abs", "sign")},
    "maximum": "max_{t}({0}, {1})",
    "minimum": "min_{t}({0}, {1})",
}
_PLAIN: Final = {"add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}", "neg": "-{0}"}
_PLAIN_NATURAL: Final = {"floordiv": "{0} / {1}", "mod": "{0} % {1}"}
_BOOL: Final[dict[str, str]] = {
    **_COMPARISONS,
    **dict.fromkeys(("add", "or_", "maximum"), "{0} | {1}"),
    **dict.fromkeys(("mul", "and_", "minimum"), "{0} & {1}"),
    "xor": "{0} ^ {1}",
    "not_": "!{0}",
}
# Results of these are representable in a half whenever their operands are.
_EXACT: Final = frozenset(["neg", "abs", "sign", "maximum", "minimum", "floor", "ceil", "trunc", "round", "fmod"])
_CALL: Final = re.compile(r"[\w{}]+\([^()]*\)")
_INFIX: Final = re.compile(r"\{0\} (\S+) \{1\}")
_LEVELS: Final = {"&": AND, "+": SUM, "-": SUM, "*": PRODUCT, "/": PRODUCT, "%": PRODUCT}


def apply(op: str, args: Sequence[Text], operand: DType, plain: bool = False, natural: bool = False) -> Text:
    """A primitive applied to operands of one dtype.

    Args:
        plain: the operands are offsets that cannot overflow.
        natural: they are not negative either, and the divisor is not 0.
    """
    table = {"float": _FLOAT, "int": _INTEGER, "bool": _BOOL}[operand.kind]
    form = table[op]
    if plain and op in _PLAIN:
        form = _PLAIN[op]
    elif natural and op in _PLAIN_NATURAL:
        form = _PLAIN_NATURAL[op]
    short = compute_type(operand)
    unsigned = f"(u{short[1:]})" if operand.kind == "int" and operand.itemsize >= 4 else ""
    codes, level = _operands(form, args)
    code = form.format(*codes, t=short, u=unsigned, m="f" if short == "f32" else "")
    if operand in HALVES and op not in _EXACT and op not in _COMPARISONS and op not in ("isnan", "isinf"):
        return Text(f"{operand.short}_round({code})")
    return Text(code, level)


def _operands(form: str, args: Sequence[Text]) -> tuple[list[str], int]:
    """The operands in the parentheses that a form needs around them, and how tightly the form binds."""
    if _CALL.fullmatch(form):
        return [arg.code for arg in args], NAME
    infix = _INFIX.fullmatch(form)
    if infix is None:
        return [arg.tight for arg in args], NAME if form.startswith("({t})") else LOOSE
    if infix[1] in _COMPARE.values():
        return [arg.within(SUM) for arg in args], LOOSE
    level = _LEVELS.get(infix[1])
    if level is None:
        return [arg.tight for arg in args], LOOSE
    # Operators of one level are evaluated from the left, and floats are not associative.
    return [args[0].within(level), args[1].within(NAME if level == AND else level + 1)], level


def cast(value: Text, source: DType, target: DType) -> Text:
    """A value as another dtype. Floats outside of an integer's range give some integer, without undefined behaviour."""
    if target is bool_:
        return Text(f"{value.within(SUM)} != 0", LOOSE)
    if target in HALVES:
        return Text(f"{target.short}_round({_as_float(value, source, target)})")
    if source.kind == "float" and target.kind == "int":
        return Text(f"{_conversion(target)}i64_of_f64({value.code})")
    if compute_type(source) == compute_type(target):
        return value
    return Text(f"({compute_type(target)}){value.tight}")


def _conversion(target: DType) -> str:
    return "" if target is int64 else f"({target.short})"


def _as_float(value: Text, source: DType, target: DType) -> str:
    """The float that is rounded to a half. A double is rounded once on its way to float16; bfloat16 goes by float32,
    as ml_dtypes does."""
    if source is float64 and target is float16:
        return f"f32_odd({value.code})"
    return value.code if compute_type(source) == "f32" else f"(f32){value.tight}"


def loaded(code: str, dtype: DType) -> Text:
    """The value of an element in memory."""
    return Text(f"{dtype.short}_load({code})" if dtype in HALVES else code)


def stored(value: Text, dtype: DType) -> str:
    """What is assigned to an element in memory."""
    if dtype not in HALVES:
        return value.code
    return f"{dtype.short}_store({_unrounded(value.code, f'{dtype.short}_round(')})"


def _unrounded(code: str, call: str) -> str:
    """The operand of a call that is all of the code: storing rounds by itself."""
    if not code.startswith(call):
        return code
    depth = 0
    for i, sign in enumerate(code):
        depth += (sign == "(") - (sign == ")")
        if sign == ")" and depth == 0:
            return code[len(call) : -1] if i == len(code) - 1 else code
    return code
