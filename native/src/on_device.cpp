// Steps and trajectories on a GPU: what libpcs_cuda is told, and what it tells. SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <limits>
#include <numeric>

#include "pcs/error.hpp"
#include "pcs/gpu.hpp"
#include "pcs/image.hpp"
#include "pcs/inspect.hpp"
#include "pcs/path.hpp"
#include "pcs/solver.hpp"

namespace pcs {

// A call, and the arrays that it points to.
struct Solver::CallOnDevice {
    DeviceStep step{};
    RouterView router{};
    std::vector<double> thresholds[most_paths];
};

namespace {

// Sample cells of a router in the given order, [first, last).
class Chosen {
  public:
    Chosen(const RouterTable& table, const std::vector<std::int64_t>& order, std::size_t first, std::size_t last) {
        const std::size_t cells = table.dt.size(), S = table.n.size() / cells, C = table.conditions.size() / cells;
        for (std::size_t k = first; k < last; ++k) {
            const std::size_t cell = static_cast<std::size_t>(order[k]);
            n_.insert(n_.end(), &table.n[cell * S], &table.n[cell * S] + S);
            conditions_.insert(conditions_.end(), table.conditions.data() + cell * C,
                               table.conditions.data() + (cell + 1) * C);
            temperature_.push_back(table.temperature[cell]);
            dt_.push_back(table.dt[cell]);
        }
        arrays.n_cells = static_cast<std::int64_t>(last - first);
        arrays.n_cm3 = n_.data();
        arrays.cell_stride = static_cast<std::int64_t>(S);
        arrays.species_stride = arrays.temperature_stride = arrays.dt_stride = arrays.condition_stride = 1;
        arrays.temperature_K = temperature_.data();
        arrays.conditions = conditions_.data();
        arrays.condition_cell_stride = static_cast<std::int64_t>(C);
        arrays.dt_s = dt_.data();
        arrays.repair = repair_none;
    }

    CellArrays arrays{};

