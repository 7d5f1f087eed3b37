// The C interface over the native solver: no arithmetic here. SPDX-License-Identifier: BSD-3-Clause
#include "pcs.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <new>
#include <unordered_map>

#ifndef PCS_EMBED
#include "backend.hpp"
#else
#define PCS_PASS_ON(name, handle, ...)
#endif
#include "handles.hpp"
#include "pcs/error.hpp"
#include "pcs/model_file.hpp"
#include "pcs/quiet.hpp"
#include "pcs/solver.hpp"
#ifdef PCS_EMBED
#include "solver.hpp"
#endif

namespace {

#ifdef PCS_EMBED
using Solver = pcs::embed::Solver;  // bindings/embed: this file is the front of both libraries
#else
using Solver = pcs::Solver;
#endif
using Handles = pcs::Handles<Solver>;

// Never destroyed: a host's threads may still be in a call when the process ends.
union Table {
    Handles handles;
    constexpr Table() : handles() {}
    ~Table() {}
};
constinit Table table;

// What the calling thread heard last from a handle.
struct Heard {
    std::string error;
    pcs::Report report;
    std::vector<std::int32_t> counts;  // (cells, n_cell_counts) of the last call with statistics
};

class ThreadState {
  public:
    ThreadState() { last_ = &all_[0]; }  // of no handle; made here, so that even an out-of-memory error can be told

    Heard& of(const void* handle) {
        if (handle == last_handle_) return *last_;
        const auto ticket = reinterpret_cast<std::uint64_t>(handle);
        const auto found = all_.find(ticket);
        if (found == all_.end() && all_.size() >= many) forget_closed();
        Heard& heard = found == all_.end() ? all_[ticket] : found->second;
        last_ = &heard, last_handle_ = handle;
        return heard;
    }
    const char* error_of(const void* handle) {
        if (untold_ && handle == untold_handle_) return untold_;
        const auto found = all_.find(reinterpret_cast<std::uint64_t>(handle));
        return found == all_.end() ? "" : found->second.error.c_str();
    }
    void fail(const void* handle, const char* message) noexcept {
        untold_ = nullptr;
        try {
            of(handle).error = message;
        } catch (...) {
            untold_ = "out of memory", untold_handle_ = handle;
        }
    }
    void forget(const void* handle) {
        last_ = &all_[0], last_handle_ = nullptr;
        all_.erase(reinterpret_cast<std::uint64_t>(handle));
    }

  private:
    static constexpr std::size_t many = 256;

    void forget_closed() {
        std::erase_if(all_, [](const auto& item) { return item.first != 0 && !table.handles.is_open(item.first); });
        last_ = &all_[0], last_handle_ = nullptr;
    }

