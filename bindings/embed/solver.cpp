// A model that Python serves: checks, and what crosses the bridge. SPDX-License-Identifier: BSD-3-Clause
#include "solver.hpp"

#include <sstream>

#include "interpreter.hpp"
#include "pcs/error.hpp"
#include "pcs/quiet.hpp"

namespace pcs::embed {

namespace {

constexpr int n_figures = 0
#define PCS_REPORT(type, name, meaning) +1
#include "pcs/report.def"
#undef PCS_REPORT
    ;

Report to_report(const double* figures) {
    Report report;
#define PCS_REPORT(type, name, meaning) report.name = static_cast<type>(*figures++);
#include "pcs/report.def"
#undef PCS_REPORT
    return report;
}

std::vector<std::string> lines(const char* text) {
    std::vector<std::string> result;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) result.push_back(line);
    return result;
}

void throw_if(int code) {
    if (code != 0) throw Error(static_cast<ErrorCode>(code), bridge_error());
}

// Call the Python side with the host's floating-point traps at rest: numpy and torch do not mind an inexact 1/0.
template <class Function, class... Arguments>
void call(Function pcs_bridge::*function, Arguments... arguments) {
    const pcs_bridge& python = bridge();
    const QuietFloatingPoint quiet;
    throw_if((python.*function)(arguments...));
}

}  // namespace

Solver::Solver(const std::string& model) {
    pcs_bridge_model described{};
    call(&pcs_bridge::open, model.c_str(), &described);
    id_ = described.id;
    take(described);
}

Solver::~Solver() {
    if (!running()) return;  // with its Python the model has gone
    const QuietFloatingPoint quiet;
    bridge().close(id_);
}

void Solver::take(const pcs_bridge_model& model) {
    tables_.species = lines(model.species);
    tables_.conditions = lines(model.conditions);
    tables_.conserved = lines(model.conserved);
    tables_.composition.assign(model.composition, model.composition + model.n_composition);
}

void Solver::set_option(const std::string& key, const std::string& value) {
    pcs_bridge_model described{};
    call(&pcs_bridge::set_option, id_, key.c_str(), value.c_str(), &described);
    if (described.id != 0) take(described);
    if (key == "statistics") options_.statistics = value == "on";
}

pcs_bridge_cells Solver::cells_of(const StepRequest& request, bool needs_dt) const {
    const CellArrays& c = request.cells;
    const auto require = [](bool condition, const char* message) {
        if (!condition) throw Error(ErrorCode::argument, message);
    };
    require(c.n_cells >= 0, "the number of cells is negative");
    if (c.n_cells > 0) {
        require(c.n_cm3 && c.temperature_K && (c.dt_s || !needs_dt),
                "the arrays of abundances, dt and temperature must not be null");
        require(c.conditions || tables_.conditions.empty(),
                "the network has conditions (such as zeta), but their array is null");
        require(c.species_stride != 0 || tables_.n_species() == 1, "the species stride of the abundances is 0");
        require(!c.error_dex || c.error_stride != 0 || c.n_cells == 1,
                "the error stride is 0: all cells would share one");
        require(c.cell_stride != 0 || c.n_cells == 1, "the cell stride of the abundances is 0: all cells would be one");
    }
    return {c.n_cells,
            c.n_cm3,
            c.cell_stride,
            c.species_stride,
            c.temperature_K,
            c.temperature_stride,
            c.conditions,
            c.condition_cell_stride,
            c.condition_stride,
            c.dt_s,
            c.dt_stride,
            request.mask,
            c.status,
            c.counts,
            c.error_dex,
            c.error_stride};
}

Report Solver::step(const StepRequest& request) const {
    const pcs_bridge_cells cells = cells_of(request, true);
    double figures[n_figures];
    call(&pcs_bridge::step, id_, &cells, figures);
    return to_report(figures);
}

Report Solver::equilibrium(const StepRequest& request, const EquilibriumSettings& settings) const {
    const pcs_bridge_cells cells = cells_of(request, false);
    double figures[n_figures];
    call(&pcs_bridge::equilibrium, id_, &cells, settings.tolerance, settings.duration_s, figures);
    return to_report(figures);
}

Report Solver::trajectory(const TrajectoryRequest& request) const {
    const pcs_bridge_cells cells = cells_of({request.cells, nullptr}, false);
    const TrajectoryArrays& to = request.trajectory;
    if (to.n_times < 0) throw Error(ErrorCode::argument, "the number of times is negative");
    if (cells.n_cells == 0 || to.n_times == 0) return {};
    if (!to.times_s || !to.n_cm3) throw Error(ErrorCode::argument, "the arrays of times and results must not be null");
    double figures[n_figures];
    call(&pcs_bridge::trajectory, id_, &cells, to.n_times, to.times_s, to.n_cm3, static_cast<int>(to.conserve),
         request.mask, to.status, figures);
    return to_report(figures);
}

Costs Solver::costs() const {
    double values[3 + most_paths];
    int count = 0;
    call(&pcs_bridge::costs, id_, static_cast<int>(std::size(values)), values, &count);
    return {values[0], values[1], values[2], {values + 3, values + count}};
}

}  // namespace pcs::embed
