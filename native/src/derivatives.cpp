// Rate coefficients, dn/dt and its Jacobian, from the host's arrays to the host's arrays.
// SPDX-License-Identifier: BSD-3-Clause
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "pcs/solver.hpp"
#include "pcs/team.hpp"

namespace pcs {

namespace {

#define PCS_LIMIT(name, value, meaning) constexpr double name = value;
#include "pcs/limits.def"
#undef PCS_LIMIT

// Belongs to the calling thread and grows, never shrinks.
struct Workspaces {
    std::vector<Buffer> of_thread;
    std::vector<std::int64_t> good;  // cells
};
Workspaces& workspaces() {
    thread_local Workspaces mine;
    return mine;
}

}  // namespace

// Any finite abundances will do, negative ones too: an integrator's trial states have them.
std::span<const std::int64_t> Solver::inspect_derivatives(const CellArrays& c) const {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    const int S = tables_.n_species();
    std::vector<std::int64_t>& good = workspaces().good;
    good.clear();
    for (std::int64_t cell = 0; cell < c.n_cells; ++cell) {
        const double T = c.temperature_K[cell * c.temperature_stride];
        bool fine = T > 0 && T < infinity;
        for (int k = 0; k < tables_.n_conditions(); ++k) {
            const double value = c.conditions[cell * c.condition_cell_stride + k * c.condition_stride];
            fine &= value >= 0 && value < infinity;
        }
        double n_H = lowest_n_H;
        if (c.n_cm3) {
            n_H = 0;
            for (int i = 0; i < S; ++i) {
                const double value = c.n_cm3[cell * c.cell_stride + i * c.species_stride];
                fine &= value > -infinity && value < infinity;  // false for NaN
                n_H += tables_.scale_weights[i] * value;
            }
        }
        const bool supported = T >= lowest_T && T <= highest_T && n_H >= lowest_n_H && n_H <= highest_n_H;
        c.status[cell] = !fine ? status_BAD_INPUT : !supported ? status_UNSUPPORTED : status_UNCHANGED;
        if (c.status[cell] >= 0) good.push_back(cell);
    }
    return good;
}

void Solver::derive_list(const CellArrays& cells, const DerivativeArrays& to, const std::int64_t* list,
                         std::int64_t size) const {
    if (size == 0) return;
    const PlanView& plan = plan_.view();
    const Kernels& best = kernels();
    const std::size_t bytes = best.integrator_bytes(plan);
    const int threads = team_size(options_.threads, size);
    std::vector<Buffer>& mine = workspaces().of_thread;
    if (mine.size() < static_cast<std::size_t>(threads)) mine.resize(threads);
    for (int t = 0; t < threads; ++t) mine[t].reserve(bytes);
    std::int64_t next = 0;
    const CellQueue queue{list, size, &next};
    run_team(options_.threads, threads, [&](int t) { best.derive(plan, cells, queue, to, mine[t].reserve(bytes)); });
}

}  // namespace pcs
