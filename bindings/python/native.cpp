// The compiled leaf of the Python package: arrays in, arrays out, no arithmetic. SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>

#include "pcs/error.hpp"
#include "pcs/generate.hpp"
#include "pcs/gpu.hpp"
#include "pcs/model_file.hpp"
#include "pcs/network_kernels.hpp"
#include "pcs/solver.hpp"

namespace py = pybind11;

namespace {

using F64 = py::array_t<double>;
using Dense = py::array_t<double, py::array::c_style | py::array::forcecast>;
using Indices = py::array_t<std::int32_t, py::array::c_style | py::array::forcecast>;
using I8 = py::array_t<std::int8_t>;
using I32 = py::array_t<std::int32_t>;

template <class Array>
auto to_vector(const Array& a) {
    return std::vector<typename Array::value_type>(a.data(), a.data() + a.size());
}

// From a mapping with the names of docs/architecture.md.
pcs::NetworkTables tables_from(const py::dict& d) {
    const auto names = [&](const char* key) { return d[key].cast<std::vector<std::string>>(); };
    pcs::NetworkTables t;
    t.species = names("species");
    t.conserved = names("conserved");
    t.conditions = names("conditions");
    t.composition = to_vector(d["composition"].cast<Dense>());
    t.scale_weights = to_vector(d["scale_weights"].cast<Dense>());
    t.mass_g = to_vector(d["mass_g"].cast<Dense>());
    t.reactants = to_vector(d["reactants"].cast<Indices>());
    const auto products = d["products"].cast<Indices>();
    t.n_products = products.ndim() == 2 ? static_cast<int>(products.shape(1)) : -1;
    t.products = to_vector(products);
    t.law = to_vector(d["law"].cast<Indices>());
    t.law_conditions = to_vector(d["law_conditions"].cast<Indices>());
    t.parameters = to_vector(d["parameters"].cast<Dense>());
    t.expression_code = to_vector(d["expression_code"].cast<Indices>());
    t.expression_constants = to_vector(d["expression_constants"].cast<Dense>());
    return t;
}

std::int64_t stride(const py::array& a, int axis) {
    if (a.strides(axis) % a.itemsize()) throw py::value_error("array strides must be whole elements: pass a copy");
    return a.strides(axis) / a.itemsize();
}

// A condition for every cell: (cells,) or (1,) for all.
struct PerCell {
    const double* data;
    std::int64_t cell_stride;
};
PerCell per_cell(const F64& a, py::ssize_t cells, const char* what) {
    if (a.ndim() != 1 || (a.shape(0) != cells && a.shape(0) != 1))
        throw py::value_error(std::string(what) + " must hold one value, or one a cell");
    return {a.data(), a.shape(0) == 1 ? 0 : stride(a, 0)};
}

// The host's arrays, checked; valid as long as they are. dt: null for a call that reads none.
pcs::StepRequest request_of(const pcs::Solver& solver, F64& n, const F64* dt, const F64& temperature,
                            const F64& conditions, I8& status, std::optional<I8>& mask, std::optional<I32>& counts,
                            std::optional<F64>* estimates = nullptr, std::optional<F64>* error_dex = nullptr) {
    const auto cells = n.ndim() == 2 ? n.shape(0) : -1;
    if (cells < 0 || n.shape(1) != solver.network().n_species()) throw py::value_error("n must be (cells, species)");
    if (status.ndim() != 1 || status.shape(0) != cells || (cells > 1 && stride(status, 0) != 1))
        throw py::value_error("status must be contiguous with one value a cell");
    if (mask && (mask->ndim() != 1 || mask->shape(0) != cells || (cells > 1 && stride(*mask, 0) != 1)))
        throw py::value_error("mask must be contiguous with one value a cell");
    if (conditions.ndim() != 2 || conditions.shape(1) != std::ssize(solver.conditions()) ||
        (conditions.shape(0) != cells && conditions.shape(0) != 1))
        throw py::value_error("conditions must be (cells, conditions) or (1, conditions)");
    if (counts && (counts->ndim() != 2 || counts->shape(0) != cells || counts->shape(1) != pcs::n_cell_counts ||
                   !(counts->flags() & py::array::c_style)))
        throw py::value_error("counts must be contiguous with one row a cell");
    if (estimates && *estimates &&
        ((*estimates)->ndim() != 2 || (*estimates)->shape(0) != cells || (*estimates)->shape(1) != 2 ||
         !((*estimates)->flags() & py::array::c_style)))
        throw py::value_error("estimates must be contiguous with one row a cell");
    if (error_dex && *error_dex && ((*error_dex)->ndim() != 1 || (*error_dex)->shape(0) != cells))
        throw py::value_error("error_dex must hold one value a cell");
    const PerCell time = dt ? per_cell(*dt, cells, "dt") : PerCell{nullptr, 0},
                  T = per_cell(temperature, cells, "temperature");
    return {{cells, n.mutable_data(), stride(n, 0), stride(n, 1), T.data, T.cell_stride, conditions.data(),
             conditions.shape(0) == 1 ? 0 : stride(conditions, 0), stride(conditions, 1), time.data, time.cell_stride,
             status.mutable_data(), 0, -1, counts ? counts->mutable_data() : nullptr,
             estimates && *estimates ? (*estimates)->mutable_data() : nullptr,
             error_dex && *error_dex ? (*error_dex)->mutable_data() : nullptr,
             error_dex && *error_dex ? stride(**error_dex, 0) : 0},
            mask ? mask->data() : nullptr};
}

py::dict to_dict(const pcs::Solver& solver, const pcs::Report& report) {
    py::dict result, by_path;
#define PCS_REPORT(type, name, meaning) result[#name] = report.name;
#include "pcs/report.def"
#undef PCS_REPORT
    const auto paths = solver.paths();
    for (std::size_t k = 0; k < paths.size(); ++k) by_path[paths[k].c_str()] = report.by_path[k];
    result["by_path"] = by_path;
    return result;
}

py::dict step(const pcs::Solver& solver, F64 n, F64 dt, F64 temperature, F64 conditions, I8 status,
              std::optional<I8> mask, std::optional<I32> counts, std::optional<F64> estimates,
              std::optional<F64> error_dex, bool exact) {
    const pcs::StepRequest request =
        request_of(solver, n, &dt, temperature, conditions, status, mask, counts, &estimates, &error_dex);
    pcs::Report report;
    {
        py::gil_scoped_release release;
        report = solver.step(request, exact);
    }
    return to_dict(solver, report);
}

py::dict equilibrium(const pcs::Solver& solver, F64 n, F64 temperature, F64 conditions, I8 status, double tolerance,
                     double duration, std::optional<I8> mask, std::optional<I32> counts) {
    const pcs::StepRequest request = request_of(solver, n, nullptr, temperature, conditions, status, mask, counts);
    pcs::Report report;
    {
        py::gil_scoped_release release;
        report = solver.equilibrium(request, {tolerance, duration});
    }
    return to_dict(solver, report);
}

py::dict trajectory(const pcs::Solver& solver, F64 n, F64 temperature, F64 conditions, const Dense& times, Dense out,
                    I8 status, const std::string& mode, bool conserve, std::optional<I8> mask) {
    I8 of_cells(n.ndim() == 2 ? n.shape(0) : 0);
    std::optional<I8> no_mask;
    std::optional<I32> no_counts;
    const pcs::StepRequest given =
        request_of(solver, n, nullptr, temperature, conditions, of_cells, no_mask, no_counts);
    const auto pairs = [&](const py::array& a, py::ssize_t ndim) {
        return a.ndim() == ndim && a.shape(0) == n.shape(0) && a.shape(1) == times.size() &&
               (a.flags() & py::array::c_style);
    };
    if (times.ndim() != 1) throw py::value_error("times must be one row");
    if (!pairs(out, 3) || out.shape(2) != n.shape(1)) throw py::value_error("out must be (cells, times, species)");
    if (!pairs(status, 2) || (mask && !pairs(*mask, 2)))
        throw py::value_error("status and mask must be (cells, times)");
    const pcs::TrajectoryRequest request{
        given.cells,
        {times.size(), times.data(), out.mutable_data(), status.mutable_data(), conserve},
        mask ? mask->data() : nullptr,
        pcs::mode_of(mode)};
    pcs::Report report;
    {
        py::gil_scoped_release release;
        report = solver.trajectory(request);
    }
    return to_dict(solver, report);
}

// values (cells, rows, columns), any strides; n may be absent for rate coefficients alone.
void derive(const pcs::Solver& solver, int kind, std::optional<F64> n, const F64& temperature, const F64& conditions,
            F64 values, I8 status) {
    const auto cells = values.ndim() == 3 ? values.shape(0) : -1;
    const auto S = static_cast<py::ssize_t>(solver.network().n_species());
    const py::ssize_t rows = kind == 0 ? solver.network().n_reactions() : S, columns = kind == 2 ? S : 1;
    if (kind < 0 || kind > 2 || cells < 0 || values.shape(1) != rows || values.shape(2) != columns)
        throw py::value_error("values must be (cells, rows, columns)");
    if (n && (n->ndim() != 2 || (n->shape(0) != cells && n->shape(0) != 1) || n->shape(1) != S))
        throw py::value_error("n must be (cells, species)");
    if (status.ndim() != 1 || status.shape(0) != cells || (cells > 1 && stride(status, 0) != 1))
        throw py::value_error("status must be contiguous with one value a cell");
    if (conditions.ndim() != 2 || conditions.shape(1) != std::ssize(solver.conditions()) ||
        (conditions.shape(0) != cells && conditions.shape(0) != 1))
        throw py::value_error("conditions must be (cells, conditions) or (1, conditions)");
    const PerCell T = per_cell(temperature, cells, "temperature");
    const bool shared = n && n->shape(0) == 1 && cells != 1;
    const pcs::DerivativeRequest request{
        {cells, n ? const_cast<double*>(n->data()) : nullptr, n && !shared ? stride(*n, 0) : 0, n ? stride(*n, 1) : 0,
         T.data, T.cell_stride, conditions.data(), conditions.shape(0) == 1 ? 0 : stride(conditions, 0),
         stride(conditions, 1), nullptr, 0, status.mutable_data(), 0, -1},
        {static_cast<pcs::Derivative>(kind), values.mutable_data(), stride(values, 0), stride(values, 1),
         stride(values, 2)}};
    py::gil_scoped_release release;
    solver.derive(request);
}

Dense rhs(const pcs::Solver& solver, const Dense& n, double temperature_K, const Dense& conditions) {
    if (n.size() != solver.network().n_species()) throw py::value_error("n must hold one value a species");
    if (conditions.size() != solver.network().n_conditions())
        throw py::value_error("conditions must hold one value a condition");
    Dense dndt(n.size());
    solver.rhs(n.data(), temperature_K, conditions.data(), dndt.mutable_data());
    return dndt;
}

// What every verb of the learned step makes of contiguous cells: (cells, width) arrays by name.
py::dict trace(const pcs::Solver& solver, const Dense& n, const Dense& dt, const Dense& temperature,
               const Dense& conditions) {
    const auto cells = n.ndim() == 2 ? n.shape(0) : -1, S = static_cast<py::ssize_t>(solver.network().n_species());
    const auto C = static_cast<py::ssize_t>(solver.network().n_conditions()),
               Q = static_cast<py::ssize_t>(solver.network().n_conserved());
    if (cells < 0 || n.shape(1) != S || dt.size() != cells || temperature.size() != cells ||
        conditions.size() != cells * C)
        throw py::value_error(
            "trace takes n (cells, species), dt (cells), temperature (cells), conditions (cells, conditions)");
    std::vector<double> copy(n.data(), n.data() + n.size());
    std::vector<std::int8_t> status(cells);
    const auto array = [cells](py::ssize_t width) { return Dense(std::vector<py::ssize_t>{cells, width}); };
    Dense features = array(solver.features()), latent0 = array(solver.latent()), latent = array(solver.latent()),
          guess = array(S), conserved = array(S), finished = array(S), finish_report = array(S + 1),
          final_state = array(S), lambda = array(Q), score = array(1);
    const pcs::SurrogateTrace to{features.mutable_data(),
                                 latent0.mutable_data(),
                                 latent.mutable_data(),
                                 guess.mutable_data(),
                                 conserved.mutable_data(),
                                 finished.mutable_data(),
                                 finish_report.mutable_data(),
                                 final_state.mutable_data(),
                                 lambda.mutable_data(),
                                 score.mutable_data(),
                                 nullptr};
    solver.trace(
        {cells, copy.data(), S, 1, temperature.data(), 1, conditions.data(), C, 1, dt.data(), 1, status.data(), 0, -1},
        to);
    py::dict result;
    result["features"] = features;
    result["latent0"] = latent0;
    result["latent"] = latent;
    result["guess"] = guess;
    result["conserved"] = conserved;
    result["final_state"] = final_state;
    result["lambda"] = lambda;
    if (solver.finishes()) {
        result["finished"] = finished;
        result["finish_report"] = finish_report;
    }
    if (solver.predicts_error()) result["score"] = score;
    return result;
}

// --- arrays of a GPU: addresses and strides, checked by the caller -------------------------------------------------

using Address = std::uintptr_t;
using PerCellOnDevice = std::tuple<Address, std::int64_t>;              // address, cell stride
using TableOnDevice = std::tuple<Address, std::int64_t, std::int64_t>;  // address, cell stride, stride of the row

template <class T>
T* at(Address address) {
    return reinterpret_cast<T*>(address);
}

pcs::DeviceCall on_stream(Address stream) { return {pcs::Space::device, at<void>(stream)}; }

std::uint64_t step_on_device(const pcs::Solver& solver, TableOnDevice n, std::int64_t cells, PerCellOnDevice dt,
                             PerCellOnDevice temperature, TableOnDevice conditions, Address status, Address mask,
                             PerCellOnDevice error_dex, Address stream) {
    const auto [states, cell_stride, species_stride] = n;
    const auto [table, condition_cell_stride, condition_stride] = conditions;
    const pcs::StepRequest request{
        {cells, at<double>(states), cell_stride, species_stride, at<double>(std::get<0>(temperature)),
         std::get<1>(temperature), at<double>(table), condition_cell_stride, condition_stride,
         at<double>(std::get<0>(dt)), std::get<1>(dt), at<std::int8_t>(status), 0, -1, nullptr, nullptr,
         at<double>(std::get<0>(error_dex)), std::get<1>(error_dex)},
        at<std::int8_t>(mask),
        on_stream(stream)};
    py::gil_scoped_release release;
    return solver.step(request).ticket;
}

std::uint64_t trajectory_on_device(const pcs::Solver& solver, TableOnDevice n, std::int64_t cells,
                                   PerCellOnDevice temperature, TableOnDevice conditions, const Dense& times,
                                   Address out, Address status, const std::string& mode, bool conserve,
                                   Address stream) {
    const auto [states, cell_stride, species_stride] = n;
    const auto [table, condition_cell_stride, condition_stride] = conditions;
    const pcs::TrajectoryRequest request{
        {cells, at<double>(states), cell_stride, species_stride, at<double>(std::get<0>(temperature)),
         std::get<1>(temperature), at<double>(table), condition_cell_stride, condition_stride, nullptr, 0, nullptr, 0,
         -1},
        {times.size(), times.data(), at<double>(out), at<std::int8_t>(status), conserve},
        nullptr,
        pcs::mode_of(mode),
        on_stream(stream)};
    py::gil_scoped_release release;
    return solver.trajectory(request).ticket;
}

py::dict fetch(const pcs::Solver& solver, std::uint64_t ticket) {
    pcs::Report report;
    report.ticket = ticket;
    {
        py::gil_scoped_release release;
        report = solver.fetched(report);
    }
    return to_dict(solver, report);
}

// Calls a function of libpcs_cuda; throws what it says.
template <class Function, class... Arguments>
void on_gpu(Function function, Arguments... arguments) {
    py::gil_scoped_release release;
    pcs::on_device([&](pcs::DeviceFailure* failure) { return function(arguments..., failure); });
}

// Memory of a GPU, freed with the object.
class DeviceMemory {
  public:
    DeviceMemory(std::int32_t device, std::size_t size) : backend_(pcs::cuda_backend()), device_(device) {
        on_gpu(backend_.allocate, device, size, &memory_);
    }
    DeviceMemory(const DeviceMemory&) = delete;
    DeviceMemory& operator=(const DeviceMemory&) = delete;
    ~DeviceMemory() {
        pcs::DeviceFailure failure{};  // of a lost device: the memory is gone with it
        backend_.release(device_, memory_, &failure);
    }
    Address pointer() const { return reinterpret_cast<Address>(memory_); }

