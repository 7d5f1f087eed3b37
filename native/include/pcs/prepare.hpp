// Linearly implicit Euler steps of the real chemistry, before a jump's nets: stable whatever their length, and right
// for all that is fast or changes little. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/rosenbrock.hpp"

namespace pcs::PCS_ISA {

constexpr double x_most = 10;  // no abundance relative to H exceeds it: an implicit step that does has failed

// W cells at a time: x <- x + (I / h - J)^-1 f(x), f = gain - frequency x. A species that leaves (0, x_most] gets the
// step with gain and frequency frozen instead.
template <class Chemistry>
PCS_FN PCS_APART inline void prepare_cells(const PlanView& plan, const PrepareArrays& cells, void* workspace) {
    IntegratorWorkspace w;
    layout_of_steps<Chemistry>(plan, (char*)workspace, &w);
    const int S = plan.n_species;
    Vec *const gain = w.K[0], *const frequency = w.K[1], *const change = w.f;
    for (int first = 0; first < cells.n_cells; first += W) {
        const double* k = cells.k + (int64_t)(first / cells.block) * plan.n_rates * cells.block + first % cells.block;
        if constexpr (in_place<Chemistry>)
            w.k = (Vec*)k;
        else
            for (int r = 0; r < plan.n_rates; ++r) w.k[r] = load(k + r * cells.block);
        const Chemistry chemistry(plan, w.k, w.rate, w.factor);
        for (int i = 0; i < S; ++i) {
            const int at = i * cells.stride + first;
            w.x[i] = load(cells.x + at), gain[i] = load(cells.gain + at), frequency[i] = load(cells.frequency + at);
        }
        for (int step = 0; step < cells.n_shares; ++step) {
            const Vec h = load(cells.theta + first) * cells.shares[step];
            for (int i = 0; i < S; ++i) change[i] = gain[i] - frequency[i] * w.x[i];
            chemistry.factorise(w.x, 1.0 / h, w.M);
            chemistry.solve(w.M, change);
            for (int i = 0; i < S; ++i) {
                const Vec next = w.x[i] + change[i];
                const Vec frozen = min((w.x[i] + h * gain[i]) / (1.0 + h * frequency[i]), broadcast(x_most));
                w.x[i] = (next > 0.0) & (next <= x_most) ? next : frozen;
            }
            Chemistry::gain_and_frequency(plan, w.k, w.rate, w.x, gain, frequency, 1);
        }
        for (int i = 0; i < S; ++i) {
            const int at = i * cells.stride + first;
            store(cells.x + at, w.x[i]), store(cells.gain + at, gain[i]), store(cells.frequency + at, frequency[i]);
        }
    }
}

}  // namespace pcs::PCS_ISA
