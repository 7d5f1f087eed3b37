// The verdict: is the surrogate to be trusted with this cell? SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/cells.hpp"
#include "pcs/mlp.hpp"

namespace pcs::PCS_ISA {

// Whether a cell lies in the trained box; x are its fractions (species * stride).
inline bool inside_box(const PlanView& plan, const SurrogateView& s, const CellInput& cell, const double* x,
                       int stride) {
    const auto total = [&](int quantity) {
        double sum = 0;
        for (int i = 0; i < plan.n_species; ++i) sum += plan.composition[quantity * plan.n_species + i] * x[i * stride];
        return sum;
    };
    for (int k = 0; k < s.n_sides; ++k) {
        const BoxSide& side = s.sides[k];
        double value = 0;
        switch (side.kind) {
            case BoxKind::temperature:
                value = cell.temperature_K;
                break;
            case BoxKind::theta:
                value = cell.n_H * cell.dt_s;
                break;
            case BoxKind::condition_per_density:
                value = cell.conditions[side.index] / cell.n_H;
                break;
            case BoxKind::condition_times_dt:
                value = cell.conditions[side.index] * cell.dt_s;
                break;
            case BoxKind::element_ratio:
                value = total(side.index) / total(side.other);
                break;
            case BoxKind::net_charge:
                value = __builtin_fabs(total(side.index)) / x[s.electron * stride];
                break;
        }
        if (!(value >= side.low && value <= side.high)) return false;
    }
    return true;
}

}  // namespace pcs::PCS_ISA
