// What a call of pcs_step costs beyond the solve, in what layouts and units, and through Fortran.
// SPDX-License-Identifier: BSD-3-Clause
// Usage: call_overhead MODEL MODE CELLS REPEATS. Writes "what seconds" lines: for every repeat, the processor's seconds
// a cell. benchmarks/call_overhead.py writes CELLS: three int64 sizes, then n[cell][species], dt, T, zeta as doubles,
// the mass fractions [cell][species] and densities [g cm^-3], n/n_H [cell][species] and n_H.
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "pcs.h"
#include "pcs/model_file.hpp"
#include "pcs/solver.hpp"

extern "C" {
void fortran_open(const char* model, const char* mode);
void fortran_step(int64_t cells, int species, double* n, const double* dt, double* temperature, const double* zeta);
}

namespace {

double now() {
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

void require(bool condition, const char* what) {
    if (condition) return;
    std::fprintf(stderr, "%s: %s\n", what, pcs_last_error(nullptr));
    std::exit(1);
}

// One value after the other, from the file of the cells.
std::vector<double> read(std::FILE* file, int64_t count) {
    std::vector<double> values(static_cast<std::size_t>(count));
    require(std::fread(values.data(), sizeof(double), values.size(), file) == values.size(), "the cell file is short");
    return values;
}

pcs_solver* open(const char* model, const char* mode, const char* units) {
    pcs_solver* solver = nullptr;
    require(pcs_open(model, &solver) == 0, "pcs_open");
    for (const auto& [key, value] :
         {std::pair{"mode", mode}, {"threads", "1"}, {"units", units}, {"audit", "0"}, {"costs", "measure"}})
        if (pcs_set_option(solver, key, value) != 0) std::fprintf(stderr, "%s\n", pcs_last_error(solver)), std::exit(1);
    return solver;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) return 2;
    const char *model = argv[1], *mode = argv[2];
    const int repeats = std::atoi(argv[4]);
    std::FILE* file = std::fopen(argv[3], "rb");
    int64_t sizes[3];
    require(file && std::fread(sizes, sizeof(int64_t), 3, file) == 3, "the cell file");
    const int64_t cells = sizes[0], S = sizes[1];
    const auto n = read(file, cells * S), dt = read(file, cells), T = read(file, cells), zeta = read(file, cells),
               mass = read(file, cells * S), rho = read(file, cells), x = read(file, cells * S),
               n_H = read(file, cells);
    std::fclose(file);
    std::vector<double> temperature = T, mass_conditions, fraction_conditions;
    for (int64_t c = 0; c < cells; ++c) {
        mass_conditions.insert(mass_conditions.end(), {zeta[c], rho[c]});
        fraction_conditions.insert(fraction_conditions.end(), {zeta[c], n_H[c]});
    }
    pcs_solver *solver = open(model, mode, "number_density"), *masses = open(model, mode, "mass_fraction"),
               *fractions = open(model, mode, "hydrogen_fraction");
    fortran_open(model, mode);

    // Copies `given` to work[cell * cell_stride + species * species_stride] before every repeat; not timed.
    std::vector<double> work;
    const auto time_batch = [&](const char* what, const std::vector<double>& given, int64_t cell_stride,
                                int64_t species_stride, const auto& call) {
        work.resize(static_cast<std::size_t>(cell_stride > species_stride ? cells * cell_stride : S * species_stride));
        for (int64_t c = 0; c < cells; ++c)
            for (int64_t i = 0; i < S; ++i) work[c * cell_stride + i * species_stride] = given[c * S + i];
        const double start = now();
        call(work.data(), cell_stride, species_stride);
        std::printf("%s %.6e\n", what, (now() - start) / static_cast<double>(cells));
    };
    const auto step = [&](pcs_solver* with, const std::vector<double>& conditions, int64_t condition_stride) {
        return [&, with, condition_stride](double* to, int64_t cell_stride, int64_t species_stride) {
            require(pcs_step(with, cells, dt.data(), 1, to, cell_stride, species_stride, temperature.data(), 1,
                             conditions.data(), condition_stride, 1, nullptr, nullptr) == 0,
                    "pcs_step");
        };
    };
    const auto by_fortran = [&](double* to, int64_t, int64_t) {
        fortran_step(cells, static_cast<int>(S), to, dt.data(), temperature.data(), zeta.data());
    };
    for (int k = 0; k < repeats; ++k) {
        time_batch("contiguous", n, S, 1, step(solver, zeta, 1));
        time_batch("gaps", n, S + 7, 1, step(solver, zeta, 1));
        time_batch("column_major", n, 1, cells, step(solver, zeta, 1));
        time_batch("fortran", n, S, 1, by_fortran);
        time_batch("mass_fraction", mass, S, 1, step(masses, mass_conditions, 2));
        time_batch("hydrogen_fraction", x, S, 1, step(fractions, fraction_conditions, 2));
        time_batch("contiguous", n, S, 1, step(solver, zeta, 1));
    }
    if (std::strcmp(mode, "exact") != 0) return 0;

    // One cell a call; the cell is restored within the timed loop, everywhere alike.
    constexpr int64_t some = 256;
    const pcs::ModelFile open_file(model);
    pcs::Solver core(open_file);
    core.set_option("mode", "exact");
    core.set_option("threads", "1");
    std::vector<double> buffer(core.workspace_bytes() / sizeof(double) + 8);
    void* const workspace = reinterpret_cast<void*>((reinterpret_cast<std::uintptr_t>(buffer.data()) + 63) / 64 * 64);
    const pcs::Kernels& kernels = pcs::integrator_kernels(core.plan());
    // As Solver::integrator_settings has it for the defaults of mode exact.
    const pcs::IntegratorSettings settings{1e-2, 1e-15, 2e5, 5, 2000, false, false, 0, nullptr, 0, 0};
    std::vector<double> one(static_cast<std::size_t>(S));
    int8_t status = pcs::status_EXACT_REQUESTED;
    const int8_t masked = 0;
    const double nothing = 0;
    const auto time_calls = [&](const char* what, const std::vector<double>& given, const auto& call) {
        const double start = now();
        for (int64_t c = 0; c < some; ++c) {
            std::memcpy(one.data(), &given[c * S], one.size() * sizeof(double));
            call(c);
        }
        std::printf("%s %.6e\n", what, (now() - start) / some);
    };
    const auto one_step = [&](pcs_solver* with, const std::vector<double>& conditions, int64_t stride, bool moves,
                              const int8_t* mask) {
        return [&, with, stride, moves, mask](int64_t c) {
            pcs_step(with, 1, moves ? &dt[c] : &nothing, 0, one.data(), S, 1, &temperature[c], 1,
                     &conditions[c * stride], stride, 1, mask, &status);
        };
    };
    for (int k = 0; k < 20 * repeats; ++k) {
        time_calls("one_kernel", n, [&](int64_t c) {
            status = pcs::status_EXACT_REQUESTED;
            int64_t next = 0;
            const pcs::CellArrays cell{1, one.data(), S, 1, &T[c], 1, &zeta[c], 1, 1, &dt[c], 1, &status, 0, -1};
            pcs::IntegratorStatistics statistics{};
            kernels.integrate(core.plan(), cell, {nullptr, 1, &next}, settings, statistics, workspace);
        });
        time_calls("one_core", n, [&](int64_t c) {
            core.step({{1, one.data(), S, 1, &T[c], 1, &zeta[c], 1, 1, &dt[c], 1, &status, 0, -1}, nullptr});
        });
        time_calls("one_c", n, one_step(solver, zeta, 1, true, nullptr));
        time_calls("one_fortran", n, [&](int64_t c) {
            fortran_step(1, static_cast<int>(S), one.data(), &dt[c], &temperature[c], &zeta[c]);
        });
        time_calls("one_masked", n, one_step(solver, zeta, 1, true, &masked));
        time_calls("one_dt_0", n, one_step(solver, zeta, 1, false, nullptr));
        time_calls("one_mass_fraction", mass, one_step(masses, mass_conditions, 2, true, nullptr));
        time_calls("one_hydrogen_fraction", x, one_step(fractions, fraction_conditions, 2, true, nullptr));
        time_calls("one_name", n, [&](int64_t) { pcs_n_species(solver); });
    }
    return 0;
}
