// A tile's states brought to the elements and the charge of their input. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/conserve.hpp"
#include "pcs/tile.hpp"

namespace pcs::PCS_ISA {

class Projection {
  public:
    PCS_FN Projection(const PlanView& plan, Memory& memory)
        : plan(plan),
          x(memory.vec(plan.n_species)),
          guess(memory.vec(plan.n_species)),
          factors(memory.vec(plan.n_counts)),
          matrix(memory.vec(W == 1 ? plan.n_conserved * plan.n_conserved : 0)) {}

    // Again, after the finish: lambda, and the defect before, then tell of both times.
    PCS_FN void conserve(Tile& t, bool again = false) {
        for (int v = 0; v < t.used; ++v) {
            for (int i = 0; i < t.S; ++i) x[i] = t.x[i * vectors + v], guess[i] = t.guess[i * vectors + v];
            Vec multiplier[max_conserved];
            const Defect defect = PCS_ISA::conserve(plan, x, guess, factors, multiplier, matrix);
            for (int i = 0; i < t.S; ++i) t.guess[i * vectors + v] = guess[i];
            for (int q = 0; q < plan.n_conserved; ++q) {
                Vec& lambda = t.lambda[q * vectors + v];
                lambda = again ? lambda + multiplier[q] : multiplier[q];
            }
            for (int l = 0; l < W; ++l) {
                double& worst = before[v * W + l];
                worst = again && worst > defect.before[l] ? worst : defect.before[l];
                done[v * W + l] = defect.after[l] <= 1e-12;
            }
        }
    }

    // Instead of it, for who wants what the nets say: every finite state counts as done.
    PCS_FN void leave(const Tile& t) {
        for (int v = 0; v < t.used; ++v) {
            Vec sum = {};
            for (int i = 0; i < t.S; ++i) sum += t.guess[i * vectors + v];
            for (int l = 0; l < W; ++l) before[v * W + l] = 0, done[v * W + l] = sum[l] - sum[l] == 0;
        }
    }

    double before[tile] = {};  // relative defect before the projection
    bool done[tile] = {};      // whether it succeeded

  private:
    const PlanView& plan;
    Vec *x, *guess, *factors;  // W cells: (S); of the projection
    Vec* matrix;               // (Q, Q), where one lane lends it
};

}  // namespace pcs::PCS_ISA
