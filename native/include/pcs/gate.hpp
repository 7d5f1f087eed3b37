// The verdict: is the surrogate to be trusted with this cell? SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/cells.hpp"
#include "pcs/mlp.hpp"

namespace pcs::PCS_ISA {

inline bool inside(const BoxSide& side, double value) { return value >= side.low && value <= side.high; }

// Whether a cell lies between the box's sides that bound its state and its surroundings; x are its fractions (species *
// stride).
inline bool state_inside(const PlanView& plan, const SurrogateView& s, const CellInput& cell, const double* x,
                         int stride) {
    const auto total = [&](int quantity) {
        double sum = 0;
        for (int e = plan.held_begin[quantity]; e < plan.held_begin[quantity + 1]; ++e)
            sum += plan.held_count[e] * x[plan.held[e] * stride];
        return sum;
    };
    for (int k = 0; k < s.n_sides; ++k) {
        const BoxSide& side = s.sides[k];
        double value = 0;
        switch (side.kind) {
            case BoxKind::temperature:
                value = cell.temperature_K;
                break;
            case BoxKind::condition_per_density:
                value = cell.conditions[side.index] / cell.n_H;
                break;
            case BoxKind::element_ratio:
                value = total(side.index) / total(side.other);
                break;
            case BoxKind::net_charge:
                value = __builtin_fabs(total(side.index)) / x[s.electron * stride];
                break;
            case BoxKind::abundance:
                value = x[side.index * stride];
                break;
            case BoxKind::theta:
            case BoxKind::condition_times_dt:
                continue;
        }
        if (!inside(side, value)) return false;
    }
    return true;
}

// ... and between those that bound the time.
inline bool time_inside(const SurrogateView& s, const CellInput& cell) {
    for (int k = 0; k < s.n_sides; ++k) {
        const BoxSide& side = s.sides[k];
        if (side.kind == BoxKind::theta && !inside(side, cell.n_H * cell.dt_s)) return false;
        if (side.kind == BoxKind::condition_times_dt && !inside(side, cell.conditions[side.index] * cell.dt_s))
            return false;
    }
    return true;
}

// The verdict on a column of a tile: projected onto its elements and charge, and the predicted error, where the map
// predicts one, below the threshold.
inline bool trusted(const SurrogateView& s, const SurrogateSettings& settings, bool projected, const float* score,
                    int column) {
    return projected && (!settings.use_gate || !score || score[column] < s.threshold);
}

}  // namespace pcs::PCS_ISA
