// What the maps that serve any state share: the start's rates and features, and phi (docs/architecture.md).
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/chemistry.hpp"
#include "pcs/rates.hpp"
#include "pcs/tile.hpp"

namespace pcs::PCS_ISA {

constexpr float log2_e = 1.44269504f;

// exp(x) in single precision as a sum of two, so that exp(x) - 1 = (first - 1) + second is as precise near x = 0.
struct Exponential {
    Vec32 first, second;
    PCS_FN Vec value(int half) const { return widen(first, half) + widen(second, half); }
    PCS_FN Vec growth(int half) const { return (widen(first, half) - 1) + widen(second, half); }
};
PCS_FN inline Exponential exponential(Vec32 x) {
    const Int32 small = (x > -0.5f) & (x < 0.5f);
    return {select(small, broadcast32(1.0f), Vec32{}), select(small, x * growth32(x), exp2_32(log2_e * x))};
}

// 1 - exp(-u) for u >= 0, with full relative accuracy down to 0.
PCS_FN inline Vec32 relaxation(Vec32 u) { return select(u < 0.5f, u * growth32(-u), 1.0f - exp2_32(-log2_e * u)); }

PCS_FN inline Vec32 asinh32(Vec32 v) {
    const Vec32 size = select(v < 0.0f, -v, v);
    const Vec32 root = (float)ln10 * log10_32(size + sqrt32(size * size + 1.0f));
    return select(v < 0.0f, -root, root);
}

// max(0, 10^(log10(x + x_floor) + change) - x_floor) without the cancellation at change = 0; factor: 10^change.
PCS_FN inline Vec changed(Vec x, const Exponential& factor, int half, double x_floor) {
    return max(x * factor.value(half) + x_floor * factor.growth(half), broadcast(0.0));
}

// A row of doubles times theta, in single precision: the vectors v and v + 1.
PCS_FN inline Vec32 times_theta(const Vec* row, const Vec* theta) {
    return narrow(min(row[0] * theta[0], broadcast(1e30)), min(row[1] * theta[1], broadcast(1e30)));
}

// Chemistry: Tables or Generated<Code>, of chemistry.hpp.
template <class Chemistry>
class ReducedStart {
  public:
    PCS_FN ReducedStart(const PlanView& plan, const ReducedView& net, Memory& memory)
        : production(memory.vec(plan.n_species * vectors)),
          loss(memory.vec(plan.n_species * vectors)),
          plan(plan),
          net(net),
          S(plan.n_species),
          C(plan.n_conditions),
          k(memory.vec(Chemistry::only_coefficients ? plan.n_rates : plan.n_partials)),
          rate(memory.vec(rate_scratch(plan))),
          x_column(memory.vec(S)) {}

    // P and L at the start; the rate coefficients stay with the tile if it keeps them.
    PCS_FN void rates(const Tile& t) {
        for (int v = 0; v < t.used; ++v) {
            Vec conditions[max_network_conditions];
            for (int i = 0; i < S; ++i) x_column[i] = t.x[i * vectors + v];
            for (int c = 0; c < C; ++c) conditions[c] = t.conditions[c * vectors + v];
            Vec* const mine = W == 1 && Chemistry::only_coefficients && t.k ? t.k + v * t.R : k;
            rate_coefficients(plan, t.temperature[v], conditions, mine, rate);
            if (mine == k) t.keep_rates(v, k);
            Chemistry::gain_and_frequency(plan, mine, rate, x_column, production + v, loss + v, vectors);
        }
    }

