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

enum class BoxKind : int32_t { temperature, condition, theta, element, net_charge };

struct BoxSide {
    BoxKind kind;
    int32_t index;  // of the condition or of the conserved quantity
    double low, high;
};

struct SurrogateView {
    MlpView encoder, decoder, head;
    int32_t latent, n_clocks;                   // the log clock is the last
    int32_t n_features, n_head_inputs, widest;  // widest: rows that any layer reads or writes, padded
    const double* clock_theta;                  // (n_clocks - 1) [s cm^-3]
    double clock_theta0, x_floor;
    const float *feature_mean, *feature_scale;  // scale: 1 / std
    int32_t n_sides, electron, hydrogen;        // plan index of e-, conserved index of H; -1: none
    const BoxSide* sides;
    double threshold;  // on the predicted log10 of the cell's error in dex
};

}  // namespace pcs
