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
static __device__ __forceinline__ bf16 bf16_store(f32 x) {
    const u32 bits = bits_of_f32(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (bf16)(bits >> 16 | 0x40u);
    return (bf16)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}
static __device__ __forceinline__ f32 max_f32(f32 a, f32 b) { return a >= b || a != a ? a : b; }

extern "C" __global__ void max_pool2d_half(
    bf16 *__restrict__ y0, i64 y0_s0, i64 y0_s1, i64 y0_s2, i64 y0_s3, const bf16 *__restrict__ x0,
    i64 x0_s0, i64 x0_s1, i64 x0_s2, i64 x0_s3, i32 *status) {
    for (i64 at = first_element(); at < 54; at += element_step()) {
        const i64 i3 = at % 3;
        i64 rest = at / 3;
        const i64 i2 = rest % 3;
        rest = rest / 3;
        const i64 i1 = rest % 3;
        const i64 i0 = rest / 3;
        f32 acc0 = -__int_as_float(0x7f800000);
        for (i64 i4 = 0; i4 < 3; ++i4) {
            for (i64 i5 = 0; i5 < 3; ++i5) {
                const i64 t0 = i2 * 3 + i4 * 1 - 1;
                const i64 t1 = i3 * 3 + i5 * 1 - 1;
                acc0 = max_f32(acc0, ((t0 >= 0) & (t0 < 7) & (t1 >= 0) & (t1 < 7))
                    ? bf16_load(x0[i0 * x0_s0 + i1 * x0_s1 + t0 * x0_s2 + t1 * x0_s3])
                    : -__int_as_float(0x7f800000));
            }
        }
        y0[i0 * y0_s0 + i1 * y0_s1 + i2 * y0_s2 + i3 * y0_s3] = bf16_store(acc0);
    }
}
