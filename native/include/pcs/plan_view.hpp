// The plan as pointers, plain enough for the units that are compiled for a wide instruction set.
// SPDX-License-Identifier: BSD-3-Clause
//
// Species are numbered in elimination order, so that the kernels never permute; `order[i]` is the host's index of the
// plan's species i. Sums are gather lists in compressed rows: entry e of row i lies in [begin[i], begin[i + 1]).
#pragma once

#include <stdint.h>

namespace pcs {

constexpr int max_reactants = 3;
constexpr int max_conserved = 32;  // elements and charge

// Reactions of one law and one number of reactants lie together: the plan's reactions [begin, end).
struct Group {
    int32_t law, bodies, condition, begin, end;
};

struct PlanView {
    uint64_t fingerprint;  // of all that follows but the rate parameters: equal plans, equal kernels
    int32_t n_species, n_conserved, n_conditions, n_groups;
    int32_t n_rates;  // reactions, each group padded to a multiple of 8 with alpha = 0
    const int32_t* order;
    const double* composition;    // (Q, S) in plan order
    const double* scale_weights;  // (S)
    const Group* groups;
    const double *alpha, *beta, *gamma;  // (n_rates)
    const int32_t* reactants;            // (n_rates, 3)

    // rhs: dx_i/dt = sum of rates[gain] - sum of rates[loss]; a coefficient of 2 is two entries.
    const int32_t *gain_begin, *gain, *loss_begin, *loss;

    // Partial derivatives of the rates. Slots [0, n_rates) are the rate coefficients themselves (one-body rates);
    // then k x_o for `pair_rate`, `pair_other`; then k x_o x_p for the three-body ones.
    int32_t n_pairs, n_triples, n_partials;
    const int32_t *pair_rate, *pair_other;
    const int32_t *triple_rate, *triple_other;  // triple_other: (n_triples, 2)

    // Loss frequency L_i = sum of partials[frequency]: what the analytic production-loss step needs.
    const int32_t *frequency_begin, *frequency;

    // M = I / (gamma h) - J, stored row by row with its fill. Entry e: sum of partials[minus] - sum of partials[plus].
    int32_t n_entries;
    const int32_t *row_begin, *column;  // (S + 1), (n_entries), columns ascending
    const int32_t* diagonal;            // (S): entry of the diagonal
    const int32_t *plus_begin, *plus, *minus_begin, *minus;
    // LU in place: entry e -= sum of value[left] * value[right]; left of the diagonal then times the inverse pivot.
    const int32_t *product_begin, *product_left, *product_right;
};

}  // namespace pcs
