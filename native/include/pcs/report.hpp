// What a step reports (report.def). SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

namespace pcs {

constexpr int most_paths = 8;  // learned paths that a model file may hold

struct Report {
#define PCS_REPORT(type, name, meaning) type name = 0;
#include "pcs/report.def"
#undef PCS_REPORT
    int64_t by_path[most_paths] = {};  // cells advanced by each learned path of the file
    uint64_t ticket = 0;               // of figures that a device still has (Solver::fetched); 0: all are here
};

}  // namespace pcs
