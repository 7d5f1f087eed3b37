// The verdict: is the surrogate to be trusted with this cell? SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/cells.hpp"
#include "pcs/mlp.hpp"

namespace pcs::PCS_ISA {

// x: the cell's fractions (species * stride).
PCS_FN inline double value_of(const Quantity& quantity, const PlanView& plan, const SurrogateView& s,
                              const CellInput& cell, const double* x, int stride) {
    const auto total = [&](int conserved) {
        double sum = 0;
        for (int e = plan.held_begin[conserved]; e < plan.held_begin[conserved + 1]; ++e)
            sum += plan.held_count[e] * x[plan.held[e] * stride];
        return sum;
    };
    switch (quantity.kind) {
        case QuantityKind::temperature:
            return cell.temperature_K;
        case QuantityKind::theta:
            return cell.n_H * cell.dt_s;
        case QuantityKind::condition_per_density:
            return cell.conditions[quantity.index] / cell.n_H;
        case QuantityKind::condition_times_dt:
            return cell.conditions[quantity.index] * cell.dt_s;
        case QuantityKind::element_ratio:
            return total(quantity.index) / total(quantity.other);
        case QuantityKind::net_charge:
            return __builtin_fabs(total(quantity.index)) / x[s.electron * stride];
        case QuantityKind::abundance:
            return x[quantity.index * stride];
    }
    return 0;
}

PCS_FN inline bool tells_time(const Quantity& quantity) {
    return quantity.kind == QuantityKind::theta || quantity.kind == QuantityKind::condition_times_dt;
}

// Whether a cell lies between the box's sides that bound its time (or those that bound its state and its surroundings).
PCS_FN inline bool inside(bool time, const PlanView& plan, const SurrogateView& s, const CellInput& cell,
                          const double* x, int stride) {
    for (int k = 0; k < s.n_sides; ++k) {
        const BoxSide& side = s.sides[k];
        if (tells_time(side.quantity) != time) continue;
        const double value = value_of(side.quantity, plan, s, cell, x, stride);
        if (!(value >= side.low && value <= side.high)) return false;
    }
    return true;
}
PCS_FN inline bool state_inside(const PlanView& plan, const SurrogateView& s, const CellInput& cell, const double* x,
                                int stride) {
    return inside(false, plan, s, cell, x, stride);
}
PCS_FN inline bool time_inside(const PlanView& plan, const SurrogateView& s, const CellInput& cell, const double* x,
                               int stride) {
    return inside(true, plan, s, cell, x, stride);
}

// The bin whose threshold counts for the cell.
PCS_FN inline int bin_of(const PlanView& plan, const SurrogateView& s, const CellInput& cell, const double* x,
                         int stride) {
    int bin = 0;
    for (int k = 0; k < s.n_axes; ++k) {
        const BinAxis& axis = s.axes[k];
        const double value = value_of(axis.quantity, plan, s, cell, x, stride);
        bin = bin * (axis.n_edges + 1) + place_among(axis.edges, axis.n_edges, value);
    }
    return bin;
}

// The verdict on a column of a tile: projected onto its elements and charge, and the predicted error, where the map
// predicts one, below the threshold of the cell's bin.
PCS_FN inline bool trusted(const SurrogateSettings& settings, bool projected, const float* score, int column, int bin) {
    return projected && (!settings.use_gate || !score || score[column] < settings.thresholds[bin]);
}

// What remains of an error after theta = n_H dt.
PCS_FN inline double kappa(const BudgetView& budget, double theta) {
    return budget.kappa ? budget.kappa[place_among(budget.edges, budget.n_edges, theta)] : 1.0;
}

}  // namespace pcs::PCS_ISA
