// A step of mode exact by the kernels, for tests/test_cuda_exact.py: exact_step MODEL INPUT OUTPUT.
// SPDX-License-Identifier: BSD-3-Clause
//
// INPUT: the numbers of Given, then n (cells, S), T, dt, conditions (cells, C), error_dex, mask (int8). OUTPUT: n,
// error_dex, then statuses (int8), the report and what else was seen, as text in the last lines.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <numeric>
#include <vector>

#include "pcs/error.hpp"
#include "pcs/model_file.hpp"
#include "pcs/plan.hpp"
#include "step.hpp"

namespace {

struct Given {
    int64_t cells, max_steps, repair, tables_only, by_species, carries, routes, repeats;
    double rtol, atol, skip_dex, budget_dex, router_change;
};

// A copy in device memory, for as long as the program runs.
template <class T>
T* uploaded(const T* values, size_t count) {
    T* device = nullptr;
    pcs::cuda::require(cudaMalloc(&device, count * sizeof(T) + 1), "for a test");
    pcs::cuda::require(cudaMemcpy(device, values, count * sizeof(T), cudaMemcpyHostToDevice), "to copy");
    return device;
}
template <class T>
T* uploaded(const std::vector<T>& values) {
    return uploaded(values.data(), values.size());
}
template <class T>
void fetch(std::vector<T>& to, const T* device) {
    pcs::cuda::require(cudaMemcpy(to.data(), device, to.size() * sizeof(T), cudaMemcpyDeviceToHost), "to copy");
}

template <class T>
std::vector<T> read(std::ifstream& from, size_t count) {
    std::vector<T> values(count);
    from.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(count * sizeof(T)));
    return values;
}

template <class T>
void write(std::ofstream& to, const std::vector<T>& values) {
    to.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T)));
}

int run(const char* model, const char* input, const char* output) {
    using namespace pcs;
    const NetworkTables tables = ModelFile(model).network();
    const Plan network(tables);
    std::ifstream from(input, std::ios::binary);
    const Given given = read<Given>(from, 1)[0];
    const auto cells = static_cast<size_t>(given.cells);
    const size_t S = tables.species.size(), C = tables.conditions.size();
    std::vector<double> n = read<double>(from, cells * S);
    const auto T = read<double>(from, cells), dt = read<double>(from, cells),
               conditions = read<double>(from, cells * C);
    std::vector<double> error = read<double>(from, cells);
    const auto mask = read<int8_t>(from, cells);
    if (!from) return std::puts("the input is too short"), 1;

    cuda::StepPlan step{};
    step.plan = network.view();  // the emulator's kernels read the host's memory as well
    step.has_code = !given.tables_only && cuda::has_code(step.plan);
    std::vector<double> charge(tables.composition.end() - static_cast<std::ptrdiff_t>(S), tables.composition.end());
    step.inspection = {static_cast<int32_t>(S), static_cast<int32_t>(C), tables.scale_weights.data(), charge.data()};
    step.integrate = true;
    step.exact = {given.rtol,      given.atol, first_step, small_change, static_cast<int32_t>(given.max_steps),
                  !step.has_code,  false,      0,          nullptr,      0,
                  given.budget_dex};
    step.skip_dex = given.skip_dex;
    // A router that sends no cell away: above `router_change` it would, to a status that nobody serves.
    const int8_t sent[] = {0, status_sent};
    step.routes = given.routes != 0;
    step.router = {1, 0, &given.router_change, nullptr, sent, given.router_change};
    CellArrays& arrays = step.cells;
    arrays.n_cells = given.cells;
    arrays.n_cm3 = uploaded(n);
    arrays.cell_stride = given.by_species ? 1 : static_cast<int64_t>(S);
    arrays.species_stride = given.by_species ? given.cells : 1;
    arrays.temperature_K = uploaded(T), arrays.temperature_stride = 1;
    arrays.dt_s = uploaded(dt), arrays.dt_stride = 1;
    arrays.conditions = uploaded(conditions);
    arrays.condition_cell_stride = static_cast<int64_t>(C), arrays.condition_stride = 1;
    arrays.error_dex = given.carries ? uploaded(error) : nullptr, arrays.error_stride = 1;
    std::vector<int8_t> status(cells, 99);
    arrays.status = uploaded(status);
    arrays.repair = static_cast<int32_t>(given.repair), arrays.electron = -1;
    for (size_t i = 0; i < S; ++i)
        if (tables.species[i] == "e-") arrays.electron = static_cast<int32_t>(i);
    std::vector<int32_t> counts(cells * n_cell_counts, 0);
    arrays.counts = uploaded(counts);
    step.mask = uploaded(mask);

    cuda::Scratch scratch;
    Report report;
    Report* const device_report = uploaded(&report, 1);
    cudaStream_t stream;
    cuda::require(cudaStreamCreate(&stream), "to make a stream");
    cuda::reserve_step(step, scratch);
    const auto waits = emulator_synchronisations(), allocations = emulator_allocations();
    for (int64_t k = 0; k < given.repeats; ++k) cuda::enqueue_step(step, device_report, scratch, stream);
    const auto waited = emulator_synchronisations() - waits, allocated = emulator_allocations() - allocations;
    cuda::require(cudaStreamSynchronize(stream), "in a step");
    fetch(n, arrays.n_cm3);
    if (given.carries) fetch(error, arrays.error_dex);
    fetch(status, arrays.status);
    fetch(counts, arrays.counts);
    cuda::require(cudaMemcpy(&report, device_report, sizeof report, cudaMemcpyDeviceToHost), "to copy");

    std::ofstream to(output, std::ios::binary);
    write(to, n), write(to, error), write(to, status), write(to, counts);
    std::printf("waited %lld\nallocated %lld\n", waited, allocated);
#define PCS_REPORT(type, name, meaning) std::printf(#name " %.17g\n", static_cast<double>(report.name));
#include "pcs/report.def"
#undef PCS_REPORT
    return 0;
}

}  // namespace

int main(int count, char** words) {
    if (count != 4) return std::puts("exact_step MODEL INPUT OUTPUT"), 1;
    try {
        return run(words[1], words[2], words[3]);
    } catch (const pcs::Error& error) {
        return std::puts(error.what()), 1;
    }
}
