// The surrogate and its gate as pointers (docs/architecture.md names every array). SPDX-License-Identifier:
// BSD-3-Clause
#pragma once

#include <stdint.h>

namespace pcs {

constexpr int max_layers = 8;

struct LayerView {
    int32_t inputs, outputs;
    const float *weights, *bias;  // packed for the kernels, padded to whole blocks of outputs
};

enum class Activation : int32_t { none, silu, tanh };

struct MlpView {
    int32_t n_layers;
    Activation hidden, last;  // after the hidden layers, and after the last one
    LayerView layers[max_layers];
};

// A quantity of a cell in the symmetry-reduced form (docs/architecture.md, "The box").
enum class QuantityKind : int32_t {
    temperature,
    theta,
    condition_per_density,
    condition_times_dt,
    element_ratio,
    net_charge,
    abundance
};

struct Quantity {
    QuantityKind kind;
    int32_t index, other;  // of the condition, of the conserved quantities whose ratio it is, or of the species
};

struct BoxSide {
    Quantity quantity;
    double low, high;
};

// One axis of the grid of bins, each with its own threshold; the last axis runs fastest.
struct BinAxis {
    Quantity quantity;
    int32_t n_edges;
    const double* edges;  // ascending: n_edges + 1 bins
};

// The share of a cell's error that is left after a step, by theta = n_H dt.
struct BudgetView {
    int32_t n_edges;      // 0 and null: errors add up
    const double* edges;  // ascending [s cm^-3]
    const double* kappa;  // (n_edges + 1)
};

// What the multi-clock map and the jump share.
struct ReducedView {
    double clock_theta0, x_floor, x_trace;
    const float *feature_mean, *feature_scale;  // scale: 1 / std
    MlpView head;
    int32_t n_head_inputs;
};

// The distance from the training states: |W f + b|^2 of f = log10 of [max(x, x_floor), T, conditions / n_H, theta].
struct DistanceView {
    MlpView whiten;  // one layer; none: nothing is far
    double x_floor;  // a normal number in single precision
    float most;      // the largest square that is not far
};

// The multi-clock flow map.
struct MultiClockView {
    MlpView encoder, decoder;
    int32_t n_clocks;           // the log clock is the last
    const double* clock_theta;  // (n_clocks - 1) [s cm^-3]
};

// The jump: implicit steps, then one of many small nets.
struct JumpView {
    int32_t n_shares, n_experts, n_inputs;
    const double* shares;    // of theta: the length of every implicit step
    MlpView router;          // one layer whose largest output names the expert
    const MlpView* experts;  // weights packed for experts.hpp
};

enum class Dynamics : int32_t { polynomial, neural_ode };

// The latent map of the seed paper. Its time is tau = log10(1 + theta / theta_first) / log10(t_last / t_first), 1 at
// most. Host order of species.
struct LatentView {
    MlpView encoder, decoder, ode;
    int32_t precise;  // 1: nets and dynamics in double precision, from single weights
    Dynamics dynamics;
    int32_t degree;                // of the polynomial in tau
    const float* directions;       // (degree, latent); null: they come from the encoder
    float ode_scale;               // s of dz/dtau = s tanh(NN(z) / s)
    int32_t ode_steps;             // Runge-Kutta steps over tau = 0..1
    double n_floor, n_ref;         // [cm^-3]
    double theta_first, log_span;  // n_ref t_first [s cm^-3], log10(t_last / t_first)
    const double *mean, *scale;    // (S) of log10 n
    const double* middle;          // (S): 10^mean / n_ref
    const float* octaves;          // (S): scale log2(10)
};

// The last `fraction` of a step, by fixed steps of the real chemistry; steps = 0: none, the map spans it all.
struct FinishView {
    int32_t steps;
    double fraction;
};

enum class MapKind : int32_t { multi_clock, latent, jump };

struct SurrogateView {
    MapKind kind;
    int32_t latent, n_features, widest;  // widest: rows that any layer reads or writes, padded
    ReducedView reduced;                 // of multi_clock and jump
    MultiClockView multi_clock;          // the one that `kind` names is set
    LatentView latent_map;
    JumpView jump;
    FinishView finish;
    int32_t n_sides, electron;  // plan index of e-; -1: none
    const BoxSide* sides;
    int32_t n_axes;
    const BinAxis* axes;
    DistanceView distance;
    BudgetView budget;
};

}  // namespace pcs
