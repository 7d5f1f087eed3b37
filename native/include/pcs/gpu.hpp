// A model on a GPU, which libpcs_cuda (device.hpp) works on. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pcs/device.hpp"

namespace pcs {

class Image;

// libpcs_cuda: $PCS_CUDA_LIBRARY, else what lies beside the library or module that this is a part of, or in a folder
// lib there, else what the loader finds by name. It stays in the process. Throws Error (device) where it cannot be
// loaded or is of another release.
const CudaBackend& cuda_backend();

// The number of the device that an option names: cuda is 0, cuda:k is k; -1: it names none.
int device_number(const std::string& name);

[[noreturn]] void throw_failure(const DeviceFailure& failure);

// What the backend's functions say as exceptions: call(failure) returns whether it was served.
template <class Call>
void on_device(const Call& call) {
    DeviceFailure failure{};
    if (!call(&failure)) throw_failure(failure);
}

// All may be called by many threads at once. They throw Error (device, memory, argument).
class Gpu {
  public:
    Gpu(const Image& model, int n_bins, int device);
    ~Gpu();
    Gpu(const Gpu&) = delete;
    Gpu& operator=(const Gpu&) = delete;

    // Return the call's ticket.
    std::uint64_t step(const DeviceStep& step) const;
    std::uint64_t trajectory(const DeviceTrajectory& trajectory) const;
    DeviceFetched fetch(std::uint64_t ticket, std::vector<DeviceAudit>& audits) const;
    DeviceMeasure measure(const DeviceStep& step) const;

  private:
    const CudaBackend& backend_;
    int n_bins_;
    DeviceModel* model_ = nullptr;
};

}  // namespace pcs
