// Errors of a call. The bindings turn them into codes or exceptions. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdexcept>
#include <string>

namespace pcs {

enum class ErrorCode : int { argument = -101, file = -102, option = -103, name = -104, memory = -105, internal = -106, python = -108 };

class Error : public std::runtime_error {
  public:
    Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code(code) {}
    ErrorCode code;
};

}  // namespace pcs
