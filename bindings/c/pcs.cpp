// The C interface over the native solver: no arithmetic here. SPDX-License-Identifier: BSD-3-Clause
#include "pcs.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <new>

#include "pcs/error.hpp"
#include "pcs/model_file.hpp"
#include "pcs/solver.hpp"
#ifdef PCS_EMBED
#include "solver.hpp"
#endif

namespace {

#ifdef PCS_EMBED
using Engine = pcs::embed::Solver;  // bindings/embed: this file is the front of both libraries
#else
using Engine = pcs::Solver;
#endif

}  // namespace

struct pcs_solver {
    Engine solver;
};

namespace {

// What the calling thread heard last. Reserved once, so that even an out-of-memory error can be told.
struct ThreadState {
    std::string error;
    pcs::Report report;
    std::vector<std::int32_t> counts;  // (cells, n_cell_counts) of the last call with statistics
    ThreadState() { error.reserve(1024); }
};
ThreadState& this_thread() {
    thread_local ThreadState state;
    return state;
}

int fail(int code, const char* message) noexcept {
    try {
        this_thread().error = message;
    } catch (...) {
        this_thread().error.assign("out of memory");  // fits into what is reserved
    }
    return code;
}

// Runs the body; no exception passes the C boundary.
template <class Body>
int guarded(const Body& body) noexcept {
    try {
        return body();
    } catch (const pcs::Error& error) {
        return fail(static_cast<int>(error.code), error.what());
    } catch (const std::bad_alloc&) {
        return fail(PCS_E_MEMORY, "out of memory: use smaller batches");
    } catch (const std::exception& error) {
        return fail(PCS_E_INTERNAL, error.what());
    } catch (...) {
        return fail(PCS_E_INTERNAL, "unknown C++ exception");
    }
}

// Where the last call's counts go; null if nobody asked.
std::int32_t* counts_of(const Engine& solver, int64_t n_cells) {
    std::vector<std::int32_t>& counts = this_thread().counts;
    counts.assign(solver.options().statistics && n_cells > 0 ? n_cells * pcs::n_cell_counts : 0, 0);
    return counts.empty() ? nullptr : counts.data();
}

const char* const closed = "the solver handle is null: open it with pcs_open first";

#ifndef PCS_EMBED
// Shipped models: $PCS_MODEL_PATH, then the tree (installed or built) that this library belongs to.
std::vector<std::string> model_folders() {
    std::vector<std::string> folders;
    if (const char* path = std::getenv("PCS_MODEL_PATH")) {
        std::string folder;
        for (const char* c = path;; ++c) {
            if (*c && *c != ':') {
                folder += *c;
                continue;
            }
            if (!folder.empty()) folders.push_back(folder);
            folder.clear();
            if (!*c) break;
        }
    }
    Dl_info info;
    if (dladdr(reinterpret_cast<const void*>(&pcs_abi_version), &info) && info.dli_fname)
        folders.push_back((std::filesystem::absolute(info.dli_fname).parent_path() / PCS_MODELS_FROM_LIBRARY)
                              .lexically_normal()
                              .string());
    return folders;
}
#endif

std::unique_ptr<pcs_solver> open_solver(const char* model) {
#ifdef PCS_EMBED
    return std::unique_ptr<pcs_solver>(new pcs_solver{Engine(model)});
#else
    const pcs::ModelFile file(pcs::find_model(model, model_folders()));
    pcs::kernels();  // a bad PCS_ISA is told here, not in the first step
    return std::unique_ptr<pcs_solver>(new pcs_solver{Engine(file)});
#endif
}

int find(const std::vector<std::string>& names, const char* name, const char* what) {
    if (!name) return fail(PCS_E_ARGUMENT, "the name is null");
    for (std::size_t i = 0; i < names.size(); ++i)
        if (names[i] == name) return static_cast<int>(i);
    std::string known;
    for (const std::string& item : names) known += (known.empty() ? "" : ", ") + item;
    return fail(PCS_E_NAME, (std::string("unknown ") + what + " '" + name + "'; known are: " + known).c_str());
}

const char* name_at(const std::vector<std::string>& names, int i) {
    return i >= 0 && i < static_cast<int>(names.size()) ? names[i].c_str() : nullptr;
}

}  // namespace

int pcs_abi_version(void) { return PCS_ABI_VERSION; }

