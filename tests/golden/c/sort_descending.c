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
static inline u8 before_f32(f32 a, f32 b) { return a < b || (a == a && b != b); }
static inline u8 later_bf16(const bf16 *x, i64 step, i64 a, i64 b, u8 descending) {
    const f32 left = bf16_load(x[a * step]), right = bf16_load(x[b * step]);
    if (descending ? before_f32(left, right) : before_f32(right, left)) return 1;
    return !(descending ? before_f32(right, left) : before_f32(left, right)) && a > b;
}
static inline void sort_order_bf16(const bf16 *x, i64 x_step, i64 *order, i64 step, i64 size, u8 descending) {
    for (i64 i = 0; i < size; ++i) order[i * step] = i;
    i64 building = size / 2, end = size;
    while (end > 1) {
        i64 hole = 0, item;
        if (building > 0) {
            hole = --building;
            item = order[hole * step];
        } else {
            --end;
            item = order[end * step];
            order[end * step] = order[0];
        }
        for (i64 child = 2 * hole + 1; child < end; child = 2 * hole + 1) {
            const i64 next = child + 1;
            if (next < end && later_bf16(x, x_step, order[next * step], order[child * step], descending)) child = next;
            if (!later_bf16(x, x_step, order[child * step], item, descending)) break;
            order[hole * step] = order[child * step];
            hole = child;
        }
        order[hole * step] = item;
    }
}

i32 sort_descending(
    bf16 *restrict y0, i64 y0_s0, i64 y0_s1, i64 *restrict y1, i64 y1_s0, i64 y1_s1,
    const bf16 *restrict x0, i64 x0_s0, i64 x0_s1, i64 n0) {
    for (i64 i0 = 0; i0 < 3; ++i0) {
        sort_order_bf16(&x0[i0 * x0_s0], x0_s1, &y1[i0 * y1_s0], y1_s1, n0, 1);
        for (i64 k = 0; k < n0; ++k) {
            y0[i0 * y0_s0 + k * y0_s1] = x0[i0 * x0_s0 + y1[i0 * y1_s0 + k * y1_s1] * x0_s1];
        }
    }
    return 0;
}
