// The step, from the host's arrays to the host's arrays. SPDX-License-Identifier: BSD-3-Clause
#include "pcs/solver.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <locale>
#include <numeric>
#include <sstream>

#include "pcs/error.hpp"
#include "pcs/gpu.hpp"
#include "pcs/image.hpp"
#include "pcs/inspect.hpp"
#include "pcs/model_file.hpp"
#include "pcs/network_kernels.hpp"
#include "pcs/path.hpp"
#include "pcs/quiet.hpp"
#include "pcs/team.hpp"

namespace pcs {

namespace {

// What a tolerance means: 99th percentile over cells of the worst species' error (n/n_H > 1e-12), largest of three
// seeds, with atol as in `atol_beside`. Measured by `benchmarks/error_table.py --cells 2048`. The first is the loosest:
// looser ones save little and leave single cells that err by orders of magnitude (benchmarks/exact_errors.py).
struct MeasuredError {
    double rtol, dex;
};
constexpr MeasuredError measured_errors[] = {{1.5e-2, 6.5e-3}, {1e-2, 4.3e-3}, {5e-3, 2.0e-3}, {2e-3, 8.0e-4},
                                             {1e-3, 4.6e-4},   {3e-4, 1.3e-4}, {1e-4, 5.6e-5}, {3e-5, 1.8e-5},
                                             {1e-5, 6.5e-6},   {3e-6, 2.0e-6}, {1e-6, 6.6e-7}, {5e-7, 3.1e-7}};
constexpr double kind_margin = 2.5;  // other kinds of cells than the measured ones (docs/integrator.md)
constexpr double smallest_target_dex = 1e-6, largest_target_dex = 1, default_target_dex = 0.1;
constexpr double default_rtol = 1e-2, default_atol = 1e-15;

// The rtol whose measured error is the target over the margin, log-log between the rows.
double rtol_for(double target_dex) {
    const double wanted = target_dex / kind_margin;
    const MeasuredError* row = measured_errors;
    if (wanted >= row->dex) return row->rtol;
    while (row[1].dex > wanted) ++row;  // ends: the last row lies below the smallest target over the margin
    const double share = std::log(wanted / row[0].dex) / std::log(row[1].dex / row[0].dex);
    return row[0].rtol * std::pow(row[1].rtol / row[0].rtol, share);
}

// Species at 1e-12 n_H keep a tenth of rtol for their absolute error.
double atol_beside(double rtol) { return std::min(1e-15, 1e-13 * rtol); }

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

const char* const both_set =
    "target_error_dex picks rtol and atol: in mode exact set it or them, not both (open the solver anew to choose "
    "again)";

double to_number(const std::string& key, const std::string& value, double low, double high) {
    // "0.01" whatever the host's locale writes.
    std::istringstream text(value);
    text.imbue(std::locale::classic());
    double number = 0;
    const bool read = static_cast<bool>(text >> std::noskipws >> number) && text.eof();
    if (read && number >= low && number <= high) return number;
    std::ostringstream message;
    message.imbue(std::locale::classic());
    message << "option " << key << " is '" << value << "': it must be a number between " << low << " and " << high;
    throw Error(ErrorCode::option, message.str());
}

// "cell,step,eviction,learned" [us], the last for each learned path.
Costs to_costs(const std::string& value, std::size_t paths) {
    const std::size_t needed = 3 + std::max<std::size_t>(paths, 1);
    if (std::count(value.begin(), value.end(), ',') + 1 != static_cast<std::ptrdiff_t>(needed))
        throw Error(ErrorCode::option, "option costs is '" + value + "': it must be model, measure, or " +
                                           std::to_string(needed) +
                                           " numbers of microseconds: cell, step, eviction, and learned for each path");
    std::vector<double> numbers;
    for (std::size_t begin = 0; numbers.size() < needed; begin = value.find(',', begin) + 1)
        numbers.push_back(to_number("costs", value.substr(begin, value.find(',', begin) - begin), 0, 1e9));
    return {numbers[0], numbers[1], numbers[2], {numbers.begin() + 3, numbers.end()}};
}

static_assert(status_sent + most_paths - 1 <= std::numeric_limits<std::int8_t>::max());

// A path's sample cells in arrays of their own, to time what works on them.
class Samples {
  public:
    static constexpr int repeats = 5;

    Samples(const RouterTable& table, const NetworkTables& tables, int electron)
        : arrays{table.samples(),
                 nullptr,
                 tables.n_species(),
                 1,
                 table.temperature.data(),
                 1,
                 table.conditions.data(),
                 tables.n_conditions(),
                 1,
                 table.dt.data(),
                 1,
                 nullptr,
                 repair_none,
                 electron},
          given_(table.n),
          status_(table.samples()) {
        arrays.status = status_.data();
    }

    std::vector<std::int64_t> list() const {
        std::vector<std::int64_t> all(status_.size());
        std::iota(all.begin(), all.end(), 0);
        return all;
    }

    // What work(queue of the listed cells) takes, the least of several times [us].
    template <class Work>
    double microseconds(const std::vector<std::int64_t>& list, const Work& work) {
        double least = std::numeric_limits<double>::infinity();
        for (int k = 0; k < repeats; ++k) {
            n_ = given_;
            arrays.n_cm3 = n_.data();
            std::int64_t next = 0;
            const auto start = Clock::now();
            work(CellQueue{list.data(), static_cast<std::int64_t>(list.size()), &next});
            least = std::min(least, seconds_since(start));
        }
        return 1e6 * least;
    }

