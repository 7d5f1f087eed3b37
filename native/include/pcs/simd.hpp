// Vectors of the native width and the elementary functions on them. SPDX-License-Identifier: BSD-3-Clause
//
// Included only by the units that are compiled once for every instruction set; PCS_ISA names the namespace. With
// PCS_SCALAR, and always for a GPU, vectors have one lane (scalar.hpp).
// No standard header with inline functions may come in here: the linker would keep one copy of such a function for
// the whole program, and it could be the one with instructions that the machine lacks.
#pragma once

#include <stdint.h>

// Before every function that a GPU may run.
#ifdef __CUDACC__
#define PCS_FN __host__ __device__
#ifndef PCS_SCALAR
#define PCS_SCALAR
#endif
#else
#define PCS_FN
#endif

// Before long code that is called from several places: a GPU's threads all wait for instructions that no cache holds.
#ifdef __CUDACC__
#define PCS_APART __noinline__
#else
#define PCS_APART
#endif

// In generated code. Long arrays are reached by a few pointers: PCS_KEEP keeps the compiler from making one of them
// again. PCS_RELOAD lets a GPU load what it read before once more: kept, it would need more registers than there are.
#ifdef __CUDA_ARCH__
#define PCS_KEEP(pointer)
#define PCS_RELOAD asm volatile("" ::: "memory")
#else
#define PCS_KEEP(pointer) asm("" : "+r"(pointer))
#define PCS_RELOAD
#endif

#ifdef PCS_SCALAR
#define PCS_ISA scalar
#include "pcs/scalar.hpp"
#elif defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#ifdef PCS_NARROW  // 256 bits, but twice the registers of AVX2: what straight-line kernels like best
#define PCS_ISA avx512narrow
#define PCS_WIDTH 4
#else
#define PCS_ISA avx512
#define PCS_WIDTH 8
#endif
#elif defined(__AVX2__) && defined(__FMA__)
#define PCS_ISA avx2
#define PCS_WIDTH 4
#else
#define PCS_ISA sse2
#define PCS_WIDTH 2
#endif

