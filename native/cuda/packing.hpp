// How weights lie in device memory. SPDX-License-Identifier: BSD-3-Clause
//
// A layer's outputs come in blocks, zero padded: [block of outputs][input][output in the block]; biases are padded
// likewise. Both begin at multiples of 16 bytes, and SurrogateView::widest counts the padded outputs of all layers.
#pragma once

namespace pcs::cuda {

constexpr int mlp_block = 16;     // of every MlpView (encoder, decoder, ode, head, router), ...
constexpr int expert_block = 32;  // ... but of the experts

}  // namespace pcs::cuda