  private:
    const pcs::CudaBackend& backend_;
    std::int32_t device_;
    void* memory_ = nullptr;
};

std::int32_t devices() {
    std::int32_t count = 0;
    on_gpu(pcs::cuda_backend().count_devices, &count);
    return count;
}

py::dict costs(const pcs::Solver& solver) {
    const pcs::Costs c = solver.costs();
    py::dict result(py::arg("cell") = c.cell, py::arg("step") = c.step, py::arg("eviction") = c.eviction);
    const auto paths = solver.paths();
    for (std::size_t k = 0; k < paths.size(); ++k)
        result[("learned" + (paths[k].empty() ? "" : "_" + paths[k])).c_str()] = c.learned[k];
    return result;
}

std::vector<std::tuple<double, std::int64_t, std::int64_t, int>> audit_table(const pcs::Solver& solver, int path) {
    std::vector<std::tuple<double, std::int64_t, std::int64_t, int>> rows;
    for (const pcs::AuditBin& bin : solver.audit_table(path))
        rows.emplace_back(bin.threshold, bin.audited, bin.violations, bin.alarms);
    return rows;
}

// sums: (bin, audited, violations, gross) each.
std::pair<int, int> merge_audit(
    const pcs::Solver& solver,
    const std::vector<std::tuple<std::int32_t, std::int64_t, std::int64_t, std::int64_t>>& sums, int path) {
    std::vector<pcs::AuditSum> found;
    for (const auto& [bin, audited, violations, gross] : sums) found.push_back({bin, audited, violations, gross});
    const pcs::AuditVerdict verdict = solver.merge_audit(path, found);
    return {verdict.tightened, verdict.closed};
}

py::dict options(const pcs::Solver& solver) {
    const pcs::Options& o = solver.options();
    return py::dict(py::arg("rtol") = o.rtol, py::arg("atol") = o.atol,
                    py::arg("target_error_dex") = o.target_error_dex, py::arg("error_budget_dex") = o.error_budget_dex,
                    py::arg("audit") = o.audit, py::arg("exact_every") = o.exact_every);
}

}  // namespace

