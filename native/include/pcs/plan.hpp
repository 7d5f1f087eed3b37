// The plan: everything about a network that can be known before a cell is seen.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <vector>

#include "pcs/plan_view.hpp"
#include "pcs/tables.hpp"

namespace pcs {

class Image;

class Plan {
  public:
    explicit Plan(const NetworkTables& tables);
    Plan(const Plan&) = delete;
    Plan& operator=(const Plan&) = delete;

    const PlanView& view() const { return view_; }
    // The arrays of a view that lies in the image at `at`.
    void place(Image& image, std::size_t at) const;

  private:
    struct Rows {  // a gather list
        std::vector<std::int32_t> begin{0}, entry;
        void close() { begin.push_back(static_cast<std::int32_t>(entry.size())); }
    };
    void order_species(const NetworkTables& tables);
    void group_reactions(const NetworkTables& tables);
    void gather_shapes(const NetworkTables& tables);
    void gather_program(const NetworkTables& tables);
    void gather_composition(const NetworkTables& tables);
    void gather_rhs(const NetworkTables& tables);
    void gather_jacobian();
    void gather_terms();
    void gather_tiles();
    void gather_levels();
    std::uint64_t fingerprint() const;
    template <class Visit>
    void each_array(PlanView& view, const Visit& visit) const;
    void publish();

    int n_species_ = 0, n_conserved_ = 0, n_conditions_ = 0, n_rates_ = 0, dense_ = 0;
    std::vector<std::int32_t> order_, position_;  // plan -> host, host -> plan
    std::vector<double> composition_, scale_weights_, parameters_, strength_;
    std::vector<std::int32_t> shape_;
    std::vector<Instruction> program_;
    std::vector<double> constants_;
    Rows held_, both_, counts_;
    std::vector<double> held_count_, both_count_, most_held_, count_;
    std::vector<std::int32_t> count_of_;
    std::vector<Group> groups_;
    std::vector<std::int32_t> reaction_of_;  // plan's rate -> reaction of the tables, -1: padding
    std::vector<std::int32_t> reactants_;
    std::vector<std::vector<std::int32_t>> net_;  // per rate: pairs (plan species, net stoichiometry), flattened
    Rows gain_, loss_, frequency_, plus_, minus_;
    std::vector<std::int32_t> pair_rate_, pair_other_, triple_rate_, triple_other_;
    std::vector<std::vector<std::int32_t>> partial_of_;  // per rate: pairs (plan species, slot), flattened
    std::vector<std::int32_t> row_begin_, column_, diagonal_;
    std::vector<std::int32_t> term_begin_{0};
    std::vector<MatrixTerm> terms_;
    int most_left_ = 0;
    std::vector<std::int32_t> place_, left_begin_{0}, left_pivot_, update_begin_{0}, update_;
    std::vector<std::int32_t> upper_begin_{0}, upper_entry_, upper_place_;
    std::vector<std::int32_t> shared_begin_{0};
    std::vector<SharedPivot> shared_;
    Rows levels_, lower_levels_, upper_levels_;
    std::vector<std::int32_t> level_diagonal_, product_begin_{0};
    std::vector<EntryProduct> products_;
    PlanView view_{};
};

}  // namespace pcs
