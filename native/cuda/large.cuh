// The exact integrator for networks whose workspace is too large for one thread: a block of threads advances a cell.
// SPDX-License-Identifier: BSD-3-Clause
//
// The method, its constants and its control are those of rosenbrock.hpp. Every number is computed by one thread, or by
// the lanes of a team in a fixed order, so that a cell's bits depend neither on the number of threads and blocks nor on
// what else is in the batch. All threads of a block hold the same scalars and take the same branches.
#pragma once

#include <algorithm>
#include <cstdlib>

#include "crew.cuh"
#include "launch.hpp"
#include "pcs/rosenbrock.hpp"
#include "step.hpp"

namespace pcs::cuda {

using namespace pcs::scalar;

constexpr int large_threads = 256, large_blocks = 2;  // of a block; blocks on a multiprocessor

// The block's memory: device memory, and as much shared memory as there is for what is read at random.
struct LargeMemory {
    char *shared, *device;
    size_t shared_left, shared_used = 0, device_used = 0;

    __host__ __device__ double* take(size_t count, bool fast = false) {
        const size_t bytes = (count * sizeof(double) + 15) / 16 * 16;
        if (fast && bytes <= shared_left) {
            char* const p = shared + shared_used;
            shared_used += bytes, shared_left -= bytes;
            return (double*)p;
        }
        char* const p = device + device_used;
        device_used += bytes;
        return (double*)p;
    }
};

struct LargeWorkspace {
    double* across;  // of the crew
    double *target, *residual, *size, *gram, *factors, *conditions;
    double *x, *x_new, *f, *spare, *K, *full;  // K (stages, S); full: the full block (rows, columns)
    double *k, *rate, *M, *left, *upper;       // k: rate coefficients, then the other partials

    __host__ __device__ LargeWorkspace(const PlanView& plan, LargeMemory& memory) {
        const size_t S = plan.n_species, Q = plan.n_conserved, block = S - plan.dense;
        across = memory.take(Crew::spare, true);
        target = memory.take(Q + 1, true), residual = memory.take(Q, true), size = memory.take(Q, true);
        gram = memory.take(Q * Q, true), factors = memory.take(plan.n_counts, true);
        conditions = memory.take(plan.n_conditions + 1, true);
        K = memory.take(Rodas4::stages * S, true), x_new = memory.take(S, true), spare = memory.take(S, true);
        x = memory.take(S, true), f = memory.take(S, true);
        full = memory.take(block * block, true);
        k = memory.take(plan.n_partials), rate = memory.take(rate_scratch(plan)), M = memory.take(plan.n_entries);
        left = memory.take(lu_tile * size_t(plan.n_left)), upper = memory.take(lu_tile * size_t(plan.n_upper));
    }
};

// A network's kernels by its tables, as Tables of chemistry.hpp has them for one thread.
class LargeTables {
  public:
    __device__ LargeTables(const PlanView& plan, const LargeWorkspace& w, const Crew& crew)
        : plan(plan), w(w), crew(crew), size(plan.n_species - plan.dense) {
        crew.each(lu_tile * plan.n_left, [&](int i) { w.left[i] = 0; });  // what is not filled stays 0
        crew.each(lu_tile * plan.n_upper, [&](int i) { w.upper[i] = 0; });
        crew.wait();
    }

    __device__ void rate_coefficients(double temperature_K, double n_H, const double* conditions) const {
        const Temperature t = temperature_of(temperature_K);
        double *const shapes = w.rate, *const value = shapes + plan.n_rates;
        if (plan.n_values > 0) {  // one long chain
            if (crew.thread == 0) evaluate(plan, {temperature_K, n_H, (const Vec*)conditions}, (Vec*)value);
            crew.wait();
        }
        for (int g = 0; g < plan.n_groups; ++g) {
            const Group& group = plan.groups[g];
            double scale = 1.0;
            for (int power = 0; power < group.density_power; ++power) scale *= n_H;
            Vec condition[max_conditions] = {};
            for (int i = 0; i < max_conditions; ++i)
                if (group.conditions[i] >= 0) condition[i] = conditions[group.conditions[i]];
            for (int s = group.shape_begin + crew.thread; s < group.shape_end; s += crew.threads) {
                if (is_formula(group.law)) {
                    shapes[s] = value[value_of_shape(plan, s)] * scale;
                    continue;
                }
                Vec p[n_parameters];
                for (int i = 0; i < n_parameters; ++i) p[i] = plan.parameters[i * plan.n_shapes + s];
                shapes[s] = (rate_coefficient(group.law, p, t, condition) * scale)[0];
            }
        }
        crew.wait();
        // Padding names the shape before it, and its strength is 0.
        crew.each(plan.n_rates, [&](int r) { w.k[r] = plan.strength[r] * shapes[plan.shape[r]]; });
        crew.wait();
    }

