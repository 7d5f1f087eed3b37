// The choice of an instruction set, once a process. SPDX-License-Identifier: BSD-3-Clause
#include <cstdlib>
#include <string>

#include "pcs/error.hpp"
#include "pcs/solver.hpp"

namespace pcs {

namespace {

bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}

const Kernels& choose() {
    const char* wish = std::getenv("PCS_ISA");
    const std::string name = wish ? wish : "";
    if (name.empty()) return has_avx512() ? kernels_avx512() : has_avx2() ? kernels_avx2() : kernels_sse2();
    if (name == "sse2") return kernels_sse2();
    if (name == "scalar") {
#ifdef PCS_HAS_SCALAR
        return kernels_scalar();
#else
        throw Error(ErrorCode::option, "PCS_ISA is 'scalar', which this library was built without (PCS_SCALAR=OFF)");
#endif
    }
    if (name != "avx2" && name != "avx512")
        throw Error(ErrorCode::option, "PCS_ISA is '" + name + "': it must be sse2, avx2, avx512 or unset");
    if (!(name == "avx2" ? has_avx2() : has_avx512()))
        throw Error(ErrorCode::option, "PCS_ISA is '" + name + "', which this processor does not have: unset it");
    return name == "avx2" ? kernels_avx2() : kernels_avx512();
}

}  // namespace

const Kernels& kernels() {
    static const Kernels& chosen = choose();
    return chosen;
}

// Measured on Zen 4 alone: straight-line kernels run faster at half width (94 against 85 thousand cells/s), tables at
// full width (36 against 23). Code fetch and cache footprint are the likely reasons.
const Kernels& integrator_kernels(const PlanView& plan) {
    const Kernels& chosen = kernels();
    const Kernels& narrow = kernels_avx512narrow();
    return &chosen == &kernels_avx512() && narrow.has_code(plan) ? narrow : chosen;
}

}  // namespace pcs
