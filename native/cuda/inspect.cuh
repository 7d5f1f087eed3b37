// A cell's first verdict, and the report. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "lists.cuh"
#include "pcs/cells.hpp"
#include "pcs/rates.hpp"

namespace pcs::cuda {

static __global__ void __launch_bounds__(stride_threads)
    inspect_kernel(const __grid_constant__ InspectionView network, const __grid_constant__ CellArrays cells,
                   const int8_t* mask, Report* report) {
    int64_t repaired = 0;
    in_strides(cells.n_cells, [&](int64_t cell) {
        if (cell < 0) return;
        const Verdict verdict = inspect_cell(network, cells, mask, cell);
        cells.status[cell] = verdict.status;
        repaired += verdict.repaired;
    });
    add_from_warp(&report->repaired, repaired);
}

// No path takes a cell in which a formula gives no rate. `values`: (threads of the grid, plan.n_values).
static __global__ void __launch_bounds__(stride_threads)
    refuse_kernel(const __grid_constant__ PlanView plan, const __grid_constant__ CellArrays cells, double* values) {
    scalar::Vec* const mine = (scalar::Vec*)values + ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * plan.n_values;
    double conditions[max_network_conditions];
    in_strides(cells.n_cells, [&](int64_t cell) {
        if (cell < 0 || cells.status[cell] != status_EXACT_REQUESTED) return;
        const scalar::CellInput input = scalar::read_surroundings(plan, cells, cell, conditions);
        const scalar::RateInput given{0, input.temperature_K, input.n_H, conditions};
        scalar::evaluate(plan, &given, 1, mine);
        if (scalar::any(scalar::without_rates(plan, mine))) cells.status[cell] = status_UNSUPPORTED;
    });
}

// Blocks of that kernel: its scratch stays below 64 MiB.
inline int64_t refuse_blocks(const StepPlan& step) {
    constexpr int64_t most_values = 1 << 23;
    return std::clamp<int64_t>(most_values / (int64_t{stride_threads} * step.plan.n_values), 1,
                               stride_blocks(step.cells.n_cells));
}
inline std::size_t refuse_doubles(const StepPlan& step) {
    return step.plan.n_values > 0 ? refuse_blocks(step) * stride_threads * step.plan.n_values : 0;
}

inline void enqueue_inspect(const StepPlan& step, Report* report, Scratch& scratch, cudaStream_t stream) {
    launch(inspect_kernel, stride_blocks(step.cells.n_cells), stride_threads, 0, stream, step.inspection, step.cells,
           step.mask, report);
    if (step.plan.n_values > 0)
        launch(refuse_kernel, (unsigned)refuse_blocks(step), stride_threads, 0, stream, step.plan, step.cells,
               scratch.work.reserve<double>(refuse_doubles(step)));
}

static __global__ void __launch_bounds__(stride_threads)
    count_kernel(int64_t n, const int8_t* statuses, Report* report) {
    int64_t failed = 0, exact = 0, second_try = 0, routed = 0, masked = 0, unchanged = 0;
    in_strides(n, [&](int64_t i) {
        if (i < 0) return;
        const int8_t status = statuses[i];
        failed += status < 0;
        exact += status >= status_EXACT_REQUESTED;
        second_try += status == status_EXACT_SECOND_TRY;
        routed += status == status_EXACT_ROUTED;
        masked += status == status_MASKED;
        unchanged += status == status_UNCHANGED;
    });
    add_from_warp(&report->failed, failed);
    add_from_warp(&report->exact, exact);
    add_from_warp(&report->second_try, second_try);
    add_from_warp(&report->routed, routed);
    add_from_warp(&report->masked, masked);
    add_from_warp(&report->unchanged, unchanged);
}

// The statistics of a step, in device memory; cleared as one.
struct Notes {
    Counter routed, tries[n_tries], paths[most_paths], probed[most_paths], audited[most_paths], packed[most_paths];
    int64_t compared[most_paths];  // of the packed cells, those that the integrator has taken
    IntegratorStatistics integrator;
    SurrogateStatistics surrogate[most_paths], probe, again;  // again: of audited cells, of which nobody asks
};

static __global__ void conclude_kernel(int64_t cells, const Notes* notes, Report* report) {
    report->cells += cells;
    report->steps += notes->integrator.steps;
    report->rejected_steps += notes->integrator.rejected;
    double worst = notes->integrator.worst_defect;
    for (int p = 0; p < most_paths; ++p) {
        const SurrogateStatistics& s = notes->surrogate[p];
        report->surrogate += s.accepted;
        report->by_path[p] += s.accepted;
        report->refused_box += s.refused_box;
        report->refused_distance += s.refused_distance;
        report->refused_error += s.refused_error;
        report->refused_budget += s.refused_budget;
        worst = s.worst_defect > worst ? s.worst_defect : worst;
    }
    report->audited += notes->probe.audited;
    report->defect_max = worst > report->defect_max ? worst : report->defect_max;
}

}  // namespace pcs::cuda
