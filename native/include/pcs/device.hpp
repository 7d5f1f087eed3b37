// What passes between libpcs and libpcs_cuda, which works on a GPU and is looked for when a handle asks for one.
// SPDX-License-Identifier: BSD-3-Clause
//
// Plain structs and functions that return codes: no exception and no object with a destructor passes. libpcs decides
// what a call means (solver.cpp); libpcs_cuda does it on the device.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "pcs/inspect.hpp"
#include "pcs/kernels.hpp"
#include "pcs/report.hpp"

namespace pcs {

enum class Space : int32_t { host, device };

// Where the arrays of a call are, and the CUDA stream that it is put into (null: the default stream).
struct DeviceCall {
    Space memory = Space::host;
    void* stream = nullptr;
};

// What libpcs_cuda needs of a learned path. weights: (S), of the error that an audit looks at; null: no audit.
struct DevicePath {
    SurrogateView net;
    int32_t bins;
    double x_min;
    const double* weights;
};

// A model in one piece of memory, its weights packed as native/cuda/packing.hpp says.
struct DeviceModelView {
    PlanView plan;
    InspectionView inspection;
    const double* mass_g;  // (S) in the host's order
    int32_t n_paths;
    DevicePath paths[most_paths];
};

// The same as bytes that can be moved: a pointer among them (at `pointers`, n_pointers offsets) holds the offset of
// what it points to. The DeviceModelView comes first.
struct DeviceImage {
    const void* bytes;
    size_t size;
    const size_t* pointers;
    size_t n_pointers;
};

// A step: what Solver::run has decided. Pointers of `cells` and `mask` lie where `call` says (with memory device those
// whose cell stride is 0 may be in the host's memory), all others in the host's.
struct DeviceStep {
    DeviceCall call;
    CellArrays cells;
    const int8_t* mask;
    int32_t units;             // Units (solver.hpp): what the abundances are; a last condition more has the density
    bool tables_only;          // no straight-line kernels
    bool integrates;           // false: cells of the exact path keep their input, for the host to solve
    int32_t n_paths;           // that are asked, cheapest first; 0: the integrator alone
    int32_t budget_of;         // the path that says what remains of carried errors, -1: none
    int32_t path[most_paths];  // their numbers in the model, ...
    SurrogateSettings learned[most_paths];  // ... and settings
    const RouterView* router;               // null: nothing is routed
    double skip_dex;                        // where something is
    IntegratorSettings exact;               // of the first try
    double target_error_dex;
    uint64_t audit;  // changes when what the audit has counted before no longer means anything
};

// Many times from one state each: the arrays of `trajectory` lie where `step.call` says, but times_s in the host's
// memory. Of step.cells neither dt_s nor status is read, and of the paths the last one alone is asked.
struct DeviceTrajectory {
    DeviceStep step;
    TrajectoryArrays trajectory;  // status may be null
    const int8_t* mask;           // (cells, times)
};

// Audited cells of a path's bin since the last call that was fetched.
struct DeviceAudit {
    int32_t path, bin;
    int64_t audited, violations, gross;
};

struct DeviceFetched {
    Report report;
    int32_t n_audits;
    uint64_t audit;  // of the DeviceStep
};

// Why a function failed: an ErrorCode, 0 if it did not.
struct DeviceFailure {
    int32_t code;
    char message[1020];
};

struct DeviceModel;  // of libpcs_cuda

struct DeviceMeasure {
    double seconds;
    int64_t cells, steps;  // steps of the integrator
};

// The functions return false where they fail, and say why. Those of a model may be called by many threads at once, and
// take turns. A ticket names a call's report, which is kept until `device_reports` more calls have been made.
constexpr int32_t device_reports = 256;
struct CudaBackend {
    uint64_t interface;  // device_interface() as the library has it: tells whether the rest can be read
    const char* name;    // cuda or emulated
    bool (*count_devices)(int32_t* devices, DeviceFailure*);
    bool (*open)(const DeviceImage*, int32_t device, DeviceModel**, DeviceFailure*);
    void (*close)(DeviceModel*);  // waits for its calls
    // With memory device they return once all is enqueued, else when all is done.
    bool (*step)(DeviceModel*, const DeviceStep*, uint64_t* ticket, DeviceFailure*);
    bool (*trajectory)(DeviceModel*, const DeviceTrajectory*, uint64_t* ticket, DeviceFailure*);
    // Waits for the call. `audits` has room for one entry a bin of the model.
    bool (*fetch)(DeviceModel*, uint64_t ticket, DeviceFetched*, DeviceAudit* audits, DeviceFailure*);
    // What a step takes on the device, with copies of the given cells (host memory, not changed) in such a number that
    // it is busy. Waits.
    bool (*measure)(DeviceModel*, const DeviceStep*, DeviceMeasure*, DeviceFailure*);
    // Memory of a device, for bindings. place: -1 for the host's memory, else the device.
    bool (*allocate)(int32_t device, size_t bytes, void** memory, DeviceFailure*);
    bool (*release)(int32_t device, void* memory, DeviceFailure*);
    bool (*copy)(int32_t device, void* to, const void* from, size_t bytes, void* stream, bool waits, DeviceFailure*);
    bool (*synchronise)(int32_t device, void* stream, DeviceFailure*);
    bool (*place)(const void* memory, int32_t* device, DeviceFailure*);
    // What is put into `after` from now on waits for what is in `before` now; the host waits for nothing.
    bool (*order)(int32_t device, void* after, void* before, DeviceFailure*);
    // to[i] = from[i * stride] on the device; with stride 0 `from` may be the host's.
    bool (*spread)(int32_t device, double* to, const double* from, int64_t stride, int64_t count, void* stream,
                   DeviceFailure*);
    int64_t (*synchronisations)();  // of the emulator; -1 on a real device
};

// The sizes of all that passes, mixed with a number that changes with their meaning.
constexpr uint64_t device_interface() {
    constexpr uint64_t number = 1;
    constexpr uint64_t sizes[] = {number,
                                  kernel_layout(),
                                  sizeof(DeviceModelView),
                                  sizeof(DeviceImage),
                                  sizeof(DeviceStep),
                                  sizeof(DeviceTrajectory),
                                  sizeof(DeviceAudit),
                                  sizeof(DeviceFetched),
                                  sizeof(DeviceMeasure),
                                  sizeof(DeviceFailure),
                                  sizeof(CudaBackend)};
    uint64_t mixed = 0;
    for (const uint64_t size : sizes) mixed = mixed * 1000003 + size;
    return mixed;
}

}  // namespace pcs

// The one symbol of libpcs_cuda.
extern "C" const pcs::CudaBackend* pcs_cuda_backend(void);
