// Who works on tiles on a GPU: the threads of a block, each on its own tile, but on the experts' nets together.
// SPDX-License-Identifier: BSD-3-Clause
//
// Every cell may have another expert. The block sorts its cells by expert, and a warp takes `cells_of_an_item` cells of
// one expert at a time through all layers. A lane has a few cells and a few outputs, whose sums stay in registers: each
// weight that is loaded serves all these cells, each activation all these outputs. A sum runs over the inputs in their
// order, whoever computes it: a cell's bits depend on nothing else.
#pragma once

#include "launch.hpp"
#include "packing.hpp"
#include "pcs/alone.hpp"

namespace pcs::PCS_ISA {

static_assert(W == 1 && block == cuda::mlp_block);

// A warp's share of a layer: 4 x 8 lanes of 4 cells and 4 outputs each.
constexpr int lanes = 32, output_lanes = 8, cells_of_a_lane = 4, outputs_of_a_lane = 4;
constexpr int cells_of_an_item = lanes / output_lanes * cells_of_a_lane;
static_assert(output_lanes * outputs_of_a_lane == cuda::expert_block && outputs_of_a_lane == 4);

// How a block's part of the scratch, and its shared memory, are laid out. Columns: (threads, tile).
struct BlockLayout {
    int input_stride, answer_stride, widest, n_experts;

    PCS_FN explicit BlockLayout(const PlanView& plan, const SurrogateView& net)
        : input_stride((net.jump.n_inputs + 3) / 4 * 4),
          answer_stride((plan.n_species + cuda::expert_block - 1) / cuda::expert_block * cuda::expert_block),
          widest(net.widest),
          n_experts(net.kind == MapKind::jump ? net.jump.n_experts : 0) {}

    // Scratch: the inputs and the answers of every column, and two layers' outputs of every warp's item.
    PCS_FN size_t answers_at(int threads) const { return (size_t)threads * tile * input_stride; }
    PCS_FN size_t items_at(int threads) const { return answers_at(threads) + (size_t)threads * tile * answer_stride; }
    PCS_FN size_t floats_of_an_item() const { return (size_t)2 * cells_of_an_item * widest; }
    PCS_FN size_t floats(int threads) const {
        return n_experts > 0 ? items_at(threads) + threads / lanes * floats_of_an_item() : 0;
    }
    // Shared: how many cells an expert has, where its cells and its items begin; the columns by experts.
    PCS_FN size_t shared_ints(int threads) const {
        return n_experts > 0 ? (size_t)3 * n_experts + 2 + (size_t)threads * tile : 0;
    }
};

// Steps: the chemistry of the map; void: none.
template <class Steps>
class Block {
  public:
    // scratch, shared: of this block; on the host only memory is counted.
    PCS_FN Block(const PlanView& plan, const SurrogateView& net, float* scratch, int* shared, Memory& memory)
        : layout(plan, net), scratch(scratch), shared(shared) {
        if constexpr (has_steps<Steps>)
            if (net.kind == MapKind::jump || net.finish.steps > 0)
                workspace = memory.vec(layout_of_steps<Steps>(plan, nullptr, nullptr) / sizeof(Vec));
    }

    // Of the router and the head: the experts' outputs lie in the scratch.
    PCS_FN static int widest(const SurrogateView& net) {
        int most = 0;
        for (const MlpView* mlp : {&net.jump.router, &net.reduced.head})
            for (int l = 0; l < mlp->n_layers; ++l)
                if (mlp->layers[l].outputs > most) most = mlp->layers[l].outputs;
        return (most + block - 1) / block * block;
    }

    __device__ bool any(bool mine) const { return __syncthreads_or(mine); }

    template <class Chemistry>
    PCS_FN void prepare(const PlanView& plan, const PrepareArrays& cells) const {
        prepare_cells<Chemistry>(plan, cells, workspace);
    }
    template <class Chemistry>
    PCS_FN void finish(const PlanView& plan, const FinishArrays& cells) const {
        finish_cells<Chemistry>(plan, cells, workspace);
    }

    __device__ Columns inputs(const JumpView&) const {
        return {scratch + (size_t)threadIdx.x * tile * layout.input_stride, layout.input_stride};
    }

