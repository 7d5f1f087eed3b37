// The advice that belongs to a status. SPDX-License-Identifier: BSD-3-Clause
#include "pcs/solver.hpp"

namespace pcs {

const char* status_message(int status) {
    switch (status) {
#define PCS_STATUS(name, value, message) \
    case value:                          \
        return message;
#include "pcs/status.def"
#undef PCS_STATUS
    }
    return "unknown status";
}

}  // namespace pcs
