// From the network's tables to the plan. SPDX-License-Identifier: BSD-3-Clause
#include "pcs/plan.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "pcs/image.hpp"

namespace pcs {

namespace {

constexpr int lane_padding = 8;     // doubles in the widest register
constexpr int large_network = 100;  // species; from here on the end of the matrix is rounded up and reordered

void require(bool condition, const std::string& message) {
    if (!condition) throw std::invalid_argument("network tables: " + message);
}

int conditions_of(Law law) {
    switch (law) {
        case Law::cosmic_ray:
        case Law::cosmic_ray_range:
            return 1;
        case Law::photo:
            return 2;
        default:
            return 0;
    }
}

// How many reactants a rate is proportional to: on grains the first alone, n_H stands for the grains.
int bodies_of(const NetworkTables& t, int reaction) {
    if (const auto law = static_cast<Law>(t.law[reaction]); law == Law::grain || law == Law::grain_expression) return 1;
    const auto* first = &t.reactants[reaction * max_reactants];
    return static_cast<int>(std::count_if(first, first + max_reactants, [](int s) { return s >= 0; }));
}

// How many rows and columns at the end of a pattern (S, S) to treat as full: those that are, a multiple of `lu_tile`;
// in large networks also sparse ones, as many as pay where a multiplication costs twice as much before the full block
// as in it (measured).
int dense_rows(const std::vector<char>& pattern, int S) {
    int full = 0;
    for (bool whole = true; whole && full < S; full += whole)
        for (int i = S - full - 1, j = i; whole && j < S; ++j) whole = pattern[i * S + j] && pattern[j * S + i];
    int best = full / lu_tile * lu_tile;
    if (S < large_network) return best;

    std::vector<long> below(S, 0), beside(S, 0);  // entries under and right of each diagonal
    for (int i = 0; i < S; ++i)
        for (int j = 0; j < S; ++j)
            if (pattern[i * S + j] && i != j) ++(j < i ? below[j] : beside[i]);
    std::vector<long> sparse(S + 1, 0);  // multiplications of the first rows
    for (int i = 0; i < S; ++i) sparse[i + 1] = sparse[i] + below[i] * beside[i];
    const auto cost = [&](long rows) { return 2 * sparse[S - rows] + rows * rows * rows / 3; };
    for (int rows = best; rows <= S; rows += lu_tile)
        if (cost(rows) < cost(best)) best = rows;
    return best;
}

// The species from `dense` on, in which order elimination is free, so that each `lu_tile` of them have L and U alike:
// the fullest that is left, then whoever differs least from all in its tile so far.
std::vector<int> tile_order(const std::vector<char>& pattern, int S, int dense) {
    const auto difference = [&](const std::vector<char>& filled, int i) {
        int count = 0;
        for (int k = 0; k < dense; ++k)
            count += (filled[k] != pattern[i * S + k]) + (filled[dense + k] != pattern[k * S + i]);
        return count;
    };
    std::vector<int> order;
    std::vector<char> done(S, 0), filled;
    while (static_cast<int>(order.size()) < S - dense) {
        const bool first = order.size() % lu_tile == 0;
        if (first) filled.assign(2 * dense, 0);
        int best = -1, best_cost = 0;
        for (int i = dense; i < S; ++i) {
            if (done[i]) continue;
            const int cost = first ? -difference(filled, i) : difference(filled, i);
            if (best < 0 || cost < best_cost) best = i, best_cost = cost;
        }
        done[best] = 1;
        order.push_back(best);
        for (int k = 0; k < dense; ++k) filled[k] |= pattern[best * S + k], filled[dense + k] |= pattern[k * S + best];
    }
    return order;
}

// The net stoichiometry of one reaction by host species, catalysts dropped.
std::map<int, int> net_stoichiometry(const NetworkTables& t, int reaction) {
    std::map<int, int> net;
    for (int k = 0; k < max_reactants; ++k)
        if (int s = t.reactants[reaction * max_reactants + k]; s >= 0) --net[s];
    for (int k = 0; k < t.n_products; ++k)
        if (int s = t.products[reaction * t.n_products + k]; s >= 0) ++net[s];
    std::erase_if(net, [](const auto& item) { return item.second == 0; });
    return net;
}

// Every value of the program must be made of values before it.
void check_program(const NetworkTables& t) {
    require(t.expression_code.size() % 4 == 0, "expression_code must be (instructions, 4)");
    const auto values = static_cast<std::int32_t>(t.expression_code.size() / 4);
    for (std::int32_t i = 0; i < values; ++i) {
        const std::int32_t* code = &t.expression_code[4 * static_cast<std::size_t>(i)];
        const std::string name = "instruction " + std::to_string(i) + " of the rate formulas";
        require(code[0] >= 0 && code[0] < n_operations, name + " has an unknown operation");
        const auto operation = static_cast<Operation>(code[0]);
        const int operands = n_operands[code[0]];
        for (int k = 0; k < operands; ++k)
            require(code[1 + k] >= 0 && code[1 + k] < i, name + " reads a value that is not computed before it");
        if (operation == Operation::constant)
            require(code[1] >= 0 && code[1] < static_cast<std::int64_t>(t.expression_constants.size()),
                    name + " reads a constant that is not there");
        if (operation == Operation::condition)
            require(code[1] >= 0 && code[1] < t.n_conditions(), name + " reads an unknown condition");
    }
}

}  // namespace

bool NetworkTables::reads_density() const {
    for (std::size_t i = 0; i < expression_code.size(); i += 4)
        if (expression_code[i] == static_cast<std::int32_t>(Operation::density)) return true;
    return false;
}

namespace {

// Whether a name is made of letters, digits and these signs, of the first at least one, and no longer than `most`.
// network/species.py has the same for network files.
bool is_name(const std::string& text, const char* signs, std::size_t most) {
    bool spelt = false;
    for (const char c : text) {
        const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!plain && (c == 0 || !std::strchr(signs, c))) return false;
        spelt |= plain;
    }
    return spelt && text.size() <= most;
}

}  // namespace

