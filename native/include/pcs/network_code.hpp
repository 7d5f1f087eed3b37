// The straight-line code of one network, where the build has some (PCS_GENERATED). SPDX-License-Identifier:
// BSD-3-Clause
#pragma once

#include "pcs/chemistry.hpp"

namespace pcs::PCS_ISA {

#ifdef PCS_GENERATED
#include "pcs_generated/network.inc"
#endif

// Whether it serves this plan, so that Generated<NetworkCode> does instead of Tables.
PCS_FN inline bool has_code([[maybe_unused]] const PlanView& plan) {
#ifdef PCS_GENERATED
    return Generated<NetworkCode>::serves(plan);
#else
    return false;
#endif
}

}  // namespace pcs::PCS_ISA
