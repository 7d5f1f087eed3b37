// The network as plain arrays: what Python, the model file and the native core share (docs/architecture.md).
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pcs/plan_view.hpp"

namespace pcs {

struct NetworkTables {
    std::vector<std::string> species;          // S
    std::vector<std::string> conserved;        // Q: the elements, then "charge"
    std::vector<std::string> conditions;       // C
    std::vector<double> composition;           // (Q, S)
    std::vector<double> scale_weights;         // (S): n_H = sum of w n
    std::vector<std::int32_t> reactants;       // (R, 3), -1: none
    std::vector<std::int32_t> products;        // (R, n_products), -1: none
    std::vector<std::int32_t> law;             // (R)
    std::vector<std::int32_t> law_conditions;  // (R, 2), -1: none
    std::vector<double> parameters;            // (R, 7)
    std::vector<double> mass_g;                // (S); NaN: not known
    int n_products = 0;
    std::vector<std::int32_t> expression_code;  // (I, 4): operation, a, b, c; empty without the law `expression`
    std::vector<double> expression_constants;

    int n_species() const { return static_cast<int>(species.size()); }
    int n_conserved() const { return static_cast<int>(conserved.size()); }
    int n_conditions() const { return static_cast<int>(conditions.size()); }
    int n_reactions() const { return static_cast<int>(law.size()); }
    // Whether a formula reads n_H.
    bool reads_density() const;

    // The masses of species of known elements, electrons counted; NaN where an element's weight is not tabulated.
    std::vector<double> masses_from_elements() const;
    // "C+ + e- -> C"
    std::string equation(int reaction) const;

    // Throws std::invalid_argument that names the first thing that is wrong.
    void validate() const;
};

}  // namespace pcs