void NetworkTables::validate() const {
    const auto S = species.size(), Q = conserved.size(), R = law.size();
    require(S > 0, "no species");
    for (const std::string& name : species)
        require(is_name(name, "_+-()[]", 40), "a species has no name of letters, digits and _ + - ( ) [ ], 40 at most");
    for (const std::string& name : conserved)
        require(is_name(name, "_", 40), "an element has no name of letters, digits and _, 40 at most");
    for (const std::string& name : conditions)
        require(is_name(name, "_", 40), "a condition has no name of letters, digits and _, 40 at most");
    require(Q >= 1 && Q <= max_conserved, "between 1 and 32 conserved quantities are supported");
    require(composition.size() == Q * S, "composition must be (conserved, species)");
    require(scale_weights.size() == S, "scale_weights must have one value a species");
    require(reactants.size() == R * max_reactants, "reactants must be (reactions, 3)");
    require(n_products >= 0 && products.size() == R * static_cast<std::size_t>(n_products),
            "products must be (reactions, P)");
    require(law_conditions.size() == R * max_conditions, "law_conditions must be (reactions, 2)");
    require(parameters.size() == R * n_parameters, "parameters must be (reactions, 7)");
    const auto in_range = [S](std::int32_t s) { return s >= -1 && s < static_cast<std::int32_t>(S); };
    require(std::all_of(reactants.begin(), reactants.end(), in_range), "a reactant is no species");
    require(std::all_of(products.begin(), products.end(), in_range), "a product is no species");
    const auto finite = [](double v) { return std::isfinite(v); };
    require(std::all_of(parameters.begin(), parameters.end(), finite), "a rate parameter is not finite");
    require(std::all_of(composition.begin(), composition.end(), finite), "composition is not finite");
    require(mass_g.size() == S, "mass_g must have one value a species");
    require(std::none_of(mass_g.begin(), mass_g.end(), [](double m) { return m < 0 || std::isinf(m); }),
            "a mass is negative or infinite");
    require(std::all_of(expression_constants.begin(), expression_constants.end(), finite),
            "a constant of the rate formulas is not finite");
    require(conditions.size() <= max_network_conditions, "at most 32 conditions are supported");
    check_program(*this);
    double weight = 0;
    for (double w : scale_weights) {
        require(std::isfinite(w) && w >= 0, "scale_weights must be finite and not negative");
        weight += w;
    }
    require(weight > 0, "scale_weights must not all be zero");
    for (std::size_t r = 0; r < R; ++r) {
        const std::string name = "reaction " + std::to_string(r + 1);
        require(law[r] >= 0 && law[r] < n_laws, name + " has an unknown rate law");
        for (int c = 0; c < max_conditions; ++c) {
            const std::int32_t condition = law_conditions[r * max_conditions + c];
            require(condition >= -1 && condition < n_conditions(), "a rate law reads an unknown condition");
            require((c < conditions_of(static_cast<Law>(law[r]))) == (condition >= 0),
                    name + " does not name the conditions that its rate law reads");
        }
        require(reactants[r * max_reactants] >= 0, name + " has no reactant");
        if (!is_formula(static_cast<Law>(law[r]))) continue;
        const double value = parameters[r * n_parameters + 1];
        require(value >= 0 && value < static_cast<double>(expression_code.size() / 4) && value == std::floor(value),
                name + " names no value of the rate formulas");
    }
}

