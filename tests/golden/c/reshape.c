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

i32 reshape(
    i8 *restrict y0, i64 y0_s0, i64 y0_s1, const i8 *restrict x0, i64 x0_s0, i64 x0_s1, i64 x0_s2, i64 n0) {
    const i64 e0 = 6 * n0;
    for (i64 i0 = 0; i0 < e0; ++i0) {
        for (i64 i1 = 0; i1 < 4; ++i1) {
            const i64 t0 = i0 * 4 + i1;
            const i64 t1 = t0 / 6;
            y0[i0 * y0_s0 + i1 * y0_s1] = x0[t1 / 4 * x0_s0 + t1 % 4 * x0_s1 + t0 % 6 * x0_s2];
        }
    }
    return 0;
}
