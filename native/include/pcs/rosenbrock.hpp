// Stiffly accurate, L-stable Rosenbrock methods in the form without matrix-vector products (Sandu et al. 1997, Atmos.
// Environ. 31, 3459), and the integrator. SPDX-License-Identifier: BSD-3-Clause
//
// W cells advance side by side, each lane with its own time, step size and error control; a lane that has reached its
// dt hands its cell over and takes the next one from the queue, so no lane waits for another.
#pragma once

#include "pcs/cells.hpp"
#include "pcs/chemistry.hpp"
#include "pcs/conserve.hpp"
#include "pcs/rates.hpp"

namespace pcs::PCS_ISA {

// Stage i starts from x + sum_j a[i][j] K_j and has sum_j (c[i][j] / h) K_j on its right-hand side; where `anew` is
// false it takes f at x instead. The new state is the last stage's start + its K, and that K is the error estimate.

// Order 4(3) (Hairer & Wanner, Solving ODEs II, sec. VI.4).
struct Rodas4 {
    static constexpr int stages = 6;
    static constexpr double gamma = 0.25;
    static constexpr bool anew[stages] = {false, true, true, true, true, true};
    static constexpr double a[stages][stages] = {
        {},
        {1.544000000000000},
        {0.9466785280815826, 0.2557011698983284},
        {3.314825187068521, 2.896124015972201, 0.9986419139977817},
        {1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950},
        {1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950, 1.0}};
    static constexpr double c[stages][stages] = {
        {},
        {-5.668800000000000},
        {-2.430093356833875, -0.2063599157091915},
        {-0.1073529058151375, -9.594562251023355, -20.47028614809616},
        {7.496443313967647, -10.24680431464352, -33.99990352819905, 11.70890893206160},
        {8.083246795921522, -7.981132988064893, -31.52159432874371, 16.31930543123136, -6.058818238834054}};
};

// Order 3(2), two right-hand sides fewer (Sandu et al. 1997, Atmos. Environ. 31, 3459).
struct Rodas3 {
    static constexpr int stages = 4;
    static constexpr double gamma = 0.5;
    static constexpr bool anew[stages] = {false, false, true, true};
    static constexpr double a[stages][stages] = {{}, {0.0}, {2.0, 0.0}, {2.0, 0.0, 1.0}};
    static constexpr double c[stages][stages] = {{}, {4.0}, {1.0, -1.0}, {1.0, -1.0, -8.0 / 3.0}};
};

// What one thread needs; every array is W lanes wide.
struct IntegratorWorkspace {
    Vec *x, *x_new, *f, *factor, *rate, *k, *M, *K[Rodas4::stages];  // k: rate coefficients, then the other partials
    Vec *done_x, *done_x0, *factors;                                 // cells that await projection, and its scratch
    double* conditions;                                              // (W, conditions): of cells that are read
};

// Of M, which one lane's projection uses too.
PCS_FN inline size_t matrix_length(const PlanView& plan) {
    const int gram = W == 1 ? plan.n_conserved * plan.n_conserved : 0;
    return gram > plan.n_entries ? gram : plan.n_entries;
}

PCS_FN inline size_t layout(const PlanView& plan, char* base, IntegratorWorkspace* w) {
    size_t used = 0;
    const auto vectors = [&](size_t count) {
        Vec* p = (Vec*)(base + used);
        used += count * sizeof(Vec);
        return p;
    };
    const auto doubles = [&](size_t count) { return (double*)vectors((count + W - 1) / W); };
    const size_t S = plan.n_species;
    IntegratorWorkspace space;
    space.x = vectors(S), space.x_new = vectors(S), space.f = vectors(S);
    space.factor = vectors(FactorScratch::length(plan));
    for (Vec*& stage : space.K) stage = vectors(S);
    space.rate = vectors(rate_scratch(plan)), space.k = vectors(plan.n_partials);
    space.M = vectors(matrix_length(plan));
    space.done_x = vectors(S), space.done_x0 = vectors(S), space.factors = vectors(plan.n_counts);
    space.conditions = doubles(W * plan.n_conditions + 1);
    if (w) *w = space;
    return used;
}

// Who takes a map's steps of the real chemistry: a GPU's thread by the kernels at hand, others by those that
// SurrogateSettings names, which may be of another width or a user's own.
constexpr bool steps_are_here = W == 1;

// One lane's coefficients lie as straight-line code wants them.
template <class Chemistry>
constexpr bool in_place = steps_are_here && Chemistry::only_coefficients;

// The workspace of such steps, of which straight-line code needs little.
template <class Chemistry>
PCS_FN inline size_t layout_of_steps(const PlanView& plan, char* base, IntegratorWorkspace* w) {
    if constexpr (in_place<Chemistry>) {
        size_t used = 0;
        const auto vectors = [&](size_t count) {
            Vec* p = (Vec*)(base + used);
            used += count * sizeof(Vec);
            return p;
        };
        const size_t S = plan.n_species;
        IntegratorWorkspace space{};
        space.x = vectors(S), space.x_new = vectors(S), space.f = vectors(S), space.M = vectors(plan.n_entries);
        for (int stage = 0; stage < Rodas3::stages; ++stage) space.K[stage] = vectors(S);
        if (w) *w = space;
        return used;
    } else {
        return layout(plan, base, w);
    }
}

// A row of a method's numbers as a constant of the function that uses it: a GPU reads no array that lies in a class.
template <int n>
struct Row {
    double value[n];
};
template <int n>
constexpr Row<n> row_of(const double (&from)[n]) {
    Row<n> row{};
    for (int i = 0; i < n; ++i) row.value[i] = from[i];
    return row;
}

// K of one stage: factors of I / (gamma h) - J are in w.M.
template <class Method, int stage, class Chemistry>
PCS_FN inline void rosenbrock_stage(const Chemistry& chemistry, int S, const IntegratorWorkspace& w, Vec inverse_h) {
    constexpr auto a = row_of(Method::a[stage]), c = row_of(Method::c[stage]);
    Vec* K = w.K[stage];
    if constexpr (Method::anew[stage]) {
        for (int i = 0; i < S; ++i) {
            Vec start = w.x[i];
            for (int j = 0; j < stage; ++j)
                if (a.value[j] != 0.0) start += a.value[j] * w.K[j][i];
            w.x_new[i] = start;
        }
        chemistry.rhs(w.x_new, K);
    } else {
        for (int i = 0; i < S; ++i) K[i] = w.f[i];
    }
    if constexpr (stage > 0)
        for (int i = 0; i < S; ++i) {
            Vec sum = {};
            for (int j = 0; j < stage; ++j) sum += c.value[j] * w.K[j][i];
            K[i] += inverse_h * sum;
        }
    chemistry.solve(w.M, K);
}
template <class Method, class Chemistry, int stage = 0>
PCS_FN inline void rosenbrock_stages(const Chemistry& chemistry, int S, const IntegratorWorkspace& w, Vec inverse_h) {
    rosenbrock_stage<Method, stage>(chemistry, S, w, inverse_h);
    if constexpr (stage + 1 < Method::stages)
        rosenbrock_stages<Method, Chemistry, stage + 1>(chemistry, S, w, inverse_h);
}

// One step of size h from w.x, where w.f holds f(w.x): w.x_new, and the error estimate in the last stage's K.
template <class Method, class Chemistry>
PCS_FN inline void rosenbrock_step(const Chemistry& chemistry, int S, const IntegratorWorkspace& w, Vec h) {
    const Vec inverse_h = 1.0 / h;
    chemistry.factorise(w.x, inverse_h / Method::gamma, w.M);
    rosenbrock_stages<Method>(chemistry, S, w, inverse_h);
    for (int i = 0; i < S; ++i) w.x_new[i] += w.K[Method::stages - 1][i];
}

// Error control, in units of the user's rtol. Chosen on seeds 1 to 4 of benchmarks/workload.py (docs/integrator.md).
namespace error_control {
constexpr double allowed = 5;     // largest estimate of any species in a step, times rtol x; it errs on the high side
constexpr double decay_time = 2;  // an error has time to decay if so many steps' length of the call remains
constexpr double unfiltered = 3;  // the estimate before decay may be so many times larger, ...
constexpr double widest = 5e-3;   // ... but not beyond what this rtol allows
constexpr double amid = 5.0 / 6;  // the estimate counts so many times, ...
constexpr double near_end = 4;    // ... so many if less than a step's length remains, ...
constexpr double whole_call = 8;  // ... and so many if the step is the whole call
constexpr double safety = 0.9, smallest_factor = 0.2, largest_factor = 6;
constexpr double first_rejected = 0.5, rejected_again = 0.25;  // largest factors
}  // namespace error_control

// Largest |v| / (atol + rtol |x|) of all species, in units of what is allowed; 1e301 where that is not finite.
PCS_FN inline Vec largest_error(int S, const Vec* v, const Vec* x, double rtol, double atol) {
    Vec largest = {};
    Int finite = ~Int{};
    for (int i = 0; i < S; ++i) {
        const Vec scaled = abs(v[i]) / (atol + rtol * abs(x[i]));
        finite &= scaled <= 1e300;  // false for NaN
        largest = max(scaled, largest);
    }
    return finite ? largest / error_control::allowed : broadcast(1e301);
}

// h0: the whole dt where a diagonal implicit Euler step (change = f / (1/dt + L)) says that little will happen, as in
// most calls of a hydro code; else from the initial rate of change. An unfit guess costs a rejected step.
PCS_FN inline Vec first_step_size(Vec change, Vec rate, Vec dt, const IntegratorSettings& settings) {
    const Vec cautious = min(settings.first_step / max(rate, broadcast(1e-300)), dt);
    return select(change < settings.small_change, dt, cautious);
}

// What becomes of a cell before its first step: 0, or the status that it has been given. One that nothing will happen
// to stays as it is; one that is dear to integrate goes back to the router. rate: |dx/dt| dt.
PCS_FN inline int8_t let_go(const CellArrays& cells, const IntegratorSettings& settings, int64_t cell, double change,
                            double rate) {
    if (cells.estimates) {
        cells.estimates[2 * cell] = change;
        cells.estimates[2 * cell + 1] = rate;
    }
    if (cells.error_dex && settings.skip_dex > 0) {
        // |f| dt, not the smaller `change`: a group of species in fast exchange may drift as a whole.
        const double moved = rate * error_control::allowed * settings.rtol * (1 / ln10);
        double& carried = cells.error_dex[cell * cells.error_stride];
        if (moved <= settings.skip_dex && carried + moved <= settings.budget_dex) {
            carried += moved;
            return cells.status[cell] = status_UNCHANGED;
        }
    }
    if (!settings.router || change < settings.router->lowest) return 0;
    const RouterView& r = *settings.router;
    const int row = place_among(r.change, r.n_change, change), column = place_among(r.rate, r.n_rate, rate);
    const int8_t sent = r.sent[row * (r.n_rate + 1) + column];
    if (sent) cells.status[cell] = sent;
    return sent;
}

// Errors in fast modes decay before the host sees them: with so much of the call left after a step, its estimate is
// propagated over gamma h by implicit Euler, (I - gamma h J)^-1.
PCS_FN inline Int has_time_to_decay(Vec left, Vec h) { return (left > 0.0) & (left >= error_control::decay_time * h); }

// How many times what is allowed an estimate may be where it has time to decay. Large errors are not forgiven: they can
// carry a cell past the end of a branch of the chemistry, and no later step would see it.
PCS_FN inline double forgiven(double rtol) {
    const double most = error_control::widest / rtol;
    return most < error_control::unfiltered ? most : error_control::unfiltered;
}

// How many times the error of a step counts that begins at t.
PCS_FN inline Vec error_weight(Vec t, Vec h, Vec left) {
    using namespace error_control;
    const Int whole = (left <= 0.0) & (t == 0.0);
    return select(whole, broadcast(whole_call), select(left < h, broadcast(near_end), broadcast(amid)));
}

// Whether a step is accepted, and by what its size changes (Hairer & Wanner, IV.8: order 4).
struct StepVerdict {
    Int finite, accepted, at_end;
    Vec factor;
};
PCS_FN inline StepVerdict judge(Vec error, Vec t, Vec h, Vec dt, Int rejected_before) {
    using namespace error_control;
    StepVerdict verdict;
    verdict.finite = error <= 1e300;
    verdict.accepted = verdict.finite & (error <= 1.0);
    Vec factor = safety / sqrt(sqrt(max(error, broadcast(1e-10))));
    factor = min(max(factor, broadcast(smallest_factor)), broadcast(largest_factor));
    // Estimates of a first step fall slower than h^4: it would be rejected many times.
    const Vec shorter =
        select(rejected_before, broadcast(rejected_again), select(t == 0.0, broadcast(first_rejected), broadcast(1.0)));
    const Vec longer = select(rejected_before, broadcast(1.0), broadcast(largest_factor));
    verdict.factor = select(verdict.finite, min(factor, select(verdict.accepted, longer, shorter)), broadcast(0.1));
    verdict.at_end = verdict.accepted & (h >= (dt - t) * (1 - 1e-12));
    return verdict;
}

inline IntegratorWorkspace workspace_of(const PlanView& plan, void* memory) {
    IntegratorWorkspace w;
    layout(plan, (char*)memory, &w);
    return w;
}

// Units that take their steps in time with others: of a CPU each for itself. (A GPU's warp has one of its own, which
// feeds them: native/cuda/exact.cuh.)
struct Solo {
    static constexpr bool feeds = false;
    PCS_FN bool any(bool mine) const { return mine; }  // of the units
};

template <class Chemistry, class Team = Solo>
class Integrator {
  public:
    PCS_FN Integrator(const PlanView& plan, const CellArrays& cells, const CellQueue& queue,
                      const IntegratorSettings& settings, IntegratorStatistics& statistics,
                      const IntegratorWorkspace& workspace, const Team& team = {})
        : plan(plan),
          cells(cells),
          queue(queue),
          settings(settings),
          statistics(statistics),
          w(workspace),
          team(team) {}

