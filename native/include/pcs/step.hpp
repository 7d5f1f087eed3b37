// The learned step on one tile of cells: the verbs of docs/architecture.md in their order.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/alone.hpp"
#include "pcs/distance.hpp"
#include "pcs/finish.hpp"
#include "pcs/gate.hpp"
#include "pcs/projection.hpp"

namespace pcs::PCS_ISA {

// Map: what scales, encodes, advances and decodes (multi_clock.hpp, jump.hpp, latent.hpp). All else is common.
// Team: who works on the tile (alone.hpp).
template <class Map, class Team = Alone>
class LearnedStep {
  public:
    PCS_FN LearnedStep(const PlanView& plan, const SurrogateView& net, const CellArrays& cells,
                       const SurrogateSettings& settings, SurrogateStatistics& statistics, const SurrogateTrace* trace,
                       const Team& team, Memory& memory)
        : plan(plan),
          net(net),
          cells(cells),
          settings(settings),
          statistics(statistics),
          trace(trace),
          team(team),
          tile_(plan, net, memory),
          distance(plan, net, memory),
          map(plan, net, team, memory),
          projection(plan, memory),
          finish(plan, net, team),
          one_cell((double*)memory.vec(plan.n_species + plan.n_conditions)) {}

    PCS_FN void run(const CellQueue& queue) {
        while (team.any(gather(queue))) {
            map.scale(tile_);
            map.encode(tile_);
            map.advance(tile_);
            record_latent();
            map.decode(tile_);
            if (trace) record_state(trace->guess);
            projection.conserve(tile_);
            if (trace) record_state(trace->conserved);
            if (finish.wanted()) {
                finish.template run<typename Map::Steps>(tile_);
                if (trace) record_state(trace->finished);
                projection.conserve(tile_, true);
            }
            record_end();
            gate();
        }
    }

  private:
    // Fill the tile with cells that the training states know: inside the box, and not far. All others are refused here
    // and now.
    PCS_FN bool gather(const CellQueue& queue) {
        int count = 0;
        for (int known = 0; (count = fill(queue, known)) > known; known = keep_known(known, count))
            if (!settings.use_gate || !distance.judges()) break;
        tile_.close(count);
        finish.leave_time(tile_);
        return count > 0;
    }

    // Cells inside the box into the columns from `count` on; returns how many there are then.
    PCS_FN int fill(const CellQueue& queue, int count) {
        double *x = one_cell, *conditions = x + plan.n_species;
        const bool audits = settings.audit_share > 0;
        while (count < tile) {
            const int64_t next = take(queue);
            if (next < 0) break;
            if (audits ? !(chance(plan, cells, next, audit_salt) < settings.audit_share)
                       : cells.status[next] == status_EXACT_AUDIT)
                continue;
            const CellInput input = read_cell(plan, cells, next, x, 1, conditions);
            if (settings.use_gate && !(state_inside(plan, net, input, x, 1) && time_inside(plan, net, input, x, 1))) {
                cells.status[next] = status_EXACT_BOX;
                ++statistics.refused_box;
                continue;
            }
            if (settings.exact_share > 0 && chance(plan, cells, next, refresh_salt) < settings.exact_share) {
                cells.status[next] = status_EXACT_REFRESH;
                ++statistics.refused_budget;
                continue;
            }
            bin[count] = bin_of(plan, net, input, x, 1);
            tile_.set(count, input, x);
            cell[count++] = next;
        }
        return count;
    }

    // Of the columns [known, count) those that are not far, moved together; returns how many there are then.
    PCS_FN int keep_known(int known, int count) {
        tile_.close(count);
        distance.measure(tile_);
        for (int t = known; t < count; ++t) {
            if (distance.far(t)) {
                cells.status[cell[t]] = status_EXACT_DISTANCE;
                ++statistics.refused_distance;
                continue;
            }
            if (t != known) tile_.move(t, known);
            bin[known] = bin[t];
            cell[known++] = cell[t];
        }
        return known;
    }

    // Accepted cells are written; refused ones keep their input and tell the exact integrator why it is asked.
    PCS_FN void gate() {
        const float* score = map.predict_error(tile_);
        for (int t = 0; t < tile_.n_cells; ++t) {
            const bool charged = score && cells.error_dex;
            const double carried = charged ? carried_after(t, score[t]) : 0;
            if (!trusted(settings, projection.done[t], score, t, bin[t])) {
                cells.status[cell[t]] = settings.use_gate ? status_EXACT_ERROR : status_NON_FINITE;
                ++statistics.refused_error;
            } else if (settings.use_gate && !(carried <= settings.budget_dex)) {
                cells.status[cell[t]] = status_EXACT_BUDGET;
                ++statistics.refused_budget;
            } else if (settings.audit_share > 0) {
                cells.status[cell[t]] = status_EXACT_AUDIT;
                ++statistics.audited;
            } else {
                write_cell(plan, cells, cell[t], (double*)tile_.guess + t, tile, ((double*)tile_.n_H)[t]);
                cells.status[cell[t]] = status_SURROGATE;
                if (charged) cells.error_dex[cell[t] * cells.error_stride] = carried;
                ++statistics.accepted;
                if (projection.before[t] > statistics.worst_defect) statistics.worst_defect = projection.before[t];
            }
        }
        if (score) record(trace ? trace->score : nullptr, score, 1);
        for (int t = 0; trace && trace->bin && t < tile_.n_cells; ++t) trace->bin[cell[t]] = bin[t];
    }

    // The error that a cell carries once the predicted one is added to what remains of the former [dex].
    PCS_FN double carried_after(int t, float score) const {
        const double before = cells.error_dex[cell[t] * cells.error_stride];
        return kappa(net.budget, ((double*)tile_.theta)[t]) * before + exp(broadcast(ln10 * score))[0];
    }

    // What the verbs made, for the tests.
    PCS_FN void record_latent() const {
        if (!trace) return;
        record(trace->features, map.features(), net.n_features);
        record(trace->latent0, map.latent0(), net.latent);
        record(trace->latent, map.latent(), net.latent);
    }
    PCS_FN void record_end() const {
        if (!trace) return;
        record_state(trace->final_state);
        if (finish.wanted()) record(trace->finish_report, tile_.finish_report, plan.n_species + 1);
        for (int t = 0; trace->lambda && t < tile_.n_cells; ++t)
            for (int q = 0; q < plan.n_conserved; ++q)
                trace->lambda[cell[t] * plan.n_conserved + q] = ((double*)tile_.lambda)[q * tile + t];
    }
    template <class Real>
    PCS_FN void record(double* to, const Real* rows, int count) const {
        for (int t = 0; to && rows && t < tile_.n_cells; ++t)
            for (int r = 0; r < count; ++r) to[cell[t] * count + r] = rows[r * tile + t];
    }
    PCS_FN void record_state(double* to) const {
        for (int t = 0; to && t < tile_.n_cells; ++t)
            for (int i = 0; i < plan.n_species; ++i)
                to[cell[t] * plan.n_species + plan.order[i]] = ((double*)tile_.guess)[i * tile + t];
    }

    const PlanView& plan;
    const SurrogateView& net;
    const CellArrays& cells;
    const SurrogateSettings& settings;
    SurrogateStatistics& statistics;
    const SurrogateTrace* trace;
    const Team& team;
    Tile tile_;
    Distance distance;
    Map map;
    Projection projection;
    Finish<Team> finish;
    double* one_cell;
    int64_t cell[tile] = {};
    int bin[tile] = {};
};

}  // namespace pcs::PCS_ISA
