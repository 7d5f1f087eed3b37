// The matrix of an implicit step. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/rhs.hpp"

namespace pcs::PCS_ISA {

// M = I / (gamma h) - J on the pattern of its factors; `partial` as left by partials().
inline void implicit_matrix(const PlanView& plan, const Vec* partial, Vec inverse_gamma_h, Vec* M) {
    for (int e = 0; e < plan.n_entries; ++e)
        M[e] = gather_sum(partial, plan.minus, plan.minus_begin[e], plan.minus_begin[e + 1]) -
               gather_sum(partial, plan.plus, plan.plus_begin[e], plan.plus_begin[e + 1]);
    for (int i = 0; i < plan.n_species; ++i) M[plan.diagonal[i]] += inverse_gamma_h;
}

}  // namespace pcs::PCS_ISA
