// The seed paper's latent maps (Sulzer & Buck 2023, arXiv:2312.06015) on a tile of cells: a polynomial in normalised
// log time, or a neural ODE in latent space. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/tile.hpp"

namespace pcs::PCS_ISA {

class LatentMap {
  public:
    LatentMap(const PlanView& plan, const SurrogateView& surrogate, Memory& memory)
        : plan(plan),
          net(surrogate.latent_map),
          S(plan.n_species),
          Z(surrogate.latent),
          rows_of_a_state(net.dynamics == Dynamics::polynomial && !net.directions ? (1 + net.degree) * Z : Z),
          features_(memory.rows(S)),
          a(memory.rows(surrogate.widest)),
          b(memory.rows(surrogate.widest)),
          states(memory.rows((1 + net.ode_steps) * rows_of_a_state)),
          z(memory.rows(Z)),
          stage(memory.rows(Z)),
          sum(memory.rows(Z)) {}

    // y = (log10 n - mean) / scale, at the density n_ref of the training data.
    void scale(const Tile& t) {
        for (int i = 0; i < S; ++i) {
            const int host = plan.order[i];
            for (int v = 0; v < t.used; ++v) {
                const Vec n = max(t.x[i * vectors + v] * net.n_ref, broadcast(net.n_floor));
                store_row(features_ + host * tile, v, (log10(n) - net.mean[host]) / net.scale[host]);
            }
        }
    }

    // z0, with the directions behind it where they depend on the state.
    void encode(const Tile& t) {
        const float* encoded = mlp(net.encoder, features_, a, b, t.n_cells);
        for (int r = 0; r < rows_of_a_state; ++r)
            for (int c = 0; c < t.used * W; ++c) states[r * tile + c] = encoded[r * tile + c];
        n_cells = t.n_cells;
        n_states = 1;
        origin = this;
        for (int c = 0; c < tile; ++c) column_of[c] = c;
    }

    // The encoded state is that of t_first; from t_last on tau stays at 1.
    void advance(const Tile& t) {
        Vec tau[vectors];
        for (int v = 0; v < t.used; ++v)
            tau[v] = min(log10(1 + t.theta[v] / net.theta_first) / net.log_span, broadcast(1.0));
        if (net.dynamics == Dynamics::polynomial)
            polynomial(tau, t);
        else
            neural_ode(tau, t);
    }

    // x = 10^(scale y + mean) / n_ref; the nets' single precision serves for the power, to 1e-6 dex.
    void decode(Tile& t) {
        const float* decoded = mlp(net.decoder, z, a, b, t.n_cells);
        for (int i = 0; i < S; ++i) {
            const int host = plan.order[i];
            for (int c = 0; c < t.used * W; c += W32) {
                const Vec32 power = exp2_32(net.octaves[host] * load32(decoded + host * tile + c));
                for (int half = 0; half < 2; ++half)
                    t.guess[i * vectors + c / W + half] = net.middle[host] * widen(power, half);
            }
        }
    }

    const float* predict_error(const Tile&) { return nullptr; }  // the box alone decides

    // Take over what scale and encode made of another tile; the neural ODE integrates there, for all its times.
    void take(LatentMap& from, const Run& run) {
        origin = &from;
        for (int c = run.first; c < run.last; ++c) column_of[c] = run.source;
        if (net.dynamics == Dynamics::polynomial)
            for (int r = 0; r < rows_of_a_state * tile; r += tile) take_row(states + r, from.states + r, run);
    }

    const float* features() const { return features_; }
    const float* latent0() const { return states; }
    const float* latent() const { return z; }

  private:
    // z = z0 + sum_k tau^k A_k, by Horner's rule.
    void polynomial(const Vec* time, const Tile& t) {
        alignas(64) float tau[tile];
        for (int v = 0; v < t.used; ++v) store_row(tau, v, time[v]);
        for (int r = 0; r < Z; ++r) {
            float* row = z + r * tile;
            for (int c = 0; c < t.used * W; ++c) row[c] = 0;
            for (int k = net.degree; k >= 1; --k)
                for (int c = 0; c < t.used * W; ++c)
                    row[c] =
                        (row[c] + (net.directions ? net.directions[(k - 1) * Z + r] : states[(k * Z + r) * tile + c])) *
                        tau[c];
            for (int c = 0; c < t.used * W; ++c) row[c] += states[r * tile + c];
        }
    }

    // dz/dtau = s tanh(NN(z) / s) by classical Runge-Kutta steps of fixed length and a shorter last one, so that one
    // integration serves any number of times and no answer depends on which others are asked for.
    void neural_ode(const Vec* time, const Tile& t) {
        alignas(64) float h[tile];
        int32_t whole[tile], most = 0;
        for (int c = 0; c < t.used * W; ++c) {
            const double tau = ((const double*)time)[c];
            whole[c] = (int32_t)(tau * net.ode_steps);
            h[c] = (float)(tau - (double)whole[c] / net.ode_steps);
            most = whole[c] > most ? whole[c] : most;
        }
        origin->integrate(most);
        for (int r = 0; r < Z; ++r)
            for (int c = 0; c < t.used * W; ++c)
                z[r * tile + c] = origin->states[(whole[c] * Z + r) * tile + column_of[c]];
        runge_kutta(z, h, z, t.n_cells);
    }

    // The states of this tile after 0 .. steps whole steps.
    void integrate(int steps) {
        alignas(64) float h[tile];
        for (int c = 0; c < tile; ++c) h[c] = 1.0f / (float)net.ode_steps;
        for (; n_states <= steps; ++n_states)
            runge_kutta(states + (n_states - 1) * Z * tile, h, states + n_states * Z * tile, n_cells);
    }

    void runge_kutta(const float* from, const float* h, float* to, int cells) {
        constexpr float weight[] = {1.0f / 6, 1.0f / 3, 1.0f / 3, 1.0f / 6}, next[] = {0.5f, 0.5f, 1.0f};
        const int width = (cells + W32 - 1) / W32 * W32;
        const Vec32 s = broadcast32(net.ode_scale);
        for (int part = 0; part < 4; ++part) {
            const float* slope = mlp(net.ode, part == 0 ? from : stage, a, b, cells);
            for (int r = 0; r < Z; ++r)
                for (int c = 0; c < width; c += W32) {
                    const int at = r * tile + c;
                    const Vec32 step = load32(h + c) * (s * tanh32(load32(slope + at) / s));
                    const Vec32 before = load32(from + at), so_far = part == 0 ? before : load32(sum + at);
                    store32(sum + at, so_far + weight[part] * step);
                    if (part < 3) store32(stage + at, before + next[part] * step);
                }
        }
        for (int r = 0; r < Z; ++r)
            for (int c = 0; c < width; c += W32) store32(to + r * tile + c, load32(sum + r * tile + c));
    }

    const PlanView& plan;
    const LatentView& net;
    const int S, Z, rows_of_a_state;
    float *features_, *a, *b;       // (rows, tile)
    float* states;                  // what encode made; for the neural ODE also after every whole step
    float *z, *stage, *sum;         // (Z, tile)
    int n_cells = 0, n_states = 0;  // of this tile; how many states are known
    LatentMap* origin = nullptr;    // of the neural ODE: whose states the columns start from, ...
    int column_of[tile] = {};       // ... and from which column
};

}  // namespace pcs::PCS_ISA
