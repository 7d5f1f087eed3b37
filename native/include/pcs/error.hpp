// Errors of a call. The bindings turn them into codes or exceptions. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdexcept>
#include <string>

namespace pcs {

enum class ErrorCode : int {
#define PCS_ERROR(NAME, name, value, meaning) name = value,
#include "pcs/errors.def"
#undef PCS_ERROR
};

class Error : public std::runtime_error {
  public:
    Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code(code) {}
    ErrorCode code;
};

}  // namespace pcs
