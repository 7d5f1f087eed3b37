// Many times from one given state each, as native/src/trajectory.cpp: the learned path encodes a cell once; the
// integrator goes from one time that it has to serve to the next. SPDX-License-Identifier: BSD-3-Clause
#include "inspect.cuh"
#include "lists.cuh"
#include "step.hpp"

namespace pcs::cuda {

namespace {

// Where the integrator is, and its next leg.
struct Journey {
    double *state, *elapsed, *dt, *one_second;  // (cells, S), (cells), (cells), (1)
    int8_t *given, *moving, *status;            // (cells): the verdict on the given states, a mask, and of the leg
    Report* report;                             // of the legs

    Journey(const PlanView& plan, int64_t cells, Scratch& scratch) {
        const std::size_t n = cells, doubles = n * (plan.n_species + 2) + 1;
        char* const memory = scratch.legs.reserve<char>(sizeof(Report) + doubles * sizeof(double) + 3 * n);
        report = reinterpret_cast<Report*>(memory);
        state = reinterpret_cast<double*>(memory + sizeof(Report));
        elapsed = state + n * plan.n_species, dt = elapsed + n, one_second = dt + n;
        given = reinterpret_cast<int8_t*>(one_second + 1), moving = given + n, status = moving + n;
    }
};

static __global__ void begin_kernel(double* one_second) { *one_second = 1; }

static __global__ void __launch_bounds__(stride_threads)
    pairs_kernel(const int8_t* given, int64_t n_cells, const __grid_constant__ TrajectoryArrays pairs,
                 const int8_t* mask) {
    in_strides(n_cells * pairs.n_times, [&](int64_t pair) {
        if (pair < 0) return;
        int8_t status = given[pair / pairs.n_times];
        if (status >= 0 && pairs.times_s[pair % pairs.n_times] == 0) status = status_UNCHANGED;
        if (mask && !mask[pair]) status = status_MASKED;
        pairs.status[pair] = status;
    });
}

static __global__ void __launch_bounds__(stride_threads)
    depart_kernel(const __grid_constant__ CellArrays cells, int n_species, const __grid_constant__ Journey journey) {
    in_strides(cells.n_cells, [&](int64_t cell) {
        if (cell < 0) return;
        journey.elapsed[cell] = 0;
        for (int i = 0; i < n_species; ++i)
            journey.state[cell * n_species + i] = cells.n_cm3[cell * cells.cell_stride + i * cells.species_stride];
    });
}

// The next leg, to time k, of the cells that wait for it.
static __global__ void __launch_bounds__(stride_threads)
    leg_kernel(int64_t n_cells, const __grid_constant__ TrajectoryArrays pairs, int64_t k,
               const __grid_constant__ Journey journey) {
    in_strides(n_cells, [&](int64_t cell) {
        if (cell < 0) return;
        journey.moving[cell] = pairs.status[cell * pairs.n_times + k] >= status_EXACT_REQUESTED;
        journey.dt[cell] = pairs.times_s[k] - journey.elapsed[cell];
    });
}

static __global__ void __launch_bounds__(stride_threads)
    arrive_kernel(int64_t n_cells, int n_species, const __grid_constant__ TrajectoryArrays pairs, int64_t k,
                  const __grid_constant__ Journey journey) {
    in_strides(n_cells, [&](int64_t cell) {
        if (cell < 0 || !journey.moving[cell]) return;
        const int8_t status = journey.status[cell];
        int8_t* const row = pairs.status + cell * pairs.n_times;
        if (status == status_EXACT_SECOND_TRY) row[k] = status;  // else the reason why it came here stands
        if (status >= 0) {
            journey.elapsed[cell] = pairs.times_s[k];
            double* const to = pairs.n_cm3 + (cell * pairs.n_times + k) * n_species;
            for (int i = 0; i < n_species; ++i) to[i] = journey.state[cell * n_species + i];
        } else {  // what lies behind a failure is out of reach
            for (int64_t later = k; later < pairs.n_times; ++later)
                if (row[later] >= status_EXACT_REQUESTED) row[later] = status;
        }
    });
}

// Pairs that nobody served have the given state.
static __global__ void __launch_bounds__(stride_threads)
    unserved_kernel(const __grid_constant__ CellArrays cells, int n_species,
                    const __grid_constant__ TrajectoryArrays pairs, bool integrated) {
    in_strides(cells.n_cells * pairs.n_times, [&](int64_t pair) {
        if (pair < 0) return;
        const int8_t status = pairs.status[pair];
        if (status == status_SURROGATE || (status >= status_EXACT_REQUESTED && integrated)) return;
        const double* const n = cells.n_cm3 + pair / pairs.n_times * cells.cell_stride;
        for (int i = 0; i < n_species; ++i) pairs.n_cm3[pair * n_species + i] = n[i * cells.species_stride];
    });
}

static __global__ void add_cells_kernel(int64_t cells, Report* report) { report->cells += cells; }

static __global__ void add_legs_kernel(const Report* legs, Report* report) {
    report->steps += legs->steps;
    report->rejected_steps += legs->rejected_steps;
    report->defect_max = legs->defect_max > report->defect_max ? legs->defect_max : report->defect_max;
}

void integrate_through(const StepPlan& given, const TrajectoryArrays& pairs, const Journey& journey, Report* report,
                       Scratch& scratch, cudaStream_t stream) {
    const int64_t n = given.cells.n_cells;
    const int S = given.plan.n_species;
    StepPlan leg = given;
    leg.n_paths = 0, leg.routes = false;
    leg.cells.n_cm3 = journey.state, leg.cells.cell_stride = S, leg.cells.species_stride = 1;
    leg.cells.dt_s = journey.dt, leg.cells.dt_stride = 1;
    leg.cells.status = journey.status;
    leg.cells.error_dex = nullptr, leg.cells.estimates = nullptr;
    leg.mask = journey.moving;
    require(cudaMemsetAsync(journey.report, 0, sizeof(Report), stream), "to clear a report");
    launch(depart_kernel, stride_blocks(n), stride_threads, 0, stream, given.cells, S, journey);
    for (int64_t k = 0; k < pairs.n_times; ++k) {
        launch(leg_kernel, stride_blocks(n), stride_threads, 0, stream, n, pairs, k, journey);
        enqueue_step(leg, journey.report, scratch, stream);
        launch(arrive_kernel, stride_blocks(n), stride_threads, 0, stream, n, S, pairs, k, journey);
    }
    launch(add_legs_kernel, 1, 1, 0, stream, (const Report*)journey.report, report);
}

}  // namespace

void reserve_trajectory(const TrajectoryPlan& trajectory, Scratch& scratch) {
    reserve_step(trajectory.step, scratch);
    const StepPlan& step = trajectory.step;
    for (int p = 0; p < step.n_paths; ++p)
        scratch.work.reserve<char>(learned_trajectory_work_bytes(step.plan, step.has_code, step.paths[p],
                                                                 step.cells.n_cells * trajectory.pairs.n_times));
    const Journey journey(step.plan, step.cells.n_cells, scratch);
}

void enqueue_trajectory(const TrajectoryPlan& trajectory, Report* report, Scratch& scratch, cudaStream_t stream) {
    const TrajectoryArrays& pairs = trajectory.pairs;
    const int64_t n = trajectory.step.cells.n_cells, n_pairs = n * pairs.n_times;
    if (n_pairs == 0) return;
    reserve_trajectory(trajectory, scratch);
    const Journey journey(trajectory.step.plan, n, scratch);
    StepPlan step = trajectory.step;
    step.mask = nullptr;
    step.cells.dt_s = journey.one_second, step.cells.dt_stride = 0;
    step.cells.status = journey.given;
    launch(begin_kernel, 1, 1, 0, stream, journey.one_second);
    enqueue_inspect(step, report, scratch, stream);
    launch(pairs_kernel, stride_blocks(n_pairs), stride_threads, 0, stream, (const int8_t*)journey.given, n, pairs,
           trajectory.mask);
    if (step.n_paths > 0) {
        Notes* const notes = scratch.notes.reserve<Notes>(1);
        require(cudaMemsetAsync(notes, 0, sizeof(Notes), stream), "to clear its counters");
        const PathOnDevice& path = step.paths[step.n_paths - 1];
        const DeviceQueue list = enqueue_list(step.cells, Unserved{}, notes->paths, scratch, stream);
        enqueue_learned_trajectory(step.plan, step.has_code, path, step.cells, pairs, list,
                                   notes->surrogate + path.index, scratch, stream);
        launch(conclude_kernel, 1, 1, 0, stream, int64_t{0}, (const Notes*)notes, report);
    }
    if (step.integrate) integrate_through(step, pairs, journey, report, scratch, stream);
    launch(unserved_kernel, stride_blocks(n_pairs), stride_threads, 0, stream, step.cells, step.plan.n_species, pairs,
           step.integrate);
    launch(count_kernel, stride_blocks(n_pairs), stride_threads, 0, stream, n_pairs, (const int8_t*)pairs.status,
           report);
    launch(add_cells_kernel, 1, 1, 0, stream, n_pairs, report);
}

}  // namespace pcs::cuda
