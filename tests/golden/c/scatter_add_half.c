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

static inline u8 outside(i64 index, i64 size) { return index < 0 || index >= size; }
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

i32 scatter_add_half(
    f16 *restrict y0, i64 y0_s0, const f16 *restrict x0, i64 x0_s0, const i64 *restrict x1, i64 x1_s0,
    const f16 *restrict x2, i64 x2_s0, i64 n0) {
    for (i64 b0 = 0; b0 < 6; ++b0) {
        y0[b0 * y0_s0] = x0[b0 * x0_s0];
    }
    for (i64 i0 = 0; i0 < n0; ++i0) {
        const i64 t0 = x1[i0 * x1_s0];
        if (outside(t0, 6)) return 1;
        y0[t0 * y0_s0] = f16_store(f16_load(y0[t0 * y0_s0]) + f16_load(x2[i0 * x2_s0]));
    }
    return 0;
}
