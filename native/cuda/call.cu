// SPDX-License-Identifier: BSD-3-Clause
#include "call.hpp"

#include <algorithm>
#include <cstring>

#include "pcs/solver.hpp"
#include "pointers.hpp"
#include "units.cuh"

namespace pcs::cuda {

namespace {

// As much as a kernel's parameters hold (4 kB) beside the rest.
struct Chunk {
    static constexpr std::size_t size = 3968;
    char bytes[size];
};

static __global__ void put_chunk(Chunk chunk, char* to, int bytes) {
    for (int k = threadIdx.x; k < bytes; k += blockDim.x) to[k] = chunk.bytes[k];
}

constexpr std::int64_t fewest = 32;  // cells of a piece

// work(first, cells) for pieces of the batch; a piece is as large as reserve(cells) finds memory for.
template <class Reserve, class Work>
void by_pieces(Lane& lane, std::int64_t n_cells, const Reserve& reserve, const Work& work) {
    std::int64_t piece = n_cells;
    for (;;) {
        try {
            reserve(piece);
            break;
        } catch (const Error& error) {
            if (error.code != ErrorCode::memory) throw;
            if (piece <= fewest)
                throw Error(ErrorCode::memory, "the GPU has no memory left for scratch, not even for " +
                                                   std::to_string(piece) + " cells at a time: free some of it (" +
                                                   error.what() + ")");
            piece = (piece + 1) / 2;
            lane.shrink();
        }
    }
    for (std::int64_t first = 0; first < n_cells; first += piece) work(first, std::min(piece, n_cells - first));
}

CellArrays part_of(CellArrays cells, std::int64_t first, std::int64_t size) {
    cells.n_cells = size;
    cells.n_cm3 += first * cells.cell_stride;
    cells.temperature_K += first * cells.temperature_stride;
    if (cells.conditions) cells.conditions += first * cells.condition_cell_stride;
    cells.dt_s += first * cells.dt_stride;
    if (cells.status) cells.status += first;
    if (cells.counts) cells.counts += first * n_cell_counts;
    if (cells.error_dex) cells.error_dex += first * cells.error_stride;
    return cells;
}

// What steps and trajectories share: the options' numbers on the device, and the host's units.
class Prepared {
  public:
    Prepared(DeviceModel& model, const DeviceStep& step, Lane& lane, const double* times, std::int64_t n_times,
             cudaStream_t stream)
        : cells(step.cells), lane_(lane) {
        const DeviceModelView& view = model.view;
        const int C = view.plan.n_conditions + (step.units != static_cast<int>(Units::number_density));
        Given given;
        // Values that the host keeps for all cells.
        std::size_t temperature = 0, dt = 0, conditions = 0;
        const auto shared = [](const double* array, std::int64_t stride) {
            return array && stride == 0 && place_of(array) == -1;
        };
        const bool keeps_temperature = shared(cells.temperature_K, cells.temperature_stride),
                   keeps_dt = shared(cells.dt_s, cells.dt_stride),
                   keeps_conditions = C > 0 && shared(cells.conditions, cells.condition_cell_stride);
        if (keeps_temperature) temperature = given.add(cells.temperature_K, 1);
        if (keeps_dt) dt = given.add(cells.dt_s, 1);
        if (keeps_conditions) {
            std::vector<double> values(C);
            for (int c = 0; c < C; ++c) values[c] = cells.conditions[c * cells.condition_stride];
            conditions = given.add(values.data(), C);
        }
        std::size_t thresholds[most_paths] = {}, change = 0, rate = 0, sent = 0;
        for (int k = 0; k < step.n_paths; ++k)
            if (step.learned[k].thresholds)
                thresholds[k] = given.add(step.learned[k].thresholds, view.paths[step.path[k]].bins);
        if (step.router) {
            const RouterView& router = *step.router;
            change = given.add(router.change, router.n_change);
            rate = given.add(router.rate, router.n_rate);
            sent = given.add(router.sent, std::size_t(router.n_change + 1) * (router.n_rate + 1));
        }
        const std::size_t at_times = given.add(times, n_times);

        char* const base = given.put(lane.given, stream);
        const auto doubles = [base](std::size_t at) { return reinterpret_cast<const double*>(base + at); };
        if (keeps_temperature) cells.temperature_K = doubles(temperature);
        if (keeps_dt) cells.dt_s = doubles(dt);
        if (keeps_conditions) cells.conditions = doubles(conditions), cells.condition_stride = 1;
        this->times = doubles(at_times);
        for (int k = 0; k < step.n_paths; ++k) {
            const DevicePath& path = view.paths[step.path[k]];
            PathOnDevice& mine = paths[k];
            mine.net = path.net;
            mine.settings = step.learned[k];
            mine.settings.finishing = nullptr;
            if (mine.settings.thresholds) {
                mine.thresholds = reinterpret_cast<double*>(base + thresholds[k]);
                mine.settings.thresholds = mine.thresholds;
            }
            mine.index = step.path[k];
            mine.weights = path.weights;
            mine.x_min = path.x_min;
            mine.audit = path.weights ? model.audit_of(lane, step.path[k]) : nullptr;
        }
        plan.plan = view.plan;
        plan.inspection = view.inspection;
        plan.has_code = has_code(view.plan) && !step.tables_only;
        plan.paths = paths;
        plan.n_paths = step.n_paths;
        plan.routes = step.router != nullptr;
        if (plan.routes) {
            plan.router = *step.router;
            plan.router.change = doubles(change);
            plan.router.rate = doubles(rate);
            plan.router.sent = reinterpret_cast<const int8_t*>(base + sent);
        }
        plan.skip_dex = step.skip_dex;
        plan.integrate = step.integrates;
        plan.exact = step.exact;
        plan.target_error_dex = step.target_error_dex;
        if (step.budget_of >= 0) plan.budget = view.paths[step.budget_of].net.budget;
        converts_ = step.units != static_cast<int>(Units::number_density);
        units_ = {view.plan.n_species, view.plan.n_conditions,
                  step.units == static_cast<int>(Units::mass_fraction) ? view.mass_g : nullptr};
    }