    // dxdt (species) at x.
    __device__ void rhs(const double* x, double* dxdt) const {
        for (int g = 0; g < plan.n_groups; ++g) {
            const Group& group = plan.groups[g];
            for (int r = group.begin + crew.thread; r < group.end; r += crew.threads) {
                const int32_t* a = plan.reactants + max_reactants * r;
                double product = w.k[r] * x[a[0]];
                if (group.bodies > 1) product *= x[a[1]];
                if (group.bodies > 2) product *= x[a[2]];
                w.rate[r] = product;
            }
        }
        crew.wait();
        crew.rows(
            plan.n_species,
            [&](int i, int lane) {
                return gathered(w.rate, plan.gain, plan.gain_begin[i] + lane, plan.gain_begin[i + 1]) -
                       gathered(w.rate, plan.loss, plan.loss_begin[i] + lane, plan.loss_begin[i + 1]);
            },
            [&](int i, double sum) { dxdt[i] = sum; });
        crew.wait();
    }

    // What every species loses per second; call it after rhs at the same x.
    __device__ void loss(double* loss) const {
        crew.rows(
            plan.n_species,
            [&](int i, int lane) {
                return gathered(w.rate, plan.loss, plan.loss_begin[i] + lane, plan.loss_begin[i + 1]);
            },
            [&](int i, double sum) { loss[i] = sum; });
        crew.wait();
    }

    // The workspace holds the factors of I * shift - J(x) afterwards.
    __device__ void factorise(const double* x, double shift) const {
        double* const partial = w.k;
        const int triples = plan.n_rates + plan.n_pairs;
        crew.each(plan.n_pairs,
                  [&](int p) { partial[plan.n_rates + p] = partial[plan.pair_rate[p]] * x[plan.pair_other[p]]; });
        crew.each(plan.n_triples, [&](int p) {
            const int32_t* other = plan.triple_other + 2 * p;
            partial[triples + p] = partial[plan.triple_rate[p]] * x[other[0]] * x[other[1]];
        });
        crew.wait();
        crew.each(size * size, [&](int place) {
            const int row = place / size, column = place % size;
            const double sum = terms(plan.row_begin[plan.dense + row + 1] - size + column);
            w.full[place] = row == column ? sum + shift : sum;
        });
        for (int level = 0; level < plan.n_levels; ++level) {
            for (int q = plan.level_begin[level] + crew.thread; q < plan.level_begin[level + 1]; q += crew.threads)
                eliminate(q, shift);
            crew.wait();
        }
        copy_panels();
        crew.wait();
        const int tiles = size / lu_tile;
        crew.each(tiles * tiles, [&](int tile) { subtract_panels(tile / tiles, tile % tiles); });
        crew.wait();
        for (int first = 0; first < size; first += lu_tile) factorise_full(first);
    }

    // b becomes the solution of L U y = b.
    __device__ void solve(double* b) const {
        const double* const M = w.M;
        for (int level = 1; level < plan.n_lower_levels; ++level) {  // rows of level 0 have no L
            const int begin = plan.lower_begin[level];
            crew.rows(
                plan.lower_begin[level + 1] - begin,
                [&](int q, int lane) {
                    const int i = plan.lower_row[begin + q];
                    return dot(b, plan.row_begin[i] + lane, plan.diagonal[i]);
                },
                [&](int q, double sum) { b[plan.lower_row[begin + q]] -= sum; });
            crew.wait();
        }
        crew.rows(
            size,
            [&](int r, int lane) {
                const int i = plan.dense + r;
                return dot(b, plan.row_begin[i] + lane, plan.row_begin[i + 1] - size);
            },
            [&](int r, double sum) { b[plan.dense + r] -= sum; });
        crew.wait();
        solve_full(b + plan.dense, w.spare);
        for (int level = 0; level < plan.n_upper_levels; ++level) {
            const int begin = plan.upper_level_begin[level];
            crew.rows(
                plan.upper_level_begin[level + 1] - begin,
                [&](int q, int lane) {
                    const int i = plan.upper_row[begin + q];
                    return dot(b, plan.diagonal[i] + 1 + lane, plan.row_begin[i + 1]);
                },
                [&](int q, double sum) {
                    const int i = plan.upper_row[begin + q];
                    b[i] = (b[i] - sum) * M[plan.diagonal[i]];
                });
            crew.wait();
        }
    }

