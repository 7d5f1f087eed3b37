// Runs the learned step or trajectory of a model's last path on cells of a file (test_gpu_learned.py).
// SPDX-License-Identifier: BSD-3-Clause
//
// learned_harness MODEL IN OUT [key=value ...]    all numbers in both files are doubles
// IN: n (cells, S), temperature, dt, conditions (cells, C), error_dex (cells), status (cells); then the times
// OUT: n (cells, S), status, error_dex, statistics (6); or n (cells, times, S), status (cells, times), statistics (6)
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "harness.hpp"
#include "learned.cuh"
#include "pcs/model_file.hpp"
#include "pcs/plan.hpp"
#include "pcs/solver.hpp"
#include "pcs/surrogate.hpp"

// What a model's weights are packed by: a device's blocks (packing.hpp).
const pcs::Kernels& pcs::kernels() {
    static const Kernels blocks = [] {
        Kernels k{};
        k.mlp_block = cuda::mlp_block;
        k.width = cuda::expert_block / 2;
        return k;
    }();
    return blocks;
}

using namespace pcs::cuda;

static int run(int argc, char** argv) {
    Options option{{"cells", 0},  {"times", 0},       {"target", 0},      {"budget_dex", 0},
                   {"errors", 0}, {"exact_share", 0}, {"audit_share", 0}, {"threads", 0},
                   {"blocks", 0}, {"conserve", 1},    {"code", 1},        {"bytes", 0}};
    read_options(argc, argv, option);
    const pcs::ModelFile model(argv[1]);
    const pcs::NetworkTables network = model.network();
    const pcs::Plan plan(network);
    const pcs::Surrogate surrogate(model.of_path(model.paths().back()), network, plan);
    const pcs::PlanView& view = plan.view();  // host memory: the emulated device reads it
    const size_t S = view.n_species, C = view.n_conditions, cells = size_t(option["cells"]),
                 times = size_t(option["times"]);
    std::ifstream file(argv[2], std::ios::binary | std::ios::ate);
    std::vector<double> values(size_t(file.tellg()) / sizeof(double));
    file.seekg(0);
    file.read(reinterpret_cast<char*>(values.data()), std::streamsize(values.size() * sizeof(double)));
    const double* next = values.data();
    const auto take = [&](size_t count) {
        next += count;
        return std::vector<double>(next - count, next);
    };
    OnDevice<double> n(take(cells * S)), T(take(cells)), dt(take(cells)), conditions(take(cells * C)),
        error(take(cells));
    const std::vector<double> given = take(cells);
    OnDevice<int8_t> status(std::vector<int8_t>(given.begin(), given.end()));
    OnDevice<double> time(take(times));
    // The list: the cells that wait, backwards; half of a trajectory's pairs may be masked by their cell's status.
    std::vector<int64_t> waiting;
    for (size_t cell = cells; cell-- > 0;)
        if (given[cell] >= 10) waiting.push_back(int64_t(cell));
    OnDevice<int64_t> list(waiting), queue({int64_t(waiting.size()), 0, 0});  // size, next twice
    OnDevice<pcs::SurrogateStatistics> statistics({pcs::SurrogateStatistics{}}), audit({pcs::SurrogateStatistics{}});

    pcs::CellArrays arrays{};
    arrays.n_cells = int64_t(cells);
    arrays.n_cm3 = n.at, arrays.cell_stride = int64_t(S), arrays.species_stride = 1;
    arrays.temperature_K = T.at, arrays.temperature_stride = 1;
    arrays.conditions = conditions.at, arrays.condition_cell_stride = int64_t(C), arrays.condition_stride = 1;
    arrays.dt_s = dt.at, arrays.dt_stride = 1;
    arrays.status = status.at;
    arrays.electron = -1;
    if (option["errors"] != 0) arrays.error_dex = error.at, arrays.error_stride = 1;

    PathOnDevice path{};
    path.net = surrogate.view();
    path.settings.use_gate = option["target"] > 0;
    path.settings.budget_dex = option["budget_dex"];
    path.settings.exact_share = option["exact_share"];
    path.settings.audit_share = option["audit_share"];
    if (const pcs::Calibration* const gate = surrogate.calibration(); gate && option["target"] > 0)
        path.settings.thresholds = &gate->thresholds[size_t(gate->serving(option["target"])) * size_t(gate->bins)];

    Scratch scratch;
    const Shape shape{int(option["blocks"]), int(option["threads"])};
    const DeviceQueue cells_to_serve{list.at, queue.at, queue.at + 1}, cells_to_audit{list.at, queue.at, queue.at + 2};
    const bool has_code = option["code"] != 0;
    std::ofstream out(argv[3], std::ios::binary);
    const auto put = [&](const auto& numbers) {
        for (const double value : numbers) out.write(reinterpret_cast<const char*>(&value), sizeof value);
    };
    if (times == 0) {
        PathOnDevice serving = path;
        serving.settings.audit_share = 0;
        if (path.settings.audit_share > 0)  // an audit goes first, and tells which cells wait for their exact answer
            enqueue_learned(view, has_code, path, arrays, cells_to_audit, audit.at, scratch, nullptr, shape);
        enqueue_learned(view, has_code, serving, arrays, cells_to_serve, statistics.at, scratch, nullptr, shape);
        require(cudaDeviceSynchronize(), "in its work");
        n.fetch(), status.fetch(), error.fetch();
        put(n.host), put(status.host), put(error.host);
    } else {
        OnDevice<double> states(std::vector<double>(cells * times * S, -1));
        std::vector<int8_t> statuses;
        for (const double s : given) statuses.insert(statuses.end(), times, int8_t(s));
        OnDevice<int8_t> pair_status(statuses);
        const pcs::TrajectoryArrays pairs{int64_t(times), time.at, states.at, pair_status.at, option["conserve"] != 0};
        enqueue_learned_trajectory(view, has_code, path, arrays, pairs, cells_to_serve, statistics.at, scratch, nullptr,
                                   shape);
        require(cudaDeviceSynchronize(), "in its work");
        states.fetch(), pair_status.fetch();
        put(states.host), put(pair_status.host);
    }
    statistics.fetch(), audit.fetch();
    const pcs::SurrogateStatistics& s = statistics.host[0];
    put(std::vector<double>{double(s.accepted), double(s.refused_box), double(s.refused_distance),
                            double(s.refused_error), double(s.refused_budget), double(audit.host[0].audited),
                            s.worst_defect});
    return 0;
}

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
