// Memory that grows, of a device and of the host. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "launch.hpp"

namespace pcs::cuda {

// While the calling thread enqueues into a stream that is being captured nothing may be allocated.
inline thread_local bool capturing = false;
class Capturing {
  public:
    explicit Capturing(bool now) { capturing = now; }
    Capturing(const Capturing&) = delete;
    Capturing& operator=(const Capturing&) = delete;
    ~Capturing() { capturing = false; }
};

// Bytes of so many elements; throws Error (memory) where no memory holds them.
template <class T>
std::size_t bytes_of(std::size_t count) {
    if (count > SIZE_MAX / 2 / sizeof(T))
        throw Error(ErrorCode::memory, "no memory holds " + std::to_string(count) + " elements: use smaller batches");
    return count * sizeof(T);
}

// Grows and never shrinks. What lay in it is lost when it grows, which waits for the device; in a call whose buffers
// are large enough nothing is allocated.
class DeviceBuffer {
  public:
    DeviceBuffer() = default;
    DeviceBuffer(const DeviceBuffer&) = delete;
    DeviceBuffer& operator=(const DeviceBuffer&) = delete;
    ~DeviceBuffer() { cudaFree(memory_); }

    // At least so many elements; throws Error (memory, device).
    template <class T>
    T* reserve(std::size_t count) {
        const std::size_t bytes = bytes_of<T>(count);
        if (bytes > size_) {
            if (capturing)
                throw Error(ErrorCode::device,
                            "the stream is being captured, but scratch would have to grow: make one call of this size "
                            "before the capture");
            require(cudaFree(memory_), "to free scratch");
            memory_ = nullptr, size_ = 0;
            void* memory = nullptr;
            const cudaError_t error = cudaMalloc(&memory, bytes);
            if (error != cudaSuccess) cudaGetLastError();  // running out of memory is no error of later calls
            require(error, "for scratch");
            memory_ = memory, size_ = bytes;
        }
        return static_cast<T*>(memory_);
    }

    void release() {
        cudaFree(memory_);
        memory_ = nullptr, size_ = 0;
    }

  private:
    void* memory_ = nullptr;
    std::size_t size_ = 0;
};

// Likewise, of the host's memory from which the device copies by itself.
class PinnedBuffer {
  public:
    PinnedBuffer() = default;
    PinnedBuffer(const PinnedBuffer&) = delete;
    PinnedBuffer& operator=(const PinnedBuffer&) = delete;
    ~PinnedBuffer() { cudaFreeHost(memory_); }

    char* reserve(std::size_t bytes) {
        if (bytes > size_) {
            require(cudaFreeHost(memory_), "to free pinned memory");
            memory_ = nullptr, size_ = 0;
            void* memory = nullptr;
            const cudaError_t error = cudaHostAlloc(&memory, bytes, cudaHostAllocDefault);
            if (error != cudaSuccess) cudaGetLastError();
            require(error, "for pinned memory");
            memory_ = memory, size_ = bytes;
        }
        return static_cast<char*>(memory_);
    }

  private:
    void* memory_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace pcs::cuda