    PCS_FN void run() {
        const Chemistry chemistry(plan, w.k, w.rate, w.factor);
        for (int r = 0; r < plan.n_rates; ++r) w.k[r] = Vec{};  // of lanes that never get a cell
        for (int l = 0; l < W; ++l) vacate(l);
        refill();
        while (team.any(n_active > 0)) {
            chemistry.rhs(w.x, w.f);
            // Lanes may be free again: no step without their cells.
            if (team.any(any(fresh) && choose_first_step(chemistry))) {
                refill();
                continue;
            }
            h = min(h, dt - t);
            rosenbrock_step<Rodas4>(chemistry, plan.n_species, w, h);
            control(chemistry);
            refill();
        }
        hand_over();
    }

  private:
    friend Team;

    // Returns whether a lane has let its cell go.
    PCS_FN bool choose_first_step(const Chemistry& chemistry) {
        chemistry.loss(w.x, w.x_new);
        for (int i = 0; i < plan.n_species; ++i)
            w.x_new[i] = w.f[i] / (1.0 / dt + w.x_new[i] / (w.x[i] + settings.atol));
        const Vec change = largest_error(plan.n_species, w.x_new, w.x, settings.rtol, settings.atol);
        const Vec rate = largest_error(plan.n_species, w.f, w.x, settings.rtol, settings.atol);
        h = fresh ? first_step_size(change, rate, dt, settings) : h;
        bool freed = false;
        for (int l = 0; l < W; ++l) {
            if (!fresh[l] || cell[l] < 0) continue;
            const int8_t status = let_go(cells, settings, cell[l], change[l], rate[l] * dt[l]);
            if (!status) continue;
            if (status == status_UNCHANGED) ++statistics.skipped;
            vacate(l);
            freed = true;
        }
        fresh = Int{};
        return freed;
    }

