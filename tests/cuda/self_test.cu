// The emulator itself, and launching. SPDX-License-Identifier: BSD-3-Clause
#include <cstdio>
#include <vector>

#include "launch.hpp"

static int failures = 0;
#define CHECK(condition) \
    if (!(condition)) std::printf("%s:%d: %s\n", __FILE__, __LINE__, #condition), ++failures

// Sums by shared memory and by shuffles; blocks take work from a common counter.
static __global__ void sums(const int* values, int count, int* next, int* by_block, int* by_warp) {
    __shared__ int chosen;
    PCS_SHARED_MEMORY(int, scratch);
    for (;;) {
        if (threadIdx.x == 0) chosen = atomicAdd(next, 1);
        __syncthreads();
        const int chunk = chosen;
        __syncthreads();
        if (chunk * int(blockDim.x) >= count) return;
        const int at = chunk * int(blockDim.x) + int(threadIdx.x), value = at < count ? values[at] : 0;
        scratch[threadIdx.x] = value;
        __syncthreads();
        for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
            if (threadIdx.x < half) scratch[threadIdx.x] += scratch[threadIdx.x + half];
            __syncthreads();
        }
        if (threadIdx.x == 0) by_block[chunk] = scratch[0];
        int sum = value;
        for (int by = 16; by > 0; by /= 2) sum += __shfl_down_sync(0xffffffff, sum, by);
        if (threadIdx.x % 32 == 0) atomicAdd(by_warp, sum);
        CHECK(__syncthreads_count(threadIdx.x == 3) == 1);
        CHECK(__ballot_sync(0xffffffff, threadIdx.x % 32 == 5) == 32);
    }
}

int main() {
    using pcs::cuda::launch;
    using pcs::cuda::require;
    const int count = 1000, threads = 64;
    std::vector<int> values(count);
    int expected = 0;
    for (int i = 0; i < count; ++i) expected += values[i] = i * i % 17;
    int *device = nullptr, *next = nullptr, *by_block = nullptr;
    require(cudaMalloc(&device, count * sizeof(int)), "");
    require(cudaMalloc(&next, 2 * sizeof(int)), "");
    require(cudaMalloc(&by_block, 16 * sizeof(int)), "");
    cudaStream_t stream, other;
    require(cudaStreamCreate(&stream), "");
    require(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking), "");
    require(cudaMemcpyAsync(device, values.data(), count * sizeof(int), cudaMemcpyHostToDevice, stream), "");
    require(cudaMemsetAsync(next, 0, 2 * sizeof(int), stream), "");
    values.assign(count, -1);  // pageable memory was read already
    launch(sums, 5, threads, threads * sizeof(int), stream, device, count, next, by_block, next + 1);
    cudaEvent_t event;
    require(cudaEventCreate(&event), "");
    require(cudaEventRecord(event, stream), "");
    CHECK(emulator_synchronisations() == 0);
    CHECK(cudaStreamWaitEvent(other, event, 0) == cudaSuccess);
    int total = 0, found[16];
    require(cudaMemcpyAsync(&total, next + 1, sizeof total, cudaMemcpyDeviceToHost, other), "");
    CHECK(emulator_synchronisations() == 1);
    CHECK(total == expected);
    require(cudaMemcpy(found, by_block, sizeof found, cudaMemcpyDeviceToHost), "");
    total = 0;
    for (const int sum : found) total += sum;
    CHECK(total == expected);

    // A graph replays.
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    require(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), "");
    require(cudaMemsetAsync(next, 0, 2 * sizeof(int), stream), "");
    launch(sums, 2, threads, threads * sizeof(int), stream, device, count, next, by_block, next + 1);
    require(cudaStreamEndCapture(stream, &graph), "");
    require(cudaGraphInstantiate(&executable, graph, 0), "");
    for (int k = 0; k < 2; ++k) require(cudaGraphLaunch(executable, stream), "");
    require(cudaMemcpy(&total, next + 1, sizeof total, cudaMemcpyDeviceToHost), "");
    CHECK(total == expected);
    cudaGraphExecDestroy(executable);
    cudaGraphDestroy(graph);

    // What is wrong is told.
    cudaPointerAttributes about;
    CHECK(cudaPointerGetAttributes(&about, device + 7) == cudaSuccess && about.type == cudaMemoryTypeDevice);
    CHECK(cudaPointerGetAttributes(&about, &about) == cudaSuccess && about.type == cudaMemoryTypeUnregistered);
    CHECK(cudaMemcpy(device, values.data(), (count + 1) * sizeof(int), cudaMemcpyHostToDevice) != cudaSuccess);
    CHECK(cudaStreamQuery(reinterpret_cast<cudaStream_t>(&about)) == cudaErrorInvalidResourceHandle);
    void* huge;
    CHECK(cudaMalloc(&huge, size_t{1} << 40) == cudaErrorMemoryAllocation);
    emulator_break(cudaErrorIllegalAddress);
    CHECK(cudaDeviceSynchronize() == cudaErrorIllegalAddress);
    emulator_break(0);
    try {
        launch(sums, 1, 2048, 0, stream, device, count, next, by_block, next + 1);
        CHECK(false);
    } catch (const pcs::Error& error) {
        CHECK(error.code == pcs::ErrorCode::device);
    }
    for (int* const memory : {device, next, by_block}) CHECK(cudaFree(memory) == cudaSuccess);
    CHECK(cudaStreamDestroy(stream) == cudaSuccess);
    CHECK(cudaStreamDestroy(stream) == cudaErrorInvalidResourceHandle);
    if (failures == 0) std::puts("ok");
    return failures != 0;
}