    std::unordered_map<std::uint64_t, Heard> all_;  // by ticket; 0: no handle
    Heard* last_;
    const void* last_handle_ = nullptr;
    const char* untold_ = nullptr;  // a failure for which there was no memory
    const void* untold_handle_ = nullptr;
};
ThreadState& this_thread() {
    thread_local ThreadState state;
    return state;
}

int fail(const void* handle, int code, const char* message) noexcept {
    try {
        this_thread().fail(handle, message);
    } catch (...) {  // no memory for the thread's state itself: the code alone tells
    }
    return code;
}

// Runs the body; no exception passes the C boundary.
template <class Body>
int guarded(const void* handle, const Body& body) noexcept {
    const pcs::OwnFloatingPoint own;
    try {
        return body();
    } catch (const pcs::Error& error) {
        return fail(handle, static_cast<int>(error.code), error.what());
    } catch (const std::bad_alloc&) {
        return fail(handle, PCS_E_MEMORY, "out of memory: use smaller batches");
    } catch (const std::exception& error) {
        return fail(handle, PCS_E_INTERNAL, error.what());
    } catch (...) {
        return fail(handle, PCS_E_INTERNAL, "unknown C++ exception");
    }
}

int refuse(const void* handle, Handles::Refusal refusal) noexcept {
    switch (refusal) {
        case Handles::Refusal::null:
            return fail(handle, PCS_E_ARGUMENT, "the solver handle is null: open it with pcs_open first");
        case Handles::Refusal::not_open:
            return fail(
                handle, PCS_E_ARGUMENT,
                "the solver handle is not open (closed before, or never a handle): open it with pcs_open first");
        default:
            return fail(handle, PCS_E_BUSY, "another thread is in a call on this handle: wait until it returns");
    }
}

// body(solver) of an open handle.
template <class Body>
int with_solver(const pcs_solver* handle, const Body& body, bool alone = false) noexcept {
    const Handles::Use use(table.handles, handle, alone);
    if (use.refusal() != Handles::Refusal::none) return refuse(handle, use.refusal());
    return guarded(handle, [&] { return body(*use); });
}

// A text that lives as long as the handle; null where it has none.
template <class Find>
const char* text_of(const pcs_solver* handle, const Find& find) noexcept {
    const Handles::Use use(table.handles, handle);
    if (use.refusal() == Handles::Refusal::none) return find(*use);
    refuse(handle, use.refusal());
    return nullptr;
}

// Where the last call's counts go; null if nobody asked.
std::int32_t* counts_of(const pcs_solver* handle, const Solver& solver, int64_t n_cells) {
    std::vector<std::int32_t>& counts = this_thread().of(handle).counts;
    const bool wanted = solver.options().statistics && n_cells > 0;
    if (wanted) pcs::require_memory(n_cells, pcs::n_cell_counts * sizeof(std::int32_t));
    counts.assign(wanted ? n_cells * pcs::n_cell_counts : 0, 0);
    return counts.empty() ? nullptr : counts.data();
}

pcs::CellArrays cells_of(int64_t n_cells, const double* n_cm3, int64_t cell_stride, int64_t species_stride,
                         const double* temperature_K, int64_t temperature_stride, const double* conditions,
                         int64_t cond_cell_stride, int64_t cond_stride, int8_t* status) {
    return {n_cells,
            const_cast<double*>(n_cm3),
            cell_stride,
            species_stride,
            temperature_K,
            temperature_stride,
            conditions,
            cond_cell_stride,
            cond_stride,
            nullptr,
            0,
            status,
            0,
            -1};
}

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

std::unique_ptr<Solver> open_solver(const char* model) {
#ifdef PCS_EMBED
    return std::make_unique<Solver>(model);
#else
    const pcs::ModelFile file(pcs::find_model(model, model_folders()));
    pcs::kernels();  // a bad PCS_ISA is told here, not in the first step
    return std::make_unique<Solver>(file);
#endif
}

int find(const pcs_solver* handle, const std::vector<std::string>& names, const char* name, const char* what) {
    if (!name) return fail(handle, PCS_E_ARGUMENT, "the name is null");
    for (std::size_t i = 0; i < names.size(); ++i)
        if (names[i] == name) return static_cast<int>(i);
    std::string known;
    for (const std::string& item : names) known += (known.empty() ? "" : ", ") + item;
    return fail(handle, PCS_E_NAME, (std::string("unknown ") + what + " '" + name + "'; known are: " + known).c_str());
}

const char* name_at(const std::vector<std::string>& names, int i) {
    return i >= 0 && i < static_cast<int>(names.size()) ? names[i].c_str() : nullptr;
}

int derive(const pcs_solver* handle, const pcs::CellArrays& cells, const pcs::DerivativeArrays& to) {
    return with_solver(handle, [&](const Solver& solver) {
        solver.derive({cells, to});
        return 0;
    });
}

}  // namespace

int pcs_abi_version(void) { return PCS_ABI_VERSION; }

int pcs_open(const char* model, pcs_solver** out) {
    if (!out) return fail(nullptr, PCS_E_ARGUMENT, "pcs_open: the pointer to the handle is null");
    *out = nullptr;
    return guarded(nullptr, [&] {
#ifndef PCS_EMBED
        if (const pcs::Backend* other = pcs::chosen_backend()) {
            const int code = other->open(model, out);
            return code == 0 ? 0 : fail(nullptr, code, other->last_error(nullptr));
        }
#endif
        void* const ticket = table.handles.open(open_solver(model ? model : ""));
        if (!ticket) return fail(nullptr, PCS_E_MEMORY, "65536 handles are open: close some of them");
        *out = static_cast<pcs_solver*>(ticket);
        return 0;
    });
}

int pcs_close(pcs_solver** solver) {
    if (!solver || !*solver) return 0;
    PCS_PASS_ON(close, *solver, solver);
    if (const auto refusal = table.handles.close(*solver); refusal != Handles::Refusal::none)
        return refuse(*solver, refusal);
    return guarded(nullptr, [&] {
        this_thread().forget(*solver);
        *solver = nullptr;
        return 0;
    });
}