    // The step's error against what is allowed, from the embedded solution's estimate in w.K[5] (spent here).
    PCS_FN Vec step_error(const Chemistry& chemistry) const {
        const Vec left = (dt - t) - h;  // of the call, after this step
        Vec error = largest_error(plan.n_species, w.K[5], w.x_new, settings.rtol, settings.atol);
        const Int decays = has_time_to_decay(left, h);
        const double excess = forgiven(settings.rtol);
        if (excess > 1 && any(decays)) {
            for (int i = 0; i < plan.n_species; ++i) w.K[5][i] /= Rodas4::gamma * h;
            chemistry.solve(w.M, w.K[5]);
            const Vec decayed = largest_error(plan.n_species, w.K[5], w.x_new, settings.rtol, settings.atol);
            error = decays ? max(decayed, error / excess) : error;
        }
        return error * error_weight(t, h, left);
    }

    // Accept or reject, lane by lane, and the next step size.
    PCS_FN void control(const Chemistry& chemistry) {
        const StepVerdict verdict = judge(step_error(chemistry), t, h, dt, rejected_before);
        const Int accepted = verdict.accepted, finite = verdict.finite, at_end = verdict.at_end;
        for (int i = 0; i < plan.n_species; ++i) w.x[i] = accepted ? w.x_new[i] : w.x[i];
        t = accepted ? t + h : t;
        h *= verdict.factor;
        rejected_before = ~accepted;
        for (int l = 0; l < W; ++l) {
            if (cell[l] < 0) continue;
            ++steps[l];
            if (!accepted[l]) ++rejected[l];
            if (at_end[l])
                finish(l);
            else if (steps[l] >= settings.max_steps || !(t[l] + h[l] > t[l]))  // the clock stands still
                fail(l, finite[l] ? status_STEP_LIMIT : status_NON_FINITE);
        }
    }

