// The solver: a model, its options, and the step. SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pcs/audit.hpp"
#include "pcs/calibration.hpp"
#include "pcs/device.hpp"
#include "pcs/kernels.hpp"
#include "pcs/plan.hpp"
#include "pcs/reach.hpp"
#include "pcs/report.hpp"
#include "pcs/tables.hpp"

namespace pcs {

class Gpu;
class Image;
struct InspectionView;

const char* status_message(int status);

enum class Mode { automatic, surrogate, exact };
// By its name: auto, surrogate or exact. Throws Error (option).
Mode mode_of(const std::string& name);

// What a host's abundances are: n [cm^-3], n / n_H with n_H [cm^-3] as the last condition, or shares of the mass with
// the mass density rho [g cm^-3] as the last condition.
enum class Units { number_density, hydrogen_fraction, mass_fraction };

struct Options {
    Mode mode = Mode::automatic;
    Units units = Units::number_density;
    std::string path;                  // the one learned path that may serve; "": all of them
    bool host_integrates = false;      // cells of the exact path are left untouched, with their status, to the host
    bool tables_only = false;          // leave the straight-line kernels alone, if there are any
    double rtol = 1e-2, atol = 1e-15;  // in use: the host's, those of the target, or these
    int max_steps = 2000, threads = 0, repair = repair_none;
    double target_error_dex = 0;  // in use; 0: none
    double error_budget_dex = 0;  // in use
    double audit = 1e-3;          // share of the accepted cells
    std::int64_t exact_every = 100;
    // By the host, each if at all.
    std::optional<double> given_rtol, given_atol, given_target_dex, given_budget_dex;
    std::optional<Costs> given_costs;
    bool measures_costs = false;  // without these: whether the file's, if it has any, are left aside
    bool statistics = false;      // for bindings: hand in CellArrays::counts
    DeviceCall call;              // of calls that do not say theirs, with device cuda
};

// When a cell counts as being in equilibrium: over `duration_s` no species above atol n_H changes by more than this
// share of itself. Round-off of the implicit step grows with duration x density: about 1e-6 at 1e17 s and 1e8 cm^-3.
struct EquilibriumSettings {
    double tolerance, duration_s;
    int max_rounds = 30;
};

// What a host hands in for one step; the arrays of `cells` (kernels.hpp) and what the kernels do not need.
struct StepRequest {
    CellArrays cells;
    const int8_t* mask;                     // null: no mask
    std::optional<DeviceCall> device = {};  // not as the options say
};

// The states at many times from one given state each. `cells`: dt_s and status are not read; n_cm3 is not changed.
struct TrajectoryRequest {
    CellArrays cells;
    TrajectoryArrays trajectory;  // status: null where nobody asked
    const int8_t* mask;           // (cells, times), 0: leave this pair alone; null: no mask
    Mode mode;
    std::optional<DeviceCall> device = {};  // not as the options say
};

// Rate coefficients, dn/dt or its Jacobian of every cell. `cells`: dt_s, repair and counts are not read, n_cm3 is not
// changed and may be null for rate coefficients; status: null where nobody asked. Of a cell whose status is below 0 all
// values are NaN.
struct DerivativeRequest {
    CellArrays cells;
    DerivativeArrays to;
};

// The rtol and atol that target_error_dex picks for the exact integrator.
struct Tolerances {
    double rtol, atol;
};
Tolerances tolerances_for(double target_dex);

// The kernels of this process: the best that the processor has, or what PCS_ISA (sse2, avx2, avx512) asks for.
// Throws Error (option) if PCS_ISA names something unknown or more than the processor has.
const Kernels& kernels();

// The same for the integrator, which may want another width for the plan's network.
const Kernels& integrator_kernels(const PlanView& plan);

class Solver {
  public:
    explicit Solver(const ModelFile& file);
    explicit Solver(NetworkTables tables);  // a network alone: serves mode exact
    ~Solver();

    const NetworkTables& network() const { return tables_; }
    const Options& options() const { return options_; }
    // What the host hands in beside the temperature, in order: the network's conditions, then what the units need.
    const std::vector<std::string>& conditions() const { return conditions_; }
    const std::vector<std::string>& equations() const { return equations_; }  // of the reactions
    double mass_g(int species) const;  // throws Error (file) where the model does not say
    // The names of the learned paths, cheapest first: "" alone for one without a name, none for a network alone.
    std::vector<std::string> paths() const;
    // Of the learned path that mode surrogate asks.
    int latent() const;           // numbers in latent space, 0 without a surrogate
    int features() const;         // inputs of the encoder, 0 without a surrogate
    bool finishes() const;        // whether real chemistry finishes the learned step
    bool predicts_error() const;  // whether the surrogate has an error head
    // Throws Error (option) that lists what is possible.
    void set_option(const std::string& key, const std::string& value);

