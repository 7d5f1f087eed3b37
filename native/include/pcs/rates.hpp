// Rate coefficients: one function a law (network/rate_laws/). SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/formula.hpp"
#include "pcs/kernels.hpp"
#include "pcs/simd.hpp"

namespace pcs::PCS_ISA {

// A temperature [K] and what every Arrhenius form needs of it.
struct Temperature {
    Vec T, log_T300, inverse_T;
};
PCS_FN inline Temperature temperature_of(Vec T) { return {T, log(T / 300.0), 1.0 / T}; }

// `p` holds a law's parameters in the order of the tables; every function is linear in p[0].

// k = alpha (T / 300 K)^beta exp(-gamma / T): the modified Arrhenius (Kooij 1893) form.
PCS_FN inline Vec arrhenius(const Vec* p, const Temperature& t) {
    return p[0] * exp(p[1] * t.log_T300 - p[2] * t.inverse_T);
}

// k = alpha zeta, zeta the cosmic-ray ionisation rate per H2 molecule.
PCS_FN inline Vec cosmic_ray(const Vec* p, Vec zeta) { return p[0] * zeta; }

// Of the laws with a range: T clamped to [T_min, T_max], and a rate that is 0 outside [T_from, T_until).
PCS_FN inline Vec clamped(const Vec* p, Vec T) { return min(max(T, p[3]), p[4]); }
PCS_FN inline Vec within(const Vec* p, Vec T, Vec rate) { return (p[5] <= T) & (T < p[6]) ? rate : Vec{}; }

// The plan puts equal ranges side by side, so most vectors are all inside theirs and share the cell's logarithm.
PCS_FN inline Vec arrhenius_range(const Vec* p, const Temperature& t) {
    const Vec T = clamped(p, t.T);
    return within(p, t.T, arrhenius(p, any(T != t.T) ? temperature_of(T) : t));
}

// k = alpha beta (0.62 + 0.4767 s) with s = gamma (300 K / T)^(1/2).
PCS_FN inline Vec ionpol1(const Vec* p, Vec T) {
    const Vec s = p[2] * sqrt(300.0 / clamped(p, T));
    return within(p, T, p[0] * p[1] * (0.62 + 0.4767 * s));
}

// k = alpha beta (1 + 0.0967 s + s^2 / 10.526).
PCS_FN inline Vec ionpol2(const Vec* p, Vec T) {
    const Vec s = p[2] * sqrt(300.0 / clamped(p, T));
    return within(p, T, p[0] * p[1] * (1.0 + 0.0967 * s + s * s / 10.526));
}

// k = alpha G0 exp(-gamma A_V).
PCS_FN inline Vec photo(const Vec* p, Vec A_V, Vec G0) { return p[0] * G0 * exp(-p[1] * A_V); }

// k = alpha (T / 300 K)^beta, to be multiplied by n_H and the first reactant.
PCS_FN inline Vec grain(const Vec* p, const Temperature& t) { return p[0] * exp(p[1] * t.log_T300); }

PCS_FN inline Vec rate_coefficient(Law law, const Vec* p, const Temperature& t, const Vec* condition) {
    switch (law) {
        case Law::arrhenius:
            return arrhenius(p, t);
        case Law::cosmic_ray:
            return cosmic_ray(p, condition[0]);
        case Law::arrhenius_range:
            return arrhenius_range(p, t);
        case Law::ionpol1:
            return ionpol1(p, t.T);
        case Law::ionpol2:
            return ionpol2(p, t.T);
        case Law::cosmic_ray_range:
            return condition[0] * arrhenius_range(p, t);
        case Law::photo:
            return photo(p, condition[0], condition[1]);
        case Law::grain:
            return grain(p, t);
        case Law::expression:
        case Law::grain_expression:
            break;  // the program's
    }
    __builtin_unreachable();  // the tables were validated
}

// A cell whose coefficients are wanted in one lane of k; formula_lane: where the formulas' values are already, -1: they
// are still to be evaluated.
struct RateInput {
    int lane;
    double temperature_K, n_H;
    const double* conditions;
    int formula_lane = -1;
};

// What formulas read of some cells, each in its lane; idle lanes repeat the first cell. `given`: scratch (conditions).
PCS_FN inline FormulaInput input_of(const PlanView& plan, const RateInput* cells, int n_cells, Vec* given) {
    FormulaInput input{broadcast(cells[0].temperature_K), broadcast(cells[0].n_H), given};
    for (int i = 0; i < plan.n_conditions; ++i) given[i] = broadcast(cells[0].conditions[i]);
    for (int c = 1; c < W && c < n_cells; ++c) {
        const int lane = cells[c].lane;
        input.temperature_K[lane] = cells[c].temperature_K;
        input.n_H[lane] = cells[c].n_H;
        for (int i = 0; i < plan.n_conditions; ++i) given[i][lane] = cells[c].conditions[i];
    }
    return input;
}

// Vectors that the functions below need beside the coefficients: shapes, then the values of the formulas.
PCS_FN inline size_t rate_scratch(const PlanView& plan) { return plan.n_rates + plan.n_values; }
PCS_FN inline Vec* formula_values(const PlanView& plan, Vec* scratch) { return scratch + plan.n_rates; }

// The formulas of some cells, each in its lane.
PCS_FN inline void evaluate(const PlanView& plan, const RateInput* cells, int n_cells, Vec* value) {
    Vec given[max_network_conditions];
    evaluate(plan, input_of(plan, cells, n_cells, given), value);
}

// The coefficients of some cells; `per_second`: for their fractions x = n / n_H, with the powers of n_H that make all
// of them 1/s, else for densities n. Vectors run over shapes first, one cell at a time, then over cells; formulas over
// cells alone. `shapes` is scratch (rate_scratch).
PCS_FN inline void shapes_of(const PlanView& plan, const RateInput* cells, int n_cells, Vec* shapes, bool per_second) {
    Temperature t[W];
    for (int c = 0; c < n_cells; ++c) t[c] = temperature_of(broadcast(cells[c].temperature_K));
    for (int s = 0; s < plan.n_shapes; ++s) shapes[s] = Vec{};
    Vec* const value = formula_values(plan, shapes);
    const bool evaluated = cells[0].formula_lane >= 0;
    if (plan.n_values > 0 && !evaluated) evaluate(plan, cells, n_cells, value);
    for (int g = 0; g < plan.n_groups; ++g) {
        const Group& group = plan.groups[g];
        double scale[W] = {};
        Vec condition[W][max_conditions] = {};
        for (int c = 0; c < n_cells; ++c) {
            scale[c] = 1.0;
            for (int power = 0; per_second && power < group.density_power; ++power) scale[c] *= cells[c].n_H;
            for (int i = 0; i < max_conditions; ++i)
                if (group.conditions[i] >= 0) condition[c][i] = broadcast(cells[c].conditions[group.conditions[i]]);
        }
        if (is_formula(group.law)) {
            for (int s = group.shape_begin; s < group.shape_end; ++s)
                for (int c = 0; c < n_cells; ++c) {
                    const int lane = cells[c].lane, from = evaluated ? cells[c].formula_lane : lane;
                    shapes[s][lane] = value[value_of_shape(plan, s)][from] * scale[c];
                }
            continue;
        }
        for (int s = group.shape_begin; s < group.shape_end; s += W) {
            Vec p[n_parameters];
            for (int i = 0; i < n_parameters; ++i) p[i] = load(plan.parameters + i * plan.n_shapes + s);
            for (int c = 0; c < n_cells; ++c) {
                const Vec value = rate_coefficient(group.law, p, t[c], condition[c]) * scale[c];
                for (int i = 0; i < W; ++i) shapes[s + i][cells[c].lane] = value[i];
            }
        }
    }
}
PCS_FN inline void rate_coefficients(const PlanView& plan, const RateInput* cells, int n_cells, Vec* k, Vec* shapes,
                                     bool per_second = true) {
    Int fresh = {};
    for (int c = 0; c < n_cells; ++c) fresh[cells[c].lane] = -1;
    shapes_of(plan, cells, n_cells, shapes, per_second);
    for (int r = 0; r < plan.n_rates; ++r) k[r] = fresh ? plan.strength[r] * shapes[plan.shape[r]] : k[r];
}

// The coefficients of W cells in the reduced form, per unit n_H dt: conditions are divided by n_H, so one- and two-body
// coefficients lose their n_H alike (the network has that symmetry, or it has no surrogate).
PCS_FN PCS_APART inline void rate_coefficients(const PlanView& plan, Vec temperature_K, const Vec* conditions, Vec* k,
                                               Vec* shapes) {
    const Temperature t = temperature_of(temperature_K);
    Vec* const value = formula_values(plan, shapes);
    if (plan.n_values > 0) evaluate(plan, {temperature_K, broadcast(1.0), conditions}, value);
    for (int g = 0; g < plan.n_groups; ++g) {
        const Group& group = plan.groups[g];
        Vec condition[max_conditions] = {};
        for (int c = 0; c < max_conditions; ++c)
            if (group.conditions[c] >= 0) condition[c] = conditions[group.conditions[c]];
        for (int s = group.shape_begin; s < group.shape_end; ++s) {
            if (is_formula(group.law)) {
                shapes[s] = value[value_of_shape(plan, s)];
                continue;
            }
            Vec p[n_parameters];
            for (int i = 0; i < n_parameters; ++i) p[i] = broadcast(plan.parameters[i * plan.n_shapes + s]);
            shapes[s] = rate_coefficient(group.law, p, t, condition);
        }
    }
    for (int r = 0; r < plan.n_rates; ++r) k[r] = plan.strength[r] * shapes[plan.shape[r]];
}

}  // namespace pcs::PCS_ISA
