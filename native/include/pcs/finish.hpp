// The finish of the learned step: the map leaves the last part of the time to a few fixed steps of the real chemistry,
// which pull fast species, and errors along them, to where they belong. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/rosenbrock.hpp"
#include "pcs/tile.hpp"

namespace pcs::PCS_ISA {

namespace finish_report {
constexpr double x_floor = 1e-16;                     // n/n_H below which a change does not count
constexpr double largest_change = 3;                  // [dex]
constexpr double x_seen = 1e-10;                      // errors of species below it count less
constexpr double error_low = 1e-6, error_high = 1e3;  // relative
}  // namespace finish_report

template <class Steps>
constexpr bool has_steps = true;
template <>
inline constexpr bool has_steps<void> = false;

// A species that a step of h leaves negative or not finite gets the implicit step with gain and frequency frozen; where
// that fails too, it keeps its value.
template <class Chemistry>
PCS_FN inline void replace_failed(const PlanView& plan, const IntegratorWorkspace& w, Vec h) {
    const auto good = [&](int i) { return (w.x_new[i] >= 0.0) & (w.x_new[i] <= 1e300); };
    Int all_good = ~Int{};
    for (int i = 0; i < plan.n_species; ++i) all_good &= good(i);
    if (!any(~all_good)) return;
    Vec *const gain = w.K[0], *const frequency = w.K[1];
    Chemistry::gain_and_frequency(plan, w.k, w.rate, w.x, gain, frequency, 1);
    for (int i = 0; i < plan.n_species; ++i) {
        const Int keeps = good(i);
        const Vec frozen = (w.x[i] + h * gain[i]) / (1.0 + h * frequency[i]);
        const Vec instead = (frozen >= 0.0) & (frozen <= 1e300) ? frozen : w.x[i];
        w.x_new[i] = keeps ? w.x_new[i] : instead;
    }
}

// Fixed Rodas3 steps, W cells at a time.
template <class Chemistry>
PCS_FN PCS_APART inline void finish_cells(const PlanView& plan, const FinishArrays& cells, void* workspace) {
    using namespace finish_report;
    IntegratorWorkspace w;
    layout_of_steps<Chemistry>(plan, (char*)workspace, &w);
    const int S = plan.n_species;
    for (int first = 0; first < cells.n_cells; first += W) {
        const double* k = cells.k + (int64_t)(first / cells.block) * plan.n_rates * cells.block + first % cells.block;
        if constexpr (in_place<Chemistry>)
            w.k = (Vec*)k;
        else
            for (int r = 0; r < plan.n_rates; ++r) w.k[r] = load(k + r * cells.block);
        const Chemistry chemistry(plan, w.k, w.rate, w.factor);
        for (int i = 0; i < S; ++i) w.x[i] = load(cells.x + i * cells.stride + first);
        const Vec h = load(cells.theta + first) * cells.share;
        Vec error = {};
        for (int step = 0; step < cells.steps; ++step) {
            chemistry.rhs(w.x, w.f);
            rosenbrock_step<Rodas3>(chemistry, S, w, h);
            error =
                max(largest_error(S, w.K[Rodas3::stages - 1], w.x_new, 1.0, x_seen) * error_control::allowed, error);
            replace_failed<Chemistry>(plan, w, h);
            for (int i = 0; i < S; ++i) w.x[i] = w.x_new[i];
        }
        for (int i = 0; i < S; ++i) {
            double* const x = cells.x + i * cells.stride + first;
            const Vec change = log10((w.x[i] + x_floor) / (load(x) + x_floor));
            store_row(cells.report + plan.order[i] * cells.stride + first, 0,
                      clip(change, -largest_change, largest_change));
            store(x, w.x[i]);
        }
        store_row(cells.report + S * cells.stride + first, 0, log10(clip(error, error_low, error_high)));
    }
}

// The finish on a tile; Team: who works on it, as in alone.hpp.
template <class Team>
class Finish {
  public:
    PCS_FN Finish(const PlanView& plan, const SurrogateView& net, const Team& team)
        : plan(plan), net(net.finish), team(team) {}

    PCS_FN bool wanted() const { return net.steps > 0; }

    // What the map has to span of a step's theta.
    PCS_FN void leave_time(Tile& t) const {
        if (!wanted()) return;
        for (int v = 0; v < t.used; ++v) t.theta[v] *= 1 - net.fraction;
    }

    // Steps: the chemistry of the map, void if it has no finish.
    template <class Steps>
    PCS_FN void run(Tile& t) const {
        if constexpr (has_steps<Steps>) {
            const double share = net.fraction / ((1 - net.fraction) * net.steps);
            team.template finish<Steps>(plan, {t.used * W, tile, W, net.steps, share, (const double*)t.k,
                                               (const double*)t.theta, (double*)t.guess, t.finish_report});
        }
    }

  private:
    const PlanView& plan;
    const FinishView net;
    const Team& team;
};

}  // namespace pcs::PCS_ISA