  private:
    std::vector<double> n_, temperature_, conditions_, dt_;
};

Timing timing_of(const DeviceMeasure& measured) {
    return {static_cast<double>(measured.cells), static_cast<double>(measured.steps), 1e6 * measured.seconds};
}

}  // namespace

int Solver::bins() const {
    int all = 0;
    for (const auto& path : paths_) all += path->surrogate.bins();
    return all;
}

Image Solver::image() const {
    Image image;
    const DeviceModelView empty{};
    const std::size_t root = image.add(&empty, 1);
    DeviceModelView model{};
    model.plan = plan_.view();
    model.inspection = inspection();
    model.mass_g = tables_.mass_g.data();
    model.n_paths = static_cast<std::int32_t>(paths_.size());
    for (const auto& path : paths_) {
        const Calibration* const gate = path->surrogate.calibration();
        model.paths[path->index] = {path->view(), path->surrogate.bins(), gate ? gate->x_min : 0,
                                    gate ? gate->weights.data() : nullptr};
    }
    image.set(root, model);
    const Placed placed(image, model, root);
    const std::size_t S = tables_.n_species();
    plan_.place(image, placed.place(model.plan));
    placed.link(model.inspection.scale_weights, S);
    placed.link(model.inspection.charge, S);
    placed.link(model.mass_g, tables_.mass_g.size());
    for (const auto& path : paths_) {
        const DevicePath& there = model.paths[path->index];
        path->surrogate.place(image, placed.place(there.net), device_packing);
        placed.link(there.weights, S);
    }
    return image;
}

void Solver::require_cpu(const char* what) const {
    if (gpu_)
        throw Error(ErrorCode::option, std::string(what) +
                                           " worked out on the cpu alone: set the option device to cpu for such calls, "
                                           "or open a second handle for them");
}

void Solver::check_call(const std::optional<DeviceCall>& given) const {
    const DeviceCall call = given.value_or(options_.call);
    if (!gpu_ && (call.memory == Space::device || call.stream))
        throw Error(ErrorCode::option, std::string("option ") + (call.stream ? "stream" : "memory=device") +
                                           " is for device cuda, but device is cpu: set device=cuda as well");
    if (!gpu_) return;
    if (object_)
        throw Error(
            ErrorCode::option,
            "option kernels is compiled, but those kernels are for the cpu: set kernels to auto for device cuda");
    if (call.memory == Space::device && options_.statistics)
        throw Error(ErrorCode::option, "option statistics needs memory=host: the counts go to the host's memory");
}

// The part that steps and trajectories share.
void Solver::fill(CallOnDevice& call, std::span<const Path* const> paths, bool routes) const {
    DeviceStep& step = call.step;
    step.cells.repair = options_.repair;
    step.cells.electron = electron_;
    step.units = static_cast<std::int32_t>(options_.units);
    step.tables_only = options_.tables_only;
    step.n_paths = static_cast<std::int32_t>(paths.size());
    for (std::size_t k = 0; k < paths.size(); ++k) step.path[k] = paths[k]->index;
    step.budget_of = chosen_.empty() ? -1 : chosen_.front()->index;
    if (routes) {
        call.router = router_view();
        step.router = &call.router;
        step.skip_dex = skip_dex();
    }
    step.exact = integrator_settings();
    step.target_error_dex = options_.target_error_dex;
    step.audit = audit_;
}

Report Solver::step_on_device(const StepRequest& request, bool exact) const {
    check_step(request.cells, shape());
    Report report;
    report.cells = request.cells.n_cells;
    if (request.cells.n_cells == 0) return report;
    const auto paths = exact ? std::span<const Path* const>() : asked(options_.mode);
    CallOnDevice call;
    call.step.call = request.device.value_or(options_.call);
    call.step.cells = request.cells;
    call.step.mask = request.mask;
    call.step.integrates = !options_.host_integrates && (paths.empty() || options_.mode != Mode::surrogate);
    fill(call, paths, !paths.empty() && call.step.integrates && options_.mode == Mode::automatic && routed_);
    for (std::size_t k = 0; k < paths.size(); ++k) {
        call.step.learned[k] = step_settings(*paths[k], request.cells.error_dex, call.thresholds[k]);
        call.step.learned[k].audit_share = audit_share(*paths[k]);
    }
    report.ticket = gpu_->step(call.step);
    return call.step.call.memory == Space::host ? fetched(report) : report;
}

Report Solver::trajectory_on_device(const TrajectoryRequest& request) const {
    constexpr double one_second = 1;  // dt is not read
    CellArrays cells = request.cells;
    cells.dt_s = &one_second;
    cells.dt_stride = 0;
    check_step(cells, shape());
    check_trajectory(request, shape());
    Report report;
    report.cells = cells.n_cells * request.trajectory.n_times;
    if (report.cells == 0) return report;
    require_trajectory(request);
    auto paths = asked(request.mode);
    if (!paths.empty()) paths = paths.last(1);
    CallOnDevice call;
    call.step.call = request.device.value_or(options_.call);
    call.step.cells = cells;
    call.step.integrates = !options_.host_integrates;
    fill(call, paths, false);
    if (!paths.empty()) call.step.learned[0] = trajectory_settings(*paths[0], request.mode, call.thresholds[0]);
    report.ticket = gpu_->trajectory({call.step, request.trajectory, request.mask});
    return call.step.call.memory == Space::host ? fetched(report) : report;
}

Report Solver::fetched(const Report& report) const {
    if (report.ticket == 0) return report;
    if (!gpu_)
        throw Error(ErrorCode::argument,
                    "the report of a call on a device has to be fetched before the option device is set to cpu");
    std::vector<DeviceAudit> audits;
    DeviceFetched fetched = gpu_->fetch(report.ticket, audits);
    Report whole = fetched.report;
    whole.ticket = 0;
    if (fetched.audit != audit_) return whole;  // counted for thresholds that are no longer in use
    for (const auto& path : paths_) {
        std::vector<AuditSum> sums;
        for (const DeviceAudit& found : audits)
            if (found.path == path->index) sums.push_back({found.bin, found.audited, found.violations, found.gross});
        if (sums.empty()) continue;
        const AuditVerdict verdict = path->audit.merge(sums);
        whole.bins_tightened += verdict.tightened;
        whole.bins_closed += verdict.closed;
    }
    return whole;
}

// As measure_costs, with many copies of the sample cells. Which of them are easy the integrator of the CPU says.
Costs Solver::measure_costs_on_device() const {
    const RouterTable& table = *trusted_.front()->surrogate.router();
    std::vector<double> steps;
    const std::vector<std::int64_t> order = samples_by_steps(steps);
    const std::size_t cells = order.size();
    const auto measure = [&](CallOnDevice& call, const CellArrays& samples) {
        call.step.call = options_.call;
        call.step.cells = samples;
        call.step.cells.electron = electron_;
        call.step.units = static_cast<std::int32_t>(Units::number_density);
        return timing_of(gpu_->measure(call.step));
    };
    Costs costs;
    CallOnDevice integrating;
    fill(integrating, {}, false);
    integrating.step.integrates = true;
    Chosen easy(table, order, 0, cells / 2), hard(table, order, cells / 2, cells), all(table, order, 0, cells);
    const Timing half = measure(integrating, easy.arrays);
    costs.cell_and_step(half, measure(integrating, hard.arrays));

    CallOnDevice evicting;
    fill(evicting, {}, false);
    const double none = 0;
    evicting.router = {0, 0, &none, &none, &status_sent, -std::numeric_limits<double>::infinity()};
    evicting.step.router = &evicting.router;
    const Timing evicted = measure(evicting, all.arrays);
    costs.eviction = evicted.microseconds / evicted.cells;

    for (const auto& path : paths_) {
        costs.learned.push_back(0);
        const RouterTable* const own = path->surrogate.router();
        if (!own) continue;
        std::vector<std::int64_t> list(own->dt.size());
        std::iota(list.begin(), list.end(), 0);
        Chosen samples(*own, list, 0, list.size());
        CallOnDevice learning;
        const Path* const one[] = {path.get()};
        fill(learning, one, false);
        learning.thresholds[0].assign(path->surrogate.bins(), std::numeric_limits<double>::infinity());
        learning.step.learned[0] = learned_settings(true);
        learning.step.learned[0].thresholds = learning.thresholds[0].data();
        const Timing advanced = measure(learning, samples.arrays);
        costs.learned.back() = advanced.microseconds / advanced.cells;
    }
    return costs;
}

}  // namespace pcs