Plan::Plan(const NetworkTables& tables) {
    tables.validate();
    n_species_ = tables.n_species();
    n_conserved_ = tables.n_conserved();
    n_conditions_ = tables.n_conditions();
    order_species(tables);
    gather_composition(tables);
    group_reactions(tables);
    gather_shapes(tables);
    gather_program(tables);
    gather_rhs(tables);
    gather_jacobian();
    gather_tiles();
    gather_terms();
    gather_levels();
    publish();
}

// Markowitz (1957) on the diagonal: eliminate next whoever makes least fill. No pivoting: the diagonal holds
// 1 / (gamma h) and the loss frequencies.
void Plan::order_species(const NetworkTables& tables) {
    const int S = n_species_;
    std::vector<char> pattern(static_cast<std::size_t>(S) * S, 0);
    for (int i = 0; i < S; ++i) pattern[i * S + i] = 1;
    for (int r = 0; r < tables.n_reactions(); ++r)
        for (const auto& [i, count] : net_stoichiometry(tables, r))
            for (int k = 0; k < max_reactants; ++k)
                if (int j = tables.reactants[r * max_reactants + k]; j >= 0) pattern[i * S + j] = 1;

    std::vector<char> done(S, 0);
    std::vector<int> in_row(S, 0), in_column(S, 0), row, column;  // counts and lists among species that are not done
    for (int i = 0; i < S; ++i)
        for (int j = 0; j < S; ++j)
            if (pattern[i * S + j]) ++in_row[i], ++in_column[j];
    position_.assign(S, 0);
    for (int step = 0; step < S; ++step) {
        int best = -1;
        long best_cost = 0;
        for (int i = 0; i < S; ++i) {
            if (done[i]) continue;
            const long cost = static_cast<long>(in_row[i] - 1) * (in_column[i] - 1);
            if (best < 0 || cost < best_cost) best = i, best_cost = cost;
        }
        done[best] = 1;
        position_[best] = step;
        order_.push_back(best);
        row.clear(), column.clear();
        for (int i = 0; i < S; ++i) {
            if (done[i]) continue;
            if (pattern[i * S + best]) column.push_back(i), --in_row[i];
            if (pattern[best * S + i]) row.push_back(i), --in_column[i];
        }
        for (int i : column)
            for (int j : row)
                if (!pattern[i * S + j]) pattern[i * S + j] = 1, ++in_row[i], ++in_column[j];
    }

    // The pattern, fill included, row by row in the new order.
    std::vector<char> ordered(pattern.size());
    for (int i = 0; i < S; ++i)
        for (int j = 0; j < S; ++j) ordered[i * S + j] = pattern[order_[i] * S + order_[j]];
    dense_ = S - dense_rows(ordered, S);
    if (S >= large_network) {
        const auto last = tile_order(ordered, S, dense_);
        std::vector<std::int32_t> old(order_);
        for (int i = dense_; i < S; ++i) order_[i] = old[last[i - dense_]], position_[order_[i]] = i;
        for (int i = 0; i < S; ++i)
            for (int j = 0; j < S; ++j) ordered[i * S + j] = pattern[order_[i] * S + order_[j]];
    }
    for (int i = dense_; i < S; ++i) std::fill_n(&ordered[i * S + dense_], S - dense_, 1);
    row_begin_ = {0};
    for (int i = 0; i < S; ++i) {
        for (int j = 0; j < S; ++j)
            if (ordered[i * S + j]) {
                if (i == j) diagonal_.push_back(static_cast<std::int32_t>(column_.size()));
                column_.push_back(j);
            }
        row_begin_.push_back(static_cast<std::int32_t>(column_.size()));
    }

    for (int i = 0; i < S; ++i) scale_weights_.push_back(tables.scale_weights[order_[i]]);
}

