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

extern "C" __global__ void reshape(
    i8 *__restrict__ y0, i64 y0_s0, i64 y0_s1, const i8 *__restrict__ x0, i64 x0_s0, i64 x0_s1, i64 x0_s2,
    i64 n0, i32 *status) {
    const i64 e0 = 24 * n0;
    for (i64 at = first_element(); at < e0; at += element_step()) {
        const i64 i1 = at % 4;
        const i64 i0 = at / 4;
        const i64 t0 = i0 * 4 + i1;
        const i64 t1 = t0 / 6;
        y0[i0 * y0_s0 + i1 * y0_s1] = x0[t1 / 4 * x0_s0 + t1 % 4 * x0_s1 + t0 % 6 * x0_s2];
    }
}
