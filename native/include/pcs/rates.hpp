// Rate coefficients: one function a law. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/kernels.hpp"
#include "pcs/simd.hpp"

namespace pcs::PCS_ISA {

// k = alpha (T / 300 K)^beta exp(-gamma / T): the modified Arrhenius (Kooij 1893) form.
template <class A, class T>
inline Vec arrhenius(A alpha, A beta, A gamma, T log_T300, T inverse_T) {
    return alpha * exp(beta * log_T300 - gamma * inverse_T);
}

// k = alpha zeta, zeta the cosmic-ray ionisation rate per H2 molecule.
template <class A, class T>
inline Vec cosmic_ray(A alpha, T zeta) {
    return alpha * zeta;
}

// The coefficients of one cell for its fractions x = n / n_H: k n_H^(bodies - 1), all in 1/s. Vectors run over
// reactions.
inline void rate_coefficients(const PlanView& plan, double temperature_K, const double* conditions, double n_H,
                              double* k) {
    const double log_T300 = log(broadcast(temperature_K / 300.0))[0], inverse_T = 1.0 / temperature_K;
    for (int g = 0; g < plan.n_groups; ++g) {
        const Group& group = plan.groups[g];
        double scale = 1.0;
        for (int body = 1; body < group.bodies; ++body) scale *= n_H;
        const double condition = group.condition < 0 ? 1.0 : conditions[group.condition];
        for (int r = group.begin; r < group.end; r += W) {
            const Vec alpha = load(plan.alpha + r);
            const Vec rate = group.law == 0
                                 ? arrhenius(alpha, load(plan.beta + r), load(plan.gamma + r), log_T300, inverse_T)
                                 : cosmic_ray(alpha, condition);
            store(k + r, rate * scale);
        }
    }
}

// The coefficients of W cells in the reduced form, per unit n_H dt: conditions are divided by n_H, so one- and two-body
// coefficients lose their n_H alike (the network has that symmetry, or it has no surrogate).
inline void rate_coefficients(const PlanView& plan, Vec temperature_K, const Vec* conditions, Vec* k) {
    const Vec log_T300 = log(temperature_K / 300.0), inverse_T = 1.0 / temperature_K;
    for (int g = 0; g < plan.n_groups; ++g) {
        const Group& group = plan.groups[g];
        for (int r = group.begin; r < group.end; ++r)
            k[r] = group.law == 0 ? arrhenius(plan.alpha[r], plan.beta[r], plan.gamma[r], log_T300, inverse_T)
                                  : cosmic_ray(plan.alpha[r], conditions[group.condition]);
    }
}

}  // namespace pcs::PCS_ISA
