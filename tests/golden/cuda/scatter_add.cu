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

static __device__ __forceinline__ u8 outside(i64 index, i64 size) { return index < 0 || index >= size; }
static __device__ __forceinline__ void atomic_sum_f32(f32 *place, f32 value) { atomicAdd(place, value); }

extern "C" __global__ void scatter_add_0(
    f32 *__restrict__ y0, i64 y0_s0, i64 y0_s1, const f32 *__restrict__ x0, i64 x0_s0, i64 x0_s1,
    const i64 *__restrict__ x1, i64 x1_s0, i64 x1_s1, const f32 *__restrict__ x2, i64 x2_s0, i64 x2_s1,
    i32 *status) {
    for (i64 at = first_element(); at < 12; at += element_step()) {
        const i64 b1 = at % 4;
        const i64 b0 = at / 4;
        y0[b0 * y0_s0 + b1 * y0_s1] = x0[b0 * x0_s0 + b1 * x0_s1];
    }
}

extern "C" __global__ void scatter_add_1(
    f32 *__restrict__ y0, i64 y0_s0, i64 y0_s1, const f32 *__restrict__ x0, i64 x0_s0, i64 x0_s1,
    const i64 *__restrict__ x1, i64 x1_s0, i64 x1_s1, const f32 *__restrict__ x2, i64 x2_s0, i64 x2_s1,
    i32 *status) {
    for (i64 at = first_element(); at < 18; at += element_step()) {
        const i64 i1 = at % 6;
        const i64 i0 = at / 6;
        const i64 t0 = x1[i0 * x1_s0 + i1 * x1_s1];
        if (outside(t0, 4)) { *status = 1; return; }
        atomic_sum_f32(&y0[i0 * y0_s0 + t0 * y0_s1], x2[i0 * x2_s0 + i1 * x2_s1]);
    }
}
