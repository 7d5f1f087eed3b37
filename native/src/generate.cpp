// Straight-line kernels for one network: C++ for its plan. SPDX-License-Identifier: BSD-3-Clause
//
// What the table-driven kernels look up is written out here: constant offsets instead of gather lists, sums in
// registers instead of memory. Every function below emits one kernel; Tables in native/include/pcs/chemistry.hpp is its
// twin.
#include "pcs/generate.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <map>
#include <utility>
#include <vector>

#include "pcs/error.hpp"

namespace pcs {

namespace {

using Text = std::string;

// Measured on sub-networks of UMIST RATE22 (docs/integrator.md): at 56,000 multiplications (97 species) the compiler
// takes a minute and the code is 1.2 to 1.3 times as fast as tables; at 139,000 (137 species), five and 1.1 times.
constexpr long most_multiplications = 60'000;

long factorisation_multiplications(const PlanView& plan) {
    long count = 0;
    for (int i = 0; i < plan.n_species; ++i)
        for (int e = plan.row_begin[i]; e < plan.diagonal[i]; ++e)
            count += plan.row_begin[plan.column[e] + 1] - plan.diagonal[plan.column[e]] - 1;
    return count;
}

__attribute__((format(printf, 2, 3))) void print(Text& out, const char* format, ...) {
    std::va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    const auto size = static_cast<std::size_t>(std::vsnprintf(nullptr, 0, format, arguments));
    const auto end = out.size();
    out.resize(end + size + 1);
    std::vsnprintf(&out[end], size + 1, format, again);
    out.pop_back();
    va_end(again);
    va_end(arguments);
}

Text at(const char* array, int index) { return Text(array) + "[" + std::to_string(index) + "]"; }
// An element of a long array by one of a few pointers into it: offsets of -128..127 vectors fit one byte of an
// instruction. Smaller code was measured to be faster.
constexpr int reach = 256;
Text near(const char* array, int index) {
    const int base = index / reach, offset = index - base * reach - reach / 2;
    return Text(array) + std::to_string(base) + "[" + std::to_string(offset) + "]";
}
void emit_pointers(Text& out, const char* type, const char* array, int size) {
    for (int base = 0; base * reach < size; ++base)
        print(out, "        %s* %s%d = %s + %d;\n        PCS_KEEP(%s%d);\n", type, array, base, array,
              base * reach + reach / 2, array, base);
}

Text local(const char* name, int index) {
    Text text(name);  // g++ 12 warns of overlapping copies where it inlines operator+
    return text += std::to_string(index);
}

// x[a] * x[b] * ...: what a reaction's rate coefficient is multiplied with.
Text reactants(const PlanView& plan, int rate, int bodies) {
    Text product;
    for (int b = 0; b < bodies; ++b) product += (b ? " * " : "") + at("x", plan.reactants[3 * rate + b]);
    return product;
}

// Branches: reactions of one group with the same reactants, which share their product.
std::map<std::vector<int>, std::vector<int>> branches_of(const PlanView& plan, const Group& group) {
    std::map<std::vector<int>, std::vector<int>> branches;
    for (int rate = group.begin; rate < group.end; ++rate) {
        std::vector<int> key(plan.reactants + 3 * rate, plan.reactants + 3 * rate + group.bodies);
        std::sort(key.begin(), key.end());
        branches[key].push_back(rate);
    }
    return branches;
}

// How often every rate enters d(species)/dt: gains minus losses.
std::vector<std::map<int, int>> net_of(const PlanView& plan) {
    std::vector<std::map<int, int>> net(plan.n_rates);
    for (int i = 0; i < plan.n_species; ++i) {
        for (int e = plan.gain_begin[i]; e < plan.gain_begin[i + 1]; ++e) ++net[plan.gain[e]][i];
        for (int e = plan.loss_begin[i]; e < plan.loss_begin[i + 1]; ++e) --net[plan.loss[e]][i];
    }
    return net;
}

Text add(const Text& sum, const Text& term, int count) {
    Text line;
    for (int k = 0; k < std::abs(count); ++k) line += " " + sum + (count > 0 ? " += " : " -= ") + term + ";";
    return line;
}

// dxdt = production - loss; `only_losses` gives the loss alone, as a positive number.
void emit_rhs(Text& out, const PlanView& plan, const char* name, bool only_losses) {
    const auto net = net_of(plan);
    print(out, "    PCS_FN static void %s(const Vec* k, const Vec* x, Vec* out) {\n", name);
    emit_pointers(out, "const Vec", "k", plan.n_rates);
    for (int i = 0; i < plan.n_species; ++i) print(out, "        Vec d%d = {};\n", i);
    for (int g = 0; g < plan.n_groups; ++g) {
        const Group& group = plan.groups[g];
        for (const auto& [key, rates] : branches_of(plan, group)) {
            print(out, "        {\n            const Vec p = %s;\n", reactants(plan, rates[0], group.bodies).c_str());
            std::map<int, int> common = net[rates[0]];  // what all branches do alike is done with their sum
            for (int rate : rates)
                std::erase_if(common, [&](const auto& item) {
                    const auto found = net[rate].find(item.first);
                    return found == net[rate].end() || found->second != item.second;
                });
            Text sum;
            for (int rate : rates) {
                print(out, "            const Vec v%d = %s * p;\n", rate, near("k", rate).c_str());
                sum += (sum.empty() ? "" : " + ") + local("v", rate);
            }
            print(out, "            const Vec v = %s;\n           ", sum.c_str());
            const auto emit = [&](int species, const Text& term, int count) {
                if (only_losses) count = std::max(-count, 0);
                print(out, "%s", add(local("d", species), term, count).c_str());
            };
            for (const auto& [species, count] : common) emit(species, "v", count);
            for (int rate : rates)
                for (const auto& [species, count] : net[rate])
                    if (!common.contains(species)) emit(species, local("v", rate), count);
            print(out, "\n            (void)v;\n        }\n");
        }
    }
    for (int i = 0; i < plan.n_species; ++i) print(out, "        out[%d] = d%d;\n", i, i);
    print(out, "    }\n");
}

// What a reaction's rate coefficient is multiplied with once `species`, one of its reactants, is divided out.
Text reactants_beside(const PlanView& plan, int rate, int bodies, int species) {
    Text product;
    bool divided = false;
    for (int b = 0; b < bodies; ++b) {
        const int reactant = plan.reactants[3 * rate + b];
        if (reactant == species && !std::exchange(divided, true)) continue;
        product += " * " + at("x", reactant);
    }
    return product;
}

void emit_gain_and_frequency(Text& out, const PlanView& plan) {
    const auto net = net_of(plan);
    print(out,
          "    PCS_FN static void gain_and_frequency(const Vec* k, const Vec* x, Vec* gain, Vec* frequency, int "
          "stride) {\n");
    emit_pointers(out, "const Vec", "k", plan.n_rates);
    for (int i = 0; i < plan.n_species; ++i) print(out, "        Vec g%d = {}, f%d = {};\n", i, i);
    for (int g = 0; g < plan.n_groups; ++g) {
        const Group& group = plan.groups[g];
        for (const auto& [key, rates] : branches_of(plan, group)) {
            print(out, "        {\n            const Vec p = %s;\n", reactants(plan, rates[0], group.bodies).c_str());
            std::map<std::pair<int, int>, Text> lost;  // (species, count) -> sum of coefficients
            for (int rate : rates) {
                if (net[rate].empty()) continue;
                const Text k = near("k", rate);
                print(out, "            const Vec v%d = %s * p;\n           ", rate, k.c_str());
                for (const auto& [species, count] : net[rate]) {
                    if (count > 0) print(out, "%s", add(local("g", species), local("v", rate), count).c_str());
                    if (count < 0) lost[{species, count}] += (lost[{species, count}].empty() ? "" : " + ") + k;
                }
                print(out, " (void)v%d;\n", rate);
            }
            for (const auto& [item, sum] : lost) {
                const Text beside = reactants_beside(plan, rates[0], group.bodies, item.first);
                print(out, "           %s\n",
                      add(local("f", item.first), "(" + sum + ")" + beside, -item.second).c_str());
            }
            print(out, "        }\n");
        }
    }
    for (int i = 0; i < plan.n_species; ++i)
        print(out, "        gain[%d * stride] = g%d;\n        frequency[%d * stride] = f%d;\n", i, i, i, i);
    print(out, "    }\n");
}

// The factor of k in a slot of the partial derivatives ("" for none), and which k.
std::pair<Text, int> partial(const PlanView& plan, int slot) {
    if (slot < plan.n_rates) return {"", slot};
    slot -= plan.n_rates;
    if (slot < plan.n_pairs) return {at("x", plan.pair_other[slot]), plan.pair_rate[slot]};
    slot -= plan.n_pairs;
    return {at("x", plan.triple_other[2 * slot]) + " * " + at("x", plan.triple_other[2 * slot + 1]),
            plan.triple_rate[slot]};
}

// An entry of I / (gamma h) - J, terms with the same factor collected.
Text matrix_entry(const PlanView& plan, int entry, bool diagonal) {
    std::map<Text, Text> sums;
    const auto collect = [&](const std::int32_t* begin, const std::int32_t* list, const char* sign) {
        for (int e = begin[entry]; e < begin[entry + 1]; ++e) {
            const auto [factor, rate] = partial(plan, list[e]);
            sums[factor] += sign + near("k", rate);
        }
    };
    collect(plan.minus_begin, plan.minus, " + ");
    collect(plan.plus_begin, plan.plus, " - ");
    Text value = diagonal ? "shift" : "";
    for (const auto& [factor, sum] : sums) {
        const Text term = sum.substr(sum.starts_with(" + ") ? 3 : 0);
        value += (value.empty() ? "" : " + ") + (factor.empty() ? "(" + term + ")" : factor + " * (" + term + ")");
    }
    return value.empty() ? "Vec{}" : value;
}

// Assembly and LU at once, row by row, the row in local variables: each multiplication loads one number.
void emit_factorise(Text& out, const PlanView& plan) {
    print(out, "    PCS_FN static void factorise(const Vec* k, const Vec* x, Vec shift, Vec* M) {\n");
    emit_pointers(out, "const Vec", "k", plan.n_rates);
    emit_pointers(out, "Vec", "M", plan.n_entries);
    for (int i = 0; i < plan.n_species; ++i) {
        print(out, "        {\n            PCS_RELOAD;\n");
        for (int e = plan.row_begin[i]; e < plan.row_begin[i + 1]; ++e)
            print(out, "            Vec r%d = %s;\n", plan.column[e],
                  matrix_entry(plan, e, e == plan.diagonal[i]).c_str());
        for (int e = plan.row_begin[i]; e < plan.diagonal[i]; ++e) {
            const int above = plan.column[e];
            print(out, "            r%d *= %s;\n            %s = r%d;\n", above,
                  near("M", plan.diagonal[above]).c_str(), near("M", e).c_str(), above);
            for (int u = plan.diagonal[above] + 1; u < plan.row_begin[above + 1]; ++u)
                print(out, "            r%d -= r%d * %s;\n", plan.column[u], above, near("M", u).c_str());
        }
        print(out, "            %s = 1.0 / r%d;\n", near("M", plan.diagonal[i]).c_str(), i);
        for (int e = plan.diagonal[i] + 1; e < plan.row_begin[i + 1]; ++e)
            print(out, "            %s = r%d;\n", near("M", e).c_str(), plan.column[e]);
        print(out, "        }\n");
    }
    print(out, "    }\n");
}

// Column by column, so that no multiplication waits for the one before it; b lives in local variables.
void emit_solve(Text& out, const PlanView& plan) {
    const auto emit_column = [&](int j, bool below) {
        for (int i = 0; i < plan.n_species; ++i)
            for (int e = plan.row_begin[i]; e < plan.row_begin[i + 1]; ++e)
                if (plan.column[e] == j && (below ? i > j : i < j))
                    print(out, "        b%d -= %s * b%d;\n", i, near("M", e).c_str(), j);
    };
    print(out, "    PCS_FN static void solve(const Vec* M, Vec* b) {\n");
    emit_pointers(out, "const Vec", "M", plan.n_entries);
    for (int i = 0; i < plan.n_species; ++i) print(out, "        Vec b%d = b[%d];\n", i, i);
    for (int j = 0; j < plan.n_species; ++j) emit_column(j, true);
    for (int j = plan.n_species - 1; j >= 0; --j) {
        print(out, "        b%d *= %s;\n        b[%d] = b%d;\n", j, near("M", plan.diagonal[j]).c_str(), j, j);
        emit_column(j, false);
    }
    print(out, "    }\n");
}

}  // namespace

std::string generate_code(const PlanView& plan) {
    if (const long count = factorisation_multiplications(plan); count > most_multiplications)
        throw Error(ErrorCode::option, "this network is too large for straight-line code: a factorisation of its " +
                                           std::to_string(plan.n_species) + " species takes " + std::to_string(count) +
                                           " multiplications, and above " + std::to_string(most_multiplications) +
                                           " it compiles for minutes and gains nothing to speak of over tables: leave "
                                           "kernels at auto");
    Text out = "// Written by pychemsurrogate for one network; do not edit.\n";
    print(out, "struct NetworkCode {\n    static constexpr uint64_t fingerprint = UINT64_C(0x%016llx);\n",
          static_cast<unsigned long long>(plan.fingerprint));
    print(
        out,
        "    static constexpr int n_species = %d, n_conserved = %d, n_conditions = %d, n_rates = %d, n_values = %d;\n",
        plan.n_species, plan.n_conserved, plan.n_conditions, plan.n_rates, plan.n_values);
    print(out, "    static constexpr int n_counts = %d, n_entries = %d;\n", plan.n_counts, plan.n_entries);
    emit_rhs(out, plan, "rhs", false);
    emit_rhs(out, plan, "loss", true);
    emit_gain_and_frequency(out, plan);
    emit_factorise(out, plan);
    emit_solve(out, plan);
    print(out, "};\n");
    return out;
}

}  // namespace pcs
