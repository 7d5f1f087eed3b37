// The exact integrator: a thread is Integrator (rosenbrock.hpp) with one lane, and the threads of a warp keep step.
// SPDX-License-Identifier: BSD-3-Clause
//
// The grid stays; a lane that has finished a cell takes the next one from the queue at once. Reading a cell's rate
// coefficients by itself would cost a lane as much as a step, while 31 others wait: so the warp takes several cells
// from the queue together and every lane prepares one of them, in device memory, from where free lanes fetch them. A
// cell's numbers are computed by one thread, in the order of the source, whoever does it and whenever.
#pragma once

#include <cstdlib>

#include "grid.cuh"
#include "pcs/network_code.hpp"
#include "pcs/rosenbrock.hpp"
#include "step.hpp"

namespace pcs::cuda {

// What functions of host and device call within a warp; the host never comes here.
#if defined(__CUDA_ARCH__) || defined(PCS_CUDA_EMULATED)
PCS_FN inline unsigned ballot(bool mine) { return __ballot_sync(all_lanes, mine); }
PCS_FN inline int64_t said_by(int64_t mine, int lane) { return __shfl_sync(all_lanes, (long long)mine, lane); }
PCS_FN inline int lane_here() { return lane_of_warp(); }
PCS_FN inline void warp_memory() { __syncwarp(); }
PCS_FN inline int64_t claim(int64_t* next, int64_t count) {
    return (int64_t)atomicAdd((unsigned long long*)next, (unsigned long long)count);
}
PCS_FN inline int bits_set(unsigned mask) { return __popc(mask); }
#else
PCS_FN inline unsigned ballot(bool mine) { return mine; }
PCS_FN inline int64_t said_by(int64_t mine, int) { return mine; }
PCS_FN inline int lane_here() { return 0; }
PCS_FN inline void warp_memory() {}
PCS_FN inline int64_t claim(int64_t*, int64_t) { return 0; }
PCS_FN inline int bits_set(unsigned) { return 0; }
#endif

// The threads of a warp as a team of integrators, and the cells that they have prepared.
class Warp {
  public:
    static constexpr bool feeds = true;

    // coefficients: (n_rates, warp_size), of this warp; warps: in the grid.
    PCS_FN Warp(double* coefficients, int64_t warps) : coefficients(coefficients), warps(warps) {}

    PCS_FN bool any(bool mine) const { return ballot(mine) != 0; }

    // Cells for the lanes that have none, as long as there are some.
    template <class Unit>
    PCS_FN void feed(Unit& unit) {
        for (unsigned free = ballot(unit.cell[0] < 0); free != 0; free = ballot(unit.cell[0] < 0)) {
            if (next_ahead == n_ahead) {
                if (!queue_empty) look_ahead(unit);
                if (next_ahead == n_ahead) return;
            }
            const int place = next_ahead + bits_set(free & ((1u << lane_here()) - 1));
            const int64_t next = said_by(ahead, place < n_ahead ? place : 0);
            if (unit.cell[0] < 0 && place < n_ahead) fetch(unit, next, place);
            const int after = next_ahead + bits_set(free);
            next_ahead = after < n_ahead ? after : n_ahead;
        }
    }

  private:
    // Fewer cells at a time where a small batch, or the end of a large one, is better spread over all warps.
    template <class Unit>
    PCS_FN void look_ahead(Unit& unit) {
        const PlanView& plan = unit.plan;
        const CellQueue& queue = unit.queue;
        warp_memory();  // all have fetched what is overwritten here
        int64_t first = 0, count = 0;
        if (lane_here() == 0) {
            const int64_t left = queue.size - *(const volatile int64_t*)queue.next, share = left / warps + 1;
            count = left < 0 ? 1 : share < warp_size ? share : warp_size;
            first = claim(queue.next, count);
        }
        first = said_by(first, 0), count = said_by(count, 0);
        const int64_t mine = first + lane_here();
        const bool have = lane_here() < count && mine < queue.size;
        queue_empty = first + count >= queue.size;
        next_ahead = 0, n_ahead = bits_set(ballot(have));
        if (have) {
            ahead = queue.cells ? queue.cells[mine] : mine;
            const scalar::CellInput input = scalar::read_surroundings(plan, unit.cells, ahead, unit.w.conditions);
            const scalar::RateInput given{0, input.temperature_K, input.n_H, unit.w.conditions};
            scalar::Vec* const shapes = unit.w.rate;
            scalar::shapes_of(plan, &given, 1, shapes, true);
            for (int r = 0; r < plan.n_rates; ++r)
                coefficients[r * warp_size + lane_here()] = (plan.strength[r] * shapes[plan.shape[r]])[0];
        }
        warp_memory();
    }

    template <class Unit>
    PCS_FN void fetch(Unit& unit, int64_t next, int place) const {
        const PlanView& plan = unit.plan;
        const scalar::CellInput input =
            scalar::read_cell(plan, unit.cells, next, (double*)unit.w.x, 1, unit.w.conditions);
        for (int r = 0; r < plan.n_rates; ++r) unit.w.k[r] = coefficients[r * warp_size + place];
        unit.occupy(0, next, input);
    }

