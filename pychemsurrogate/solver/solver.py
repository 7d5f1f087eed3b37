"""The facade: load a model, step cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike, fsencode
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate import _native
from pychemsurrogate.gate import Gate
from pychemsurrogate.integrators import choose_kernels
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import CONDITION_UNITS, Network
from pychemsurrogate.options import OPTIONS
from pychemsurrogate.solver.arrays import (
    FloatArray,
    cell_values,
    check_type,
    from_host,
    host_result,
    host_target,
    host_view,
    is_tensor,
    refuse_masked,
)
from pychemsurrogate.solver.device_arrays import on_device
from pychemsurrogate.solver.ladder import Batch, Ladder
from pychemsurrogate.solver.log import StateLog
from pychemsurrogate.solver.on_device import OnDevice, device_index, problem
from pychemsurrogate.solver.report import Report
from pychemsurrogate.status import Status

if TYPE_CHECKING:
    from pychemsurrogate.solver.captured import CapturedStep
    from pychemsurrogate.solver.torch_engine import Given, TorchEngine


@dataclass(frozen=True)
class AuditedBin:
    """What the audit knows of a bin of conditions.

    bin: in words; threshold: on log10 of the predicted error in dex, -inf: closed; audited, violations: cells since it
    last moved; alarms: how often it did; path: the name of the learned path whose bin it is ("" of one without).
    """

    bin: str
    threshold: float
    audited: int
    violations: int
    alarms: int
    path: str = ""


MODES: Final = OPTIONS["mode"].choices
INTEGRATORS: Final = ("native", "scipy")
ENGINES: Final = OPTIONS["engine"].choices
PRECISIONS: Final = ("float32", "tf32", "float64")


def _check_choices(mode: str, integrator: str, engine: str, device: str) -> None:
    if mode not in MODES:
        raise ValueError(f"mode is {mode!r}: it must be one of {', '.join(MODES)}")
    if integrator not in INTEGRATORS:
        raise ValueError(f"integrator is {integrator!r}: it must be one of {', '.join(INTEGRATORS)}")
    if engine not in ENGINES or (engine == "native" and device.partition(":")[0] not in ("cpu", "cuda")):
        raise ValueError(f"engine is {engine!r} on device {device!r}: native serves cpu and cuda, torch any device")
    if engine == "native" and device != "cpu" and integrator != "native":
        raise ValueError(
            f"integrator is {integrator!r} on device {device!r}: the host's integrators serve the cpu alone"
        )


def choose_engine(device: str) -> tuple[str, str]:
    """The engine that serves a device unless the caller names one, and why it is not the native one ("" where it is).

    Raises RuntimeError for a GPU that neither libpcs_cuda nor torch can use.
    """
    if device == "cpu":
        return "native", ""
    if device.partition(":")[0] != "cuda":
        return "torch", f"native does not serve {device}"
    why = problem(device)
    if not why:
        return "native", ""
    try:
        import torch
    except ImportError:
        here = "torch is not installed"
    else:
        if device_index(device) < torch.cuda.device_count():
            return "torch", why
        here = f"torch sees {torch.cuda.device_count() or 'no'} GPU"
    raise RuntimeError(f"device={device!r} cannot be served: {why}; {here}. Pass device='cpu'")


def _native_serves(device: str) -> bool:
    """Whether the native core can integrate on that device, beside torch."""
    return device.partition(":")[0] == "cuda" and not problem(device)


class Solver:
    """Advances many cells at once; make one with `Solver.load`.

    species: names in the order of the species axis; conditions: names of what a step reads beside the temperature.
    A solver is not changed by a step, so that threads may share it.
    """

    def __init__(
        self,
        model: ModelFile,
        mode: str = "auto",
        integrator: str = "native",
        *,
        path: str = "",
        device: str = "cpu",
        engine: str | None = None,
        rtol: float | None = None,
        atol: float | None = None,
        target_error_dex: float | None = None,
        error_budget_dex: float | None = None,
        exact_every: int = 100,
        audit: float = 0.001,
        costs: str | Sequence[float] = "model",
        log: str | PathLike[str] | None = None,
        max_steps: int = 2000,
        threads: int = 0,
        repair: str = "none",
        kernels: str = "auto",
        precision: str = "float32",
        species: Sequence[str] | None = None,
    ) -> None:
        self.engine_reason = ""
        if engine is None:
            engine, self.engine_reason = choose_engine(device)
        _check_choices(mode, integrator, engine, device)
        if model.path is None:
            raise ValueError("the model has no file yet: call its write(path) first")
        if species is not None:
            model.require_species(species)
        core = _native.Solver.open(fsencode(model.path))
        options = {
            "path": path,
            "mode": mode,
            "integrator": "native" if integrator == "native" else "host",
            "rtol": rtol,
            "atol": atol,
            "target_error_dex": target_error_dex,
            "error_budget_dex": error_budget_dex,
            "exact_every": exact_every,
            "audit": audit,
            "costs": costs if isinstance(costs, str) else ",".join(str(float(cost)) for cost in costs),
            "max_steps": max_steps,
            "threads": threads,
            "repair": repair,
        }
        for key, value in options.items():
            if value is not None:
                core.set_option(key, str(value))
        choose_kernels(core, kernels)
        if engine == "native" and device != "cpu":
            core.set_option("device", device)
        exact = None
        if engine == "torch" and integrator == "native" and _native_serves(device):
            exact = _native.Solver.open(fsencode(model.path))
            tolerances = {key: core.options()[key] for key in ("rtol", "atol")}
            for key, value in (options | tolerances | {"path": "", "mode": "exact", "device": device}).items():
                if value is not None:
                    exact.set_option(key, str(value))
        self._assemble(core, model, mode, integrator, path, device, engine, repair, precision, exact)
        self._log = None if log is None else StateLog(Path(log), self.network)

    @classmethod
    def around(
        cls,
        core: _native.Solver,
        model: ModelFile,
        mode: str,
        integrator: str,
        *,
        path: str,
        device: str,
        engine: str,
        repair: str,
    ) -> Solver:
        """A solver on a native one that was opened from the model's file and has its options, also those named here.

        Raises ValueError for a choice that is none, ModelFileError as `load` does.
        """
        _check_choices(mode, integrator, engine, device)
        solver = cls.__new__(cls)
        solver._log = None
        solver.engine_reason = ""
        solver._assemble(core, model, mode, integrator, path, device, engine, repair)
        return solver

    def _assemble(
        self,
        core: _native.Solver,
        model: ModelFile,
        mode: str,
        integrator: str,
        path: str,
        device: str,
        engine: str,
        repair: str,
        precision: str = "float32",
        exact: _native.Solver | None = None,
    ) -> None:
        if precision not in PRECISIONS or (engine == "native" and precision != "float32"):
            raise ValueError(
                f"precision is {precision!r} of engine {engine}: torch has {', '.join(PRECISIONS)}, native float32"
            )
        self.model = model
        self.network: Network = model.network()
        self.species = self.network.species_names
        self.conditions = self.network.conditions
        self.mode = mode
        self.integrator = integrator
        self.repair = repair
        self.device = device
        self.engine = engine
        self._native = core
        self._ladder = Ladder(
            self._native,
            self.network,
            reference_only=integrator == "scipy",
            surrogate_only=mode == "surrogate",
            exact_only=engine == "torch",
            repair=repair,
        )
        self._paths = [path] if path else model.paths
        self._gpu = OnDevice(core, self.network, device) if engine == "native" and device != "cpu" else None
        self._torch: TorchEngine | None = None
        if engine == "torch":
            from pychemsurrogate.solver.torch_engine import NativeOnDevice, TorchEngine

            paths = self._paths if mode != "exact" else []
            parts = (model, self.network, device, core, self._ladder, paths)
            there = None if exact is None else NativeOnDevice(exact)
            self._torch = TorchEngine(*parts, mode=mode, repair=repair, precision=precision, exact=there)

    @classmethod
    def load(
        cls, name_or_path: str | PathLike[str], mode: str = "auto", integrator: str = "native", **options: Any
    ) -> Solver:
        """Open a shipped model by name ("osu_09_2008") or a .pcs file.

        mode        "auto": the surrogate where its gate trusts it, else the exact integrator; "surrogate": the
                    surrogate for every cell; "exact": the exact integrator for every cell. A file that holds a network
                    alone serves "auto" by the exact integrator.
        integrator  "native" (Rodas4, batched) or "scipy" (BDF, the slow reference) for the exact path
        options     path ("": all learned paths of a model that names several, or the name of the one that may serve. In
                    mode "auto" each cell gets the path, or the exact integrator, that is expected to cost least; mode
                    "surrogate", and a trajectory, use the last path, which is the most accurate),
                    device ("cpu"; "cuda" or "cuda:k": steps and trajectories of arrays there, see `step`; or another
                    device of torch), engine (None: "native" where it serves the device, which on a GPU takes
                    libpcs_cuda, else "torch"; repr(solver) says which and why. With engine torch refused cells
                    travel to the CPU and back where there is no libpcs_cuda, and the host waits for that),
                    target_error_dex (1e-6 to 1: of 100 cells one may err by more in its worst species; 0.1 in mode
                    "auto"): it picks the gate's thresholds and, from a table measured on the osu network's workload
                    (docs/architecture.md), the integrator's rtol and atol, unless these are given: rtol (1e-2 in mode
                    "exact"), atol (1e-15, in n/n_H); max_steps (2000), threads (0: OpenMP's choice),
                    error_budget_dex (target_error_dex: what a cell may carry, see `step`), exact_every (100: without
                    such a budget one of so many cells takes the exact path, chosen by the bits of its own input; 0:
                    none), audit (0.001: share of the trusted cells that are solved exactly and compared, see `audit`),
                    costs ("model": those of the model file, so that the choice of path, hence every bit, is the same on
                    all ranks; "measure", at the first step; or the numbers of `costs`), log (an HDF5 file to which the
                    states of refused and audited cells are appended, at most 1000 a call; docs/surrogate.md),
                    repair ("none"; "floor" sets small negatives to 0, "electrons" makes e- neutralise the cell;
                    "floor,electrons" both): repairs are counted in the report; kernels ("auto": straight-line code
                    if the library has it for this network, else tables; "tables"; "compiled": straight-line code,
                    compiled by the user's C++ compiler at first use and kept, docs/integrator.md); precision
                    (engine torch: of the nets' products, "float32"; "tf32": faster and far less precise, on a GPU;
                    "float64"; docs/architecture.md, "The torch engine on a GPU"); species (the host's names in
                    order: a model for others is refused)

        Raises ModelFileError for a file that cannot be served, ValueError for an option out of range, CompileError
        (integrators/compile.py) where kernels cannot be compiled.
        """
        return cls(ModelFile.read(name_or_path), mode, integrator, **options)

    def __repr__(self) -> str:
        why = f" ({self.engine_reason})" if self.engine_reason else ""
        return f"Solver({self.model.label}, mode {self.mode}, engine {self.engine} on {self.device}{why})"

    def index(self, species: str) -> int:
        """Position of a species on the species axis. Raises KeyError for an unknown name."""
        try:
            return self.species.index(species)
        except ValueError:
            raise KeyError(f"unknown species {species!r}; {self.network.name} has {', '.join(self.species)}") from None

    def step(
        self,
        abundances: Any,
        dt: Any,
        temperature: Any,
        *,
        out: Any = None,
        mask: NDArray[Any] | None = None,
        statistics: bool = False,
        error_dex: Any = None,
        stream: Any = None,
        **conditions: Any,
    ) -> tuple[Any, Report]:
        """Advance every cell by dt and return (abundances, report).

        abundances   (cells, species) float64 number densities in cm^-3; numpy array or torch tensor, any strides
        dt           s; temperature: K; conditions by keyword, such as zeta in 1/s; each a scalar or (cells,)
        out          where the result goes: None allocates, `out=abundances` works in place
        mask         (cells,), false: leave this cell alone
        statistics   True: the report counts every cell's steps, rejected steps and factorisations
        error_dex    (cells,) float64 numpy array, in and out: the error [dex] that each cell carries, 0 at first. A
                     trusted cell adds its predicted error to what is left of the former one, and a cell whose budget
                     (error_budget_dex) would be spent is solved exactly. Advect it like an abundance
        stream       of arrays on a GPU: the CUDA stream (torch's, CuPy's, numba's, or its address) that the step is put
                     into; None: the current one of the abundances' library

        On a GPU (docs/hosts/gpu.md) the abundances may be torch tensors, CuPy's or numba's arrays, or any with
        `__cuda_array_interface__` or `__dlpack__`; the other arrays are there too, numbers anywhere. The host waits for
        nothing: the step is enqueued when this returns, and the report is fetched when one of its fields is first
        read. report.status_on_device are the statuses there. numpy arrays are copied there and back.
        A cell that cannot be served keeps its input bit for bit, and report.status says why (report.advice()).
        Raises TypeError or ValueError for wrong types, shapes, unknown conditions and bad scalars, before anything is
        changed.
        """
        if self._gpu is not None and on_device(abundances):
            if statistics or self._log is not None:
                raise ValueError("statistics=True and log= need host arrays: pass numpy arrays, or device='cpu'")
            given = (abundances, dt, temperature, conditions)
            return self._gpu.step(*given, out=out, mask=mask, error_dex=error_dex, stream=stream)
        self._refuse_stream(stream)
        if self._torch is not None and self.device != "cpu":
            result, moved = self._on_device(abundances, temperature, conditions, dt, out, mask, error_dex)
            logged = None if self._log is None else moved.on_host()
            report = self._torch.step(moved, statistics, result)
            if self._log is not None and logged is not None:
                self._log.append(logged, report.status)
            return result, report
        batch = self._batch(abundances, temperature, conditions, dt, mask, statistics, error_dex)
        result, batch.n = host_target(abundances, out)
        before = None if self._log is None else replace(batch, n=batch.n.copy())
        figures = self.advance(batch)
        if self._log is not None and before is not None:
            self._log.append(before, batch.status)
        return result, Report.of(batch.status, figures, batch.counts)

    def capture(
        self,
        abundances: Any,
        dt: Any,
        temperature: Any,
        *,
        mask: Any = None,
        error_dex: Any = None,
        **conditions: Any,
    ) -> CapturedStep:
        """Record the step of these arrays on a GPU (engine torch) in CUDA graphs, once; nothing is advanced yet.

        Arguments as of `step`, which works in place. Calling what is returned advances the cells and returns the
        report; it reads whatever the arrays hold then, in the same memory, while numbers stay as they are: give dt as
        a tensor to change it. A loop of small steps costs fewer launches so. Raises as `step` does, and ValueError for
        a solver that is not one of engine torch on a GPU.
        """
        if self._torch is None or self.device == "cpu" or self._log is not None:
            raise ValueError('steps are captured for engine="torch" on a GPU, without a log')
        from pychemsurrogate.solver.captured import CapturedStep, check_in_place

        _, given = self._on_device(abundances, temperature, conditions, dt, abundances, mask, error_dex)
        named = {"dt": dt, "temperature": temperature, "mask": mask}
        check_in_place(given, named | {name: conditions[name] for name in self.conditions})
        return CapturedStep(self._torch, given)

    def advance(self, batch: Batch) -> dict[str, Any]:
        """Advance cells on the host in place, as `step` does, and return the figures of a report.

        For a caller that has its arrays in the shapes of `Batch` already: nothing is checked.
        """
        return self._ladder.step(batch) if self._torch is None else self._torch.advance(batch)

    def settle(self, batch: Batch, tolerance: float, duration: float) -> dict[str, Any]:
        """Bring cells on the host to equilibrium in place, as `equilibrium` does; for callers as of `advance`."""
        columns = (batch.temperature, batch.conditions, batch.status)
        return self._native.equilibrium(batch.n, *columns, tolerance, duration, batch.mask, batch.counts)

    def follow(
        self,
        batch: Batch,
        times: FloatArray,
        out: FloatArray,
        status: NDArray[np.int8],
        *,
        mode: str | None = None,
        conserve: bool = True,
    ) -> dict[str, Any]:
        """The states (cells, times, species) at the times, as `trajectory` does; for callers as of `advance`."""
        mode = mode or self.mode
        if self.engine == "native" or mode == "exact":
            return self._ladder.trajectory(batch, times, out, status, mode, conserve)
        return self._torch_trajectory(batch, times, out, status, mode, conserve)

    def audit(self) -> list[AuditedBin]:
        """What the audit has found in every bin of the gates; none of a gate that is not calibrated for the target."""
        found = []
        for path in self._paths:
            rows = self._native.audit_table(self._native.paths.index(path))
            arrays = self.model.of_path(path).arrays
            calibration = Gate.from_arrays(arrays, self.network.tables()).calibration if rows else None
            labels = [] if calibration is None else calibration.bins.labels()
            found += [AuditedBin(label, *row, path) for label, row in zip(labels, rows, strict=True)]
        return found

    @property
    def costs(self) -> dict[str, float]:
        """What a cell costs on this machine, one thread [us]: cell, step, eviction and learned (docs/architecture.md).

        Of a model that names its paths learned_<name> for each, 0 for one without a router. The option's numbers, or
        what was measured (now, unless a step did already). Raises ValueError where nothing is routed.
        """
        return self._native.costs()

    def equilibrium(
        self,
        abundances: Any,
        temperature: Any,
        *,
        tolerance: float = 1e-4,
        duration: float = 1e17,
        out: Any = None,
        mask: NDArray[Any] | None = None,
        statistics: bool = False,
        **conditions: Any,
    ) -> tuple[Any, Report]:
        """Bring every cell to the equilibrium that it would reach in time and return (abundances, report).

        A cell is in equilibrium when no species above atol (n/n_H) changes by more than `tolerance` (1e-10 to 0.1) of
        itself over `duration` [s]. Each cell is advanced over that duration again and again, at most 30 times, by the
        native exact integrator at the solver's tolerances, whatever the mode; elements and charge stay those of the
        input. A cell that still changes keeps its input and has status NO_EQUILIBRIUM. Everything else is as in `step`.
        """
        if self._gpu is not None:
            raise ValueError("equilibria are found on the CPU alone: load the solver with device='cpu'")
        if self._torch is not None and self.device != "cpu":
            result, moved = self._on_device(abundances, temperature, conditions, out=out, mask=mask)
            batch = moved.on_host(statistics)
            figures = self.settle(batch, tolerance, duration)
            moved.n.copy_(from_host(batch.n, self.device))
            return result, Report.of(batch.status, figures, batch.counts)
        batch = self._batch(abundances, temperature, conditions, mask=mask, statistics=statistics)
        result, batch.n = host_target(abundances, out)
        figures = self.settle(batch, tolerance, duration)
        return result, Report.of(batch.status, figures, batch.counts)

    def trajectory(
        self,
        abundances: Any,
        times: Any,
        temperature: Any,
        *,
        mode: str | None = None,
        conserve: bool = True,
        out: Any = None,
        stream: Any = None,
        **conditions: Any,
    ) -> tuple[Any, Report]:
        """Every cell at every time, counted from the given state, as (abundances (cells, times, species), report).

        abundances, temperature, conditions: as in `step`; the abundances stay as they are
        times        (times,) ascending elapsed times in s, from 0 to 1e20, the same for all cells
        mode         as in `load`; None: the solver's. The surrogate encodes each cell once; the exact integrator goes
                     from time to time, and so it does for what the gate refuses
        conserve     False (mode "surrogate" alone): what the nets say, without the projection on elements and charge
        out          where the result goes, (cells, times, species), C order, float64, on the CPU (of arrays on a GPU
                     with engine native: there); None allocates
        stream       as in `step`; on a GPU with engine native nothing is waited for

        report.status is (cells, times), and the report counts (cell, time) pairs. A pair that cannot be served gets the
        given state. Raises as `step` does.
        """
        moments = np.array(times, dtype=np.float64)
        if moments.ndim != 1:
            raise ValueError(f"times have shape {moments.shape}, not (times,)")
        mode = mode or self.mode
        if mode not in MODES:
            raise ValueError(f"mode is {mode!r}: it must be one of {', '.join(MODES)}")
        if self._gpu is not None and on_device(abundances):
            given = (abundances, moments, temperature, conditions)
            return self._gpu.trajectory(*given, mode=mode, conserve=conserve, out=out, stream=stream)
        self._refuse_stream(stream)
        if self._torch is not None and self.device != "cpu":
            _, moved = self._on_device(abundances, temperature, conditions)
            if mode == "surrogate" and self.model.has_surrogate and out is None:
                self._check_follow(mode, conserve)
                return self._torch.trajectory(moved, moments, conserve)
            batch = moved.on_host()
        else:
            batch = self._batch(abundances, temperature, conditions)
            batch.n = np.require(host_view(abundances, "abundances"), requirements="W")
        status = np.zeros((len(batch.n), len(moments)), dtype=np.int8)
        result = host_result(out, (*status.shape, len(self.species)), batch.n)
        figures = self.follow(batch, moments, result, status, mode=mode, conserve=conserve)
        if is_tensor(abundances) and out is None:
            return from_host(result, self.device if self.engine == "torch" else "cpu"), Report.of(status, figures)
        return result, Report.of(status, figures)

    def _batch(
        self,
        abundances: Any,
        temperature: Any,
        conditions: dict[str, Any],
        dt: Any = 0.0,
        mask: NDArray[Any] | None = None,
        statistics: bool = False,
        error_dex: FloatArray | None = None,
    ) -> Batch:
        """What a call hands in, checked; the states are still to come. dt: of a call that reads one."""
        count = self._check_shape(abundances)
        return Batch(
            n=np.empty((0, 0)),
            dt=cell_values(dt, "dt", count, "s", positive=False),
            temperature=cell_values(temperature, "temperature", count, "K", positive=True),
            conditions=self._condition_table(conditions, count),
            status=np.zeros(count, dtype=np.int8),
            mask=None if mask is None else self._check_mask(mask, count),
            counts=np.zeros((count, 3), dtype=np.int32) if statistics else None,
            error_dex=None if error_dex is None else self._check_errors(error_dex, count),
        )

    def _torch_trajectory(
        self,
        batch: Batch,
        times: FloatArray,
        result: FloatArray,
        status: NDArray[np.int8],
        mode: str,
        conserve: bool,
    ) -> dict[str, Any]:
        """The torch page's part of a trajectory; what it refuses, and what waits, is the host's."""
        self._check_follow(mode, conserve)
        assert self._torch is not None
        pairs, told = self._torch.follow(batch, times, mode, conserve)
        reasons = pairs.status.cpu().numpy()
        waiting, served = reasons >= Status.EXACT_REQUESTED, reasons == Status.SURROGATE
        figures = self._ladder.trajectory(batch, times, result, status, "exact", mask=waiting.astype(np.int8))
        result[served] = pairs.n.cpu().numpy()[served]
        status[...] = np.where(waiting & (status != Status.EXACT_REQUESTED), status, reasons)
        for key in ("steps", "rejected_steps", "second_try", "seconds_exact"):
            told[key] = figures[key]
        told["seconds"] += figures["seconds"]
        told["defect_max"] = max(told["defect_max"], figures["defect_max"])
        return told

    def _check_follow(self, mode: str, conserve: bool) -> None:
        if self.mode == "exact" and self.model.has_surrogate:
            raise ValueError(f'the solver was loaded with mode="exact": load it with mode={mode!r}')
        if not conserve and mode != "surrogate":
            raise ValueError('trajectories without conservation are for mode="surrogate" alone')

    def _on_device(
        self,
        abundances: Any,
        temperature: Any,
        conditions: dict[str, Any],
        dt: Any = 0.0,
        out: Any = None,
        mask: Any = None,
        error_dex: Any = None,
    ) -> tuple[Any, Given]:
        """What the caller of a torch engine on a GPU gets back, and what it hands in, checked, as tensors there."""
        from pychemsurrogate.solver import tensors
        from pychemsurrogate.solver.torch_engine import Given

        assert self._torch is not None
        device = self._torch.device
        self._check_conditions(conditions)
        columns = [("dt", dt, "s", False), ("temperature", temperature, "K", True)]
        columns += [(name, conditions[name], CONDITION_UNITS.get(name, "its unit"), False) for name in self.conditions]
        with self._torch.on_device():
            count = self._check_shape(tensors.states(abundances, device))
            read = [tensors.values(value, name, count, unit, device, positive=p) for name, value, unit, p in columns]
            chosen = None if mask is None else tensors.flags(mask, count, device)
            errors = None if error_dex is None else tensors.errors(error_dex, count, device)
            result, n = tensors.target(abundances, out, device)
        return result, Given(n, read[0], read[1], tuple(read[2:]), chosen, errors)

    # --- checks -------------------------------------------------------------------------------------------------

    def _refuse_stream(self, stream: Any) -> None:
        if stream is not None:
            raise ValueError("stream= is for arrays on a GPU with engine native; torch's is set by torch.cuda.stream")

    def _check_shape(self, array: Any) -> int:
        check_type(array, "abundances")
        if array.ndim != 2 or array.shape[1] != len(self.species):
            advice = "; pass one cell as abundances[None, :]" if array.ndim == 1 else ""
            raise ValueError(f"abundances have shape {tuple(array.shape)}, not (cells, {len(self.species)}){advice}")
        return len(array)

    def _check_mask(self, mask: Any, count: int) -> NDArray[np.int8]:
        refuse_masked(mask, "mask")
        array = np.asarray(mask)
        if array.shape != (count,):
            raise ValueError(f"mask has shape {array.shape}, not ({count},)")
        return np.ascontiguousarray(array != 0, dtype=np.int8)

    def _check_errors(self, errors: Any, count: int) -> FloatArray:
        if not isinstance(errors, np.ndarray) or errors.dtype != np.float64 or not errors.flags.writeable:
            raise TypeError("error_dex must be a writeable float64 numpy array, which the step carries on")
        if errors.shape != (count,):
            raise ValueError(f"error_dex has shape {errors.shape}, not ({count},)")
        return errors

    def _check_conditions(self, given: dict[str, Any]) -> None:
        if set(given) != set(self.conditions):
            missing = ", ".join(name for name in self.conditions if name not in given) or "none"
            unknown = ", ".join(name for name in given if name not in self.conditions) or "none"
            raise TypeError(
                f"{self.network.name} reads the conditions {self.conditions}: missing {missing}, unknown {unknown}"
            )

    def _condition_table(self, given: dict[str, Any], count: int) -> FloatArray:
        self._check_conditions(given)
        columns = [
            cell_values(given[name], name, count, CONDITION_UNITS.get(name, "its unit"), positive=False)
            for name in self.conditions
        ]
        rows = 1 if all(len(column) == 1 for column in columns) else count
        table = np.empty((rows, len(columns)))
        for k, column in enumerate(columns):
            table[:, k] = column
        return table
