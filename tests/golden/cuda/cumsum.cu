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

extern "C" __global__ void cumsum(
    i64 *__restrict__ y0, i64 y0_s0, i64 y0_s1, const i32 *__restrict__ x0, i64 x0_s0, i64 x0_s1, i64 n0,
    i32 *status) {
    for (i64 at = first_element(); at < 4; at += element_step()) {
        const i64 i1 = at;
        i64 sum = 0;
        for (i64 k = 0; k < n0; ++k) {
            sum = k == 0 ? (i64)x0[k * x0_s0 + i1 * x0_s1] : (i64)((u64)sum + (u64)(i64)x0[k * x0_s0 + i1 * x0_s1]);
            y0[k * y0_s0 + i1 * y0_s1] = sum;
        }
    }
}
