// A tile: the columns of cells that the learned step works on at once. SPDX-License-Identifier: BSD-3-Clause
//
// Rows are (row, tile): double rows as `vectors` Vec, float rows for the nets.
#pragma once

#include "pcs/cells.hpp"
#include "pcs/mlp.hpp"

namespace pcs::PCS_ISA {

constexpr int vectors = tile / W;  // vectors of doubles in a tile's row

PCS_FN inline Vec log10(Vec v) { return log(v) * (1.0 / ln10); }
PCS_FN inline Vec clip(Vec v, double low, double high) { return min(max(v, broadcast(low)), broadcast(high)); }

template <class Real>
PCS_FN inline void store_row(Real* row, int v, Vec value) {
    for (int l = 0; l < W; ++l) row[v * W + l] = static_cast<Real>(value[l]);
}

PCS_FN inline Vec32 narrow_row(const Vec* row, int v) { return narrow(row[v], row[v + 1]); }

// Hands out the pieces of one workspace; on a null workspace it only counts.
class Memory {
  public:
    PCS_FN explicit Memory(void* base) : base_((char*)base) {}
    PCS_FN Vec* vec(size_t count) {
        Vec* piece = (Vec*)((uintptr_t)base_ + bytes_);
        bytes_ += count * sizeof(Vec);
        return piece;
    }
    template <class Real = float>
    PCS_FN Real* rows(size_t count) {
        return (Real*)vec(count * tile * sizeof(Real) / sizeof(Vec));
    }
    PCS_FN size_t bytes() const { return bytes_; }

  private:
    char* base_;
    size_t bytes_ = 0;
};

// Columns [first, last) of a tile that begin as one column of another tile.
struct Run {
    int first, last, source;
};

template <class T>
PCS_FN inline void take_row(T* to, const T* from, const Run& run) {
    const T value = from[run.source];
    for (int c = run.first; c < run.last; ++c) to[c] = value;
}

// What the verbs read and write beside the map's own rows.
struct Tile {
    PCS_FN Tile(const PlanView& plan, const SurrogateView& net, Memory& memory)
        : S(plan.n_species),
          C(plan.n_conditions),
          R(plan.n_rates),
          x(memory.vec(S * vectors)),
          guess(memory.vec(S * vectors)),
          lambda(memory.vec(plan.n_conserved * vectors)),
          theta(memory.vec(vectors)),
          n_H(memory.vec(vectors)),
          temperature(memory.vec(vectors)),
          conditions(memory.vec(C * vectors + 1)),
          k(net.finish.steps > 0 || net.kind == MapKind::jump ? memory.vec(R * vectors) : nullptr),
          finish_report(net.finish.steps > 0 ? memory.rows(S + 1) : nullptr) {}

    PCS_FN void set(int column, const CellInput& input, const double* fractions) {
        for (int i = 0; i < S; ++i) ((double*)x)[i * tile + column] = fractions[i];
        for (int c = 0; c < C; ++c) ((double*)conditions)[c * tile + column] = input.conditions[c] / input.n_H;
        ((double*)theta)[column] = input.n_H * input.dt_s;
        ((double*)n_H)[column] = input.n_H;
        ((double*)temperature)[column] = input.temperature_K;
    }

    // What `set` wrote, to another column.
    PCS_FN void move(int from, int to) {
        const auto row = [&](Vec* values) { ((double*)values)[to] = ((double*)values)[from]; };
        for (int i = 0; i < S; ++i) row(x + i * vectors);
        for (int c = 0; c < C; ++c) row(conditions + c * vectors);
        row(theta);
        row(n_H);
        row(temperature);
    }

    // The rate coefficients of vector v, for later steps of the real chemistry.
    PCS_FN void keep_rates(int v, const Vec* rates) const {
        for (int r = 0; k && r < R; ++r) k[v * R + r] = rates[r];
    }

    // The first `cells` columns hold cells; those that only fill the last vector repeat the first one.
    PCS_FN void close(int cells) {
        count(cells);
        take(*this, {n_cells, used * W, 0});
    }

    PCS_FN void count(int cells) {
        n_cells = cells;
        used = (n_cells + W32 - 1) / W32 * (W32 / W);
    }

    PCS_FN void take(const Tile& from, const Run& run) {
        const auto row = [&](Vec* to, const Vec* source) { take_row((double*)to, (const double*)source, run); };
        for (int i = 0; i < S; ++i) row(x + i * vectors, from.x + i * vectors);
        for (int c = 0; c < C; ++c) row(conditions + c * vectors, from.conditions + c * vectors);
        row(theta, from.theta);
        row(n_H, from.n_H);
        row(temperature, from.temperature);
        if (!k) return;
        const double* const source = (const double*)(from.k + run.source / W * R) + run.source % W;
        for (int c = run.first; c < run.last; ++c)
            for (int r = 0; r < R; ++r) k[c / W * R + r][c % W] = source[r * W];
    }

    int S, C, R;
    int n_cells = 0, used = 0;                    // columns with cells, and the vectors of doubles that hold them
    Vec *x, *guess;                               // (S, tile): n / n_H before and after
    Vec* lambda;                                  // (Q, tile): what conservation needed
    Vec *theta, *n_H, *temperature, *conditions;  // (tile); conditions (C, tile), over n_H
    Vec* k;                // (vectors, R): rate coefficients; null: without steps of the real chemistry
    float* finish_report;  // (S + 1, tile): what the finish did; null: without one
};

}  // namespace pcs::PCS_ISA
