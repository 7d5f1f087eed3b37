// Calls whose arrays are the host's: copied to the device and back, piece by piece. While a piece is worked on, the
// host packs the next one. SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cstring>

#include "call.hpp"

namespace pcs::cuda {

namespace {

constexpr std::size_t piece_bytes = std::size_t{32} << 20;  // of each of the two buffers

// Arrays that lie behind one another, in pinned memory and in the device's alike.
class Layout {
  public:
    template <class T>
    std::size_t add(std::int64_t count) {
        const std::size_t at = size;
        size += (static_cast<std::size_t>(count) * sizeof(T) + 15) / 16 * 16;
        return at;
    }
    std::size_t size = 0;
};

// Pieces of n_cells in order, two of them at a time.
template <class Pack, class Enqueue, class Unpack>
void through_two(Piece (&pieces)[2], std::int64_t n_cells, std::int64_t piece_cells, const Pack& pack,
                 const Enqueue& enqueue, const Unpack& unpack) {
    for (Piece& piece : pieces) piece.size = 0;
    std::int64_t number = 0;
    for (std::int64_t first = 0; first < n_cells; first += piece_cells, ++number) {
        Piece& piece = pieces[number % 2];
        if (piece.size > 0) unpack(piece);
        piece.first = first;
        piece.size = std::min(piece_cells, n_cells - first);
        pack(piece);
        enqueue(piece);
    }
    for (std::int64_t k = number; k < number + 2; ++k)
        if (pieces[k % 2].size > 0) unpack(pieces[k % 2]);
}

void pack_rows(const double* from, std::int64_t stride, std::int64_t stride_j, std::int64_t cells, int columns,
               double* to) {
    for (std::int64_t cell = 0; cell < cells; ++cell)
        for (int j = 0; j < columns; ++j) to[cell * columns + j] = from[cell * stride + j * stride_j];
}

// Where the inputs of steps and trajectories alike lie in a piece: abundances, temperature and conditions, cell by
// cell.
struct Inputs {
    std::size_t n, temperature, conditions;
    int S, C;

    void pack(const CellArrays& c, std::int64_t first, std::int64_t size, char* to) const {
        pack_rows(c.n_cm3 + first * c.cell_stride, c.cell_stride, c.species_stride, size, S, doubles(to, n));
        pack_rows(c.temperature_K + first * c.temperature_stride, c.temperature_stride, 0, size, 1,
                  doubles(to, temperature));
        if (C > 0)
            pack_rows(c.conditions + first * c.condition_cell_stride, c.condition_cell_stride, c.condition_stride, size,
                      C, doubles(to, conditions));
    }
    void refer(CellArrays& cells, std::int64_t size, char* there) const {
        cells.n_cells = size;
        cells.n_cm3 = doubles(there, n), cells.cell_stride = S, cells.species_stride = 1;
        cells.temperature_K = doubles(there, temperature), cells.temperature_stride = 1;
        cells.conditions = doubles(there, conditions), cells.condition_cell_stride = C, cells.condition_stride = 1;
    }
    static double* doubles(char* piece, std::size_t at) { return reinterpret_cast<double*>(piece + at); }
};

void copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
    if (bytes > 0) require(cudaMemcpyAsync(to, from, bytes, kind, stream), "to copy cells");
}

}  // namespace

