"""What is particular to CUDA among the printer's languages.

The text needs no header, so NVRTC takes it as it is. It must be compiled with `OPTIONS`: by default, CUDA fuses
multiplications and additions; and hexadecimal numbers are C++17.
"""

from __future__ import annotations

from typing import Final

from ..cfamily import Dialect
from .atomics import ATOMICS

__all__ = ["CUDA", "OPTIONS"]

OPTIONS: Final = ("--std=c++17", "--fmad=false")

_HEADER: Final = """\
typedef unsigned char u8;
typedef signed char i8;
typedef short i16;
typedef int i32;
typedef long long i64;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned short f16, bf16;
typedef float f32;
typedef double f64;

static __device__ __forceinline__ u32 bits_of_f32(f32 x) { return __float_as_uint(x); }
static __device__ __forceinline__ f32 f32_of_bits(u32 bits) { return __uint_as_float(bits); }
static __device__ __forceinline__ i64 first_element() { return (i64)blockIdx.x * blockDim.x + threadIdx.x; }
static __device__ __forceinline__ i64 element_step() { return (i64)gridDim.x * blockDim.x; }
"""

CUDA: Final = Dialect(
    name="cuda",
    header=_HEADER,
    function="static __device__ __forceinline__",
    entry='extern "C" __global__ void',
    restrict="__restrict__",
    specials={
        ("inf", "f32"): "__int_as_float(0x7f800000)",
        ("inf", "f64"): "__longlong_as_double(0x7ff0000000000000LL)",
        ("nan", "f32"): "__int_as_float(0x7fc00000)",
        ("nan", "f64"): "__longlong_as_double(0x7ff8000000000000LL)",
    },
    fail="{{ *status = {}; return; }}",
    finish="",
    grid=True,
    functions=ATOMICS,
)