  private:
    // Every team-th term of a gather list.
    __device__ static double gathered(const double* value, const int32_t* entry, int begin, int end) {
        double sum = 0;
        for (int e = begin; e < end; e += Crew::team) sum += value[entry[e]];
        return sum;
    }
    __device__ double dot(const double* b, int begin, int end) const {
        double sum = 0;
        for (int e = begin; e < end; e += Crew::team) sum += w.M[e] * b[plan.column[e]];
        return sum;
    }
    // An entry of -J.
    __device__ double terms(int e) const {
        double sum = 0;
        for (int m = plan.minus_begin[e]; m < plan.minus_begin[e + 1]; ++m) sum += w.k[plan.minus[m]];
        for (int p = plan.plus_begin[e]; p < plan.plus_begin[e + 1]; ++p) sum -= w.k[plan.plus[p]];
        return sum;
    }

    // An entry of L or U outside the full block.
    __device__ void eliminate(int q, double shift) const {
        const int e = plan.level_entry[q], diagonal = plan.level_diagonal[q];
        double sum = terms(e);
        if (diagonal == e) sum += shift;
        for (int p = plan.product_begin[q]; p < plan.product_begin[q + 1]; ++p)
            sum -= w.M[plan.products[p].left] * w.M[plan.products[p].upper];
        w.M[e] = diagonal == e ? 1.0 / sum : diagonal >= 0 ? sum * w.M[diagonal] : sum;
    }

    // L left of the full block and U above it, `lu_tile` rows or columns side by side.
    __device__ void copy_panels() const {
        for (int row = crew.thread / Crew::team; row < size; row += crew.threads / Crew::team) {
            double* const panel = w.left + lu_tile * plan.left_begin[row / lu_tile];
            const int i = plan.dense + row, end = plan.row_begin[i + 1] - size;
            for (int e = plan.row_begin[i] + crew.thread % Crew::team; e < end; e += Crew::team)
                panel[plan.place[e]] = w.M[e];
        }
        crew.each(plan.n_upper_entries, [&](int u) { w.upper[plan.upper_place[u]] = w.M[plan.upper_entry[u]]; });
    }

    // A tile of the full block minus L U of the sparse rows above.
    __device__ void subtract_panels(int I, int J) const {
        double t[lu_tile][lu_tile];
        double* const corner = w.full + lu_tile * (I * size + J);
        for (int i = 0; i < lu_tile; ++i)
            for (int j = 0; j < lu_tile; ++j) t[i][j] = corner[i * size + j];
        const double *left = w.left + lu_tile * plan.left_begin[I], *upper = w.upper + lu_tile * plan.upper_begin[J];
        const int tile = I * (size / lu_tile) + J;
        for (int p = plan.shared_begin[tile]; p < plan.shared_begin[tile + 1]; ++p) {
            const double *l = left + lu_tile * plan.shared[p].left, *u = upper + lu_tile * plan.shared[p].upper;
            for (int i = 0; i < lu_tile; ++i)
                for (int j = 0; j < lu_tile; ++j) t[i][j] -= l[i] * u[j];
        }
        for (int i = 0; i < lu_tile; ++i)
            for (int j = 0; j < lu_tile; ++j) corner[i * size + j] = t[i][j];
    }