int pcs_set_option(pcs_solver* solver, const char* key, const char* value) {
    PCS_PASS_ON(set_option, solver, solver, key, value);
    return with_solver(
        solver,
        [&](Solver& open) {
            if (!key || !value) return fail(solver, PCS_E_ARGUMENT, "pcs_set_option: key and value must not be null");
            open.set_option(key, value);
            return 0;
        },
        true);
}

int pcs_n_species(const pcs_solver* solver) {
    PCS_PASS_ON(n_species, solver, solver);
    return with_solver(solver, [](const Solver& open) { return open.network().n_species(); });
}
int pcs_species_index(const pcs_solver* solver, const char* name) {
    PCS_PASS_ON(species_index, solver, solver, name);
    return with_solver(solver,
                       [&](const Solver& open) { return find(solver, open.network().species, name, "species"); });
}
const char* pcs_species_name(const pcs_solver* solver, int species) {
    PCS_PASS_ON(species_name, solver, solver, species);
    return text_of(solver, [&](const Solver& open) { return name_at(open.network().species, species); });
}
int pcs_species_mass_g(const pcs_solver* solver, int species, double* mass_g) {
    PCS_PASS_ON(species_mass_g, solver, solver, species, mass_g);
    return with_solver(solver, [&](const Solver& open) {
        if (!mass_g) return fail(solver, PCS_E_ARGUMENT, "pcs_species_mass_g: the result pointer is null");
        if (species < 0 || species >= open.network().n_species())
            return fail(solver, PCS_E_ARGUMENT, "pcs_species_mass_g: species out of range");
        *mass_g = open.mass_g(species);
        return 0;
    });
}

int pcs_n_reactions(const pcs_solver* solver) {
    PCS_PASS_ON(n_reactions, solver, solver);
    return with_solver(solver, [](const Solver& open) { return open.network().n_reactions(); });
}
const char* pcs_reaction_equation(const pcs_solver* solver, int reaction) {
    PCS_PASS_ON(reaction_equation, solver, solver, reaction);
    return text_of(solver, [&](const Solver& open) { return name_at(open.equations(), reaction); });
}

int pcs_n_conditions(const pcs_solver* solver) {
    PCS_PASS_ON(n_conditions, solver, solver);
    return with_solver(solver, [](const Solver& open) { return static_cast<int>(open.conditions().size()); });
}
int pcs_condition_index(const pcs_solver* solver, const char* name) {
    PCS_PASS_ON(condition_index, solver, solver, name);
    return with_solver(solver, [&](const Solver& open) { return find(solver, open.conditions(), name, "condition"); });
}
const char* pcs_condition_name(const pcs_solver* solver, int condition) {
    PCS_PASS_ON(condition_name, solver, solver, condition);
    return text_of(solver, [&](const Solver& open) { return name_at(open.conditions(), condition); });
}

int pcs_n_conserved(const pcs_solver* solver) {
    PCS_PASS_ON(n_conserved, solver, solver);
    return with_solver(solver, [](const Solver& open) { return open.network().n_conserved(); });
}
const char* pcs_conserved_name(const pcs_solver* solver, int quantity) {
    PCS_PASS_ON(conserved_name, solver, solver, quantity);
    return text_of(solver, [&](const Solver& open) { return name_at(open.network().conserved, quantity); });
}
int pcs_composition(const pcs_solver* solver, int quantity, int species, double* value) {
    PCS_PASS_ON(composition, solver, solver, quantity, species, value);
    return with_solver(solver, [&](const Solver& open) {
        if (!value) return fail(solver, PCS_E_ARGUMENT, "pcs_composition: the result pointer is null");
        const pcs::NetworkTables& network = open.network();
        if (quantity < 0 || quantity >= network.n_conserved() || species < 0 || species >= network.n_species())
            return fail(solver, PCS_E_ARGUMENT, "pcs_composition: quantity or species out of range");
        *value = network.composition[static_cast<std::size_t>(quantity) * network.n_species() + species];
        return 0;
    });
}

int pcs_step(pcs_solver* solver, int64_t n_cells, const double* dt_s, int64_t dt_stride, double* n_cm3,
             int64_t cell_stride, int64_t species_stride, double* temperature_K, int64_t temperature_stride,
             const double* conditions, int64_t cond_cell_stride, int64_t cond_stride, const int8_t* mask,
             int8_t* status) {
    PCS_PASS_ON(step, solver, solver, n_cells, dt_s, dt_stride, n_cm3, cell_stride, species_stride, temperature_K,
                temperature_stride, conditions, cond_cell_stride, cond_stride, mask, status);
    return pcs_step_budget(solver, n_cells, dt_s, dt_stride, n_cm3, cell_stride, species_stride, temperature_K,
                           temperature_stride, conditions, cond_cell_stride, cond_stride, nullptr, 0, mask, status);
}