namespace pcs::PCS_ISA {

#ifndef PCS_SCALAR
constexpr int W = PCS_WIDTH;        // cells in a vector of doubles
constexpr int W32 = 2 * PCS_WIDTH;  // cells in a vector of floats

typedef double Vec __attribute__((vector_size(8 * PCS_WIDTH)));
typedef int64_t Int __attribute__((vector_size(8 * PCS_WIDTH)));
typedef float Vec32 __attribute__((vector_size(8 * PCS_WIDTH)));
typedef int32_t Int32 __attribute__((vector_size(8 * PCS_WIDTH)));

// Lane by lane: a where the mask is set, else b.
template <class Mask, class V>
inline V select(Mask mask, V a, V b) {
    return mask ? a : b;
}
inline Vec32 to_float(Int32 v) { return __builtin_convertvector(v, Vec32); }
// Two vectors of doubles: GCC converts it to and from floats in registers, a half of them through memory.
typedef double Both __attribute__((vector_size(16 * PCS_WIDTH)));
// The lower (0) or upper (1) half of a vector of floats, in double precision.
inline Vec widen(Vec32 v, int half) {
    const Both both = __builtin_convertvector(v, Both);
    Vec part;
    __builtin_memcpy(&part, (const Vec*)&both + half, sizeof part);
    return part;
}
// Two vectors of doubles, rounded, as one of floats.
inline Vec32 narrow(Vec lower, Vec upper) {
    Both both;
    __builtin_memcpy(&both, &lower, sizeof lower);
    __builtin_memcpy((Vec*)&both + 1, &upper, sizeof upper);
    return __builtin_convertvector(both, Vec32);
}
#endif

template <class V>
struct scalar_of;
template <>
struct scalar_of<Vec> {
    using type = double;
    using integer = Int;
};
template <>
struct scalar_of<Vec32> {
    using type = float;
    using integer = Int32;
};

template <class Real>
struct vector_of;
template <>
struct vector_of<double> {
    using type = Vec;
};
template <>
struct vector_of<float> {
    using type = Vec32;
};

// The same in either precision; by name in one of them.
template <class V>
PCS_FN inline V broadcast_as(typename scalar_of<V>::type a) {
#ifdef PCS_SCALAR
    return V(a);
#else
    return a - V{};
#endif
}
template <class V>
PCS_FN inline V load_as(const typename scalar_of<V>::type* p) {
    V v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}
template <class V>
PCS_FN inline void store_as(typename scalar_of<V>::type* p, V v) {
    __builtin_memcpy(p, &v, sizeof v);
}
PCS_FN inline Vec broadcast(double a) { return broadcast_as<Vec>(a); }
PCS_FN inline Vec32 broadcast32(float a) { return broadcast_as<Vec32>(a); }
PCS_FN inline Vec load(const double* p) { return load_as<Vec>(p); }
PCS_FN inline Vec32 load32(const float* p) { return load_as<Vec32>(p); }
PCS_FN inline void store(double* p, Vec v) { store_as(p, v); }
PCS_FN inline void store32(float* p, Vec32 v) { store_as(p, v); }
template <class V>
PCS_FN inline V max(V a, V b) {
    return select(a > b, a, b);
}  // NaN in a gives b
template <class V>
PCS_FN inline V min(V a, V b) {
    return select(a < b, a, b);
}
PCS_FN inline Vec abs(Vec a) { return (Vec)((Int)a & INT64_C(0x7fffffffffffffff)); }
PCS_FN inline bool any(Int mask) {
    int64_t all = 0;
    for (int l = 0; l < W; ++l) all |= mask[l];
    return all != 0;
}
PCS_FN inline Vec sqrt(Vec a) {
    for (int l = 0; l < W; ++l) a[l] = __builtin_sqrt(a[l]);
    return a;
}

PCS_FN inline Vec32 sqrt32(Vec32 a) {
    for (int l = 0; l < W32; ++l) a[l] = __builtin_sqrtf(a[l]);
    return a;
}

// exp to about 1 ulp: 2^n times the Taylor series on |r| <= ln(2) / 2. Saturates at exp(+-708).
PCS_FN inline Vec exp(Vec x) {
    constexpr double log2e = 1.4426950408889634, ln2_hi = 0.693147180369123816490, ln2_lo = 1.90821492927058770002e-10;
    constexpr double shifter = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer, kept in the low bits
    x = x < -708.0 ? broadcast(-708.0) : x > 708.0 ? broadcast(708.0) : x;  // NaN stays NaN
    const Vec shifted = x * log2e + shifter;
    const Vec n = shifted - shifter;
    const Vec r = (x - n * ln2_hi) - n * ln2_lo;
    Vec p = broadcast(1.0 / 6227020800.0);
    constexpr double series[] = {
        1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720,
        1.0 / 120,       1.0 / 24,       1.0 / 6,       1.0 / 2,      1.0,         1.0};
    for (double c : series) p = p * r + c;
    const Int power = ((Int)shifted + 1023) << 52;
    return p * (Vec)power;
}

// log of a normal positive number to about 1 ulp: atanh series of the mantissa in [sqrt(1/2), sqrt(2)).
PCS_FN inline Vec log(Vec x) {
    constexpr double ln2_hi = 0.693147180369123816490, ln2_lo = 1.90821492927058770002e-10;
    const Int bits = (Int)x;
    Int exponent = ((bits >> 52) & 2047) - 1023;
    Vec m = (Vec)((bits & INT64_C(0x000fffffffffffff)) | INT64_C(0x3ff0000000000000));
    const Int upper = m > 1.4142135623730951;
    m = upper ? m * 0.5 : m;
    exponent -= upper;  // a true comparison is -1
    const Vec n = (Vec)((exponent + 4096) | INT64_C(0x4330000000000000)) - (4503599627370496.0 + 4096);
    const Vec s = (m - 1) / (m + 1), s2 = s * s;
    Vec p = broadcast(1.0 / 25);
    for (int k = 23; k >= 3; k -= 2) p = p * s2 + 1.0 / k;
    const Vec tail = p * s2 * s;
    return n * ln2_hi + (2 * s + (2 * tail + n * ln2_lo));
}

// (exp(x) - 1) / x in single precision for |x| <= 1/2: Taylor series.
PCS_FN inline Vec32 growth32(Vec32 x) {
    Vec32 p = broadcast32(1.0f / 40320);
    constexpr float series[] = {1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f};
    for (float c : series) p = p * x + c;
    return p;
}

// log10(x / 2^octaves) - less for a normal positive x, to 1 ulp or 5e-8: atanh series of the mantissa, as in log. What
// is subtracted cancels before anything is rounded.
PCS_FN inline Vec32 log10_32(Vec32 x, float less = 0, int octaves = 0) {
    constexpr float log10_2_hi = 0.301025390625f, log10_2_lo = 4.60503898e-6f, twice_log10_e = 0.868588964f;
    const Int32 bits = (Int32)x;
    Int32 exponent = (bits >> 23) - (127 + octaves);
    Vec32 m = (Vec32)((bits & 0x007fffff) | 0x3f800000);
    const Int32 upper = m > 1.41421356f;
    m = select(upper, m * 0.5f, m);
    exponent -= upper;  // a true comparison is -1
    const Vec32 s = (m - 1.0f) / (m + 1.0f), s2 = s * s;
    Vec32 p = broadcast32(1.0f / 9);
    constexpr float series[] = {1.0f / 7, 1.0f / 5, 1.0f / 3, 1.0f};
    for (float c : series) p = p * s2 + c;
    const Vec32 n = to_float(exponent);
    return (n * log10_2_hi - less) + (n * log10_2_lo + twice_log10_e * s * p);
}

// x between -limit and limit, in one instruction a side (GCC makes two of a comparison); NaN stays NaN.
PCS_FN inline Vec32 clamp32(Vec32 x, float limit) {
    const Vec32 low = broadcast32(-limit), high = broadcast32(limit);
#if defined(PCS_SCALAR) || defined(__clang__) || !defined(__SSE2__)
    x = select(x < low, low, x);
    return select(x > high, high, x);
#elif PCS_WIDTH == 8
    constexpr int all = -1, as_set = 4;  // every lane; the rounding mode stays
    return __builtin_ia32_minps512_mask(high, __builtin_ia32_maxps512_mask(low, x, x, all, as_set), x, all, as_set);
#elif PCS_WIDTH == 4
    return __builtin_ia32_minps256(high, __builtin_ia32_maxps256(low, x));
#else
    return __builtin_ia32_minps(high, __builtin_ia32_maxps(low, x));
#endif
}

// 2^x in single precision to 2e-7 for |x| <= 126, where it saturates: 2^n times a minimax polynomial on [-1/2, 1/2].
PCS_FN inline Vec32 exp2_32(Vec32 x) {
    constexpr float shifter = 12582912.0f;
    x = clamp32(x, 126.0f);
    const Vec32 shifted = x + shifter;
    const Vec32 f = x - (shifted - shifter);
    Vec32 p = broadcast32(1.32647204e-3f);
    constexpr float minimax[] = {9.67151302e-3f, 5.55073378e-2f, 0.240222421f, 0.693146978f, 1.0f};
    for (float c : minimax) p = p * f + c;
    return (Vec32)((Int32)p + ((Int32)shifted << 23));
}

// tanh in single precision to 1.5e-7, in double precision to 3e-16, absolute; tanh(0) = 0.
PCS_FN inline Vec32 tanh(Vec32 x) { return 1.0f - 2.0f / (1.0f + exp2_32(2.88539008f * x)); }
PCS_FN inline Vec tanh(Vec x) { return 1.0 - 2.0 / (1.0 + exp(2.0 * x)); }

// x / (1 + exp(-x)).
PCS_FN inline Vec32 silu(Vec32 x) { return x / (1.0f + exp2_32(-1.44269504f * x)); }
PCS_FN inline Vec silu(Vec x) { return x / (1.0 + exp(-x)); }

}  // namespace pcs::PCS_ISA
