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

namespace {

#define PCS_LIMIT(name, value, meaning) constexpr double name = value;
#include "pcs/limits.def"
#undef PCS_LIMIT

void require(bool condition, const char* message) {
    if (!condition) throw Error(ErrorCode::argument, message);
}

}  // namespace

void check_cells(const CellArrays& c, const CallShape& shape) {
    require(c.n_cells >= 0, "the number of cells is negative");
    if (c.n_cells == 0) return;
    const int S = shape.species, C = shape.conditions;
    require(c.n_cm3 && c.temperature_K, "the arrays of abundances and temperature must not be null");
    require(c.conditions || C == 0, "the network has conditions (such as zeta), but their array is null");
    require_reach("the abundances", c.n_cells, c.cell_stride, S, c.species_stride);
    require_reach("the temperature", c.n_cells, c.temperature_stride);
    require_reach("the conditions", c.n_cells, c.condition_cell_stride, C + 1, c.condition_stride);
    require(c.species_stride != 0 || S == 1, "the species stride of the abundances is 0");
    require(c.cell_stride != 0 || c.n_cells == 1, "the cell stride of the abundances is 0: all cells would be one");
    require_apart("the abundances", c.n_cells, c.cell_stride, S, c.species_stride);
    require_memory(c.n_cells, sizeof(std::int64_t) + 1 + shape.converted_bytes);
}

void check_step(const CellArrays& c, const CallShape& shape) {
    check_cells(c, shape);
    if (c.n_cells == 0) return;
    require(c.dt_s, "the array of dt must not be null");
    require_reach("dt", c.n_cells, c.dt_stride);
    if (!c.error_dex) return;
    require_reach("error_dex", c.n_cells, c.error_stride);
    require(c.error_stride != 0 || c.n_cells == 1, "the error stride is 0: all cells would share one");
}

void check_trajectory(const TrajectoryRequest& request, const CallShape& shape) {
    const TrajectoryArrays& pairs = request.trajectory;
    require(pairs.n_times >= 0, "the number of times is negative");
    if (request.cells.n_cells == 0 || pairs.n_times == 0) return;
    require(pairs.times_s && pairs.n_cm3, "the arrays of times and results must not be null");
    const std::int64_t S = shape.species;
    require_reach("the results", pairs.n_times, S);
    require_reach("the results", request.cells.n_cells, pairs.n_times * S);
    require_memory(request.cells.n_cells, static_cast<std::size_t>(pairs.n_times) + S * sizeof(double));
    for (std::int64_t k = 0; k < pairs.n_times; ++k) {
        const double t = pairs.times_s[k], before = k > 0 ? pairs.times_s[k - 1] : -1;
        if (!(t >= 0 && t <= longest_dt && t > before))
            throw Error(ErrorCode::argument, "time " + std::to_string(k) +
                                                 " of the trajectory: times are elapsed seconds, at least 0, at most "
                                                 "1e20, each later than the one before");
    }
}

void check_derivatives(const DerivativeRequest& request, const CallShape& shape) {
    CellArrays cells = request.cells;
    const DerivativeArrays& to = request.to;
    static constexpr double nothing = 0;
    if (!cells.n_cm3 && to.kind == Derivative::rate_coefficients) cells.n_cm3 = const_cast<double*>(&nothing);
    // Inputs may be shared by all cells; the outputs may not.
    const std::int64_t given = cells.cell_stride;
    if (given == 0 || !request.cells.n_cm3) cells.cell_stride = shape.species, cells.species_stride = 1;
    check_cells(cells, shape);
    if (cells.n_cells == 0) return;
    require(to.values, "the array of results must not be null");
    const int S = shape.species;
    const int rows = to.kind == Derivative::rate_coefficients ? shape.reactions : S;
    const int columns = to.kind == Derivative::jacobian ? S : 1;
    require_reach("the results", cells.n_cells, to.cell_stride, rows, to.row_stride, columns, to.column_stride);
    require_apart("the results", cells.n_cells, to.cell_stride, rows, to.row_stride);
    if (columns == 1) return;
    require_apart("the results", cells.n_cells, to.cell_stride, columns, to.column_stride);
    require_apart("the results", rows, to.row_stride, columns, to.column_stride);
}

}  // namespace pcs
