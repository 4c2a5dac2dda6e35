"""The functions that emitted C and CUDA text calls: their text, each for every type that it exists for.

They carry the meanings of `ir/primitives.py` that the languages themselves do not have: integer division as
Python's, maxima that pass NaN on, 16-bit floats, powers that wrap around. A file gets those that it calls, and no
other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

from ..ir.dtypes import DType

__all__ = ["compute_type", "is_reserved", "library_for", "storage_type"]

# In the templates, `FN` stands for the dialect's words before a function, `T` for a type, `U` for an unsigned type at
# least as wide as int, `M` for the suffix of math functions.
_ANY: Final = """\
FN T max_T(T a, T b) { return a >= b ? a : b; }
FN T min_T(T a, T b) { return a <= b ? a : b; }
FN u8 above_T(T a, T b) { return a > b; }
FN u8 below_T(T a, T b) { return a < b; }
FN u8 before_T(T a, T b) { return a < b; }
"""
_SIGNED: Final = (
    _ANY
    + """\
FN T abs_T(T x) { return x < 0 ? (T)(0 - (U)x) : x; }
FN T sign_T(T x) { return (T)((x > 0) - (x < 0)); }
FN T fmod_T(T a, T b) { return b == 0 || b == -1 ? 0 : (T)(a % b); }
FN T mod_T(T a, T b) {
    if (b == 0 || b == -1) return 0;
    const T rest = (T)(a % b);
    return rest != 0 && (rest < 0) != (b < 0) ? (T)(rest + b) : rest;
}
FN T floordiv_T(T a, T b) {
    if (b == 0) return 0;
    if (b == -1) return (T)(0 - (U)a);
    const T quotient = (T)(a / b);
    return a % b != 0 && (a < 0) != (b < 0) ? (T)(quotient - 1) : quotient;
}
FN T pow_T(T base, T exponent) {
    if (exponent < 0) return base == 1 ? 1 : base != -1 ? 0 : exponent % 2 != 0 ? -1 : 1;
    U result = 1, factor = (U)base;
    for (; exponent != 0; exponent /= 2) {
        if (exponent % 2 != 0) result *= factor;
        factor *= factor;
    }
    return (T)result;
}
"""
)
_UNSIGNED: Final = (
    _ANY
    + """\
