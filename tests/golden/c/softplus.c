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

static inline f64 min_f64(f64 a, f64 b) { return a <= b || a != a ? a : b; }

i32 softplus(f64 *restrict y0, i64 y0_s0, const f64 *restrict x0, i64 x0_s0, i64 n0) {
    for (i64 i0 = 0; i0 < n0; ++i0) {
        const f64 t0 = x0[i0 * x0_s0];
        const f64 t1 = t0 * 1.0;
        y0[i0 * y0_s0] = (t1 > 20.0) ? t0 : log1p(exp(min_f64(t1, 20.0))) / 1.0;
    }
    return 0;
}
