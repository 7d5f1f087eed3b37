// What a model file holds beside its map and its box: what the gate was calibrated for, and what cells cost either way.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pcs/model_file.hpp"

namespace pcs {

// Thresholds on log10 of the predicted error in dex, for several target errors and bins of conditions.
struct Calibration {
    // Throws Error (file) where an array is missing or does not fit the others.
    Calibration(const ModelFile& file, const NetworkTables& tables, int bins);

    int bins;
    std::vector<double> targets;     // (T) ascending [dex]
    std::vector<double> thresholds;  // (T, bins); -inf: closed
    double alpha;                    // P(error > target | accepted) <= alpha
    // A cell's error: max over species with x > x_min of weights |dlog10 x|.
    std::vector<double> weights;  // (S)
    double x_min;

    // The row of the largest target that is no larger than the wanted one; -1: none.
    int serving(double target_dex) const;
};

// What calibration cells told: by bins of the integrator's estimates (RouterView, kernels.hpp).
struct RouterTable {
    RouterTable(const ModelFile& file, const NetworkTables& tables, const Calibration* calibration);

    std::vector<double> change, rate;  // edges
    // (T, change bins, rate bins): the exact integrator's steps a cell; share of the cells that are accepted, and of
    // the steps that those would have taken. 0 where there were no cells.
    std::vector<double> steps, accepted, saved;
    // Cells to measure costs on: n [cm^-3] (M, S), and (M, C).
    std::vector<double> n, temperature, dt, conditions;
    std::vector<double> costs;  // Costs of a model with this path alone, as its file has them; empty: it has none

    std::size_t bins() const { return (change.size() + 1) * (rate.size() + 1); }
    std::int64_t samples() const { return static_cast<std::int64_t>(dt.size()); }
};

// What a cell costs on this machine, one thread [us]: to read, start and write one that is integrated; a step of it; to
// start one and give it back to the surrogate; the learned step with its gate, of every path of the file.
struct Timing {
    double cells = 0, steps = 0, microseconds = 0;
};
struct Costs {
    double cell = 0, step = 0, eviction = 0;
    std::vector<double> learned;  // 0 for a path without a router

    // The first two from two equations: what cells with few steps have taken, and what cells with many.
    void cell_and_step(const Timing& easy, const Timing& hard);
};

// A learned path that a cell may be sent to.
struct Offer {
    const RouterTable* table;
    int target;           // the row that serves
    double learned;       // what a cell costs there [us]
    std::int8_t sending;  // what the router says of a cell that it sends there
};

// What the router says of the cells of every bin: that of the path that is expected to save most (the first of equals),
// 0 where the integrator costs least. The offers' bins have the same edges.
std::vector<std::int8_t> sent_bins(const std::vector<Offer>& offers, const Costs& costs);

// surrogate.cpp
[[noreturn]] void refuse(const ModelFile& file, const std::string& what);
double one_number(const ModelFile& file, const std::string& name);  // finite
std::vector<double> ascending(const ModelFile& file, const std::string& name);

}  // namespace pcs
