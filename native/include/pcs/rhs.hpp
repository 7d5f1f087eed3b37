// The right-hand side and the partial derivatives of the rates, W cells at a time. SPDX-License-Identifier:
// BSD-3-Clause
#pragma once

#include "pcs/kernels.hpp"
#include "pcs/simd.hpp"

namespace pcs::PCS_ISA {

// Mass action: rate = k times its reactants.
PCS_FN inline void rates(const PlanView& plan, const Vec* k, const Vec* x, Vec* rate) {
    for (int g = 0; g < plan.n_groups; ++g) {
        const Group& group = plan.groups[g];
        const int32_t* a = plan.reactants + 3 * group.begin;
        for (int r = group.begin; r < group.end; ++r, a += 3) {
            Vec product = k[r] * x[a[0]];
            if (group.bodies > 1) product *= x[a[1]];
            if (group.bodies > 2) product *= x[a[2]];
            rate[r] = product;
        }
    }
}

PCS_FN inline Vec gather_sum(const Vec* value, const int32_t* entry, int begin, int end) {
    Vec sum = {};
    for (int e = begin; e < end; ++e) sum += value[entry[e]];
    return sum;
}

// dx/dt = production - loss.
PCS_FN PCS_APART inline void rhs(const PlanView& plan, const Vec* k, const Vec* x, Vec* rate, Vec* dxdt) {
    rates(plan, k, x, rate);
    for (int i = 0; i < plan.n_species; ++i) {
        const int32_t *gain = plan.gain + plan.gain_begin[i], *loss = plan.loss + plan.loss_begin[i];
        const int gains = plan.gain_begin[i + 1] - plan.gain_begin[i],
                  losses = plan.loss_begin[i + 1] - plan.loss_begin[i];
        const int both = gains < losses ? gains : losses;
        Vec gained = {}, lost = {};
        for (int e = 0; e < both; ++e) gained += rate[gain[e]], lost += rate[loss[e]];
        for (int e = both; e < gains; ++e) gained += rate[gain[e]];
        for (int e = both; e < losses; ++e) lost += rate[loss[e]];
        dxdt[i] = gained - lost;
    }
}

// d(rate)/dx_j. The first n_rates slots of `partial` are k itself, so that k and partial are one array.
PCS_FN inline void partials(const PlanView& plan, const Vec* x, Vec* partial) {
    Vec* slot = partial + plan.n_rates;
    for (int p = 0; p < plan.n_pairs; ++p) *slot++ = partial[plan.pair_rate[p]] * x[plan.pair_other[p]];
    for (int p = 0; p < plan.n_triples; ++p)
        *slot++ = partial[plan.triple_rate[p]] * x[plan.triple_other[2 * p]] * x[plan.triple_other[2 * p + 1]];
}

}  // namespace pcs::PCS_ISA