    double* coefficients;
    int64_t warps;
    int64_t ahead = -1;               // the cell that this lane has prepared
    int n_ahead = 0, next_ahead = 0;  // prepared cells, and the next to be fetched: the same in all lanes
    bool queue_empty = false;
};

// A thread's workspace, with as little as its chemistry needs. What a finished cell needs is at the places of what its
// steps needed.
template <class Code>
struct CodeMemory {
    static constexpr int S = Code::n_species;
    static_assert(Code::n_counts <= scalar::Rodas4::stages * S);
    static constexpr int between = std::max(Code::n_rates + Code::n_values,  // steps, at M's place
                                            Code::n_conserved* Code::n_conserved);
    scalar::Vec x[S], x_new[S], f[S], K[scalar::Rodas4::stages][S], k[Code::n_rates];
    scalar::Vec M[std::max(Code::n_entries, between)];
    double conditions[Code::n_conditions + 1];

    __device__ scalar::IntegratorWorkspace of(const PlanView&) {
        scalar::IntegratorWorkspace w;
        w.x = x, w.x_new = x_new, w.f = f, w.factor = nullptr, w.rate = M, w.k = k, w.M = M;
        for (int s = 0; s < scalar::Rodas4::stages; ++s) w.K[s] = K[s];
        w.done_x = x_new, w.done_x0 = f, w.factors = K[0], w.conditions = conditions;
        return w;
    }
};

PCS_FN inline size_t place_tables(const PlanView& plan, double* base, scalar::IntegratorWorkspace* w) {
    size_t used = 0;
    const auto vectors = [&](size_t count) {
        scalar::Vec* const p = (scalar::Vec*)base + used;
        used += count;
        return p;
    };
    const size_t S = plan.n_species;
    scalar::IntegratorWorkspace space;
    space.x = vectors(S), space.x_new = vectors(S), space.f = vectors(S);
    for (scalar::Vec*& stage : space.K) stage = vectors(S);
    space.factor = vectors(scalar::FactorScratch::length(plan));
    space.rate = vectors(scalar::rate_scratch(plan)), space.k = vectors(plan.n_partials);
    space.M = vectors(scalar::matrix_length(plan)), space.factors = vectors(plan.n_counts);
    space.conditions = (double*)vectors(plan.n_conditions + 1);
    space.done_x = space.x_new, space.done_x0 = space.f;
    if (w) *w = space;
    return used;
}

template <int doubles>
struct TablesMemory {
    double values[doubles];
    __device__ scalar::IntegratorWorkspace of(const PlanView& plan) {
        scalar::IntegratorWorkspace w;
        place_tables(plan, values, &w);
        return w;
    }
};

constexpr int exact_threads = 64;  // of a block: nothing is shared between its warps

template <class Chemistry, class Memory>
__global__ void __launch_bounds__(exact_threads, 4)
    integrate_kernel(const __grid_constant__ PlanView plan, const __grid_constant__ CellArrays cells,
                     const DeviceQueue list, const IntegratorSettings settings,
                     const __grid_constant__ RouterView router, IntegratorStatistics* to, double* coefficients) {
    Memory memory;
    IntegratorStatistics mine{};
    IntegratorSettings here = settings;
    here.router = settings.router ? &router : nullptr;
    const CellQueue queue{list.cells, *list.size, list.next};
    const int64_t warps = (int64_t)gridDim.x * blockDim.x / warp_size,
                  warp = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) / warp_size;
    const Warp team(coefficients + warp * warp_size * plan.n_rates, warps);
    scalar::Integrator<Chemistry, Warp>(plan, cells, queue, here, mine, memory.of(plan), team).run();
    add_from_warp(&to->solved, mine.solved);
    add_from_warp(&to->failed, mine.failed);
    add_from_warp(&to->skipped, mine.skipped);
    add_from_warp(&to->steps, mine.steps);
    add_from_warp(&to->rejected, mine.rejected);
    raise_from_warp(&to->worst_defect, mine.worst_defect);
}

// Blocks on a multiprocessor, whose threads' workspaces share its cache: fewer than it holds. A guess, to be measured
// on a device; PCS_CUDA_EXACT_BLOCKS in the environment sets another number for that. No answer depends on it.
constexpr int exact_resident = 2;
inline int wanted_blocks() {
    const char* const text = std::getenv("PCS_CUDA_EXACT_BLOCKS");
    const int number = text ? std::atoi(text) : 0;
    return number > 0 ? number : exact_resident;
}

// The grid: no more blocks than there are cells for their warps.
template <class Kernel>
unsigned exact_blocks(Kernel* kernel, int64_t n_cells) {
    int resident = 0;
    require(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, kernel, exact_threads, 0),
            "to tell how many blocks it holds");
    if (resident < 1) throw Error(ErrorCode::device, "the integrator needs more of a GPU than this one has");
    constexpr int warps = exact_threads / warp_size;
    const int64_t all = int64_t{std::min(resident, wanted_blocks())} * multiprocessors();
    return static_cast<unsigned>(std::min<int64_t>(all, (n_cells + warps - 1) / warps));
}
inline std::size_t exact_bytes(const PlanView& plan, unsigned blocks) {
    return std::size_t{blocks} * exact_threads * plan.n_rates * sizeof(double);
}

}  // namespace pcs::cuda