int pcs_open(const char* model, pcs_solver** out) {
    if (!out) return fail(PCS_E_ARGUMENT, "pcs_open: the pointer to the handle is null");
    *out = nullptr;
    return guarded([&] {
        *out = open_solver(model ? model : "").release();
        return 0;
    });
}

void pcs_close(pcs_solver** solver) {
    if (!solver) return;
    delete *solver;
    *solver = nullptr;
}

int pcs_set_option(pcs_solver* solver, const char* key, const char* value) {
    if (!solver) return fail(PCS_E_ARGUMENT, closed);
    if (!key || !value) return fail(PCS_E_ARGUMENT, "pcs_set_option: key and value must not be null");
    return guarded([&] {
        solver->solver.set_option(key, value);
        return 0;
    });
}

int pcs_n_species(const pcs_solver* solver) {
    return solver ? solver->solver.network().n_species() : fail(PCS_E_ARGUMENT, closed);
}
int pcs_species_index(const pcs_solver* solver, const char* name) {
    if (!solver) return fail(PCS_E_ARGUMENT, closed);
    return guarded([&] { return find(solver->solver.network().species, name, "species"); });
}
const char* pcs_species_name(const pcs_solver* solver, int species) {
    return solver ? name_at(solver->solver.network().species, species) : nullptr;
}

int pcs_n_conditions(const pcs_solver* solver) {
    return solver ? solver->solver.network().n_conditions() : fail(PCS_E_ARGUMENT, closed);
}
int pcs_condition_index(const pcs_solver* solver, const char* name) {
    if (!solver) return fail(PCS_E_ARGUMENT, closed);
    return guarded([&] { return find(solver->solver.network().conditions, name, "condition"); });
}
const char* pcs_condition_name(const pcs_solver* solver, int condition) {
    return solver ? name_at(solver->solver.network().conditions, condition) : nullptr;
}

int pcs_n_conserved(const pcs_solver* solver) {
    return solver ? solver->solver.network().n_conserved() : fail(PCS_E_ARGUMENT, closed);
}
const char* pcs_conserved_name(const pcs_solver* solver, int quantity) {
    return solver ? name_at(solver->solver.network().conserved, quantity) : nullptr;
}
int pcs_composition(const pcs_solver* solver, int quantity, int species, double* value) {
    if (!solver) return fail(PCS_E_ARGUMENT, closed);
    if (!value) return fail(PCS_E_ARGUMENT, "pcs_composition: the result pointer is null");
    const pcs::NetworkTables& network = solver->solver.network();
    if (quantity < 0 || quantity >= network.n_conserved() || species < 0 || species >= network.n_species())
        return fail(PCS_E_ARGUMENT, "pcs_composition: quantity or species out of range");
    *value = network.composition[static_cast<std::size_t>(quantity) * network.n_species() + species];
    return 0;
}

int pcs_step(pcs_solver* solver, int64_t n_cells, const double* dt_s, int64_t dt_stride, double* n_cm3,
             int64_t cell_stride, int64_t species_stride, double* temperature_K, int64_t temperature_stride,
             const double* conditions, int64_t cond_cell_stride, int64_t cond_stride, const int8_t* mask,
             int8_t* status) {
    return pcs_step_budget(solver, n_cells, dt_s, dt_stride, n_cm3, cell_stride, species_stride, temperature_K,
                           temperature_stride, conditions, cond_cell_stride, cond_stride, nullptr, 0, mask, status);
}

int pcs_step_budget(pcs_solver* solver, int64_t n_cells, const double* dt_s, int64_t dt_stride, double* n_cm3,
                    int64_t cell_stride, int64_t species_stride, double* temperature_K, int64_t temperature_stride,
                    const double* conditions, int64_t cond_cell_stride, int64_t cond_stride, double* error_dex,
                    int64_t error_stride, const int8_t* mask, int8_t* status) {
    if (!solver) return fail(PCS_E_ARGUMENT, closed);
    return guarded([&] {
        this_thread().report =
            solver->solver.step({{n_cells, n_cm3, cell_stride, species_stride, temperature_K, temperature_stride,
                                  conditions, cond_cell_stride, cond_stride, dt_s, dt_stride, status, 0, -1,
                                  counts_of(solver->solver, n_cells), nullptr, error_dex, error_stride},
                                 mask});
        return 0;
    });
}