void Plan::gather_composition(const NetworkTables& tables) {
    const int S = n_species_, Q = n_conserved_;
    composition_.resize(static_cast<std::size_t>(Q) * S);
    for (int q = 0; q < Q; ++q)
        for (int i = 0; i < S; ++i) composition_[q * S + i] = tables.composition[q * S + order_[i]];
    const auto count = [&](int q, int i) { return composition_[q * S + i]; };
    for (int q = 0; q < Q; ++q) {
        most_held_.push_back(0);
        for (int i = 0; i < S; ++i)
            if (count(q, i) != 0) {
                held_.entry.push_back(i);
                held_count_.push_back(count(q, i));
                most_held_[q] = std::max(most_held_[q], std::abs(count(q, i)));
            }
        held_.close();
        for (int p = 0; p < q; ++p) {
            for (int i = 0; i < S; ++i)
                if (const double product = count(q, i) * count(p, i); product != 0) {
                    both_.entry.push_back(i);
                    both_count_.push_back(product);
                }
            both_.close();
        }
    }
    std::map<std::pair<int, double>, std::int32_t> numbers;
    for (int i = 0; i < S; ++i) {
        for (int q = 0; q < Q; ++q) {
            if (count(q, i) == 0) continue;
            const auto [item, is_new] = numbers.try_emplace({q, count(q, i)}, static_cast<std::int32_t>(count_.size()));
            if (is_new) count_of_.push_back(q), count_.push_back(count(q, i));
            counts_.entry.push_back(item->second);
        }
        counts_.close();
    }
}

void Plan::group_reactions(const NetworkTables& tables) {
    std::map<std::tuple<int, int>, std::vector<int>> by_kind;  // (bodies, law): equal laws read equal conditions
    for (int r = 0; r < tables.n_reactions(); ++r) by_kind[{bodies_of(tables, r), tables.law[r]}].push_back(r);
    for (auto& [kind, reactions] : by_kind) {
        // Equal temperature ranges side by side (parameters 3 and 4 of the laws with a range).
        std::stable_sort(reactions.begin(), reactions.end(), [&tables](int a, int b) {
            const double *p = &tables.parameters[a * n_parameters], *q = &tables.parameters[b * n_parameters];
            return std::tie(p[3], p[4]) < std::tie(q[3], q[4]);
        });
        const auto [bodies, law] = kind;
        const std::int32_t* condition = &tables.law_conditions[reactions[0] * max_conditions];
        const auto begin = static_cast<std::int32_t>(reaction_of_.size());
        reaction_of_.insert(reaction_of_.end(), reactions.begin(), reactions.end());
        groups_.push_back({static_cast<Law>(law),
                           bodies,
                           static_cast<Law>(law) == Law::grain ? 1 : bodies - 1,
                           {condition[0], condition[1]},
                           begin,
                           static_cast<std::int32_t>(reaction_of_.size()),
                           0,
                           0});
        while (reaction_of_.size() % lane_padding) reaction_of_.push_back(-1);
    }
    n_rates_ = static_cast<int>(reaction_of_.size());
    for (int k = 0; k < n_rates_; ++k) {
        const int r = reaction_of_[k];
        std::int32_t slot[max_reactants] = {0, 0, 0};
        int count = 0;
        if (r >= 0)
            for (int k = 0; k < max_reactants; ++k)
                if (int s = tables.reactants[r * max_reactants + k]; s >= 0) slot[count++] = position_[s];
        reactants_.insert(reactants_.end(), slot, slot + max_reactants);
    }
}

// The parameters but the first, each set once in a group, in the order of the reactions.
void Plan::gather_shapes(const NetworkTables& tables) {
    using Shape = std::array<double, n_parameters>;
    std::vector<Shape> shapes;
    strength_.assign(n_rates_, 0);
    for (Group& group : groups_) {
        std::map<Shape, std::int32_t> numbers;
        group.shape_begin = static_cast<std::int32_t>(shapes.size());
        for (int k = group.begin; k < group.end; ++k) {
            Shape shape;
            std::copy_n(&tables.parameters[reaction_of_[k] * n_parameters], n_parameters, shape.begin());
            strength_[k] = std::exchange(shape[0], 1.0);
            const auto [item, is_new] = numbers.try_emplace(shape, static_cast<std::int32_t>(shapes.size()));
            if (is_new) shapes.push_back(shape);
            shape_.push_back(item->second);
        }
        group.shape_end = static_cast<std::int32_t>(shapes.size());
        shape_.resize((shape_.size() + lane_padding - 1) / lane_padding * lane_padding, shape_.back());
        shapes.resize((shapes.size() + lane_padding - 1) / lane_padding * lane_padding, shapes.back());
    }
    for (int p = 0; p < n_parameters; ++p)
        for (const Shape& shape : shapes) parameters_.push_back(shape[p]);
}

