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

static __device__ __forceinline__ i32 mod_i32(i32 a, i32 b) {
    if (b == 0 || b == -1) return 0;
    const i32 rest = (i32)(a % b);
    return rest != 0 && (rest < 0) != (b < 0) ? (i32)(rest + b) : rest;
}

extern "C" __global__ void remainder_int(
    i32 *__restrict__ y0, i64 y0_s0, const i32 *__restrict__ x0, i64 x0_s0, const i32 *__restrict__ x1,
    i64 x1_s0, i64 n0, i32 *status) {
    for (i64 at = first_element(); at < n0; at += element_step()) {
        const i64 i0 = at;
        y0[i0 * y0_s0] = mod_i32(x0[i0 * x0_s0], x1[i0 * x1_s0]);
    }
}
