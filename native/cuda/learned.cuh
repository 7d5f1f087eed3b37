// The learned step and the learned trajectory on a device, each as one kernel: native/include/pcs/step.hpp and
// trajectory.hpp with one thread for a tile of two cells. SPDX-License-Identifier: BSD-3-Clause
//
// The grid is persistent: a thread takes cells until the list is empty. A thread's workspace is an array of its own,
// which the hardware interleaves with its neighbours'; where that would be too large (no shipped model) it lies in
// device memory. Threads of a block wait for each other before every tile, because they run the experts together.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>

#include "block.cuh"
#include "grid.cuh"
#include "pcs/jump.hpp"
#include "pcs/latent.hpp"
#include "pcs/multi_clock.hpp"
#include "pcs/network_code.hpp"
#include "pcs/step.hpp"
#include "pcs/trajectory.hpp"
#include "step.hpp"

namespace pcs::cuda {

namespace isa = pcs::PCS_ISA;

// Everything of one launch but the trajectory; all pointers are to device memory.
struct LearnedCall {
    PlanView plan;
    SurrogateView net;
    SurrogateSettings settings;
    CellArrays cells;
    DeviceQueue list;
    SurrogateStatistics* statistics;
    float* block_scratch;  // (blocks, BlockLayout::floats)
    char* workspaces;      // (threads of the grid, workspace_bytes), where threads have no array for them
    size_t workspace_bytes;
};

// A thread's own workspace [doubles], by what serves: latent maps, straight-line code, tables. The device keeps as much
// for every thread that it could hold at once.
struct StepSizes {
    static constexpr int latent = 1024, code = 3072, tables = 5120;
};
struct TrajectorySizes {
    static constexpr int latent = 1024, code = 5120, tables = 5120;
};
constexpr int most_threads = 256;  // of a block

// A launch shape; {0, 0}: chosen by the number of cells. No answer depends on it.
struct Shape {
    int blocks, threads;
};

namespace detail {

// Where a thread's workspace lies.
template <int own>
__device__ inline void* workspace_of(const LearnedCall& call, double* array) {
    if constexpr (own > 0) return array;
    return call.workspaces + call.workspace_bytes * (blockIdx.x * (size_t)blockDim.x + threadIdx.x);
}

__device__ inline void add(SurrogateStatistics* to, const SurrogateStatistics& mine) {
    using S = SurrogateStatistics;
    for (int64_t S::* field :
         {&S::accepted, &S::refused_box, &S::refused_distance, &S::refused_error, &S::refused_budget, &S::audited})
        add_count(field, to, mine.*field);
    raise(&to->worst_defect, mine.worst_defect);
}

__device__ inline float* scratch_of_block(const LearnedCall& call) {
    const isa::BlockLayout layout(call.plan, call.net);
    return call.block_scratch + layout.floats(blockDim.x) * blockIdx.x;
}

template <class Map, int own>
__global__ void __launch_bounds__(most_threads) learned_step(const __grid_constant__ LearnedCall call) {
    using Team = isa::Block<typename Map::Steps>;
    PCS_SHARED_MEMORY(int, shared);
    double array[own > 0 ? own : 1];
    isa::Memory memory(workspace_of<own>(call, array));
    const Team team(call.plan, call.net, scratch_of_block(call), shared, memory);
    SurrogateStatistics mine{};
    isa::LearnedStep<Map, Team>(call.plan, call.net, call.cells, call.settings, mine, nullptr, team, memory)
        .run({call.list.cells, *call.list.size, call.list.next});
    add(call.statistics, mine);
}

template <class Map, int own>
__global__ void __launch_bounds__(most_threads)
    learned_trajectory(const __grid_constant__ LearnedCall call, const __grid_constant__ TrajectoryArrays pairs) {
    using Team = isa::Block<typename Map::Steps>;
    PCS_SHARED_MEMORY(int, shared);
    double array[own > 0 ? own : 1];
    isa::Memory memory(workspace_of<own>(call, array));
    const Team team(call.plan, call.net, scratch_of_block(call), shared, memory);
    SurrogateStatistics mine{};
    // Few cells: each one's times are shared out, so that all threads have something to do.
    const int64_t size = *call.list.size, threads = (int64_t)gridDim.x * blockDim.x;
    const int64_t wanted = size > 0 ? 4 * threads / size : 1;
    const int64_t parts = wanted < 1 ? 1 : wanted < pairs.n_times ? wanted : pairs.n_times;
    isa::LearnedTrajectory<Map, Team>(call.plan, call.net, call.cells, pairs, call.settings, mine, team, memory)
        .run({call.list.cells, size, call.list.next}, parts);
    add(call.statistics, mine);
}

// The bytes of workspace that a thread needs: on a null workspace the constructors only count.
template <class Map>
size_t step_bytes(const PlanView& plan, const SurrogateView& net, const SurrogateSettings& settings) {
    using Team = isa::Block<typename Map::Steps>;
    isa::Memory counted(nullptr);
    SurrogateStatistics none{};
    const Team team(plan, net, nullptr, nullptr, counted);
    isa::LearnedStep<Map, Team>(plan, net, {}, settings, none, nullptr, team, counted);
    return counted.bytes();
}
template <class Map>
size_t trajectory_bytes(const PlanView& plan, const SurrogateView& net, const SurrogateSettings& settings) {
    using Team = isa::Block<typename Map::Steps>;
    isa::Memory counted(nullptr);
    SurrogateStatistics none{};
    const Team team(plan, net, nullptr, nullptr, counted);
    isa::LearnedTrajectory<Map, Team>(plan, net, {}, {}, settings, none, team, counted);
    return counted.bytes();
}

// The map of a kind that needs chemistry.
template <MapKind kind, class Chemistry>
struct MapOf {
    using type = isa::MultiClockMap<Chemistry>;
};
template <class Chemistry>
struct MapOf<MapKind::jump, Chemistry> {
    using type = isa::JumpMap<Chemistry, isa::Block<Chemistry>>;
};

// Calls work.template operator()<Map, own>(bytes) with the map that a surrogate of this kind is, the doubles that the
// kernel has for a thread's own workspace, 0 if they do not suffice, and the bytes that it needs:
// bytes_of.template operator()<Map>().
template <MapKind kind, class Sizes, class Bytes, class Work>
void with_kernel([[maybe_unused]] bool has_code, const SurrogateView& net, const Bytes& bytes_of, const Work& work) {
    const auto choose = [&]<class Map, int own>() {
        const size_t bytes = bytes_of.template operator()<Map>();
        if (bytes <= own * sizeof(double))
            work.template operator()<Map, own>(bytes);
        else
            work.template operator()<Map, 0>(bytes);
    };
    if constexpr (kind == MapKind::latent) {
        if (net.latent_map.precise)
            choose.template operator()<isa::LatentMap<double>, Sizes::latent>();
        else
            choose.template operator()<isa::LatentMap<float>, Sizes::latent>();
    } else {
#ifdef PCS_GENERATED
        using Coded = typename MapOf<kind, isa::Generated<isa::NetworkCode>>::type;
        const size_t bytes = has_code ? bytes_of.template operator()<Coded>() : 0;
        if (has_code && bytes <= Sizes::code * sizeof(double))  // else by tables
            return work.template operator()<Coded, Sizes::code>(bytes);
#endif
        choose.template operator()<typename MapOf<kind, isa::Tables>::type, Sizes::tables>();
    }
}

// As many blocks as the device runs at once, of fewer threads where there are too few tiles for all of it. For
// measurements on a device: PCS_CUDA_LEARNED_THREADS and PCS_CUDA_LEARNED_BLOCKS in the environment set the threads of
// a block, and at most how many blocks share a multiprocessor (and its cache). No answer depends on them.
template <class Kernel>
Shape shape_for(Kernel* kernel, const isa::BlockLayout& layout, int64_t tiles) {
    const auto wanted = [](const char* name, int otherwise) {
        const char* const text = std::getenv(name);
        const int number = text ? std::atoi(text) : 0;
        return number > 0 ? number : otherwise;
    };
    const int64_t processors = multiprocessors();
    int threads = wanted("PCS_CUDA_LEARNED_THREADS", most_threads) / isa::lanes * isa::lanes;
    threads = std::clamp(threads, isa::lanes, most_threads);
    while (threads > isa::lanes && tiles < processors * threads) threads = threads / 2 / isa::lanes * isa::lanes;
    threads = std::max(threads, isa::lanes);
    int resident = 0;
    require(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, kernel, threads,
                                                          layout.shared_ints(threads) * sizeof(int)),
            "to tell how many blocks it holds");
    if (resident < 1) throw Error(ErrorCode::device, "the learned step needs more of a GPU than this one has");
    const int64_t blocks = processors * std::min(resident, wanted("PCS_CUDA_LEARNED_BLOCKS", resident));
    return {static_cast<int>(std::min(blocks, (tiles + threads - 1) / threads)), threads};
}

// A launch of a kernel whose threads need `bytes` of workspace and have an array of `own` doubles.
struct Launch {
    Shape shape;
    size_t shared_bytes, block_bytes, workspace_bytes;  // block_bytes: of all blocks; workspace_bytes: of a thread