void Plan::gather_program(const NetworkTables& tables) {
    for (std::size_t i = 0; i < tables.expression_code.size(); i += 4) {
        const std::int32_t* code = &tables.expression_code[i];
        program_.push_back({static_cast<Operation>(code[0]), code[1], code[2], code[3]});
    }
    constants_ = tables.expression_constants;
}

void Plan::gather_rhs(const NetworkTables& tables) {
    net_.resize(n_rates_);
    partial_of_.resize(n_rates_);
    for (int k = 0; k < n_rates_; ++k)
        if (reaction_of_[k] >= 0)
            for (const auto& [s, count] : net_stoichiometry(tables, reaction_of_[k])) {
                net_[k].push_back(position_[s]);
                net_[k].push_back(count);
            }
    std::vector<std::vector<std::int32_t>> gain(n_species_), loss(n_species_);
    for (int k = 0; k < n_rates_; ++k)
        for (std::size_t e = 0; e < net_[k].size(); e += 2) {
            auto& list = net_[k][e + 1] > 0 ? gain[net_[k][e]] : loss[net_[k][e]];
            list.insert(list.end(), std::abs(net_[k][e + 1]), k);
        }
    for (int i = 0; i < n_species_; ++i) {
        gain_.entry.insert(gain_.entry.end(), gain[i].begin(), gain[i].end());
        loss_.entry.insert(loss_.entry.end(), loss[i].begin(), loss[i].end());
        gain_.close();
        loss_.close();
    }
}

// d(rate)/dx_j is k times the other reactants; of two equal reactants each gives one slot entry, so 2 k x comes out.
void Plan::gather_jacobian() {
    for (const Group& group : groups_)
        for (int k = group.begin; k < group.end; ++k) {
            const std::int32_t* a = &reactants_[k * max_reactants];
            if (group.bodies == 1) partial_of_[k] = {a[0], k};
            if (group.bodies == 2)
                for (int j = 0; j < 2; ++j) {
                    partial_of_[k].insert(partial_of_[k].end(),
                                          {a[j], n_rates_ + static_cast<std::int32_t>(pair_rate_.size())});
                    pair_rate_.push_back(k);
                    pair_other_.push_back(a[1 - j]);
                }
        }
    const auto first_triple = n_rates_ + static_cast<std::int32_t>(pair_rate_.size());
    for (const Group& group : groups_)
        for (int k = group.begin; group.bodies == 3 && k < group.end; ++k)
            for (int j = 0; j < 3; ++j) {
                const std::int32_t* a = &reactants_[k * max_reactants];
                partial_of_[k].insert(partial_of_[k].end(),
                                      {a[j], first_triple + static_cast<std::int32_t>(triple_rate_.size())});
                triple_rate_.push_back(k);
                triple_other_.insert(triple_other_.end(), {a[(j + 1) % 3], a[(j + 2) % 3]});
            }

    std::map<std::pair<int, int>, std::vector<std::int32_t>> plus, minus;  // (row, column) -> slots
    std::vector<std::vector<std::int32_t>> frequency(n_species_);
    for (int k = 0; k < n_rates_; ++k)
        for (std::size_t e = 0; e < net_[k].size(); e += 2) {
            const int i = net_[k][e], count = net_[k][e + 1];
            for (std::size_t p = 0; p < partial_of_[k].size(); p += 2) {
                const int j = partial_of_[k][p], slot = partial_of_[k][p + 1];
                auto& list = count > 0 ? plus[{i, j}] : minus[{i, j}];
                list.insert(list.end(), std::abs(count), slot);
            }
            if (count < 0)  // rate / x_i: the first slot of this species
                for (std::size_t p = 0; p < partial_of_[k].size(); p += 2)
                    if (partial_of_[k][p] == i) {
                        frequency[i].insert(frequency[i].end(), -count, partial_of_[k][p + 1]);
                        break;
                    }
        }
    for (int i = 0; i < n_species_; ++i) {
        frequency_.entry.insert(frequency_.entry.end(), frequency[i].begin(), frequency[i].end());
        frequency_.close();
        for (int e = row_begin_[i]; e < row_begin_[i + 1]; ++e) {
            const auto &add = plus[{i, column_[e]}], &subtract = minus[{i, column_[e]}];
            plus_.entry.insert(plus_.entry.end(), add.begin(), add.end());
            minus_.entry.insert(minus_.entry.end(), subtract.begin(), subtract.end());
            plus_.close();
            minus_.close();
        }
    }
}

