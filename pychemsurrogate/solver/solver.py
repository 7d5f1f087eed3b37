"""The facade: load a model, step cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
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
    check_device,
    check_type,
    device_target,
    from_host,
    host_result,
    host_target,
    host_tensor,
    host_view,
    is_tensor,
    shares_memory,
)
from pychemsurrogate.solver.ladder import Batch, Ladder
from pychemsurrogate.solver.log import StateLog
from pychemsurrogate.solver.report import Report
from pychemsurrogate.status import Status

if TYPE_CHECKING:
    from pychemsurrogate.solver.step import Learned


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


def _check_choices(mode: str, integrator: str, engine: str, device: str) -> None:
    if mode not in MODES:
        raise ValueError(f"mode is {mode!r}: it must be one of {', '.join(MODES)}")
    if integrator not in INTEGRATORS:
        raise ValueError(f"integrator is {integrator!r}: it must be one of {', '.join(INTEGRATORS)}")
    if engine not in ENGINES or (engine == "native" and device != "cpu"):
        raise ValueError(f"engine is {engine!r} on device {device!r}: native serves the cpu, torch any device")


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
        costs: str | Sequence[float] = "measure",
        log: str | PathLike[str] | None = None,
        max_steps: int = 2000,
        threads: int = 0,
        repair: str = "none",
        kernels: str = "auto",
        species: Sequence[str] | None = None,
    ) -> None:
        engine = engine or ("native" if device == "cpu" else "torch")
        _check_choices(mode, integrator, engine, device)
        if model.path is None:
            raise ValueError("the model has no file yet: call its write(path) first")
        if species is not None:
            model.require_species(species)
        core = _native.Solver.open(str(model.path))
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
        self._assemble(core, model, mode, integrator, path, device, engine, repair)
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
    ) -> None:
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
        self._learned: list[Learned] = []
        if engine == "torch" and mode != "exact" and self._paths:
            from pychemsurrogate.solver.step import Learned

            self._learned = [Learned.of(model, device, self._native, name) for name in self._paths]

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
                    device ("cpu", or a torch device such as "cuda": abundances are then tensors there, and refused
                    cells travel to the CPU and back), engine ("native", or "torch", which is all there is off the CPU),
                    target_error_dex (1e-6 to 1: of 100 cells one may err by more in its worst species; 0.1 in mode
                    "auto"): it picks the gate's thresholds and, from a table measured on the osu network's workload
                    (docs/architecture.md), the integrator's rtol and atol, unless these are given: rtol (1e-2 in mode
                    "exact"), atol (1e-15, in n/n_H); max_steps (2000), threads (0: OpenMP's choice),
                    error_budget_dex (target_error_dex: what a cell may carry, see `step`), exact_every (100: without
                    such a budget one of so many cells takes the exact path, chosen by the bits of its own input; 0:
                    none), audit (0.001: share of the trusted cells that are solved exactly and compared, see `audit`),
                    costs ("measure", at the first step, or the numbers of `costs`: then the choice of path, hence
                    every bit, is the same on all machines), log (an HDF5 file to which the states of refused and
                    audited cells are appended, at most 1000 a call; docs/surrogate.md),
                    repair ("none"; "floor" sets small negatives to 0, "electrons" makes e- neutralise the cell;
                    "floor,electrons" both): repairs are counted in the report; kernels ("auto": straight-line code
                    if the library has it for this network, else tables; "tables"; "compiled": straight-line code,
                    compiled by the user's C++ compiler at first use and kept, docs/integrator.md); species (the
                    host's names in order: a model for others is refused)

        Raises ModelFileError for a file that cannot be served, ValueError for an option out of range, CompileError
        (integrators/compile.py) where kernels cannot be compiled.
        """
        return cls(ModelFile.read(name_or_path), mode, integrator, **options)

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
        error_dex: FloatArray | None = None,
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

        A cell that cannot be served keeps its input bit for bit, and report.status says why (report.advice()).
        Raises TypeError or ValueError for wrong types, shapes, unknown conditions and bad scalars, before anything is
        changed.
        """
        batch = self._batch(abundances, temperature, conditions, dt, mask, statistics, error_dex)
        if self.device == "cpu":
            result, batch.n = host_target(abundances, out)
        else:
            result = device_target(abundances, out, self.device)
        given = None
        if self._log is not None:
            given = replace(batch, n=batch.n.copy() if self.device == "cpu" else result.cpu().numpy())
        figures = self.advance(batch) if self.device == "cpu" else self._torch_step(result, batch)
        if self._log is not None and given is not None:
            self._log.append(given, batch.status)
        return result, Report.of(batch.status, figures, batch.counts)

    def advance(self, batch: Batch) -> dict[str, Any]:
        """Advance cells on the host in place, as `step` does, and return the figures of a report.

        For a caller that has its arrays in the shapes of `Batch` already: nothing is checked.
        """
        if self.engine == "native":
            return self._ladder.step(batch)
        moved = host_tensor(batch.n, self.device)
        figures = self._torch_step(moved, batch)
        if not shares_memory(moved, batch.n):
            batch.n[...] = moved.cpu().numpy()
        return figures

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
        batch = self._batch(abundances, temperature, conditions, mask=mask, statistics=statistics)
        if self.device == "cpu":
            result, batch.n = host_target(abundances, out)
        else:
            result = device_target(abundances, out, self.device)
            batch.n = result.cpu().numpy()
        figures = self.settle(batch, tolerance, duration)
        if self.device != "cpu":
            result.copy_(from_host(batch.n, self.device))
        return result, Report.of(batch.status, figures, batch.counts)

    def trajectory(
        self,
        abundances: Any,
        times: Any,
        temperature: Any,
        *,
        mode: str | None = None,
        conserve: bool = True,
        out: FloatArray | None = None,
        **conditions: Any,
    ) -> tuple[Any, Report]:
        """Every cell at every time, counted from the given state, as (abundances (cells, times, species), report).

        abundances, temperature, conditions: as in `step`; the abundances stay as they are
        times        (times,) ascending elapsed times in s, from 0 to 1e20, the same for all cells
        mode         as in `load`; None: the solver's. The surrogate encodes each cell once; the exact integrator goes
                     from time to time, and so it does for what the gate refuses
        conserve     False (mode "surrogate" alone): what the nets say, without the projection on elements and charge
        out          where the result goes, (cells, times, species), C order, float64, on the CPU; None allocates

        report.status is (cells, times), and the report counts (cell, time) pairs. A pair that cannot be served gets the
        given state. Raises as `step` does.
        """
        batch = self._batch(abundances, temperature, conditions)
        moments = np.array(times, dtype=np.float64)
        if moments.ndim != 1:
            raise ValueError(f"times have shape {moments.shape}, not (times,)")
        mode = mode or self.mode
        if mode not in MODES:
            raise ValueError(f"mode is {mode!r}: it must be one of {', '.join(MODES)}")
        if self.device != "cpu":
            check_device(abundances, "abundances", self.device)
            abundances = abundances.cpu()
        batch.n = np.require(host_view(abundances, "abundances"), requirements="W")
        status = np.zeros((len(batch.n), len(moments)), dtype=np.int8)
        result = host_result(out, (*status.shape, len(self.species)), batch.n)
        figures = self.follow(batch, moments, result, status, mode=mode, conserve=conserve)
        if is_tensor(abundances) and out is None:
            return from_host(result, self.device), Report.of(status, figures)
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
        from pychemsurrogate.solver.step import DeviceCells, trajectory

        if self.mode == "exact" and self.model.has_surrogate:
            raise ValueError(f'the solver was loaded with mode="exact": load it with mode={mode!r}')
        if not conserve and mode != "surrogate":
            raise ValueError('trajectories without conservation are for mode="surrogate" alone')
        n, dt = from_host(batch.n, self.device), np.ones(1)
        cells = DeviceCells.of(n, dt, batch.temperature, batch.conditions, self.network.tables())
        pairs = trajectory(cells, times, self._learned, mode=mode, conserve=conserve, repair=self.repair)
        reasons = pairs.status.cpu().numpy()
        waiting, served = reasons >= Status.EXACT_REQUESTED, reasons == Status.SURROGATE
        figures = self._ladder.trajectory(batch, times, result, status, "exact", mask=waiting.astype(np.int8))
        result[served] = pairs.n.cpu().numpy()[served]
        status[...] = np.where(waiting & (status != Status.EXACT_REQUESTED), status, reasons)
        for key in ("steps", "rejected_steps", "second_try", "seconds_exact"):
            pairs.figures[key] = figures[key]
        pairs.figures["seconds"] += figures["seconds"]
        pairs.figures["defect_max"] = max(pairs.figures["defect_max"], figures["defect_max"])
        return pairs.figures

    def _torch_step(self, n: Any, batch: Batch) -> dict[str, Any]:
        """The torch page (solver/step.py) on the tensor n, in place; the batch brings the rest and takes the status."""
        from pychemsurrogate.solver.step import DeviceCells, step

        cells = DeviceCells.of(n, batch.dt, batch.temperature, batch.conditions, self.network.tables(), batch.error_dex)
        mask = None if batch.mask is None else from_host(batch.mask != 0, self.device)

        def refused(packed: Batch) -> dict[str, Any]:
            reasons = packed.status.copy()
            rows = cells.waiting.cpu().numpy()
            packed.counts = None if batch.counts is None else batch.counts[rows]
            figures = self._ladder.step(packed)
            if batch.counts is not None and packed.counts is not None:
                batch.counts[rows] = packed.counts
            packed.status[...] = np.where(packed.status == Status.EXACT_REQUESTED, reasons, packed.status)
            return figures

        figures = step(cells, self._learned, refused, mode=self.mode, mask=mask, repair=self.repair)
        batch.status[...] = cells.status.cpu().numpy()
        if batch.error_dex is not None and cells.error_dex is not None:
            batch.error_dex[...] = cells.error_dex.cpu().numpy()
        return figures

    # --- checks -------------------------------------------------------------------------------------------------

    def _check_shape(self, array: Any) -> int:
        check_type(array, "abundances")
        if array.ndim != 2 or array.shape[1] != len(self.species):
            advice = "; pass one cell as abundances[None, :]" if array.ndim == 1 else ""
            raise ValueError(f"abundances have shape {tuple(array.shape)}, not (cells, {len(self.species)}){advice}")
        return len(array)

    def _check_mask(self, mask: Any, count: int) -> NDArray[np.int8]:
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

    def _condition_table(self, given: dict[str, Any], count: int) -> FloatArray:
        if set(given) != set(self.conditions):
            missing = ", ".join(name for name in self.conditions if name not in given) or "none"
            unknown = ", ".join(name for name in given if name not in self.conditions) or "none"
            raise TypeError(
                f"{self.network.name} reads the conditions {self.conditions}: missing {missing}, unknown {unknown}"
            )
        columns = [
            cell_values(given[name], name, count, CONDITION_UNITS.get(name, "its unit"), positive=False)
            for name in self.conditions
        ]
        rows = 1 if all(len(column) == 1 for column in columns) else count
        table = np.empty((rows, len(columns)))
        for k, column in enumerate(columns):
            table[:, k] = column
        return table
