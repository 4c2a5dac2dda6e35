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

extern "C" __global__ void convolution2d(
    f32 *__restrict__ y0, i64 y0_s0, i64 y0_s1, i64 y0_s2, i64 y0_s3, const f32 *__restrict__ x0,
    i64 x0_s0, i64 x0_s1, i64 x0_s2, i64 x0_s3, const f32 *__restrict__ x1, i64 x1_s0, i64 x1_s1,
    i64 x1_s2, i64 x1_s3, i64 n0, i64 n1, i32 *status) {
    const i64 e0 = 48 * ((n1 - 1) / 2) * n0 + 48 * n0;
    const i64 e1 = ((n1 - 1) / 2) + 1;
    for (i64 at = first_element(); at < e0; at += element_step()) {
        const i64 i3 = at % 8;
        i64 rest = at / 8;
        const i64 i2 = rest % e1;
        rest = rest / e1;
        const i64 i1 = rest % 6;
        const i64 i0 = rest / 6;
        f64 acc0 = 0;
        for (i64 i4 = 0; i4 < 2; ++i4) {
            for (i64 i5 = 0; i5 < 3; ++i5) {
                for (i64 i6 = 0; i6 < 3; ++i6) {
                    const i64 t0 = i2 * 2 + i5 - 1;
                    const i64 t1 = i3 + i6 - 1;
                    const f32 t2 = ((t0 >= 0) & (t0 < n1) & (t1 >= 0) & (t1 < 8))
                        ? x0[i0 * x0_s0 + (i1 / 3 * 2 + i4) * x0_s1 + t0 * x0_s2 + t1 * x0_s3]
                        : 0.0f;
                    acc0 += t2 * x1[i1 * x1_s0 + i4 * x1_s1 + i5 * x1_s2 + i6 * x1_s3];
                }
            }
        }
        y0[i0 * y0_s0 + i1 * y0_s1 + i2 * y0_s2 + i3 * y0_s3] = (f32)acc0;
    }
}