// L and U beside the full block in panels of `lu_tile` rows or columns.
void Plan::gather_tiles() {
    const int size = n_species_ - dense_, tiles = size / lu_tile;
    std::vector<std::vector<int>> left(tiles, std::vector<int>(dense_, -1)), upper = left;  // place of each pivot
    const auto number = [](std::vector<int>& places) {
        int count = 0;
        for (int& place : places)
            if (place == 0) place = count++;
        return count;
    };
    place_ = column_;
    for (int I = 0; I < tiles; ++I) {
        const int first = dense_ + lu_tile * I;
        for (std::int32_t e = row_begin_[first]; e < row_begin_[first + lu_tile]; ++e)
            if (column_[e] < dense_) left[I][column_[e]] = 0;
        most_left_ = std::max(most_left_, number(left[I]));
        for (int k = 0; k < dense_; ++k) {
            if (left[I][k] < 0) continue;
            left_pivot_.push_back(k);
            for (std::int32_t e = diagonal_[k] + 1; e < row_begin_[k + 1] && column_[e] < dense_; ++e)
                update_.push_back(lu_tile * left[I][column_[e]]);
            update_begin_.push_back(static_cast<std::int32_t>(update_.size()));
        }
        left_begin_.push_back(static_cast<std::int32_t>(left_pivot_.size()));
        for (int i = first; i < first + lu_tile; ++i)
            for (std::int32_t e = row_begin_[i]; e < row_begin_[i + 1]; ++e)
                place_[e] = column_[e] < dense_ ? lu_tile * left[I][column_[e]] + i - first : column_[e] - dense_;
    }
    for (int i = 0; i < dense_; ++i)
        for (std::int32_t e = diagonal_[i]; e < row_begin_[i + 1]; ++e)
            if (column_[e] >= dense_) upper[(column_[e] - dense_) / lu_tile][i] = 0;
    for (auto& places : upper) upper_begin_.push_back(upper_begin_.back() + number(places));
    for (int i = 0; i < dense_; ++i)
        for (std::int32_t e = diagonal_[i]; e < row_begin_[i + 1]; ++e)
            if (const int column = column_[e] - dense_, J = column / lu_tile; column >= 0) {
                upper_entry_.push_back(e);
                upper_place_.push_back(lu_tile * (upper_begin_[J] + upper[J][i]) + column % lu_tile);
            }
    for (int I = 0; I < tiles; ++I)
        for (int J = 0; J < tiles; ++J) {
            for (int k = 0; k < dense_; ++k)
                if (left[I][k] >= 0 && upper[J][k] >= 0)
                    shared_.push_back(
                        {static_cast<std::uint16_t>(left[I][k]), static_cast<std::uint16_t>(upper[J][k])});
            shared_begin_.push_back(static_cast<std::int32_t>(shared_.size()));
        }
}

// The entries of M row by row. Of those with few terms the first terms of all, then the second ones, and so on, so that
// no addition waits for the one before.
void Plan::gather_terms() {
    constexpr int few = 6;
    const auto count = [](const Rows& list, int e) { return list.begin[e + 1] - list.begin[e]; };
    const auto is_long = [&](int e) { return count(plus_, e) + count(minus_, e) > few; };
    const auto close = [this] { term_begin_.push_back(static_cast<std::int32_t>(terms_.size())); };
    for (int i = 0; i < n_species_; ++i) {
        const int end = row_begin_[i + 1], middle = i < dense_ ? end : end - (n_species_ - dense_);
        for (const auto& [first, last] : {std::pair{row_begin_[i], middle}, {middle, end}}) {
            for (const Rows* list : {&minus_, &plus_}) {
                for (int level = 0; level < few; ++level)
                    for (int e = first; e < last; ++e)
                        if (!is_long(e) && level < count(*list, e))
                            terms_.push_back({place_[e], list->entry[list->begin[e] + level]});
                close();
            }
            for (int e = first; e < last; ++e)
                if (is_long(e)) terms_.push_back({place_[e], e});
            close();
        }
    }
}

