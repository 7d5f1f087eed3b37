// Reading cells from the host's arrays and writing them back. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/kernels.hpp"
#include "pcs/simd.hpp"

namespace pcs::PCS_ISA {

constexpr double ln10 = 2.302585092994045684;

struct CellInput {
    double n_H, temperature_K, dt_s;
    const double* conditions;
};

// The cell's fractions x = n / n_H into x[species * stride], mended as asked for; the host's array is not touched.
PCS_FN inline CellInput read_cell(const PlanView& plan, const CellArrays& cells, int64_t cell, double* x, int stride,
                                  double* conditions) {
    const double* n = cells.n_cm3 + cell * cells.cell_stride;
    double n_H = 0, electrons = 0;
    int electron = -1;
    for (int i = 0; i < plan.n_species; ++i) {
        double value = n[plan.order[i] * cells.species_stride];
        if (value < 0 && (cells.repair & repair_floor)) value = 0;
        x[i * stride] = value;
        n_H += plan.scale_weights[i] * value;
        if (plan.order[i] == cells.electron) electron = i;
    }
    if ((cells.repair & repair_electrons) && electron >= 0) {
        const double* charge = plan.composition + (plan.n_conserved - 1) * plan.n_species;
        for (int i = 0; i < plan.n_species; ++i)
            if (i != electron) electrons += charge[i] * x[i * stride];
        x[electron * stride] = electrons;
    }
    const double inverse = 1.0 / n_H;
    for (int i = 0; i < plan.n_species; ++i) x[i * stride] *= inverse;
    for (int c = 0; c < plan.n_conditions; ++c)
        conditions[c] = cells.conditions[cell * cells.condition_cell_stride + c * cells.condition_stride];
    return {n_H, cells.temperature_K[cell * cells.temperature_stride], cells.dt_s[cell * cells.dt_stride], conditions};
}

// What a cell's rates depend on, as read_cell has it (dt_s is not read).
PCS_FN inline CellInput read_surroundings(const PlanView& plan, const CellArrays& cells, int64_t cell,
                                          double* conditions) {
    const double* n = cells.n_cm3 + cell * cells.cell_stride;
    double n_H = 0;
    for (int i = 0; i < plan.n_species; ++i) {
        double value = n[plan.order[i] * cells.species_stride];
        if (value < 0 && (cells.repair & repair_floor)) value = 0;
        n_H += plan.scale_weights[i] * value;
    }
    for (int c = 0; c < plan.n_conditions; ++c)
        conditions[c] = cells.conditions[cell * cells.condition_cell_stride + c * cells.condition_stride];
    return {n_H, cells.temperature_K[cell * cells.temperature_stride], 0, conditions};
}

PCS_FN inline void write_cell(const PlanView& plan, const CellArrays& cells, int64_t cell, const double* x, int stride,
                              double n_H) {
    double* n = cells.n_cm3 + cell * cells.cell_stride;
    for (int i = 0; i < plan.n_species; ++i) n[plan.order[i] * cells.species_stride] = x[i * stride] * n_H;
}

// A number in [0, 1) that the bits of a cell's own input choose: the same for the same cell, whatever stands beside it.
// solver/chance.py has the same arithmetic.
PCS_FN inline double chance(const PlanView& plan, const CellArrays& cells, int64_t cell, uint64_t salt) {
    uint64_t h = salt;
    const auto mix = [&h](double value) {
        uint64_t bits;
        __builtin_memcpy(&bits, &value, sizeof bits);
        h = (h ^ bits) * UINT64_C(0x9E3779B97F4A7C15);
        h ^= h >> 32;
    };
    const double* n = cells.n_cm3 + cell * cells.cell_stride;
    for (int i = 0; i < plan.n_species; ++i) mix(n[i * cells.species_stride]);
    mix(cells.temperature_K[cell * cells.temperature_stride]);
    for (int c = 0; c < plan.n_conditions; ++c)
        mix(cells.conditions[cell * cells.condition_cell_stride + c * cells.condition_stride]);
    mix(cells.dt_s[cell * cells.dt_stride]);
    return (double)(h >> 11) * 0x1p-53;
}
constexpr uint64_t refresh_salt = 1, audit_salt = 2;

// How many of the ascending edges lie at or below the value (none for NaN).
PCS_FN inline int place_among(const double* edges, int n_edges, double value) {
    int place = 0;
    while (place < n_edges && value >= edges[place]) ++place;
    return place;
}

// The next cell of the queue, -1 when it is empty.
PCS_FN inline int64_t take(const CellQueue& queue) {
#ifdef __CUDA_ARCH__
    const int64_t position = (int64_t)atomicAdd((unsigned long long*)queue.next, 1ull);
#else
    const int64_t position = __atomic_fetch_add(queue.next, 1, __ATOMIC_RELAXED);
#endif
    if (position >= queue.size) return -1;
    return queue.cells ? queue.cells[position] : position;
}

}  // namespace pcs::PCS_ISA
