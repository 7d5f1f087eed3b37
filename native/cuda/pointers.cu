// SPDX-License-Identifier: BSD-3-Clause
#include "pointers.hpp"

#include <algorithm>

#include "launch.hpp"

namespace pcs::cuda {

namespace {

constexpr int host = -1, managed = -2;

std::string place_name(int place) {
    return place == host ? "memory of the host" : "memory of the GPU " + std::to_string(place);
}

// The arrays of one call.
class Places {
  public:
    Places(Space memory, int device) : memory_(memory), device_(device) {}

    // Elements (i, j) at i * stride + j * stride_j.
    template <class T>
    void check(const char* name, const T* array, std::int64_t count, std::int64_t stride, std::int64_t count_j = 1,
               std::int64_t stride_j = 0) const {
        if (!array || count <= 0 || count_j <= 0) return;
        const std::int64_t a = (count - 1) * stride, b = (count_j - 1) * stride_j;
        const T* const lowest = array + std::min<std::int64_t>(a, 0) + std::min<std::int64_t>(b, 0);
        const T* const highest = array + std::max<std::int64_t>(a, 0) + std::max<std::int64_t>(b, 0);
        const int first = require_place(name, array);
        for (const T* const end : {lowest, highest})
            if (const int place = end == array ? first : place_of(end); place != first)
                throw Error(ErrorCode::device, std::string(name) + " is " + place_name(first) +
                                                   ", but its farthest element would be " + place_name(place) +
                                                   ": the array is shorter than the call says");
    }
    // One that the host may keep in its own memory where all cells share it.
    template <class T>
    void check_shared(const char* name, const T* array, std::int64_t count, std::int64_t stride,
                      std::int64_t count_j = 1, std::int64_t stride_j = 0) const {
        if (memory_ == Space::device && stride == 0 && array && place_of(array) == host) return;
        check(name, array, count, stride, count_j, stride_j);
    }

  private:
    int require_place(const char* name, const void* array) const {
        const int place = place_of(array);
        if (place == managed || place == (memory_ == Space::device ? device_ : host)) return place;
        std::string message = std::string(name) + " is " + place_name(place) + ", but ";
        if (memory_ == Space::host)
            message += "the option memory is host: set it to device, or hand in memory of the host";
        else if (place == host)
            message += "the option memory is device: hand in memory of the GPU, or set memory to host";
        else
            message += "the handle works on the GPU " + std::to_string(device_) + ": open a handle for each GPU";
        throw Error(ErrorCode::device, message);
    }

    Space memory_;
    int device_;
};

void check_inputs(const Places& places, const CellArrays& c, int S, int C) {
    places.check("n_cm3", c.n_cm3, c.n_cells, c.cell_stride, S, c.species_stride);
    places.check_shared("temperature_K", c.temperature_K, c.n_cells, c.temperature_stride);
    places.check_shared("conditions", c.conditions, c.n_cells, c.condition_cell_stride, C, c.condition_stride);
}

}  // namespace

int place_of(const void* pointer) {
    cudaPointerAttributes found{};
    require(cudaPointerGetAttributes(&found, pointer), "to tell what memory a pointer is to");
    if (found.type == cudaMemoryTypeManaged) return managed;
    return found.type == cudaMemoryTypeDevice ? found.device : host;
}

void check_places(const DeviceStep& step, int device, int S, int C) {
    const CellArrays& c = step.cells;
    const Places places(step.call.memory, device);
    check_inputs(places, c, S, C);
    places.check_shared("dt_s", c.dt_s, c.n_cells, c.dt_stride);
    places.check("status", c.status, c.n_cells, 1);
    places.check("error_dex", c.error_dex, c.n_cells, c.error_stride);
    places.check("mask", step.mask, c.n_cells, 1);
}

void check_places(const DeviceTrajectory& trajectory, int device, int S, int C) {
    const CellArrays& c = trajectory.step.cells;
    const TrajectoryArrays& pairs = trajectory.trajectory;
    const Places places(trajectory.step.call.memory, device);
    check_inputs(places, c, S, C);
    places.check("out_cm3", pairs.n_cm3, c.n_cells, pairs.n_times * S, pairs.n_times * S, 1);
    places.check("status", pairs.status, c.n_cells * pairs.n_times, 1);
    places.check("mask", trajectory.mask, c.n_cells * pairs.n_times, 1);
    if (place_of(pairs.times_s) >= 0)
        throw Error(ErrorCode::device,
                    "times_s is memory of the GPU, but times are read by the host: hand in memory of "
                    "the host");
}

}  // namespace pcs::cuda