void run_staged(DeviceModel& model, const DeviceStep& step, Lane& lane, Slot& slot, cudaStream_t stream) {
    const CellArrays& c = step.cells;
    const int S = model.view.plan.n_species, C = model.view.plan.n_conditions + (step.units != 0);
    const std::size_t a_cell = sizeof(double) * (S + C + 3) + sizeof(std::int32_t) * n_cell_counts + 2;
    const std::int64_t piece_cells =
        std::min(c.n_cells, std::max<std::int64_t>(1, static_cast<std::int64_t>(piece_bytes / a_cell)));
    // Inputs, then what comes back: abundances and errors are both.
    Layout layout;
    const std::size_t temperature = layout.add<double>(piece_cells), dt = layout.add<double>(piece_cells),
                      conditions = layout.add<double>(piece_cells * C),
                      mask = layout.add<std::int8_t>(step.mask ? piece_cells : 0),
                      n = layout.add<double>(piece_cells * S),
                      error = layout.add<double>(c.error_dex ? piece_cells : 0), sent = layout.size,
                      status = layout.add<std::int8_t>(piece_cells),
                      counts = layout.add<std::int32_t>(c.counts ? piece_cells * n_cell_counts : 0);

    const Inputs inputs{n, temperature, conditions, S, C};
    const auto pack = [&](Piece& piece) {
        char* const to = piece.host.reserve(layout.size);
        const std::int64_t first = piece.first, size = piece.size;
        inputs.pack(c, first, size, to);
        pack_rows(c.dt_s + first * c.dt_stride, c.dt_stride, 0, size, 1, Inputs::doubles(to, dt));
        if (c.error_dex)
            pack_rows(c.error_dex + first * c.error_stride, c.error_stride, 0, size, 1, Inputs::doubles(to, error));
        if (step.mask) std::memcpy(to + mask, step.mask + first, size);
    };
    const auto start = [&](Piece& piece) {
        char* const there = piece.device.reserve<char>(layout.size);
        char* const here = piece.host.reserve(layout.size);
        copy(there, here, sent, cudaMemcpyHostToDevice, stream);
        DeviceStep mine = step;
        mine.call.memory = Space::device;
        inputs.refer(mine.cells, piece.size, there);
        mine.cells.dt_s = Inputs::doubles(there, dt), mine.cells.dt_stride = 1;
        mine.cells.status = reinterpret_cast<std::int8_t*>(there + status);
        if (c.error_dex) mine.cells.error_dex = Inputs::doubles(there, error), mine.cells.error_stride = 1;
        if (step.mask) mine.mask = reinterpret_cast<const std::int8_t*>(there + mask);
        if (c.counts) {
            mine.cells.counts = reinterpret_cast<std::int32_t*>(there + counts);
            require(cudaMemsetAsync(mine.cells.counts, 0, sizeof(std::int32_t) * n_cell_counts * piece.size, stream),
                    "to clear counts");
        }
        enqueue(model, mine, lane, slot, stream);
        copy(here + n, there + n, layout.size - n, cudaMemcpyDeviceToHost, stream);
        require(cudaEventRecord(piece.back, stream), "to record an event");
    };
    const auto unpack = [&](Piece& piece) {
        require(cudaEventSynchronize(piece.back), "in a step");
        const char* const from = piece.host.reserve(layout.size);
        const double* const back = reinterpret_cast<const double*>(from + n);
        const double* const errors = reinterpret_cast<const double*>(from + error);
        for (std::int64_t k = 0; k < piece.size; ++k) {
            const std::int64_t cell = piece.first + k;
            const std::int8_t found = from[status + k];
            if (c.status) c.status[cell] = found;
            if (found == status_SURROGATE || (found >= status_EXACT_REQUESTED && step.integrates))
                for (int i = 0; i < S; ++i) c.n_cm3[cell * c.cell_stride + i * c.species_stride] = back[k * S + i];
            if (c.error_dex && found >= 0 && found != status_MASKED) c.error_dex[cell * c.error_stride] = errors[k];
        }
        if (c.counts) {
            const auto* const counted = reinterpret_cast<const std::int32_t*>(from + counts);
            for (std::int64_t k = 0; k < piece.size * n_cell_counts; ++k)
                c.counts[piece.first * n_cell_counts + k] += counted[k];
        }
        piece.size = 0;
    };
    through_two(lane.pieces, c.n_cells, piece_cells, pack, start, unpack);
}

void run_staged(DeviceModel& model, const DeviceTrajectory& trajectory, Lane& lane, Slot& slot, cudaStream_t stream) {
    const DeviceStep& step = trajectory.step;
    const CellArrays& c = step.cells;
    const TrajectoryArrays& pairs = trajectory.trajectory;
    const std::int64_t times = pairs.n_times;
    const int S = model.view.plan.n_species, C = model.view.plan.n_conditions + (step.units != 0);
    const std::size_t a_cell = sizeof(double) * (S * (times + 1) + C + 1) + 2 * times;
    const std::int64_t piece_cells =
        std::min(c.n_cells, std::max<std::int64_t>(1, static_cast<std::int64_t>(piece_bytes / a_cell)));
    Layout layout;
    const std::size_t temperature = layout.add<double>(piece_cells), conditions = layout.add<double>(piece_cells * C),
                      n = layout.add<double>(piece_cells * S),
                      mask = layout.add<std::int8_t>(trajectory.mask ? piece_cells * times : 0), sent = layout.size,
                      out = layout.add<double>(piece_cells * times * S),
                      status = layout.add<std::int8_t>(piece_cells * times);

    const Inputs inputs{n, temperature, conditions, S, C};
    const auto pack = [&](Piece& piece) {
        char* const to = piece.host.reserve(layout.size);
        const std::int64_t first = piece.first, size = piece.size;
        inputs.pack(c, first, size, to);
        if (trajectory.mask) std::memcpy(to + mask, trajectory.mask + first * times, size * times);
    };
    const auto start = [&](Piece& piece) {
        char* const there = piece.device.reserve<char>(layout.size);
        char* const here = piece.host.reserve(layout.size);
        copy(there, here, sent, cudaMemcpyHostToDevice, stream);
        DeviceTrajectory mine = trajectory;
        mine.step.call.memory = Space::device;
        inputs.refer(mine.step.cells, piece.size, there);
        mine.trajectory.n_cm3 = Inputs::doubles(there, out);
        mine.trajectory.status = reinterpret_cast<std::int8_t*>(there + status);
        if (trajectory.mask) mine.mask = reinterpret_cast<const std::int8_t*>(there + mask);
        enqueue(model, mine, lane, slot, stream);
        copy(here + out, there + out, layout.size - out, cudaMemcpyDeviceToHost, stream);
        require(cudaEventRecord(piece.back, stream), "to record an event");
    };
    const auto unpack = [&](Piece& piece) {
        require(cudaEventSynchronize(piece.back), "in a trajectory");
        const char* const from = piece.host.reserve(layout.size);
        const std::int64_t first = piece.first * times, size = piece.size * times;
        std::memcpy(pairs.n_cm3 + first * S, from + out, sizeof(double) * size * S);
        if (pairs.status) std::memcpy(pairs.status + first, from + status, size);
        piece.size = 0;
    };
    through_two(lane.pieces, c.n_cells, piece_cells, pack, start, unpack);
}

}  // namespace pcs::cuda
