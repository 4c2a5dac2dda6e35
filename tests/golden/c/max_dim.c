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

static inline f32 max_f32(f32 a, f32 b) { return a >= b || a != a ? a : b; }
static inline u8 above_f32(f32 a, f32 b) { return a > b || (a != a && b == b); }

i32 max_dim(
    f32 *restrict y0, i64 y0_s0, i64 *restrict y1, i64 y1_s0, const f32 *restrict x0, i64 x0_s0, i64 x0_s1,
    i64 n0) {
    for (i64 i0 = 0; i0 < 4; ++i0) {
        f32 acc0 = -INFINITY;
        f32 best1 = 0;
        i64 place1 = -1;
        for (i64 i1 = 0; i1 < n0; ++i1) {
            const f32 t0 = x0[i0 * x0_s0 + i1 * x0_s1];
            acc0 = max_f32(acc0, t0);
            if (place1 < 0 || above_f32(t0, best1)) {
                best1 = t0;
                place1 = i1;
            }
        }
        y0[i0 * y0_s0] = acc0;
        y1[i0 * y1_s0] = place1;
    }
    return 0;
}
