// The online audit: how often the accepted cells of every bin are wrong, and what follows from it.
// SPDX-License-Identifier: BSD-3-Clause
//
// A share of the accepted cells is solved exactly as well. The number of those whose error is above the target is
// watched by a test martingale (Ville 1939; Ramdas et al. 2023, Stat. Sci. 38, 576): the likelihood of the counts
// under violation rates above alpha, over that under alpha itself. Whatever the number of looks, it passes bins / 0.05
// with a probability of at most 0.05 / bins if the rate is at most alpha. Then the bin is tightened; the third time,
// closed. One error of many times the target closes it at once: no rate excuses that.
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

namespace pcs {

struct AuditBin {
    double threshold;                  // on log10 of the predicted error in dex; -inf: closed
    std::int64_t audited, violations;  // since the threshold last moved
    std::int32_t alarms;
};

struct AuditSum {
    std::int32_t bin;
    std::int64_t audited, violations, gross;
};

struct AuditVerdict {
    int tightened, closed;
};

// Calls may merge at the same time; each works with the thresholds of its beginning.
class Audit {
  public:
    void reset(const double* thresholds, int bins, double alpha);
    void thresholds(std::vector<double>& out) const;
    AuditVerdict merge(const std::vector<AuditSum>& sums);
    std::vector<AuditBin> table() const;

  private:
    bool alarming(const AuditBin& bin) const;

    mutable std::mutex lock_;
    std::vector<AuditBin> bins_;
    double alpha_ = 0;
};

}  // namespace pcs
