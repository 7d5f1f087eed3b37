// The host's units: densities in, densities out, converted here and nowhere else. SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "pcs/error.hpp"
#include "pcs/solver.hpp"
#include "pcs/team.hpp"

namespace pcs {

namespace {

// Belongs to the calling thread and grows, never shrinks.
struct Converted {
    std::vector<double> n;
    std::vector<std::int8_t> status;

    template <class T>
    static T* at_least(std::vector<T>& values, std::size_t size) {
        if (values.size() < size) values.resize(size);
        return values.data();
    }
};
Converted& converted() {
    thread_local Converted mine;
    return mine;
}

// work(cell) for all cells, shared by a team.
template <class Work>
void for_cells(std::int64_t cells, int wish, const Work& work) {
    const int threads = team_size(wish, cells);
    run_team(wish, threads, [&](int t) {
        for (std::int64_t cell = cells * t / threads; cell < cells * (t + 1) / threads; ++cell) work(cell);
    });
}

}  // namespace

void Solver::use_units(Units units) {
    std::vector<std::string> names = tables_.conditions;
    if (units != Units::number_density) {
        const char* const more = units == Units::mass_fraction ? "rho" : "n_H";
        if (std::find(names.begin(), names.end(), more) != names.end())
            throw Error(ErrorCode::option, std::string("the network reads a condition ") + more +
                                               " of its own: units must be number_density");
        names.push_back(more);
    }
    for (int i = 0; units == Units::mass_fraction && i < tables_.n_species(); ++i)
        if (!(tables_.mass_g[i] > 0))
            throw Error(ErrorCode::option, "the model does not say what the species " + tables_.species[i] +
                                               " weighs: write it anew, or give number densities");
    conditions_ = std::move(names);
}

double Solver::mass_g(int species) const {
    const double mass = tables_.mass_g[species];
    if (std::isnan(mass))
        throw Error(ErrorCode::file, "the model file does not say what the species " + tables_.species[species] +
                                         " weighs: write it anew");
    return mass;
}

double Solver::density(const CellArrays& host, std::int64_t cell) const {
    const double given =
        host.conditions[cell * host.condition_cell_stride + tables_.n_conditions() * host.condition_stride];
    return given > 0 && given <= std::numeric_limits<double>::max() ? given : std::numeric_limits<double>::quiet_NaN();
}

CellArrays Solver::densities_of(const CellArrays& host, const int8_t* mask) const {
    const int S = tables_.n_species();
    CellArrays cells = host;
    double* const all = Converted::at_least(converted().n, static_cast<std::size_t>(host.n_cells) * S);
    for_cells(host.n_cells, options_.threads, [&](std::int64_t cell) {
        if (mask && !mask[cell]) return;
        const double scale = density(host, cell);
        for (int i = 0; i < S; ++i)
            all[cell * S + i] = host.n_cm3[cell * host.cell_stride + i * host.species_stride] * (scale / weight(i));
    });
    cells.n_cm3 = all;
    cells.cell_stride = S;
    cells.species_stride = 1;
    return cells;
}

template <class Call>
Report Solver::in_units(const StepRequest& host, bool host_integrates, const Call& call) const {
    if (options_.units == Units::number_density) return call(host);
    check_cells(host.cells, shape());
    if (host.cells.n_cells == 0) return call(host);
    StepRequest request{densities_of(host.cells, host.mask), host.mask};
    if (!request.cells.status) request.cells.status = Converted::at_least(converted().status, host.cells.n_cells);
    const Report report = call(request);
    const int S = tables_.n_species();
    for_cells(host.cells.n_cells, options_.threads, [&](std::int64_t cell) {
        const int status = request.cells.status[cell];
        if (status != status_SURROGATE && (status < status_EXACT_REQUESTED || host_integrates)) return;
        const double scale = density(host.cells, cell);
        for (int i = 0; i < S; ++i)
            host.cells.n_cm3[cell * host.cells.cell_stride + i * host.cells.species_stride] =
                request.cells.n_cm3[cell * S + i] * (weight(i) / scale);
    });
    return report;
}

Report Solver::step(const StepRequest& request, bool exact) const {
    const OwnFloatingPoint own;
    check_call(request.device);
    if (gpu_) return step_on_device(request, exact);
    return in_units(request, options_.host_integrates,
                    [&](const StepRequest& densities) { return step_densities(densities, exact); });
}

Report Solver::equilibrium(const StepRequest& request, const EquilibriumSettings& settings) const {
    const OwnFloatingPoint own;
    require_cpu("equilibrium is");
    return in_units(request, false,
                    [&](const StepRequest& densities) { return equilibrium_of_densities(densities, settings); });
}

Report Solver::trajectory(const TrajectoryRequest& request) const {
    const OwnFloatingPoint own;
    check_call(request.device);
    if (gpu_) return trajectory_on_device(request);
    if (options_.units == Units::number_density) return trajectory_of_densities(request);
    const CellArrays& host = request.cells;
    check_cells(host, shape());
    check_trajectory(request, shape());
    const std::int64_t times = request.trajectory.n_times;
    if (host.n_cells == 0 || times <= 0) return trajectory_of_densities(request);
    TrajectoryRequest given = request;
    given.cells = densities_of(host, nullptr);
    TrajectoryArrays& pairs = given.trajectory;
    if (!pairs.status)
        pairs.status = Converted::at_least(converted().status, static_cast<std::size_t>(host.n_cells) * times);
    const Report report = trajectory_of_densities(given);
    const int S = tables_.n_species();
    for_cells(host.n_cells, options_.threads, [&](std::int64_t cell) {
        const double scale = density(host, cell);
        for (std::int64_t pair = cell * times; pair < (cell + 1) * times; ++pair) {
            const int status = pairs.status[pair];
            const bool served =
                status == status_SURROGATE || (status >= status_EXACT_REQUESTED && !options_.host_integrates);
            for (int i = 0; i < S; ++i) {
                double& value = pairs.n_cm3[pair * S + i];
                value = served ? value * (weight(i) / scale)
                               : host.n_cm3[cell * host.cell_stride + i * host.species_stride];
            }
        }
    });
    return report;
}

void Solver::derive(const DerivativeRequest& request) const {
    const OwnFloatingPoint own;
    require_cpu("rates and derivatives are");
    const CellArrays& host = request.cells;
    const DerivativeArrays& to = request.to;
    check_derivatives(request, shape());
    if (!host.n_cm3 && tables_.reads_density())
        throw Error(ErrorCode::argument, "the network's rates read the density: hand in the abundances too");
    if (host.n_cells == 0) return;
    const bool converts = options_.units != Units::number_density && host.n_cm3;
    CellArrays cells = converts ? densities_of(host, nullptr) : host;
    if (!cells.status) cells.status = Converted::at_least(converted().status, host.n_cells);
    const auto list = inspect_derivatives(cells);
    derive_list(cells, to, list.data(), static_cast<std::int64_t>(list.size()));

    const bool scales = converts && to.kind != Derivative::rate_coefficients;
    const int S = tables_.n_species();
    const int rows = to.kind == Derivative::rate_coefficients ? tables_.n_reactions() : S;
    const int columns = to.kind == Derivative::jacobian ? S : 1;
    for_cells(host.n_cells, options_.threads, [&](std::int64_t cell) {
        const bool failed = cells.status[cell] < 0;
        if (!failed && !scales) return;
        const double scale = to.kind == Derivative::rhs ? density(host, cell) : 1;
        for (int row = 0; row < rows; ++row)
            for (int column = 0; column < columns; ++column) {
                double& value = to.values[cell * to.cell_stride + row * to.row_stride + column * to.column_stride];
                value = failed                       ? std::numeric_limits<double>::quiet_NaN()
                        : to.kind == Derivative::rhs ? value * (weight(row) / scale)
                                                     : value * (weight(row) / weight(column));
            }
    });
}

}  // namespace pcs
