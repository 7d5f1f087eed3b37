// The multi-clock flow map on a tile of cells: its verbs of docs/architecture.md. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/chemistry.hpp"
#include "pcs/rates.hpp"
#include "pcs/tile.hpp"

namespace pcs::PCS_ISA {

constexpr float log2_e = 1.44269504f;

// exp(x) in single precision as a sum of two, so that exp(x) - 1 = (first - 1) + second is as precise near x = 0.
struct Exponential {
    Vec32 first, second;
    Vec value(int half) const { return widen(first, half) + widen(second, half); }
    Vec growth(int half) const { return (widen(first, half) - 1) + widen(second, half); }
};
inline Exponential exponential(Vec32 x) {
    const Int32 small = (x > -0.5f) & (x < 0.5f);
    return {small ? broadcast32(1.0f) : Vec32{}, small ? x * growth32(x) : exp2_32(log2_e * x)};
}

// 1 - exp(-u) for u >= 0, with full relative accuracy down to 0.
inline Vec32 relaxation(Vec32 u) { return u < 0.5f ? u * growth32(-u) : 1.0f - exp2_32(-log2_e * u); }

inline Vec32 asinh32(Vec32 v) {
    const Vec32 size = v < 0.0f ? -v : v;
    const Vec32 root = (float)ln10 * log10_32(size + sqrt32(size * size + 1.0f));
    return v < 0.0f ? -root : root;
}

// Chemistry: Tables or Generated<Code>, of chemistry.hpp.
template <class Chemistry>
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
            Vec conditions[max_conserved];
            for (int i = 0; i < S; ++i) x_column[i] = t.x[i * vectors + v];
            for (int c = 0; c < C; ++c) conditions[c] = t.conditions[c * vectors + v];
            rate_coefficients(plan, t.temperature[v], conditions, k, rate);
            t.keep_rates(v, k);
            Chemistry::gain_and_frequency(plan, k, rate, x_column, production + v, loss + v, vectors);
        }
        for (int i = 0; i < S; ++i) {
            const int host = plan.order[i];
            for (int v = 0; v < t.used; v += 2) {
                // What goes into a logarithm must be normal in single precision: L is taken times 2^40.
                constexpr int octaves = 40;
                constexpr double up = INT64_C(1) << octaves;
                Vec x[2], ratio[2], frequency[2];
                for (int half = 0; half < 2; ++half) {
                    const int at = i * vectors + v + half;
                    x[half] = t.x[at] + net.x_floor;
                    ratio[half] = clip(production[at] / max(loss[at], broadcast(1e-40)), 1e-20, 1e2);
                    frequency[half] = clip(loss[at], 1e-40, 1e10) * up;
                }
                feature(host, v, narrow(x[0], x[1]));
                feature(S + host, v, narrow(ratio[0], ratio[1]));
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
                                    (double)net.feature_mean[row];
                store32(features_ + row * tile + v * W, narrow(centred[0], centred[1]) * net.feature_scale[row]);
            }
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
            for (int v = 0; v < t.used; v += 2) {
                const bool logarithmic = clock + 1 == net.n_clocks;
                const double scale = 1.0 / (logarithmic ? net.clock_theta0 : net.clock_theta[clock]);
                const Vec32 time =
                    narrow(min(t.theta[v] * scale, broadcast(1e30)), min(t.theta[v + 1] * scale, broadcast(1e30)));
                store32(tau + v * W, logarithmic ? log10_32(1.0f + time) : relaxation(time));
            }
            const float* direction = encoded + (clock + 1) * Z * tile;
            for (int r = 0; r < Z; ++r)
                for (int c = 0; c < width; ++c) head_in[r * tile + c] += tau[c] * direction[r * tile + c];
        }
    }

    // head_in holds [z, c, change, asinh(1e3 lambda), the finish's report]; the decoder reads its first rows. Single
    // precision serves, but where a guess is close to x their difference is as precise.
    void decode(Tile& t) {
        for (int i = 0; i < S; ++i)
            for (int v = 0; v < t.used; v += 2) {
                Vec depth[2];
                for (int half = 0; half < 2; ++half)
                    depth[half] = clip(loss[i * vectors + v + half] * t.theta[v + half], 1e-8, 1e8);
                store32(head_in + (Z + plan.order[i]) * tile + v * W, 0.125f * log10_32(narrow(depth[0], depth[1])));
            }
        const float* decoded = mlp(net.decoder, head_in, a, b, t.n_cells);
        const float x_floor = (float)net.x_floor, x_trace = (float)net.x_trace;
        for (int v = 0; v < t.used; v += 2) {
            const Vec theta[2] = {t.theta[v], t.theta[v + 1]};
            const auto times_theta = [&](const Vec* row) {
                return narrow(min(row[0] * theta[0], broadcast(1e30)), min(row[1] * theta[1], broadcast(1e30)));
            };
            const Vec cascade[2] = {broadcast(net.x_trace / net.clock_theta0),
                                    broadcast(net.x_trace / net.clock_theta0)};
            const Vec32 cascade_theta = times_theta(cascade);
            for (int i = 0; i < S; ++i) {
                const int at = i * vectors + v, host = plan.order[i];
                const Vec32 u = times_theta(loss + at), gained = times_theta(production + at), x = narrow_row(t.x, at);
                const Int32 shallow = u < 0.5f;
                const Exponential kept = exponential(-u);
                const Vec32 share = shallow ? growth32(-u) : (1.0f - kept.second) / u;  // (1 - exp(-u)) / u
                const Vec32 phi = relaxation(u + gained / (x + x_floor) + cascade_theta / (x + x_trace));
                const Vec32 change = phi * load32(decoded + host * tile + v * W);
                store32(head_in + (Z + S + host) * tile + v * W, change);
                const Exponential factor = exponential((float)ln10 * change);
                for (int half = 0; half < 2; ++half) {
                    const Vec x_base =
                        t.x[at + half] * kept.value(half) + production[at + half] * theta[half] * widen(share, half);
                    t.guess[at + half] =
                        max(x_base * factor.value(half) + net.x_floor * factor.growth(half), broadcast(0.0));
                }
            }
        }
    }

    // log10 of every cell's error in dex, as the head expects it; null without a head.
    const float* predict_error(const Tile& t) {
        if (net.head.n_layers == 0) return nullptr;
        for (int q = 0; q < Q; ++q)
            for (int v = 0; v < t.used; v += 2)
                store32(head_in + (Z + 2 * S + q) * tile + v * W,
                        asinh32(1e3f * narrow_row(t.lambda, q * vectors + v)));
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
    // log10(value / 2^octaves), standardised, for the columns of the vectors v and v + 1.
    void feature(int row, int v, Vec32 value, int octaves = 0) {
        store32(features_ + row * tile + v * W,
                log10_32(value, net.feature_mean[row], octaves) * net.feature_scale[row]);
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
