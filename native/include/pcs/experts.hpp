// Small dense networks for few cells each. SPDX-License-Identifier: BSD-3-Clause
//
// The cells of a tile are spread over many nets, too few a net to fill vectors (mlp.hpp). Here vectors run over a
// layer's outputs; a cell's numbers lie side by side, and a few cells of one net share each weight that is loaded.
#pragma once

#include "pcs/mlp.hpp"

namespace pcs::PCS_ISA {

constexpr int cells_at_once = tile < 4 ? tile : 4;
constexpr int outputs_at_once =
    W == 8 || W == 1 ? 4 : 2;  // vectors of outputs: with the cells, sums that fit the registers

// `vecs` vectors of outputs from the vector `first` on, of `cells` cells: f(W in + b).
template <Activation f, int cells, int vecs>
PCS_FN inline void neurons(const LayerView& l, int first, const float* const* in, float* const* out) {
    const float* w = l.weights + (int64_t)first * l.inputs * W32;
    Vec32 sum[cells][vecs];
    for (int c = 0; c < cells; ++c)
        for (int o = 0; o < vecs; ++o) sum[c][o] = load32(l.bias + (first + o) * W32);
    for (int i = 0; i < l.inputs; ++i) {
        Vec32 weight[vecs];
        for (int o = 0; o < vecs; ++o) weight[o] = load32(w + ((int64_t)o * l.inputs + i) * W32);
        for (int c = 0; c < cells; ++c) {
            const Vec32 x = broadcast32(in[c][i]);
            for (int o = 0; o < vecs; ++o) sum[c][o] += weight[o] * x;
        }
    }
    for (int c = 0; c < cells; ++c)
        for (int o = 0; o < vecs; ++o) store32(out[c] + (first + o) * W32, activated<f>(sum[c][o]));
}

template <Activation f, int cells>
PCS_FN inline void neurons_of(const LayerView& l, const float* const* in, float* const* out) {
    const int vecs = (l.outputs + W32 - 1) / W32;
    int first = 0;
    for (; first + outputs_at_once <= vecs; first += outputs_at_once)
        neurons<f, cells, outputs_at_once>(l, first, in, out);
    for (; first < vecs; ++first) neurons<f, cells, 1>(l, first, in, out);
}

// `count` cells, no fewer than `cells`.
template <Activation f, int cells>
PCS_FN inline void neurons_of_some(const LayerView& l, int count, const float* const* in, float* const* out) {
    if constexpr (cells < cells_at_once)
        if (count > cells) return neurons_of_some<f, cells + 1>(l, count, in, out);
    neurons_of<f, cells>(l, in, out);
}

template <Activation f>
PCS_FN inline void expert_layer(const LayerView& l, const int* columns, int count, const float* in, int in_stride,
                                float* out, int out_stride) {
    for (int c = 0; c < count; c += cells_at_once) {
        const float* from[cells_at_once];
        float* to[cells_at_once];
        const int left = count - c < cells_at_once ? count - c : cells_at_once;
        for (int n = 0; n < left; ++n) {
            from[n] = in + columns[c + n] * in_stride;
            to[n] = out + columns[c + n] * out_stride;
        }
        neurons_of_some<f, 1>(l, left, from, to);
    }
}

// The net on the given columns; column c reads in[c * in_stride ...]. Returns a or b, where its outputs begin at
// c * stride. Weights are packed by vectors of outputs: [vector][input][output in the vector], zero padded.
PCS_FN inline float* expert(const MlpView& net, const int* columns, int count, const float* in, int in_stride, float* a,
                            float* b, int stride) {
    float* out = nullptr;
    for (int l = 0; l < net.n_layers; ++l) {
        out = l % 2 ? b : a;
        if (l + 1 < net.n_layers)
            expert_layer<Activation::silu>(net.layers[l], columns, count, in, in_stride, out, stride);
        else
            expert_layer<Activation::none>(net.layers[l], columns, count, in, in_stride, out, stride);
        in = out, in_stride = stride;
    }
    return out;
}

}  // namespace pcs::PCS_ISA