    // The rows [y, q, l, p] of `features`: minus mean, times scale (a null mean: as they are).
    PCS_FN void features(const Tile& t, const float* mean, const float* scale, float* features) const {
        // log10(value / 2^octaves) for the columns of the vectors v and v + 1.
        const auto feature = [&](int row, int v, Vec32 value, int octaves = 0) {
            const Vec32 log = log10_32(value, mean ? mean[row] : 0, octaves);
            store32(features + row * tile + v * W, mean ? log * scale[row] : log);
        };
        for (int i = 0; i < S; ++i) {
            const int host = plan.order[i];
            for (int v = 0; v < t.used; v += 2) {
                // What goes into a logarithm must be normal in single precision: L is taken times 2^40.
                constexpr int octaves = 40;
                constexpr double up = INT64_C(1) << octaves;
                Vec x[2], frequency[2];
                for (int half = 0; half < 2; ++half) {
                    const int at = i * vectors + v + half;
                    x[half] = t.x[at] + net.x_floor;
                    frequency[half] = clip(loss[at], 1e-40, 1e10) * up;
                }
                feature(host, v, narrow(x[0], x[1]));
                feature(S + host, v, quasi_steady(production, loss, i * vectors + v));
                feature(2 * S + host, v, narrow(frequency[0], frequency[1]), octaves);
            }
        }
        for (int v = 0; v < t.used; v += 2) {
            feature(3 * S, v, narrow_row(t.temperature, v));
            for (int c = 0; c < C; ++c) {
                const int row = 3 * S + 1 + c;
                Vec centred[2];  // the logarithm of any double
                for (int half = 0; half < 2; ++half)
                    centred[half] = log10(max(t.conditions[c * vectors + v + half], broadcast(1e-300))) -
                                    (double)(mean ? mean[row] : 0);
                const Vec32 log = narrow(centred[0], centred[1]);
                store32(features + row * tile + v * W, mean ? log * scale[row] : log);
            }
        }
    }

    // P / L within bounds: where a species alone would go.
    PCS_FN static Vec32 quasi_steady(const Vec* production, const Vec* loss, int at) {
        Vec ratio[2];
        for (int half = 0; half < 2; ++half)
            ratio[half] = clip(production[at + half] / max(loss[at + half], broadcast(1e-40)), 1e-20, 1e2);
        return narrow(ratio[0], ratio[1]);
    }

    // phi of plan species i for the columns of the vectors v and v + 1; u: L theta there.
    PCS_FN Vec32 phi(const Tile& t, int i, int v, Vec32 u) const {
        const float x_floor = (float)net.x_floor, x_trace = (float)net.x_trace;
        const Vec theta[2] = {t.theta[v], t.theta[v + 1]};
        const Vec cascade[2] = {broadcast(net.x_trace / net.clock_theta0), broadcast(net.x_trace / net.clock_theta0)};
        const int at = i * vectors + v;
        const Vec32 gained = times_theta(production + at, theta), x = narrow_row(t.x, at);
        return relaxation(u + gained / (x + x_floor) + times_theta(cascade, theta) / (x + x_trace));
    }

    // log10 of every cell's error in dex by the head, from rows of which the first are there: appended are
    // asinh(1e3 lambda) and the finish's report. Null without a head.
    PCS_FN const float* predict_error(const Tile& t, float* rows, float* a, float* b) const {
        if (net.head.n_layers == 0) return nullptr;
        const int Q = plan.n_conserved, appended = Q + (t.finish_report ? S + 1 : 0);
        float* to = rows + (net.n_head_inputs - appended) * tile;
        for (int q = 0; q < Q; ++q, to += tile)
            for (int v = 0; v < t.used; v += 2)
                store32(to + v * W, asinh32(1e3f * narrow_row(t.lambda, q * vectors + v)));
        for (int i = 0; t.finish_report && i <= S; ++i, to += tile)
            for (int c = 0; c < t.used * W; ++c) to[c] = t.finish_report[i * tile + c];
        return mlp(net.head, rows, a, b, t.n_cells);
    }

    // Take over the P and L of another tile.
    PCS_FN void take(const ReducedStart& from, const Run& run) {
        for (int i = 0; i < S * tile; i += tile) {
            take_row((double*)production + i, (const double*)from.production + i, run);
            take_row((double*)loss + i, (const double*)from.loss + i, run);
        }
    }

    Vec *const production, *const loss;  // (S, tile)

  private:
    const PlanView& plan;
    const ReducedView& net;
    const int S, C;
    Vec *k, *rate, *x_column;  // W cells: partials, rates, (S)
};

}  // namespace pcs::PCS_ISA
