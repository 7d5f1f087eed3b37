// Vectors of one lane, in the shape of simd.hpp's: what a thread of a GPU works on, and what any compiler understands.
// SPDX-License-Identifier: BSD-3-Clause
//
// A comparison gives 0 or -1 in every lane, as with GCC's vectors; one of doubles is a condition as well. A vector of
// floats has two lanes, as long as a double: where it decides, select() does.
#pragma once

#include <stdint.h>

namespace pcs::scalar {

constexpr int W = 1, W32 = 2;

// The same bits as another type of the same size.
template <class To, class From>
PCS_FN inline To same_bits(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    __builtin_memcpy(&to, &from, sizeof to);
    return to;
}

#define PCS_BINARY(type, op) \
    friend PCS_FN type operator op(type a, type b) { return type(a.value op b.value); }
#define PCS_ASSIGNING(type, op) \
    PCS_FN type& operator op##=(type b) { return value op## = b.value, *this; }
#define PCS_COMPARISON(type, op) \
    friend PCS_FN Int operator op(type a, type b) { return Int(-(int64_t)(a.value op b.value)); }

struct Vec;

struct Int {
    int64_t value;

    Int() = default;
    PCS_FN Int(int64_t a) : value(a) {}
    PCS_FN explicit operator bool() const { return value != 0; }
    PCS_FN explicit operator Vec() const;
    PCS_FN int64_t& operator[](int) { return value; }
    PCS_FN int64_t operator[](int) const { return value; }
    PCS_FN Int operator~() const { return Int(~value); }
    PCS_FN Int operator<<(int bits) const { return Int((int64_t)((uint64_t)value << bits)); }
    PCS_FN Int operator>>(int bits) const { return Int(value >> bits); }
    PCS_BINARY(Int, +)
    PCS_BINARY(Int, -)
    PCS_BINARY(Int, &)
    PCS_BINARY(Int, |)
    PCS_ASSIGNING(Int, -)
    PCS_ASSIGNING(Int, &)
};

struct Vec {
    double value;

    Vec() = default;
    PCS_FN Vec(double a) : value(a) {}
    PCS_FN explicit operator Int() const { return Int(same_bits<int64_t>(value)); }
    PCS_FN double& operator[](int) { return value; }
    PCS_FN double operator[](int) const { return value; }
    PCS_FN Vec operator-() const { return Vec(-value); }
    PCS_BINARY(Vec, +)
    PCS_BINARY(Vec, -)
    PCS_BINARY(Vec, *)
    PCS_BINARY(Vec, /)
    PCS_ASSIGNING(Vec, +)
    PCS_ASSIGNING(Vec, -)
    PCS_ASSIGNING(Vec, *)
    PCS_ASSIGNING(Vec, /)
    PCS_COMPARISON(Vec, <)
    PCS_COMPARISON(Vec, <=)
    PCS_COMPARISON(Vec, >)
    PCS_COMPARISON(Vec, >=)
    PCS_COMPARISON(Vec, ==)
    PCS_COMPARISON(Vec, !=)
};

PCS_FN inline Int::operator Vec() const { return Vec(same_bits<double>(value)); }

#undef PCS_BINARY
#undef PCS_ASSIGNING
#undef PCS_COMPARISON

#define PCS_BINARY(type, op) \
    friend PCS_FN type operator op(type a, type b) { return type(a.lower op b.lower, a.upper op b.upper); }
#define PCS_ASSIGNING(type, op) \
    PCS_FN type& operator op##=(type b) { return lower op## = b.lower, upper op## = b.upper, *this; }
#define PCS_COMPARISON(type, op) \
    friend PCS_FN Int32 operator op(type a, type b) { return Int32(-(a.lower op b.lower), -(a.upper op b.upper)); }

struct Vec32;

struct alignas(8) Int32 {
    int32_t lower, upper;

    Int32() = default;
    PCS_FN Int32(int32_t a) : lower(a), upper(a) {}
    PCS_FN Int32(int32_t a, int32_t b) : lower(a), upper(b) {}
    PCS_FN explicit operator Vec32() const;
    PCS_FN Int32 operator<<(int bits) const {
        return Int32((int32_t)((uint32_t)lower << bits), (int32_t)((uint32_t)upper << bits));
    }
    PCS_FN Int32 operator>>(int bits) const { return Int32(lower >> bits, upper >> bits); }
    PCS_BINARY(Int32, +)
    PCS_BINARY(Int32, -)
    PCS_BINARY(Int32, &)
    PCS_BINARY(Int32, |)
    PCS_ASSIGNING(Int32, -)
};

struct alignas(8) Vec32 {
    float lower, upper;

    Vec32() = default;
    PCS_FN Vec32(float a) : lower(a), upper(a) {}
    PCS_FN Vec32(float a, float b) : lower(a), upper(b) {}
    PCS_FN explicit operator Int32() const { return Int32(same_bits<int32_t>(lower), same_bits<int32_t>(upper)); }
    PCS_FN float& operator[](int lane) { return lane == 0 ? lower : upper; }
    PCS_FN float operator[](int lane) const { return lane == 0 ? lower : upper; }
    PCS_FN Vec32 operator-() const { return Vec32(-lower, -upper); }
    PCS_BINARY(Vec32, +)
    PCS_BINARY(Vec32, -)
    PCS_BINARY(Vec32, *)
    PCS_BINARY(Vec32, /)
    PCS_ASSIGNING(Vec32, +)
    PCS_ASSIGNING(Vec32, -)
    PCS_ASSIGNING(Vec32, *)
    PCS_ASSIGNING(Vec32, /)
    PCS_COMPARISON(Vec32, <)
    PCS_COMPARISON(Vec32, >)
};

PCS_FN inline Int32::operator Vec32() const { return Vec32(same_bits<float>(lower), same_bits<float>(upper)); }

#undef PCS_BINARY
#undef PCS_ASSIGNING
#undef PCS_COMPARISON

// What GCC's vectors have built in.
PCS_FN inline Vec select(Int mask, Vec a, Vec b) { return mask ? a : b; }
PCS_FN inline Vec32 select(Int32 mask, Vec32 a, Vec32 b) {
    return Vec32(mask.lower ? a.lower : b.lower, mask.upper ? a.upper : b.upper);
}
PCS_FN inline Vec32 to_float(Int32 v) { return Vec32((float)v.lower, (float)v.upper); }
PCS_FN inline Vec widen(Vec32 v, int half) { return Vec((double)v[half]); }
PCS_FN inline Vec32 narrow(Vec lower, Vec upper) { return Vec32((float)lower.value, (float)upper.value); }

}  // namespace pcs::scalar
