// The seed paper's latent maps (Sulzer & Buck 2023, arXiv:2312.06015) on a tile of cells: a polynomial in normalised
// log time, or a neural ODE in latent space. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/tile.hpp"

namespace pcs::PCS_ISA {

// Real: float or double, of all that the nets compute (LatentView::precise).
template <class Real>
class LatentMap {
    using V = typename vector_of<Real>::type;
    static constexpr int width = sizeof(V) / sizeof(Real);

  public:
    using Steps = void;  // no finish

    template <class Team>
    PCS_FN LatentMap(const PlanView& plan, const SurrogateView& surrogate, const Team&, Memory& memory)
        : plan(plan),
          net(surrogate.latent_map),
          S(plan.n_species),
          Z(surrogate.latent),
          rows_of_a_state(net.dynamics == Dynamics::polynomial && !net.directions ? (1 + net.degree) * Z : Z),
          features_(memory.rows<Real>(S)),
          a(memory.rows<Real>(surrogate.widest)),
          b(memory.rows<Real>(surrogate.widest)),
          states(memory.rows<Real>((1 + net.ode_steps) * rows_of_a_state)),
          z(memory.rows<Real>(Z)),
          stage(memory.rows<Real>(Z)),
          sum(memory.rows<Real>(Z)) {}

    // y = (log10 n - mean) / scale, at the density n_ref of the training data.
    PCS_FN void scale(const Tile& t) {
        for (int i = 0; i < S; ++i) {
            const int host = plan.order[i];
            for (int v = 0; v < t.used; ++v) {
                const Vec n = max(t.x[i * vectors + v] * net.n_ref, broadcast(net.n_floor));
                store_row(features_ + host * tile, v, (log10(n) - net.mean[host]) / net.scale[host]);
            }
        }
    }

    // z0, with the directions behind it where they depend on the state.
    PCS_FN void encode(const Tile& t) {
        const Real* encoded = mlp(net.encoder, features_, a, b, t.n_cells);
        for (int r = 0; r < rows_of_a_state; ++r)
            for (int c = 0; c < t.used * W; ++c) states[r * tile + c] = encoded[r * tile + c];
        n_cells = t.n_cells;
        n_states = 1;
        origin = this;
        for (int c = 0; c < tile; ++c) column_of[c] = c;
    }

    // The encoded state is that of t_first; from t_last on tau stays at 1.
    PCS_FN void advance(const Tile& t) {
        Vec tau[vectors];
        for (int v = 0; v < t.used; ++v)
            tau[v] = min(log10(1 + t.theta[v] / net.theta_first) / net.log_span, broadcast(1.0));
        if (net.dynamics == Dynamics::polynomial)
            polynomial(tau, t);
        else
            neural_ode(tau, t);
    }

    // x = 10^(scale y + mean) / n_ref; where the nets are in single precision, that serves for the power, to 1e-6 dex.
    PCS_FN void decode(Tile& t) {
        const Real* decoded = mlp(net.decoder, z, a, b, t.n_cells);
        for (int i = 0; i < S; ++i) {
            const int host = plan.order[i];
            Vec* const guess = t.guess + i * vectors;
            for (int c = 0; c < t.used * W; c += width) {
                const V y = load_as<V>(decoded + host * tile + c);
                if constexpr (width == W) {
                    guess[c / W] = net.middle[host] * exp(ln10 * net.scale[host] * y);
                } else {
                    const Vec32 power = exp2_32(net.octaves[host] * y);
                    for (int half = 0; half < 2; ++half) guess[c / W + half] = net.middle[host] * widen(power, half);
                }
            }
        }
    }

    PCS_FN const float* predict_error(const Tile&) { return nullptr; }  // the box alone decides

    // Take over what scale and encode made of another tile; the neural ODE integrates there, for all its times.
    PCS_FN void take(LatentMap& from, const Run& run) {
        origin = &from;
        for (int c = run.first; c < run.last; ++c) column_of[c] = run.source;
        if (net.dynamics == Dynamics::polynomial)
            for (int r = 0; r < rows_of_a_state * tile; r += tile) take_row(states + r, from.states + r, run);
    }

    PCS_FN const Real* features() const { return features_; }
    PCS_FN const Real* latent0() const { return states; }
    PCS_FN const Real* latent() const { return z; }

  private:
    // z = z0 + sum_k tau^k A_k, by Horner's rule.
    PCS_FN void polynomial(const Vec* time, const Tile& t) {
        alignas(64) Real tau[tile];
        for (int v = 0; v < t.used; ++v) store_row(tau, v, time[v]);
        for (int r = 0; r < Z; ++r) {
            Real* row = z + r * tile;
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
    PCS_FN void neural_ode(const Vec* time, const Tile& t) {
        if (t.n_cells == 0) return;  // who only waits for others has no origin
        alignas(64) Real h[tile];
        int32_t whole[tile], most = 0;
        for (int c = 0; c < t.used * W; ++c) {
            const double tau = ((const double*)time)[c];
            whole[c] = (int32_t)(tau * net.ode_steps);
            h[c] = (Real)(tau - (double)whole[c] / net.ode_steps);
            most = whole[c] > most ? whole[c] : most;
        }
        origin->integrate(most);
        for (int r = 0; r < Z; ++r)
            for (int c = 0; c < t.used * W; ++c)
                z[r * tile + c] = origin->states[(whole[c] * Z + r) * tile + column_of[c]];
        runge_kutta(z, h, z, t.n_cells);
    }

    // The states of this tile after 0 .. steps whole steps.
    PCS_FN void integrate(int steps) {
        alignas(64) Real h[tile];
        for (int c = 0; c < tile; ++c) h[c] = Real(1) / (Real)net.ode_steps;
        for (; n_states <= steps; ++n_states)
            runge_kutta(states + (n_states - 1) * Z * tile, h, states + n_states * Z * tile, n_cells);
    }

    PCS_FN void runge_kutta(const Real* from, const Real* h, Real* to, int cells) {
        constexpr Real weight[] = {Real(1) / 6, Real(1) / 3, Real(1) / 3, Real(1) / 6}, next[] = {0.5, 0.5, 1};
        const V s = broadcast_as<V>(net.ode_scale);
        for (int part = 0; part < 4; ++part) {
            const Real* slope = mlp(net.ode, part == 0 ? from : stage, a, b, cells);
            for (int r = 0; r < Z; ++r)
                for (int c = 0; c < cells; c += width) {
                    const int at = r * tile + c;
                    const V step = load_as<V>(h + c) * (s * tanh(load_as<V>(slope + at) / s));
                    const V before = load_as<V>(from + at), so_far = part == 0 ? before : load_as<V>(sum + at);
                    store_as<V>(sum + at, so_far + weight[part] * step);
                    if (part < 3) store_as<V>(stage + at, before + next[part] * step);
                }
        }
        for (int r = 0; r < Z; ++r)
            for (int c = 0; c < cells; c += width) store_as(to + r * tile + c, load_as<V>(sum + r * tile + c));
    }

    const PlanView& plan;
    const LatentView& net;
    const int S, Z, rows_of_a_state;
    Real *features_, *a, *b;        // (rows, tile)
    Real* states;                   // what encode made; for the neural ODE also after every whole step
    Real *z, *stage, *sum;          // (Z, tile)
    int n_cells = 0, n_states = 0;  // of this tile; how many states are known
    LatentMap* origin = nullptr;    // of the neural ODE: whose states the columns start from, ...
    int column_of[tile] = {};       // ... and from which column
};

}  // namespace pcs::PCS_ISA
