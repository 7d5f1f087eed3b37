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

struct MlpView {
    int32_t n_layers;
    LayerView layers[max_layers];
};

enum class BoxKind : int32_t {
    temperature,
    theta,
    condition_per_density,
    condition_times_dt,
    element_ratio,
    net_charge
};

struct BoxSide {
    BoxKind kind;
    int32_t index, other;  // of the condition, or of the conserved quantities whose ratio is bounded
    double low, high;
};

struct SurrogateView {
    MlpView encoder, decoder, head;
    int32_t latent, n_clocks;                   // the log clock is the last
    int32_t n_features, n_head_inputs, widest;  // widest: rows that any layer reads or writes, padded
    const double* clock_theta;                  // (n_clocks - 1) [s cm^-3]
    double clock_theta0, x_floor, x_trace;
    const float *feature_mean, *feature_scale;  // scale: 1 / std
    int32_t n_sides, electron;                  // plan index of e-; -1: none
    const BoxSide* sides;
    double threshold;  // on the predicted log10 of the cell's error in dex
};

}  // namespace pcs
