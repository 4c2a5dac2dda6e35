typedef unsigned char u8;
typedef signed char i8;
typedef short i16;
typedef int i32;
typedef long long i64;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned short f16, bf16;
typedef float f32;
typedef double f64;

static __device__ __forceinline__ u32 bits_of_f32(f32 x) { return __float_as_uint(x); }
static __device__ __forceinline__ f32 f32_of_bits(u32 bits) { return __uint_as_float(bits); }
static __device__ __forceinline__ i64 first_element() { return (i64)blockIdx.x * blockDim.x + threadIdx.x; }
static __device__ __forceinline__ i64 element_step() { return (i64)gridDim.x * blockDim.x; }

static __device__ __forceinline__ f32 bf16_load(bf16 half) { return f32_of_bits((u32)half << 16); }
static __device__ __forceinline__ u8 before_f32(f32 a, f32 b) { return a < b || (a == a && b != b); }
static __device__ __forceinline__ u8 later_bf16(const bf16 *x, i64 step, i64 a, i64 b, u8 descending) {
    const f32 left = bf16_load(x[a * step]), right = bf16_load(x[b * step]);
    if (descending ? before_f32(left, right) : before_f32(right, left)) return 1;
    return !(descending ? before_f32(right, left) : before_f32(left, right)) && a > b;
}
static __device__ __forceinline__ void sort_order_bf16(const bf16 *x, i64 x_step, i64 *order, i64 step, i64 size, u8 descending) {
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

extern "C" __global__ void sort_descending(
    bf16 *__restrict__ y0, i64 y0_s0, i64 y0_s1, i64 *__restrict__ y1, i64 y1_s0, i64 y1_s1,
    const bf16 *__restrict__ x0, i64 x0_s0, i64 x0_s1, i64 n0, i32 *status) {
    for (i64 at = first_element(); at < 3; at += element_step()) {
        const i64 i0 = at;
        sort_order_bf16(&x0[i0 * x0_s0], x0_s1, &y1[i0 * y1_s0], y1_s1, n0, 1);
        for (i64 k = 0; k < n0; ++k) {
            y0[i0 * y0_s0 + k * y0_s1] = x0[i0 * x0_s0 + y1[i0 * y1_s0 + k * y1_s1] * x0_s1];
        }
    }
}
