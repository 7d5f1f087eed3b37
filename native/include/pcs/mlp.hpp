// Small dense networks on a tile of cells, in single precision. SPDX-License-Identifier: BSD-3-Clause
//
// A tile is `tile` cells wide; a layer's activations are rows of a tile, so that one weight meets many cells.
#pragma once

#include "pcs/simd.hpp"
#include "pcs/surrogate_view.hpp"

namespace pcs::PCS_ISA {

constexpr int columns = 4;             // vectors of floats in a tile's row
constexpr int tile = columns * W32;    // cells in a tile
constexpr int block = W == 8 ? 6 : 3;  // outputs computed together: block x columns sums fit the registers

template <Activation f>
inline Vec32 activated(Vec32 v) {
    if constexpr (f == Activation::silu) return v / (1.0f + exp2_32(-1.44269504f * v));
    if constexpr (f == Activation::tanh) return tanh32(v);
    return v;
}

// `count` outputs from `first` on, for the first `used` vectors of every row: f(W in + b).
template <Activation f, int used, int count>
inline void outputs(const LayerView& l, int first, const float* in, float* out) {
    const float* w = l.weights + static_cast<int64_t>(first) * l.inputs;
    Vec32 sum[count][used];
    for (int o = 0; o < count; ++o)
        for (int c = 0; c < used; ++c) sum[o][c] = broadcast32(l.bias[first + o]);
    for (int i = 0; i < l.inputs; ++i) {
        Vec32 x[used];
        for (int c = 0; c < used; ++c) x[c] = load32(in + i * tile + c * W32);
        for (int o = 0; o < count; ++o) {
            const Vec32 weight = broadcast32(w[i * block + o]);
            for (int c = 0; c < used; ++c) sum[o][c] += weight * x[c];
        }
    }
    for (int o = 0; o < count; ++o)
        for (int c = 0; c < used; ++c) store32(out + (first + o) * tile + c * W32, activated<f>(sum[o][c]));
}

// The last outputs of a layer, fewer than a block.
template <Activation f, int used, int count>
inline void rest(const LayerView& l, int first, const float* in, float* out) {
    if (l.outputs - first == count) return outputs<f, used, count>(l, first, in, out);
    if constexpr (count > 1) rest<f, used, count - 1>(l, first, in, out);
}

// Weights are packed by blocks of outputs: [block of outputs][input][output in the block], zero padded.
template <Activation f, int used>
inline void layer(const LayerView& l, const float* in, float* out) {
    int first = 0;
    for (; first + block <= l.outputs; first += block) outputs<f, used, block>(l, first, in, out);
    rest<f, used, block - 1>(l, first, in, out);
}

template <int used>
inline const float* mlp_on(const MlpView& net, const float* in, float* a, float* b) {
    for (int l = 0; l < net.n_layers; ++l) {
        float* out = l % 2 ? b : a;
        const Activation f = l + 1 < net.n_layers ? net.hidden : net.last;
        if (f == Activation::silu)
            layer<Activation::silu, used>(net.layers[l], in, out);
        else if (f == Activation::tanh)
            layer<Activation::tanh, used>(net.layers[l], in, out);
        else
            layer<Activation::none, used>(net.layers[l], in, out);
        in = out;
    }
    return in;
}

// Returns where the last layer's outputs lie: in a or b, each (widest layer, padded) rows. Only the vectors that hold
// the first n_cells columns are computed.
inline const float* mlp(const MlpView& net, const float* in, float* a, float* b, int n_cells) {
    static_assert(columns == 4);
    if (n_cells <= W32) return mlp_on<1>(net, in, a, b);
    if (n_cells <= 2 * W32) return mlp_on<2>(net, in, a, b);
    if (n_cells <= 3 * W32) return mlp_on<3>(net, in, a, b);
    return mlp_on<4>(net, in, a, b);
}

}  // namespace pcs::PCS_ISA
