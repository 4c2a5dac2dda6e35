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

i32 convolution2d(
    f32 *restrict y0, i64 y0_s0, i64 y0_s1, i64 y0_s2, i64 y0_s3, const f32 *restrict x0, i64 x0_s0,
    i64 x0_s1, i64 x0_s2, i64 x0_s3, const f32 *restrict x1, i64 x1_s0, i64 x1_s1, i64 x1_s2, i64 x1_s3,
    i64 n0, i64 n1) {
    const i64 e0 = ((n1 - 1) / 2) + 1;
    for (i64 i0 = 0; i0 < n0; ++i0) {
        for (i64 i1 = 0; i1 < 6; ++i1) {
            for (i64 i2 = 0; i2 < e0; ++i2) {
                for (i64 i3 = 0; i3 < 8; ++i3) {
                    f64 acc0 = 0;
                    for (i64 i4 = 0; i4 < 2; ++i4) {
                        for (i64 i5 = 0; i5 < 3; ++i5) {
                            for (i64 i6 = 0; i6 < 3; ++i6) {
                                const i64 t0 = i2 * 2 + i5 - 1;
                                const i64 t1 = i3 + i6 - 1;
                                const f32 t2 = ((t0 >= 0) & (t0 < n1) & (t1 >= 0) & (t1 < 8))
                                    ? x0[i0 * x0_s0 + (i1 / 3 * 2 + i4) * x0_s1 + t0 * x0_s2 + t1 * x0_s3]
                                    : 0.0f;
                                acc0 += t2 * x1[i1 * x1_s0 + i4 * x1_s1 + i5 * x1_s2 + i6 * x1_s3];
                            }
                        }
                    }
                    y0[i0 * y0_s0 + i1 * y0_s1 + i2 * y0_s2 + i3 * y0_s3] = (f32)acc0;
                }
            }
        }
    }
    return 0;
}
