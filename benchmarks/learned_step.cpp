// What the parts of the learned step take, measured from inside. SPDX-License-Identifier: BSD-3-Clause
//
// Includes the kernels for the instruction set that it is compiled for, so that every verb can be timed alone.
#include "../native/src/kernels.cpp"

#include <time.h>

#include <algorithm>
#include <vector>

#include "pcs/model_file.hpp"
#include "pcs/plan.hpp"
#include "pcs/solver.hpp"
#include "pcs/surrogate.hpp"

const pcs::Kernels& pcs::kernels() { return PCS_JOIN(kernels_, PCS_ISA)(); }

namespace {

using namespace pcs;
using namespace pcs::PCS_ISA;

// Of the thread's own processor time, which other programs do not add to.
double now() {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// Seconds of the fastest of some rounds of `calls` calls.
template <class Work>
double fastest(int rounds, int calls, const Work& work) {
    double best = 1e300;
    for (int round = 0; round < rounds; ++round) {
        const double begin = now();
        for (int call = 0; call < calls; ++call) work();
        best = std::min(best, (now() - begin) / calls);
    }
    return best;
}

class Bytes {
  public:
    explicit Bytes(size_t size) : base_(size + 64) {}
    void* data() { return (void*)(((uintptr_t)base_.data() + 63) / 64 * 64); }

  private:
    std::vector<char> base_;
};

// Random weights in the layout of Surrogate::load_mlp, or of load_experts, with as many outputs side by side.
struct Net {
    Net(int n_layers, const int32_t* sizes, int together = block)
        : view{n_layers, Activation::silu, Activation::none, {}} {
        unsigned state = 1;
        for (int l = 0; l < n_layers; ++l) {
            const int rows = (sizes[l + 1] + together - 1) / together * together;
            std::vector<float> weights((size_t)rows * sizes[l]), bias(rows);
            for (float& w : weights) {
                state = state * 1664525u + 1013904223u;
                w = ((float)(state >> 8) / 8388608.0f - 1.0f) / (float)sizes[l];
            }
            view.layers[l] = {sizes[l], sizes[l + 1], weights.data(), bias.data()};
            storage.push_back(std::move(weights));
            storage.push_back(std::move(bias));
            flops += 2.0 * sizes[l] * sizes[l + 1];
            widest = std::max({widest, rows, sizes[l]});
        }
    }
    std::vector<std::vector<float>> storage;
    MlpView view;
    double flops = 0;
    int widest = 0;
};

}  // namespace

// Single precision GFLOP/s of multiply-adds in registers.
extern "C" double peak_gflops() {
    constexpr int sums = 10, iterations = 20000;  // enough for the latency, few enough for 16 registers
    const Vec32 factor = broadcast32(0.999f), term = broadcast32(1e-3f);
    Vec32 sum[sums] = {};
    const double seconds = fastest(20, 1, [&] {
        for (int n = 0; n < iterations; ++n)
            for (int i = 0; i < sums; ++i) sum[i] = sum[i] * factor + term;
        for (int i = 0; i < sums; ++i) asm volatile("" : "+m"(sum[i]));
    });
    return 2.0 * sums * W32 * iterations / seconds * 1e-9;
}

// GFLOP/s of a net with SiLU between its layers; activations are not counted.
extern "C" double mlp_gflops(int n_layers, const int32_t* sizes) {
    const Net net(n_layers, sizes);
    Bytes rows(3 * sizeof(float) * net.widest * tile);
    float *in = (float*)rows.data(), *a = in + net.widest * tile, *b = a + net.widest * tile;
    for (int i = 0; i < sizes[0] * tile; ++i) in[i] = (float)(i % 7) / 3.0f - 1.0f;
    const double seconds = fastest(20, 20, [&] { mlp(net.view, in, a, b, tile); });
    return net.flops * tile / seconds * 1e-9;
}

// GFLOP/s of a tile whose cells take one of `n_experts` nets each, by turns.
extern "C" double experts_gflops(int n_experts, int n_layers, const int32_t* sizes) {
    std::vector<Net> nets;
    for (int e = 0; e < n_experts; ++e) nets.emplace_back(n_layers, sizes, W32);
    const int widest = nets[0].widest;
    Bytes rows(3 * sizeof(float) * widest * tile);
    float *in = (float*)rows.data(), *a = in + widest * tile, *b = a + widest * tile;
    for (int i = 0; i < widest * tile; ++i) in[i] = (float)(i % 7) / 3.0f - 1.0f;
    const double seconds = fastest(20, 20, [&] {
        for (int e = 0; e < n_experts; ++e) {
            int columns[tile], count = 0;
            for (int c = e; c < tile; c += n_experts) columns[count++] = c;
            expert(nets[e].view, columns, count, in, sizes[0], a, b, widest);
        }
    });
    return nets[0].flops * tile / seconds * 1e-9;
}

enum Part { scale, encode, advance_, decode, conserve_, head, whole, n_parts };

// Seconds a cell for every Part, the fastest of some rounds for every tile; what `whole` takes beyond the parts is
// reading, the box and writing. Cells must not be changed by it: a copy is what `whole` advances.
template <class Chemistry>
void measure(const char* model, int64_t n_cells, const double* n_cm3, const double* temperature_K,
             const double* conditions, const double* dt_s, int rounds, bool tables_only, double* seconds) {
    using Map = MultiClockMap<Chemistry>;
    const ModelFile file(model);
    const NetworkTables tables = file.network();
    const Plan plan_(tables);
    const Surrogate surrogate(file, tables, plan_);
    const PlanView& plan = plan_.view();
    const SurrogateView& net = surrogate.view();
    const int S = plan.n_species, C = plan.n_conditions;
    std::vector<double> n(n_cm3, n_cm3 + n_cells * S), x(S), condition(C + 1);
    std::vector<int8_t> status(n_cells);
    const CellArrays cells{n_cells, n.data(), S,    1, temperature_K, 1,           conditions,
                           C,       1,        dt_s, 1, status.data(), repair_none, -1};
    const std::vector<double> open(surrogate.bins(), 1e300);
    SurrogateSettings settings{1, tables_only, nullptr};
    settings.thresholds = open.data();
    Memory counted(nullptr);
    Tile(plan, net, counted), Map(plan, net, settings, counted), Projection(plan, counted);
    Bytes workspace(counted.bytes()), whole_workspace(surrogate_bytes(plan, net, settings));
    Memory memory(workspace.data());
    Tile t(plan, net, memory);
    Map map(plan, net, settings, memory);
    Projection projection(plan, memory);
    std::vector<Vec> guess(S * vectors);
    for (int part = 0; part < n_parts; ++part) seconds[part] = 0;
    for (int64_t first = 0; first < n_cells; first += tile) {
        const int count = (int)std::min<int64_t>(tile, n_cells - first);
        for (int c = 0; c < count; ++c)
            t.set(c, read_cell(plan, cells, first + c, x.data(), 1, condition.data()), x.data());
        t.close(count);
        constexpr int calls = 5;
        seconds[scale] += fastest(rounds, calls, [&] { map.scale(t); });
        seconds[encode] += fastest(rounds, calls, [&] { map.encode(t); });
        seconds[advance_] += fastest(rounds, calls, [&] { map.advance(t); });
        seconds[decode] += fastest(rounds, calls, [&] { map.decode(t); });
        std::copy(t.guess, t.guess + S * vectors, guess.begin());
        const auto restore = [&] { std::copy(guess.begin(), guess.end(), t.guess); };
        seconds[conserve_] += fastest(rounds, calls, [&] { restore(), projection.conserve(t); });
        seconds[conserve_] -= fastest(rounds, calls, restore);
        seconds[head] += fastest(rounds, calls, [&] { map.predict_error(t); });
        const double alone = fastest(rounds, 1, [&] {
            int64_t next = first;
            const CellQueue queue{nullptr, first + count, &next};
            SurrogateStatistics statistics{};
            advance(plan, net, cells, queue, settings, statistics, nullptr, whole_workspace.data());
            std::copy(n_cm3 + first * S, n_cm3 + (first + count) * S, n.begin() + first * S);
        });
        seconds[whole] += alone;
    }
    for (int part = 0; part < n_parts; ++part) seconds[part] /= (double)n_cells;
}

extern "C" void learned_parts(const char* model, int64_t n_cells, const double* n_cm3, const double* temperature_K,
                              const double* conditions, const double* dt_s, int rounds, int tables_only,
                              double* seconds) {
    const auto chosen = tables_only ? measure<Tables> : measure<Generated<NetworkCode>>;
    chosen(model, n_cells, n_cm3, temperature_K, conditions, dt_s, rounds, tables_only, seconds);
}
