// The matrix of an implicit step. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/rhs.hpp"

namespace pcs::PCS_ISA {

// Row i of shift - J into row[column]; `partial` as left by partials().
inline void implicit_row(const PlanView& plan, const Vec* partial, Vec shift, int i, Vec* row) {
    for (int e = plan.row_begin[i]; e < plan.row_begin[i + 1]; ++e)
        row[plan.column[e]] = gather_sum(partial, plan.minus, plan.minus_begin[e], plan.minus_begin[e + 1]) -
                              gather_sum(partial, plan.plus, plan.plus_begin[e], plan.plus_begin[e + 1]);
    row[i] += shift;
}

}  // namespace pcs::PCS_ISA
