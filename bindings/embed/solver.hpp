// A model that Python serves, with the interface of pcs::Solver that bindings/c/pcs.cpp uses.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>
#include <vector>

#include "bridge.h"
#include "pcs/solver.hpp"

namespace pcs::embed {

class Solver {
  public:
    // A path to a .pcs file, the name of a shipped model, or python:package.module:name. Throws Error.
    explicit Solver(const std::string& model);
    ~Solver();
    Solver(const Solver&) = delete;
    Solver& operator=(const Solver&) = delete;

    const NetworkTables& network() const { return tables_; }
    const Options& options() const { return options_; }
    void set_option(const std::string& key, const std::string& value);

    // These throw Error as those of pcs::Solver do, and Error (python) where Python raised.
    Report step(const StepRequest& request) const;
    Report equilibrium(const StepRequest& request, const EquilibriumSettings& settings) const;
    Report trajectory(const TrajectoryRequest& request) const;
    Costs costs() const;

  private:
    void take(const pcs_bridge_model& model);
    // The request, checked, with a status array of its own if the host has none.
    pcs_bridge_cells cells_of(const StepRequest& request, bool needs_dt) const;

    std::int64_t id_ = 0;
    NetworkTables tables_;
    Options options_;  // statistics alone means something here
};

}  // namespace pcs::embed