    PCS_FN void finish(int l) {
        double *out = (double*)w.done_x + n_done, *in = (double*)w.done_x0 + n_done;
        for (int i = 0; i < plan.n_species; ++i) out[i * W] = w.x[i][l] > 0 ? w.x[i][l] : 0;
        read_cell(plan, cells, cell[l], in, W, w.conditions);
        if (settings.drop_unresolved_ions) drop_unresolved_ions(out, in);
        done_cell[n_done] = cell[l];
        done_n_H[n_done] = n_H[l];
        // A state that went far below zero was not resolved: the floor would make matter.
        double lowest = 0;
        for (int i = 0; i < plan.n_species; ++i) lowest = w.x[i][l] < lowest ? w.x[i][l] : lowest;
        if (!(lowest > -1e3 * settings.atol)) return fail(l, status_NON_FINITE);
        count(l);
        vacate(l);
        if (++n_done == W) hand_over();
    }

    // Ions that came from none and are fewer than atol in all: the integrator did not resolve them, and round-off with
    // the floor may have left charges that no factor can balance.
    PCS_FN void drop_unresolved_ions(double* x, const double* x0) {
        const double* charge = plan.composition + (plan.n_conserved - 1) * plan.n_species;
        double before = 0, after = 0;
        for (int i = 0; i < plan.n_species; ++i) {
            before += __builtin_fabs(charge[i]) * x0[i * W];
            after += __builtin_fabs(charge[i]) * x[i * W];
        }
        if (before > 0 || after >= settings.atol) return;
        for (int i = 0; i < plan.n_species; ++i)
            if (charge[i] != 0) x[i * W] = 0;
    }

