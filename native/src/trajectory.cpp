// Many times from one given state each. SPDX-License-Identifier: BSD-3-Clause
//
// The surrogate encodes a cell once and decodes it at every time. Pairs that it may not serve go to the integrator,
// which starts from the given state and goes from one such time to the next.
#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "pcs/error.hpp"
#include "pcs/solver.hpp"

namespace pcs {

namespace {

#define PCS_LIMIT(name, value, meaning) constexpr double name = value;
#include "pcs/limits.def"
#undef PCS_LIMIT

// Belongs to the calling thread and grows, never shrinks.
struct Journey {
    std::vector<std::int8_t> cell_status, pair_status;
    std::vector<double> state, elapsed, dt;   // where the integrator is: (cells, species), (cells), (cells)
    std::vector<std::int8_t> moving, status;  // of its next leg

    template <class T>
    static T* at_least(std::vector<T>& values, std::size_t size) {
        if (values.size() < size) values.resize(size);
        return values.data();
    }
};
Journey& journey() {
    thread_local Journey mine;
    return mine;
}

}  // namespace

void Solver::require_trajectory(const TrajectoryRequest& request) const {
    if (request.mode == Mode::surrogate && paths_.empty())
        throw Error(ErrorCode::option, "mode surrogate needs a model with a surrogate; this one holds a network alone");
    if (!request.trajectory.conserve && request.mode != Mode::surrogate)
        throw Error(ErrorCode::option, "trajectories without conservation are for mode surrogate alone");
}

Report Solver::trajectory_of_densities(const TrajectoryRequest& request) const {
    const auto start = std::chrono::steady_clock::now();
    constexpr double one_second = 1;  // the times are checked here, not as a cell's dt
    StepRequest given{request.cells, nullptr};
    given.cells.dt_s = &one_second;
    given.cells.dt_stride = 0;
    given.cells.repair = options_.repair;
    given.cells.electron = electron_;
    check_step(given.cells, shape());
    check_trajectory(request, shape());
    const std::int64_t cells = given.cells.n_cells, times = request.trajectory.n_times;
    Report report;
    if (cells == 0 || times == 0) return report;
    require_trajectory(request);

    Journey& mine = journey();
    given.cells.status = Journey::at_least(mine.cell_status, cells);
    TrajectoryArrays pairs = request.trajectory;
    if (!pairs.status) pairs.status = Journey::at_least(mine.pair_status, cells * times);
    inspect(given, report);
    for (std::int64_t cell = 0; cell < cells; ++cell)
        for (std::int64_t k = 0; k < times; ++k) {
            const std::int64_t pair = cell * times + k;
            int8_t& status = pairs.status[pair];
            status = given.cells.status[cell];
            if (status >= 0 && pairs.times_s[k] == 0) status = status_UNCHANGED;
            if (request.mask && !request.mask[pair]) status = status_MASKED;
        }
    if (const auto paths = asked(request.mode); !paths.empty())
        follow(*paths.back(), given.cells, pairs, request.mode, report);
    if (!options_.host_integrates) integrate_through(given.cells, pairs, report);

    const int S = tables_.n_species();
    report.cells = cells * times;
    for (std::int64_t pair = 0; pair < cells * times; ++pair) {
        const int status = pairs.status[pair];
        report.unchanged += status == status_UNCHANGED;
        report.masked += status == status_MASKED;
        report.failed += status < 0;
        report.exact += status >= status_EXACT_REQUESTED;
        report.second_try += status == status_EXACT_SECOND_TRY;
        const bool served =
            status == status_SURROGATE || (status >= status_EXACT_REQUESTED && !options_.host_integrates);
        const double* n = given.cells.n_cm3 + pair / times * given.cells.cell_stride;
        for (int i = 0; !served && i < S; ++i) pairs.n_cm3[pair * S + i] = n[i * given.cells.species_stride];
    }
    report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return report;
}

void Solver::integrate_through(const CellArrays& given, const TrajectoryArrays& pairs, Report& report) const {
    const std::int64_t cells = given.n_cells, times = pairs.n_times;
    const auto waits = [](int8_t status) { return status >= status_EXACT_REQUESTED; };
    if (std::none_of(pairs.status, pairs.status + cells * times, waits)) return;
    const int S = tables_.n_species();
    Journey& mine = journey();
    StepRequest leg{given, Journey::at_least(mine.moving, cells)};
    leg.cells.n_cm3 = Journey::at_least(mine.state, cells * S);
    leg.cells.cell_stride = S;
    leg.cells.species_stride = 1;
    leg.cells.dt_s = Journey::at_least(mine.dt, cells);
    leg.cells.dt_stride = 1;
    leg.cells.status = Journey::at_least(mine.status, cells);
    double* const elapsed = Journey::at_least(mine.elapsed, cells);
    for (std::int64_t cell = 0; cell < cells; ++cell) {
        elapsed[cell] = 0;
        for (int i = 0; i < S; ++i)
            mine.state[cell * S + i] = given.n_cm3[cell * given.cell_stride + i * given.species_stride];
    }
    for (std::int64_t k = 0; k < times; ++k) {
        bool any = false;
        for (std::int64_t cell = 0; cell < cells; ++cell) {
            mine.moving[cell] = waits(pairs.status[cell * times + k]);
            mine.dt[cell] = pairs.times_s[k] - elapsed[cell];
            any |= mine.moving[cell] != 0;
        }
        if (!any) continue;
        const Report made = run(leg, false, true);
        report.steps += made.steps;
        report.rejected_steps += made.rejected_steps;
        report.seconds_exact += made.seconds_exact;
        report.defect_max = std::max(report.defect_max, made.defect_max);
        for (std::int64_t cell = 0; cell < cells; ++cell) {
            if (!mine.moving[cell]) continue;
            const int8_t status = mine.status[cell];
            int8_t* const row = pairs.status + cell * times;
            if (status == status_EXACT_SECOND_TRY) row[k] = status;  // else the reason why it came here stands
            if (status >= 0) {
                elapsed[cell] = pairs.times_s[k];
                std::copy_n(&mine.state[cell * S], S, pairs.n_cm3 + (cell * times + k) * S);
            } else {  // what lies behind a failure is out of reach
                for (std::int64_t later = k; later < times; ++later)
                    if (waits(row[later])) row[later] = status;
            }
        }
    }
}

}  // namespace pcs
