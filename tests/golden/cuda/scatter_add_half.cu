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
static __device__ __forceinline__ f32 f16_load(f16 half) {
    const u32 sign = (u32)(half & 0x8000u) << 16, magnitude = half & 0x7fffu;
    if (magnitude >= 0x7c00u) return f32_of_bits(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
    if (magnitude < 0x400u) return (sign ? -1.0f : 1.0f) * ((f32)magnitude * 0x1p-24f);
    return f32_of_bits(sign | ((magnitude << 13) + 0x38000000u));
}
static __device__ __forceinline__ f16 f16_store(f32 x) {
    const u32 bits = bits_of_f32(x), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return (f16)(sign | 0x7e00u);
    if (magnitude >= 0x477ff000u) return (f16)(sign | 0x7c00u);
    /* Below 2^-14 the unit is that of 0.5 in float: the addition rounds. */
    if (magnitude < 0x38800000u) return (f16)(sign | (bits_of_f32(f32_of_bits(magnitude) + 0.5f) - 0x3f000000u));
    return (f16)(sign | (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13);
}
static __device__ __forceinline__ void atomic_sum_f16(f16 *place, f32 value) {
    u32 *word = (u32 *)((u64)place & ~(u64)3);
    const u32 shift = (u32)((u64)place & 3) * 8, mask = (u32)0xffff << shift;
    u32 seen = *word, held;
    do {
        held = seen;
        const f32 current = f16_load((f16)(held >> shift));
        const f16 next = f16_store(current + value);
        seen = atomicCAS(word, held, (held & ~mask) | ((u32)next << shift & mask));
    } while (seen != held);
}

extern "C" __global__ void scatter_add_half_0(
    f16 *__restrict__ y0, i64 y0_s0, const f16 *__restrict__ x0, i64 x0_s0, const i64 *__restrict__ x1,
    i64 x1_s0, const f16 *__restrict__ x2, i64 x2_s0, i64 n0, i32 *status) {
    for (i64 at = first_element(); at < 6; at += element_step()) {
        const i64 b0 = at;
        y0[b0 * y0_s0] = x0[b0 * x0_s0];
    }
}

extern "C" __global__ void scatter_add_half_1(
    f16 *__restrict__ y0, i64 y0_s0, const f16 *__restrict__ x0, i64 x0_s0, const i64 *__restrict__ x1,
    i64 x1_s0, const f16 *__restrict__ x2, i64 x2_s0, i64 n0, i32 *status) {
    for (i64 at = first_element(); at < n0; at += element_step()) {
        const i64 i0 = at;
        const i64 t0 = x1[i0 * x1_s0];
        if (outside(t0, 6)) { *status = 1; return; }
        atomic_sum_f16(&y0[t0 * y0_s0], f16_load(x2[i0 * x2_s0]));
    }
}
