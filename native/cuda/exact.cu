// SPDX-License-Identifier: BSD-3-Clause
#include "exact.cuh"

namespace pcs::cuda {

namespace {

// Doubles that a thread's tables may take in local memory. A device sets so much aside for every thread that it could
// hold.
constexpr int table_sizes[] = {1024, 2560, 4096};

using Kernel = void(PlanView, CellArrays, DeviceQueue, IntegratorSettings, RouterView, IntegratorStatistics*, double*);

// The kernel for a plan, null where a block has to share a cell.
Kernel* kernel_for(const PlanView& plan, [[maybe_unused]] bool has_code) {
#ifdef PCS_GENERATED
    using Code = scalar::NetworkCode;
    if (has_code) return integrate_kernel<scalar::Generated<Code>, CodeMemory<Code>>;
#endif
    const std::size_t doubles = place_tables(plan, nullptr, nullptr);
    if (doubles <= table_sizes[0]) return integrate_kernel<scalar::Tables, TablesMemory<table_sizes[0]>>;
    if (doubles <= table_sizes[1]) return integrate_kernel<scalar::Tables, TablesMemory<table_sizes[1]>>;
    if (doubles <= table_sizes[2]) return integrate_kernel<scalar::Tables, TablesMemory<table_sizes[2]>>;
    return nullptr;
}

}  // namespace

bool has_code(const PlanView& plan) { return scalar::has_code(plan); }

std::size_t integrate_work_bytes(const PlanView& plan, bool has_code, int64_t n_cells) {
    Kernel* const kernel = kernel_for(plan, has_code);
    return kernel ? exact_bytes(plan, exact_blocks(kernel, n_cells)) : integrate_large_bytes(plan, n_cells);
}

void enqueue_integrate(const PlanView& plan, bool has_code, const CellArrays& cells, const DeviceQueue& list,
                       const IntegratorSettings& settings, IntegratorStatistics* statistics, Scratch& scratch,
                       cudaStream_t stream) {
    Kernel* const kernel = kernel_for(plan, has_code);
    if (!kernel) return enqueue_integrate_large(plan, cells, list, settings, statistics, scratch, stream);
    const unsigned blocks = exact_blocks(kernel, cells.n_cells);
    auto* const coefficients = reinterpret_cast<double*>(scratch.work.reserve<char>(exact_bytes(plan, blocks)));
    launch(kernel, blocks, exact_threads, 0, stream, plan, cells, list, settings,
           settings.router ? *settings.router : RouterView{}, statistics, coefficients);
}

}  // namespace pcs::cuda
