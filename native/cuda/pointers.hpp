// Whether the arrays of a call are where its options say. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/device.hpp"

namespace pcs::cuda {

// The device whose memory a pointer is to; -1: the host's (also pinned), -2: managed, which both may use.
int place_of(const void* pointer);

// Throw Error (device) that names the array and says what to do. With memory device all arrays must be of the device or
// managed, but for temperature, dt and conditions of stride 0.
void check_places(const DeviceStep& step, int device, int n_species, int n_conditions);
void check_places(const DeviceTrajectory& trajectory, int device, int n_species, int n_conditions);

}  // namespace pcs::cuda
