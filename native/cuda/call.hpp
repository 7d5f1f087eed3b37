// Calls on a model whose arrays are in the device's memory. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model.hpp"

namespace pcs::cuda {

// What a call's kernels read of what the host has decided, in the lane's own memory.
class Given {
  public:
    // Where `count` values will lie, from the beginning.
    template <class T>
    std::size_t add(const T* values, std::size_t count) {
        const std::size_t at = bytes_.size();
        bytes_.resize(at + (count * sizeof(T) + 15) / 16 * 16);
        const char* const from = reinterpret_cast<const char*>(values);
        std::copy(from, from + count * sizeof(T), bytes_.begin() + static_cast<std::ptrdiff_t>(at));
        return at;
    }
    // Enqueues the copy (by the parameters of kernels, which a graph keeps), and tells where it begins.
    char* put(DeviceBuffer& there, cudaStream_t stream) const;

  private:
    std::vector<char> bytes_;
};

// A step or a trajectory of the arrays in the device's memory; they are cut into pieces that its memory has scratch
// for. Nothing is waited for. `mine` has been checked; the report is the slot's.
void enqueue(DeviceModel& model, const DeviceStep& step, Lane& lane, Slot& slot, cudaStream_t stream);
void enqueue(DeviceModel& model, const DeviceTrajectory& trajectory, Lane& lane, Slot& slot, cudaStream_t stream);

// With memory host: staged through pinned memory, and done when they return.
void run_staged(DeviceModel& model, const DeviceStep& step, Lane& lane, Slot& slot, cudaStream_t stream);
void run_staged(DeviceModel& model, const DeviceTrajectory& trajectory, Lane& lane, Slot& slot, cudaStream_t stream);

DeviceMeasure measure(DeviceModel& model, const DeviceStep& step);

}  // namespace pcs::cuda
