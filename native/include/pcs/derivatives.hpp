// Rate coefficients, dn/dt and its Jacobian for hosts that integrate themselves, W cells at a time.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/cells.hpp"
#include "pcs/rates.hpp"
#include "pcs/rhs.hpp"
#include "pcs/rosenbrock.hpp"

namespace pcs::PCS_ISA {

class Derivatives {
  public:
    PCS_FN Derivatives(const PlanView& plan, const CellArrays& cells, const DerivativeArrays& to, void* workspace)
        : plan(plan), cells(cells), to(to) {
        layout(plan, (char*)workspace, &w);
        for (int i = 0; i < plan.n_species; ++i) w.x[i] = Vec{};  // of lanes that never get a cell
        for (int r = 0; r < plan.n_rates; ++r) w.k[r] = Vec{};
    }

    PCS_FN void run(const CellQueue& queue) {
        const bool scaled = to.kind != Derivative::rate_coefficients;
        while (gather(queue)) {
            rate_coefficients(plan, input, count, w.k, w.rate, scaled);
            if (plan.n_values > 0) refuse_formulas();
            if (to.kind == Derivative::rate_coefficients) {
                for (int r = 0; r < plan.n_rates; ++r)
                    if (plan.reaction[r] >= 0) write(plan.reaction[r], 0, w.k[r]);
            } else if (to.kind == Derivative::rhs) {
                rhs(plan, w.k, w.x, w.rate, w.f);
                for (int i = 0; i < plan.n_species; ++i) write(plan.order[i], 0, w.f[i] * n_H);
            } else {
                jacobian();
            }
        }
    }

  private:
    PCS_FN bool gather(const CellQueue& queue) {
        for (count = 0; count < W; ++count) {
            const int64_t next = take(queue);
            if (next < 0) break;
            double* conditions = w.conditions + count * plan.n_conditions;
            for (int c = 0; c < plan.n_conditions; ++c)
                conditions[c] = cells.conditions[next * cells.condition_cell_stride + c * cells.condition_stride];
            n_H[count] = cells.n_cm3 ? read(next) : 0;
            cell[count] = next;
            input[count] = {count, cells.temperature_K[next * cells.temperature_stride], n_H[count], conditions};
        }
        return count > 0;
    }

    // As the integrator would: no coefficients where a formula is negative or not finite.
    PCS_FN void refuse_formulas() {
        const Int refused = without_rates(plan, w.rate + plan.n_rates);
        for (int l = 0; l < count; ++l)
            if (refused[l]) cells.status[cell[l]] = status_UNSUPPORTED;
    }

    // The fractions of a cell into its lane; returns n_H.
    PCS_FN double read(int64_t index) {
        const double* n = cells.n_cm3 + index * cells.cell_stride;
        double density = 0;
        for (int i = 0; i < plan.n_species; ++i)
            density += plan.scale_weights[i] * n[plan.order[i] * cells.species_stride];
        for (int i = 0; i < plan.n_species; ++i) w.x[i][count] = n[plan.order[i] * cells.species_stride] / density;
        return density;
    }

    // With n = n_H x at fixed n_H, d(dn_i/dt)/dn_j = d(dx_i/dt)/dx_j.
    PCS_FN void jacobian() {
        partials(plan, w.x, w.k);
        for (int i = 0; i < plan.n_species; ++i) {
            for (int j = 0; j < plan.n_species; ++j) write(plan.order[i], j, Vec{});
            for (int e = plan.row_begin[i]; e < plan.row_begin[i + 1]; ++e)
                write(plan.order[i], plan.order[plan.column[e]],
                      gather_sum(w.k, plan.plus, plan.plus_begin[e], plan.plus_begin[e + 1]) -
                          gather_sum(w.k, plan.minus, plan.minus_begin[e], plan.minus_begin[e + 1]));
        }
    }

    PCS_FN void write(int row, int column, Vec value) {
        for (int l = 0; l < count; ++l)
            to.values[cell[l] * to.cell_stride + row * to.row_stride + column * to.column_stride] = value[l];
    }

    const PlanView& plan;
    const CellArrays& cells;
    const DerivativeArrays& to;
    IntegratorWorkspace w;
    RateInput input[W] = {};
    int64_t cell[W] = {};
    int count = 0;
    Vec n_H = {};
};

}  // namespace pcs::PCS_ISA
