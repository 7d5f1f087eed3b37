// What kernels see of the emulated device (cuda_runtime.h). SPDX-License-Identifier: BSD-3-Clause
//
// Threads of a block are fibers of one thread of the process, so that a block's shared memory is thread-local; blocks
// run on two threads, side by side.
#pragma once

#include <cmath>
#include <cstring>
#include <functional>

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __shared__ static thread_local
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
using uint3 = dim3;

#define PCS_EMULATED_VECTOR(T, name, alignment)                                        \
    struct alignas(2 * alignment) name##2 { T x, y; };                                 \
    struct alignas(4 * alignment > 16 ? 16 : 4 * alignment) name##4 { T x, y, z, w; }; \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; }                         \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
PCS_EMULATED_VECTOR(float, float, 4)
PCS_EMULATED_VECTOR(double, double, 8)
PCS_EMULATED_VECTOR(int, int, 4)
PCS_EMULATED_VECTOR(unsigned, uint, 4)

namespace emulator {

// Of the fiber that runs.
struct Place {
    dim3 thread, block, threads, blocks;
};
const Place& here();
char* dynamic_shared();
enum class Combine { none, any, all, count };
// Waits for the block's threads; combines their values.
int block_barrier(Combine combine = Combine::none, int value = 0);
// Waits for the lanes of the mask; `all` then holds what each of them gave.
void warp_exchange(unsigned mask, uint64_t value, uint64_t (&all)[32]);
unsigned lane();

// A kernel with its arguments, enqueued.
cudaError_t launch(const void* kernel, std::function<void()> body, dim3 grid, dim3 block, size_t shared_bytes,
                   cudaStream_t stream);
cudaError_t allow_shared(const void* kernel, size_t bytes);

template <class T>
uint64_t bits_of(T value) {
    static_assert(sizeof(T) <= 8);
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    return bits;
}
template <class T>
T value_of(uint64_t bits) {
    T value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
template <class T>
T shuffled(unsigned mask, T value, unsigned from) {
    uint64_t all[32];
    warp_exchange(mask, bits_of(value), all);
    return value_of<T>(all[from]);
}
// One atomic change of *p by f.
template <class T, class F>
T change(T* p, const F& f) {
    T before, after;
    __atomic_load(p, &before, __ATOMIC_RELAXED);
    do after = f(before);
    while (!__atomic_compare_exchange(p, &before, &after, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return before;
}

}  // namespace emulator

#define threadIdx (::emulator::here().thread)
#define blockIdx (::emulator::here().block)
#define blockDim (::emulator::here().threads)
#define gridDim (::emulator::here().blocks)
constexpr int warpSize = 32;

inline void __syncthreads() { emulator::block_barrier(); }
inline int __syncthreads_or(int value) { return emulator::block_barrier(emulator::Combine::any, value); }
inline int __syncthreads_and(int value) { return emulator::block_barrier(emulator::Combine::all, value); }
inline int __syncthreads_count(int value) { return emulator::block_barrier(emulator::Combine::count, value); }
inline void __syncwarp(unsigned mask = 0xffffffff) {
    uint64_t all[32];
    emulator::warp_exchange(mask, 0, all);
}
template <class T>
T __shfl_sync(unsigned mask, T value, int from, int width = 32) {
    return emulator::shuffled(mask, value, (emulator::lane() & ~(width - 1)) + (from & (width - 1)));
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
    const unsigned mine = emulator::lane(), from = (mine & (width - 1)) + by;
    return emulator::shuffled(mask, value, from < unsigned(width) ? mine + by : mine);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
    const unsigned mine = emulator::lane();
    return emulator::shuffled(mask, value, (mine & (width - 1)) >= by ? mine - by : mine);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int with, int = 32) {
    return emulator::shuffled(mask, value, emulator::lane() ^ unsigned(with));
}
inline unsigned __ballot_sync(unsigned mask, int value) {
    uint64_t all[32];
    emulator::warp_exchange(mask, value != 0, all);
    unsigned ballot = 0;
    for (unsigned l = 0; l < 32; ++l)
        if (mask >> l & 1) ballot |= unsigned(all[l]) << l;
    return ballot;
}
inline int __any_sync(unsigned mask, int value) { return __ballot_sync(mask, value) != 0; }
inline int __all_sync(unsigned mask, int value) { return __ballot_sync(mask, value) == mask; }

inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline int __popcll(unsigned long long v) { return __builtin_popcountll(v); }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline int __clz(int v) { return v ? __builtin_clz(unsigned(v)) : 32; }
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() {}
template <class T>
T __ldg(const T* p) {
    return *p;
}
inline double __longlong_as_double(long long v) { return emulator::value_of<double>(emulator::bits_of(v)); }
inline long long __double_as_longlong(double v) { return emulator::value_of<long long>(emulator::bits_of(v)); }
inline float __int_as_float(int v) { return emulator::value_of<float>(emulator::bits_of(v)); }
inline int __float_as_int(float v) { return emulator::value_of<int>(emulator::bits_of(v)); }
inline float __uint_as_float(unsigned v) { return emulator::value_of<float>(emulator::bits_of(v)); }
inline unsigned __float_as_uint(float v) { return emulator::value_of<unsigned>(emulator::bits_of(v)); }

#define PCS_EMULATED_ATOMIC(name, expression)                                  \
    template <class T>                                                         \
    T name(T* p, std::type_identity_t<T> v) {                                  \
        return emulator::change(p, [v](T before) -> T { return expression; }); \
    }
PCS_EMULATED_ATOMIC(atomicAdd, before + v)
PCS_EMULATED_ATOMIC(atomicSub, before - v)
PCS_EMULATED_ATOMIC(atomicMax, before > v ? before : v)
PCS_EMULATED_ATOMIC(atomicMin, before < v ? before : v)
PCS_EMULATED_ATOMIC(atomicOr, before | v)
PCS_EMULATED_ATOMIC(atomicAnd, before& v)
PCS_EMULATED_ATOMIC(atomicExch, ((void)before, v))
template <class T>
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> v) {
    return emulator::change(p, [=](T before) -> T { return before == expected ? v : before; });
}

// As in CUDA's header: any type of pointer, any kernel.
extern "C" cudaError_t emulator_malloc(void** pointer, size_t bytes);
extern "C" cudaError_t emulator_malloc_host(void** pointer, size_t bytes);
extern "C" cudaError_t emulator_malloc_managed(void** pointer, size_t bytes);
template <class T>
cudaError_t cudaMalloc(T** pointer, size_t bytes) {
    return emulator_malloc(reinterpret_cast<void**>(pointer), bytes);
}
template <class T>
cudaError_t cudaMallocHost(T** pointer, size_t bytes) {
    return emulator_malloc_host(reinterpret_cast<void**>(pointer), bytes);
}
template <class T>
cudaError_t cudaMallocManaged(T** pointer, size_t bytes, unsigned = cudaMemAttachGlobal) {
    return emulator_malloc_managed(reinterpret_cast<void**>(pointer), bytes);
}
template <class T>
cudaError_t cudaMallocAsync(T** pointer, size_t bytes, cudaStream_t) {
    return emulator_malloc(reinterpret_cast<void**>(pointer), bytes);
}
template <class... A>
cudaError_t cudaFuncSetAttribute(void (*kernel)(A...), cudaFuncAttribute attribute, int value) {
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
    return emulator::allow_shared(reinterpret_cast<const void*>(kernel), size_t(value));
}
template <class... A>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, void (*)(A...)) {
    *attributes = {0, 0, 0, 1024, 32, 48 << 10};
    return cudaSuccess;
}
template <class... A>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void (*)(A...), int, size_t) {
    *blocks = 2;
    return cudaSuccess;
}
