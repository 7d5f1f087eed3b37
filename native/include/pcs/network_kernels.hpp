// Straight-line kernels of one network, compiled by its user into a shared object in a folder of the user's own.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>
#include <vector>

#include "pcs/kernels.hpp"

namespace pcs {

// Where the object for a plan and an instruction set (sse2, avx2, avx512) belongs: in $PCS_KERNEL_CACHE, else
// $XDG_CACHE_HOME/pychemsurrogate, else ~/.cache/pychemsurrogate, under a name that no other plan, version of the
// kernels or instruction set has. Throws Error (option) if there is no such folder or instruction set.
std::string object_path(const PlanView& plan, const std::string& isa);

// The compiler's flags for that object beside paths: those of the library's own kernels.
std::vector<std::string> object_flags(const std::string& isa);

// Loads the object of a plan for the instruction set of this process, for as long as the process lives.
// Throws Error (file) if it is missing, could have been written by somebody else, or does not fit.
const Kernels& load_object(const PlanView& plan, const std::string& path);

}  // namespace pcs