    CellArrays arrays;

  private:
    const std::vector<double>& given_;
    std::vector<double> n_;
    std::vector<std::int8_t> status_;
};

// An address as an integer, decimal or after 0x.
void* to_stream(const std::string& value) {
    const bool hexadecimal = value.starts_with("0x") || value.starts_with("0X");
    const char *const first = value.data() + (hexadecimal ? 2 : 0), *const last = value.data() + value.size();
    std::uint64_t address = 0;
    const auto [end, error] = std::from_chars(first, last, address, hexadecimal ? 16 : 10);
    if (error != std::errc{} || end != last)
        throw Error(ErrorCode::option, "option stream is '" + value +
                                           "': it must be the address of a CUDA stream as an integer, decimal or after "
                                           "0x, or 0");
    return reinterpret_cast<void*>(address);
}

using Choices = std::initializer_list<std::pair<const char*, int>>;
int choose(const std::string& key, const std::string& value, const Choices& choices) {
    std::string names;
    for (const auto& [name, code] : choices) {
        if (value == name) return code;
        names += (names.empty() ? "" : ", ") + std::string(name);
    }
    throw Error(ErrorCode::option, "option " + key + " is '" + value + "': it must be one of " + names);
}

int electron_index(const NetworkTables& tables) {
    const auto found = std::find(tables.species.begin(), tables.species.end(), "e-");
    return found == tables.species.end() ? -1 : static_cast<int>(found - tables.species.begin());
}

}  // namespace

Mode mode_of(const std::string& name) {
    return static_cast<Mode>(choose("mode", name, {{"auto", 0}, {"surrogate", 1}, {"exact", 2}}));
}

// Packed copies of cells: n (cells, S); T, dt and the conditions (cells, 2 + C).
struct Solver::Copies {
    std::vector<double> n, columns;
    std::vector<std::int8_t> status;
};

// Belongs to the calling thread; the members of its team use one workspace each.
struct Solver::Scratch {
    std::vector<Buffer> workspaces;
    std::vector<std::int64_t> cells;
    std::vector<std::int8_t> status;
    std::vector<double> thresholds;
    std::vector<std::int64_t> audited;  // cells, ...
    Copies learned, exact;              // ... what both paths make of them, ...
    std::vector<double> bins;           // ... and the bins of the gate
    std::vector<AuditSum> found;
    std::vector<IntegratorStatistics> integrator;
    std::vector<SurrogateStatistics> surrogate;

    // Lists the cells whose status `wants`, and returns how many there are.
    template <class Wants>
    std::int64_t collect(const CellArrays& arrays, const Wants& wants) {
        if (cells.size() < static_cast<std::size_t>(arrays.n_cells)) cells.resize(arrays.n_cells);
        std::int64_t size = 0;
        for (std::int64_t cell = 0; cell < arrays.n_cells; ++cell)
            if (wants(arrays.status[cell])) cells[size++] = cell;
        return size;
    }

