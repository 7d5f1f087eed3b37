// A model that Python serves: checks, and what crosses the bridge. SPDX-License-Identifier: BSD-3-Clause
#include "solver.hpp"

#include <cmath>
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

pcs_bridge_cells cells_of(const StepRequest& request) {
    const CellArrays& c = request.cells;
    return {c.n_cells,          c.n_cm3,
            c.cell_stride,      c.species_stride,
            c.temperature_K,    c.temperature_stride,
            c.conditions,       c.condition_cell_stride,
            c.condition_stride, c.dt_s,
            c.dt_stride,        request.mask,
            c.status,           c.counts,
            c.error_dex,        c.error_stride};
}

// Call the Python side with the host's floating-point traps at rest: numpy and torch do not mind an inexact 1/0.
template <class Function, class... Arguments>
void call(Function pcs_bridge::* function, Arguments... arguments) {
    const pcs_bridge& python = bridge();
    const OwnFloatingPoint own;
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
    const OwnFloatingPoint own;
    bridge().close(id_);
}

void Solver::take(const pcs_bridge_model& model) {
    tables_.species = lines(model.species);
    tables_.conditions = lines(model.conditions);
    tables_.conserved = lines(model.conserved);
    tables_.composition.assign(model.composition, model.composition + model.n_composition);
    tables_.mass_g.assign(model.mass_g, model.mass_g + model.n_masses);
    equations_ = lines(model.equations);
    tables_.law.assign(equations_.size(), 0);  // as many reactions
}

void Solver::set_option(const std::string& key, const std::string& value) {
    pcs_bridge_model described{};
    call(&pcs_bridge::set_option, id_, key.c_str(), value.c_str(), &described);
    if (described.id != 0) take(described);
    if (key == "statistics") options_.statistics = value == "on";
}

CallShape Solver::shape() const { return {tables_.n_species(), tables_.n_conditions(), tables_.n_reactions(), 0}; }

double Solver::mass_g(int species) const {
    if (tables_.mass_g.empty() || std::isnan(tables_.mass_g[species]))
        throw Error(ErrorCode::file, "the model does not say what the species " + tables_.species[species] + " weighs");
    return tables_.mass_g[species];
}

Report Solver::step(const StepRequest& request) const {
    check_step(request.cells, shape());
    const pcs_bridge_cells cells = cells_of(request);
    double figures[n_figures];
    call(&pcs_bridge::step, id_, &cells, figures);
    return to_report(figures);
}

Report Solver::equilibrium(const StepRequest& request, const EquilibriumSettings& settings) const {
    check_cells(request.cells, shape());
    const pcs_bridge_cells cells = cells_of(request);
    double figures[n_figures];
    call(&pcs_bridge::equilibrium, id_, &cells, settings.tolerance, settings.duration_s, figures);
    return to_report(figures);
}

Report Solver::trajectory(const TrajectoryRequest& request) const {
    check_cells(request.cells, shape());
    check_trajectory(request, shape());
    const TrajectoryArrays& to = request.trajectory;
    if (request.cells.n_cells == 0 || to.n_times == 0) return {};
    const pcs_bridge_cells cells = cells_of({request.cells, nullptr});
    double figures[n_figures];
    call(&pcs_bridge::trajectory, id_, &cells, to.n_times, to.times_s, to.n_cm3, static_cast<int>(to.conserve),
         request.mask, to.status, figures);
    return to_report(figures);
}

void Solver::derive(const DerivativeRequest& request) const {
    check_derivatives(request, shape());
    if (request.cells.n_cells == 0) return;
    const DerivativeArrays& to = request.to;
    const pcs_bridge_cells cells = cells_of({request.cells, nullptr});
    const pcs_bridge_derivative where{static_cast<int>(to.kind), to.values, to.cell_stride, to.row_stride,
                                      to.column_stride};
    call(&pcs_bridge::derive, id_, &cells, &where);
}

Costs Solver::costs() const {
    double values[3 + most_paths];
    int count = 0;
    call(&pcs_bridge::costs, id_, static_cast<int>(std::size(values)), values, &count);
    return {values[0], values[1], values[2], {values + 3, values + count}};
}

}  // namespace pcs::embed