    // Throws Error (argument, memory) before any cell is touched, or nothing. Safe to call from many threads at once.
    // exact: as in mode exact. This and the three calls below take and give abundances in the option's units.
    Report step(const StepRequest& request, bool exact = false) const;

    // The report of a step or trajectory whose figures a device still has: waits for that call alone. Throws Error
    // (argument) if more than `device_reports` calls have been made since, or the option device was set.
    Report fetched(const Report& report) const;
    bool on_device() const { return gpu_ != nullptr; }

    // What cells cost on this machine: measured when first asked for, or the host's. Throws Error (option) where
    // nothing is routed.
    Costs costs() const;

    // The bins of a learned path's gate as the audit has left them (none where the gate is not calibrated, or not for
    // the target error), and counts from elsewhere (the torch engine). Throw Error (argument) for a path that the file
    // does not have.
    std::vector<AuditBin> audit_table(int path) const;
    AuditVerdict merge_audit(int path, const std::vector<AuditSum>& sums) const;

    // Whether straight-line kernels are there for the network, in the library or in an object that is in use.
    bool has_code() const { return straight_line().has_code(plan_.view()); }
    const PlanView& plan() const { return plan_.view(); }
    // Kernels from a shared object, whatever the library has (network_kernels.hpp). Throws Error (file).
    void use_object(const std::string& path);

    // To the state that no longer changes, by the integrator alone (dt is not read). Throws as step does.
    Report equilibrium(const StepRequest& request, const EquilibriumSettings& settings) const;

    // The state of every cell at every time, counted from the given state; the report counts (cell, time) pairs. A pair
    // that is not served gets the given state. The integrator goes from time to time. Throws as step does.
    Report trajectory(const TrajectoryRequest& request) const;

    // Throws as step does.
    void derive(const DerivativeRequest& request) const;

    bool has_surrogate() const { return !paths_.empty(); }
    std::size_t workspace_bytes() const;  // of the integrator, for each thread

    // The learned step alone, without box and gate, with what every verb made (kernels.hpp): for tests.
    void trace(const CellArrays& cells, const SurrogateTrace& trace) const;

    // dn/dt [cm^-3 / s] of one cell, for tests.
    void rhs(const double* n_cm3, double temperature_K, const double* conditions, double* dndt) const;

