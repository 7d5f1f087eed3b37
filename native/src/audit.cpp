// SPDX-License-Identifier: BSD-3-Clause
#include "pcs/audit.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace pcs {

namespace {
constexpr double confidence = 0.95, tighter_dex = 0.15;
constexpr int alarms_to_close = 3;
constexpr double closed = -std::numeric_limits<double>::infinity();
constexpr double suspected[] = {1.5, 2, 4, 8, 16, 32, 64};  // violation rates over alpha
}  // namespace

void Audit::reset(const double* thresholds, int bins, double alpha) {
    const std::lock_guard guard(lock_);
    bins_.clear();
    for (int b = 0; b < bins; ++b) bins_.push_back({thresholds[b], 0, 0, 0});
    alpha_ = alpha;
}

void Audit::thresholds(std::vector<double>& out) const {
    const std::lock_guard guard(lock_);
    out.clear();
    for (const AuditBin& bin : bins_) out.push_back(bin.threshold);
}

std::vector<AuditBin> Audit::table() const {
    const std::lock_guard guard(lock_);
    return bins_;
}

AuditVerdict Audit::merge(const std::vector<AuditSum>& sums) {
    const std::lock_guard guard(lock_);
    AuditVerdict verdict{};
    for (const AuditSum& sum : sums) {
        AuditBin& bin = bins_[sum.bin];
        bin.audited += sum.audited;
        bin.violations += sum.violations;
        if (bin.threshold == closed || bin.violations == 0 || (sum.gross == 0 && !alarming(bin))) continue;
        const bool closes = ++bin.alarms >= alarms_to_close || sum.gross > 0;
        bin.threshold = closes ? closed : bin.threshold - tighter_dex;
        bin.audited = bin.violations = 0;
        ++(closes ? verdict.closed : verdict.tightened);
    }
    return verdict;
}

bool Audit::alarming(const AuditBin& bin) const {
    const double kept = static_cast<double>(bin.audited - bin.violations),
                 violated = static_cast<double>(bin.violations);
    double sum = 0;
    int terms = 0;
    for (const double factor : suspected) {
        const double rate = std::min(factor * alpha_, 0.9);
        if (rate <= alpha_) continue;
        sum += std::exp(violated * std::log(rate / alpha_) + kept * std::log((1 - rate) / (1 - alpha_)));
        ++terms;
    }
    return terms > 0 && sum / terms >= static_cast<double>(bins_.size()) / (1 - confidence);
}

}  // namespace pcs
