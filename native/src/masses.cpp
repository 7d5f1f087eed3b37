// What species weigh, and how reactions are written. SPDX-License-Identifier: BSD-3-Clause
#include <limits>
#include <string_view>

#include "pcs/tables.hpp"

namespace pcs {

namespace {

// As in network/species.py: CODATA 2022 (Mohr et al. 2025, Rev. Mod. Phys. 97, 025002) and the abridged standard atomic
// weights of 2021 (Prohaska et al. 2022, Pure Appl. Chem. 94, 573).
constexpr double atomic_mass_unit_g = 1.66053906892e-24, electron_mass_g = 9.1093837139e-28;
constexpr struct {
    std::string_view element;
    double weight_u;
} atomic_weights[] = {
    {"H", 1.0080},  {"He", 4.0026}, {"Li", 6.94},   {"C", 12.011},  {"N", 14.007},  {"O", 15.999},  {"F", 18.998},
    {"Ne", 20.180}, {"Na", 22.990}, {"Mg", 24.305}, {"Al", 26.982}, {"Si", 28.085}, {"P", 30.974},  {"S", 32.06},
    {"Cl", 35.45},  {"Ar", 39.95},  {"K", 39.098},  {"Ca", 40.078}, {"Ti", 47.867}, {"Fe", 55.845}, {"Ni", 58.693},
};

double weight_u(std::string_view element) {
    for (const auto& row : atomic_weights)
        if (row.element == element) return row.weight_u;
    return std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

std::vector<double> NetworkTables::masses_from_elements() const {
    const std::size_t S = species.size(), elements = conserved.empty() ? 0 : conserved.size() - 1;
    std::vector<double> masses(S, 0);
    if (composition.size() != conserved.size() * S) return masses;  // validate() will refuse it
    for (std::size_t i = 0; i < S; ++i) {
        double nuclei_u = 0;
        for (std::size_t e = 0; e < elements; ++e)
            if (const double count = composition[e * S + i]; count != 0) nuclei_u += weight_u(conserved[e]) * count;
        masses[i] = nuclei_u * atomic_mass_unit_g - composition[elements * S + i] * electron_mass_g;
    }
    return masses;
}

std::string NetworkTables::equation(int reaction) const {
    const auto side = [&](const std::vector<std::int32_t>& table, int width) {
        std::string text;
        for (int k = 0; k < width; ++k)
            if (const int s = table[static_cast<std::size_t>(reaction) * width + k]; s >= 0)
                text += (text.empty() ? "" : " + ") + species[s];
        return text;
    };
    return side(reactants, max_reactants) + " -> " + side(products, n_products);
}

}  // namespace pcs