    // `lu_tile` pivots of the full block: their rows of U, their columns of L, and what these take from the rest.
    __device__ void factorise_full(int first) const {
        double t[lu_tile][lu_tile];  // on the diagonal; every thread computes it for itself
        double* const corner = w.full + first * size + first;
        for (int i = 0; i < lu_tile; ++i)
            for (int j = 0; j < lu_tile; ++j) t[i][j] = corner[i * size + j];
        for (int p = 0; p < lu_tile; ++p) {
            t[p][p] = 1.0 / t[p][p];
            for (int i = p + 1; i < lu_tile; ++i) {
                t[i][p] *= t[p][p];
                for (int j = p + 1; j < lu_tile; ++j) t[i][j] -= t[i][p] * t[p][j];
            }
        }
        const int rest = size - first - lu_tile;
        crew.each(2 * rest, [&](int which) {
            double v[lu_tile];
            if (which < rest) {  // a column of U
                double* const column = corner + lu_tile + which;
                for (int i = 0; i < lu_tile; ++i) v[i] = column[i * size];
                for (int i = 1; i < lu_tile; ++i) {
                    for (int p = 0; p < i; ++p) v[i] -= t[i][p] * v[p];
                    column[i * size] = v[i];
                }
            } else {  // a row of L
                double* const row = corner + (lu_tile + which - rest) * size;
                for (int j = 0; j < lu_tile; ++j) v[j] = row[j];
                for (int j = 0; j < lu_tile; ++j) {
                    for (int p = 0; p < j; ++p) v[j] -= v[p] * t[p][j];
                    row[j] = v[j] *= t[j][j];
                }
            }
        });
        crew.wait();
        if (crew.thread == 0)
            for (int i = 0; i < lu_tile; ++i)
                for (int j = 0; j < lu_tile; ++j) corner[i * size + j] = t[i][j];
        // A warp for `lu_tile` rows, its lanes side by side.
        for (int I = lu_tile * (1 + crew.thread / 32); I < size - first; I += lu_tile * (crew.threads / 32)) {
            double* const row = corner + I * size;
            double l[lu_tile][lu_tile];
            for (int i = 0; i < lu_tile; ++i)
                for (int p = 0; p < lu_tile; ++p) l[i][p] = row[i * size + p];
            for (int j = lu_tile + crew.thread % 32; j < size - first; j += 32) {
                double u[lu_tile], v[lu_tile];  // all are loaded before one is stored: the compiler may not do that
                for (int p = 0; p < lu_tile; ++p) u[p] = corner[p * size + j], v[p] = row[p * size + j];
                for (int i = 0; i < lu_tile; ++i)
                    for (int p = 0; p < lu_tile; ++p) v[i] -= l[i][p] * u[p];
                for (int i = 0; i < lu_tile; ++i) row[i * size + j] = v[i];
            }
        }
        crew.wait();
    }

    // c becomes the solution with the full block; y: what L makes of it. Every thread solves for the `lu_tile` unknowns
    // that are next and subtracts them from its own rows.
    __device__ void solve_full(double* c, double* y) const {
        for (int first = 0; first < size; first += lu_tile) {
            const double* const corner = w.full + first * size + first;
            double v[lu_tile];
            for (int i = 0; i < lu_tile; ++i) {
                v[i] = c[first + i];
                for (int p = 0; p < i; ++p) v[i] -= corner[i * size + p] * v[p];
            }
            crew.each(size - first - lu_tile, [&](int r) {
                const double* const row = corner + (lu_tile + r) * size;
                double value = c[first + lu_tile + r];
                for (int p = 0; p < lu_tile; ++p) value -= row[p] * v[p];
                c[first + lu_tile + r] = value;
            });
            if (crew.thread == 0)
                for (int i = 0; i < lu_tile; ++i) y[first + i] = v[i];
            crew.wait();
        }
        for (int first = size - lu_tile; first >= 0; first -= lu_tile) {
            const double* const corner = w.full + first * size + first;
            double v[lu_tile];
            for (int i = lu_tile - 1; i >= 0; --i) {
                v[i] = y[first + i];
                for (int p = lu_tile - 1; p > i; --p) v[i] -= corner[i * size + p] * v[p];
                v[i] *= corner[i * size + i];
            }
            crew.each(first, [&](int r) {
                const double* const row = w.full + r * size + first;
                double value = y[r];
                for (int p = 0; p < lu_tile; ++p) value -= row[p] * v[p];
                y[r] = value;
            });
            if (crew.thread == 0)
                for (int i = 0; i < lu_tile; ++i) c[first + i] = v[i];
            crew.wait();
        }
    }

    const PlanView& plan;
    const LargeWorkspace& w;
    const Crew& crew;
    const int size;  // of the full block
};

struct RelativeDefect {
    double before, after;
};

// A cell at a time, as Integrator of rosenbrock.hpp in one lane.
class LargeIntegrator {
  public:
    __device__ LargeIntegrator(const PlanView& plan, const CellArrays& cells, const DeviceQueue& queue,
                               const IntegratorSettings& settings, IntegratorStatistics* statistics,
                               const LargeWorkspace& w, const Crew& crew)
        : plan(plan),
          cells(cells),
          queue(queue),
          settings(settings),
          statistics(statistics),
          w(w),
          crew(crew),
          S(plan.n_species),
          chemistry(plan, w, crew) {}

