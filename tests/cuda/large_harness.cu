// Runs the kernel for large networks on cells of a file (test_gpu_large.py). SPDX-License-Identifier: BSD-3-Clause
//
// large_harness MODEL IN OUT [key=value ...]    all numbers in both files are doubles
// IN: n (cells, S), temperature, dt, conditions (cells, C), error_dex (cells)
// OUT: n (cells, S), status, counts (cells, 3), estimates (cells, 2), error_dex, statistics (6)
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "harness.hpp"
#include "large.cuh"
#include "pcs/model_file.hpp"
#include "pcs/plan.hpp"

using namespace pcs::cuda;

static int run(int argc, char** argv) {
    Options option{{"rtol", 1e-2},       {"atol", 1e-15}, {"max_steps", 2000}, {"threads", 32},
                   {"blocks", 3},        {"shared", 1e5}, {"skip_dex", 0},     {"budget_dex", 0},
                   {"router_change", 0}, {"success", 10}, {"drop_ions", 0},    {"repair", 0}};
    read_options(argc, argv, option);
    const pcs::Plan plan(pcs::ModelFile(argv[1]).network());
    const pcs::PlanView& view = plan.view();  // host memory: the emulated device reads it
    const size_t S = view.n_species, C = view.n_conditions;
    std::ifstream file(argv[2], std::ios::binary | std::ios::ate);
    std::vector<double> values(size_t(file.tellg()) / sizeof(double));
    file.seekg(0);
    file.read(reinterpret_cast<char*>(values.data()), std::streamsize(values.size() * sizeof(double)));
    const size_t cells = values.size() / (S + C + 3);
    const double* next = values.data();
    const auto take = [&](size_t count) {
        next += count;
        return std::vector<double>(next - count, next);
    };
    OnDevice<double> n(take(cells * S)), T(take(cells)), dt(take(cells)), conditions(take(cells * C)),
        error(take(cells)), estimates(std::vector<double>(2 * cells, -1));
    OnDevice<int8_t> status(std::vector<int8_t>(cells, 0));
    OnDevice<int32_t> counts(std::vector<int32_t>(3 * cells, 0));
    OnDevice<int64_t> queue({int64_t(cells), 0});  // size, next
    OnDevice<pcs::IntegratorStatistics> statistics({pcs::IntegratorStatistics{}});

    pcs::CellArrays arrays{};
    arrays.n_cells = int64_t(cells);
    arrays.n_cm3 = n.at, arrays.cell_stride = int64_t(S), arrays.species_stride = 1;
    arrays.temperature_K = T.at, arrays.temperature_stride = 1;
    arrays.conditions = conditions.at, arrays.condition_cell_stride = int64_t(C), arrays.condition_stride = 1;
    arrays.dt_s = dt.at, arrays.dt_stride = 1;
    arrays.status = status.at;
    arrays.repair = int32_t(option.at("repair")), arrays.electron = -1;
    arrays.counts = counts.at, arrays.estimates = estimates.at;
    arrays.error_dex = error.at, arrays.error_stride = 1;

    pcs::IntegratorSettings settings{};
    settings.rtol = option.at("rtol"), settings.atol = option.at("atol");
    settings.first_step = 2e5, settings.small_change = 5;
    settings.max_steps = int32_t(option.at("max_steps"));
    settings.success = int8_t(option.at("success"));
    settings.drop_unresolved_ions = option.at("drop_ions") != 0;
    settings.skip_dex = option.at("skip_dex"), settings.budget_dex = option.at("budget_dex");
    // A router of one edge: cells that are expected to change more get the status 101.
    OnDevice<double> edge({option.at("router_change")});
    OnDevice<int8_t> sent({0, 101});
    pcs::RouterView router{1, 0, edge.at, nullptr, sent.at, 0};
    if (option.at("router_change") > 0) settings.router = &router;

    LargeShape shape = large_shape(view, int64_t(cells));
    if (option.at("blocks") > 0) {
        LargeMemory counted{nullptr, nullptr, size_t(option.at("shared"))};
        const LargeWorkspace count(view, counted);
        shape = {int(option.at("threads")), int(option.at("blocks")), counted.shared_used,
                 (counted.device_used + 255) / 256 * 256};
    }
    char* memory;
    require(cudaMalloc(&memory, size_t(shape.blocks) * shape.block_bytes), "to make room");
    launch_large(view, arrays, {nullptr, queue.at, queue.at + 1}, settings, statistics.at, shape, memory, nullptr);
    require(cudaDeviceSynchronize(), "to integrate");
    require(cudaFree(memory), "to free its memory");

    n.fetch(), status.fetch(), counts.fetch(), estimates.fetch(), error.fetch(), statistics.fetch();
    std::ofstream out(argv[3], std::ios::binary);
    const auto write = [&](const auto& list) {
        for (const auto value : list) {
            const auto number = double(value);
            out.write(reinterpret_cast<const char*>(&number), sizeof number);
        }
    };
    write(n.host), write(status.host), write(counts.host), write(estimates.host), write(error.host);
    const pcs::IntegratorStatistics& s = statistics.host[0];
    write(std::vector<double>{double(s.solved), double(s.failed), double(s.skipped), double(s.steps),
                              double(s.rejected), s.worst_defect});
    return out ? 0 : 1;
}

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
