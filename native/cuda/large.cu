// The exact integrator for large networks. SPDX-License-Identifier: BSD-3-Clause
#include "large.cuh"

namespace pcs::cuda {

std::size_t integrate_large_bytes(const PlanView& plan, int64_t n_cells) {
    const LargeShape shape = large_shape(plan, n_cells);
    return shape.blocks * shape.block_bytes;
}

void enqueue_integrate_large(const PlanView& plan, const CellArrays& cells, const DeviceQueue& list,
                             const IntegratorSettings& settings, IntegratorStatistics* statistics, Scratch& scratch,
                             cudaStream_t stream) {
    const LargeShape shape = large_shape(plan, cells.n_cells);
    char* const memory = scratch.work.reserve<char>(shape.blocks * shape.block_bytes);
    launch_large(plan, cells, list, settings, statistics, shape, memory, stream);
}

}  // namespace pcs::cuda