    // Every expert on its columns; all threads come here together, some without columns.
    __device__ Columns experts(const JumpView& net, const int* expert_of, int n_columns, float*, float*, int) const {
        const int rank = threadIdx.x, size = blockDim.x, E = net.n_experts;
        int *const count = shared, *const begin = count + E, *const item_begin = begin + E + 1,
                   *const sorted = item_begin + E + 1;
        for (int e = rank; e < E; e += size) count[e] = 0;
        __syncthreads();
        int place[tile];  // among the expert's cells: differs from run to run, and changes no answer
        for (int c = 0; c < n_columns; ++c) place[c] = atomicAdd(&count[expert_of[c]], 1);
        __syncthreads();
        if (rank == 0) {
            begin[0] = item_begin[0] = 0;
            for (int e = 0; e < E; ++e) {
                begin[e + 1] = begin[e] + count[e];
                item_begin[e + 1] = item_begin[e] + (count[e] + cells_of_an_item - 1) / cells_of_an_item;
            }
        }
        __syncthreads();
        for (int c = 0; c < n_columns; ++c) sorted[begin[expert_of[c]] + place[c]] = rank * tile + c;
        __syncthreads();  // also: all inputs are there
        for (int item = rank / lanes, e = 0; item < item_begin[E]; item += size / lanes) {
            while (item >= item_begin[e + 1]) ++e;
            const int first = begin[e] + (item - item_begin[e]) * cells_of_an_item;
            run_item(net.experts[e], sorted + first, begin[e + 1] - first);
        }
        __syncthreads();
        return {scratch + layout.answers_at(size) + (size_t)rank * tile * layout.answer_stride, layout.answer_stride};
    }

  private:
    // A warp takes the columns, at least one and as many as it can, through all layers. Lanes beyond the last column
    // repeat it: they write what another lane writes.
    __device__ void run_item(const MlpView& net, const int* columns, int count) const {
        const int lane = threadIdx.x % lanes, threads = blockDim.x;
        const int first_cell = lane / output_lanes * cells_of_a_lane, output = lane % output_lanes * outputs_of_a_lane;
        float* const buffers = scratch + layout.items_at(threads) + threadIdx.x / lanes * layout.floats_of_an_item();
        const float* from[cells_of_a_lane];
        float* answer[cells_of_a_lane];
        for (int c = 0; c < cells_of_a_lane; ++c) {
            const int column = columns[first_cell + c < count ? first_cell + c : count - 1];
            from[c] = scratch + (size_t)column * layout.input_stride;
            answer[c] = scratch + layout.answers_at(threads) + (size_t)column * layout.answer_stride;
        }
        for (int l = 0; l < net.n_layers; ++l) {
            float* to[cells_of_a_lane];
            const bool last = l + 1 == net.n_layers;
            for (int c = 0; c < cells_of_a_lane; ++c)
                to[c] =
                    last ? answer[c] : buffers + ((size_t)l % 2 * cells_of_an_item + first_cell + c) * layout.widest;
            if (last)
                layer_of_item<Activation::none>(net.layers[l], output, from, to);
            else
                layer_of_item<Activation::silu>(net.layers[l], output, from, to);
            __syncwarp();
            for (int c = 0; c < cells_of_a_lane; ++c) from[c] = to[c];
        }
    }

    // The lane's cells and its outputs `output` ... of every block of the layer.
    template <Activation f>
    __device__ void layer_of_item(const LayerView& l, int output, const float* const* from, float* const* to) const {
        constexpr int pairs = outputs_of_a_lane / W32;
        for (int first = output; first - output < l.outputs; first += cuda::expert_block) {
            const float* const w = l.weights + (int64_t)(first - output) * l.inputs + output;
            Vec32 sum[cells_of_a_lane][pairs];
            for (int c = 0; c < cells_of_a_lane; ++c)
                for (int p = 0; p < pairs; ++p) sum[c][p] = load32(l.bias + first + p * W32);
            const auto add = [&](int i, const float(&x)[cells_of_a_lane]) {
                const Four four = *(const Four*)(w + i * cuda::expert_block);
                for (int p = 0; p < pairs; ++p) {
                    const Vec32 weight = load32(four.value + p * W32);
                    for (int c = 0; c < cells_of_a_lane; ++c) sum[c][p] += weight * broadcast32(x[c]);
                }
            };
            int i = 0;
            for (; i + 4 <= l.inputs; i += 4) {
                Four next[cells_of_a_lane];
                for (int c = 0; c < cells_of_a_lane; ++c) next[c] = *(const Four*)(from[c] + i);
                for (int j = 0; j < 4; ++j) {
                    float x[cells_of_a_lane];
                    for (int c = 0; c < cells_of_a_lane; ++c) x[c] = next[c].value[j];
                    add(i + j, x);
                }
            }
            for (; i < l.inputs; ++i) {
                float x[cells_of_a_lane];
                for (int c = 0; c < cells_of_a_lane; ++c) x[c] = from[c][i];
                add(i, x);
            }
            for (int c = 0; c < cells_of_a_lane; ++c)
                for (int p = 0; p < pairs; ++p) store32(to[c] + first + p * W32, activated<f>(sum[c][p]));
        }
    }

    const BlockLayout layout;
    float* const scratch;
    int* const shared;
    void* workspace = nullptr;  // of this thread's steps of the real chemistry
};

}  // namespace pcs::PCS_ISA