    __device__ void run() {
        while ((cell = crew.told([&] { return take(); })) >= 0) advance();
    }

  private:
    __device__ int64_t take() const {
        const auto position = (int64_t)atomicAdd((unsigned long long*)queue.next, 1ull);
        if (position >= *queue.size) return -1;
        return queue.cells ? queue.cells[position] : position;
    }

    __device__ void advance() {
        n_H = read_cell(w.x);
        dt = cells.dt_s[cell * cells.dt_stride];
        chemistry.rate_coefficients(cells.temperature_K[cell * cells.temperature_stride], n_H, w.conditions);
        t = 0, steps = rejected = 0;
        bool accepted = true;  // so that f is that of x
        for (;;) {
            if (accepted) chemistry.rhs(w.x, w.f);
            if (steps == 0 && !choose_first_step()) return;
            h = min(Vec(h), Vec(dt - t))[0];
            step();
            const StepVerdict verdict = judge(step_error(), t, h, dt, Int(accepted ? 0 : -1));
            accepted = bool(verdict.accepted);
            if (accepted) {
                crew.each(S, [&](int i) { w.x[i] = w.x_new[i]; });
                crew.wait();
                t += h;
            }
            h *= verdict.factor[0];
            ++steps;
            if (!accepted) ++rejected;
            if (bool(verdict.at_end)) return finish();
            if (steps >= settings.max_steps || !(t + h > t))  // the clock stands still
                return fail(bool(verdict.finite) ? status_STEP_LIMIT : status_NON_FINITE);
        }
    }

    // The cell's fractions x = n / n_H, mended as asked for; n_H.
    __device__ double read_cell(double* x) const {
        const double* const n = cells.n_cm3 + cell * cells.cell_stride;
        const bool floor = cells.repair & repair_floor;
        crew.each(S, [&](int i) {
            const double value = n[plan.order[i] * cells.species_stride];
            x[i] = value < 0 && floor ? 0 : value;
        });
        crew.each(plan.n_conditions, [&](int c) {
            w.conditions[c] = cells.conditions[cell * cells.condition_cell_stride + c * cells.condition_stride];
        });
        crew.wait();
        const double density = crew.sum(S, [&](int i) { return plan.scale_weights[i] * x[i]; });
        if ((cells.repair & repair_electrons) && cells.electron >= 0) {
            const double* const charge = plan.composition + (plan.n_conserved - 1) * S;
            const double electrons =
                crew.sum(S, [&](int i) { return plan.order[i] == cells.electron ? 0.0 : charge[i] * x[i]; });
            crew.each(S, [&](int i) {
                if (plan.order[i] == cells.electron) x[i] = electrons;
            });
        }
        const double inverse = 1.0 / density;
        crew.each(S, [&](int i) { x[i] *= inverse; });
        crew.wait();
        return density;
    }

    // Returns whether the cell is to be integrated.
    __device__ bool choose_first_step() {
        chemistry.loss(w.x_new);
        crew.each(S, [&](int i) { w.x_new[i] = w.f[i] / (1.0 / dt + w.x_new[i] / (w.x[i] + settings.atol)); });
        const double change = largest_error(w.x_new, w.x), rate = largest_error(w.f, w.x);
        h = first_step_size(change, rate, dt, settings)[0];
        const auto status = (int8_t)crew.told([&] { return let_go(cells, settings, cell, change, rate * dt); });
        if (crew.thread == 0 && status == status_UNCHANGED) add_count(&IntegratorStatistics::skipped, statistics, 1);
        return status == 0;
    }

    __device__ double largest_error(const double* v, const double* x) const {
        double largest = 0;
        crew.each(S, [&](int i) {
            const double scaled = fabs(v[i]) / (settings.atol + settings.rtol * fabs(x[i]));
            largest = !(scaled <= 1e300) ? 1e301 : scaled > largest ? scaled : largest;
        });
        largest = crew.largest(largest);
        return largest > 1e300 ? 1e301 : largest / error_control::allowed;
    }

    __device__ double* last_stage() const { return w.K + (Rodas4::stages - 1) * S; }

