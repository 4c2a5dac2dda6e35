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

i32 cat(
    f32 *restrict y0, i64 y0_s0, i64 y0_s1, const f32 *restrict x0, i64 x0_s0, i64 x0_s1,
    const f32 *restrict x1, i64 x1_s0, i64 x1_s1, const f32 *restrict x2, i64 x2_s0, i64 x2_s1, i64 n0) {
    const i64 e0 = n0 + 6;
    const i64 e1 = n0 + 2;
    for (i64 i0 = 0; i0 < e0; ++i0) {
        for (i64 i1 = 0; i1 < 3; ++i1) {
            f32 t2;
            if (i0 < 2) {
                t2 = x0[i0 * x0_s0 + i1 * x0_s1];
            } else {
                f32 t1;
                if (i0 < e1) {
                    t1 = x1[(i0 - 2) * x1_s0 + i1 * x1_s1];
                } else {
                    const i64 t0 = i0 - e1;
                    if (outside(t0, 4)) return 1;
                    t1 = x2[t0 * x2_s0 + i1 * x2_s1];
                }
                t2 = t1;
            }
            y0[i0 * y0_s0 + i1 * y0_s1] = t2;
        }
    }
    return 0;
}
