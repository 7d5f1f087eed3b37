// Floating-point traps of the host, at rest. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cfenv>

namespace pcs {

// Hosts may trap floating-point exceptions (gfortran's -ffpe-trap). Lanes that are not wanted divide by zero without
// harm, so the calling thread's traps rest while the library works, and its flags stay as they were.
class QuietFloatingPoint {
  public:
    QuietFloatingPoint() { std::feholdexcept(&host_); }
    ~QuietFloatingPoint() { std::fesetenv(&host_); }
    QuietFloatingPoint(const QuietFloatingPoint&) = delete;
    QuietFloatingPoint& operator=(const QuietFloatingPoint&) = delete;

  private:
    std::fenv_t host_;
};

}  // namespace pcs
