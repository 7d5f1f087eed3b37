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
    const std::vector<std::string>& conditions() const { return tables_.conditions; }
    const std::vector<std::string>& equations() const { return equations_; }
    double mass_g(int species) const;
    void set_option(const std::string& key, const std::string& value);

    // These throw Error as those of pcs::Solver do, and Error (python) where Python raised.
    Report step(const StepRequest& request) const;
    Report equilibrium(const StepRequest& request, const EquilibriumSettings& settings) const;
    Report trajectory(const TrajectoryRequest& request) const;
    void derive(const DerivativeRequest& request) const;
    Costs costs() const;

  private:
    void take(const pcs_bridge_model& model);
    CallShape shape() const;

    std::int64_t id_ = 0;
    NetworkTables tables_;  // names, composition and masses; the conditions are the host's, in the option's units
    std::vector<std::string> equations_;
    Options options_;  // statistics alone means something here
};

}  // namespace pcs::embed
