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
constexpr int n_parameters = 7;    // of a rate law; the first is what the rate is proportional to
constexpr int max_conditions = 2;  // that one law reads
constexpr int max_network_conditions = 32;

enum class Law : int32_t {
    arrhenius = 0,
    cosmic_ray = 1,
    arrhenius_range = 2,
    ionpol1 = 3,
    ionpol2 = 4,
    cosmic_ray_range = 5,
    photo = 6,
    grain = 7,
    expression = 8,  // any formula: its second parameter is the number of a value of the program
    grain_expression = 9,
};
constexpr int n_laws = 10;
constexpr bool is_formula(Law law) { return law == Law::expression || law == Law::grain_expression; }

// What computes a value of the program of formulas (pychemsurrogate/network/formula/program.py has the same list): a, b
// and c are earlier values; `constant` and `condition` have an index in a. Truth is 1 or 0; select(a, b, c): b where a
// is not 0, else c.
enum class Operation : int32_t {
    constant = 0,
    temperature = 1,
    density = 2,
    condition = 3,
    add = 4,
    subtract = 5,
    multiply = 6,
    divide = 7,
    exp = 8,
    log = 9,
    sqrt = 10,
    abs = 11,
    min = 12,
    max = 13,
    less = 14,
    less_equal = 15,
    equal = 16,
    select = 17,
};
constexpr int8_t n_operands[] = {0, 0, 0, 0, 2, 2, 2, 2, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3};
constexpr int n_operations = sizeof n_operands;

struct Instruction {
    Operation operation;
    int32_t a, b, c;
};

// Reactions of one law and one number of reactants lie together: the plan's reactions [begin, end).
// A rate is its coefficient times `bodies` reactants, and the coefficient holds n_H to the power `density_power`.
// Coefficients that differ in the first parameter alone have one shape, which is evaluated once.
struct Group {
    Law law;
    int32_t bodies, density_power, conditions[max_conditions], begin, end, shape_begin, shape_end;
};

constexpr int lu_tile = 4;  // rows and columns that are worked on together in the full block at the end of M

// A term of a matrix row: a partial derivative to be added or subtracted.
struct MatrixTerm {
    int32_t place, slot;
};

// A pivot that tile rows of L and tile columns of U share: where it is in their lists of pivots.
struct SharedPivot {
    uint16_t left, upper;
};

// Of an entry of L and one of U.
struct EntryProduct {
    int32_t left, upper;
};

struct PlanView {
    uint64_t fingerprint;  // of all that follows but the rate parameters: equal plans, equal kernels
    int32_t n_species, n_conserved, n_conditions, n_groups;
    int32_t n_rates;   // reactions, each group padded to a multiple of 8 with rates of 0
    int32_t n_shapes;  // at most as many, padded likewise
    const int32_t* order;
    const double* composition;    // (Q, S) in plan order
    const double* scale_weights;  // (S)
    const Group* groups;
    const double* parameters;  // (n_parameters, n_shapes), the first parameter 1
    const double* strength;    // (n_rates): the first parameter, ...
    const int32_t* shape;      // ... and of what it is a multiple
    const int32_t* reactants;  // (n_rates, 3)
    const int32_t* reaction;   // (n_rates): the host's reaction, -1: padding

    // The formulas of the law `expression`, evaluated once a cell.
    int32_t n_values;
    const Instruction* program;  // (n_values)
    const double* constants;

    // The composition without its zeros. Quantity by quantity: which species hold how much of it; pair by pair of
    // quantities, (1, 0), (2, 0), (2, 1), (3, 0) ...: which species hold both, and the product of the two counts.
    const int32_t *held_begin, *held, *both_begin, *both;
    const double *held_count, *both_count, *most_held;  // most_held (Q): the largest |count|
    // Species by species: numbers of the pairs (quantity, count) that occur.
    int32_t n_counts;
    const int32_t *counts_begin, *counts, *count_of;  // count_of (n_counts): the quantity
    const double* count;                              // (n_counts)

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
    int32_t dense;                      // from this row and column on M is stored in full; a multiple of `lu_tile` rows
    const int32_t* diagonal;            // (S): entry of the diagonal
    const int32_t *plus_begin, *plus, *minus_begin, *minus;
    // The same row by row, left of the full block (in a sparse row: all) and in it: terms to add, terms to subtract,
    // and entries (as `slot`) of many terms.
    const int32_t* term_begin;  // (S, 2, 3) + 1
    const MatrixTerm* terms;
    const int32_t* place;  // (n_entries): in the row spread out, panel or full block where a row is worked on

    // L and U beside the full block in panels of `lu_tile` rows or columns; what is not filled in a panel is 0.
    const int32_t *left_begin, *left_pivot;    // per tile rows: the sparse rows above that any of them needs
    int32_t most_left;                         // ... at most so many
    const int32_t *update_begin, *update;      // per left_pivot: places in the panel of its row's columns in order
    const int32_t* upper_begin;                // per tile columns: the first of the sparse rows that reach into them
    int32_t n_upper, n_upper_entries;          // all of those, and U's entries there
    const int32_t *upper_entry, *upper_place;  // which go to these places of (pivots, lu_tile)
    const int32_t* shared_begin;               // per tile rows and tile columns: the pivots of both
    const SharedPivot* shared;

    // For kernels in which many threads share a cell. L and U outside the full block, entry by entry: its terms minus
    // `products`; in L times what stands on the diagonal of its column, which is the inverse. Entries of a level need
    // only those of levels before it. Likewise the sparse rows in the solution with L, and in that with U.
    int32_t n_levels, n_lower_levels, n_upper_levels, n_left;  // n_left: of left_pivot
    const int32_t *level_begin, *level_entry;
    const int32_t* level_diagonal;  // beside level_entry: entry of its column's diagonal (may be itself), -1 in U
    const int32_t* product_begin;   // beside level_entry
    const EntryProduct* products;
    const int32_t *lower_begin, *lower_row, *upper_level_begin, *upper_row;
};

}  // namespace pcs
