// Launching kernels and telling of the runtime's errors: on a device, or on its emulator (tests/cuda/emulator).
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cuda_runtime.h>

#include <string>
#include <tuple>

#include "pcs/error.hpp"

// Dynamic shared memory of a kernel, as an array of T.
#ifdef PCS_CUDA_EMULATED
#define PCS_SHARED_MEMORY(T, name) T* const name = reinterpret_cast<T*>(::emulator::dynamic_shared())
#else
#define PCS_SHARED_MEMORY(T, name)                             \
    extern __shared__ __align__(16) char pcs_dynamic_shared[]; \
    T* const name = reinterpret_cast<T*>(pcs_dynamic_shared)
#endif

namespace pcs::cuda {

// Throws Error unless the call came through; `doing` completes "the GPU failed ...".
inline void require(cudaError_t error, const char* doing) {
    if (error == cudaSuccess) return;
    const std::string what = std::string(cudaGetErrorName(error)) + ": " + cudaGetErrorString(error);
    if (error == cudaErrorMemoryAllocation)
        throw Error(ErrorCode::memory,
                    std::string("the GPU has no memory left ") + doing + " (" + what + "): use smaller batches");
    throw Error(ErrorCode::device, std::string("the GPU failed ") + doing + " (" + what + ")");
}

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
            Arguments... arguments) {
#ifdef PCS_CUDA_EMULATED
    require(emulator::launch(
                reinterpret_cast<const void*>(kernel),
                [kernel, all = std::tuple<Parameters...>(arguments...)] { std::apply(kernel, all); }, grid, block,
                shared_bytes, stream),
            "to start a kernel");
#else
    // clang-format off
    kernel<<<grid, block, shared_bytes, stream>>>(arguments...);
    // clang-format on
    require(cudaGetLastError(), "to start a kernel");
#endif
}

}  // namespace pcs::cuda