    PCS_FN void fail(int l, int8_t status) {
        cells.status[cell[l]] = status;
        count(l);
        ++statistics.failed;
        vacate(l);
    }

    PCS_FN void count(int l) {
        statistics.steps += steps[l];
        statistics.rejected += rejected[l];
        if (!cells.counts) return;
        int32_t* mine = cells.counts + cell[l] * n_cell_counts;
        mine[count_steps] += steps[l];
        mine[count_rejected] += rejected[l];
        mine[count_factorisations] += steps[l];  // Rodas4: one a step
    }

    // Project W finished cells together and write them to the host.
    PCS_FN void hand_over() {
        if (n_done == 0) return;
        for (int l = n_done; l < W; ++l)  // idle lanes: any valid state
            for (int i = 0; i < plan.n_species; ++i) w.done_x[i][l] = w.done_x0[i][l] = w.done_x0[i][0];
        Vec lambda[max_conserved];
        const Defect defect = conserved(lambda);
        for (int l = 0; l < n_done; ++l) {
            if (!(defect.after[l] <= 1e-12)) {
                cells.status[done_cell[l]] = status_NON_FINITE;
                ++statistics.failed;
                continue;
            }
            write_cell(plan, cells, done_cell[l], (double*)w.done_x + l, W, done_n_H[l]);
            if (settings.success) cells.status[done_cell[l]] = settings.success;
            ++statistics.solved;
            if (defect.before[l] > statistics.worst_defect) statistics.worst_defect = defect.before[l];
        }
        n_done = 0;
    }

