// SPDX-License-Identifier: BSD-3-Clause
#include "arrays.hpp"

#include "grid.cuh"
#include "pointers.hpp"

namespace pcs::cuda {

namespace {

__global__ void spread_row(double* to, const double* from, int64_t stride, int64_t count) {
    in_strides(count, [&](int64_t i) {
        if (i >= 0) to[i] = from[i * stride];
    });
}

__global__ void fill_row(double* to, double value, int64_t count) {
    in_strides(count, [&](int64_t i) {
        if (i >= 0) to[i] = value;
    });
}

}  // namespace

void order_streams(cudaStream_t after, cudaStream_t before) {
    cudaEvent_t done;
    require(cudaEventCreateWithFlags(&done, cudaEventDisableTiming), "to make an event");
    const cudaError_t recorded = cudaEventRecord(done, before);
    const cudaError_t waits = recorded == cudaSuccess ? cudaStreamWaitEvent(after, done, 0) : recorded;
    require(cudaEventDestroy(done), "to destroy an event");  // at once: it lives until it is no longer waited for
    require(waits, "to order two streams");
}

void spread(double* to, const double* from, int64_t stride, int64_t count, cudaStream_t stream) {
    if (count == 0) return;
    if (stride == 0 && place_of(from) == -1)
        launch(fill_row, stride_blocks(count), stride_threads, 0, stream, to, *from, count);
    else
        launch(spread_row, stride_blocks(count), stride_threads, 0, stream, to, from, stride, count);
}

}  // namespace pcs::cuda
