// Small dense networks on a tile of cells. SPDX-License-Identifier: BSD-3-Clause
//
// A tile is `tile` cells wide; a layer's activations are rows of a tile, so that one weight meets many cells.
#pragma once

#include "pcs/simd.hpp"
#include "pcs/surrogate_view.hpp"

namespace pcs::PCS_ISA {

constexpr int columns = W == 1 ? 1 : 4;  // vectors of floats in a tile's row
constexpr int tile = columns * W32;      // cells in a tile
// Outputs computed together: block x columns sums fit the registers.
constexpr int block = W == 1 ? 16 : W == 8 ? 6 : 3;

// Four weights of 16-byte alignment, which a GPU loads at once.
struct alignas(16) Four {
    float value[4];
};

template <Activation f, class V>
PCS_FN inline V activated(V v) {
    if constexpr (f == Activation::silu) return silu(v);
    if constexpr (f == Activation::tanh) return tanh(v);
    return v;
}

// `count` outputs from `first` on, for the first `used` vectors of every row: f(W in + b).
template <Activation f, class V, int used, int count, class Real>
PCS_FN inline void outputs(const LayerView& l, int first, const Real* in, Real* out) {
    constexpr int width = sizeof(V) / sizeof(Real);
    const float* w = l.weights + static_cast<int64_t>(first) * l.inputs;
    V sum[count][used];
    for (int o = 0; o < count; ++o)
        for (int c = 0; c < used; ++c) sum[o][c] = broadcast_as<V>(l.bias[first + o]);
    for (int i = 0; i < l.inputs; ++i) {
        V x[used];
        for (int c = 0; c < used; ++c) x[c] = load_as<V>(in + i * tile + c * width);
        Four four{};
        for (int o = 0; o < count; ++o) {
            if constexpr (W == 1)
                if (o % 4 == 0) four = *(const Four*)(w + i * block + o);
            const V weight = broadcast_as<V>(W == 1 ? four.value[o % 4] : w[i * block + o]);
            for (int c = 0; c < used; ++c) sum[o][c] += weight * x[c];
        }
    }
    for (int o = 0; o < count; ++o)
        for (int c = 0; c < used; ++c) store_as<V>(out + (first + o) * tile + c * width, activated<f>(sum[o][c]));
}

// The last outputs of a layer, fewer than a block.
template <Activation f, class V, int used, int count, class Real>
PCS_FN inline void rest(const LayerView& l, int first, const Real* in, Real* out) {
    if (l.outputs - first == count) return outputs<f, V, used, count>(l, first, in, out);
    if constexpr (count > 1) rest<f, V, used, count - 1>(l, first, in, out);
}

// Weights are packed by blocks of outputs: [block of outputs][input][output in the block], zero padded.
template <Activation f, class V, int used, class Real>
PCS_FN inline void layer(const LayerView& l, const Real* in, Real* out) {
    int first = 0;
    for (; first + block <= l.outputs; first += block) outputs<f, V, used, block>(l, first, in, out);
    if constexpr (columns > 1)
        rest<f, V, used, block - 1>(l, first, in, out);
    else if (first < l.outputs)
        outputs<f, V, used, block>(l, first, in, out);  // a whole block costs a lane less than other code for a part
}

template <int used, class Real>
PCS_FN inline const Real* mlp_on(const MlpView& net, const Real* in, Real* a, Real* b) {
    using V = typename vector_of<Real>::type;
    for (int l = 0; l < net.n_layers; ++l) {
        Real* out = l % 2 ? b : a;
        const Activation f = l + 1 < net.n_layers ? net.hidden : net.last;
        if (f == Activation::silu)
            layer<Activation::silu, V, used>(net.layers[l], in, out);
        else if (f == Activation::tanh)
            layer<Activation::tanh, V, used>(net.layers[l], in, out);
        else
            layer<Activation::none, V, used>(net.layers[l], in, out);
        in = out;
    }
    return in;
}

// Returns where the last layer's outputs lie: in a or b, each (widest layer, padded) rows. Only the vectors that hold
// the first n_cells columns are computed. Real: float or double, of the activations; the weights are single.
template <class Real>
PCS_FN PCS_APART inline const Real* mlp(const MlpView& net, const Real* in, Real* a, Real* b, int n_cells) {
    static_assert(columns == 1 || columns == 4);
    constexpr int width = sizeof(Vec) / sizeof(Real);
    const Real* out = nullptr;
    for (int c = 0; c < n_cells; c += columns * width) {  // once in single precision, in double for half a row each
        const int left = n_cells - c;
        const Real* part;
        if constexpr (columns == 1)
            part = mlp_on<1>(net, in + c, a + c, b + c);
        else
            part = left <= width       ? mlp_on<1>(net, in + c, a + c, b + c)
                   : left <= 2 * width ? mlp_on<2>(net, in + c, a + c, b + c)
                   : left <= 3 * width ? mlp_on<3>(net, in + c, a + c, b + c)
                                       : mlp_on<4>(net, in + c, a + c, b + c);
        out = part - c;
    }
    return out;
}

}  // namespace pcs::PCS_ISA
