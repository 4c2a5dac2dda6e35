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

static __device__ __forceinline__ f32 max_f32(f32 a, f32 b) { return a >= b || a != a ? a : b; }
static __device__ __forceinline__ u8 above_f32(f32 a, f32 b) { return a > b || (a != a && b == b); }

extern "C" __global__ void max_dim(
    f32 *__restrict__ y0, i64 y0_s0, i64 *__restrict__ y1, i64 y1_s0, const f32 *__restrict__ x0,
    i64 x0_s0, i64 x0_s1, i64 n0, i32 *status) {
    for (i64 at = first_element(); at < 4; at += element_step()) {
        const i64 i0 = at;
        f32 acc0 = -__int_as_float(0x7f800000);
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
}
