// The multi-clock flow map on a tile of cells: its verbs of docs/architecture.md. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/rates.hpp"
#include "pcs/rhs.hpp"
#include "pcs/tile.hpp"

namespace pcs::PCS_ISA {

// 1 - exp(-u) for u >= 0, with full relative accuracy down to 0.
inline Vec relaxation(Vec u) {
    const Vec series = u * (1 - u / 2 * (1 - u / 3 * (1 - u / 4 * (1 - u / 5))));
    return u < 1e-3 ? series : 1 - exp(-u);
}

inline Vec asinh(Vec v) {
    const Vec size = abs(v), root = log(size + sqrt(size * size + 1));
    return v < 0 ? -root : root;
}

class MultiClockMap {
  public:
    MultiClockMap(const PlanView& plan, const SurrogateView& surrogate, Memory& memory)
        : plan(plan),
          net(surrogate.multi_clock),
          S(plan.n_species),
          C(plan.n_conditions),
          Q(plan.n_conserved),
          Z(surrogate.latent),
          n_features(surrogate.n_features),
          production(memory.vec(S * vectors)),
          loss(memory.vec(S * vectors)),
          k(memory.vec(plan.n_partials)),
          rate(memory.vec(plan.n_rates)),
          x_column(memory.vec(S)),
          features_(memory.rows(n_features)),
          head_in(memory.rows(net.n_head_inputs)),
          a(memory.rows(surrogate.widest)),
          b(memory.rows(surrogate.widest)),
          taken(memory.rows((1 + net.n_clocks) * Z)) {}

    void scale(const Tile& t) {
        for (int v = 0; v < t.used; ++v) {
            Vec *x = x_column, conditions[max_conserved];
            for (int i = 0; i < S; ++i) x[i] = t.x[i * vectors + v];
            for (int c = 0; c < C; ++c) conditions[c] = t.conditions[c * vectors + v];
            rate_coefficients(plan, t.temperature[v], conditions, k);
            t.keep_rates(v, k);
            rates(plan, k, x, rate);
            partials(plan, x, k);
            for (int i = 0; i < S; ++i) {
                const Vec P = gather_sum(rate, plan.gain, plan.gain_begin[i], plan.gain_begin[i + 1]);
                const Vec L = gather_sum(k, plan.frequency, plan.frequency_begin[i], plan.frequency_begin[i + 1]);
                production[i * vectors + v] = P;
                loss[i * vectors + v] = L;
                const int host = plan.order[i];
                feature(host, v, log10(x[i] + net.x_floor));
                feature(S + host, v, log10(clip(P / max(L, broadcast(1e-40)), 1e-20, 1e2)));
                feature(2 * S + host, v, log10(clip(L, 1e-40, 1e10)));
            }
            feature(3 * S, v, log10(t.temperature[v]));
            for (int c = 0; c < C; ++c) feature(3 * S + 1 + c, v, log10(max(conditions[c], broadcast(1e-300))));
        }
    }

    void encode(const Tile& t) { encoded = mlp(net.encoder, features_, a, b, t.n_cells); }

    // z = z0 + sum of clocks times directions; the decoder and the head read it from the first rows of head_in.
    void advance(const Tile& t) {
        const int width = t.used * W;
        for (int r = 0; r < Z; ++r)
            for (int c = 0; c < width; ++c) head_in[r * tile + c] = encoded[r * tile + c];
        for (int clock = 0; clock < net.n_clocks; ++clock) {
            alignas(64) float tau[tile];
            for (int v = 0; v < t.used; ++v) {
                const Vec theta = t.theta[v];
                store_row(tau, v,
                          clock + 1 < net.n_clocks ? relaxation(theta / net.clock_theta[clock])
                                                   : log10(1 + theta / net.clock_theta0));
            }
            const float* direction = encoded + (clock + 1) * Z * tile;
            for (int r = 0; r < Z; ++r)
                for (int c = 0; c < width; ++c) head_in[r * tile + c] += tau[c] * direction[r * tile + c];
        }
    }

    // head_in holds [z, c, change, asinh(1e3 lambda), the finish's report]; the decoder reads its first rows.
    void decode(Tile& t) {
        for (int i = 0; i < S; ++i)
            for (int v = 0; v < t.used; ++v) {
                const Vec depth = log10(clip(loss[i * vectors + v] * t.theta[v], 1e-8, 1e8)) / 8;
                store_row(head_in + (Z + plan.order[i]) * tile, v, depth);
            }
        const float* decoded = mlp(net.decoder, head_in, a, b, t.n_cells);
        for (int i = 0; i < S; ++i)
            for (int v = 0; v < t.used; ++v) {
                const Vec x = t.x[i * vectors + v], P = production[i * vectors + v], L = loss[i * vectors + v],
                          theta = t.theta[v];
                const Vec u = L * theta, relaxed = relaxation(u);
                const Vec x_base =
                    x * exp(-u) + P * theta * (u > 0 ? relaxed / max(u, broadcast(1e-300)) : broadcast(1.0));
                const Vec cascade = net.x_trace / ((x + net.x_trace) * net.clock_theta0);
                const Vec phi = relaxation((L + P / (x + net.x_floor) + cascade) * theta);
                Vec change;
                for (int l = 0; l < W; ++l) change[l] = decoded[plan.order[i] * tile + v * W + l];
                change *= phi;
                store_row(head_in + (Z + S + plan.order[i]) * tile, v, change);
                const Vec factor = exp(ln10 * change);
                t.guess[i * vectors + v] = max(x_base * factor + net.x_floor * (factor - 1), broadcast(0.0));
            }
    }

    // log10 of every cell's error in dex, as the head expects it; null without a head.
    const float* predict_error(const Tile& t) {
        if (net.head.n_layers == 0) return nullptr;
        for (int q = 0; q < Q; ++q)
            for (int v = 0; v < t.used; ++v)
                store_row(head_in + (Z + 2 * S + q) * tile, v, asinh(1e3 * t.lambda[q * vectors + v]));
        for (int r = Z + 2 * S + Q, i = 0; r < net.n_head_inputs; ++r, ++i)
            for (int c = 0; c < t.used * W; ++c) head_in[r * tile + c] = t.finish_report[i * tile + c];
        return mlp(net.head, head_in, a, b, t.n_cells);
    }

    // Take over what scale and encode made of another tile.
    void take(const MultiClockMap& from, const Run& run) {
        for (int i = 0; i < S * tile; i += tile) {
            take_row((double*)production + i, (const double*)from.production + i, run);
            take_row((double*)loss + i, (const double*)from.loss + i, run);
        }
        for (int r = 0; r < (1 + net.n_clocks) * Z * tile; r += tile) take_row(taken + r, from.encoded + r, run);
        encoded = taken;
    }

    const float* features() const { return features_; }
    const float* latent0() const { return encoded; }
    const float* latent() const { return head_in; }

  private:
    void feature(int row, int v, Vec raw) {
        store_row(features_ + row * tile, v, raw);
        float* f = features_ + row * tile + v * W;
        for (int l = 0; l < W; ++l) f[l] = (f[l] - net.feature_mean[row]) * net.feature_scale[row];
    }

    const PlanView& plan;
    const MultiClockView& net;
    const int S, C, Q, Z, n_features;
    Vec *production, *loss;              // (S, tile)
    Vec *k, *rate, *x_column;            // W cells: partials, rates, (S)
    float *features_, *head_in, *a, *b;  // (rows, tile)
    float* taken;                        // encoded states of another tile
    const float* encoded = nullptr;      // z0, then a direction for every clock
};

}  // namespace pcs::PCS_ISA
