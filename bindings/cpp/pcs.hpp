// pychemsurrogate for C++17 hosts: the handle of pcs.h as a class. Header only. SPDX-License-Identifier: BSD-3-Clause
//
//   pcs::Solver chemistry("osu_09_2008");
//   chemistry.set("rtol", 1e-3);
//   chemistry.step(pcs::contiguous(cells, n, species, temperature, conditions, 1), dt, nullptr, status);
//
// Units, strides, statuses and threads: pcs.h. A call that fails throws pcs::Error, whose code() is one of PCS_E_...;
// what happened to a single cell is told by its status, never by an exception. Compiled with -fno-exceptions the
// functions that return int return that code instead, and those that return something else what their comment says.
#pragma once

#include <cstdint>
#include <cstdio>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "pcs.h"

namespace pcs {
inline namespace host_3 {  // the names of a host's binary say which version of this header it was compiled with

class Error : public std::runtime_error {
  public:
    Error(int code, const std::string& message) : std::runtime_error(message), code_(code) {}
    int code() const noexcept { return code_; }

  private:
    int code_;
};

// The host's arrays: n[cell * cell_stride + species * species_stride], and so on. A stride of 0: one value for all.
// After set("device", "cuda") and set("memory", "device") all of these are addresses of the GPU's memory.
struct Cells {
    std::int64_t count = 0;
    double* n = nullptr;
    std::int64_t cell_stride = 0, species_stride = 1;
    double* temperature = nullptr;
    std::int64_t temperature_stride = 1;
    const double* conditions = nullptr;
    std::int64_t condition_cell_stride = 0, condition_stride = 1;
};

// n[cell][species], temperature[cell], conditions[cell][condition].
inline Cells contiguous(std::int64_t count, double* n, int species, double* temperature, const double* conditions,
                        int n_conditions) {
    return {count, n, species, 1, temperature, 1, conditions, n_conditions, 1};
}

// A model, opened; closed when the variable ceases to exist. It can be moved, not copied. Many threads may call step on
// one solver; set, close and the destructor need it alone (a solver that is destroyed while another thread is in a call
// on it stays open).
class Solver {
  public:
    Solver() = default;
    // A path to a .pcs file, or the name of a shipped model. Throws Error; without exceptions see is_open.
    explicit Solver(const std::string& model) { open(model); }
    ~Solver() { pcs_close(&handle_); }
    Solver(Solver&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Solver& operator=(Solver&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    Solver(const Solver&) = delete;
    Solver& operator=(const Solver&) = delete;

    // What was open is closed first.
    int open(const std::string& model) {
        if (const int code = close(); code != 0) return code;
        if (pcs_abi_version() != PCS_ABI_VERSION)
            return fail(PCS_E_INTERNAL,
                        "the libpcs that is loaded has another ABI version than pcs.h: compile anew, or load the "
                        "library that came with the header");
        return settle(pcs_open(model.c_str(), &handle_), nullptr);
    }
    int close() { return settle(pcs_close(&handle_)); }
    bool is_open() const noexcept { return handle_ != nullptr; }
    pcs_solver* get() const noexcept { return handle_; }  // for calls of pcs.h; still owned here

    int set(const std::string& option, const std::string& value) {
        return settle(pcs_set_option(handle_, option.c_str(), value.c_str()));
    }
    int set(const std::string& option, const char* value) { return set(option, std::string(value)); }
    int set(const std::string& option, int value) { return set(option, std::to_string(value)); }
    int set(const std::string& option, double value) {
        char text[32];
        std::snprintf(text, sizeof text, "%.17g", value);
        for (char& c : text)
            if (c == ',') c = '.';  // of the host's locale
        return set(option, std::string(text));
    }
    // An address: set("stream", stream) with a cudaStream_t.
    int set(const std::string& option, const void* address) {
        return set(option, std::to_string(reinterpret_cast<std::uintptr_t>(address)));
    }

    // Names, counted from 0. An unknown name throws, or is PCS_E_NAME; a number out of range gives "".
    int species() const { return settle(pcs_n_species(handle_)); }
    int species_index(const std::string& name) const { return settle(pcs_species_index(handle_, name.c_str())); }
    std::string species_name(int i) const { return text(pcs_species_name(handle_, i)); }
    double species_mass_g(int i) const {  // NaN where it is not known and nothing can be thrown
        return number([&](double* value) { return pcs_species_mass_g(handle_, i, value); });
    }
    int conditions() const { return settle(pcs_n_conditions(handle_)); }
    int condition_index(const std::string& name) const { return settle(pcs_condition_index(handle_, name.c_str())); }
    std::string condition_name(int i) const { return text(pcs_condition_name(handle_, i)); }
    int reactions() const { return settle(pcs_n_reactions(handle_)); }
    std::string reaction_equation(int i) const { return text(pcs_reaction_equation(handle_, i)); }
    int conserved() const { return settle(pcs_n_conserved(handle_)); }
    std::string conserved_name(int i) const { return text(pcs_conserved_name(handle_, i)); }
    double composition(int quantity, int i) const {
        return number([&](double* value) { return pcs_composition(handle_, quantity, i, value); });
    }

    // Advance every cell by dt [s], in place. mask, status: one value a cell, or null.
    int step(const Cells& c, double dt, const std::int8_t* mask = nullptr, std::int8_t* status = nullptr) const {
        return step(c, &dt, 0, mask, status);
    }
    int step(const Cells& c, const double* dt, std::int64_t dt_stride, const std::int8_t* mask = nullptr,
             std::int8_t* status = nullptr) const {
        return step(c, dt, dt_stride, nullptr, 0, mask, status);
    }
    // The same for a host that keeps the error that every cell carries [dex].
    int step(const Cells& c, const double* dt, std::int64_t dt_stride, double* error_dex, std::int64_t error_stride,
             const std::int8_t* mask = nullptr, std::int8_t* status = nullptr) const {
        return settle(pcs_step_budget(handle_, c.count, dt, dt_stride, c.n, c.cell_stride, c.species_stride,
                                      c.temperature, c.temperature_stride, c.conditions, c.condition_cell_stride,
                                      c.condition_stride, error_dex, error_stride, mask, status));
    }
    int equilibrium(const Cells& c, double tolerance = 1e-4, double duration_s = 1e17,
                    const std::int8_t* mask = nullptr, std::int8_t* status = nullptr) const {
        return settle(pcs_equilibrium(handle_, c.count, tolerance, duration_s, c.n, c.cell_stride, c.species_stride,
                                      c.temperature, c.temperature_stride, c.conditions, c.condition_cell_stride,
                                      c.condition_stride, mask, status));
    }
    // out: (cells, times, species); status, mask: (cells, times).
    int trajectory(const Cells& c, const std::vector<double>& times_s, double* out, bool conserve = true,
                   const std::int8_t* mask = nullptr, std::int8_t* status = nullptr) const {
        return settle(pcs_trajectory(handle_, c.count, c.n, c.cell_stride, c.species_stride, c.temperature,
                                     c.temperature_stride, c.conditions, c.condition_cell_stride, c.condition_stride,
                                     static_cast<std::int64_t>(times_s.size()), times_s.data(), out, conserve, mask,
                                     status));
    }

    // Contiguous results: k (cells, reactions), dndt (cells, species), jacobian (cells, species, species), rows first.
    int rate_coefficients(const Cells& c, double* k, std::int8_t* status = nullptr) const {
        return settle(pcs_rate_coefficients(handle_, c.count, c.n, c.cell_stride, c.species_stride, c.temperature,
                                            c.temperature_stride, c.conditions, c.condition_cell_stride,
                                            c.condition_stride, k, reactions(), 1, status));
    }
    int rhs(const Cells& c, double* dndt, std::int8_t* status = nullptr) const {
        return settle(pcs_rhs(handle_, c.count, c.n, c.cell_stride, c.species_stride, c.temperature,
                              c.temperature_stride, c.conditions, c.condition_cell_stride, c.condition_stride, dndt,
                              species(), 1, status));
    }
    int jacobian(const Cells& c, double* jacobian, std::int8_t* status = nullptr) const {
        const std::int64_t S = species();
        return settle(pcs_jacobian(handle_, c.count, c.n, c.cell_stride, c.species_stride, c.temperature,
                                   c.temperature_stride, c.conditions, c.condition_cell_stride, c.condition_stride,
                                   jacobian, S * S, S, 1, status));
    }

    // Of the calling thread's last step on this solver.
    double report(const std::string& key) const {
        return number([&](double* value) { return pcs_report(handle_, key.c_str(), value); });
    }
    // Needs the option statistics; key: steps, rejected_steps or factorisations.
    int cell_statistics(const std::string& key, std::vector<std::int32_t>& values) const {
        return settle(
            pcs_cell_statistics(handle_, key.c_str(), static_cast<std::int64_t>(values.size()), values.data()));
    }
    // Of a cell on this machine [us]: pcs_costs says which. Empty where nothing is routed and nothing can be thrown.
    std::vector<double> costs() const {
        const int count = settle(pcs_costs(handle_, 0, nullptr));
        std::vector<double> values(count > 0 ? static_cast<std::size_t>(count) : 0);
        settle(pcs_costs(handle_, count > 0 ? count : 0, values.data()));
        return values;
    }
    // What the calling thread's last failed call on this solver says.
    std::string last_error() const { return text(pcs_last_error(handle_)); }

  private:
    static std::string text(const char* found) { return found ? found : ""; }
    static int fail(int code, [[maybe_unused]] const char* message) {
#ifdef __cpp_exceptions
        throw Error(code, message);
#else
        return code;
#endif
    }
    static int settle(int code, const pcs_solver* heard) { return code < 0 ? fail(code, pcs_last_error(heard)) : code; }
    int settle(int code) const { return settle(code, handle_); }
    template <class Call>
    double number(const Call& call) const {
        double value = std::numeric_limits<double>::quiet_NaN();
        settle(call(&value));
        return value;
    }

    pcs_solver* handle_ = nullptr;
};

// What a cell's status means and, where it is a failure, what to do.
inline const char* status_message(int status) { return pcs_status_message(status); }

}  // namespace host_3
}  // namespace pcs
