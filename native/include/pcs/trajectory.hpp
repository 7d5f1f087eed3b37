// The learned step at many times from one state each: a cell is scaled and encoded once, and the columns of the tile
// that advances, decodes and conserves are (cell, time) pairs. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/finish.hpp"
#include "pcs/gate.hpp"
#include "pcs/projection.hpp"

namespace pcs::PCS_ISA {

template <class Map>
class LearnedTrajectory {
  public:
    LearnedTrajectory(const PlanView& plan, const SurrogateView& net, const CellArrays& cells,
                      const TrajectoryArrays& trajectory, const SurrogateSettings& settings,
                      SurrogateStatistics& statistics, Memory& memory)
        : plan(plan),
          net(net),
          cells(cells),
          trajectory(trajectory),
          settings(settings),
          statistics(statistics),
          starts(plan, net, memory),
          pairs(plan, net, memory),
          start_map(plan, net, settings, memory),
          pair_map(plan, net, settings, memory),
          projection(plan, memory),
          finish(plan, net, settings, memory),
          one_cell((double*)memory.vec(plan.n_species + plan.n_conditions)),
          conditions((double*)memory.vec(tile / W * plan.n_conditions + 1)),
          nowhere((double*)memory.vec(plan.n_species)) {}

    void run(const CellQueue& queue) {
        while (gather(queue)) {
            start_map.scale(starts);
            start_map.encode(starts);
            int column = 0;
            for (int c = 0; c < starts.n_cells; ++c)
                for (int64_t k = 0; k < trajectory.n_times; ++k) {
                    if (!waits(c, k)) continue;
                    start_of[column] = c;
                    time[column] = trajectory.times_s[k];
                    row[column++] = cell[c] * trajectory.n_times + k;
                    if (column == tile) serve(column), column = 0;
                }
            if (column > 0) serve(column);
        }
    }

  private:
    // The next cells, and whether the box has room for their state.
    bool gather(const CellQueue& queue) {
        int count = 0;
        while (count < tile) {
            const int64_t next = take(queue);
            if (next < 0) break;
            double* const given = conditions + count * plan.n_conditions;
            input[count] = read_cell(plan, cells, next, one_cell, 1, given);
            cell[count] = next;
            state_ok[count] = !settings.use_gate || state_inside(plan, net, input[count], one_cell, 1);
            starts.set(count, input[count], one_cell);
            ++count;
        }
        starts.close(count);
        return count > 0;
    }

    // Whether the surrogate may serve a cell at a time; if the box is why not, the pair is told so.
    bool waits(int c, int64_t k) {
        int8_t& status = trajectory.status[cell[c] * trajectory.n_times + k];
        if (status < status_EXACT_REQUESTED) return false;
        input[c].dt_s = trajectory.times_s[k];
        if (!settings.use_gate || (state_ok[c] && time_inside(plan, net, input[c], (double*)starts.x + c, tile)))
            return true;
        status = status_EXACT_BOX;
        ++statistics.refused_box;
        return false;
    }

    void serve(int count) {
        pairs.count(count);
        const int width = pairs.used * W;
        for (int c = count; c < width; ++c) start_of[c] = start_of[0], time[c] = time[0];
        for (int first = 0, last = 0; first < width; first = last) {
            while (last < width && start_of[last] == start_of[first]) ++last;
            pairs.take(starts, {first, last, start_of[first]});
            pair_map.take(start_map, {first, last, start_of[first]});
        }
        for (int c = 0; c < width; ++c) ((double*)pairs.theta)[c] = ((const double*)pairs.n_H)[c] * time[c];
        finish.leave_time(pairs);
        pair_map.advance(pairs);
        pair_map.decode(pairs);
        conserve(false);
        if (finish.wanted()) {
            finish.run(pairs);
            conserve(true);
        }
        const float* score = pair_map.predict_error(pairs);
        bool accepted[tile];
        for (int t = 0; t < count; ++t) {
            CellInput given = input[start_of[t]];
            given.dt_s = time[t];
            const int bin = bin_of(plan, net, given, (double*)starts.x + start_of[t], tile);
            accepted[t] = trusted(settings, projection.done[t], score, t, bin);
            if (accepted[t]) {
                trajectory.status[row[t]] = status_SURROGATE;
                ++statistics.accepted;
                if (projection.before[t] > statistics.worst_defect) statistics.worst_defect = projection.before[t];
            } else {
                trajectory.status[row[t]] = settings.use_gate ? status_EXACT_ERROR : status_NON_FINITE;
                ++statistics.refused_error;
            }
        }
        write(accepted, count);
    }

    void conserve(bool again) {
        if (trajectory.conserve)
            projection.conserve(pairs, again);
        else
            projection.leave(pairs);
    }

    // A vector of neighbours at a time, which share the cache lines of the tile's rows; what is not accepted goes
    // nowhere.
    void write(const bool* accepted, int count) const {
        for (int v = 0; v * W < count; ++v) {
            double* n[W];
            for (int l = 0; l < W; ++l) {
                const int t = v * W + l;
                n[l] = t < count && accepted[t] ? trajectory.n_cm3 + row[t] * plan.n_species : nowhere;
            }
            for (int i = 0; i < plan.n_species; ++i) {
                const Vec density = pairs.guess[i * vectors + v] * pairs.n_H[v];
                for (int l = 0; l < W; ++l) n[l][plan.order[i]] = density[l];
            }
        }
    }

    const PlanView& plan;
    const SurrogateView& net;
    const CellArrays& cells;
    const TrajectoryArrays& trajectory;
    const SurrogateSettings& settings;
    SurrogateStatistics& statistics;
    Tile starts, pairs;
    Map start_map, pair_map;
    Projection projection;
    Finish finish;
    double *one_cell, *conditions;  // fractions of the cell that is read; (tile, C) as the host gives them
    double* nowhere;                // (S)
    CellInput input[tile] = {};
    bool state_ok[tile] = {};
    int64_t cell[tile] = {}, row[tile] = {};  // of a start; of a pair: its row in the output
    int start_of[tile] = {};                  // of a pair: its cell's column among the starts
    double time[tile] = {};                   // of a pair [s]
};

}  // namespace pcs::PCS_ISA
