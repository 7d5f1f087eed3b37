// Equilibrium by pseudo-transient continuation (Kelley & Keyes 1998, SIAM J. Numer. Anal. 35, 508).
// SPDX-License-Identifier: BSD-3-Clause
//
// The integrator advances every cell by the same long duration, round after round. Its step size grows as the change
// fades, until one step spans the whole round: there the L-stable method is a Newton step towards f = 0. A cell whose
// round changed nothing to speak of is done; the time-accurate path picks the equilibrium where there are several.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

#include "pcs/error.hpp"
#include "pcs/solver.hpp"

namespace pcs {

namespace {

// Belongs to the calling thread and grows, never shrinks.
struct Search {
    std::vector<double> states, before;       // (cells, species) [cm^-3]
    std::vector<std::int8_t> status, moving;  // of a round; 0: the cell has its verdict

    void reserve(std::size_t cells, std::size_t species) {
        if (states.size() < cells * species) states.resize(cells * species), before.resize(cells * species);
        if (status.size() < cells) status.resize(cells), moving.resize(cells);
    }
};

// Whether no species above `floor` changed by more than `tolerance` of itself.
bool settled(const double* now, const double* before, int species, double floor, double tolerance) {
    for (int i = 0; i < species; ++i) {
        const double size = std::max(now[i], before[i]);
        if (size > floor && !(std::abs(now[i] - before[i]) <= tolerance * size)) return false;
    }
    return true;
}

}  // namespace

Report Solver::equilibrium_of_densities(const StepRequest& request, const EquilibriumSettings& settings) const {
    const auto start = std::chrono::steady_clock::now();
    if (!(settings.tolerance >= 1e-10 && settings.tolerance <= 0.1))
        throw Error(ErrorCode::argument, "the tolerance of an equilibrium must lie between 1e-10 and 0.1");
    if (!(settings.duration_s > 0 && settings.duration_s <= 1e20))
        throw Error(ErrorCode::argument, "the duration of an equilibrium must lie above 0 and at most at 1e20 s");
    StepRequest round = request;
    round.cells.dt_s = &settings.duration_s;
    round.cells.dt_stride = 0;
    check(round);

    thread_local Search search;
    const CellArrays& host = request.cells;
    const int S = tables_.n_species();
    search.reserve(host.n_cells, S);
    for (std::int64_t cell = 0; cell < host.n_cells; ++cell) {
        search.moving[cell] = !request.mask || request.mask[cell];
        for (int i = 0; i < S; ++i)
            search.states[cell * S + i] = host.n_cm3[cell * host.cell_stride + i * host.species_stride];
    }
    round.cells.n_cm3 = search.states.data();
    round.cells.cell_stride = S;
    round.cells.species_stride = 1;
    round.cells.status = search.status.data();
    round.mask = search.moving.data();

    Report report;
    report.cells = host.n_cells;
    const auto settle = [&](std::int64_t cell, int status) {
        search.moving[cell] = 0;
        if (host.status) host.status[cell] = static_cast<int8_t>(status);
        report.failed += status < 0;
        report.exact += status >= status_EXACT_REQUESTED;
        report.second_try += status == status_EXACT_SECOND_TRY;
    };
    for (std::int64_t cell = 0; cell < host.n_cells; ++cell)
        if (!search.moving[cell]) settle(cell, status_MASKED), ++report.masked;

    std::int64_t open = host.n_cells - report.masked;
    for (int k = 0; k < settings.max_rounds && open > 0; ++k) {
        std::copy_n(search.states.data(), host.n_cells * S, search.before.data());
        const Report made = run(round, false, true);
        if (k == 0) report.repaired = made.repaired;
        report.steps += made.steps;
        report.rejected_steps += made.rejected_steps;
        report.seconds_exact += made.seconds_exact;
        report.defect_max = std::max(report.defect_max, made.defect_max);
        for (std::int64_t cell = 0; cell < host.n_cells; ++cell) {
            if (!search.moving[cell]) continue;
            const int status = search.status[cell];
            const double* now = &search.states[cell * S];
            double n_H = 0;
            for (int i = 0; i < S; ++i) n_H += tables_.scale_weights[i] * now[i];
            const bool done =
                status < 0 || settled(now, &search.before[cell * S], S, options_.atol * n_H, settings.tolerance);
            if (!done) continue;
            settle(cell, status);
            --open;
            if (status < 0) continue;
            for (int i = 0; i < S; ++i) host.n_cm3[cell * host.cell_stride + i * host.species_stride] = now[i];
        }
    }
    for (std::int64_t cell = 0; cell < host.n_cells; ++cell)
        if (search.moving[cell]) settle(cell, status_NO_EQUILIBRIUM);
    report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return report;
}

}  // namespace pcs