int pcs_step_budget(pcs_solver* solver, int64_t n_cells, const double* dt_s, int64_t dt_stride, double* n_cm3,
                    int64_t cell_stride, int64_t species_stride, double* temperature_K, int64_t temperature_stride,
                    const double* conditions, int64_t cond_cell_stride, int64_t cond_stride, double* error_dex,
                    int64_t error_stride, const int8_t* mask, int8_t* status) {
    PCS_PASS_ON(step_budget, solver, solver, n_cells, dt_s, dt_stride, n_cm3, cell_stride, species_stride,
                temperature_K, temperature_stride, conditions, cond_cell_stride, cond_stride, error_dex, error_stride,
                mask, status);
    return with_solver(solver, [&](const Solver& open) {
        this_thread().of(solver).report =
            open.step({{n_cells, n_cm3, cell_stride, species_stride, temperature_K, temperature_stride, conditions,
                        cond_cell_stride, cond_stride, dt_s, dt_stride, status, 0, -1, counts_of(solver, open, n_cells),
                        nullptr, error_dex, error_stride},
                       mask});
        return 0;
    });
}

int pcs_costs(const pcs_solver* solver, int n, double* costs_us) {
    PCS_PASS_ON(costs, solver, solver, n, costs_us);
    return with_solver(solver, [&](const Solver& open) {
        if (n < 0 || (!costs_us && n != 0))
            return fail(solver, PCS_E_ARGUMENT, "pcs_costs: the size is negative or the result pointer is null");
        const pcs::Costs costs = open.costs();
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
    PCS_PASS_ON(equilibrium, solver, solver, n_cells, tolerance, duration_s, n_cm3, cell_stride, species_stride,
                temperature_K, temperature_stride, conditions, cond_cell_stride, cond_stride, mask, status);
    return with_solver(solver, [&](const Solver& open) {
        this_thread().of(solver).report = open.equilibrium(
            {{n_cells, n_cm3, cell_stride, species_stride, temperature_K, temperature_stride, conditions,
              cond_cell_stride, cond_stride, nullptr, 0, status, 0, -1, counts_of(solver, open, n_cells)},
             mask},
            {tolerance, duration_s});
        return 0;
    });
}

int pcs_trajectory(pcs_solver* solver, int64_t n_cells, const double* n_cm3, int64_t cell_stride,
                   int64_t species_stride, const double* temperature_K, int64_t temperature_stride,
                   const double* conditions, int64_t cond_cell_stride, int64_t cond_stride, int64_t n_times,
                   const double* times_s, double* out_cm3, int conserve, const int8_t* mask, int8_t* status) {
    PCS_PASS_ON(trajectory, solver, solver, n_cells, n_cm3, cell_stride, species_stride, temperature_K,
                temperature_stride, conditions, cond_cell_stride, cond_stride, n_times, times_s, out_cm3, conserve,
                mask, status);
    return with_solver(solver, [&](const Solver& open) {
        this_thread().of(solver).report =
            open.trajectory({cells_of(n_cells, n_cm3, cell_stride, species_stride, temperature_K, temperature_stride,
                                      conditions, cond_cell_stride, cond_stride, nullptr),
                             {n_times, times_s, out_cm3, status, conserve != 0},
                             mask,
                             open.options().mode});
        return 0;
    });
}

int pcs_rate_coefficients(const pcs_solver* solver, int64_t n_cells, const double* n_cm3, int64_t cell_stride,
                          int64_t species_stride, const double* temperature_K, int64_t temperature_stride,
                          const double* conditions, int64_t cond_cell_stride, int64_t cond_stride, double* k,
                          int64_t k_cell_stride, int64_t k_reaction_stride, int8_t* status) {
    PCS_PASS_ON(rate_coefficients, solver, solver, n_cells, n_cm3, cell_stride, species_stride, temperature_K,
                temperature_stride, conditions, cond_cell_stride, cond_stride, k, k_cell_stride, k_reaction_stride,
                status);
    return derive(solver,
                  cells_of(n_cells, n_cm3, cell_stride, species_stride, temperature_K, temperature_stride, conditions,
                           cond_cell_stride, cond_stride, status),
                  {pcs::Derivative::rate_coefficients, k, k_cell_stride, k_reaction_stride, 0});
}

int pcs_rhs(const pcs_solver* solver, int64_t n_cells, const double* n_cm3, int64_t cell_stride, int64_t species_stride,
            const double* temperature_K, int64_t temperature_stride, const double* conditions, int64_t cond_cell_stride,
            int64_t cond_stride, double* dndt, int64_t rhs_cell_stride, int64_t rhs_species_stride, int8_t* status) {
    PCS_PASS_ON(rhs, solver, solver, n_cells, n_cm3, cell_stride, species_stride, temperature_K, temperature_stride,
                conditions, cond_cell_stride, cond_stride, dndt, rhs_cell_stride, rhs_species_stride, status);
    return derive(solver,
                  cells_of(n_cells, n_cm3, cell_stride, species_stride, temperature_K, temperature_stride, conditions,
                           cond_cell_stride, cond_stride, status),
                  {pcs::Derivative::rhs, dndt, rhs_cell_stride, rhs_species_stride, 0});
}

int pcs_jacobian(const pcs_solver* solver, int64_t n_cells, const double* n_cm3, int64_t cell_stride,
                 int64_t species_stride, const double* temperature_K, int64_t temperature_stride,
                 const double* conditions, int64_t cond_cell_stride, int64_t cond_stride, double* jacobian,
                 int64_t jac_cell_stride, int64_t jac_row_stride, int64_t jac_column_stride, int8_t* status) {
    PCS_PASS_ON(jacobian, solver, solver, n_cells, n_cm3, cell_stride, species_stride, temperature_K,
                temperature_stride, conditions, cond_cell_stride, cond_stride, jacobian, jac_cell_stride,
                jac_row_stride, jac_column_stride, status);
    return derive(solver,
                  cells_of(n_cells, n_cm3, cell_stride, species_stride, temperature_K, temperature_stride, conditions,
                           cond_cell_stride, cond_stride, status),
                  {pcs::Derivative::jacobian, jacobian, jac_cell_stride, jac_row_stride, jac_column_stride});
}

int pcs_cell_statistics(const pcs_solver* solver, const char* key, int64_t n_cells, int32_t* values) {
    PCS_PASS_ON(cell_statistics, solver, solver, key, n_cells, values);
    return with_solver(solver, [&](const Solver&) {
        if (!key || (!values && n_cells != 0))
            return fail(solver, PCS_E_ARGUMENT, "pcs_cell_statistics: key and result pointer must not be null");
        const std::vector<std::int32_t>& counts = this_thread().of(solver).counts;
        const int column = find(solver, {"steps", "rejected_steps", "factorisations"}, key, "count");
        if (column < 0) return column;
        if (n_cells < 0 || static_cast<std::size_t>(n_cells) > counts.size() ||
            static_cast<std::size_t>(n_cells) * pcs::n_cell_counts != counts.size())
            return fail(solver, PCS_E_ARGUMENT,
                        "pcs_cell_statistics: the thread's last call had another number of cells, or the option "
                        "statistics was off");
        for (int64_t cell = 0; cell < n_cells; ++cell) values[cell] = counts[cell * pcs::n_cell_counts + column];
        return 0;
    });
}

int pcs_report(const pcs_solver* solver, const char* key, double* value) {
    PCS_PASS_ON(report, solver, solver, key, value);
    return with_solver(solver, [&]([[maybe_unused]] const Solver& open) {
        if (!key || !value) return fail(solver, PCS_E_ARGUMENT, "pcs_report: key and result pointer must not be null");
        pcs::Report& report = this_thread().of(solver).report;
#ifndef PCS_EMBED
        if (report.ticket != 0) report = open.fetched(report);
#endif
        std::string known;
#define PCS_REPORT(type, name, meaning)            \
    if (std::strcmp(key, #name) == 0) {            \
        *value = static_cast<double>(report.name); \
        return 0;                                  \
    }
#include "pcs/report.def"
#undef PCS_REPORT
#define PCS_REPORT(type, name, meaning) known += std::string(known.empty() ? "" : ", ") + #name;
#include "pcs/report.def"
#undef PCS_REPORT
        return fail(solver, PCS_E_NAME, ("unknown report key '" + std::string(key) + "'; known are: " + known).c_str());
    });
}

const char* pcs_last_error(const pcs_solver* solver) {
    PCS_PASS_ON(last_error, solver, solver);
    try {
        return this_thread().error_of(solver);
    } catch (...) {
        return "out of memory";
    }
}

const char* pcs_status_message(int status) { return pcs::status_message(status); }
