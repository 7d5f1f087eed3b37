// The whole step on a device: what Solver::run does, as kernels on one stream. SPDX-License-Identifier: BSD-3-Clause
//
// Nothing here waits for the device, and no launch depends on a number that lies there; once its scratch has grown, a
// call allocates nothing, so that it can be captured in a graph. All pointers are to device memory unless it is said.
// Functions throw Error (memory, device).
#pragma once

#include <cuda_runtime.h>

#include "buffer.hpp"
#include "pcs/inspect.hpp"
#include "pcs/kernels.hpp"
#include "pcs/report.hpp"

namespace pcs::cuda {

// A list of cells, as CellQueue; its size is read by the kernel, and `next`, which counts what is taken, is 0 before.
struct DeviceQueue {
    const int64_t* cells;  // null: all of them
    const int64_t* size;
    int64_t* next;
};

// What the audit of a bin found, added to by every step; the host takes differences (Audit::merge).
struct AuditCount {
    int64_t audited, violations, gross;
};

// A learned path, and what the handle's options make of it. The struct itself is the host's.
struct PathOnDevice {
    SurrogateView net;
    SurrogateSettings settings;  // as in Solver::audit; thresholds lie on the device, `finishing` is not read
    double* thresholds;          // the same: an audit closes bins for the rest of the call
    int32_t index;               // in the file
    const double* weights;       // (S) of the gate's calibration, in the host's order of species
    double x_min;                // of the calibration
    AuditCount* audit;           // (bins); null: the path has no gate, hence no audit
};

// Scratch of one stream. Kernels on a stream follow each other, so that each has all of `work` to itself.
struct Scratch {
    DeviceBuffer list, notes, audited, work;
    DeviceBuffer legs;  // where the integrator is on its way through a trajectory
};

// Everything of one call. The struct itself, and the arrays of paths, are the host's.
struct StepPlan {
    CellArrays cells;    // status is never null; repair, electron: as the options say
    const int8_t* mask;  // (n_cells), 0: leave this cell alone; null: no mask
    PlanView plan;
    InspectionView inspection;
    bool has_code;  // straight-line code serves the plan (cuda::has_code), and kernels=tables is not set

    const PathOnDevice* paths;  // those that are asked, cheapest first
    int n_paths;
    bool routes;        // whether the router tells the cells apart; else each path takes what the one before refuses
    RouterView router;  // where it does
    double skip_dex;    // where it does

    bool integrate;            // false: the cells of the exact path keep their input, for the host
    IntegratorSettings exact;  // of the first try (Solver::integrator_settings)
    double target_error_dex;
    BudgetView budget;  // of the first learned path that may serve; empty: none
};

// Whether this library has straight-line code for the plan; it reads the fingerprint alone.
bool has_code(const PlanView& plan);

// All scratch of a step that grows with the number of cells; enqueue_step calls it before its first launch, so that a
// batch is refused before a cell is touched.
void reserve_step(const StepPlan& step, Scratch& scratch);

// One step. `report` is added to: all of Report but the seconds and what the host's merge of the audit gives.
void enqueue_step(const StepPlan& step, Report* report, Scratch& scratch, cudaStream_t stream);

// Many times from one given state each, as Solver::trajectory. Of `step` the cells' dt_s and status, the mask and
// `routes` are not read, and of the paths the last one alone is asked, with the settings of Solver::follow. integrate:
// false where no pair can wait for the integrator (mode surrogate), which takes a dozen launches for every time.
struct TrajectoryPlan {
    StepPlan step;
    TrajectoryArrays pairs;  // status is never null; times_s on the device
    const int8_t* mask;      // (cells, times); null: no mask
};
void reserve_trajectory(const TrajectoryPlan& trajectory, Scratch& scratch);
void enqueue_trajectory(const TrajectoryPlan& trajectory, Report* report, Scratch& scratch, cudaStream_t stream);

// The cells of the list, as Kernels::integrate; statistics are added to. settings.router is the host's, its arrays are
// the device's.
void enqueue_integrate(const PlanView& plan, bool has_code, const CellArrays& cells, const DeviceQueue& list,
                       const IntegratorSettings& settings, IntegratorStatistics* statistics, Scratch& scratch,
                       cudaStream_t stream);
std::size_t integrate_work_bytes(const PlanView& plan, bool has_code, int64_t n_cells);  // of scratch.work
// large.cu: the same for plans whose workspace is more than a thread can have.
void enqueue_integrate_large(const PlanView& plan, const CellArrays& cells, const DeviceQueue& list,
                             const IntegratorSettings& settings, IntegratorStatistics* statistics, Scratch& scratch,
                             cudaStream_t stream);
std::size_t integrate_large_bytes(const PlanView& plan, int64_t n_cells);
// learned.cuh. The work bytes are of scratch.work.
std::size_t learned_work_bytes(const PlanView& plan, bool has_code, const PathOnDevice& path, int64_t n_cells);
std::size_t learned_trajectory_work_bytes(const PlanView& plan, bool has_code, const PathOnDevice& path,
                                          int64_t n_pairs);
void enqueue_learned(const PlanView& plan, bool has_code, const PathOnDevice& path, const CellArrays& cells,
                     const DeviceQueue& list, SurrogateStatistics* statistics, Scratch& scratch, cudaStream_t stream);
void enqueue_learned_trajectory(const PlanView& plan, bool has_code, const PathOnDevice& path, const CellArrays& cells,
                                const TrajectoryArrays& pairs, const DeviceQueue& list, SurrogateStatistics* statistics,
                                Scratch& scratch, cudaStream_t stream);

// Of kernels: statistics that several threads add to. The order does not change them: numbers are whole, and the
// largest defect is found by its bits, which ascend as non-negative doubles do.
template <class Statistics>
__device__ inline void add_count(int64_t Statistics::* field, Statistics* to, int64_t count) {
    if (count != 0)
        atomicAdd(reinterpret_cast<unsigned long long*>(&(to->*field)), static_cast<unsigned long long>(count));
}
__device__ inline void raise(double* largest, double value) {
    if (value > 0) atomicMax(reinterpret_cast<long long*>(largest), __double_as_longlong(value));
}

}  // namespace pcs::cuda
