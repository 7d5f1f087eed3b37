// Sparse LU with a static order and no pivoting, W matrices at a time. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/jacobian.hpp"

namespace pcs::PCS_ISA {

// LU of the trailing dense block, whose rows lie at the ends of the last rows of M: tiles of block x block sums in
// registers, so that each number loaded serves several multiplications. This is where large networks spend their time.
inline void factorise_dense(const PlanView& plan, Vec* M) {
    constexpr int block = W == 8 ? 4 : 2;
    const int size = plan.n_species - plan.dense;
    const auto row = [&](int r) { return M + plan.row_begin[plan.dense + r + 1] - size; };
    for (int I = 0; I < size; I += block)
        for (int J = 0; J < size; J += block) {
            Vec t[block][block];
            const Vec* left[block];
            for (int i = 0; i < block; ++i) {
                left[i] = row(I + i);
                for (int j = 0; j < block; ++j) t[i][j] = left[i][J + j];
            }
            for (int k = 0; k < (I < J ? I : J); ++k) {
                const Vec* upper = row(k) + J;
                for (int i = 0; i < block; ++i)
                    for (int j = 0; j < block; ++j) t[i][j] -= left[i][k] * upper[j];
            }
            if (J < I) {  // t becomes L: t U = sums, with the tile of U on the diagonal
                for (int j = 0; j < block; ++j)
                    for (int i = 0; i < block; ++i) {
                        for (int p = 0; p < j; ++p) t[i][j] -= t[i][p] * row(J + p)[J + j];
                        t[i][j] *= row(J + j)[J + j];
                    }
            } else if (J > I) {  // t becomes U: L t = sums
                for (int i = 1; i < block; ++i)
                    for (int p = 0; p < i; ++p)
                        for (int j = 0; j < block; ++j) t[i][j] -= left[i][I + p] * t[p][j];
            } else {
                for (int p = 0; p < block; ++p) {
                    t[p][p] = 1.0 / t[p][p];
                    for (int i = p + 1; i < block; ++i) {
                        t[i][p] *= t[p][p];
                        for (int j = p + 1; j < block; ++j) t[i][j] -= t[i][p] * t[p][j];
                    }
                }
            }
            for (int i = 0; i < block; ++i)
                for (int j = 0; j < block; ++j) row(I + i)[J + j] = t[i][j];
        }
}

// M becomes the factors of shift - J (Doolittle): L has a unit diagonal, the diagonal of U is stored as its inverse.
// Row by row as far as M is sparse: a row is assembled and spread out in `work` (species), so that rows above are
// subtracted by their own column lists.
inline void factorise(const PlanView& plan, const Vec* partial, Vec shift, Vec* M, Vec* work) {
    for (int i = 0; i < plan.n_species; ++i) {
        const int begin = plan.row_begin[i], diagonal = plan.diagonal[i], end = plan.row_begin[i + 1];
        implicit_row(plan, partial, shift, i, work);
        int e = begin;
        for (; e < diagonal && plan.column[e] < plan.dense; ++e) {
            const int above = plan.column[e];
            const Vec factor = work[above] * M[plan.diagonal[above]];
            M[e] = factor;
            for (int u = plan.diagonal[above] + 1; u < plan.row_begin[above + 1]; ++u)
                work[plan.column[u]] -= factor * M[u];
        }
        if (i < plan.dense) work[i] = 1.0 / work[i];
        for (; e < end; ++e) M[e] = work[plan.column[e]];
    }
    factorise_dense(plan, M);
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
