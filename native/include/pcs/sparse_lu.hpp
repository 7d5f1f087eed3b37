// Sparse LU with a static order and no pivoting, W matrices at a time. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/jacobian.hpp"

namespace pcs::PCS_ISA {

constexpr int lu_block = W == 8 || W == 1 ? lu_tile : 2;  // whose sums fit the registers

// The full block at the end of M, where large networks spend their time.
struct FullBlock {
    const PlanView& plan;
    int size = plan.n_species - plan.dense;
    template <class V>
    PCS_FN V* row(V* M, int r) const {
        return M + plan.row_begin[plan.dense + r + 1] - size;
    }
};

// Scratch of the factorisation.
struct FactorScratch {
    Vec* row;    // (species): a row spread out
    Vec* left;   // (most_left, lu_tile): rows of L left of the full block, `lu_tile` side by side
    Vec* upper;  // (n_upper, lu_tile): U above the full block; what is not filled stays 0

    PCS_FN static size_t length(const PlanView& plan) {
        return plan.n_species + lu_tile * (plan.most_left + plan.n_upper);
    }
    PCS_FN FactorScratch(const PlanView& plan, Vec* memory)
        : row(memory), left(row + plan.n_species), upper(left + lu_tile * plan.most_left) {
        for (int u = 0; u < lu_tile * plan.n_upper; ++u) upper[u] = Vec{};
    }
};

// Rows I.. and columns J.. of the full block: minus L U of the sparse rows above (panels) and of the full block itself.
// lu_block x lu_block sums stay in registers, so that each number loaded serves several multiplications.
PCS_FN inline void factorise_block(const PlanView& plan, Vec* M, int I, int J, const Vec* left_panel,
                                   const Vec* upper_panel) {
    const FullBlock full{plan};
    const auto row = [&](int r) { return full.row(M, r); };
    Vec t[lu_block][lu_block];
    const Vec* left[lu_block];
    for (int i = 0; i < lu_block; ++i) {
        left[i] = row(I + i);
        for (int j = 0; j < lu_block; ++j) t[i][j] = left[i][J + j];
    }
    const int tiles = I / lu_tile * (full.size / lu_tile) + J / lu_tile;
    const Vec *left_of = left_panel + I % lu_tile,
              *upper_of = upper_panel + lu_tile * plan.upper_begin[J / lu_tile] + J % lu_tile;
    for (int p = plan.shared_begin[tiles]; p < plan.shared_begin[tiles + 1]; ++p) {
        const Vec *l = left_of + lu_tile * plan.shared[p].left, *u = upper_of + lu_tile * plan.shared[p].upper;
        for (int i = 0; i < lu_block; ++i)
            for (int j = 0; j < lu_block; ++j) t[i][j] -= l[i] * u[j];
    }
    for (int k = 0; k < (I < J ? I : J); ++k) {
        const Vec* upper = row(k) + J;
        for (int i = 0; i < lu_block; ++i)
            for (int j = 0; j < lu_block; ++j) t[i][j] -= left[i][k] * upper[j];
    }
    if (J < I) {  // t becomes L: t U = sums, with the block of U on the diagonal
        for (int j = 0; j < lu_block; ++j)
            for (int i = 0; i < lu_block; ++i) {
                for (int p = 0; p < j; ++p) t[i][j] -= t[i][p] * row(J + p)[J + j];
                t[i][j] *= row(J + j)[J + j];
            }
    } else if (J > I) {  // t becomes U: L t = sums
        for (int i = 1; i < lu_block; ++i)
            for (int p = 0; p < i; ++p)
                for (int j = 0; j < lu_block; ++j) t[i][j] -= left[i][I + p] * t[p][j];
    } else {
        for (int p = 0; p < lu_block; ++p) {
            t[p][p] = 1.0 / t[p][p];
            for (int i = p + 1; i < lu_block; ++i) {
                t[i][p] *= t[p][p];
                for (int j = p + 1; j < lu_block; ++j) t[i][j] -= t[i][p] * t[p][j];
            }
        }
    }
    for (int i = 0; i < lu_block; ++i)
        for (int j = 0; j < lu_block; ++j) row(I + i)[J + j] = t[i][j];
}

// The sparse rows, one by one: row i is spread out in `work`, so that rows above are subtracted by their column lists.
PCS_FN inline void factorise_sparse(const PlanView& plan, const Vec* partial, Vec shift, Vec* M, Vec* work) {
    for (int i = 0; i < plan.dense; ++i) {
        const int diagonal = plan.diagonal[i], end = plan.row_begin[i + 1];
        for (int e = plan.row_begin[i]; e < end; ++e) work[plan.column[e]] = Vec{};
        add_terms(plan, partial, 2 * i, work);
        work[i] += shift;
        for (int e = plan.row_begin[i]; e < diagonal; ++e) {
            const int above = plan.column[e];
            const Vec factor = work[above] * M[plan.diagonal[above]];
            M[e] = factor;
            for (int u = plan.diagonal[above] + 1; u < plan.row_begin[above + 1]; ++u)
                work[plan.column[u]] -= factor * M[u];
        }
        work[i] = 1.0 / work[i];
        for (int e = diagonal; e < end; ++e) M[e] = work[plan.column[e]];
    }
}

// The I-th `lu_tile` rows of the full block assembled, and their L left of it: in M, and side by side in `panel`
// (pivots, lu_tile), where they share each number of U that is loaded.
PCS_FN inline void eliminate_left(const PlanView& plan, const Vec* partial, Vec shift, int I, Vec* M, Vec* panel) {
    const int size = plan.n_species - plan.dense, first = plan.dense + lu_tile * I;
    const int begin = plan.left_begin[I], end = plan.left_begin[I + 1];
    for (int p = 0; p < lu_tile * (end - begin); ++p) panel[p] = Vec{};
    for (int i = first; i < first + lu_tile; ++i) {
        Vec* full = M + plan.row_begin[i + 1] - size;
        for (int j = 0; j < size; ++j) full[j] = Vec{};
        add_terms(plan, partial, 2 * i, panel);
        add_terms(plan, partial, 2 * i + 1, full);
        full[i - plan.dense] += shift;
    }
    for (int p = begin; p < end; ++p) {
        const Vec* upper = M + plan.diagonal[plan.left_pivot[p]];
        Vec *pivot = panel + lu_tile * (p - begin), factor[lu_tile];
        for (int i = 0; i < lu_tile; ++i) pivot[i] = factor[i] = pivot[i] * *upper;
        for (int u = plan.update_begin[p]; u < plan.update_begin[p + 1]; ++u) {
            Vec* to = panel + plan.update[u];
            ++upper;
            for (int i = 0; i < lu_tile; ++i) to[i] -= factor[i] * *upper;
        }
    }
    for (int i = first; i < first + lu_tile; ++i) {
        for (int e = plan.row_begin[i]; e < plan.row_begin[i + 1] - size; ++e) M[e] = panel[plan.place[e]];
    }
}

// M becomes the factors of shift - J (Doolittle): L has a unit diagonal, the diagonal of U is stored as its inverse.
PCS_FN PCS_APART inline void factorise(const PlanView& plan, const Vec* partial, Vec shift, Vec* M,
                                       const FactorScratch& scratch) {
    factorise_sparse(plan, partial, shift, M, scratch.row);
    for (int u = 0; u < plan.n_upper_entries; ++u) scratch.upper[plan.upper_place[u]] = M[plan.upper_entry[u]];
    const int size = plan.n_species - plan.dense;
    for (int I = 0; I < size; I += lu_tile) {
        eliminate_left(plan, partial, shift, I / lu_tile, M, scratch.left);
        for (int half = I; half < I + lu_tile; half += lu_block)
            for (int J = 0; J < size; J += lu_block) factorise_block(plan, M, half, J, scratch.left, scratch.upper);
    }
}

// b becomes the solution of L U y = b. In the full block `lu_tile` rows go together: each b loaded serves all of them.
PCS_FN PCS_APART inline void solve(const PlanView& plan, const Vec* M, Vec* b) {
    const FullBlock full{plan};
    Vec *c = b + plan.dense, value[lu_tile];
    const Vec* row[lu_tile];
    for (int i = 0; i < plan.n_species; ++i) {
        const int end = i < plan.dense ? plan.diagonal[i] : plan.row_begin[i + 1] - full.size;
        Vec sum = b[i];
        for (int e = plan.row_begin[i]; e < end; ++e) sum -= M[e] * b[plan.column[e]];
        b[i] = sum;
    }
    for (int I = 0; I < full.size; I += lu_tile) {
        for (int i = 0; i < lu_tile; ++i) row[i] = full.row(M, I + i), value[i] = c[I + i];
        for (int k = 0; k < I; ++k)
            for (int i = 0; i < lu_tile; ++i) value[i] -= row[i][k] * c[k];
        for (int i = 0; i < lu_tile; ++i) {
            for (int p = 0; p < i; ++p) value[i] -= row[i][I + p] * value[p];
            c[I + i] = value[i];
        }
    }
    for (int I = full.size - lu_tile; I >= 0; I -= lu_tile) {
        for (int i = 0; i < lu_tile; ++i) row[i] = full.row(M, I + i), value[i] = c[I + i];
        for (int k = I + lu_tile; k < full.size; ++k)
            for (int i = 0; i < lu_tile; ++i) value[i] -= row[i][k] * c[k];
        for (int i = lu_tile - 1; i >= 0; --i) {
            for (int p = i + 1; p < lu_tile; ++p) value[i] -= row[i][I + p] * value[p];
            value[i] *= row[i][I + i];
            c[I + i] = value[i];
        }
    }
    for (int i = plan.dense - 1; i >= 0; --i) {
        Vec sum = b[i];
        for (int e = plan.diagonal[i] + 1; e < plan.row_begin[i + 1]; ++e) sum -= M[e] * b[plan.column[e]];
        b[i] = sum * M[plan.diagonal[i]];
    }
}

}  // namespace pcs::PCS_ISA
