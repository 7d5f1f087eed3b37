// Lists of cells whose size stays on the device. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "grid.cuh"
#include "step.hpp"

namespace pcs::cuda {

struct Counter {
    int64_t size, next;
};

// Appends `cell` where wanted; all threads of a warp come here together. No answer depends on a list's order.
__device__ inline int64_t append(bool wanted, int64_t* size) {
    const unsigned among = __ballot_sync(all_lanes, wanted);
    long long first = 0;
    if (lane_of_warp() == 0 && among != 0)
        first = (long long)atomicAdd(reinterpret_cast<unsigned long long*>(size), (unsigned long long)__popc(among));
    first = __shfl_sync(all_lanes, first, 0);
    return first + __popc(among & ((1u << lane_of_warp()) - 1));
}

// Which cells a list is made of.
struct Waiting {
    __device__ bool operator()(int8_t status) const { return waits(status); }
};
struct Unserved {
    __device__ bool operator()(int8_t status) const { return status >= status_EXACT_REQUESTED; }
};
struct Refused {
    __device__ bool operator()(int8_t status) const { return refused(status); }
};
struct GivenUp {
    __device__ bool operator()(int8_t status) const { return given_up(status); }
};
struct SentTo {
    int8_t status;
    __device__ bool operator()(int8_t found) const { return found == status; }
};

// taken_back: cells that another path takes are not said to be refused; null: they are.
template <class Wants>
__global__ void __launch_bounds__(stride_threads) list_kernel(int64_t n_cells, const int8_t* status, Wants wants,
                                                              int64_t* list, Counter* counter, Report* taken_back) {
    int64_t box = 0, distance = 0, error = 0, budget = 0;
    in_strides(n_cells, [&](int64_t cell) {
        const int8_t found = cell >= 0 ? status[cell] : (int8_t)0;
        const bool wanted = cell >= 0 && wants(found);
        const int64_t place = append(wanted, &counter->size);
        if (!wanted) return;
        list[place] = cell;
        box += found == status_EXACT_BOX, distance += found == status_EXACT_DISTANCE;
        error += found == status_EXACT_ERROR, budget += found == status_EXACT_BUDGET;
    });
    if (!taken_back) return;
    add_from_warp(&taken_back->refused_box, -box);
    add_from_warp(&taken_back->refused_distance, -distance);
    add_from_warp(&taken_back->refused_error, -error);
    add_from_warp(&taken_back->refused_budget, -budget);
}

template <class Wants>
DeviceQueue enqueue_list(const CellArrays& cells, const Wants& wants, Counter* counter, Scratch& scratch,
                         cudaStream_t stream, Report* taken_back = nullptr) {
    int64_t* const list = scratch.list.reserve<int64_t>(cells.n_cells);
    launch(list_kernel<Wants>, stride_blocks(cells.n_cells), stride_threads, 0, stream, cells.n_cells,
           (const int8_t*)cells.status, wants, list, counter, taken_back);
    return {list, &counter->size, &counter->next};
}

}  // namespace pcs::cuda
