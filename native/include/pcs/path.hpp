// A learned path of a solver. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/solver.hpp"
#include "pcs/surrogate.hpp"

namespace pcs {

// A learned path: a map with its gate, and what belongs to the handle.
struct Solver::Path {
    Path(const std::string& name, int index, const ModelFile& file, const NetworkTables& tables, const Plan& plan)
        : name(name), index(index), surrogate(file.of_path(name), tables, plan) {}

    const SurrogateView& view() const { return surrogate.view(); }

    const std::string name;
    const int index;  // in the file
    const Surrogate surrogate;
    int target = -1;  // the row of the gate's calibration that serves; -1: none
    mutable Audit audit;
};

}  // namespace pcs
