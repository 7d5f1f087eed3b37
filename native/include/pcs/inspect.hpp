// What a step does to single cells beside the kernels: the first verdict, the audit's error, what remains of carried
// errors. One source for the CPU (solver.cpp) and for the device (native/cuda). SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <math.h>
#include <stdint.h>

#include "pcs/kernels.hpp"

#ifndef PCS_FN  // simd.hpp has it too
#ifdef __CUDACC__
#define PCS_FN __host__ __device__
#else
#define PCS_FN
#endif
#endif

namespace pcs {

namespace limits {
#define PCS_LIMIT(name, value, meaning) constexpr double name = value;
#include "pcs/limits.def"
#undef PCS_LIMIT
}  // namespace limits

// What inspect reads of a network, in the host's order of species.
struct InspectionView {
    int32_t n_species, n_conditions;
    const double *scale_weights, *charge;  // (n_species)
};

struct Verdict {
    int8_t status;
    bool repaired;
};

// A cell's status before anything is computed.
PCS_FN inline Verdict inspect_cell(const InspectionView& network, const CellArrays& c, const int8_t* mask,
                                   int64_t cell) {
    using namespace limits;
    constexpr double infinity = __builtin_inf();
    if (mask && !mask[cell]) return {status_MASKED, false};
    const double* n = c.n_cm3 + cell * c.cell_stride;
    const double T = c.temperature_K[cell * c.temperature_stride], dt = c.dt_s[cell * c.dt_stride];
    double n_H = 0, lowest = 0, highest = 0, ions = 0, size = 0;
    bool good = T > 0 && T < infinity && dt >= 0 && dt < infinity;
    for (int i = 0; i < network.n_species; ++i) {
        const double value = n[i * c.species_stride];
        good &= value > -infinity && value < infinity;  // false for NaN
        lowest = value < lowest ? value : lowest;
        highest = highest < value ? value : highest;
        const double kept = value < 0.0 ? 0.0 : value;
        n_H += network.scale_weights[i] * kept;
        if (i != c.electron) {
            ions += network.charge[i] * kept;
            size += __builtin_fabs(network.charge[i]) * kept;
        }
    }
    if (c.error_dex) {
        const double carried = c.error_dex[cell * c.error_stride];
        good &= carried >= 0 && carried < infinity;
    }
    for (int k = 0; k < network.n_conditions; ++k) {
        const double value = c.conditions[cell * c.condition_cell_stride + k * c.condition_stride];
        good &= value >= 0 && value < infinity;
    }
    bool mended = false;
    if (lowest < 0) {
        good &= (c.repair & repair_floor) && lowest >= -small_negative * n_H;
        mended = true;
    }
    if (c.repair & repair_electrons) {
        const double electrons = n[c.electron * c.species_stride];
        good &= ions >= 0;
        mended |= __builtin_fabs(electrons - ions) > round_off * size;
    }
    if (!good) return {status_BAD_INPUT, false};
    if (dt == 0) return {status_UNCHANGED, false};
    if (T < lowest_T || T > highest_T || n_H < lowest_n_H || n_H > highest_n_H || dt > longest_dt ||
        highest > largest_fraction * n_H)
        return {status_UNSUPPORTED, false};
    return {status_EXACT_REQUESTED, mended};
}

// A cell that no path has served yet, once the router has had its say.
PCS_FN inline bool waits(int8_t status) { return status >= status_EXACT_REQUESTED && status != status_EXACT_ROUTED; }

// A cell that the gate of one learned path has refused and another may take.
PCS_FN inline bool refused(int8_t status) {
    return status == status_EXACT_BOX || status == status_EXACT_DISTANCE || status == status_EXACT_ERROR ||
           status == status_EXACT_BUDGET;
}

// A cell that the integrator has given up.
PCS_FN inline bool given_up(int8_t status) { return status == status_STEP_LIMIT || status == status_NON_FINITE; }

PCS_FN inline double density_of_H(const InspectionView& network, const double* n, int64_t stride) {
    double n_H = 0;
    for (int i = 0; i < network.n_species; ++i) n_H += network.scale_weights[i] * n[i * stride];
    return n_H;
}

// The error of the learned step's answer (in the host's order) in the worst species that counts [dex].
PCS_FN inline double audited_error(const InspectionView& network, const double* weights, double x_min,
                                   const double* exact, int64_t stride, const double* learned) {
    const double n_H = density_of_H(network, exact, stride);
    double worst = 0;
    for (int i = 0; i < network.n_species; ++i) {
        const double truth = exact[i * stride];
        if (!(truth > x_min * n_H)) continue;
        const double error = weights[i] * fabs(log10(learned[i] / truth));
        worst = worst < error ? error : worst;
    }
    return worst;
}

// What remains of the error that a cell carries once the chemistry itself was solved.
PCS_FN inline void contract_error(const InspectionView& network, const BudgetView& budget, const CellArrays& cells,
                                  int64_t cell) {
    const double n_H = density_of_H(network, cells.n_cm3 + cell * cells.cell_stride, cells.species_stride);
    const double theta = n_H * cells.dt_s[cell * cells.dt_stride];
    int place = 0;
    while (place < budget.n_edges && !(theta < budget.edges[place])) ++place;  // as std::upper_bound
    cells.error_dex[cell * cells.error_stride] *= budget.kappa[place];
}

constexpr double skip_share = 0.01;  // of the target: a change that is no change

// The ladder of tries: the first is what the options say.
constexpr int n_tries = 3;
// Measured on benchmarks/workload.py and step_paths.py, in units of what a step may err (rosenbrock.hpp): a bolder
// first step costs a rejection now and then, but saves the small steps through fast modes that decay anyway. Cold
// states are never bold.
constexpr double first_step = 2e5, small_change = 5;

// Try `number` (from 1 on) of those that the tries before have failed, after a first one with these settings.
inline IntegratorSettings next_try(const IntegratorSettings& first, int number) {
    constexpr double cautious = 1e-3;  // of first_step, when a cell is tried again
    constexpr int64_t most_steps = 1000000000;
    // Factors on rtol, atol and max_steps. Who needs the last (tests/test_stress.py): dense gas over long steps (n_H dt
    // above 1e24 s cm^-3), where round-off of the implicit step passes for truth under loose tolerances; a state so far
    // from any ions that its first ones lie below atol, and charge could not be restored; chemistry on a limit cycle,
    // whose steps grow with dt (23,000 over 2.5e8 yr).
    constexpr struct {
        double rtol, atol;
        int steps;
    } tries[n_tries] = {{1, 1, 1}, {0.1, 0.1, 10}, {1e-3, 1e-6, 100}};
    IntegratorSettings next = first;
    const double rtol = tries[number].rtol * first.rtol;
    next.rtol = rtol < 1e-12 ? 1e-12 : rtol;
    next.atol = tries[number].atol * first.atol;
    next.first_step = cautious * first.first_step;
    next.small_change = 0;
    const int64_t steps = int64_t{tries[number].steps} * first.max_steps;
    next.max_steps = (int32_t)(steps < most_steps ? steps : most_steps);
    next.drop_unresolved_ions = number == n_tries - 1;
    next.success = status_EXACT_SECOND_TRY;
    return next;
}

}  // namespace pcs
