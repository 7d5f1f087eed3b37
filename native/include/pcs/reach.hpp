// Strides of a host's arrays: what they may be. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>

#include "pcs/kernels.hpp"

namespace pcs {

// Throws Error (argument) where the farthest element of an array would have no address: element (i, j, k) lies at
// i * stride + j * stride_j + k * stride_k; counts are positive.
void require_reach(const char* array, std::int64_t count, std::int64_t stride, std::int64_t count_j = 1,
                   std::int64_t stride_j = 0, std::int64_t count_k = 1, std::int64_t stride_k = 0);

// Throws Error (argument) where two elements (i, j) of an array that is written would share one place.
void require_apart(const char* array, std::int64_t count, std::int64_t stride, std::int64_t count_j,
                   std::int64_t stride_j);

// Throws Error (memory) where a call would need more scratch than the machine has memory.
void require_memory(std::int64_t n_cells, std::size_t bytes_per_cell);

// What a model's calls read and write for each cell; converted_bytes: of scratch, where units are converted.
struct CallShape {
    int species, conditions, reactions;
    std::size_t converted_bytes;
};

struct TrajectoryRequest;
struct DerivativeRequest;

// All that can be told to be wrong with a call before a cell is looked at. Throw Error (argument, memory).
void check_cells(const CellArrays& cells, const CallShape& shape);
void check_step(const CellArrays& cells, const CallShape& shape);                 // of pcs_step: dt and errors as well
void check_trajectory(const TrajectoryRequest& request, const CallShape& shape);  // times and results
void check_derivatives(const DerivativeRequest& request, const CallShape& shape);

}  // namespace pcs