    bool converts() const { return converts_; }
    const UnitsView& units() const { return units_; }

    // The cells as the kernels take them: with densities in the lane's memory where the host has other units.
    CellArrays densities(const CellArrays& host) {
        CellArrays cells = host;
        if (!converts_) return cells;
        cells.n_cm3 = lane_.densities.reserve<double>(static_cast<std::size_t>(host.n_cells) * units_.n_species);
        cells.cell_stride = 1;
        cells.species_stride = host.n_cells;
        return cells;
    }

    CellArrays cells;
    StepPlan plan{};
    PathOnDevice paths[most_paths];
    const double* times;

  private:
    Lane& lane_;
    bool converts_ = false;
    UnitsView units_{};
};

}  // namespace

char* Given::put(DeviceBuffer& there, cudaStream_t stream) const {
    char* const to = there.reserve<char>(std::max<std::size_t>(bytes_.size(), 1));
    for (std::size_t at = 0; at < bytes_.size(); at += Chunk::size) {
        Chunk chunk{};
        const std::size_t bytes = std::min(Chunk::size, bytes_.size() - at);
        std::memcpy(chunk.bytes, &bytes_[at], bytes);
        launch(put_chunk, 1, 256, 0, stream, chunk, to + at, static_cast<int>(bytes));
    }
    return to;
}

void enqueue(DeviceModel& model, const DeviceStep& step, Lane& lane, Slot& slot, cudaStream_t stream) {
    Prepared call(model, step, lane, nullptr, 0, stream);
    Report* const report = model.report_of(slot);
    const auto piece = [&](std::int64_t first, std::int64_t size) {
        const CellArrays host = part_of(call.cells, first, size);
        call.plan.cells = call.densities(host);
        if (!host.status) call.plan.cells.status = lane.status.reserve<int8_t>(size);
        call.plan.mask = step.mask ? step.mask + first : nullptr;
        return host;
    };
    by_pieces(
        lane, call.cells.n_cells,
        [&](std::int64_t size) {
            piece(0, size);
            reserve_step(call.plan, *lane.scratch);
        },
        [&](std::int64_t first, std::int64_t size) {
            const CellArrays host = piece(first, size);
            const int blocks = stride_blocks(size);
            if (call.converts())
                launch(detail::to_densities, blocks, stride_threads, 0, stream, call.units(), host, call.plan.cells,
                       call.plan.mask);
            enqueue_step(call.plan, report, *lane.scratch, stream);
            if (call.converts())
                launch(detail::from_densities, blocks, stride_threads, 0, stream, call.units(), host, call.plan.cells,
                       step.integrates);
        });
}

void enqueue(DeviceModel& model, const DeviceTrajectory& trajectory, Lane& lane, Slot& slot, cudaStream_t stream) {
    const DeviceStep& step = trajectory.step;
    const std::int64_t times = trajectory.trajectory.n_times;
    Prepared call(model, step, lane, trajectory.trajectory.times_s, times, stream);
    const int S = model.view.plan.n_species;
    TrajectoryPlan plan{};
    const auto piece = [&](std::int64_t first, std::int64_t size) {
        const CellArrays host = part_of(call.cells, first, size);
        plan.step = call.plan;
        plan.step.cells = call.densities(host);
        plan.pairs = trajectory.trajectory;
        plan.pairs.times_s = call.times;
        plan.pairs.n_cm3 += first * times * S;
        plan.pairs.status = plan.pairs.status ? plan.pairs.status + first * times
                                              : lane.status.reserve<int8_t>(static_cast<std::size_t>(size) * times);
        plan.mask = trajectory.mask ? trajectory.mask + first * times : nullptr;
        return host;
    };
    by_pieces(
        lane, call.cells.n_cells,
        [&](std::int64_t size) {
            piece(0, size);
            reserve_trajectory(plan, *lane.scratch);
        },
        [&](std::int64_t first, std::int64_t size) {
            const CellArrays host = piece(first, size);
            if (call.converts())
                launch(detail::to_densities, stride_blocks(size), stride_threads, 0, stream, call.units(), host,
                       plan.step.cells, static_cast<const int8_t*>(nullptr));
            enqueue_trajectory(plan, model.report_of(slot), *lane.scratch, stream);
            if (call.converts())
                launch(detail::pairs_from_densities, stride_blocks(size * times), stride_threads, 0, stream,
                       call.units(), host, plan.pairs, step.integrates);
        });
}

}  // namespace pcs::cuda
