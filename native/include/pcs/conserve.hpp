// Elements and charge, exactly: x <- x exp(A^T lambda). SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/kernels.hpp"
#include "pcs/simd.hpp"

namespace pcs::PCS_ISA {

struct Defect {
    Vec before, after;  // max over quantities of |sum a (x - x0)| / sum |a| max(x, x0)
};

// Newton on the (elements + charge) equations A (x exp(A^T lambda)) = A x0, in double precision, lane by lane.
// Rows that are absent or depend on the others are skipped. `u` is scratch (species); lambda (conserved) is returned.
inline Defect conserve(const PlanView& plan, const Vec* x0, Vec* x, Vec* u, Vec* lambda) {
    const int S = plan.n_species, Q = plan.n_conserved;
    constexpr int newton_steps = 20;
    constexpr double nearly = 1e-8;  // Newton's method squares the defect: from here one more step reaches round-off
    constexpr double dependent = 1e-12, longest_step = 2.0;
    Vec target[max_conserved], residual[max_conserved];
    Vec gram[max_conserved * max_conserved];
    for (int q = 0; q < Q; ++q) target[q] = lambda[q] = Vec{};
    for (int i = 0; i < S; ++i)
        for (int e = plan.holds_begin[i]; e < plan.holds_begin[i + 1]; ++e)
            target[plan.holds[e]] += plan.holds_count[e] * x0[i];
    Defect defect{};
    Int done = {};
    for (int step = 0;; ++step) {
        Vec worst = {}, size[max_conserved];
        for (int q = 0; q < Q; ++q) residual[q] = size[q] = Vec{};
        for (int i = 0; i < S; ++i)
            for (int e = plan.holds_begin[i]; e < plan.holds_begin[i + 1]; ++e) {
                const int q = plan.holds[e];
                residual[q] += plan.holds_count[e] * x[i];  // the sum first
                size[q] += __builtin_fabs(plan.holds_count[e]) * max(x[i], x0[i]);
            }
        for (int q = 0; q < Q; ++q) {
            residual[q] = target[q] - residual[q];
            const Vec relative = abs(residual[q]) / max(size[q], broadcast(1e-300));
            worst = relative > worst ? relative : worst;
            worst = residual[q] == residual[q] ? worst : residual[q];  // a NaN must not look conserved
        }
        if (step == 0) defect.before = worst;
        defect.after = worst;
        if (step == newton_steps || !any(~done)) return defect;
        const Int moving = ~done;
        done |= worst <= nearly;

        // The Gram matrix A diag(x) A^T, Gaussian elimination with dependent rows skipped.
        for (int e = 0; e < Q * Q; ++e) gram[e] = Vec{};
        for (int i = 0; i < S; ++i)
            for (int e = plan.holds_begin[i]; e < plan.holds_begin[i + 1]; ++e)
                for (int d = plan.holds_begin[i]; d <= e; ++d)
                    gram[plan.holds[e] * Q + plan.holds[d]] += plan.holds_count[e] * plan.holds_count[d] * x[i];
        for (int q = 0; q < Q; ++q)
            for (int p = 0; p < q; ++p) gram[p * Q + q] = gram[q * Q + p];
        Vec original[max_conserved];
        for (int q = 0; q < Q; ++q) original[q] = gram[q * Q + q];
        for (int q = 0; q < Q; ++q) {
            const Int usable = gram[q * Q + q] > dependent * original[q];
            const Vec inverse = usable ? 1.0 / gram[q * Q + q] : Vec{};
            gram[q * Q + q] = inverse;
            for (int r = q + 1; r < Q; ++r) {
                const Vec factor = gram[r * Q + q] * inverse;
                for (int c = q + 1; c < Q; ++c) gram[r * Q + c] -= factor * gram[q * Q + c];
                residual[r] -= factor * residual[q];
            }
        }
        for (int q = Q - 1; q >= 0; --q) {
            Vec value = residual[q];
            for (int c = q + 1; c < Q; ++c) value -= gram[q * Q + c] * residual[c];
            residual[q] = value * gram[q * Q + q];
        }
        Vec longest = {};
        for (int i = 0; i < S; ++i) {
            u[i] = Vec{};
            for (int e = plan.holds_begin[i]; e < plan.holds_begin[i + 1]; ++e)
                u[i] += plan.holds_count[e] * residual[plan.holds[e]];
            longest = max(abs(u[i]), longest);
        }
        Vec damping = longest > longest_step ? longest_step / longest : broadcast(1.0);
        damping = moving ? damping : Vec{};  // a lane that is done stays as it is, whatever its neighbours do
        for (int q = 0; q < Q; ++q) lambda[q] += damping * residual[q];
        for (int i = 0; i < S; ++i) x[i] = moving ? x[i] * exp(damping * u[i]) : x[i];
    }
}

}  // namespace pcs::PCS_ISA
