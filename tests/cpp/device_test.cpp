// Cells in a GPU's memory by the C++ header: the CPU's answer on a stream, and what is refused.
#include <cuda_runtime.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <pcs.hpp>

static void check(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "FAILED: %s\n", what);
    std::exit(1);
}

template <class Call>
static std::string refused(int code, const Call& call) {
    try {
        call();
    } catch (const pcs::Error& error) {
        check(error.code() == code, error.what());
        return error.what();
    }
    check(false, "nothing was refused");
    return "";
}

int main() {
    constexpr int cells = 50;
    pcs::Solver cpu("osu_09_2008"), gpu("osu_09_2008");
    cpu.set("mode", "exact"), gpu.set("mode", "exact");
    gpu.set("device", "cuda"), gpu.set("memory", "device");
    cudaStream_t stream;
    check(cudaStreamCreate(&stream) == cudaSuccess, "a stream");
    gpu.set("stream", stream);

    const int S = cpu.species();
    std::vector<double> n(static_cast<std::size_t>(cells * S)), answer(n.size()), temperature(cells, 20.0);
    std::vector<std::int8_t> status(cells, 99);
    const double zeta = 1e-16, dt = 3e10;
    for (int cell = 0; cell < cells; ++cell)
        for (const auto& [name, share] : {std::pair{"H2", 0.5}, {"O", 2e-4}, {"C+", 1e-4}, {"e-", 1e-4}})
            n[static_cast<std::size_t>(cpu.species_index(name) * cells + cell)] = share * 50 * (1 + cell);
    n[1] = -5;  // a cell that fails

    double *on_n, *on_temperature;
    std::int8_t* on_status;
    check(!cudaMalloc(reinterpret_cast<void**>(&on_n), sizeof(double) * n.size()), "memory");
    check(!cudaMalloc(reinterpret_cast<void**>(&on_temperature), sizeof(double) * cells), "memory");
    check(!cudaMalloc(reinterpret_cast<void**>(&on_status), cells), "memory");
    check(!cudaMemcpy(on_n, n.data(), sizeof(double) * n.size(), cudaMemcpyHostToDevice), "copy");
    check(!cudaMemcpy(on_temperature, temperature.data(), sizeof(double) * cells, cudaMemcpyHostToDevice), "copy");

    pcs::Cells block{cells, n.data(), 1, cells, temperature.data(), 1, &zeta, 0, 1};
    const std::string told = refused(PCS_E_DEVICE, [&] { gpu.step(block, dt); });
    check(told.find("n_cm3") != std::string::npos, told.c_str());
    cpu.step(block, dt);
    block.n = on_n, block.temperature = on_temperature;
    check(gpu.step(block, dt, nullptr, on_status) == 0, "a step with a cell that fails");
    check(!cudaMemcpyAsync(answer.data(), on_n, sizeof(double) * n.size(), cudaMemcpyDeviceToHost, stream), "copy");
    check(!cudaMemcpyAsync(status.data(), on_status, cells, cudaMemcpyDeviceToHost, stream), "copy");
    check(!cudaStreamSynchronize(stream), "the stream");
    for (std::size_t i = 0; i < n.size(); ++i)
        check(std::abs(answer[i] - n[i]) <= 1e-6 * std::abs(n[i]) + 1e-12, "the CPU's answer");
    for (int cell = 0; cell < cells; ++cell)
        check(status[static_cast<std::size_t>(cell)] == (cell == 1 ? PCS_STATUS_BAD_INPUT : PCS_STATUS_EXACT_REQUESTED),
              "statuses");
    check(gpu.report("failed") == 1 && gpu.report("exact") == cells - 1, "the report");
    refused(PCS_E_DEVICE, [&] { gpu.set("device", "cuda:77"); });
    std::puts("ok");
}
