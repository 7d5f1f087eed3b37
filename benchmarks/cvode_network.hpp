// A network of any size from its plain arrays (docs/architecture.md), for cvode_driver.cpp: rate coefficients,
// right-hand side and Jacobian in compressed columns. SPDX-License-Identifier: BSD-3-Clause
//
// Scalar, driven by lists, and written apart from the native core, whose plans and kernels it does not read.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <utility>
#include <vector>

// The arrays of NetworkTables: S species, R reactions, P products; a missing species or condition is -1.
// order (S): the species in the order of the unknowns, which is the order of elimination if KLU is told so.
struct NetworkArrays {
    std::int32_t n_species, n_reactions, n_products, n_conditions;
    const std::int32_t *reactants, *products, *law, *law_conditions;
    const double *parameters, *scale_weights;
    const std::int32_t* order;
};

// y_i = sum of v[plus_i] - sum of v[minus_i]; a coefficient of 2 is two terms.
class Sums {
  public:
    void append(const std::vector<std::int32_t>& plus, const std::vector<std::int32_t>& minus) {
        term_.insert(term_.end(), plus.begin(), plus.end());
        end_.push_back(static_cast<std::int32_t>(term_.size()));
        term_.insert(term_.end(), minus.begin(), minus.end());
        end_.push_back(static_cast<std::int32_t>(term_.size()));
    }
    void operator()(const double* v, double* y) const {
        const std::int32_t *term = term_.data(), *next = term;
        for (std::size_t i = 0; i < end_.size(); i += 2) {
            const double plus = sum(v, next, term + end_[i]);
            *y++ = plus - sum(v, next, term + end_[i + 1]);
        }
    }

  private:
    // Four partial sums, for speed: an addition need not wait for the one before.
    static double sum(const double* v, const std::int32_t*& next, const std::int32_t* end) {
        double a = 0, b = 0, c = 0, d = 0;
        for (; end - next >= 4; next += 4) a += v[next[0]], b += v[next[1]], c += v[next[2]], d += v[next[3]];
        for (; next < end; ++next) a += v[*next];
        return (a + b) + (c + d);
    }

    std::vector<std::int32_t> term_, end_;  // end_: of the plus terms, then of the minus terms, row by row
};

class CvodeNetwork {
  public:
    explicit CvodeNetwork(const NetworkArrays& a)
        : n_species(a.n_species),
          n_reactions(a.n_reactions),
          n_conditions(a.n_conditions),
          order(a.order, a.order + n_species),
          law_(a.law, a.law + n_reactions),
          condition_(a.law_conditions, a.law_conditions + 2 * n_reactions),
          parameter_(a.parameters, a.parameters + 7 * n_reactions),
          weight_(a.scale_weights, a.scale_weights + n_species),
          factor_(3 * static_cast<std::size_t>(n_reactions), n_species),
          rate_(n_reactions),
          padded_(n_species + 1, 1.0) {
        std::vector<std::int32_t> position(n_species);
        for (int u = 0; u < n_species; ++u) position[order[u]] = u;

        using Terms = std::pair<std::vector<std::int32_t>, std::vector<std::int32_t>>;  // plus, minus
        std::vector<Terms> rhs(n_species);
        std::map<std::pair<int, int>, Terms> jacobian;  // (column, row)
        for (int i = 0; i < n_species; ++i) jacobian[{i, i}];
        for (int r = 0; r < n_reactions; ++r) {
            std::map<int, int> net;
            int bodies = 0;
            for (int s = 0; s < 3; ++s)
                if (const int species = a.reactants[3 * r + s]; species >= 0) {
                    --net[position[species]];
                    if (bodies == 0 || law_[r] != grain) factor_[3 * r + bodies++] = position[species];
                }
            for (int p = 0; p < a.n_products; ++p)
                if (const int species = a.products[a.n_products * r + p]; species >= 0) ++net[position[species]];
            density_power_.push_back(law_[r] == grain ? 1 : bodies - 1);
            const auto first = static_cast<std::int32_t>(partial_reaction_.size());
            for (int s = 0; s < bodies; ++s) {
                partial_reaction_.push_back(r);
                partial_factor_.push_back(factor_[3 * r + (s + 1) % 3]);
                partial_factor_.push_back(factor_[3 * r + (s + 2) % 3]);
            }
            for (const auto& [i, count] : net) {
                const auto add = [count = count](Terms& to, std::int32_t term) {
                    auto& list = count > 0 ? to.first : to.second;
                    list.insert(list.end(), std::abs(count), term);
                };
                add(rhs[i], r);
                for (int s = 0; count && s < bodies; ++s) add(jacobian[{factor_[3 * r + s], i}], first + s);
            }
        }
        partial_.resize(partial_reaction_.size());
        for (const auto& [plus, minus] : rhs) rhs_.append(plus, minus);
        column_begin.assign(n_species + 1, 0);
        for (const auto& [place, terms] : jacobian) {
            ++column_begin[place.first + 1];
            row.push_back(place.second);
            jacobian_.append(terms.first, terms.second);
        }
        for (int j = 0; j < n_species; ++j) column_begin[j + 1] += column_begin[j];
    }