int pcs_costs(const pcs_solver* solver, int n, double* costs_us) {
    if (!solver) return fail(PCS_E_ARGUMENT, closed);
    if (n < 0 || (!costs_us && n != 0))
        return fail(PCS_E_ARGUMENT, "pcs_costs: the size is negative or the result pointer is null");
    return guarded([&] {
        const pcs::Costs costs = solver->solver.costs();
        std::vector<double> all{costs.cell, costs.step, costs.eviction};
        all.insert(all.end(), costs.learned.begin(), costs.learned.end());
        const int count = static_cast<int>(all.size());
        std::copy_n(all.begin(), std::min(n, count), costs_us);
        return count;
    });
}

int pcs_equilibrium(pcs_solver* solver, int64_t n_cells, double tolerance, double duration_s, double* n_cm3,
                    int64_t cell_stride, int64_t species_stride, const double* temperature_K,
                    int64_t temperature_stride, const double* conditions, int64_t cond_cell_stride, int64_t cond_stride,
                    const int8_t* mask, int8_t* status) {
    if (!solver) return fail(PCS_E_ARGUMENT, closed);
    return guarded([&] {
        this_thread().report = solver->solver.equilibrium(
            {{n_cells, n_cm3, cell_stride, species_stride, temperature_K, temperature_stride, conditions,
              cond_cell_stride, cond_stride, nullptr, 0, status, 0, -1, counts_of(solver->solver, n_cells)},
             mask},
            {tolerance, duration_s});
        return 0;
    });
}

int pcs_trajectory(pcs_solver* solver, int64_t n_cells, const double* n_cm3, int64_t cell_stride,
                   int64_t species_stride, const double* temperature_K, int64_t temperature_stride,
                   const double* conditions, int64_t cond_cell_stride, int64_t cond_stride, int64_t n_times,
                   const double* times_s, double* out_cm3, int conserve, const int8_t* mask, int8_t* status) {
    if (!solver) return fail(PCS_E_ARGUMENT, closed);
    return guarded([&] {
        this_thread().report = solver->solver.trajectory(
            {{n_cells, const_cast<double*>(n_cm3), cell_stride, species_stride, temperature_K, temperature_stride,
              conditions, cond_cell_stride, cond_stride, nullptr, 0, nullptr, 0, -1},
             {n_times, times_s, out_cm3, status, conserve != 0},
             mask,
             solver->solver.options().mode});
        return 0;
    });
}

int pcs_cell_statistics(const pcs_solver* solver, const char* key, int64_t n_cells, int32_t* values) {
    if (!solver) return fail(PCS_E_ARGUMENT, closed);
    if (!key || (!values && n_cells != 0))
        return fail(PCS_E_ARGUMENT, "pcs_cell_statistics: key and result pointer must not be null");
    return guarded([&] {
        const std::vector<std::int32_t>& counts = this_thread().counts;
        const int column = find({"steps", "rejected_steps", "factorisations"}, key, "count");
        if (column < 0) return column;
        if (n_cells < 0 || static_cast<std::size_t>(n_cells) * pcs::n_cell_counts != counts.size())
            return fail(PCS_E_ARGUMENT,
                        "pcs_cell_statistics: the thread's last call had another number of cells, or the option "
                        "statistics was off");
        for (int64_t cell = 0; cell < n_cells; ++cell) values[cell] = counts[cell * pcs::n_cell_counts + column];
        return 0;
    });
}

int pcs_report(const pcs_solver* solver, const char* key, double* value) {
    if (!solver) return fail(PCS_E_ARGUMENT, closed);
    if (!key || !value) return fail(PCS_E_ARGUMENT, "pcs_report: key and result pointer must not be null");
    const pcs::Report& report = this_thread().report;
#define PCS_REPORT(type, name, meaning)            \
    if (std::strcmp(key, #name) == 0) {            \
        *value = static_cast<double>(report.name); \
        return 0;                                  \
    }
#include "pcs/report.def"
#undef PCS_REPORT
    return guarded([&] {
        std::string known;
#define PCS_REPORT(type, name, meaning) known += std::string(known.empty() ? "" : ", ") + #name;
#include "pcs/report.def"
#undef PCS_REPORT
        return fail(PCS_E_NAME, ("unknown report key '" + std::string(key) + "'; known are: " + known).c_str());
    });
}

const char* pcs_last_error(const pcs_solver*) { return this_thread().error.c_str(); }

const char* pcs_status_message(int status) { return pcs::status_message(status); }
