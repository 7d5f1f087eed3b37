// The per-cell statuses of status.def as numbers. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

namespace pcs {

enum Status : int8_t {
#define PCS_STATUS(name, value, message) status_##name = value,
#include "pcs/status.def"
#undef PCS_STATUS
};

}  // namespace pcs
