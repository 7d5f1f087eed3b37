// The learned step and the learned trajectory on a device: which kernel serves. SPDX-License-Identifier: BSD-3-Clause
#include "learned.cuh"

namespace pcs::cuda {

namespace {

// work.template operator()<detail::Kind<...>>() for the kind of the map.
template <class Work>
auto with_kind(const SurrogateView& net, const Work& work) {
    if (net.kind == MapKind::jump) return work.template operator()<detail::Kind<MapKind::jump>>();
    if (net.kind == MapKind::multi_clock) return work.template operator()<detail::Kind<MapKind::multi_clock>>();
    return work.template operator()<detail::Kind<MapKind::latent>>();
}

}  // namespace

std::size_t learned_work_bytes(const PlanView& plan, bool has_code, const PathOnDevice& path, int64_t n_cells) {
    return with_kind(path.net, [&]<class Kind>() { return Kind::step_work(plan, has_code, path, n_cells); });
}
std::size_t learned_trajectory_work_bytes(const PlanView& plan, bool has_code, const PathOnDevice& path,
                                          int64_t n_pairs) {
    return with_kind(path.net, [&]<class Kind>() { return Kind::trajectory_work(plan, has_code, path, n_pairs); });
}

void enqueue_learned(const PlanView& plan, bool has_code, const PathOnDevice& path, const CellArrays& cells,
                     const DeviceQueue& list, SurrogateStatistics* statistics, Scratch& scratch, cudaStream_t stream,
                     Shape shape) {
    if (cells.n_cells == 0) return;
    const LearnedCall call{plan, path.net, path.settings, cells, list, statistics, nullptr, nullptr, 0};
    with_kind(path.net, [&]<class Kind>() { Kind::enqueue(call, has_code, path, shape, scratch, stream); });
}
void enqueue_learned(const PlanView& plan, bool has_code, const PathOnDevice& path, const CellArrays& cells,
                     const DeviceQueue& list, SurrogateStatistics* statistics, Scratch& scratch, cudaStream_t stream) {
    enqueue_learned(plan, has_code, path, cells, list, statistics, scratch, stream, {0, 0});
}

void enqueue_learned_trajectory(const PlanView& plan, bool has_code, const PathOnDevice& path, const CellArrays& cells,
                                const TrajectoryArrays& pairs, const DeviceQueue& list, SurrogateStatistics* statistics,
                                Scratch& scratch, cudaStream_t stream, Shape shape) {
    if (cells.n_cells == 0 || pairs.n_times == 0) return;
    const LearnedCall call{plan, path.net, path.settings, cells, list, statistics, nullptr, nullptr, 0};
    with_kind(path.net, [&]<class Kind>() { Kind::enqueue(call, has_code, path, pairs, shape, scratch, stream); });
}
void enqueue_learned_trajectory(const PlanView& plan, bool has_code, const PathOnDevice& path, const CellArrays& cells,
                                const TrajectoryArrays& pairs, const DeviceQueue& list, SurrogateStatistics* statistics,
                                Scratch& scratch, cudaStream_t stream) {
    enqueue_learned_trajectory(plan, has_code, path, cells, pairs, list, statistics, scratch, stream, {0, 0});
}

}  // namespace pcs::cuda
