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
    for (int q = 0; q < Q; ++q) {
        target[q] = lambda[q] = Vec{};
        for (int i = 0; i < S; ++i) target[q] += plan.composition[q * S + i] * x0[i];
    }
    Defect defect{};
    Int done = {};
    for (int step = 0;; ++step) {
        Vec worst = {};
        for (int q = 0; q < Q; ++q) {
            const double* a = plan.composition + q * S;
            Vec sum = {}, size = {};
            for (int i = 0; i < S; ++i) {
                sum += a[i] * x[i];
                size += __builtin_fabs(a[i]) * max(x[i], x0[i]);
            }
            residual[q] = target[q] - sum;
            const Vec relative = abs(residual[q]) / max(size, broadcast(1e-300));
            worst = relative > worst ? relative : worst;
            worst = residual[q] == residual[q] ? worst : residual[q];  // a NaN must not look conserved
        }
        if (step == 0) defect.before = worst;
        defect.after = worst;
        if (step == newton_steps || !any(~done)) return defect;
        const Int moving = ~done;
        done |= worst <= nearly;

        // The Gram matrix A diag(x) A^T, Gaussian elimination with dependent rows skipped.
        for (int q = 0; q < Q; ++q)
            for (int p = 0; p <= q; ++p) {
                Vec sum = {};
                for (int i = 0; i < S; ++i) {
                    const double product = plan.composition[q * S + i] * plan.composition[p * S + i];
                    if (product != 0) sum += product * x[i];
                }
                gram[q * Q + p] = gram[p * Q + q] = sum;
            }
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
            for (int q = 0; q < Q; ++q) u[i] += plan.composition[q * S + i] * residual[q];
            longest = max(abs(u[i]), longest);
        }
        Vec damping = longest > longest_step ? longest_step / longest : broadcast(1.0);
        damping = moving ? damping : Vec{};  // a lane that is done stays as it is, whatever its neighbours do
        for (int q = 0; q < Q; ++q) lambda[q] += damping * residual[q];
        for (int i = 0; i < S; ++i) x[i] = moving ? x[i] * exp(damping * u[i]) : x[i];
    }
}

}  // namespace pcs::PCS_ISA
