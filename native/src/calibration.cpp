// SPDX-License-Identifier: BSD-3-Clause
#include "pcs/calibration.hpp"

#include <algorithm>
#include <cmath>

#include "pcs/error.hpp"

namespace pcs {

namespace {

bool all_between(const std::vector<double>& values, double low, double high) {
    return std::all_of(values.begin(), values.end(), [&](double v) { return v >= low && v <= high; });
}

}  // namespace

Calibration::Calibration(const ModelFile& file, const NetworkTables& tables, int bins)
    : bins(bins),
      targets(ascending(file, "gate/targets")),
      thresholds(file.f64("gate/thresholds")),
      alpha(one_number(file, "gate/alpha")),
      weights(file.f64("gate/weights")),
      x_min(one_number(file, "gate/x_min")) {
    if (targets.empty() || !(targets[0] > 0)) refuse(file, "gate/targets must be positive, at least one");
    if (thresholds.size() != targets.size() * static_cast<std::size_t>(bins) ||
        std::any_of(thresholds.begin(), thresholds.end(), [](double t) { return std::isnan(t); }))
        refuse(file, "gate/thresholds must hold one number for every target and bin");
    if (!(alpha > 0 && alpha < 1)) refuse(file, "gate/alpha must lie between 0 and 1");
    if (weights.size() != static_cast<std::size_t>(tables.n_species()) || !all_between(weights, 0, 1e6))
        refuse(file, "gate/weights must hold one number a species, none negative");
}

int Calibration::serving(double target_dex) const {
    const double wanted = target_dex * (1 + 1e-12);  // "0.1" is 0.1 whatever wrote it
    return static_cast<int>(std::upper_bound(targets.begin(), targets.end(), wanted) - targets.begin()) - 1;
}

RouterTable::RouterTable(const ModelFile& file, const NetworkTables& tables, const Calibration* calibration)
    : change(ascending(file, "router/change_edges")),
      rate(ascending(file, "router/rate_edges")),
      steps(file.f64("router/steps")),
      accepted(file.f64("router/accepted")),
      saved(file.f64("router/saved")),
      n(file.f64("router/sample_n")),
      temperature(file.f64("router/sample_temperature")),
      dt(file.f64("router/sample_dt")),
      conditions(file.f64("router/sample_conditions")),
      costs(file.has("router/costs") ? file.f64("router/costs") : std::vector<double>{}) {
    if (!calibration) refuse(file, "router/ arrays need a calibrated gate, but gate/thresholds is missing");
    const std::size_t size = calibration->targets.size() * bins(), cells = dt.size();
    if (steps.size() != size || accepted.size() != size || saved.size() != size || !all_between(steps, 0, 1e9) ||
        !all_between(accepted, 0, 1) || !all_between(saved, 0, 1))
        refuse(file, "router/steps, accepted and saved must hold one number for every target and bin");
    if (cells < 2 || n.size() != cells * tables.n_species() || temperature.size() != cells ||
        conditions.size() != cells * tables.n_conditions())
        refuse(file, "the router's sample cells differ in number");
    if (!costs.empty() && (costs.size() != 4 || !all_between(costs, 0, 1e9)))
        refuse(file, "router/costs must hold four numbers of microseconds: cell, step, eviction, learned");
}

void Costs::cell_and_step(const Timing& easy, const Timing& hard) {
    const double more_steps = hard.steps / hard.cells - easy.steps / easy.cells;
    step = more_steps > 0
               ? std::max((hard.microseconds / hard.cells - easy.microseconds / easy.cells) / more_steps, 0.0)
               : (easy.microseconds + hard.microseconds) / (easy.steps + hard.steps);
    cell = std::max((easy.microseconds - easy.steps * step) / easy.cells, 0.0);
}

std::vector<std::int8_t> sent_bins(const std::vector<Offer>& offers, const Costs& costs) {
    std::vector<std::int8_t> sent(offers[0].table->bins());
    for (std::size_t b = 0; b < sent.size(); ++b) {
        double most = 0;
        for (const Offer& offer : offers) {
            const RouterTable& table = *offer.table;
            const std::size_t k = static_cast<std::size_t>(offer.target) * sent.size() + b;
            const double saving = table.accepted[k] * costs.cell + table.saved[k] * table.steps[k] * costs.step -
                                  (costs.eviction + offer.learned);
            if (saving > most) most = saving, sent[b] = offer.sending;
        }
    }
    return sent;
}

}  // namespace pcs
