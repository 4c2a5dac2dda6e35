"""What is particular to C among the printer's languages."""

from __future__ import annotations

from typing import Final

from ..cfamily import Dialect

__all__ = ["C"]

_HEADER: Final = """\
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef int8_t i8;
typedef int16_t i16;
typedef int32_t i32;
typedef int64_t i64;
typedef uint32_t u32;
typedef uint64_t u64;
typedef uint16_t f16, bf16;
typedef float f32;
typedef double f64;

static inline u32 bits_of_f32(f32 x) { u32 bits; memcpy(&bits, &x, 4); return bits; }
static inline f32 f32_of_bits(u32 bits) { f32 x; memcpy(&x, &bits, 4); return x; }
"""

C: Final = Dialect(
    name="c",
    header=_HEADER,
    function="static inline",
    entry="i32",
    restrict="restrict",
    specials={
        ("inf", "f32"): "INFINITY",
        ("inf", "f64"): "(f64)INFINITY",
        ("nan", "f32"): "NAN",
        ("nan", "f64"): "(f64)NAN",
    },
    fail="return {};",
    finish="return 0;",
    grid=False,
)
