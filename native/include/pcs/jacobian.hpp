// The matrix of an implicit step. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/rhs.hpp"

namespace pcs::PCS_ISA {

// Adds part of a row of -J to `to`: part 2 i is row i left of the full block (all of a sparse row), 2 i + 1 in it;
// `partial` as left by partials(). Entries of few terms share long loops, many terms are summed in registers.
PCS_FN inline void add_terms(const PlanView& plan, const Vec* partial, int part, Vec* to) {
    const int32_t* begin = plan.term_begin + 3 * part;
    const MatrixTerm* term = plan.terms;
    for (int t = begin[0]; t < begin[1]; ++t) to[term[t].place] += partial[term[t].slot];
    for (int t = begin[1]; t < begin[2]; ++t) to[term[t].place] -= partial[term[t].slot];
    for (int t = begin[2]; t < begin[3]; ++t) {
        const int e = term[t].slot;
        to[term[t].place] += gather_sum(partial, plan.minus, plan.minus_begin[e], plan.minus_begin[e + 1]) -
                             gather_sum(partial, plan.plus, plan.plus_begin[e], plan.plus_begin[e + 1]);
    }
}

}  // namespace pcs::PCS_ISA
