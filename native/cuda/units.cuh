// The host's units on a device, as native/src/units.cpp has them on the CPU. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "grid.cuh"
#include "pcs/kernels.hpp"

namespace pcs::cuda {

// What turns the host's numbers into densities: n = value * density / weight; the density is the last condition.
struct UnitsView {
    int32_t n_species, n_conditions;  // of the network
    const double* mass_g;             // null: weights of 1
};

namespace detail {

// NaN: none.
__device__ inline double density_of(const UnitsView& units, const CellArrays& host, int64_t cell) {
    const double given =
        host.conditions[cell * host.condition_cell_stride + units.n_conditions * host.condition_stride];
    return given > 0 && given <= 1.7976931348623157e308 ? given : __builtin_nan("");
}
__device__ inline double weight_of(const UnitsView& units, int species) {
    return units.mass_g ? units.mass_g[species] : 1.0;
}

// The step itself reads nothing of a masked cell.
static __global__ void to_densities(UnitsView units, CellArrays host, CellArrays cells, const int8_t* mask) {
    const int64_t stride = int64_t{blockDim.x} * gridDim.x;
    for (int64_t cell = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; cell < host.n_cells; cell += stride) {
        if (mask && !mask[cell]) continue;
        const double scale = density_of(units, host, cell);
        for (int i = 0; i < units.n_species; ++i)
            cells.n_cm3[cell * cells.cell_stride + i * cells.species_stride] =
                host.n_cm3[cell * host.cell_stride + i * host.species_stride] * (scale / weight_of(units, i));
    }
}

__device__ inline bool served(int8_t status, bool integrates) {
    return status == status_SURROGATE || (status >= status_EXACT_REQUESTED && integrates);
}

static __global__ void from_densities(UnitsView units, CellArrays host, CellArrays cells, bool integrates) {
    const int64_t stride = int64_t{blockDim.x} * gridDim.x;
    for (int64_t cell = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; cell < host.n_cells; cell += stride) {
        if (!served(cells.status[cell], integrates)) continue;
        const double scale = density_of(units, host, cell);
        for (int i = 0; i < units.n_species; ++i)
            host.n_cm3[cell * host.cell_stride + i * host.species_stride] =
                cells.n_cm3[cell * cells.cell_stride + i * cells.species_stride] * (weight_of(units, i) / scale);
    }
}

// The pairs of a trajectory; one that is not served gets the given state.
static __global__ void pairs_from_densities(UnitsView units, CellArrays host, TrajectoryArrays pairs, bool integrates) {
    const int64_t stride = int64_t{blockDim.x} * gridDim.x, all = host.n_cells * pairs.n_times;
    for (int64_t pair = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; pair < all; pair += stride) {
        const int64_t cell = pair / pairs.n_times;
        const double scale = density_of(units, host, cell);
        const bool changed = served(pairs.status[pair], integrates);
        for (int i = 0; i < units.n_species; ++i) {
            double& value = pairs.n_cm3[pair * units.n_species + i];
            value = changed ? value * (weight_of(units, i) / scale)
                            : host.n_cm3[cell * host.cell_stride + i * host.species_stride];
        }
    }
}

}  // namespace detail

}  // namespace pcs::cuda