    // k (reactions) in 1/s for x = n / n_H at T [K]; the formulas are those of network/rate_laws/.
    void rates(double T, const double* conditions, double n_H, double* k) const {
        const double log_T300 = std::log(T / 300.0), inverse_T = 1.0 / T;
        for (int r = 0; r < n_reactions; ++r) {
            const double* p = &parameter_[7 * r];
            const auto condition = [&](int c) { return conditions[condition_[2 * r + c]]; };
            const auto in_range = [&](auto formula) {
                return p[5] <= T && T < p[6] ? formula(std::clamp(T, p[3], p[4])) : 0.0;
            };
            const auto kooij = [&](double at) { return p[0] * std::pow(at / 300.0, p[1]) * std::exp(-p[2] / at); };
            const auto dipole = [&](double at) { return p[2] * std::sqrt(300.0 / at); };
            switch (law_[r]) {
                case arrhenius:
                    k[r] = p[0] * std::exp(p[1] * log_T300 - p[2] * inverse_T);
                    break;
                case cosmic_ray:
                    k[r] = p[0] * condition(0);
                    break;
                case arrhenius_range:
                    k[r] = in_range(kooij);
                    break;
                case ionpol1:
                    k[r] = in_range([&](double at) { return p[0] * p[1] * (0.62 + 0.4767 * dipole(at)); });
                    break;
                case ionpol2:
                    k[r] = in_range([&](double at) {
                        const double s = dipole(at);
                        return p[0] * p[1] * (1.0 + 0.0967 * s + s * s / 10.526);
                    });
                    break;
                case cosmic_ray_range:
                    k[r] = condition(0) * in_range(kooij);
                    break;
                case photo:
                    k[r] = p[0] * condition(1) * std::exp(-p[1] * condition(0));
                    break;
                case grain:
                    k[r] = p[0] * std::exp(p[1] * log_T300);
                    break;
                default:
                    throw std::invalid_argument("cvode_network.hpp has no formula for a rate law: add it to rates()");
            }
            for (int power = 0; power < density_power_[r]; ++power) k[r] *= n_H;
        }
    }

    // f (unknowns) = dx/dt [1/s].
    void rhs(const double* k, const double* x, double* f) {
        const double* y = padded(x);
        for (int r = 0; r < n_reactions; ++r) {
            const std::int32_t* a = &factor_[3 * r];
            rate_[r] = k[r] * y[a[0]] * y[a[1]] * y[a[2]];
        }
        rhs_(rate_.data(), f);
    }

    // J: the entries column by column, rows ascending, as column_begin and row have them.
    void jacobian(const double* k, const double* x, double* J) {
        const double* y = padded(x);
        for (std::size_t p = 0; p < partial_.size(); ++p)
            partial_[p] = k[partial_reaction_[p]] * y[partial_factor_[2 * p]] * y[partial_factor_[2 * p + 1]];
        jacobian_(partial_.data(), J);
    }

    // n_H [cm^-3] of densities in the host's order.
    double hydrogen(const double* n) const {
        double sum = 0;
        for (int i = 0; i < n_species; ++i) sum += weight_[i] * n[i];
        return sum;
    }

    const int n_species, n_reactions, n_conditions;
    const std::vector<std::int32_t> order;
    std::vector<std::int64_t> column_begin, row;  // of the Jacobian, every diagonal entry included

  private:
    enum Law { arrhenius, cosmic_ray, arrhenius_range, ionpol1, ionpol2, cosmic_ray_range, photo, grain };

    // x and a 1 behind it, which the factors that a rate does not have point at.
    const double* padded(const double* x) {
        std::copy_n(x, n_species, padded_.begin());
        return padded_.data();
    }

    std::vector<std::int32_t> law_, condition_, density_power_;
    std::vector<double> parameter_, weight_;
    std::vector<std::int32_t> factor_, partial_reaction_, partial_factor_;
    Sums rhs_, jacobian_;
    std::vector<double> rate_, partial_, padded_;  // scratch
};
