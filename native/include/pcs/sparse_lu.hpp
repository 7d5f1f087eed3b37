// Sparse LU with a static order and no pivoting, W matrices at a time. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/kernels.hpp"
#include "pcs/simd.hpp"

namespace pcs::PCS_ISA {

// In place, row by row (Doolittle): L has a unit diagonal, the diagonal of U is stored as its inverse.
inline void factorise(const PlanView& plan, Vec* M) {
    for (int i = 0; i < plan.n_species; ++i)
        for (int e = plan.row_begin[i]; e < plan.row_begin[i + 1]; ++e) {
            Vec value = M[e];
            for (int p = plan.product_begin[e]; p < plan.product_begin[e + 1]; ++p)
                value -= M[plan.product_left[p]] * M[plan.product_right[p]];
            if (e < plan.diagonal[i])
                value *= M[plan.diagonal[plan.column[e]]];
            else if (e == plan.diagonal[i])
                value = 1.0 / value;
            M[e] = value;
        }
}

// b becomes the solution of L U y = b.
inline void solve(const PlanView& plan, const Vec* M, Vec* b) {
    for (int i = 0; i < plan.n_species; ++i) {
        Vec value = b[i];
        for (int e = plan.row_begin[i]; e < plan.diagonal[i]; ++e) value -= M[e] * b[plan.column[e]];
        b[i] = value;
    }
    for (int i = plan.n_species - 1; i >= 0; --i) {
        Vec value = b[i];
        for (int e = plan.diagonal[i] + 1; e < plan.row_begin[i + 1]; ++e) value -= M[e] * b[plan.column[e]];
        b[i] = value * M[plan.diagonal[i]];
    }
}

}  // namespace pcs::PCS_ISA