    // From x, where f holds f(x), to x_new, with the error estimate in the last stage's K.
    __device__ void step() const {
        chemistry.factorise(w.x, 1.0 / h / Rodas4::gamma);
#ifdef __CUDACC__
#pragma unroll 1  // a copy of everything for each stage would need more registers than there are
#endif
        for (int stage = 0; stage < Rodas4::stages; ++stage) {
            double* const K = w.K + stage * S;
            static_assert(!Rodas4::anew[0] && Rodas4::anew[1] && Rodas4::anew[2] && Rodas4::anew[3] &&
                          Rodas4::anew[4] && Rodas4::anew[5]);
            if (stage > 0) {
                crew.each(S, [&](int i) { w.x_new[i] = w.x[i] + combined<true>(stage, i); });
                crew.wait();
                chemistry.rhs(w.x_new, K);
            }
            const double inverse_h = 1.0 / h;
            crew.each(S, [&](int i) { K[i] = (stage > 0 ? K[i] : w.f[i]) + inverse_h * combined<false>(stage, i); });
            crew.wait();
            chemistry.solve(K);
        }
        crew.each(S, [&](int i) { w.x_new[i] += last_stage()[i]; });
        crew.wait();
    }

    // sum_j a[stage][j] K_j (starts) or the same with c, for species i.
    template <bool starts, int last = Rodas4::stages - 1>
    __device__ double combined(int stage, int i) const {
        if constexpr (last == 0) {
            return 0;
        } else {
            return stage == last ? sum_of<starts, last, 0>(i) : combined<starts, last - 1>(stage, i);
        }
    }
    template <bool starts, int stage, int j>
    __device__ double sum_of(int i) const {
        if constexpr (j == stage) {
            return 0;
        } else {
            constexpr double factor = starts ? Rodas4::a[stage][j] : Rodas4::c[stage][j];
            return factor * w.K[j * S + i] + sum_of<starts, stage, j + 1>(i);
        }
    }

    // The step's error against what is allowed (the estimate is spent).
    __device__ double step_error() const {
        const double left = (dt - t) - h;  // of the call, after this step
        double* const estimate = last_stage();
        double error = largest_error(estimate, w.x_new);
        const double excess = forgiven(settings.rtol);
        if (excess > 1 && bool(has_time_to_decay(left, h))) {
            crew.each(S, [&](int i) { estimate[i] /= Rodas4::gamma * h; });
            crew.wait();
            chemistry.solve(estimate);
            const double decayed = largest_error(estimate, w.x_new), before = error / excess;
            error = decayed > before ? decayed : before;
        }
        return error * error_weight(t, h, left)[0];
    }

    __device__ void finish() {
        double *const out = w.x_new, *const in = w.f;
        double lowest = 0;
        crew.each(S, [&](int i) {
            lowest = w.x[i] < lowest ? w.x[i] : lowest;
            out[i] = w.x[i] > 0 ? w.x[i] : 0;
        });
        lowest = -crew.largest(-lowest);
        read_cell(in);
        if (settings.drop_unresolved_ions) drop_unresolved_ions(out, in);
        // A state that went far below zero was not resolved: the floor would make matter.
        if (!(lowest > -1e3 * settings.atol)) return fail(status_NON_FINITE);
        count();
        const auto [before, after] = conserve(in, out);
        if (!(after <= 1e-12)) {
            if (crew.thread == 0)
                cells.status[cell] = status_NON_FINITE, add_count(&IntegratorStatistics::failed, statistics, 1);
            return;
        }
        double* const n = cells.n_cm3 + cell * cells.cell_stride;
        crew.each(S, [&](int i) { n[plan.order[i] * cells.species_stride] = out[i] * n_H; });
        if (crew.thread > 0) return;
        if (settings.success) cells.status[cell] = settings.success;
        add_count(&IntegratorStatistics::solved, statistics, 1);
        raise(&statistics->worst_defect, before);
    }

    __device__ void drop_unresolved_ions(double* x, const double* x0) const {
        const double* const charge = plan.composition + (plan.n_conserved - 1) * S;
        const double before = crew.sum(S, [&](int i) { return fabs(charge[i]) * x0[i]; });
        const double after = crew.sum(S, [&](int i) { return fabs(charge[i]) * x[i]; });
        if (before > 0 || after >= settings.atol) return;
        crew.each(S, [&](int i) {
            if (charge[i] != 0) x[i] = 0;
        });
        crew.wait();
    }

    __device__ void fail(int8_t status) const {
        if (crew.thread == 0) cells.status[cell] = status, add_count(&IntegratorStatistics::failed, statistics, 1);
        count();
    }

