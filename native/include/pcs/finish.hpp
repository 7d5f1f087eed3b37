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

// A species that a step of h leaves negative or not finite gets the implicit step with gain and frequency frozen; where
// that fails too, it keeps its value.
template <class Chemistry>
inline void replace_failed(const PlanView& plan, const IntegratorWorkspace& w, Vec h) {
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
inline void finish_cells(const PlanView& plan, const FinishArrays& cells, void* workspace) {
    using namespace finish_report;
    IntegratorWorkspace w;
    layout(plan, (char*)workspace, &w);
    const Chemistry chemistry(plan, w.k, w.rate, w.factor);
    const int S = plan.n_species;
    for (int first = 0; first < cells.n_cells; first += W) {
        const double* k = cells.k + (int64_t)(first / cells.block) * plan.n_rates * cells.block + first % cells.block;
        for (int r = 0; r < plan.n_rates; ++r) w.k[r] = load(k + r * cells.block);
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

// The finish on a tile. The kernels that take its steps may be of another width, or a user's own.
class Finish {
  public:
    Finish(const PlanView& plan, const SurrogateView& net, const SurrogateSettings& settings, Memory& memory)
        : plan(plan), net(net.finish), settings(settings), workspace(nullptr) {
        if (net.finish.steps > 0)
            workspace = memory.vec((settings.finishing->integrator_bytes(plan) + sizeof(Vec) - 1) / sizeof(Vec));
    }

    bool wanted() const { return net.steps > 0; }

    // What the map has to span of a step's theta.
    void leave_time(Tile& t) const {
        if (!wanted()) return;
        for (int v = 0; v < t.used; ++v) t.theta[v] *= 1 - net.fraction;
    }

    void run(Tile& t) const {
        const double share = net.fraction / ((1 - net.fraction) * net.steps);
        settings.finishing->finish(plan,
                                   {t.used * W, tile, W, net.steps, share, (const double*)t.k, (const double*)t.theta,
                                    (double*)t.guess, t.finish_report},
                                   settings.tables_only, workspace);
    }

  private:
    const PlanView& plan;
    const FinishView net;
    const SurrogateSettings& settings;
    void* workspace;
};

}  // namespace pcs::PCS_ISA