// The order in which many threads can eliminate and solve together. A level of a row or entry is one more than the
// highest that it needs.
void Plan::gather_levels() {
    const int S = n_species_, entries = static_cast<int>(column_.size());
    const auto sparse_end = [&](int i) { return i < dense_ ? row_begin_[i + 1] : row_begin_[i + 1] - (S - dense_); };
    std::vector<std::int32_t> level(entries, 0), place(S, -1);
    std::vector<std::vector<EntryProduct>> products(entries);
    for (int i = 0; i < S; ++i) {
        for (int e = row_begin_[i]; e < sparse_end(i); ++e) place[column_[e]] = e;
        for (int e = row_begin_[i]; e < sparse_end(i) && column_[e] < i; ++e) {
            const int pivot = column_[e];
            level[e] = std::max(level[e], level[diagonal_[pivot]] + 1);
            for (int u = diagonal_[pivot] + 1; u < row_begin_[pivot + 1]; ++u) {
                const int to = place[column_[u]];
                if (to < 0) continue;  // in the full block
                products[to].push_back({e, u});
                level[to] = std::max({level[to], level[e] + 1, level[u] + 1});
            }
        }
        for (int e = row_begin_[i]; e < sparse_end(i); ++e) place[column_[e]] = -1;
    }
    // Numbers by level, in ascending order within one.
    const auto sort = [](const std::vector<std::int32_t>& level_of, Rows& levels) {
        std::vector<std::vector<std::int32_t>> sorted;
        for (std::size_t k = 0; k < level_of.size(); ++k) {
            if (level_of[k] < 0) continue;
            sorted.resize(std::max(sorted.size(), static_cast<std::size_t>(level_of[k]) + 1));
            sorted[level_of[k]].push_back(static_cast<std::int32_t>(k));
        }
        for (const auto& numbers : sorted) {
            levels.entry.insert(levels.entry.end(), numbers.begin(), numbers.end());
            levels.close();
        }
    };
    std::vector<std::int32_t> row_of(entries);
    for (int i = 0; i < S; ++i) {
        for (int e = row_begin_[i]; e < sparse_end(i); ++e) row_of[e] = i;
        for (int e = sparse_end(i); e < row_begin_[i + 1]; ++e) level[e] = -1;
    }
    sort(level, levels_);
    for (const int e : levels_.entry) {
        level_diagonal_.push_back(column_[e] <= row_of[e] ? diagonal_[column_[e]] : -1);
        products_.insert(products_.end(), products[e].begin(), products[e].end());
        product_begin_.push_back(static_cast<std::int32_t>(products_.size()));
    }
    std::vector<std::int32_t> lower(dense_, 0), upper(dense_, 0);
    for (int i = 0; i < dense_; ++i)
        for (int e = row_begin_[i]; e < diagonal_[i]; ++e) lower[i] = std::max(lower[i], lower[column_[e]] + 1);
    for (int i = dense_ - 1; i >= 0; --i)
        for (int e = diagonal_[i] + 1; e < row_begin_[i + 1] && column_[e] < dense_; ++e)
            upper[i] = std::max(upper[i], upper[column_[e]] + 1);
    sort(lower, lower_levels_);
    sort(upper, upper_levels_);
}

// FNV-1a over the structure: what generated kernels depend on.
std::uint64_t Plan::fingerprint() const {
    std::uint64_t hash = 14695981039346656037u;
    const auto mix = [&hash](std::int64_t value) {
        for (int byte = 0; byte < 8; ++byte) hash = (hash ^ ((value >> 8 * byte) & 255)) * 1099511628211u;
    };
    const auto mix_all = [&](const std::vector<std::int32_t>& list) {
        mix(static_cast<std::int64_t>(list.size()));
        for (std::int32_t value : list) mix(value);
    };
    for (const Group& group : groups_)
        for (std::int32_t value : {group.bodies, group.begin, group.end}) mix(value);
    for (const auto* list :
         {&order_, &reactants_, &row_begin_, &column_, &pair_rate_, &pair_other_, &triple_rate_, &triple_other_})
        mix_all(*list);
    for (const Rows* rows : {&gain_, &loss_, &plus_, &minus_}) mix_all(rows->begin), mix_all(rows->entry);
    return hash;
}

