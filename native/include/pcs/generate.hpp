// Straight-line kernels written for one network. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

#include "pcs/plan_view.hpp"

namespace pcs {

// C++ for native/src/kernels.cpp: struct NetworkCode with the plan's fingerprint and its kernels.
// Throws Error (option) for a network so large that tables serve it as well.
std::string generate_code(const PlanView& plan);

}  // namespace pcs
