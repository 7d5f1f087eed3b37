// How far the cells of a tile lie from the training states (docs/architecture.md, "The distance").
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/tile.hpp"

namespace pcs::PCS_ISA {

class Distance {
  public:
    PCS_FN Distance(const PlanView& plan, const SurrogateView& net, Memory& memory)
        : plan(plan), view(net.distance), judges_(view.whiten.n_layers > 0) {
        if (!judges_) return;
        const LayerView& layer = view.whiten.layers[0];
        given = memory.rows(layer.inputs);
        white = memory.rows((layer.outputs + block - 1) / block * block);
        square = memory.rows(1);
    }

    // Whether there are training states to be compared with.
    PCS_FN bool judges() const { return judges_; }

    // Of the tile's columns, over the whole of theta (before a finish takes its part).
    PCS_FN void measure(const Tile& t) {
        const auto row = [&](int at, int v, Vec first, Vec second) {
            store32(given + at * tile + v * W, narrow(log10(first), log10(second)));
        };
        const Vec floor = broadcast(view.x_floor), least = broadcast(1e-300);
        for (int v = 0; v < t.used; v += 2) {
            const auto pair = [&](int at, const Vec* values, Vec bound) {
                row(at, v, max(values[v], bound), max(values[v + 1], bound));
            };
            int at = plan.n_species;
            for (int i = 0; i < plan.n_species; ++i) {
                const Vec32 x = narrow(max(t.x[i * vectors + v], floor), max(t.x[i * vectors + v + 1], floor));
                store32(given + plan.order[i] * tile + v * W, log10_32(x));
            }
            pair(at++, t.temperature, least);
            for (int c = 0; c < plan.n_conditions; ++c) pair(at++, t.conditions + c * vectors, least);
            pair(at, t.theta, least);
        }
        const float* const moved = mlp(view.whiten, given, white, white, t.used * W);
        for (int v = 0; v < t.used; v += 2) {
            Vec32 sum{};
            for (int r = 0; r < view.whiten.layers[0].outputs; ++r) {
                const Vec32 value = load32(moved + r * tile + v * W);
                sum += value * value;
            }
            store32(square + v * W, sum);
        }
    }

    // Of the column that `measure` saw; NaN is far.
    PCS_FN bool far(int column) const { return !(square[column] <= view.most); }

  private:
    const PlanView& plan;
    const DistanceView& view;
    const bool judges_;
    float *given = nullptr, *white = nullptr, *square = nullptr;  // (rows, tile)
};

}  // namespace pcs::PCS_ISA
