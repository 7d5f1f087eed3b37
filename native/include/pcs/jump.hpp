// The jump on a tile of cells: its verbs of docs/architecture.md. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/alone.hpp"
#include "pcs/reduced.hpp"

namespace pcs::PCS_ISA {

// Chemistry: Tables or Generated<Code>, of chemistry.hpp. Team: who works on the tile, as in alone.hpp.
template <class Chemistry, class Team = Alone>
class JumpMap {
  public:
    using Steps = Chemistry;  // of a finish

    PCS_FN JumpMap(const PlanView& plan, const SurrogateView& surrogate, const Team& team, Memory& memory)
        : plan(plan),
          net(surrogate.jump),
          reduced(surrogate.reduced),
          team(team),
          S(plan.n_species),
          n_start(surrogate.n_features),
          Z(surrogate.latent),
          widest(Team::widest(surrogate)),
          start(plan, reduced, memory),
          u(memory.vec(S * vectors)),
          gain(memory.vec(S * vectors)),
          frequency(memory.vec(S * vectors)),
          features_(memory.rows(n_start)),
          z(memory.rows(net.n_inputs)),
          head_in(memory.rows(reduced.n_head_inputs)),
          a(memory.rows(widest)),
          b(memory.rows(widest)) {}

    // [y, q, l, p], not standardised.
    PCS_FN void scale(const Tile& t) {
        start.rates(t);
        start.features(t, nullptr, nullptr, features_);
    }

    PCS_FN void encode(const Tile&) {}  // every theta has a net's run of its own

    // z = [y, q, c, p, t].
    PCS_FN void advance(const Tile& t) {
        for (int v = 0; v < t.used; v += 2) {
            const auto log_theta = [&](int at) { return log10(clip(t.theta[at], 1e-30, 1e30)); };
            const Vec32 time = narrow(log_theta(v), log_theta(v + 1));
            for (int r = 0; r < n_start; ++r) {
                const Vec32 value = load32(features_ + r * tile + v * W);
                const bool depth = r >= 2 * S && r < 3 * S;
                store32(z + r * tile + v * W, depth ? clamp32(value + time, 8.0f) : value);
            }
            store32(z + n_start * tile + v * W, time);
        }
    }

    // head_in holds [c / 8, change, y' - y, (p, t), asinh(1e3 lambda), the finish's report].
    PCS_FN void decode(Tile& t) {
        prepare(t);
        route(t);
        const Columns decoded = run_experts(t);
        for (int v = 0; v < t.used; v += 2) {
            const Vec theta[2] = {t.theta[v], t.theta[v + 1]};
            for (int i = 0; i < S; ++i) {
                const int at = i * vectors + v, host = plan.order[i];
                Vec32 said;
                for (int l = 0; l < W32; ++l) said[l] = decoded.rows[(v * W + l) * decoded.stride + host];
                const Vec32 change = start.phi(t, i, v, times_theta(start.loss + at, theta)) * said;
                const Exponential factor = exponential((float)ln10 * change);
                for (int half = 0; half < 2; ++half)
                    t.guess[at + half] = changed(u[at + half], factor, half, reduced.x_floor);
                const auto row = [&](const float* rows, int r) { return load32(rows + r * tile + v * W); };
                store32(head_in + host * tile + v * W, 0.125f * row(z, 2 * S + host));
                store32(head_in + (S + host) * tile + v * W, change);
                store32(head_in + (2 * S + host) * tile + v * W, row(z, Z + host) - row(z, host));
            }
            for (int r = 3 * S; r < Z; ++r) {
                const Vec32 value = load32(z + r * tile + v * W);
                store32(head_in + r * tile + v * W, (value - reduced.feature_mean[r]) * reduced.feature_scale[r]);
            }
        }
    }

    PCS_FN const float* predict_error(const Tile& t) { return start.predict_error(t, head_in, a, b); }

    // Take over what scale made of another tile.
    PCS_FN void take(const JumpMap& from, const Run& run) {
        start.take(from.start, run);
        for (int r = 0; r < n_start * tile; r += tile) take_row(features_ + r, from.features_ + r, run);
    }

    PCS_FN const float* features() const { return features_; }
    PCS_FN const float* latent0() const { return nullptr; }  // nothing is encoded
    PCS_FN const float* latent() const { return z; }

  private:
    // The implicit steps, and what the nets read of their state: [y', q'] behind z.
    PCS_FN void prepare(const Tile& t) {
        for (int i = 0; i < S * vectors; ++i)
            u[i] = t.x[i], gain[i] = start.production[i], frequency[i] = start.loss[i];
        team.template prepare<Chemistry>(plan, {t.used * W, tile, W, net.n_shares, net.shares, (const double*)t.k,
                                                (const double*)t.theta, (double*)u, (double*)gain, (double*)frequency});
        for (int i = 0; i < S; ++i)
            for (int v = 0; v < t.used; v += 2) {
                const int at = i * vectors + v, host = plan.order[i];
                const auto seen = [&](int row, Vec32 value) {
                    const Vec32 log = log10_32(value);
                    store32(z + (Z + row) * tile + v * W,
                            select(log < -16.0f, broadcast32(-16.0f), select(log > 1.0f, broadcast32(1.0f), log)));
                };
                seen(host, narrow(u[at] + reduced.x_floor, u[at + 1] + reduced.x_floor));
                seen(S + host, start.quasi_steady(gain, frequency, at));
            }
    }

    // The expert of every column: the nearest centre to c, the first of equals.
    PCS_FN void route(const Tile& t) {
        const float* scores = mlp(net.router, z + 2 * S * tile, a, b, t.n_cells);
        for (int c = 0; c < t.used * W; ++c) {
            int best = 0;
            for (int e = 1; e < net.n_experts; ++e)
                if (scores[e * tile + c] > scores[best * tile + c]) best = e;
            expert_of[c] = best;
        }
    }

    // Every expert on its columns.
    PCS_FN Columns run_experts(const Tile& t) {
        const Columns inputs = team.inputs(net);
        for (int r = 0; r < net.n_inputs; ++r)
            for (int v = 0; v < t.used; v += 2) {
                const Vec32 value = (load32(z + r * tile + v * W) - reduced.feature_mean[r]) * reduced.feature_scale[r];
                for (int l = 0; l < W32; ++l) inputs.rows[(v * W + l) * inputs.stride + r] = value[l];
            }
        return team.experts(net, expert_of, t.used * W, a, b, widest);
    }

    const PlanView& plan;
    const JumpView& net;
    const ReducedView& reduced;
    const Team& team;
    const int S, n_start, Z, widest;
    ReducedStart<Chemistry> start;
    Vec *u, *gain, *frequency;  // (S, tile): after the implicit steps
    float *features_, *z;       // (rows, tile); z with [y', q'] behind it
    float* head_in;             // (rows, tile)
    float *a, *b;               // (rows, tile) of router and head, (tile, rows) of the experts
    int expert_of[tile] = {};
};

}  // namespace pcs::PCS_ISA
