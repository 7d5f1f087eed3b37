// The learned step on one tile of cells: the verbs of docs/architecture.md in their order.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pcs/cells.hpp"
#include "pcs/conserve.hpp"
#include "pcs/gate.hpp"
#include "pcs/mlp.hpp"
#include "pcs/rates.hpp"
#include "pcs/rhs.hpp"

namespace pcs::PCS_ISA {

constexpr int vectors = tile / W;  // vectors of doubles in a tile's row
constexpr double ln10 = 2.302585092994045684;

inline Vec log10(Vec v) { return log(v) * (1.0 / ln10); }
inline Vec clip(Vec v, double low, double high) { return min(max(v, broadcast(low)), broadcast(high)); }

// 1 - exp(-u) for u >= 0, with full relative accuracy down to 0.
inline Vec relaxation(Vec u) {
    const Vec series = u * (1 - u / 2 * (1 - u / 3 * (1 - u / 4 * (1 - u / 5))));
    return u < 1e-3 ? series : 1 - exp(-u);
}

inline Vec asinh(Vec v) {
    const Vec size = abs(v), root = log(size + sqrt(size * size + 1));
    return v < 0 ? -root : root;
}

// Rows are (row, tile): double rows as `vectors` Vec, float rows for the nets.
struct SurrogateWorkspace {
    Vec *x, *production, *loss, *guess;                 // (S, tile)
    Vec *theta, *n_H, *temperature, *conditions;        // (tile), conditions (C, tile)
    Vec *k, *rate, *x_column, *guess_column, *scratch;  // W cells: partials, rates, (S)
    float *features, *head_in, *a, *b, *latent;         // (rows, tile)
    Vec* lambda;                                        // (Q, tile)
    double* one_cell;
};

inline size_t layout(const PlanView& plan, const SurrogateView& s, char* base, SurrogateWorkspace* w) {
    size_t used = 0;
    const auto vec = [&](size_t count) {
        Vec* p = (Vec*)(base + used);
        used += count * sizeof(Vec);
        return p;
    };
    const auto rows32 = [&](size_t rows) { return (float*)vec(rows * columns); };
    const size_t S = plan.n_species, C = plan.n_conditions, Q = plan.n_conserved;
    SurrogateWorkspace m;
    m.x = vec(S * vectors), m.production = vec(S * vectors), m.loss = vec(S * vectors), m.guess = vec(S * vectors);
    m.theta = vec(vectors), m.n_H = vec(vectors), m.temperature = vec(vectors), m.conditions = vec(C * vectors + 1);
    m.k = vec(plan.n_partials), m.rate = vec(plan.n_rates);
    m.x_column = vec(S), m.guess_column = vec(S), m.scratch = vec(S);
    m.features = rows32(s.n_features), m.head_in = rows32(s.n_head_inputs);
    m.a = rows32(s.widest), m.b = rows32(s.widest), m.latent = rows32(s.latent);
    m.lambda = vec(Q * vectors);
    m.one_cell = (double*)vec(S + C + 1);
    if (w) *w = m;
    return used;
}

inline void store_row(float* row, int v, Vec value) {
    for (int l = 0; l < W; ++l) row[v * W + l] = static_cast<float>(value[l]);
}

class SurrogateTile {
  public:
    SurrogateTile(const PlanView& plan, const SurrogateView& net, const CellArrays& cells,
                  const SurrogateSettings& settings, SurrogateStatistics& statistics, const SurrogateTrace* trace,
                  void* workspace)
        : plan(plan),
          net(net),
          cells(cells),
          settings(settings),
          statistics(statistics),
          trace(trace),
          S(plan.n_species),
          C(plan.n_conditions),
          Q(plan.n_conserved) {
        layout(plan, net, (char*)workspace, &w);
    }

    void run(const CellQueue& queue) {
        while (gather(queue)) {
            scale();
            encode();
            advance();
            decode();
            conserve_tile();
            gate();
        }
    }

  private:
    // Fill the tile with cells inside the box; those outside are refused here and now.
    bool gather(const CellQueue& queue) {
        n_cells = 0;
        double *x = w.one_cell, *conditions = x + S;
        while (n_cells < tile) {
            const int64_t next = take(queue);
            if (next < 0) break;
            const CellInput input = read_cell(plan, cells, next, x, 1, conditions);
            if (settings.use_gate && !inside_box(plan, net, input, x, 1)) {
                cells.status[next] = 11;
                ++statistics.refused_box;
                continue;
            }
            set_cell(n_cells, input, x);
            cell[n_cells++] = next;
        }
        for (int empty = n_cells; n_cells > 0 && empty < tile; ++empty) copy_cell(empty);
        return n_cells > 0;
    }

