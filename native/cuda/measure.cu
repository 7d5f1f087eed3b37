// What a step costs on the device, for the router. SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <limits>

#include "call.hpp"
#include "grid.cuh"

namespace pcs::cuda {

namespace {

constexpr int repeats = 3;
constexpr std::int64_t cells_to_begin = 64, most_cells = 1024;  // for each multiprocessor
constexpr double enough_s = 5e-3;

// n of the samples, one after the other, again and again.
static __global__ void repeat_samples(const double* samples, std::int64_t n_samples, double* to, std::int64_t n) {
    const std::int64_t stride = std::int64_t{blockDim.x} * gridDim.x;
    for (std::int64_t k = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; k < n; k += stride)
        to[k] = samples[k % n_samples];
}

// Sample cells as the host has them: rows of S, temperature, dt, rows of C.
class Samples {
  public:
    Samples(const CellArrays& c, int S, int C, cudaStream_t stream) : size(c.n_cells), S_(S), C_(C), stream_(stream) {
        std::vector<double> all;
        const auto add = [&](const double* values, std::int64_t count) {
            all.insert(all.end(), values, values + count);
        };
        add(c.n_cm3, size * S);
        add(c.temperature_K, size);
        add(c.dt_s, size);
        add(c.conditions, size * C);
        require(cudaMemcpy(samples_.reserve<double>(all.size()), all.data(), all.size() * sizeof(double),
                           cudaMemcpyHostToDevice),
                "to copy sample cells");
    }

    // Arrays of n cells, as they are before a step.
    void fill(CellArrays& cells, std::int64_t n) {
        const double* from = samples_.reserve<double>(1);
        double* to = cells_.reserve<double>(static_cast<std::size_t>(n) * (S_ + 2 + C_));
        const auto next = [&](std::int64_t columns) {
            double* const begin = to;
            if (columns > 0)
                launch(repeat_samples, stride_blocks(n * columns), stride_threads, 0, stream_, from, size * columns, to,
                       n * columns);
            from += size * columns, to += n * columns;
            return begin;
        };
        cells.n_cells = n;
        cells.n_cm3 = next(S_);
        cells.temperature_K = next(1);
        cells.dt_s = next(1);
        cells.conditions = next(C_);
    }

    const std::int64_t size;

  private:
    int S_, C_;
    cudaStream_t stream_;
    DeviceBuffer samples_, cells_;
};

}  // namespace

DeviceMeasure measure(DeviceModel& model, const DeviceStep& given) {
    const int S = model.view.plan.n_species, C = model.view.plan.n_conditions;
    Samples samples(given.cells, S, C, model.own);
    Lane lane;
    Event first(true), last(true);
    DeviceStep step = given;
    step.call.memory = Space::device;
    const std::int64_t most = std::max(samples.size, most_cells * model.multiprocessors);
    DeviceMeasure best{};
    for (std::int64_t n = std::max(samples.size, cells_to_begin * model.multiprocessors);; n *= 4) {
        n = std::min(n, most);
        best = {std::numeric_limits<double>::infinity(), n, 0};
        for (int k = 0; k < repeats; ++k) {
            samples.fill(step.cells, n);
            Slot& slot = model.begin(lane, model.own, n, given.audit);
            require(cudaEventRecord(first, model.own), "to record an event");
            enqueue(model, step, lane, slot, model.own);
            require(cudaEventRecord(last, model.own), "to record an event");
            Report report;
            require(cudaMemcpyAsync(&report, model.report_of(slot), sizeof report, cudaMemcpyDeviceToHost, model.own),
                    "to copy a report");
            require(cudaStreamSynchronize(model.own), "in a measurement");
            slot.ticket = 0, slot.lane = nullptr;
            float milliseconds = 0;
            require(cudaEventElapsedTime(&milliseconds, first, last), "to tell the time of a step");
            best.seconds = std::min(best.seconds, 1e-3 * milliseconds);
            best.steps = report.steps;
        }
        if (n == most || best.seconds >= enough_s) return best;
    }
}

}  // namespace pcs::cuda
