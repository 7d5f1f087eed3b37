// The learned step at many times from one state each: a cell is scaled and encoded once, and the columns of the tile
// that advances, decodes and conserves are (cell, time) pairs. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/alone.hpp"
#include "pcs/distance.hpp"
#include "pcs/finish.hpp"
#include "pcs/gate.hpp"
#include "pcs/projection.hpp"

namespace pcs::PCS_ISA {

template <class Map, class Team = Alone>
class LearnedTrajectory {
  public:
    PCS_FN LearnedTrajectory(const PlanView& plan, const SurrogateView& net, const CellArrays& cells,
                             const TrajectoryArrays& trajectory, const SurrogateSettings& settings,
                             SurrogateStatistics& statistics, const Team& team, Memory& memory)
        : plan(plan),
          net(net),
          cells(cells),
          trajectory(trajectory),
          settings(settings),
          statistics(statistics),
          team(team),
          starts(plan, net, memory),
          pairs(plan, net, memory),
          distance(plan, net, memory),
          start_map(plan, net, team, memory),
          pair_map(plan, net, team, memory),
          projection(plan, memory),
          finish(plan, net, team),
          one_cell((double*)memory.vec(plan.n_species + plan.n_conditions)),
          conditions((double*)memory.vec(tile / W * plan.n_conditions + 1)),
          nowhere((double*)memory.vec(plan.n_species)) {}

    // Every cell's times in so many parts, for others to take: where cells are few.
    PCS_FN void run(const CellQueue& queue, int64_t parts = 1) {
        while (team.any(gather(queue, parts))) {
            start_map.scale(starts);
            start_map.encode(starts);
            for (int count; team.any((count = pair()) > 0);) serve(count);
        }
    }

  private:
    // The next cells, each with a part of the times, and whether the box has room for their state.
    PCS_FN bool gather(const CellQueue& queue, int64_t parts) {
        int count = 0;
        while (count < tile) {
            const int64_t unit = take({nullptr, queue.size * parts, queue.next});
            if (unit < 0) break;
            const int64_t next = queue.cells ? queue.cells[unit / parts] : unit / parts, part = unit % parts;
            first_time[count] = trajectory.n_times * part / parts;
            last_time[count] = trajectory.n_times * (part + 1) / parts;
            double* const given = conditions + count * plan.n_conditions;
            input[count] = read_cell(plan, cells, next, one_cell, 1, given);
            cell[count] = next;
            state_ok[count] = !settings.use_gate || state_inside(plan, net, input[count], one_cell, 1);
            starts.set(count, input[count], one_cell);
            ++count;
        }
        starts.close(count);
        at_cell = 0;
        return count > 0;
    }

    // The next pairs that wait, into the first columns; returns how many.
    PCS_FN int pair() {
        int column = 0;
        for (; at_cell < starts.n_cells; ++at_cell) {
            for (int64_t& k = first_time[at_cell]; k < last_time[at_cell]; ++k) {
                if (column == tile) return column;
                if (!waits(at_cell, k)) continue;
                start_of[column] = at_cell;
                time[column] = trajectory.times_s[k];
                row[column++] = cell[at_cell] * trajectory.n_times + k;
            }
        }
        return column;
    }

    // Whether the surrogate may serve a cell at a time; if the box is why not, the pair is told so.
    PCS_FN bool waits(int c, int64_t k) {
        int8_t& status = trajectory.status[cell[c] * trajectory.n_times + k];
        if (status < status_EXACT_REQUESTED) return false;
        input[c].dt_s = trajectory.times_s[k];
        if (!settings.use_gate || (state_ok[c] && time_inside(plan, net, input[c], (double*)starts.x + c, tile)))
            return true;
        status = status_EXACT_BOX;
        ++statistics.refused_box;
        return false;
    }

    PCS_FN void serve(int count) {
        pairs.count(count);
        const int width = pairs.used * W;
        for (int c = count; c < width; ++c) start_of[c] = start_of[0], time[c] = time[0];
        for (int first = 0, last = 0; first < width; first = last) {
            while (last < width && start_of[last] == start_of[first]) ++last;
            pairs.take(starts, {first, last, start_of[first]});
            pair_map.take(start_map, {first, last, start_of[first]});
        }
        for (int c = 0; c < width; ++c) ((double*)pairs.theta)[c] = ((const double*)pairs.n_H)[c] * time[c];
        const bool judged = settings.use_gate && distance.judges();
        if (judged) distance.measure(pairs);
        finish.leave_time(pairs);
        pair_map.advance(pairs);
        pair_map.decode(pairs);
        conserve(false);
        if (finish.wanted()) {
            finish.template run<typename Map::Steps>(pairs);
            conserve(true);
        }
        const float* score = pair_map.predict_error(pairs);
        bool accepted[tile];
        for (int t = 0; t < count; ++t) {
            CellInput given = input[start_of[t]];
            given.dt_s = time[t];
            const int bin = bin_of(plan, net, given, (double*)starts.x + start_of[t], tile);
            const bool far = judged && distance.far(t);
            accepted[t] = !far && trusted(settings, projection.done[t], score, t, bin);
            if (accepted[t]) {
                trajectory.status[row[t]] = status_SURROGATE;
                ++statistics.accepted;
                if (projection.before[t] > statistics.worst_defect) statistics.worst_defect = projection.before[t];
            } else if (far) {
                trajectory.status[row[t]] = status_EXACT_DISTANCE;
                ++statistics.refused_distance;
            } else {
                trajectory.status[row[t]] = settings.use_gate ? status_EXACT_ERROR : status_NON_FINITE;
                ++statistics.refused_error;
            }
        }
        write(accepted, count);
    }

    PCS_FN void conserve(bool again) {
        if (trajectory.conserve)
            projection.conserve(pairs, again);
        else
            projection.leave(pairs);
    }

    // A vector of neighbours at a time, which share the cache lines of the tile's rows; what is not accepted goes
    // nowhere.
    PCS_FN void write(const bool* accepted, int count) const {
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
    const Team& team;
    Tile starts, pairs;
    Distance distance;
    Map start_map, pair_map;
    Projection projection;
    Finish<Team> finish;
    double *one_cell, *conditions;  // fractions of the cell that is read; (tile, C) as the host gives them
    double* nowhere;                // (S)
    CellInput input[tile] = {};
    bool state_ok[tile] = {};
    int64_t cell[tile] = {}, row[tile] = {};              // of a start; of a pair: its row in the output
    int64_t first_time[tile] = {}, last_time[tile] = {};  // of a start: those that are not served yet
    int at_cell = 0;                                      // the start whose times are served
    int start_of[tile] = {};                              // of a pair: its cell's column among the starts
    double time[tile] = {};                               // of a pair [s]
};

}  // namespace pcs::PCS_ISA
