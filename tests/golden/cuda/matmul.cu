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

extern "C" __global__ void matmul(
    f32 *__restrict__ y0, i64 y0_s0, i64 y0_s1, const f32 *__restrict__ x0, i64 x0_s0, i64 x0_s1,
    const f32 *__restrict__ x1, i64 x1_s0, i64 x1_s1, i64 n0, i32 *status) {
    const i64 e0 = 10 * n0;
    for (i64 at = first_element(); at < e0; at += element_step()) {
        const i64 i2 = at % 10;
        const i64 i1 = at / 10;
        f64 acc0 = 0;
        for (i64 i0 = 0; i0 < 784; ++i0) {
            acc0 += x0[i1 * x0_s0 + i0 * x0_s1] * x1[i0 * x1_s0 + i2 * x1_s1];
        }
        y0[i1 * y0_s0 + i2 * y0_s1] = (f32)acc0;
    }
}