  private:
    struct Scratch;
    struct Copies;
    struct Path;
    static Scratch& scratch();
    const Kernels& straight_line() const { return object_ ? *object_ : integrator_kernels(plan_.view()); }
    const Kernels& integrating() const { return options_.tables_only ? kernels() : straight_line(); }
    // The step with or without the surrogate; with native_exact false, cells of the exact path are left to the host.
    Report run(const StepRequest& request, bool learned, bool native_exact) const;
    // The calls for number densities.
    Report step_densities(const StepRequest& request, bool exact) const;
    Report equilibrium_of_densities(const StepRequest& request, const EquilibriumSettings& settings) const;
    Report trajectory_of_densities(const TrajectoryRequest& request) const;
    // One of them on the densities of the host's cells; those that it served are written back.
    template <class Call>
    Report in_units(const StepRequest& host, bool host_integrates, const Call& call) const;
    // The cells with their abundances as densities, in scratch of the calling thread; masked ones have none.
    CellArrays densities_of(const CellArrays& host, const int8_t* mask) const;
    // What a host's numbers are per density: value = n * weight / density.
    double weight(int species) const { return options_.units == Units::mass_fraction ? tables_.mass_g[species] : 1; }
    double density(const CellArrays& host, std::int64_t cell) const;  // NaN: none
    void use_units(Units units);
    void derive_list(const CellArrays& cells, const DerivativeArrays& to, const std::int64_t* list,
                     std::int64_t size) const;
    CallShape shape() const;
    // The status of every cell; returns the good ones, in scratch of the calling thread.
    std::span<const std::int64_t> inspect_derivatives(const CellArrays& cells) const;
    InspectionView inspection() const;
    // on_device.cpp: the model as libpcs_cuda takes it, and the calls on it.
    struct CallOnDevice;
    Image image() const;
    int bins() const;  // of all paths
    void use_device(const std::string& name);
    void check_call(const std::optional<DeviceCall>& call) const;
    void require_cpu(const char* what) const;
    void fill(CallOnDevice& call, std::span<const Path* const> paths, bool routes) const;
    Report step_on_device(const StepRequest& request, bool exact) const;
    Report trajectory_on_device(const TrajectoryRequest& request) const;
    Costs measure_costs_on_device() const;
    void inspect(const StepRequest& request, Report& report) const;
    void refuse_formulas(const CellArrays& cells) const;
    // The learned paths that a mode asks, cheapest first.
    std::span<const Path* const> asked(Mode mode) const;
    const Path& path(int index) const;
    // What follows from options that the host has set; and then takes them into use.
    void adopt(Options options);
    RouterView router_view() const;
    double skip_dex() const;
    // What a path's learned step is told. budgeted: cells carry their errors.
    SurrogateSettings step_settings(const Path& path, bool budgeted, std::vector<double>& thresholds) const;
    SurrogateSettings trajectory_settings(const Path& path, Mode mode, std::vector<double>& thresholds) const;
    // Lets the integrator serve the cells that no learned path would make cheaper; the others wait for theirs.
    void route(const CellArrays& cells, Scratch& scratch, Report& report) const;
    // The first `size` cells of the scratch's list, by one learned path; before that a share of them by both ways.
    void advance(const Path& path, const CellArrays& cells, std::int64_t size, Scratch& scratch, Report& report) const;
    void audit(const Path& path, const CellArrays& cells, std::int64_t size, Scratch& scratch, Report& report) const;
    double audit_share(const Path& path) const;
    SurrogateStatistics advance_list(const Path& path, const CellArrays& cells, const SurrogateSettings& settings,
                                     std::int64_t size, Scratch& scratch, Report& report) const;
    CellArrays packed(const CellArrays& cells, const std::vector<std::int64_t>& list, Copies& to) const;
    static void count(const Path& path, const SurrogateStatistics& found, Report& report);
    void contract_errors(const CellArrays& cells) const;
    void integrate(const CellArrays& cells, Scratch& scratch, Report& report) const;
    IntegratorSettings integrator_settings() const;
    // The listed cells (null: all of them), shared by a team.
    void integrate_list(const CellArrays& cells, const IntegratorSettings& settings, const std::int64_t* list,
                        std::int64_t size, Scratch& scratch, Report& report) const;
    const std::vector<std::int8_t>& sent() const;
    std::optional<Costs> costs_of_file() const;
    Costs measure_costs() const;
    void measure_integrator(Costs& costs) const;
    std::vector<std::int64_t> samples_by_steps(std::vector<double>& steps) const;
    double measure_learned(const Path& path) const;  // [us]
    SurrogateSettings learned_settings(bool use_gate) const { return {use_gate, options_.tables_only, &integrating()}; }
    void require_trajectory(const TrajectoryRequest& request) const;
    // A trajectory by a learned path, and by the integrator, for the pairs whose status asks for them.
    void follow(const Path& path, const CellArrays& cells, const TrajectoryArrays& trajectory, Mode mode,
                Report& report) const;
    void integrate_through(const CellArrays& cells, const TrajectoryArrays& trajectory, Report& report) const;
    // A learned path's work, shared by a team: call(thread's statistics, thread's workspace).
    template <class Call>
    SurrogateStatistics share(int threads, std::size_t bytes, const Call& call, Scratch& scratch, Report& report) const;

    NetworkTables tables_;
    Plan plan_;
    std::vector<std::string> equations_, conditions_;
    std::vector<std::unique_ptr<Path>> paths_;   // none: a network alone
    std::vector<const Path*> chosen_, trusted_;  // that the host lets serve, and those of them that mode auto asks
    bool routed_ = false;                        // whether the router tells them apart
    Options options_;
    // Where the router sends the cells of its bins; made when first needed.
    mutable std::mutex routing_lock_;
    mutable std::optional<Costs> costs_;
    mutable std::vector<std::int8_t> sent_;
    const Kernels* object_ = nullptr;  // of the user's; null: those of the library
    int electron_ = -1;
    std::unique_ptr<Gpu> gpu_;  // null: the cpu
    std::uint64_t audit_ = 0;   // changes with what is audited
};

}  // namespace pcs