    void reserve(int threads, std::size_t bytes) {
        if (workspaces.size() < static_cast<std::size_t>(threads)) workspaces.resize(threads);
        for (int t = 0; t < threads; ++t) workspaces[t].reserve(bytes);
    }
};

Solver::Scratch& Solver::scratch() {
    thread_local Scratch mine;
    return mine;
}

Solver::Solver(NetworkTables tables)
    : tables_(std::move(tables)), plan_(tables_), conditions_(tables_.conditions), electron_(electron_index(tables_)) {
    options_.mode = Mode::exact;
    for (int r = 0; r < tables_.n_reactions(); ++r) equations_.push_back(tables_.equation(r));
}
Solver::Solver(const ModelFile& file) : Solver(file.network()) {
    const OwnFloatingPoint own;
    const RouterTable* first = nullptr;
    for (const std::string& name : file.paths()) {
        paths_.push_back(std::make_unique<Path>(name, static_cast<int>(paths_.size()), file, tables_, plan_));
        const RouterTable* const router = paths_.back()->surrogate.router();
        if (first && router && (router->change != first->change || router->rate != first->rate))
            refuse(file.of_path(name), "its router/change_edges and rate_edges must be those of the other paths");
        if (!first) first = router;
    }
    if (!paths_.empty()) adopt(Options{});
}
Solver::~Solver() = default;

Tolerances tolerances_for(double target_dex) {
    const double rtol = rtol_for(target_dex);
    return {rtol, atol_beside(rtol)};
}

void Solver::adopt(Options options) {
    std::vector<const Path*> chosen, trusted;
    for (const auto& path : paths_)
        if (options.path.empty() || path->name == options.path) chosen.push_back(path.get());
    const bool calibrated =
        std::any_of(chosen.begin(), chosen.end(), [](const Path* path) { return path->surrogate.calibration(); });
    if (options.mode == Mode::exact && options.given_target_dex && (options.given_rtol || options.given_atol))
        throw Error(ErrorCode::option, both_set);
    options.target_error_dex = options.given_target_dex.value_or(calibrated ? default_target_dex : 0);
    const bool by_target = options.given_target_dex || (calibrated && options.mode == Mode::automatic);
    Tolerances tolerances{default_rtol, default_atol};
    if (by_target && !options.given_rtol) tolerances = tolerances_for(options.target_error_dex);
    options.rtol = options.given_rtol.value_or(tolerances.rtol);
    options.atol = options.given_atol.value_or(tolerances.atol);
    options.error_budget_dex = options.given_budget_dex.value_or(options.target_error_dex);

    for (const auto& path : paths_) {
        const Calibration* const gate = path->surrogate.calibration();
        const int target = gate && options.target_error_dex > 0 ? gate->serving(options.target_error_dex) : -1;
        if (target == path->target) continue;
        ++audit_;
        if (target >= 0)
            path->audit.reset(&gate->thresholds[static_cast<std::size_t>(target) * gate->bins], gate->bins,
                              gate->alpha);
        else
            path->audit.reset(nullptr, 0, 0);
        path->target = target;
    }
    for (const Path* path : chosen)
        if (path->target >= 0 || !path->surrogate.calibration()) trusted.push_back(path);
    routed_ = !trusted.empty() &&
              std::all_of(trusted.begin(), trusted.end(), [](const Path* path) { return path->surrogate.router(); });
    chosen_ = std::move(chosen);
    trusted_ = std::move(trusted);
    options_ = options;
    const std::lock_guard guard(routing_lock_);
    costs_ = options.given_costs;
    if (!costs_ && !options.measures_costs && !gpu_) costs_ = costs_of_file();
    sent_.clear();
}

void Solver::set_option(const std::string& key, const std::string& value) {
    const auto one_of = [&](const Choices& choices) { return choose(key, value, choices); };
    const auto number = [&](double low, double high) { return to_number(key, value, low, high); };
    Options next = options_;
    if (key == "mode") {
        next.mode = mode_of(value);
        if (next.mode == Mode::surrogate && paths_.empty())
            throw Error(
                ErrorCode::option,
                "mode surrogate needs a model with a surrogate; this one holds a network alone: use mode exact");
    } else if (key == "path") {
        const auto names = paths();
        if (!value.empty() && std::find(names.begin(), names.end(), value) == names.end()) {
            std::string known;
            for (const std::string& name : names)
                if (!name.empty()) known += (known.empty() ? "" : ", ") + name;
            throw Error(ErrorCode::option, "option path is '" + value + "': the model " +
                                               (known.empty() ? "names no paths: leave it empty" : "has " + known));
        }
        next.path = value;
    } else if (key == "integrator") {
        next.host_integrates = one_of({{"native", 0}, {"host", 1}});
    } else if (key == "units") {
        next.units =
            static_cast<Units>(one_of({{"number_density", 0}, {"hydrogen_fraction", 1}, {"mass_fraction", 2}}));
        use_units(next.units);
    } else if (key == "kernels") {
        const int choice = one_of({{"auto", 0}, {"tables", 1}, {"compiled", 2}});
        const PlanView& plan = plan_.view();
        const bool wanted = choice == 2 && !integrator_kernels(plan).has_code(plan);
        object_ = wanted ? &load_object(plan, object_path(plan, kernels().name)) : nullptr;
        next.tables_only = choice == 1;
    } else if (key == "rtol") {
        next.given_rtol = number(1e-12, 0.1);
    } else if (key == "atol") {
        next.given_atol = number(1e-30, 1e-3);
    } else if (key == "target_error_dex") {
        next.given_target_dex = number(smallest_target_dex, largest_target_dex);
    } else if (key == "error_budget_dex") {
        next.given_budget_dex = number(0, 100);
    } else if (key == "exact_every") {
        next.exact_every = static_cast<std::int64_t>(number(0, 1e15));
    } else if (key == "audit") {
        next.audit = number(0, 1);
    } else if (key == "costs") {
        next.measures_costs = value == "measure";
        const bool named = value == "model" || value == "measure";
        next.given_costs = named ? std::nullopt : std::optional(to_costs(value, paths_.size()));
    } else if (key == "max_steps") {
        next.max_steps = static_cast<int>(number(1, 1e9));
    } else if (key == "threads") {
        next.threads = static_cast<int>(number(0, 4096));
    } else if (key == "statistics") {
        next.statistics = one_of({{"off", 0}, {"on", 1}});
    } else if (key == "repair") {
        next.repair = one_of({{"none", repair_none},
                              {"floor", repair_floor},
                              {"electrons", repair_electrons},
                              {"floor,electrons", repair_floor | repair_electrons}});
        if ((next.repair & repair_electrons) && electron_ < 0)
            throw Error(ErrorCode::option, "repair=electrons needs a species e- in the network");
    } else if (key == "species") {
        std::string mine;
        for (const std::string& name : tables_.species) mine += (mine.empty() ? "" : ",") + name;
        if (value != mine)
            throw Error(ErrorCode::option,
                        "the model is for the species " + mine + ", the host has " + value +
                            ": use a model for these species, or order the abundances as the model does");
    } else if (key == "device") {
        use_device(value);
    } else if (key == "memory") {
        next.call.memory = static_cast<Space>(one_of({{"host", 0}, {"device", 1}}));
    } else if (key == "stream") {
        next.call.stream = to_stream(value);
    } else if (key == "engine" && value != "native") {
        throw Error(ErrorCode::option, "option engine is '" + value +
                                           "': the native library serves engine native alone; link to libpcs_embed, or "
                                           "set PCS_BACKEND=embed, for torch");
    } else if (key != "engine") {
        std::string known;
#define PCS_OPTION(name, type, default, values, meaning) known += (known.empty() ? "" : ", ") + std::string(#name);
#include "pcs/options.def"
#undef PCS_OPTION
        throw Error(ErrorCode::option, "unknown option '" + key + "': the options are " + known);
    }
    adopt(next);
}

// Null for the cpu.
void Solver::use_device(const std::string& name) {
    const int device = device_number(name);
    if (device < 0 && name != "cpu")
        throw Error(ErrorCode::option, "option device is '" + name + "': it must be one of cpu, cuda, cuda:k");
    gpu_ = device < 0 ? nullptr : std::make_unique<Gpu>(image(), bins(), device);
}

void Solver::use_object(const std::string& path) {
    object_ = &load_object(plan_.view(), path);
    adopt(options_);  // other kernels, other costs
}

Report Solver::step_densities(const StepRequest& request, bool exact) const {
    const bool learned = !asked(options_.mode).empty() && !exact;
    return run(request, learned, !options_.host_integrates && !(learned && options_.mode == Mode::surrogate));
}

// In mode auto those that their gates could trust for the target error; else the most accurate one.
std::span<const Solver::Path* const> Solver::asked(Mode mode) const {
    if (mode == Mode::exact) return {};
    if (mode == Mode::automatic) return trusted_;
    return {&chosen_.back(), 1};
}

const Solver::Path& Solver::path(int index) const {
    if (index < 0 || index >= std::ssize(paths_))
        throw Error(ErrorCode::argument, "the model has " + std::to_string(paths_.size()) + " learned paths, and no " +
                                             std::to_string(index));
    return *paths_[index];
}

std::vector<std::string> Solver::paths() const {
    std::vector<std::string> names;
    for (const auto& path : paths_) names.push_back(path->name);
    return names;
}

std::vector<AuditBin> Solver::audit_table(int path) const { return this->path(path).audit.table(); }
AuditVerdict Solver::merge_audit(int path, const std::vector<AuditSum>& sums) const {
    return this->path(path).audit.merge(sums);
}

Report Solver::run(const StepRequest& request, bool learned, bool native_exact) const {
    const auto start = Clock::now();
    check_step(request.cells, shape());
    Scratch& mine = scratch();
    StepRequest call = request;
    call.cells.repair = options_.repair;
    call.cells.electron = electron_;
    if (!call.cells.status) {
        if (mine.status.size() < static_cast<std::size_t>(call.cells.n_cells)) mine.status.resize(call.cells.n_cells);
        call.cells.status = mine.status.data();
    }
    const CellArrays& cells = call.cells;

    Report report;
    report.cells = cells.n_cells;
    inspect(call, report);  // bad input, masked and dt = 0 have their status now, all others status_EXACT_REQUESTED
    if (learned) {
        const bool routes = native_exact && options_.mode == Mode::automatic && routed_;
        if (routes) route(cells, mine, report);
        const auto paths = asked(options_.mode);
        for (const Path* path : paths) {
            // Those that the router sends to it; else the first path gets all cells, the next what the one before
            // refuses, which is then not said to be refused.
            const bool next = !routes && path != paths[0];
            const std::int64_t size = mine.collect(cells, [&](std::int8_t status) {
                return routes ? status == status_sent + path->index : next ? refused(status) : waits(status);
            });
            if (size == 0) continue;
            for (std::int64_t k = 0; next && k < size; ++k) {
                const std::int8_t status = cells.status[mine.cells[k]];
                --(status == status_EXACT_BOX        ? report.refused_box
                   : status == status_EXACT_DISTANCE ? report.refused_distance
                   : status == status_EXACT_ERROR    ? report.refused_error
                                                     : report.refused_budget);
            }
            audit(*path, cells, size, mine, report);
            advance(*path, cells, size, mine, report);
        }
    }
    if (native_exact) integrate(cells, mine, report);
    if (cells.error_dex) contract_errors(cells);

    for (std::int64_t cell = 0; cell < cells.n_cells; ++cell) {
        const int status = cells.status[cell];
        report.failed += status < 0;
        report.exact += status >= status_EXACT_REQUESTED;
        report.second_try += status == status_EXACT_SECOND_TRY;
        report.routed += status == status_EXACT_ROUTED;
    }
    report.seconds = seconds_since(start);
    return report;
}

CallShape Solver::shape() const {
    const bool converts = options_.units != Units::number_density;
    return {tables_.n_species(), static_cast<int>(conditions_.size()), tables_.n_reactions(),
            converts ? tables_.n_species() * sizeof(double) : 0};
}

InspectionView Solver::inspection() const {
    return {tables_.n_species(), tables_.n_conditions(), tables_.scale_weights.data(),
            &tables_.composition[(tables_.n_conserved() - 1) * static_cast<std::size_t>(tables_.n_species())]};
}

// Every cell's status before anything is computed.
void Solver::inspect(const StepRequest& request, Report& report) const {
    const CellArrays& c = request.cells;
    const InspectionView network = inspection();
    for (std::int64_t cell = 0; cell < c.n_cells; ++cell) {
        const Verdict verdict = inspect_cell(network, c, request.mask, cell);
        c.status[cell] = verdict.status;
        report.masked += verdict.status == status_MASKED;
        report.unchanged += verdict.status == status_UNCHANGED;
        report.repaired += verdict.repaired;
    }
    if (plan_.view().n_values > 0) refuse_formulas(c);
}

// No path takes a cell in which a formula gives no rate.
void Solver::refuse_formulas(const CellArrays& cells) const {
    Scratch& mine = scratch();
    const std::int64_t size = mine.collect(cells, [](std::int8_t status) { return status == status_EXACT_REQUESTED; });
    const int threads = team_size(options_.threads, size);
    const std::size_t bytes = kernels().integrator_bytes(plan_.view());
    mine.reserve(threads, bytes);
    std::int64_t next = 0;
    const CellQueue queue{mine.cells.data(), size, &next};
    run_team(options_.threads, threads,
             [&](int t) { kernels().refuse(plan_.view(), cells, queue, mine.workspaces[t].reserve(bytes)); });
}

template <class Call>
SurrogateStatistics Solver::share(int threads, std::size_t bytes, const Call& call, Scratch& mine,
                                  Report& report) const {
    const auto start = Clock::now();
    mine.surrogate.assign(threads, {});
    mine.reserve(threads, bytes);
    run_team(options_.threads, threads, [&](int t) { call(mine.surrogate[t], mine.workspaces[t].reserve(bytes)); });
    SurrogateStatistics all{};
    for (const SurrogateStatistics& s : mine.surrogate) {
        all.accepted += s.accepted;
        all.refused_box += s.refused_box;
        all.refused_distance += s.refused_distance;
        all.refused_error += s.refused_error;
        all.refused_budget += s.refused_budget;
        all.audited += s.audited;
        all.worst_defect = std::max(all.worst_defect, s.worst_defect);
    }
    report.seconds_surrogate += seconds_since(start);
    return all;
}

void Solver::count(const Path& path, const SurrogateStatistics& found, Report& report) {
    report.surrogate += found.accepted;
    report.by_path[path.index] += found.accepted;
    report.refused_box += found.refused_box;
    report.refused_distance += found.refused_distance;
    report.refused_error += found.refused_error;
    report.refused_budget += found.refused_budget;
    report.defect_max = std::max(report.defect_max, found.worst_defect);
}

// Where the router sends the cells of its bins, from the costs.
const std::vector<std::int8_t>& Solver::sent() const {
    const std::lock_guard guard(routing_lock_);
    if (!costs_) costs_ = gpu_ ? measure_costs_on_device() : measure_costs();
    if (sent_.empty()) {
        std::vector<Offer> offers;
        for (const Path* path : trusted_)
            offers.push_back({path->surrogate.router(), path->target, costs_->learned[path->index],
                              static_cast<std::int8_t>(status_sent + path->index)});
        sent_ = sent_bins(offers, *costs_);
    }
    return sent_;
}

Costs Solver::costs() const {
    const OwnFloatingPoint own;
    if (!routed_)
        throw Error(ErrorCode::option, "this model has no router for the target error, so nothing is weighed");
    sent();
    const std::lock_guard guard(routing_lock_);
    return *costs_;
}

// What the files of the paths say: of the integrator the first path's. None unless all that may serve have told.
std::optional<Costs> Solver::costs_of_file() const {
    Costs costs;
    for (const auto& path : paths_) {
        const RouterTable* const router = path->surrogate.router();
        costs.learned.push_back(router && !router->costs.empty() ? router->costs[3] : 0);
    }
    for (const Path* path : trusted_) {
        const RouterTable* const router = path->surrogate.router();
        if (!router || router->costs.empty()) return std::nullopt;
    }
    if (trusted_.empty()) return std::nullopt;
    const std::vector<double>& first = trusted_.front()->surrogate.router()->costs;
    costs.cell = first[0], costs.step = first[1], costs.eviction = first[2];
    return costs;
}

// A few milliseconds on the calling thread for each path, on its own sample cells.
Costs Solver::measure_costs() const {
    Costs costs;
    measure_integrator(costs);
    for (const auto& path : paths_) costs.learned.push_back(path->surrogate.router() ? measure_learned(*path) : 0);
    return costs;
}

// The sample cells of the first path's router, those with few steps first; steps: what each takes.
std::vector<std::int64_t> Solver::samples_by_steps(std::vector<double>& steps) const {
    Samples samples(*trusted_.front()->surrogate.router(), tables_, electron_);
    const Kernels& exact = integrating();
    Buffer buffer;
    void* const workspace = buffer.reserve(exact.integrator_bytes(plan_.view()));
    std::vector<std::int64_t> all = samples.list();
    std::vector<std::int32_t> counts(all.size() * n_cell_counts, 0);
    samples.arrays.counts = counts.data();
    samples.microseconds(all, [&](const CellQueue& queue) {
        IntegratorStatistics statistics{};
        exact.integrate(plan_.view(), samples.arrays, queue, integrator_settings(), statistics, workspace);
    });
    steps.clear();
    for (std::size_t cell = 0; cell < all.size(); ++cell)
        steps.push_back(static_cast<double>(counts[cell * n_cell_counts + count_steps]) / Samples::repeats);
    std::stable_sort(all.begin(), all.end(), [&](auto a, auto b) { return steps[a] < steps[b]; });
    return all;
}

void Solver::measure_integrator(Costs& costs) const {
    Samples samples(*trusted_.front()->surrogate.router(), tables_, electron_);
    const PlanView& plan = plan_.view();
    const Kernels& exact = integrating();
    Buffer buffer;
    void* const workspace = buffer.reserve(exact.integrator_bytes(plan));
    const auto integrate_them = [&](const IntegratorSettings& settings) {
        return [&, settings](const CellQueue& queue) {
            IntegratorStatistics statistics{};
            exact.integrate(plan, samples.arrays, queue, settings, statistics, workspace);
        };
    };
    std::vector<double> steps;
    const std::vector<std::int64_t> all = samples_by_steps(steps);
    const std::size_t cells = all.size();
    const IntegratorSettings settings = integrator_settings();
    Timing timing[2];
    for (int half = 0; half < 2; ++half) {
        const std::vector<std::int64_t> part(all.begin() + half * (cells / 2),
                                             half ? all.end() : all.begin() + cells / 2);
        timing[half].cells = static_cast<double>(part.size());
        for (const std::int64_t cell : part) timing[half].steps += steps[cell];
        timing[half].microseconds = samples.microseconds(part, integrate_them(settings));
    }
    costs.cell_and_step(timing[0], timing[1]);
    const RouterView sending{0, 0, nullptr, nullptr, &status_sent, 0};
    IntegratorSettings evicting = settings;
    evicting.router = &sending;
    costs.eviction = samples.microseconds(all, integrate_them(evicting)) / static_cast<double>(cells);
}

double Solver::measure_learned(const Path& path) const {
    Samples samples(*path.surrogate.router(), tables_, electron_);
    const std::vector<double> open(path.surrogate.bins(), std::numeric_limits<double>::infinity());
    SurrogateSettings accepting = learned_settings(true);
    accepting.thresholds = open.data();
    Buffer buffer;
    void* const workspace = buffer.reserve(kernels().surrogate_bytes(plan_.view(), path.view(), accepting));
    const auto advance_them = [&](const CellQueue& queue) {
        SurrogateStatistics statistics{};
        kernels().advance(plan_.view(), path.view(), samples.arrays, queue, accepting, statistics, nullptr, workspace);
    };
    const std::vector<std::int64_t> all = samples.list();
    return samples.microseconds(all, advance_them) / static_cast<double>(all.size());
}

RouterView Solver::router_view() const {
    const RouterTable& table = *trusted_.front()->surrogate.router();  // the edges are those of all paths
    const std::vector<std::int8_t>& sent = this->sent();
    const std::size_t first = std::find_if(sent.begin(), sent.end(), [](auto status) { return status; }) - sent.begin();
    const std::size_t row = first / (table.rate.size() + 1);
    const double lowest = row == 0                     ? -std::numeric_limits<double>::infinity()
                          : row <= table.change.size() ? table.change[row - 1]
                                                       : std::numeric_limits<double>::infinity();
    return {static_cast<std::int32_t>(table.change.size()),
            static_cast<std::int32_t>(table.rate.size()),
            table.change.data(),
            table.rate.data(),
            sent.data(),
            lowest};
}

double Solver::skip_dex() const { return skip_share * options_.target_error_dex; }

void Solver::route(const CellArrays& cells, Scratch& mine, Report& report) const {
    const auto start = Clock::now();
    const RouterView router = router_view();
    IntegratorSettings settings = integrator_settings();
    settings.router = &router;
    settings.success = status_EXACT_ROUTED;
    settings.skip_dex = skip_dex();
    const std::int64_t size = mine.collect(cells, waits);
    if (size > 0) integrate_list(cells, settings, mine.cells.data(), size, mine, report);
    report.seconds_exact += seconds_since(start);
}

SurrogateSettings Solver::step_settings(const Path& path, bool budgeted, std::vector<double>& thresholds) const {
    SurrogateSettings settings = learned_settings(options_.mode == Mode::automatic);
    settings.budget_dex = options_.error_budget_dex;
    if (options_.mode == Mode::automatic && path.surrogate.calibration()) {
        path.audit.thresholds(thresholds);
        settings.thresholds = thresholds.data();
        if (!budgeted && options_.exact_every > 0)
            settings.exact_share = 1.0 / static_cast<double>(options_.exact_every);
    }
    return settings;
}

double Solver::audit_share(const Path& path) const {
    const bool audits = options_.mode == Mode::automatic && path.surrogate.calibration() && !options_.host_integrates;
    return audits ? options_.audit : 0;
}

SurrogateSettings Solver::trajectory_settings(const Path& path, Mode mode, std::vector<double>& thresholds) const {
    SurrogateSettings settings = learned_settings(mode == Mode::automatic);
    if (path.surrogate.calibration()) {
        path.audit.thresholds(thresholds);
        settings.thresholds = thresholds.data();
    }
    return settings;
}

// Through the map and its gate; refused cells get the status that says why.
void Solver::advance(const Path& path, const CellArrays& cells, std::int64_t size, Scratch& mine,
                     Report& report) const {
    const SurrogateSettings settings = step_settings(path, cells.error_dex, mine.thresholds);
    count(path, advance_list(path, cells, settings, size, mine, report), report);
}

SurrogateStatistics Solver::advance_list(const Path& path, const CellArrays& cells, const SurrogateSettings& settings,
                                         std::int64_t size, Scratch& mine, Report& report) const {
    const PlanView& plan = plan_.view();
    const SurrogateView& net = path.view();
    std::int64_t next = 0;
    const CellQueue queue{mine.cells.data(), size, &next};
    const auto call = [&](SurrogateStatistics& statistics, void* workspace) {
        kernels().advance(plan, net, cells, queue, settings, statistics, nullptr, workspace);
    };
    return share(team_size(options_.threads, size), kernels().surrogate_bytes(plan, net, settings), call, mine, report);
}

// The audit goes first, so that what it finds counts for the rest of the batch: of the cells that the path would
// accept, a share is solved exactly, on packed copies, beside what the learned step says of them.
void Solver::audit(const Path& path, const CellArrays& cells, std::int64_t size, Scratch& mine, Report& report) const {
    SurrogateSettings settings = step_settings(path, cells.error_dex, mine.thresholds);
    settings.audit_share = audit_share(path);
    if (!(settings.audit_share > 0)) return;
    const std::size_t S = tables_.n_species();
    report.audited += advance_list(path, cells, settings, size, mine, report).audited;
    mine.audited.clear();
    for (std::int64_t k = 0; k < size; ++k)
        if (cells.status[mine.cells[k]] == status_EXACT_AUDIT) mine.audited.push_back(mine.cells[k]);
    if (mine.audited.empty()) return;

    CellArrays copies = packed(cells, mine.audited, mine.learned);
    mine.bins.resize(mine.audited.size());
    SurrogateTrace trace{};
    trace.bin = mine.bins.data();
    const PlanView& plan = plan_.view();
    const SurrogateSettings open = learned_settings(false);
    const std::size_t bytes = kernels().surrogate_bytes(plan, path.view(), open);
    mine.reserve(1, bytes);
    SurrogateStatistics statistics{};
    std::int64_t next = 0;
    kernels().advance(plan, path.view(), copies, {nullptr, copies.n_cells, &next}, open, statistics, &trace,
                      mine.workspaces[0].reserve(bytes));

    copies = packed(cells, mine.audited, mine.exact);
    integrate_list(copies, integrator_settings(), nullptr, copies.n_cells, mine, report);

    const Calibration& gate = *path.surrogate.calibration();
    const InspectionView network = inspection();
    std::vector<AuditSum>& found = mine.found;
    found.clear();
    for (int b = 0; b < gate.bins; ++b) found.push_back({b, 0, 0, 0});
    for (std::size_t k = 0; k < mine.audited.size(); ++k) {
        if (copies.status[k] < 0) continue;  // not solved: nothing to compare with
        const double error =
            audited_error(network, gate.weights.data(), gate.x_min, &mine.exact.n[k * S], 1, &mine.learned.n[k * S]);
        const double target = options_.target_error_dex;
        AuditSum& sum = found[static_cast<std::size_t>(mine.bins[k])];
        ++sum.audited;
        sum.violations += error > target;
        sum.gross += error > limits::gross_share * target;
        report.violations += error > target;
    }
    const AuditVerdict verdict = path.audit.merge(found);
    report.bins_tightened += verdict.tightened;
    report.bins_closed += verdict.closed;
}

// Copies of the listed cells, for nobody else to see.
CellArrays Solver::packed(const CellArrays& cells, const std::vector<std::int64_t>& list, Copies& to) const {
    const std::size_t S = tables_.n_species(), C = tables_.n_conditions(), count = list.size();
    to.n.resize(count * S);
    to.columns.resize(count * (C + 2));
    to.status.assign(count, status_EXACT_REQUESTED);
    for (std::size_t k = 0; k < count; ++k) {
        const std::int64_t cell = list[k];
        for (std::size_t i = 0; i < S; ++i)
            to.n[k * S + i] = cells.n_cm3[cell * cells.cell_stride + i * cells.species_stride];
        double* const column = &to.columns[k * (C + 2)];
        column[0] = cells.temperature_K[cell * cells.temperature_stride];
        column[1] = cells.dt_s[cell * cells.dt_stride];
        for (std::size_t c = 0; c < C; ++c)
            column[2 + c] = cells.conditions[cell * cells.condition_cell_stride + c * cells.condition_stride];
    }
    const auto stride = static_cast<std::int64_t>(C + 2);
    const double* const columns = to.columns.data();
    return {static_cast<std::int64_t>(count),
            to.n.data(),
            static_cast<std::int64_t>(S),
            1,
            columns,
            stride,
            columns + 2,
            stride,
            1,
            columns + 1,
            stride,
            to.status.data(),
            cells.repair,
            cells.electron};
}

// What remains of the carried errors where the chemistry itself was solved, by the first path's word; the surrogate's
// cells have theirs already.
void Solver::contract_errors(const CellArrays& cells) const {
    if (chosen_.empty() || !chosen_.front()->view().budget.kappa) return;
    const BudgetView& budget = chosen_.front()->view().budget;
    const InspectionView network = inspection();
    for (std::int64_t cell = 0; cell < cells.n_cells; ++cell)
        if (cells.status[cell] >= status_EXACT_REQUESTED) contract_error(network, budget, cells, cell);
}

// The same for (cell, time) pairs; `cells` has the statuses of the cells themselves.
void Solver::follow(const Path& path, const CellArrays& cells, const TrajectoryArrays& trajectory, Mode mode,
                    Report& report) const {
    Scratch& mine = scratch();
    const PlanView& plan = plan_.view();
    const SurrogateView& net = path.view();
    const SurrogateSettings settings = trajectory_settings(path, mode, mine.thresholds);
    const std::int64_t size = mine.collect(cells, [](int8_t status) { return status >= status_EXACT_REQUESTED; });
    if (size == 0) return;
    std::int64_t next = 0;
    const CellQueue queue{mine.cells.data(), size, &next};
    const auto call = [&](SurrogateStatistics& statistics, void* workspace) {
        kernels().follow(plan, net, cells, trajectory, queue, settings, statistics, workspace);
    };
    const std::int64_t threads = std::min<std::int64_t>(size, team_size(options_.threads, size * trajectory.n_times));
    const std::size_t bytes = kernels().trajectory_bytes(plan, net, settings);
    count(path, share(static_cast<int>(threads), bytes, call, mine, report), report);
}

IntegratorSettings Solver::integrator_settings() const {
    return {options_.rtol,
            options_.atol,
            first_step,
            small_change,
            options_.max_steps,
            options_.tables_only,
            false,
            0,
            nullptr,
            0,
            options_.error_budget_dex};
}

void Solver::integrate_list(const CellArrays& cells, const IntegratorSettings& settings, const std::int64_t* list,
                            std::int64_t size, Scratch& mine, Report& report) const {
    const PlanView& plan = plan_.view();
    const Kernels& integrating = this->integrating();
    const int threads = team_size(options_.threads, size);
    const std::size_t bytes = integrating.integrator_bytes(plan);
    mine.integrator.assign(threads, {});
    mine.reserve(threads, bytes);
    std::int64_t next = 0;
    const CellQueue queue{list, size, &next};
    run_team(options_.threads, threads, [&](int t) {
        integrating.integrate(plan, cells, queue, settings, mine.integrator[t], mine.workspaces[t].reserve(bytes));
    });
    for (const IntegratorStatistics& s : mine.integrator) {
        report.unchanged += s.skipped;
        report.steps += s.steps;
        report.rejected_steps += s.rejected;
        report.defect_max = std::max(report.defect_max, s.worst_defect);
    }
}

// The cells whose status asks for the exact path: all of them, then those that failed again with tighter settings.
void Solver::integrate(const CellArrays& cells, Scratch& mine, Report& report) const {
    const auto start = Clock::now();
    for (int number = 0; number < n_tries; ++number) {
        const std::int64_t size = number == 0 ? mine.collect(cells, waits) : mine.collect(cells, given_up);
        if (size == 0) continue;
        const IntegratorSettings first = integrator_settings();
        const IntegratorSettings settings = number == 0 ? first : next_try(first, number);
        integrate_list(cells, settings, mine.cells.data(), size, mine, report);
    }
    report.seconds_exact += seconds_since(start);
}

int Solver::latent() const { return chosen_.empty() ? 0 : chosen_.back()->view().latent; }
int Solver::features() const { return chosen_.empty() ? 0 : chosen_.back()->view().n_features; }
bool Solver::finishes() const { return !chosen_.empty() && chosen_.back()->view().finish.steps > 0; }
bool Solver::predicts_error() const { return !chosen_.empty() && chosen_.back()->view().reduced.head.n_layers > 0; }
std::size_t Solver::workspace_bytes() const { return integrating().integrator_bytes(plan_.view()); }

void Solver::trace(const CellArrays& cells, const SurrogateTrace& trace) const {
    if (chosen_.empty()) throw Error(ErrorCode::argument, "the model holds no surrogate to trace");
    const SurrogateView& net = chosen_.back()->view();
    Buffer buffer;
    std::int64_t next = 0;
    const CellQueue queue{nullptr, cells.n_cells, &next};
    const SurrogateSettings settings = learned_settings(false);
    SurrogateStatistics statistics{};
    kernels().advance(plan_.view(), net, cells, queue, settings, statistics, &trace,
                      buffer.reserve(kernels().surrogate_bytes(plan_.view(), net, settings)));
}

void Solver::rhs(const double* n_cm3, double temperature_K, const double* conditions, double* dndt) const {
    const std::int64_t cell = 0;
    int8_t status = status_UNCHANGED;  // dn/dt is what it is, also where a rate is no rate
    const CellArrays one{
        1, const_cast<double*>(n_cm3), 0, 1, &temperature_K, 0, conditions, 0, 1, nullptr, 0, &status, 0, -1};
    derive_list(one, {Derivative::rhs, dndt, 0, 1, 0}, &cell, 1);
}

}  // namespace pcs
