// The program of the rate laws that are formulas (pychemsurrogate/network/formula/program.py).
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/kernels.hpp"
#include "pcs/simd.hpp"

namespace pcs::PCS_ISA {

// log and exp of any number: what is out of range says so, as elsewhere, instead of saturating.
PCS_FN inline Vec log_of_any(Vec x) {
    constexpr double smallest_normal = 2.2250738585072014e-308, octaves = 54, ln2 = 0.69314718055994531;
    const Int tiny = x < smallest_normal;
    Vec value = log(tiny ? x * 0x1p54 : x) - (tiny ? broadcast(octaves * ln2) : Vec{});
    value = x == 0.0 ? broadcast(-__builtin_inf()) : x < 0.0 ? broadcast(__builtin_nan("")) : value;
    return x < __builtin_inf() ? value : x;  // infinity and NaN stay
}
PCS_FN inline Vec exp_of_any(Vec x) {
    constexpr double largest = 708.0;
    return x > largest ? broadcast(__builtin_inf()) : x < -largest ? Vec{} : exp(x);
}

// What formulas read, W cells side by side.
struct FormulaInput {
    Vec temperature_K, n_H;
    const Vec* conditions;
};

// All values of the program (plan.n_values). Not inlined, so that its bits are the same wherever it is called.
PCS_FN inline __attribute__((noinline)) void evaluate(const PlanView& plan, const FormulaInput& input, Vec* value) {
    const auto where = [](Int condition) { return condition ? broadcast(1.0) : Vec{}; };
    for (int i = 0; i < plan.n_values; ++i) {
        const Instruction& next = plan.program[i];
        const int a = next.a, b = next.b, c = next.c;
        switch (next.operation) {
            case Operation::constant:
                value[i] = broadcast(plan.constants[a]);
                break;
            case Operation::temperature:
                value[i] = input.temperature_K;
                break;
            case Operation::density:
                value[i] = input.n_H;
                break;
            case Operation::condition:
                value[i] = input.conditions[a];
                break;
            case Operation::add:
                value[i] = value[a] + value[b];
                break;
            case Operation::subtract:
                value[i] = value[a] - value[b];
                break;
            case Operation::multiply:
                value[i] = value[a] * value[b];
                break;
            case Operation::divide:
                value[i] = value[a] / value[b];
                break;
            case Operation::exp:
                value[i] = exp_of_any(value[a]);
                break;
            case Operation::log:
                value[i] = log_of_any(value[a]);
                break;
            case Operation::sqrt:
                value[i] = sqrt(value[a]);
                break;
            case Operation::abs:
                value[i] = abs(value[a]);
                break;
            case Operation::min:
                value[i] = min(value[a], value[b]);
                break;
            case Operation::max:
                value[i] = max(value[a], value[b]);
                break;
            case Operation::less:
                value[i] = where(value[a] < value[b]);
                break;
            case Operation::less_equal:
                value[i] = where(value[a] <= value[b]);
                break;
            case Operation::equal:
                value[i] = where(value[a] == value[b]);
                break;
            case Operation::select:
                value[i] = value[a] != 0.0 ? value[b] : value[c];
                break;
        }
    }
}

// The number of the value that a shape of a formula's law is: its second parameter.
PCS_FN inline int value_of_shape(const PlanView& plan, int shape) {
    return (int)plan.parameters[plan.n_shapes + shape];
}

// The lanes in which a formula's coefficient, per power of n_H, is negative or not finite: no cell for any path.
PCS_FN inline Int without_rates(const PlanView& plan, const Vec* value) {
    Int good = ~Int{};
    for (int g = 0; g < plan.n_groups; ++g) {
        const Group& group = plan.groups[g];
        for (int r = group.begin; is_formula(group.law) && r < group.end; ++r) {
            const Vec k = plan.strength[r] * value[value_of_shape(plan, plan.shape[r])];
            good &= (k >= 0.0) & (k <= 1e300);  // false for NaN
        }
    }
    return ~good;
}

}  // namespace pcs::PCS_ISA