    void set_cell(int column, const CellInput& input, const double* x) {
        for (int i = 0; i < S; ++i) ((double*)w.x)[i * tile + column] = x[i];
        for (int c = 0; c < C; ++c) ((double*)w.conditions)[c * tile + column] = input.conditions[c] / input.n_H;
        ((double*)w.theta)[column] = input.n_H * input.dt_s;
        ((double*)w.n_H)[column] = input.n_H;
        ((double*)w.temperature)[column] = input.temperature_K;
    }

    // Columns without a cell repeat the first one.
    void copy_cell(int column) {
        for (int i = 0; i < S; ++i) ((double*)w.x)[i * tile + column] = ((double*)w.x)[i * tile];
        for (int c = 0; c < C; ++c) ((double*)w.conditions)[c * tile + column] = ((double*)w.conditions)[c * tile];
        Vec* const rows[] = {w.theta, w.n_H, w.temperature};
        for (Vec* row : rows) ((double*)row)[column] = ((double*)row)[0];
    }

    void scale() {
        for (int v = 0; v < vectors; ++v) {
            Vec *x = w.x_column, conditions[max_conserved];
            for (int i = 0; i < S; ++i) x[i] = w.x[i * vectors + v];
            for (int c = 0; c < C; ++c) conditions[c] = w.conditions[c * vectors + v];
            rate_coefficients(plan, w.temperature[v], conditions, w.k);
            rates(plan, w.k, x, w.rate);
            partials(plan, x, w.k);
            for (int i = 0; i < S; ++i) {
                const Vec P = gather_sum(w.rate, plan.gain, plan.gain_begin[i], plan.gain_begin[i + 1]);
                const Vec L = gather_sum(w.k, plan.frequency, plan.frequency_begin[i], plan.frequency_begin[i + 1]);
                w.production[i * vectors + v] = P;
                w.loss[i * vectors + v] = L;
                const int host = plan.order[i];
                feature(host, v, log10(x[i] + net.x_floor));
                feature(S + host, v, log10(clip(P / max(L, broadcast(1e-40)), 1e-20, 1e2)));
                feature(2 * S + host, v, log10(clip(L, 1e-40, 1e10)));
            }
            feature(3 * S, v, log10(w.temperature[v]));
            for (int c = 0; c < C; ++c) feature(3 * S + 1 + c, v, log10(max(conditions[c], broadcast(1e-300))));
        }
        record(trace ? trace->features : nullptr, w.features, net.n_features);
    }

    void feature(int row, int v, Vec raw) {
        store_row(w.features + row * tile, v, raw);
        float* f = w.features + row * tile + v * W;
        for (int l = 0; l < W; ++l) f[l] = (f[l] - net.feature_mean[row]) * net.feature_scale[row];
    }

    void encode() { encoded = mlp(net.encoder, w.features, w.a, w.b); }

    // z = z0 + sum of clocks times directions.
    void advance() {
        const int Z = net.latent;
        for (int r = 0; r < Z * tile; ++r) w.latent[r] = encoded[r];
        for (int k = 0; k < net.n_clocks; ++k) {
            alignas(64) float clock[tile];
            for (int v = 0; v < vectors; ++v) {
                const Vec theta = w.theta[v];
                store_row(clock, v,
                          k + 1 < net.n_clocks ? relaxation(theta / net.clock_theta[k])
                                               : log10(1 + theta / net.clock_theta0));
            }
            const float* direction = encoded + (k + 1) * Z * tile;
            for (int r = 0; r < Z; ++r)
                for (int c = 0; c < tile; ++c) w.latent[r * tile + c] += clock[c] * direction[r * tile + c];
        }
        record(trace ? trace->latent0 : nullptr, encoded, Z);
        record(trace ? trace->latent : nullptr, w.latent, Z);
    }

