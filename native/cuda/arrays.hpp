// For bindings whose callers bring arrays of several libraries. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace pcs::cuda {

// What is put into `after` from now on waits for what is in `before` now; the host waits for nothing.
void order_streams(cudaStream_t after, cudaStream_t before);

// to[i] = from[i * stride], of the device in use; with stride 0 `from` may be the host's.
void spread(double* to, const double* from, std::int64_t stride, std::int64_t count, cudaStream_t stream);

}  // namespace pcs::cuda
