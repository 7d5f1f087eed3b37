// How kernels are spread over a device, and what their threads do together. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>

#include "launch.hpp"

namespace pcs::cuda {

constexpr unsigned all_lanes = 0xffffffff;
constexpr int warp_size = 32;

inline int multiprocessors() {
    int device = 0, count = 0;
    require(cudaGetDevice(&device), "to name the device in use");
    require(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device), "to tell its multiprocessors");
    return count;
}

// Threads of kernels that go over all cells in strides of the grid, and blocks that keep the device busy.
constexpr int stride_threads = 256;
inline int stride_blocks(int64_t n) {
    const int64_t needed = (n + stride_threads - 1) / stride_threads;
    return static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(needed, 8 * multiprocessors())));
}

// work(i) for all i < n, by the grid; threads of a warp stay together: work(-1) where one has none.
template <class Work>
__device__ inline void in_strides(int64_t n, const Work& work) {
    const int64_t stride = (int64_t)gridDim.x * blockDim.x;
    for (int64_t first = (int64_t)blockIdx.x * blockDim.x; first < n; first += stride) {
        const int64_t i = first + threadIdx.x;
        work(i < n ? i : -1);
    }
}

__device__ inline int lane_of_warp() { return (int)(threadIdx.x % warp_size); }

// The sum over a warp, for its first lane.
__device__ inline int64_t sum_of_warp(int64_t value) {
    for (int by = warp_size / 2; by > 0; by /= 2) value += __shfl_down_sync(all_lanes, (long long)value, by);
    return value;
}
__device__ inline double largest_of_warp(double value) {
    for (int by = warp_size / 2; by > 0; by /= 2) {
        const double other = __shfl_xor_sync(all_lanes, value, by);
        value = other > value ? other : value;
    }
    return value;
}

// To a number in device memory, from all threads of a warp together. The order does not change the result: numbers are
// whole, and the largest non-negative double is the largest of their bits.
__device__ inline void add_from_warp(int64_t* to, int64_t value) {
    const int64_t sum = sum_of_warp(value);
    if (lane_of_warp() == 0 && sum != 0)
        atomicAdd(reinterpret_cast<unsigned long long*>(to), static_cast<unsigned long long>(sum));
}
__device__ inline void raise_from_warp(double* to, double value) {
    const double largest = largest_of_warp(value);
    if (lane_of_warp() == 0 && largest > 0) atomicMax(reinterpret_cast<long long*>(to), __double_as_longlong(largest));
}

}  // namespace pcs::cuda