FN T abs_T(T x) { return x; }
FN T sign_T(T x) { return x != 0; }
FN T fmod_T(T a, T b) { return b == 0 ? 0 : (T)(a % b); }
FN T mod_T(T a, T b) { return b == 0 ? 0 : (T)(a % b); }
FN T floordiv_T(T a, T b) { return b == 0 ? 0 : (T)(a / b); }
FN T pow_T(T base, T exponent) {
    U result = 1, factor = base;
    for (; exponent != 0; exponent /= 2) {
        if (exponent % 2 != 0) result *= factor;
        factor *= factor;
    }
    return (T)result;
}
"""
)
_FLOAT: Final = """\
FN u8 is_nan_T(T x) { return x != x; }
FN u8 is_inf_T(T x) { return x == x && x - x != 0; }
FN T sign_T(T x) { return x > 0 ? 1 : x < 0 ? -1 : x == 0 ? 0 : x; }
FN T max_T(T a, T b) { return a >= b || a != a ? a : b; }
FN T min_T(T a, T b) { return a <= b || a != a ? a : b; }
FN u8 above_T(T a, T b) { return a > b || (a != a && b == b); }
FN u8 below_T(T a, T b) { return a < b || (a != a && b == b); }
FN u8 before_T(T a, T b) { return a < b || (a == a && b != b); }
FN T mod_T(T a, T b) {
    const T rest = fmodM(a, b);
    if (rest == 0) return copysignM((T)0, b);
    return (b < 0) != (rest < 0) ? rest + b : rest;
}
FN T floordiv_T(T a, T b) {
    if (b == 0) return a / b;
    const T rest = fmodM(a, b);
    T quotient = (a - rest) / b;
    if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;
    if (quotient == 0) return copysignM((T)0, a / b);
    /* Without the remainder, the quotient is a whole number but for its own rounding. */
    const T whole = floorM(quotient);
    return quotient - whole > (T)0.5 ? whole + 1 : whole;
}
"""
_HALVES: Final = """\
FN f32 f16_load(f16 half) {
    const u32 sign = (u32)(half & 0x8000u) << 16, magnitude = half & 0x7fffu;
    if (magnitude >= 0x7c00u) return f32_of_bits(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
    if (magnitude < 0x400u) return (sign ? -1.0f : 1.0f) * ((f32)magnitude * 0x1p-24f);
    return f32_of_bits(sign | ((magnitude << 13) + 0x38000000u));
}
FN f16 f16_store(f32 x) {
    const u32 bits = bits_of_f32(x), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return (f16)(sign | 0x7e00u);
    if (magnitude >= 0x477ff000u) return (f16)(sign | 0x7c00u);
    /* Below 2^-14 the unit is that of 0.5 in float: the addition rounds. */
    if (magnitude < 0x38800000u) return (f16)(sign | (bits_of_f32(f32_of_bits(magnitude) + 0.5f) - 0x3f000000u));
    return (f16)(sign | (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13);
}
FN f32 f16_round(f32 x) { return f16_load(f16_store(x)); }
FN f32 bf16_load(bf16 half) { return f32_of_bits((u32)half << 16); }
FN bf16 bf16_store(f32 x) {
    const u32 bits = bits_of_f32(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (bf16)(bits >> 16 | 0x40u);
    return (bf16)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}
FN f32 bf16_round(f32 x) { return bf16_load(bf16_store(x)); }
/* Rounded to odd: rounding the result once more, to float16, gives what rounding x once would. */
FN f32 f32_odd(f64 x) {
    const f32 near = (f32)x;
    if (near == x || x != x) return near;
    const u32 bits = bits_of_f32(near);
    return f32_of_bits((fabs((f64)near) > fabs(x) ? bits - 1u : bits) | 1u);
}
"""
_PLAIN: Final = """\
FN i64 i64_of_f64(f64 x) { return x >= -0x1p63 && x < 0x1p63 ? (i64)x : -9223372036854775807LL - 1; }
FN u8 outside(i64 index, i64 size) { return index < 0 || index >= size; }
"""
# Heapsort by (value, place): the order is total, so equal values keep their places, and nothing is allocated.
_SORT: Final = """\
FN u8 later_T(const T *x, i64 step, i64 a, i64 b, u8 descending) {
    const C left = LOAD(x[a * step]), right = LOAD(x[b * step]);
    if (descending ? before_C(left, right) : before_C(right, left)) return 1;
    return !(descending ? before_C(right, left) : before_C(left, right)) && a > b;
}
FN void sort_order_T(const T *x, i64 x_step, i64 *order, i64 step, i64 size, u8 descending) {
    for (i64 i = 0; i < size; ++i) order[i * step] = i;
    i64 building = size / 2, end = size;
    while (end > 1) {
        i64 hole = 0, item;
        if (building > 0) {
            hole = --building;
            item = order[hole * step];
        } else {
            --end;
            item = order[end * step];
            order[end * step] = order[0];
        }
        for (i64 child = 2 * hole + 1; child < end; child = 2 * hole + 1) {
            const i64 next = child + 1;
            if (next < end && later_T(x, x_step, order[next * step], order[child * step], descending)) child = next;
            if (!later_T(x, x_step, order[child * step], item, descending)) break;
            order[hole * step] = order[child * step];
            hole = child;
        }
        order[hole * step] = item;
    }
}
"""


def storage_type(dtype: DType) -> str:
    """The type name of an element in memory.

    >>> from ingot.ir.dtypes import bool_, float16
    >>> storage_type(bool_), storage_type(float16), compute_type(float16)
    ('u8', 'f16', 'f32')
    """
    return "u8" if dtype.short == "bool" else dtype.short


def compute_type(dtype: DType) -> str:
    """The type name of a value in computation: float for the 16-bit floats."""
    return "f32" if dtype.short in ("f16", "bf16") else storage_type(dtype)


def _instances(template: str, type_: str) -> str:
    load = f"{type_}_load" if type_ in ("f16", "bf16") else ""
    compute = "f32" if load else type_
    words = {"T": type_, "U": "u64" if type_ == "i64" else "u32", "M": "f" if type_ == "f32" else "", "C": compute}
    text = re.sub(r"\b([TUC])\b|(?<=_)([TC])\b|(?<=\w)(M)\b", lambda m: words[m[1] or m[2] or m[3]], template)
    return text.replace("LOAD", load)


@cache
def _functions() -> dict[str, str]:
    """The text of every function, by name, those that are called before those that call them."""
    texts = [_PLAIN, _HALVES]
    texts += [_instances(_SIGNED, t) for t in ("i8", "i16", "i32", "i64")]
    texts += [_instances(_UNSIGNED, "u8")]
    texts += [_instances(_FLOAT, t) for t in ("f32", "f64")]
    texts += [_instances(_SORT, t) for t in ("u8", "i8", "i16", "i32", "i64", "f16", "bf16", "f32", "f64")]
    found: dict[str, str] = {}
    note = ""
    for part in re.split(r"^(?=FN |/\*)", "".join(texts), flags=re.M):
        if part.startswith("/*"):
            note = part
        elif part:
            name = re.match(r"FN \w+ (\w+)\(", part)
            assert name is not None
            found[name[1]], note = note + part, ""
    return found


def is_reserved(name: str) -> bool:
    """Whether a name is taken by a type or a function of emitted text."""
    return name in _functions() or re.fullmatch(r"(i|u|f|bf)(8|16|32|64)", name) is not None


def library_for(text: str, function: str, further: Mapping[str, str] | None = None) -> str:
    """The functions that a text calls, and those that they call, each after what it needs.

    Args:
        function: the dialect's words before a function.
        further: functions of the dialect's own, which may call the others.

    >>> print(library_for("y = max_i32(a, b);", "static inline"), end="")
    static inline i32 max_i32(i32 a, i32 b) { return a >= b ? a : b; }
    """
    functions = _functions() | dict(further or {})
    wanted: set[str] = set()
    pending = [text]
    while pending:
        called = {name for name in re.findall(r"\w+(?=\()", pending.pop()) if name in functions} - wanted
        wanted |= called
        pending += [functions[name] for name in called]
    return "".join(body.replace("FN ", function + " ") for name, body in functions.items() if name in wanted)
