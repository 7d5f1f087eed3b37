// The floating-point environment that the library works in, whatever the host's is. SPDX-License-Identifier:
// BSD-3-Clause
#pragma once

#include <cfenv>

#ifdef __SSE__
#include <xmmintrin.h>
#endif

namespace pcs {

// Hosts may trap exceptions (gfortran's -ffpe-trap), though lanes that are not wanted divide by zero without harm; may
// round otherwise, or flush subnormal numbers to zero (-ffast-math), which changes bits. The calling thread gets the
// default environment for as long as this lives, and then its own back, flags as they were.
class OwnFloatingPoint {
  public:
    OwnFloatingPoint() {
#ifdef __SSE__
        host_control_ = _mm_getcsr();
#endif
        std::fegetenv(&host_);
        std::fesetenv(FE_DFL_ENV);
#ifdef __SSE__
        _mm_setcsr(_MM_MASK_MASK | _MM_ROUND_NEAREST);
#endif
    }
    ~OwnFloatingPoint() {
        std::fesetenv(&host_);
#ifdef __SSE__
        _mm_setcsr(host_control_);
#endif
    }
    OwnFloatingPoint(const OwnFloatingPoint&) = delete;
    OwnFloatingPoint& operator=(const OwnFloatingPoint&) = delete;

  private:
    std::fenv_t host_;
#ifdef __SSE__
    unsigned host_control_;
#endif
};

}  // namespace pcs
