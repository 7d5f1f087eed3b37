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

inline Vec32 silu(Vec32 v) { return v / (1.0f + exp32(-v)); }

// out = W in + b. Weights are packed by blocks of outputs: [block of outputs][input][output in the block], zero padded.
template <bool activate>
inline void layer(const LayerView& l, const float* in, float* out) {
    for (int first = 0; first < l.outputs; first += block) {
        const float* w = l.weights + static_cast<int64_t>(first) * l.inputs;
        Vec32 sum[block][columns];
        for (int o = 0; o < block; ++o)
            for (int c = 0; c < columns; ++c) sum[o][c] = broadcast32(l.bias[first + o]);
        for (int i = 0; i < l.inputs; ++i) {
            Vec32 x[columns];
            for (int c = 0; c < columns; ++c) x[c] = load32(in + i * tile + c * W32);
            for (int o = 0; o < block; ++o) {
                const Vec32 weight = broadcast32(w[i * block + o]);
                for (int c = 0; c < columns; ++c) sum[o][c] += weight * x[c];
            }
        }
        for (int o = 0; o < block; ++o)
            for (int c = 0; c < columns; ++c)
                store32(out + (first + o) * tile + c * W32, activate ? silu(sum[o][c]) : sum[o][c]);
    }
}

// Returns where the last layer's outputs lie: in a or b, each (widest layer, padded) rows.
inline const float* mlp(const MlpView& net, const float* in, float* a, float* b) {
    for (int l = 0; l < net.n_layers; ++l) {
        float* out = l % 2 ? b : a;
        if (l + 1 < net.n_layers)
            layer<true>(net.layers[l], in, out);
        else
            layer<false>(net.layers[l], in, out);
        in = out;
    }
    return in;
}

}  // namespace pcs::PCS_ISA
