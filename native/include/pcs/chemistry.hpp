// A network's kernels, as the integrator sees them. SPDX-License-Identifier: BSD-3-Clause
//
// Tables serves any network from the plan's gather lists. Generated<Code> serves one network by straight-line code that
// native/src/generate.cpp has written; both offer the same functions.
#pragma once

#include "pcs/rhs.hpp"
#include "pcs/sparse_lu.hpp"

namespace pcs::PCS_ISA {

class Tables {
  public:
    static constexpr bool only_coefficients = false;  // whether of k it reads these alone, and no other scratch
    static constexpr int conserved = 0;               // quantities, where the code says how many

    // k (rate coefficients, then room for the other partial derivatives) and rate are scratch of W lanes.
    // scratch: of the factorisation, as long as FactorScratch says.
    PCS_FN Tables(const PlanView& plan, Vec* k, Vec* rate, Vec* scratch)
        : plan_(plan), k_(k), rate_(rate), scratch_(plan, scratch) {}

    // dxdt (species) at x.
    PCS_FN void rhs(const Vec* x, Vec* dxdt) const { pcs::PCS_ISA::rhs(plan_, k_, x, rate_, dxdt); }

    // What every species loses per second; call it after rhs at the same x.
    PCS_FN void loss(const Vec*, Vec* loss) const {
        for (int i = 0; i < plan_.n_species; ++i)
            loss[i] = gather_sum(rate_, plan_.loss, plan_.loss_begin[i], plan_.loss_begin[i + 1]);
    }

    // What every species gains, and the frequency at which it is lost: dx/dt = gain - frequency x, each reaction's net
    // effect counted. Entry i goes to gain[i * stride] and frequency[i * stride]; k and rate as for the constructor.
    PCS_FN PCS_APART static void gain_and_frequency(const PlanView& plan, Vec* k, Vec* rate, const Vec* x, Vec* gain,
                                                    Vec* frequency, int stride) {
        rates(plan, k, x, rate);
        partials(plan, x, k);
        for (int i = 0; i < plan.n_species; ++i) {
            gain[i * stride] = gather_sum(rate, plan.gain, plan.gain_begin[i], plan.gain_begin[i + 1]);
            frequency[i * stride] = gather_sum(k, plan.frequency, plan.frequency_begin[i], plan.frequency_begin[i + 1]);
        }
    }

    // M becomes the factors of I * shift - J(x).
    PCS_FN void factorise(const Vec* x, Vec shift, Vec* M) const {
        partials(plan_, x, k_);
        pcs::PCS_ISA::factorise(plan_, k_, shift, M, scratch_);
    }

    PCS_FN void solve(const Vec* M, Vec* b) const { pcs::PCS_ISA::solve(plan_, M, b); }

  private:
    const PlanView& plan_;
    Vec *k_, *rate_;
    FactorScratch scratch_;
};

template <class Code>
class Generated {
  public:
    static constexpr int conserved = Code::n_conserved;
    static constexpr bool only_coefficients = true;

    PCS_FN Generated(const PlanView&, Vec* k, Vec*, Vec*) : k_(k) {}
    PCS_FN static bool serves(const PlanView& plan) { return plan.fingerprint == Code::fingerprint; }
    PCS_FN PCS_APART void rhs(const Vec* x, Vec* dxdt) const { Code::rhs(k_, x, dxdt); }
    PCS_FN void loss(const Vec* x, Vec* loss) const { Code::loss(k_, x, loss); }
    PCS_FN PCS_APART static void gain_and_frequency(const PlanView&, const Vec* k, Vec*, const Vec* x, Vec* gain,
                                                    Vec* frequency, int stride) {
        Code::gain_and_frequency(k, x, gain, frequency, stride);
    }
    PCS_FN PCS_APART void factorise(const Vec* x, Vec shift, Vec* M) const { Code::factorise(k_, x, shift, M); }
    PCS_FN PCS_APART void solve(const Vec* M, Vec* b) const { Code::solve(M, b); }

  private:
    const Vec* k_;
};

}  // namespace pcs::PCS_ISA