    template <class Kernel>
    Launch(Kernel* kernel, int own, size_t bytes, const isa::BlockLayout& layout, int64_t tiles, Shape wanted)
        : shape(wanted.blocks > 0 ? wanted : shape_for(kernel, layout, tiles)),
          shared_bytes(layout.shared_ints(shape.threads) * sizeof(int)),
          block_bytes(layout.floats(shape.threads) * sizeof(float) * shape.blocks),  // a multiple of 16
          workspace_bytes(own > 0 ? 0 : (bytes + 15) / 16 * 16) {}

    size_t work_bytes() const { return block_bytes + workspace_bytes * shape.threads * shape.blocks; }

    template <class Kernel, class... Rest>
    void run(Kernel* kernel, LearnedCall call, Scratch& scratch, cudaStream_t stream, const Rest&... rest) const {
        char* const work = scratch.work.reserve<char>(work_bytes());
        call.block_scratch = reinterpret_cast<float*>(work);
        call.workspaces = work + block_bytes;
        call.workspace_bytes = workspace_bytes;
        launch(kernel, dim3(shape.blocks), dim3(shape.threads), shared_bytes, stream, call, rest...);
    }
};

// The kernels of one kind of map; each kind is compiled by itself (learned_jump.cu, ...).
template <MapKind kind>
struct Kind {
    // Calls work(kernel, launch) for the kernel that serves.
    template <class Work>
    static void step(const PlanView& plan, bool has_code, const PathOnDevice& path, int64_t n_cells, Shape shape,
                     const Work& work) {
        const auto bytes_of = [&]<class Map>() { return step_bytes<Map>(plan, path.net, path.settings); };
        with_kernel<kind, StepSizes>(has_code, path.net, bytes_of, [&]<class Map, int own>(size_t bytes) {
            const int64_t tiles = (n_cells + isa::tile - 1) / isa::tile;
            const auto kernel = learned_step<Map, own>;
            work(kernel, Launch(kernel, own, bytes, isa::BlockLayout(plan, path.net), tiles, shape));
        });
    }
    template <class Work>
    static void trajectory(const PlanView& plan, bool has_code, const PathOnDevice& path, int64_t n_pairs, Shape shape,
                           const Work& work) {
        const auto bytes_of = [&]<class Map>() { return trajectory_bytes<Map>(plan, path.net, path.settings); };
        with_kernel<kind, TrajectorySizes>(has_code, path.net, bytes_of, [&]<class Map, int own>(size_t bytes) {
            const int64_t tiles = (n_pairs + isa::tile - 1) / isa::tile;
            const auto kernel = learned_trajectory<Map, own>;
            work(kernel, Launch(kernel, own, bytes, isa::BlockLayout(plan, path.net), tiles, shape));
        });
    }