    // head_in holds [z, c, change, asinh(1e3 lambda)]; the decoder reads its first rows.
    void decode() {
        const int Z = net.latent;
        for (int r = 0; r < Z * tile; ++r) w.head_in[r] = w.latent[r];
        for (int i = 0; i < S; ++i)
            for (int v = 0; v < vectors; ++v) {
                const Vec depth = log10(clip(w.loss[i * vectors + v] * w.theta[v], 1e-8, 1e8)) / 8;
                store_row(w.head_in + (Z + plan.order[i]) * tile, v, depth);
            }
        const float* decoded = mlp(net.decoder, w.head_in, w.a, w.b);
        for (int i = 0; i < S; ++i)
            for (int v = 0; v < vectors; ++v) {
                const Vec x = w.x[i * vectors + v], P = w.production[i * vectors + v], L = w.loss[i * vectors + v],
                          theta = w.theta[v];
                const Vec u = L * theta, relaxed = relaxation(u);
                const Vec x_base =
                    x * exp(-u) + P * theta * (u > 0 ? relaxed / max(u, broadcast(1e-300)) : broadcast(1.0));
                const Vec cascade = net.x_trace / ((x + net.x_trace) * net.clock_theta0);
                const Vec phi = relaxation((L + P / (x + net.x_floor) + cascade) * theta);
                Vec change;
                for (int l = 0; l < W; ++l) change[l] = decoded[plan.order[i] * tile + v * W + l];
                change *= phi;
                store_row(w.head_in + (Z + S + plan.order[i]) * tile, v, change);
                const Vec factor = exp(ln10 * change);
                w.guess[i * vectors + v] = max(x_base * factor + net.x_floor * (factor - 1), broadcast(0.0));
            }
        record_state(trace ? trace->guess : nullptr);
    }

    void conserve_tile() {
        for (int v = 0; v < vectors; ++v) {
            for (int i = 0; i < S; ++i)
                w.x_column[i] = w.x[i * vectors + v], w.guess_column[i] = w.guess[i * vectors + v];
            Vec lambda[max_conserved];
            const Defect defect = conserve(plan, w.x_column, w.guess_column, w.scratch, lambda);
            for (int i = 0; i < S; ++i) w.guess[i * vectors + v] = w.guess_column[i];
            for (int q = 0; q < Q; ++q) {
                w.lambda[q * vectors + v] = lambda[q];
                store_row(w.head_in + (net.latent + 2 * S + q) * tile, v, asinh(1e3 * lambda[q]));
            }
            for (int l = 0; l < W; ++l) {
                defect_before[v * W + l] = defect.before[l];
                projected[v * W + l] = defect.after[l] <= 1e-12;
            }
        }
        record_state(trace ? trace->conserved : nullptr);
        if (trace && trace->lambda)
            for (int t = 0; t < n_cells; ++t)
                for (int q = 0; q < Q; ++q) trace->lambda[cell[t] * Q + q] = ((double*)w.lambda)[q * tile + t];
    }

    // Accepted cells are written; refused ones keep their input and tell the exact integrator why it is asked.
    void gate() {
        const float* score = mlp(net.head, w.head_in, w.a, w.b);
        for (int t = 0; t < n_cells; ++t) {
            const bool trusted = projected[t] && (!settings.use_gate || score[t] < net.threshold);
            if (trusted) {
                write_cell(plan, cells, cell[t], (double*)w.guess + t, tile, ((double*)w.n_H)[t]);
                cells.status[cell[t]] = 0;
                ++statistics.accepted;
                if (defect_before[t] > statistics.worst_defect) statistics.worst_defect = defect_before[t];
            } else {
                cells.status[cell[t]] = settings.use_gate ? 13 : -3;
                ++statistics.refused_error;
            }
        }
        record(trace ? trace->score : nullptr, score, 1);
    }

    void record(double* to, const float* rows, int count) const {
        if (!to) return;
        for (int t = 0; t < n_cells; ++t)
            for (int r = 0; r < count; ++r) to[cell[t] * count + r] = rows[r * tile + t];
    }
    void record_state(double* to) const {
        if (!to) return;
        for (int t = 0; t < n_cells; ++t)
            for (int i = 0; i < S; ++i) to[cell[t] * S + plan.order[i]] = ((double*)w.guess)[i * tile + t];
    }

    const PlanView& plan;
    const SurrogateView& net;
    const CellArrays& cells;
    const SurrogateSettings& settings;
    SurrogateStatistics& statistics;
    const SurrogateTrace* trace;
    const int S, C, Q;
    SurrogateWorkspace w;
    const float* encoded = nullptr;
    int n_cells = 0;
    int64_t cell[tile] = {};
    double defect_before[tile] = {};
    bool projected[tile] = {};
};

}  // namespace pcs::PCS_ISA
