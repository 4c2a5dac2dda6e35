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

i32 add_number(
    f32 *restrict y0, i64 y0_s0, i64 y0_s1, const f32 *restrict x0, i64 x0_s0, i64 x0_s1, f64 x1, i64 n0,
    i64 n1) {
    for (i64 i0 = 0; i0 < n0; ++i0) {
        for (i64 i1 = 0; i1 < n1; ++i1) {
            y0[i0 * y0_s0 + i1 * y0_s1] = x0[i0 * x0_s0 + i1 * x0_s1] + (f32)x1;
        }
    }
    return 0;
}
