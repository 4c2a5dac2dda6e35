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

static inline f32 bf16_load(bf16 half) { return f32_of_bits((u32)half << 16); }
static inline bf16 bf16_store(f32 x) {
    const u32 bits = bits_of_f32(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (bf16)(bits >> 16 | 0x40u);
    return (bf16)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}
static inline f32 max_f32(f32 a, f32 b) { return a >= b || a != a ? a : b; }

i32 max_pool2d_half(
    bf16 *restrict y0, i64 y0_s0, i64 y0_s1, i64 y0_s2, i64 y0_s3, const bf16 *restrict x0, i64 x0_s0,
    i64 x0_s1, i64 x0_s2, i64 x0_s3) {
    for (i64 i0 = 0; i0 < 2; ++i0) {
        for (i64 i1 = 0; i1 < 3; ++i1) {
            for (i64 i2 = 0; i2 < 3; ++i2) {
                for (i64 i3 = 0; i3 < 3; ++i3) {
                    f32 acc0 = -INFINITY;
                    for (i64 i4 = 0; i4 < 3; ++i4) {
                        for (i64 i5 = 0; i5 < 3; ++i5) {
                            const i64 t0 = i2 * 3 + i4 * 1 - 1;
                            const i64 t1 = i3 * 3 + i5 * 1 - 1;
                            acc0 = max_f32(acc0, ((t0 >= 0) & (t0 < 7) & (t1 >= 0) & (t1 < 7))
                                ? bf16_load(x0[i0 * x0_s0 + i1 * x0_s1 + t0 * x0_s2 + t1 * x0_s3])
                                : -INFINITY);
                        }
                    }
                    y0[i0 * y0_s0 + i1 * y0_s1 + i2 * y0_s2 + i3 * y0_s3] = bf16_store(acc0);
                }
            }
        }
    }
    return 0;
}
