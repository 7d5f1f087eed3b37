// The step on a device, on one page: the verbs of Solver::run in their order. SPDX-License-Identifier: BSD-3-Clause
#include "step.hpp"

#include "audit.cuh"
#include "inspect.cuh"
#include "lists.cuh"

namespace pcs::cuda {

namespace {

Notes* cleared_notes(Scratch& scratch, cudaStream_t stream) {
    Notes* const notes = scratch.notes.reserve<Notes>(1);
    require(cudaMemsetAsync(notes, 0, sizeof(Notes), stream), "to clear its counters");
    return notes;
}

static __global__ void __launch_bounds__(stride_threads)
    contract_kernel(const __grid_constant__ InspectionView network, const __grid_constant__ BudgetView budget,
                    const __grid_constant__ CellArrays cells) {
    in_strides(cells.n_cells, [&](int64_t cell) {
        if (cell >= 0 && cells.status[cell] >= status_EXACT_REQUESTED) contract_error(network, budget, cells, cell);
    });
}

}  // namespace

void reserve_step(const StepPlan& step, Scratch& scratch) {
    scratch.list.reserve<int64_t>(step.cells.n_cells);
    scratch.notes.reserve<Notes>(1);
    scratch.work.reserve<char>(std::max(integrate_work_bytes(step.plan, step.has_code, step.cells.n_cells),
                                        refuse_doubles(step) * sizeof(double)));
    for (int p = 0; p < step.n_paths; ++p)
        scratch.work.reserve<char>(learned_work_bytes(step.plan, step.has_code, step.paths[p], step.cells.n_cells));
    const AuditRoom room(step, nullptr, scratch);
}

void enqueue_step(const StepPlan& step, Report* report, Scratch& scratch, cudaStream_t stream) {
    const CellArrays& cells = step.cells;
    const PlanView& plan = step.plan;
    if (cells.n_cells == 0) return;
    reserve_step(step, scratch);
    Notes* const notes = cleared_notes(scratch, stream);
    const int64_t n = cells.n_cells;

    // Bad input, masked and dt = 0 have their status now, all others status_EXACT_REQUESTED.
    enqueue_inspect(step, report, scratch, stream);
    if (step.routes) {
        IntegratorSettings settings = step.exact;
        settings.router = &step.router;
        settings.success = status_EXACT_ROUTED;
        settings.skip_dex = step.skip_dex;
        const DeviceQueue list = enqueue_list(cells, Waiting{}, &notes->routed, scratch, stream);
        enqueue_integrate(plan, step.has_code, cells, list, settings, &notes->integrator, scratch, stream);
    }
    const AuditRoom room(step, notes, scratch);
    for (int p = 0; p < step.n_paths; ++p) {
        // Those that the router sends to it; else the first path gets all cells, the next what the one before refuses,
        // which is then not said to be refused.
        const PathOnDevice& path = step.paths[p];
        Counter* const counter = notes->paths + p;
        const auto sent = static_cast<int8_t>(status_sent + path.index);
        const DeviceQueue list = step.routes ? enqueue_list(cells, SentTo{sent}, counter, scratch, stream)
                                 : p == 0    ? enqueue_list(cells, Waiting{}, counter, scratch, stream)
                                             : enqueue_list(cells, Refused{}, counter, scratch, stream, report);
        audit(step, p, list, room.path[p], notes, report, scratch, stream);
        PathOnDevice serving = path;
        serving.settings.audit_share = 0;
        enqueue_learned(plan, step.has_code, serving, cells, list, notes->surrogate + path.index, scratch, stream);
    }
    for (int number = 0; step.integrate && number < n_tries; ++number) {
        Counter* const counter = notes->tries + number;
        const DeviceQueue list = number == 0 ? enqueue_list(cells, Waiting{}, counter, scratch, stream)
                                             : enqueue_list(cells, GivenUp{}, counter, scratch, stream);
        const IntegratorSettings settings = number == 0 ? step.exact : next_try(step.exact, number);
        enqueue_integrate(plan, step.has_code, cells, list, settings, &notes->integrator, scratch, stream);
    }
    if (cells.error_dex && step.budget.kappa)
        launch(contract_kernel, stride_blocks(n), stride_threads, 0, stream, step.inspection, step.budget, cells);
    launch(count_kernel, stride_blocks(n), stride_threads, 0, stream, n, (const int8_t*)cells.status, report);
    launch(conclude_kernel, 1, 1, 0, stream, n, (const Notes*)notes, report);
}

}  // namespace pcs::cuda