    static size_t step_work(const PlanView& plan, bool has_code, const PathOnDevice& path, int64_t n_cells);
    static size_t trajectory_work(const PlanView& plan, bool has_code, const PathOnDevice& path, int64_t n_pairs);
    static void enqueue(const LearnedCall& call, bool has_code, const PathOnDevice& path, Shape shape, Scratch& scratch,
                        cudaStream_t stream);
    static void enqueue(const LearnedCall& call, bool has_code, const PathOnDevice& path, const TrajectoryArrays& pairs,
                        Shape shape, Scratch& scratch, cudaStream_t stream);
};

template <MapKind kind>
size_t Kind<kind>::step_work(const PlanView& plan, bool has_code, const PathOnDevice& path, int64_t n_cells) {
    size_t bytes = 0;
    step(plan, has_code, path, n_cells, {0, 0}, [&](auto, const Launch& launch) { bytes = launch.work_bytes(); });
    return bytes;
}
template <MapKind kind>
size_t Kind<kind>::trajectory_work(const PlanView& plan, bool has_code, const PathOnDevice& path, int64_t n_pairs) {
    size_t bytes = 0;
    trajectory(plan, has_code, path, n_pairs, {0, 0}, [&](auto, const Launch& launch) { bytes = launch.work_bytes(); });
    return bytes;
}
template <MapKind kind>
void Kind<kind>::enqueue(const LearnedCall& call, bool has_code, const PathOnDevice& path, Shape shape,
                         Scratch& scratch, cudaStream_t stream) {
    step(call.plan, has_code, path, call.cells.n_cells, shape,
         [&](auto kernel, const Launch& launch) { launch.run(kernel, call, scratch, stream); });
}
template <MapKind kind>
void Kind<kind>::enqueue(const LearnedCall& call, bool has_code, const PathOnDevice& path,
                         const TrajectoryArrays& pairs, Shape shape, Scratch& scratch, cudaStream_t stream) {
    trajectory(call.plan, has_code, path, call.cells.n_cells * pairs.n_times, shape,
               [&](auto kernel, const Launch& launch) { launch.run(kernel, call, scratch, stream, pairs); });
}

extern template struct Kind<MapKind::jump>;
extern template struct Kind<MapKind::multi_clock>;
extern template struct Kind<MapKind::latent>;

}  // namespace detail

// As in step.hpp, on a launch shape of the caller's choice.
void enqueue_learned(const PlanView& plan, bool has_code, const PathOnDevice& path, const CellArrays& cells,
                     const DeviceQueue& list, SurrogateStatistics* statistics, Scratch& scratch, cudaStream_t stream,
                     Shape shape);
void enqueue_learned_trajectory(const PlanView& plan, bool has_code, const PathOnDevice& path, const CellArrays& cells,
                                const TrajectoryArrays& pairs, const DeviceQueue& list, SurrogateStatistics* statistics,
                                Scratch& scratch, cudaStream_t stream, Shape shape);

}  // namespace pcs::cuda
