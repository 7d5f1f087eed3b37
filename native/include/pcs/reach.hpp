// Strides of a host's arrays: what they may be. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

namespace pcs {

// Throws Error (argument) where the farthest element of an array would have no address: element (i, j, k) lies at
// i * stride + j * stride_j + k * stride_k; counts are positive.
void require_reach(const char* array, std::int64_t count, std::int64_t stride, std::int64_t count_j = 1,
                   std::int64_t stride_j = 0, std::int64_t count_k = 1, std::int64_t stride_k = 0);

// Throws Error (argument) where two elements (i, j) of an array that is written would share one place.
void require_apart(const char* array, std::int64_t count, std::int64_t stride, std::int64_t count_j,
                   std::int64_t stride_j);

}  // namespace pcs