PYBIND11_MODULE(_native, m) {
    m.doc() = "The compiled core of pychemsurrogate: plain arrays in, plain arrays out.";
    py::register_exception_translator([](std::exception_ptr p) {
        try {
            if (p) std::rethrow_exception(p);
        } catch (const pcs::Error& error) {
            const bool argument = error.code != pcs::ErrorCode::internal && error.code != pcs::ErrorCode::device;
            const py::handle type = argument ? PyExc_ValueError : PyExc_RuntimeError;
            py::object raised = type(error.what());
            raised.attr("code") = static_cast<int>(error.code);  // as of pcs.h
            PyErr_SetObject(type.ptr(), raised.ptr());
        }
    });

    py::class_<pcs::Solver>(m, "Solver", "A network or model with its options; step() may be called from many threads.")
        .def(py::init([](const py::dict& tables) { return std::make_unique<pcs::Solver>(tables_from(tables)); }),
             py::arg("tables"))
        .def_static(
            "open", [](const std::string& path) { return std::make_unique<pcs::Solver>(pcs::ModelFile(path)); },
            py::arg("path"))
        .def_property_readonly("species", [](const pcs::Solver& s) { return s.network().species; })
        .def_property_readonly("conditions", [](const pcs::Solver& s) { return s.conditions(); })
        .def_property_readonly("equations", [](const pcs::Solver& s) { return s.equations(); })
        .def_property_readonly("mass_g", [](const pcs::Solver& s) { return s.network().mass_g; })
        .def_property_readonly("conserved", [](const pcs::Solver& s) { return s.network().conserved; })
        .def_property_readonly("composition",
                               [](const pcs::Solver& s) {
                                   const pcs::NetworkTables& t = s.network();
                                   return Dense({t.n_conserved(), t.n_species()}, t.composition.data());
                               })
        .def("set_option", &pcs::Solver::set_option, py::arg("key"), py::arg("value"))
        .def("step", &step, py::arg("n").noconvert(), py::arg("dt").noconvert(), py::arg("temperature").noconvert(),
             py::arg("conditions").noconvert(), py::arg("status").noconvert(), py::arg("mask").noconvert() = py::none(),
             py::arg("counts").noconvert() = py::none(), py::arg("estimates").noconvert() = py::none(),
             py::arg("error_dex").noconvert() = py::none(), py::arg("exact") = false,
             "Advance n (cells, species) [cm^-3] in place; fill status (cells,), add to counts (cells, 3) if given "
             "(steps, rejected steps, factorisations), fill estimates (cells, 2) if given (the integrator's change and "
             "rate, of cells that it began), carry error_dex (cells,) on if given, and return the report. exact: as in "
             "mode exact.")
        .def("step_on_device", &step_on_device, py::arg("n"), py::arg("cells"), py::arg("dt"), py::arg("temperature"),
             py::arg("conditions"), py::arg("status"), py::arg("mask"), py::arg("error_dex"), py::arg("stream"),
             "step() on a GPU's memory: (address, strides in elements); 0: absent. Enqueues, and returns a ticket.")
        .def("trajectory_on_device", &trajectory_on_device, py::arg("n"), py::arg("cells"), py::arg("temperature"),
             py::arg("conditions"), py::arg("times"), py::arg("out"), py::arg("status"), py::arg("mode"),
             py::arg("conserve"), py::arg("stream"), "trajectory() in the same way; the times are the host's.")
        .def("fetch", &fetch, py::arg("ticket"), "The report of a call on a GPU: waits for it.")
        .def("costs", &costs)
        .def_property_readonly("paths", &pcs::Solver::paths, "Names of the learned paths, cheapest first.")
        .def("audit_table", &audit_table, py::arg("path") = 0,
             "(threshold, audited, violations, alarms) of every bin of a learned path, by its place among `paths`.")
        .def("merge_audit", &merge_audit, py::arg("sums"), py::arg("path") = 0,
             "Count audited cells of another engine; returns how many bins were tightened and closed.")
        .def("options", &options, "The options in use that follow from others.")
        .def("equilibrium", &equilibrium, py::arg("n").noconvert(), py::arg("temperature").noconvert(),
             py::arg("conditions").noconvert(), py::arg("status").noconvert(), py::arg("tolerance"),
             py::arg("duration"), py::arg("mask").noconvert() = py::none(), py::arg("counts").noconvert() = py::none(),
             "Bring n (cells, species) [cm^-3] to equilibrium in place; the rest as for step.")
        .def("trajectory", &trajectory, py::arg("n").noconvert(), py::arg("temperature").noconvert(),
             py::arg("conditions").noconvert(), py::arg("times"), py::arg("out").noconvert(),
             py::arg("status").noconvert(), py::arg("mode"), py::arg("conserve"),
             py::arg("mask").noconvert() = py::none(),
             "The states (cells, times, species) [cm^-3] at elapsed times [s] into out, the status of every pair into "
             "status (cells, times); mode as in set_option. Returns the report.")
        .def("derive", &derive, py::arg("kind"), py::arg("n").noconvert(), py::arg("temperature").noconvert(),
             py::arg("conditions").noconvert(), py::arg("values").noconvert(), py::arg("status").noconvert(),
             "Rate coefficients (kind 0, n may be None), dn/dt (1) or its Jacobian (2) of every cell into values "
             "(cells, rows, columns), of any strides.")
        .def_property_readonly("has_code", &pcs::Solver::has_code, "Whether straight-line kernels serve the network.")
        .def(
            "generate_code", [](const pcs::Solver& s) { return pcs::generate_code(s.plan()); },
            "C++ source of the network's straight-line kernels.")
        .def(
            "object_path", [](const pcs::Solver& s, const std::string& isa) { return pcs::object_path(s.plan(), isa); },
            py::arg("isa"), "Where the network's compiled kernels for an instruction set belong.")
        .def("use_object", &pcs::Solver::use_object, py::arg("path"), "Use the kernels of this shared object.")
        .def_property_readonly("has_surrogate", &pcs::Solver::has_surrogate)
        .def_property_readonly("workspace_bytes", &pcs::Solver::workspace_bytes,
                               "Memory that the integrator needs for each thread.")
        .def("trace", &trace, py::arg("n"), py::arg("dt"), py::arg("temperature"), py::arg("conditions"),
             "The learned step without box and gate, verb by verb: {verb: (cells, width)}; states in n / n_H.")
        .def("rhs", &rhs, py::arg("n"), py::arg("temperature"), py::arg("conditions"),
             "dn/dt [cm^-3 / s] of one cell.");

    py::class_<DeviceMemory>(m, "DeviceMemory", "Memory of a GPU, freed with the object.")
        .def(py::init<std::int32_t, std::size_t>(), py::arg("device"), py::arg("size"))
        .def_property_readonly("pointer", &DeviceMemory::pointer);
    m.def("device_count", &devices, "How many GPUs are there; raises what keeps libpcs_cuda from being used.");
    m.def(
        "device_of",
        [](Address pointer) {
            std::int32_t device = -1;
            on_gpu(pcs::cuda_backend().place, at<const void>(pointer), &device);
            return device;
        },
        py::arg("pointer"), "The GPU whose memory it is, -1: the host's, -2: managed.");
    m.def(
        "device_copy",
        [](Address to, Address source, std::size_t size, std::int32_t device, Address stream) {
            on_gpu(pcs::cuda_backend().copy, device, at<void>(to), at<const void>(source), size, at<void>(stream),
                   false);
        },
        py::arg("to"), py::arg("source"), py::arg("size"), py::arg("device"), py::arg("stream"));
    m.def(
        "device_read",
        [](py::array to, Address source, std::int32_t device) {
            on_gpu(pcs::cuda_backend().copy, device, to.mutable_data(), at<const void>(source),
                   static_cast<std::size_t>(to.nbytes()), static_cast<void*>(nullptr), true);
        },
        py::arg("to").noconvert(), py::arg("source"), py::arg("device"), "Waits for the default stream.");
    m.def(
        "device_synchronise",
        [](std::int32_t device, Address stream) { on_gpu(pcs::cuda_backend().synchronise, device, at<void>(stream)); },
        py::arg("device"), py::arg("stream"));
    m.def(
        "device_order",
        [](std::int32_t device, Address after, Address before) {
            on_gpu(pcs::cuda_backend().order, device, at<void>(after), at<void>(before));
        },
        py::arg("device"), py::arg("after"), py::arg("before"),
        "What is put into the stream `after` waits for what is in `before`; the host does not.");
    m.def(
        "device_spread",
        [](std::int32_t device, Address to, Address source, std::int64_t stride, std::int64_t count, Address stream) {
            on_gpu(pcs::cuda_backend().spread, device, at<double>(to), at<const double>(source), stride, count,
                   at<void>(stream));
        },
        py::arg("device"), py::arg("to"), py::arg("source"), py::arg("stride"), py::arg("count"), py::arg("stream"),
        "Strided doubles into a row without gaps; with stride 0 the source may be the host's.");
    m.def(
        "device_waits", [] { return pcs::cuda_backend().synchronisations(); },
        "How often the emulator's host has waited; -1 on a GPU.");

    m.def("status_list", [] {
        std::vector<std::pair<std::string, int>> list;
#define PCS_STATUS(name, value, message) list.emplace_back(#name, value);
#include "pcs/status.def"
#undef PCS_STATUS
        return list;
    });
    m.def("limits", [] {
        py::dict result;
#define PCS_LIMIT(name, value, meaning) result[#name] = value;
#include "pcs/limits.def"
#undef PCS_LIMIT
        return result;
    });
    m.def(
        "tolerances",
        [](double target) {
            const pcs::Tolerances t = pcs::tolerances_for(target);
            return std::pair(t.rtol, t.atol);
        },
        py::arg("target_error_dex"), "(rtol, atol) that a target error picks for the exact integrator.");
    m.def("find_model", &pcs::find_model, py::arg("path_or_name"), py::arg("folders"),
          "The path of a model file, looked for by its name in the folders.");
    m.def("status_message", &pcs::status_message, py::arg("status"));
    m.def("object_flags", &pcs::object_flags, py::arg("isa"), "The compiler's flags for compiled kernels.");
    m.def("isa", [] { return pcs::kernels().name; }, "The instruction set of this process's kernels.");
}
