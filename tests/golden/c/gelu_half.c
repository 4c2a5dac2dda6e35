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

static inline f32 f16_load(f16 half) {
    const u32 sign = (u32)(half & 0x8000u) << 16, magnitude = half & 0x7fffu;
    if (magnitude >= 0x7c00u) return f32_of_bits(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
    if (magnitude < 0x400u) return (sign ? -1.0f : 1.0f) * ((f32)magnitude * 0x1p-24f);
    return f32_of_bits(sign | ((magnitude << 13) + 0x38000000u));
}
static inline f16 f16_store(f32 x) {
    const u32 bits = bits_of_f32(x), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return (f16)(sign | 0x7e00u);
    if (magnitude >= 0x477ff000u) return (f16)(sign | 0x7c00u);
    /* Below 2^-14 the unit is that of 0.5 in float: the addition rounds. */
    if (magnitude < 0x38800000u) return (f16)(sign | (bits_of_f32(f32_of_bits(magnitude) + 0.5f) - 0x3f000000u));
    return (f16)(sign | (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13);
}
static inline f32 f16_round(f32 x) { return f16_load(f16_store(x)); }

i32 gelu_half(
    f16 *restrict y0, i64 y0_s0, i64 y0_s1, i64 y0_s2, const f16 *restrict x0, i64 x0_s0, i64 x0_s1,
    i64 x0_s2, i64 n0, i64 n1, i64 n2) {
    for (i64 i0 = 0; i0 < n0; ++i0) {
        for (i64 i1 = 0; i1 < n1; ++i1) {
            for (i64 i2 = 0; i2 < n2; ++i2) {
                const f32 t0 = f16_load(x0[i0 * x0_s0 + i1 * x0_s1 + i2 * x0_s2]);
                y0[i0 * y0_s0 + i1 * y0_s1 + i2 * y0_s2] = f16_store(f16_round(0.5f * t0) * f16_round(1.0f + f16_round(erff(f16_round(t0 * 0.70703125f)))));
            }
        }
    }
    return 0;
}
