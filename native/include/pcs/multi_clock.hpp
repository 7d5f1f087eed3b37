// The multi-clock flow map on a tile of cells: its verbs of docs/architecture.md. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/reduced.hpp"

namespace pcs::PCS_ISA {

// Chemistry: Tables or Generated<Code>, of chemistry.hpp.
template <class Chemistry>
class MultiClockMap {
  public:
    using Steps = Chemistry;  // of a finish

    template <class Team>
    PCS_FN MultiClockMap(const PlanView& plan, const SurrogateView& surrogate, const Team&, Memory& memory)
        : plan(plan),
          net(surrogate.multi_clock),
          reduced(surrogate.reduced),
          S(plan.n_species),
          Z(surrogate.latent),
          start(plan, reduced, memory),
          features_(memory.rows(surrogate.n_features)),
          head_in(memory.rows(reduced.n_head_inputs)),
          a(memory.rows(surrogate.widest)),
          b(memory.rows(surrogate.widest)),
          taken(memory.rows((1 + net.n_clocks) * Z)) {}

    PCS_FN void scale(const Tile& t) {
        start.rates(t);
        start.features(t, reduced.feature_mean, reduced.feature_scale, features_);
    }

    PCS_FN void encode(const Tile& t) { encoded = mlp(net.encoder, features_, a, b, t.n_cells); }

    // z = z0 + sum of clocks times directions; the decoder and the head read it from the first rows of head_in.
    PCS_FN void advance(const Tile& t) {
        const int width = t.used * W;
        for (int r = 0; r < Z; ++r)
            for (int c = 0; c < width; ++c) head_in[r * tile + c] = encoded[r * tile + c];
        for (int clock = 0; clock < net.n_clocks; ++clock) {
            alignas(64) float tau[tile];
            for (int v = 0; v < t.used; v += 2) {
                const bool logarithmic = clock + 1 == net.n_clocks;
                const double scale = 1.0 / (logarithmic ? reduced.clock_theta0 : net.clock_theta[clock]);
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
    PCS_FN void decode(Tile& t) {
        for (int i = 0; i < S; ++i)
            for (int v = 0; v < t.used; v += 2) {
                Vec depth[2];
                for (int half = 0; half < 2; ++half)
                    depth[half] = clip(start.loss[i * vectors + v + half] * t.theta[v + half], 1e-8, 1e8);
                store32(head_in + (Z + plan.order[i]) * tile + v * W, 0.125f * log10_32(narrow(depth[0], depth[1])));
            }
        const float* decoded = mlp(net.decoder, head_in, a, b, t.n_cells);
        for (int v = 0; v < t.used; v += 2) {
            const Vec theta[2] = {t.theta[v], t.theta[v + 1]};
            for (int i = 0; i < S; ++i) {
                const int at = i * vectors + v, host = plan.order[i];
                const Vec32 u = times_theta(start.loss + at, theta);
                const Int32 shallow = u < 0.5f;
                const Exponential kept = exponential(-u);
                const Vec32 share = select(shallow, growth32(-u), (1.0f - kept.second) / u);  // (1 - exp(-u)) / u
                const Vec32 change = start.phi(t, i, v, u) * load32(decoded + host * tile + v * W);
                store32(head_in + (Z + S + host) * tile + v * W, change);
                const Exponential factor = exponential((float)ln10 * change);
                for (int half = 0; half < 2; ++half) {
                    const Vec x_base = t.x[at + half] * kept.value(half) +
                                       start.production[at + half] * theta[half] * widen(share, half);
                    t.guess[at + half] = changed(x_base, factor, half, reduced.x_floor);
                }
            }
        }
    }

    PCS_FN const float* predict_error(const Tile& t) { return start.predict_error(t, head_in, a, b); }

    // Take over what scale and encode made of another tile.
    PCS_FN void take(const MultiClockMap& from, const Run& run) {
        start.take(from.start, run);
        for (int r = 0; r < (1 + net.n_clocks) * Z * tile; r += tile) take_row(taken + r, from.encoded + r, run);
        encoded = taken;
    }

    PCS_FN const float* features() const { return features_; }
    PCS_FN const float* latent0() const { return encoded; }
    PCS_FN const float* latent() const { return head_in; }

  private:
    const PlanView& plan;
    const MultiClockView& net;
    const ReducedView& reduced;
    const int S, Z;
    ReducedStart<Chemistry> start;
    float *features_, *head_in, *a, *b;  // (rows, tile)
    float* taken;                        // encoded states of another tile
    const float* encoded = nullptr;      // z0, then a direction for every clock
};

}  // namespace pcs::PCS_ISA
