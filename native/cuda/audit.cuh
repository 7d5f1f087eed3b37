// The audit on the device: what the learned step says of cells that are solved exactly as well.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cmath>

#include "inspect.cuh"
#include "pcs/gate.hpp"

namespace pcs::cuda {

// Cells that await an audit: what they were, and what the learned step says of them.
struct AuditedCells {
    int64_t capacity;
    int64_t* cell;
    double *learned, *exact, *columns;  // (capacity, S) twice; (capacity, 2 + C): T, dt, conditions
    int32_t* bin;
    int8_t *learned_status, *exact_status;
    Counter* counter;  // size: may pass the capacity, until they are packed
};

static __global__ void __launch_bounds__(stride_threads)
    find_audited_kernel(const int8_t* status, DeviceQueue list, const __grid_constant__ AuditedCells audited) {
    in_strides(*list.size, [&](int64_t k) {
        const int64_t cell = k >= 0 ? list.cells[k] : -1;
        const bool wanted = cell >= 0 && status[cell] == status_EXACT_AUDIT;
        const int64_t place = append(wanted, &audited.counter->size);
        if (wanted && place < audited.capacity) audited.cell[place] = cell;
    });
}

static __global__ void __launch_bounds__(stride_threads)
    pack_audited_kernel(const __grid_constant__ PlanView plan, const __grid_constant__ SurrogateView net,
                        const __grid_constant__ CellArrays cells, const __grid_constant__ AuditedCells audited,
                        int64_t* size) {
    const int64_t count = audited.counter->size < audited.capacity ? audited.counter->size : audited.capacity;
    if (blockIdx.x == 0 && threadIdx.x == 0) *size = count;
    const int S = plan.n_species, C = plan.n_conditions;
    in_strides(count, [&](int64_t k) {
        if (k < 0) return;
        const int64_t cell = audited.cell[k];
        double *const row = audited.learned + k * S, *const columns = audited.columns + k * (C + 2);
        scalar::CellInput input = scalar::read_cell(plan, cells, cell, row, 1, columns + 2);
        audited.bin[k] = scalar::bin_of(plan, net, input, row, 1);
        columns[0] = input.temperature_K, columns[1] = input.dt_s;
        for (int i = 0; i < S; ++i)
            row[i] = audited.exact[k * S + i] = cells.n_cm3[cell * cells.cell_stride + i * cells.species_stride];
        audited.learned_status[k] = audited.exact_status[k] = status_EXACT_REQUESTED;
    });
}

static __global__ void __launch_bounds__(stride_threads)
    compare_audited_kernel(const __grid_constant__ InspectionView network, const __grid_constant__ AuditedCells audited,
                           const double* weights, double x_min, double target_dex, AuditCount* found,
                           double* thresholds, const int64_t* size, Report* report) {
    int64_t violations = 0;
    in_strides(*size, [&](int64_t k) {
        if (k < 0 || audited.exact_status[k] < 0) return;  // not solved: nothing to compare with
        const int64_t row = k * network.n_species;
        const double error = audited_error(network, weights, x_min, audited.exact + row, 1, audited.learned + row);
        const bool violated = error > target_dex, gross = error > limits::gross_share * target_dex;
        add_count(&AuditCount::audited, found + audited.bin[k], 1);
        add_count(&AuditCount::violations, found + audited.bin[k], violated);
        add_count(&AuditCount::gross, found + audited.bin[k], gross);
        if (gross) thresholds[audited.bin[k]] = -INFINITY;  // whoever finds one writes the same
        violations += violated;
    });
    add_from_warp(&report->violations, violations);
}

// How many of a path's audited cells are compared: all of a small batch; of a large one more than the share of them
// that is audited by chance, however rare. (More are found where cells are copies of each other.)
inline int64_t audit_capacity(const StepPlan& step, const PathOnDevice& path) {
    if (!path.audit || !(path.settings.audit_share > 0)) return 0;
    constexpr double always = 1 << 14;
    const double n = static_cast<double>(step.cells.n_cells), share = path.settings.audit_share * n;
    return static_cast<int64_t>(std::min(n, std::max(always, share + 8 * std::sqrt(share))));
}

// Room for the audited cells of all paths.
struct AuditRoom {
    AuditRoom(const StepPlan& step, Notes* notes, Scratch& scratch) {
        const int64_t S = step.plan.n_species, C = step.plan.n_conditions;
        int64_t all = 0;
        for (int p = 0; p < step.n_paths; ++p) all += audit_capacity(step, step.paths[p]);
        double* learned = scratch.audited.reserve<double>(all * (2 * S + C + 5));
        double *exact = learned + all * S, *columns = exact + all * S;
        auto* cell = reinterpret_cast<int64_t*>(columns + all * (C + 2));
        auto* bin = reinterpret_cast<int32_t*>(cell + all);
        auto *learned_status = reinterpret_cast<int8_t*>(bin + all), *exact_status = learned_status + all;
        for (int p = 0; p < step.n_paths; ++p) {
            const int64_t capacity = audit_capacity(step, step.paths[p]);
            Counter* const counter = notes ? notes->audited + p : nullptr;
            path[p] = {capacity, cell, learned, exact, columns, bin, learned_status, exact_status, counter};
            cell += capacity, learned += capacity * S, exact += capacity * S, columns += capacity * (C + 2);
            bin += capacity, learned_status += capacity, exact_status += capacity;
        }
    }
    AuditedCells path[most_paths];
};

// Solver::audit: of the listed cells that the path would accept, a share by both ways, on packed copies.
inline void audit(const StepPlan& step, int p, const DeviceQueue& list, const AuditedCells& audited, Notes* notes,
                  Report* report, Scratch& scratch, cudaStream_t stream) {
    if (audited.capacity == 0) return;
    const PathOnDevice& path = step.paths[p];
    enqueue_learned(step.plan, step.has_code, path, step.cells, {list.cells, list.size, &notes->probed[p].next},
                    &notes->probe, scratch, stream);
    Counter* const packed = notes->packed + p;
    launch(find_audited_kernel, stride_blocks(step.cells.n_cells), stride_threads, 0, stream,
           (const int8_t*)step.cells.status, list, audited);
    launch(pack_audited_kernel, stride_blocks(audited.capacity), stride_threads, 0, stream, step.plan, path.net,
           step.cells, audited, &packed->size);
    const int64_t S = step.plan.n_species, C = step.plan.n_conditions;
    CellArrays copies{};
    copies.n_cells = audited.capacity;
    copies.n_cm3 = audited.learned, copies.cell_stride = S, copies.species_stride = 1;
    copies.temperature_K = audited.columns, copies.temperature_stride = C + 2;
    copies.dt_s = audited.columns + 1, copies.dt_stride = C + 2;
    copies.conditions = audited.columns + 2, copies.condition_cell_stride = C + 2, copies.condition_stride = 1;
    copies.status = audited.learned_status, copies.repair = step.cells.repair, copies.electron = step.cells.electron;
    PathOnDevice open = path;
    open.settings = {};
    open.settings.tables_only = path.settings.tables_only;
    enqueue_learned(step.plan, step.has_code, open, copies, {nullptr, &packed->size, &packed->next}, &notes->again,
                    scratch, stream);
    copies.n_cm3 = audited.exact, copies.status = audited.exact_status;
    enqueue_integrate(step.plan, step.has_code, copies, {nullptr, &packed->size, notes->compared + p}, step.exact,
                      &notes->integrator, scratch, stream);
    launch(compare_audited_kernel, stride_blocks(audited.capacity), stride_threads, 0, stream, step.inspection, audited,
           path.weights, path.x_min, step.target_error_dex, path.audit, path.thresholds, (const int64_t*)&packed->size,
           report);
}

}  // namespace pcs::cuda
