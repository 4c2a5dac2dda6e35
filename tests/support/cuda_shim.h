/* What CUDA's compiler brings with it and emitted kernels use, for a C++ compiler. */
#include <math.h>
#include <string.h>

#define __global__
#define __device__
#define __forceinline__ inline

struct Place { unsigned x; };
static Place threadIdx, blockIdx, blockDim, gridDim;

extern "C" void set_thread(unsigned block, unsigned thread, unsigned blocks, unsigned threads) {
    blockIdx.x = block;
    threadIdx.x = thread;
    gridDim.x = blocks;
    blockDim.x = threads;
}

template <typename To, typename From> static inline To same_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "sizes differ");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

static inline unsigned __float_as_uint(float x) { return same_bits<unsigned>(x); }
static inline float __uint_as_float(unsigned x) { return same_bits<float>(x); }
static inline float __int_as_float(int x) { return same_bits<float>(x); }
static inline double __longlong_as_double(long long x) { return same_bits<double>(x); }
static inline long long __double_as_longlong(double x) { return same_bits<long long>(x); }

template <typename T> static inline T atomicAdd(T *place, T value) {
    const T old = *place;
    *place = old + value;
    return old;
}
template <typename T> static inline T atomicMax(T *place, T value) {
    const T old = *place;
    if (value > old) *place = value;
    return old;
}
template <typename T> static inline T atomicCAS(T *place, T held, T value) {
    const T old = *place;
    if (old == held) *place = value;
    return old;
}