    __device__ void count() const {
        if (crew.thread > 0) return;
        add_count(&IntegratorStatistics::steps, statistics, steps);
        add_count(&IntegratorStatistics::rejected, statistics, rejected);
        if (!cells.counts) return;
        int32_t* const mine = cells.counts + cell * n_cell_counts;
        mine[count_steps] += steps;
        mine[count_rejected] += rejected;
        mine[count_factorisations] += steps;  // Rodas4: one a step
    }

    // As conserve() of conserve.hpp, with sums by teams.
    __device__ RelativeDefect conserve(const double* x0, double* x) const {
        const int Q = plan.n_conserved, pairs = Q * (Q - 1) / 2;
        const auto held = [&](int q, int lane, const auto& term) {
            double sum = 0;
            for (int e = plan.held_begin[q] + lane; e < plan.held_begin[q + 1]; e += Crew::team)
                sum += term(plan.held_count[e], plan.held[e]);
            return sum;
        };
        crew.rows(
            Q + 1,
            [&](int q, int lane) {
                return q < Q ? held(
                                   q, lane, [&](double count, int i) { return count * x0[i]; })
                             : held(Q - 1, lane, [&](double count, int i) { return fabs(count) * x0[i]; });
            },
            [&](int q, double sum) { w.target[q] = sum; });
        crew.wait();
        const bool neutral = fabs(w.target[Q - 1]) <= newton::neutral * w.target[Q];
        RelativeDefect defect{};
        bool moving = true;
        for (int step = 0;; ++step) {
            const bool last = step == newton::most_steps || !moving;
            crew.rows(
                Q, [&](int q, int lane) { return held(q, lane, [&](double count, int i) { return count * x[i]; }); },
                [&](int q, double sum) { w.residual[q] = (neutral && q == Q - 1 ? 0.0 : w.target[q]) - sum; });
            if (step == 0 || last)
                crew.rows(
                    Q,
                    [&](int q, int lane) {
                        return held(q, lane,
                                    [&](double count, int i) { return fabs(count) * (x[i] > x0[i] ? x[i] : x0[i]); });
                    },
                    [&](int q, double sum) { w.size[q] = sum; });
            crew.wait();
            if (step == 0) defect.before = relative_defect();
            if (last) {
                defect.after = relative_defect();
                crew.wait();
                return defect;
            }
            crew.rows(
                pairs + Q,
                [&](int pair, int lane) {
                    if (pair >= pairs)
                        return held(pair - pairs, lane, [&](double count, int i) { return count * count * x[i]; });
                    double sum = 0;
                    for (int e = plan.both_begin[pair] + lane; e < plan.both_begin[pair + 1]; e += Crew::team)
                        sum += plan.both_count[e] * x[plan.both[e]];
                    return sum;
                },
                [&](int pair, double sum) {
                    int q = pair - pairs, p = q;  // on the diagonal
                    if (pair < pairs)
                        for (q = 1, p = pair; p >= q; ++q) p -= q;
                    w.gram[q * Q + p] = sum;
                });
            crew.wait();
            if (crew.thread == 0) solve_gram<0>(Q, (Vec*)w.gram, (Vec*)w.residual);
            crew.wait();
            double bound = 0, damping = 1;  // on the step in ln x
            for (int q = 0; q < Q; ++q) bound += plan.most_held[q] * fabs(w.residual[q]);
            if (bound > newton::longest_step) {
                double longest = 0;
                crew.each(S, [&](int i) {
                    double u = 0;
                    for (int e = plan.counts_begin[i]; e < plan.counts_begin[i + 1]; ++e)
                        u += plan.count[plan.counts[e]] * w.residual[plan.count_of[plan.counts[e]]];
                    longest = fabs(u) > longest ? fabs(u) : longest;
                });
                longest = crew.largest(longest);
                if (longest > newton::longest_step) damping = newton::longest_step / longest;
            }
            crew.each(plan.n_counts, [&](int f) {
                w.factors[f] = exp(Vec(plan.count[f] * (damping * w.residual[plan.count_of[f]])))[0];
            });
            crew.wait();
            crew.each(S, [&](int i) {
                double moved = x[i];
                for (int e = plan.counts_begin[i]; e < plan.counts_begin[i + 1]; ++e)
                    moved *= w.factors[plan.counts[e]];
                x[i] = moved;
            });
            crew.wait();
            moving = !(bound <= newton::last_step);
        }
    }

