// Elements and charge, exactly: x <- x exp(A^T lambda). SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/kernels.hpp"
#include "pcs/simd.hpp"

namespace pcs::PCS_ISA {

struct Defect {
    Vec before, after;  // max over quantities of |sum a (x - x0)| / sum |a| max(x, x0)
};

PCS_FN inline Vec held_sum(const PlanView& plan, int q, const Vec* x) {
    Vec sum = {};
    for (int e = plan.held_begin[q]; e < plan.held_begin[q + 1]; ++e) sum += plan.held_count[e] * x[plan.held[e]];
    return sum;
}

PCS_FN inline Vec relative_defect(const PlanView& plan, const Vec* x0, const Vec* x, const Vec* residual) {
    Vec worst = {};
    for (int q = 0; q < plan.n_conserved; ++q) {
        Vec size = {};
        for (int e = plan.held_begin[q]; e < plan.held_begin[q + 1]; ++e)
            size += __builtin_fabs(plan.held_count[e]) * max(x[plan.held[e]], x0[plan.held[e]]);
        const Vec relative = abs(residual[q]) / max(size, broadcast(1e-300));
        worst = relative > worst ? relative : worst;
        worst = residual[q] == residual[q] ? worst : residual[q];  // a NaN must not look conserved
    }
    return worst;
}

// Solves gram y = right in place for a symmetric positive matrix whose lower triangle is given (and spent), by
// elimination; rows that are absent or depend on those before them get y = 0.
template <int fixed>
PCS_FN inline void solve_gram(int n_conserved, Vec* gram, Vec* right) {
    const int Q = fixed > 0 ? fixed : n_conserved;
    constexpr double dependent = 1e-12;  // of a diagonal, left after elimination
    Vec original[fixed > 0 ? fixed : max_conserved];
    for (int q = 0; q < Q; ++q) original[q] = gram[q * Q + q];
    for (int q = 0; q < Q; ++q) {
        const Vec pivot = gram[q * Q + q];
        const Vec inverse = pivot > dependent * original[q] ? 1.0 / pivot : Vec{};
        gram[q * Q + q] = inverse;
        for (int r = q + 1; r < Q; ++r) {
            const Vec factor = gram[r * Q + q] * inverse;
            for (int c = q + 1; c <= r; ++c) gram[r * Q + c] -= factor * gram[c * Q + q];
            right[r] -= factor * right[q];
        }
    }
    for (int q = Q - 1; q >= 0; --q) {
        Vec value = right[q];
        for (int r = q + 1; r < Q; ++r) value -= gram[r * Q + q] * right[r];
        right[q] = value * gram[q * Q + q];
    }
}

namespace newton {
constexpr int most_steps = 20;
// A step u in ln x leaves a relative defect below u^2 exp(|u|) / 2: after one this short there is only round-off.
constexpr double last_step = 1e-7;
constexpr double longest_step = 2.0;
// Gas that is neutral but for round-off becomes neutral: else the round-off of many ions would add up over calls, and
// be a net charge once they have recombined.
constexpr double neutral = 5e-13;
}  // namespace newton

// Newton on the (elements + charge) equations A (x exp(A^T lambda)) = A x0, in double precision, lane by lane.
// Rows that are absent or depend on the others are skipped. lambda (conserved) is returned; `factor` is scratch
// (n_counts): a species' exp(A^T lambda) is the product of one factor for every quantity that it holds.
// fixed: the number of conserved quantities, where the compiler is to know it; else 0. lent: room for a matrix of them,
// where `lends` says so.
template <int fixed, bool lends = false>
PCS_FN inline Defect conserve_by(const PlanView& plan, const Vec* x0, Vec* x, Vec* factor, Vec* lambda,
                                 [[maybe_unused]] Vec* lent = nullptr) {
    const int S = plan.n_species, Q = fixed > 0 ? fixed : plan.n_conserved;
    using namespace newton;
    constexpr int most = fixed > 0 ? fixed : max_conserved;
    Vec target[most], residual[most], own[lends ? 1 : most * most];
    Vec* const gram = lends ? lent : own;
    for (int q = 0; q < Q; ++q) target[q] = held_sum(plan, q, x0), lambda[q] = Vec{};
    Vec charges = {};
    for (int e = plan.held_begin[Q - 1]; e < plan.held_begin[Q]; ++e)
        charges += __builtin_fabs(plan.held_count[e]) * x0[plan.held[e]];
    target[Q - 1] = abs(target[Q - 1]) <= neutral * charges ? Vec{} : target[Q - 1];
    Defect defect{};
    Int moving = ~Int{};
    for (int step = 0;; ++step) {
        for (int q = 0; q < Q; ++q) residual[q] = target[q] - held_sum(plan, q, x);  // the sum first
        if (step == 0) defect.before = relative_defect(plan, x0, x, residual);
        if (step == most_steps || !any(moving)) {
            defect.after = relative_defect(plan, x0, x, residual);
            return defect;
        }
        for (int q = 0, pair = 0; q < Q; ++q) {
            for (int p = 0; p < q; ++p, ++pair) {
                Vec sum = {};
                for (int e = plan.both_begin[pair]; e < plan.both_begin[pair + 1]; ++e)
                    sum += plan.both_count[e] * x[plan.both[e]];
                gram[q * Q + p] = sum;
            }
            Vec sum = {};
            for (int e = plan.held_begin[q]; e < plan.held_begin[q + 1]; ++e)
                sum += plan.held_count[e] * plan.held_count[e] * x[plan.held[e]];
            gram[q * Q + q] = sum;
        }
        solve_gram<fixed>(Q, gram, residual);

        Vec bound = {};  // on the step in ln x
        for (int q = 0; q < Q; ++q) bound += plan.most_held[q] * abs(residual[q]);
        Vec damping = broadcast(1.0);
        if (any(bound > longest_step)) {
            Vec longest = {};
            for (int i = 0; i < S; ++i) {
                Vec u = {};
                for (int e = plan.counts_begin[i]; e < plan.counts_begin[i + 1]; ++e)
                    u += plan.count[plan.counts[e]] * residual[plan.count_of[plan.counts[e]]];
                longest = max(abs(u), longest);
            }
            damping = (bound > longest_step) & (longest > longest_step) ? longest_step / longest : damping;
        }
        for (int q = 0; q < Q; ++q) {
            residual[q] = moving ? damping * residual[q] : Vec{};  // a lane that is done stays as it is
            lambda[q] += residual[q];
        }
        for (int f = 0; f < plan.n_counts; ++f) factor[f] = exp(plan.count[f] * residual[plan.count_of[f]]);
        for (int i = 0; i < S; ++i) {
            Vec moved = x[i];
            for (int e = plan.counts_begin[i]; e < plan.counts_begin[i + 1]; ++e) moved *= factor[plan.counts[e]];
            x[i] = moved;
        }
        moving &= ~(bound <= last_step);
    }
}

PCS_FN PCS_APART inline Defect conserve(const PlanView& plan, const Vec* x0, Vec* x, Vec* factor, Vec* lambda,
                                        [[maybe_unused]] Vec* lent = nullptr) {
    // H, C, O and charge: unrolled loops over four quantities take a fifth off.
    if (plan.n_conserved == 4) return conserve_by<4>(plan, x0, x, factor, lambda);
    if constexpr (W == 1)
        return conserve_by<0, true>(plan, x0, x, factor, lambda, lent);
    else
        return conserve_by<0>(plan, x0, x, factor, lambda);
}

}  // namespace pcs::PCS_ISA