// visit(pointer of the view, what it points to) for all of them.
template <class Visit>
void Plan::each_array(PlanView& v, const Visit& visit) const {
    visit(v.order, order_);
    visit(v.composition, composition_);
    visit(v.held_begin, held_.begin);
    visit(v.held, held_.entry);
    visit(v.held_count, held_count_);
    visit(v.most_held, most_held_);
    visit(v.both_begin, both_.begin);
    visit(v.both, both_.entry);
    visit(v.both_count, both_count_);
    visit(v.counts_begin, counts_.begin);
    visit(v.counts, counts_.entry);
    visit(v.count_of, count_of_);
    visit(v.count, count_);
    visit(v.scale_weights, scale_weights_);
    visit(v.groups, groups_);
    visit(v.parameters, parameters_);
    visit(v.strength, strength_);
    visit(v.shape, shape_);
    visit(v.reactants, reactants_);
    visit(v.reaction, reaction_of_);
    visit(v.program, program_);
    visit(v.constants, constants_);
    visit(v.gain_begin, gain_.begin);
    visit(v.gain, gain_.entry);
    visit(v.loss_begin, loss_.begin);
    visit(v.loss, loss_.entry);
    visit(v.pair_rate, pair_rate_);
    visit(v.pair_other, pair_other_);
    visit(v.triple_rate, triple_rate_);
    visit(v.triple_other, triple_other_);
    visit(v.frequency_begin, frequency_.begin);
    visit(v.frequency, frequency_.entry);
    visit(v.row_begin, row_begin_);
    visit(v.column, column_);
    visit(v.diagonal, diagonal_);
    visit(v.plus_begin, plus_.begin);
    visit(v.plus, plus_.entry);
    visit(v.minus_begin, minus_.begin);
    visit(v.minus, minus_.entry);
    visit(v.term_begin, term_begin_);
    visit(v.terms, terms_);
    visit(v.place, place_);
    visit(v.left_begin, left_begin_);
    visit(v.left_pivot, left_pivot_);
    visit(v.update_begin, update_begin_);
    visit(v.update, update_);
    visit(v.upper_begin, upper_begin_);
    visit(v.upper_entry, upper_entry_);
    visit(v.upper_place, upper_place_);
    visit(v.shared_begin, shared_begin_);
    visit(v.shared, shared_);
    visit(v.level_begin, levels_.begin);
    visit(v.level_entry, levels_.entry);
    visit(v.level_diagonal, level_diagonal_);
    visit(v.product_begin, product_begin_);
    visit(v.products, products_);
    visit(v.lower_begin, lower_levels_.begin);
    visit(v.lower_row, lower_levels_.entry);
    visit(v.upper_level_begin, upper_levels_.begin);
    visit(v.upper_row, upper_levels_.entry);
}

void Plan::publish() {
    PlanView& v = view_;
    v.fingerprint = fingerprint();
    v.n_species = n_species_;
    v.n_conserved = n_conserved_;
    v.n_groups = static_cast<std::int32_t>(groups_.size());
    v.n_conditions = n_conditions_;
    v.n_rates = n_rates_;
    v.n_counts = static_cast<std::int32_t>(count_.size());
    v.n_shapes = static_cast<std::int32_t>(parameters_.size() / n_parameters);
    v.n_values = static_cast<std::int32_t>(program_.size());
    v.n_pairs = static_cast<std::int32_t>(pair_rate_.size());
    v.n_triples = static_cast<std::int32_t>(triple_rate_.size());
    v.n_partials = n_rates_ + v.n_pairs + v.n_triples;
    v.n_entries = static_cast<std::int32_t>(column_.size());
    v.dense = dense_;
    v.most_left = most_left_;
    v.n_upper = upper_begin_.back();
    v.n_upper_entries = static_cast<std::int32_t>(upper_entry_.size());
    v.n_left = left_begin_.back();
    v.n_levels = static_cast<std::int32_t>(levels_.begin.size()) - 1;
    v.n_lower_levels = static_cast<std::int32_t>(lower_levels_.begin.size()) - 1;
    v.n_upper_levels = static_cast<std::int32_t>(upper_levels_.begin.size()) - 1;
    each_array(v, [](auto& pointer, const auto& values) { pointer = values.data(); });
}

void Plan::place(Image& image, std::size_t at) const {
    PlanView view = view_;
    const Placed placed(image, view, at);
    each_array(view, [&](auto& pointer, const auto& values) { placed.link(pointer, values.size()); });
}

}  // namespace pcs