    __device__ double relative_defect() const {
        double worst = 0;
        for (int q = 0; q < plan.n_conserved; ++q) {
            const double relative = fabs(w.residual[q]) / (w.size[q] > 1e-300 ? w.size[q] : 1e-300);
            worst = relative > worst ? relative : worst;
            worst = w.residual[q] == w.residual[q] ? worst : w.residual[q];  // a NaN must not look conserved
        }
        return worst;
    }

    const PlanView& plan;
    const CellArrays& cells;
    const DeviceQueue& queue;
    const IntegratorSettings& settings;
    IntegratorStatistics* const statistics;
    const LargeWorkspace& w;
    const Crew& crew;
    const int S;
    const LargeTables chemistry;
    int64_t cell = -1;
    double n_H = 0, t = 0, h = 0, dt = 0;
    int32_t steps = 0, rejected = 0;
};

// How a launch is shaped. A cell's bits do not depend on it.
struct LargeShape {
    int threads, blocks;
    size_t shared_bytes, block_bytes;  // of shared and of device memory, a block
};

static __global__ void __launch_bounds__(large_threads, large_blocks)
    integrate_large(const __grid_constant__ PlanView plan, const __grid_constant__ CellArrays cells,
                    const __grid_constant__ DeviceQueue queue, IntegratorSettings settings,
                    const __grid_constant__ RouterView router, IntegratorStatistics* statistics, char* memory,
                    LargeShape shape) {
    PCS_SHARED_MEMORY(char, shared);
    LargeMemory mine{shared, memory + blockIdx.x * shape.block_bytes, shape.shared_bytes};
    const LargeWorkspace w(plan, mine);
    const Crew crew{(int)threadIdx.x, (int)blockDim.x, w.across};
    if (settings.router) settings.router = &router;
    LargeIntegrator(plan, cells, queue, settings, statistics, w, crew).run();
}

// For measuring: another number of threads (a multiple of 32, not above large_threads) or of blocks on a
// multiprocessor.
inline int wanted(const char* name, int otherwise) {
    const char* const text = std::getenv(name);
    const int number = text ? std::atoi(text) : 0;
    return number > 0 ? number : otherwise;
}

// The shape that fills the current device. Throws Error (device).
inline LargeShape large_shape(const PlanView& plan, int64_t n_cells) {
    const int threads = wanted("PCS_CUDA_LARGE_THREADS", large_threads);
    const int wanted_blocks = wanted("PCS_CUDA_LARGE_BLOCKS", large_blocks);
    int device, processors, per_block, per_processor, resident;
    require(cudaGetDevice(&device), "to name the device");
    const auto ask = [&](int& value, cudaDeviceAttr what) {
        require(cudaDeviceGetAttribute(&value, what, device), "to describe itself");
    };
    ask(processors, cudaDevAttrMultiProcessorCount);
    ask(per_block, cudaDevAttrMaxSharedMemoryPerBlockOptin);
    ask(per_processor, cudaDevAttrMaxSharedMemoryPerMultiprocessor);
    constexpr int reserved = 1024;  // of each block, by the system
    const int share = std::min(per_block, per_processor / wanted_blocks - reserved);
    LargeMemory counted{nullptr, nullptr, std::size_t(share)};
    const LargeWorkspace count(plan, counted);
    // As much as there is: a call on another thread may need more than this one.
    require(cudaFuncSetAttribute(integrate_large, cudaFuncAttributeMaxDynamicSharedMemorySize, per_block),
            "to give a block its shared memory");
    require(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, integrate_large, threads, counted.shared_used),
            "to tell how many blocks it holds");
    if (resident < 1) throw Error(ErrorCode::device, "the integrator of large networks needs more than this GPU has");
    const int64_t blocks = int64_t(processors) * std::min(resident, wanted_blocks);
    return {threads, int(std::min(blocks, n_cells)), counted.shared_used, (counted.device_used + 255) / 256 * 256};
}

// `memory` (device): shape.blocks * shape.block_bytes. `settings.router`, where there is one, is the host's struct.
inline void launch_large(const PlanView& plan, const CellArrays& cells, const DeviceQueue& list,
                         const IntegratorSettings& settings, IntegratorStatistics* statistics, const LargeShape& shape,
                         char* memory, cudaStream_t stream) {
    const RouterView router = settings.router ? *settings.router : RouterView{};
    if (shape.blocks > 0)
        launch(integrate_large, shape.blocks, shape.threads, shape.shared_bytes, stream, plan, cells, list, settings,
               router, statistics, memory, shape);
}

}  // namespace pcs::cuda
