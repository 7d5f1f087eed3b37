// Who works on a tile: a thread alone, as on every CPU. A block of GPU threads (native/cuda/block.cuh) has the same
// functions, and does together what costs most. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/experts.hpp"
#include "pcs/finish.hpp"
#include "pcs/prepare.hpp"
#include "pcs/tile.hpp"

namespace pcs::PCS_ISA {

// What experts read or say of the tile's column c begins at rows[c * stride].
struct Columns {
    float* rows;
    int stride;
};

class Alone {
  public:
    PCS_FN Alone(const PlanView& plan, const SurrogateView& net, const SurrogateSettings& settings, Memory& memory)
        : settings(settings) {
        const bool jumps = net.kind == MapKind::jump;
        if (jumps) inputs_ = memory.rows(net.jump.n_inputs);
        if (!jumps && net.finish.steps == 0) return;
        size_t bytes;
        if constexpr (steps_are_here)
            bytes = layout(plan, nullptr, nullptr);
        else
            bytes = settings.finishing->integrator_bytes(plan);
        workspace = memory.vec((bytes + sizeof(Vec) - 1) / sizeof(Vec));
    }

    // Whether anybody of those who work together says so; each of them must ask.
    PCS_FN bool any(bool mine) const { return mine; }

    // Rows that the layers of a map's nets may fill.
    PCS_FN static int widest(const SurrogateView& net) { return net.widest; }

    // Steps of the real chemistry. The kernels that take them may be of another width, or a user's own.
    template <class Chemistry>
    PCS_FN void prepare(const PlanView& plan, const PrepareArrays& cells) const {
        if constexpr (steps_are_here)
            prepare_cells<Chemistry>(plan, cells, workspace);
        else
            settings.finishing->prepare(plan, cells, settings.tables_only, workspace);
    }
    template <class Chemistry>
    PCS_FN void finish(const PlanView& plan, const FinishArrays& cells) const {
        if constexpr (steps_are_here)
            finish_cells<Chemistry>(plan, cells, workspace);
        else
            settings.finishing->finish(plan, cells, settings.tables_only, workspace);
    }

    // Where what the experts read is to be written.
    PCS_FN Columns inputs(const JumpView& net) const { return {inputs_, net.n_inputs}; }

    // Every expert on its columns. a, b: scratch of (tile, widest).
    PCS_FN Columns experts(const JumpView& net, const int* expert_of, int n_columns, float* a, float* b,
                           int widest) const {
        float* answers = nullptr;
        for (int e = 0; e < net.n_experts; ++e) {
            int columns[tile], count = 0;
            for (int c = 0; c < n_columns; ++c)
                if (expert_of[c] == e) columns[count++] = c;
            answers = expert(net.experts[e], columns, count, inputs_, net.n_inputs, a, b, widest);
        }
        return {answers, widest};
    }

  private:
    const SurrogateSettings& settings;
    float* inputs_ = nullptr;   // (tile, n_inputs)
    void* workspace = nullptr;  // of the steps
};

}  // namespace pcs::PCS_ISA