    // A thread of a GPU pays for every byte of the larger code: its matrix lies where M was.
    PCS_FN Defect conserved(Vec* lambda) const {
        if constexpr (W > 1)
            return conserve(plan, w.done_x0, w.done_x, w.factors, lambda);
        else if constexpr (Chemistry::conserved == 4)
            return conserve_by<4>(plan, w.done_x0, w.done_x, w.factors, lambda);
        else
            return conserve_by<0, true>(plan, w.done_x0, w.done_x, w.factors, lambda, w.M);
    }

    PCS_FN void refill() {
        if constexpr (Team::feeds) {
            team.feed(*this);
        } else {
            while (refill_once()) {
            }
        }
    }

    // Returns whether lanes are still free because the cells at hand were used up.
    PCS_FN bool refill_once() {
        RateInput fresh_cells[W];
        int n_fresh = 0;
        bool again = false;
        for (int l = 0; l < W && !queue_empty; ++l) {
            if (cell[l] >= 0) continue;
            if (plan.n_values > 0 && next_ahead == n_ahead) {
                again = n_fresh > 0;  // their formulas' values are needed first
                if (again) break;
                look_ahead();
            }
            const int64_t next = plan.n_values == 0 ? take(queue) : next_ahead < n_ahead ? ahead[next_ahead] : -1;
            if (next < 0) {
                queue_empty = true;
                break;
            }
            double* conditions = w.conditions + l * plan.n_conditions;
            const CellInput input = read_cell(plan, cells, next, (double*)w.x + l, W, conditions);
            fresh_cells[n_fresh++] = {l, input.temperature_K, input.n_H, conditions,
                                      plan.n_values > 0 ? next_ahead++ : -1};
            occupy(l, next, input);
        }
        if (n_fresh > 0) rate_coefficients(plan, fresh_cells, n_fresh, w.k, w.rate);
        return again;
    }

    // Formulas are evaluated for W cells of the queue together, before lanes take the cells one by one.
    PCS_FN void look_ahead() {
        RateInput given[W];
        for (n_ahead = next_ahead = 0; n_ahead < W; ++n_ahead) {
            const int64_t next = take(queue);
            if (next < 0) break;
            double* conditions = w.conditions + n_ahead * plan.n_conditions;
            const CellInput input = read_surroundings(plan, cells, next, conditions);
            given[n_ahead] = {n_ahead, input.temperature_K, input.n_H, conditions};
            ahead[n_ahead] = next;
        }
        if (n_ahead > 0) evaluate(plan, given, n_ahead, formula_values(plan, w.rate));
    }

    PCS_FN void occupy(int l, int64_t next, const CellInput& input) {
        cell[l] = next, n_H[l] = input.n_H, dt[l] = input.dt_s, t[l] = 0, h[l] = input.dt_s;
        fresh[l] = -1, rejected_before[l] = 0, steps[l] = rejected[l] = 0;
        ++n_active;
    }

    // A lane without a cell idles on the zero state, where no coefficients matter.
    PCS_FN void vacate(int l) {
        if (cell[l] >= 0) --n_active;
        cell[l] = -1, dt[l] = 1, t[l] = 0, h[l] = 1, fresh[l] = 0, rejected_before[l] = 0;
        for (int i = 0; i < plan.n_species; ++i) w.x[i][l] = 0;
    }

    const PlanView& plan;
    const CellArrays& cells;
    const CellQueue& queue;
    const IntegratorSettings& settings;
    IntegratorStatistics& statistics;
    IntegratorWorkspace w;
    Team team;
    Vec t{}, h{}, dt{}, n_H{};
    Int fresh{}, rejected_before{};
    int64_t cell[W] = {};
    int32_t steps[W] = {}, rejected[W] = {};
    int64_t done_cell[W] = {};
    double done_n_H[W] = {};
    int64_t ahead[W] = {};  // cells whose formulas have their values, lane by lane
    int n_ahead = 0, next_ahead = 0;
    int n_active = W, n_done = 0;
    bool queue_empty = false;
};

}  // namespace pcs::PCS_ISA
