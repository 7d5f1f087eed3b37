// What a call asks of memory, before a cell is touched. SPDX-License-Identifier: BSD-3-Clause
#include "pcs/reach.hpp"

#include <unistd.h>

#include <cstdlib>
#include <numeric>
#include <string>

#include "pcs/error.hpp"
#include "pcs/solver.hpp"

namespace pcs {

namespace {

__extension__ typedef unsigned __int128 Wide;  // holds the product of any two strides and counts

std::uint64_t magnitude(std::int64_t value) {
    return value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
}
Wide reach(std::int64_t count, std::int64_t stride) { return Wide{magnitude(count - 1)} * magnitude(stride); }

}  // namespace

void require_reach(const char* array, std::int64_t count, std::int64_t stride, std::int64_t count_j,
                   std::int64_t stride_j, std::int64_t count_k, std::int64_t stride_k) {
    constexpr Wide farthest = Wide{1} << 60;  // of doubles, to either side
    if (reach(count, stride) + reach(count_j, stride_j) + reach(count_k, stride_k) >= farthest)
        throw Error(ErrorCode::argument, std::string("the strides of ") + array + " reach beyond all addresses (" +
                                             std::to_string(count) + " cells with a stride of " +
                                             std::to_string(stride) + ")");
}

void require_apart(const char* array, std::int64_t count, std::int64_t stride, std::int64_t count_j,
                   std::int64_t stride_j) {
    // i * stride = j * stride_j first for i = stride_j / gcd, j = stride / gcd.
    const std::uint64_t a = magnitude(stride), b = magnitude(stride_j), common = std::gcd(a, b);
    const auto within = [](std::uint64_t steps, std::int64_t count) { return steps < magnitude(count); };
    const bool shared =
        common == 0 ? count > 1 || count_j > 1 : within(b / common, count) && within(a / common, count_j);
    if (shared)
        throw Error(ErrorCode::argument, std::string("with the strides ") + std::to_string(stride) + " and " +
                                             std::to_string(stride_j) + " elements of " + array +
                                             " would share one place");
}

void require_memory(std::int64_t n_cells, std::size_t bytes_per_cell) {
    constexpr std::int64_t few = 1 << 20;
    if (n_cells <= few) return;
    const Wide needed = Wide{magnitude(n_cells)} * bytes_per_cell;
    const Wide there = Wide{magnitude(sysconf(_SC_PHYS_PAGES))} * magnitude(sysconf(_SC_PAGE_SIZE));
    if (needed > there)
        throw Error(ErrorCode::memory, "a call with " + std::to_string(n_cells) + " cells needs " +
                                           std::to_string(static_cast<std::uint64_t>(needed >> 30)) +
                                           " GiB of scratch, more than this machine has: use smaller batches");
}

void Solver::check_cells(const CellArrays& c) const {
    const auto require = [](bool condition, const char* message) {
        if (!condition) throw Error(ErrorCode::argument, message);
    };
    require(c.n_cells >= 0, "the number of cells is negative");
    if (c.n_cells == 0) return;
    const int S = tables_.n_species(), C = static_cast<int>(conditions_.size());
    require(c.n_cm3 && c.temperature_K, "the arrays of abundances and temperature must not be null");
    require(c.conditions || C == 0, "the network has conditions (such as zeta), but their array is null");
    require_reach("the abundances", c.n_cells, c.cell_stride, S, c.species_stride);
    require_reach("the temperature", c.n_cells, c.temperature_stride);
    require_reach("the conditions", c.n_cells, c.condition_cell_stride, C + 1, c.condition_stride);
    require(c.species_stride != 0 || S == 1, "the species stride of the abundances is 0");
    require(c.cell_stride != 0 || c.n_cells == 1, "the cell stride of the abundances is 0: all cells would be one");
    require_apart("the abundances", c.n_cells, c.cell_stride, S, c.species_stride);
    const std::size_t converted = options_.units == Units::number_density ? 0 : S * sizeof(double);
    require_memory(c.n_cells, sizeof(std::int64_t) + 1 + converted);
}

}  // namespace pcs
