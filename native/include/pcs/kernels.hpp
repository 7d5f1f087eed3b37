// What the units compiled for an instruction set offer, in plain pointers. SPDX-License-Identifier: BSD-3-Clause
//
// One table of functions for SSE2, AVX2 and AVX-512 each (the last in two widths); dispatch.cpp chooses. Nothing here
// allocates or throws.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "pcs/plan_view.hpp"
#include "pcs/status.hpp"
#include "pcs/surrogate_view.hpp"

namespace pcs {

enum Repair : int32_t { repair_none = 0, repair_floor = 1, repair_electrons = 2 };

// The host's arrays. Strides count elements; 0: one value for all.
struct CellArrays {
    int64_t n_cells;
    double* n_cm3;
    int64_t cell_stride, species_stride;
    const double* temperature_K;
    int64_t temperature_stride;
    const double* conditions;
    int64_t condition_cell_stride, condition_stride;
    const double* dt_s;
    int64_t dt_stride;
    int8_t* status;               // one a cell, never null here
    int32_t repair;               // Repair flags: how a cell is mended when it is read
    int32_t electron;             // host index of e-, -1: none
    int32_t* counts = nullptr;    // (cells, n_cell_counts), added to; null: nobody asked
    double* estimates = nullptr;  // (cells, 2): the integrator's `change` and `rate` (RouterView); null: nobody asked
    double* error_dex = nullptr;  // the error that each cell carries [dex], in and out; null: the host keeps none
    int64_t error_stride = 0;
};

// What a trajectory adds to the cells: `dt_s` and `status` of CellArrays are not read then.
struct TrajectoryArrays {
    int64_t n_times;
    const double* times_s;
    double* n_cm3;   // (cells, times, species)
    int8_t* status;  // (cells, times): from EXACT_REQUESTED on a pair waits
    bool conserve;   // false: what the nets say, unprojected
};

// What a host can ask of the chemistry without a step. Of CellArrays neither dt_s nor status is read, nor n_cm3 (null
// then) where only rate coefficients are wanted.
enum class Derivative : int32_t {
    rate_coefficients,  // k of every reaction [cm^(3(m-1)) / s], m bodies
    rhs,                // dn/dt of every species [cm^-3 / s]
    jacobian,           // d(dn/dt) of a species (row) by n of another (column) [1/s], n_H held fixed
};
struct DerivativeArrays {
    Derivative kind;
    double* values;  // values[cell * cell_stride + row * row_stride + column * column_stride], in the host's order
    int64_t cell_stride, row_stride, column_stride;
};

// What the integrator counts for every cell on request.
enum CellCount : int32_t { count_steps, count_rejected, count_factorisations, n_cell_counts };

// Lists of cells, shared by the threads of one call: each takes the next cell (or block of cells) until none is left.
struct CellQueue {
    const int64_t* cells;  // null: all of them
    int64_t size;
    int64_t* next;  // shared counter, advanced atomically
};

// The status of a cell between router and learned step: this for the file's first path, one more for the next. No host
// sees it.
constexpr int8_t status_sent = 100;

// Which cells the integrator gives back untouched before their first step, for the learned step to serve: by what it
// expects of them, change (of a diagonal implicit Euler step over dt) and rate (|dx/dt| dt), in units of what a step
// may err.
struct RouterView {
    int32_t n_change, n_rate;     // edges
    const double *change, *rate;  // ascending
    const int8_t* sent;           // (n_change + 1, n_rate + 1): the status of a cell that is given back, 0: it is kept
    double lowest;                // below this change no bin is sent
};

struct IntegratorSettings {
    double rtol, atol;    // atol in x = n / n_H
    double first_step;    // the first step is first_step / |dx/dt|, in units of what a step may err, ...
    double small_change;  // ... or the whole dt if the expected change is below this many such units
    int32_t max_steps;
    bool tables_only;           // no straight-line kernels
    bool drop_unresolved_ions;  // a state without ions may stay without: only where charge could not be restored else
    int8_t success;             // the status of a solved cell; 0 keeps what stands there
    const RouterView* router;   // null: every cell is solved
    double skip_dex;            // with CellArrays::error_dex: cells whose expected change is below it stay as they are
    double budget_dex;          // ... unless their error would pass this
};

struct IntegratorStatistics {
    int64_t solved, failed, skipped, steps, rejected;
    double worst_defect;  // before projection
};

struct Kernels;

struct SurrogateSettings {
    int32_t use_gate;                    // 0: mode "surrogate", every cell that can be projected is accepted
    bool tables_only;                    // no straight-line kernels
    const Kernels* finishing;            // whose prepare() and finish() are called, where the surrogate has such steps
    const double* thresholds = nullptr;  // (bins) on log10 of the predicted error in dex; null where none is predicted
    double budget_dex = 0;               // of CellArrays::error_dex
    double exact_share = 0;  // of the cells without such a budget: they go to the exact path whatever the verdict
    double audit_share = 0;  // above 0: an audit, of that share of the cells; those accepted wait for the exact path
};

// Cells whose last steps the real chemistry takes. Rows are `stride` numbers long.
struct FinishArrays {
    int32_t n_cells;        // a multiple of the width of the kernels
    int32_t stride, block;  // block: cells side by side in k, also such a multiple
    int32_t steps;
    double share;         // of theta: the length of every step
    const double* k;      // (n_cells / block, n_rates, block): rate coefficients in the reduced form
    const double* theta;  // (n_cells): n_H dt that the map has spanned [s cm^-3]
    double* x;            // (S, stride): n/n_H before and after
    float* report;        // (S + 1, stride): change [dex] in host order, log10 of the largest relative error
};

// Cells that take linearly implicit Euler steps. Rows are `stride` numbers long.
struct PrepareArrays {
    int32_t n_cells;        // a multiple of the width of the kernels
    int32_t stride, block;  // block: cells side by side in k, also such a multiple
    int32_t n_shares;
    const double* shares;          // (n_shares) of theta: the length of every step
    const double* k;               // (n_cells / block, n_rates, block): rate coefficients in the reduced form
    const double* theta;           // (n_cells): n_H dt [s cm^-3]
    double *x, *gain, *frequency;  // (S, stride): n/n_H, what it gains and how fast it is lost, before and after
};

struct SurrogateStatistics {
    int64_t accepted, refused_box, refused_distance, refused_error, refused_budget, audited;
    double worst_defect;  // of the accepted cells, before projection
};

// The results of every verb for the tests: (cells, width of the verb) arrays, null where not wanted.
struct SurrogateTrace {
    double *features, *latent0, *latent, *guess, *conserved, *finished, *finish_report, *final_state, *lambda, *score,
        *bin;
};

struct Kernels {
    const char* name;
    int32_t width;                      // cells in a vector of doubles
    bool (*has_code)(const PlanView&);  // whether straight-line code serves this plan, instead of its tables
    size_t (*integrator_bytes)(const PlanView&);
    void (*integrate)(const PlanView&, const CellArrays&, const CellQueue&, const IntegratorSettings&,
                      IntegratorStatistics&, void* workspace);
    int32_t mlp_block;  // outputs that a layer computes together: its weights are packed so
    size_t (*surrogate_bytes)(const PlanView&, const SurrogateView&, const SurrogateSettings&);
    void (*advance)(const PlanView&, const SurrogateView&, const CellArrays&, const CellQueue&,
                    const SurrogateSettings&, SurrogateStatistics&, const SurrogateTrace*, void* workspace);
    size_t (*trajectory_bytes)(const PlanView&, const SurrogateView&, const SurrogateSettings&);
    void (*follow)(const PlanView&, const SurrogateView&, const CellArrays&, const TrajectoryArrays&, const CellQueue&,
                   const SurrogateSettings&, SurrogateStatistics&, void* workspace);
    // Steps of the real chemistry before and after the nets, in a workspace of integrator_bytes.
    void (*prepare)(const PlanView&, const PrepareArrays&, bool tables_only, void* workspace);
    void (*finish)(const PlanView&, const FinishArrays&, bool tables_only, void* workspace);
    // Rate coefficients, dn/dt or its Jacobian of the queue's cells, in a workspace of integrator_bytes.
    void (*derive)(const PlanView&, const CellArrays&, const CellQueue&, const DerivativeArrays&, void* workspace);
    // Formulas alone: the waiting cells in which one is negative or not finite get status_UNSUPPORTED.
    void (*refuse)(const PlanView&, const CellArrays&, const CellQueue&, void* workspace);
};

// What a shared object with the straight-line kernels of one network shows by its one symbol, pcs_network_kernels().
// The first field tells whether the others can be read.
struct NetworkKernels {
    uint64_t interface;    // hash of the sources and flags that the object was compiled from
    uint64_t layout;       // kernel_layout() as the object's compiler sees it
    uint64_t fingerprint;  // of the network's plan
    const Kernels* kernels;
};

// The sizes of all that passes between library and object, mixed.
constexpr uint64_t kernel_layout() {
    constexpr uint64_t sizes[] = {sizeof(PlanView),
                                  sizeof(Group),
                                  sizeof(SurrogateView),
                                  sizeof(CellArrays),
                                  sizeof(CellQueue),
                                  sizeof(DerivativeArrays),
                                  sizeof(RouterView),
                                  sizeof(IntegratorSettings),
                                  sizeof(IntegratorStatistics),
                                  sizeof(SurrogateSettings),
                                  sizeof(FinishArrays),
                                  sizeof(PrepareArrays),
                                  sizeof(Kernels)};
    uint64_t mixed = 0;
    for (const uint64_t size : sizes) mixed = mixed * 1000003 + size;
    return mixed;
}

const Kernels& kernels_sse2();
const Kernels& kernels_avx2();
const Kernels& kernels_avx512();
const Kernels& kernels_avx512narrow();
const Kernels& kernels_scalar();  // only where the build has them (PCS_SCALAR)

}  // namespace pcs
