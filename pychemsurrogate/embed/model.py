"""What every model behind the bridge can do, and the models that the native core and the solver serve."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate import _native
from pychemsurrogate.embed.errors import HostError
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.solver import Report, Solver
from pychemsurrogate.solver.ladder import Batch
from pychemsurrogate.solver.solver import ENGINES
from pychemsurrogate.status import CallError, Status

FloatArray = NDArray[np.float64]
Figures = dict[str, Any]  # of a report, by name


class Served(ABC):
    """A model that a host has opened: its names, and the calls of pcs.h on arrays that are the host's memory.

    species, conditions: as the arrays have them; conserved, composition (conserved, species), mass_g (species) [g],
    equations (of the reactions): empty where the model does not tell.
    """

    species: Sequence[str]
    conditions: Sequence[str]
    conserved: Sequence[str] = ()
    composition: FloatArray = np.empty((0, 0))
    mass_g: FloatArray = np.empty(0)
    equations: Sequence[str] = ()

    @abstractmethod
    def set_option(self, key: str, value: str) -> None:
        """Set an option. Raises HostError or the native core's ValueError for what is not one; nothing changes then."""

    @abstractmethod
    def step(self, batch: Batch) -> Figures:
        """Advance the batch in place, status included."""

    @abstractmethod
    def equilibrium(self, batch: Batch, tolerance: float, duration: float) -> Figures:
        """Bring the batch to equilibrium in place, status included."""

    @abstractmethod
    def trajectory(
        self,
        batch: Batch,
        times: FloatArray,
        out: FloatArray,
        status: NDArray[np.int8],
        mask: NDArray[np.int8] | None,
        conserve: bool,
    ) -> Figures:
        """The states (cells, times, species) at the times into out, status (cells, times); the batch stays."""

    def derive(self, kind: int, n: FloatArray | None, batch: Batch, values: FloatArray) -> None:
        """Rate coefficients (kind 0), dn/dt (1) or its Jacobian (2) into values (cells, rows, columns); the status too.

        n: of a call that reads abundances, (cells, species).
        """
        raise HostError(CallError.OPTION, "this model does not tell rates or derivatives")

    def costs(self) -> list[float]:
        """What cells cost [us], as pcs_costs tells it."""
        raise HostError(CallError.OPTION, "this model has no router, so nothing is weighed")

    def close(self) -> None:
        """The host has closed the model."""
        return


def complete(figures: Figures, status: NDArray[np.int8]) -> Figures:
    """The figures of a step that the solver took, with the counts that the statuses tell."""
    return {"cells": status.size, **vars(Report.of(status, figures))}


class SolverModel(Served):
    """A Solver, of which the options are what they are; steps need no copy."""

    def __init__(self, solver: Solver) -> None:
        self._solver = solver
        tables = solver.network.tables()
        self.species, self.conditions = tables.species, tables.conditions
        self.conserved, self.composition = tables.conserved, tables.composition

    def set_option(self, key: str, value: str) -> None:
        """As `Served.set_option`."""
        raise HostError(
            CallError.OPTION, f"option {key}: the Python function that made this solver has set its options"
        )

    def step(self, batch: Batch) -> Figures:
        """As `Served.step`."""
        return complete(self._solver.advance(batch), batch.status)

    def equilibrium(self, batch: Batch, tolerance: float, duration: float) -> Figures:
        """As `Served.equilibrium`."""
        return self._solver.settle(batch, tolerance, duration)

    def trajectory(
        self,
        batch: Batch,
        times: FloatArray,
        out: FloatArray,
        status: NDArray[np.int8],
        mask: NDArray[np.int8] | None,
        conserve: bool,
    ) -> Figures:
        """As `Served.trajectory`."""
        figures = self._solver.follow(batch, times, out, status, conserve=conserve)
        if mask is not None:
            left = mask == 0
            status[left] = Status.MASKED
            out[left] = np.broadcast_to(batch.n[:, None], out.shape)[left]
        return complete(figures, status)

    def costs(self) -> list[float]:
        """As `Served.costs`."""
        return list(self._solver.costs.values())


_HOST_MEMORY = "libpcs_embed serves arrays in the host's memory; link to libpcs for those of a GPU"


class FileModel(Served):
    """A .pcs file. engine native: the native core alone, as in libpcs; engine torch or integrator scipy: a Solver.

    The Solver has a core of its own, which takes number densities whatever the host's units.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._core = _native.Solver.open(path)
        self._options: dict[str, str] = {}  # that the core has taken, the latest last
        self._chosen = {"mode": "auto", "path": "", "integrator": "native", "repair": "none", "device": "cpu"}
        self._file: ModelFile | None = None
        self._solver: SolverModel | None = None  # None: the core serves
        self._solvers_core: _native.Solver | None = None
        self._weights: FloatArray | None = None  # what a density is divided by in the host's units; None: in none
        self.species, self.conditions = self._core.species, self._core.conditions
        self.conserved, self.composition = self._core.conserved, self._core.composition
        self.equations, self.mass_g = self._core.equations, np.array(self._core.mass_g)

    def set_option(self, key: str, value: str) -> None:
        """The options of libpcs, and engine, other devices, integrator=scipy."""
        if (key, value) == ("memory", "device") or (key == "stream" and value not in ("0", "0x0")):
            raise HostError(CallError.OPTION, f"option {key} is '{value}': {_HOST_MEMORY}")
        own = key in ("engine", "device") or (key, value) == ("integrator", "scipy")
        chosen = self._chosen | {key: value} if key in (*self._chosen, "engine") else self._chosen
        by_solver = _check_choices(chosen)
        if key in ("engine", "device"):
            self._use_device(chosen["device"] if _engine(chosen) == "native" else "cpu")
        if not own:
            try:
                self._core.set_option(key, value)
            except ValueError as error:
                raise _with_own_choices(error, key) from None
            self._options.pop(key, None)
            self._options[key] = value
        if key == "units":
            weights = {"hydrogen_fraction": np.ones(len(self.species)), "mass_fraction": 1.0 / self.mass_g}
            self._weights = weights.get(value)
            self.conditions = self._core.conditions
        elif chosen is not self._chosen:
            self._solver = self._solver_for(chosen) if by_solver else None
            self._chosen = chosen
        elif self._solver is not None and self._solvers_core is not None:
            self._solvers_core.set_option(key, value)

    def _use_device(self, device: str) -> None:
        """Of the native core."""
        try:
            self._core.set_option("device", device)
        except (ValueError, RuntimeError) as error:
            raise HostError(getattr(error, "code", CallError.OPTION), str(error)) from None

    def _solver_for(self, chosen: dict[str, str]) -> SolverModel:
        if self._file is None:
            self._file = ModelFile.read(self._path)
        core = _native.Solver.open(self._path)
        for key, value in self._options.items():
            if key not in ("units", "integrator"):
                core.set_option(key, value)
        if chosen["integrator"] == "scipy":
            core.set_option("integrator", "host")  # the exact path's cells are left to scipy
        names = {key: chosen[key] for key in ("path", "device", "repair")}
        engine = _engine(chosen)
        solver = Solver.around(core, self._file, chosen["mode"], chosen["integrator"], engine=engine, **names)
        self._solvers_core = core
        return SolverModel(solver)

    def step(self, batch: Batch) -> Figures:
        """As `Served.step`."""
        if self._solver is not None:
            densities, scale = self._densities(batch)
            figures = self._solver.step(densities)
            if scale is not None:
                served = _served(batch.status)
                batch.n[served] = densities.n[served] / scale[served]
            return figures
        columns = (batch.n, batch.dt, batch.temperature, batch.conditions, batch.status, batch.mask, batch.counts)
        return self._core.step(*columns, error_dex=batch.error_dex)

    def equilibrium(self, batch: Batch, tolerance: float, duration: float) -> Figures:
        """As `Served.equilibrium`."""
        columns = (batch.n, batch.temperature, batch.conditions, batch.status)
        return self._core.equilibrium(*columns, tolerance, duration, batch.mask, batch.counts)

    def trajectory(
        self,
        batch: Batch,
        times: FloatArray,
        out: FloatArray,
        status: NDArray[np.int8],
        mask: NDArray[np.int8] | None,
        conserve: bool,
    ) -> Figures:
        """As `Served.trajectory`."""
        if self._solver is not None:
            if not conserve and self._chosen["mode"] != "surrogate":
                raise HostError(CallError.OPTION, "trajectories without conservation are for mode surrogate alone")
            densities, scale = self._densities(batch)
            figures = self._solver.trajectory(densities, times, out, status, mask, conserve)
            if scale is not None:
                out /= scale[:, None]
                np.copyto(out, batch.n[:, None], where=~_served(status)[..., None])
            return figures
        columns = (batch.n, batch.temperature, batch.conditions, times, out, status)
        return self._core.trajectory(*columns, self._chosen["mode"], conserve, mask)

    def derive(self, kind: int, n: FloatArray | None, batch: Batch, values: FloatArray) -> None:
        """As `Served.derive`."""
        self._core.derive(kind, n, batch.temperature, batch.conditions, values, batch.status)

    def costs(self) -> list[float]:
        """As `Served.costs`."""
        return list(self._core.costs().values())

    def _densities(self, batch: Batch) -> tuple[Batch, FloatArray | None]:
        """The batch in cm^-3, and the densities (cells, species) per number of the host's; None: they are its own."""
        if self._weights is None:
            return batch, None
        density = batch.conditions[:, -1]
        scale = np.where((density > 0) & np.isfinite(density), density, np.nan)[:, None] * self._weights
        scale = np.broadcast_to(scale, batch.n.shape)
        return replace(batch, n=batch.n * scale, conditions=batch.conditions[:, :-1]), scale


def _served(status: NDArray[np.int8]) -> NDArray[np.bool_]:
    return np.asarray((status == Status.SURROGATE) | (status >= Status.EXACT_REQUESTED))


def _engine(chosen: dict[str, str]) -> str:
    return chosen.get("engine", "native" if chosen["device"] == "cpu" else "torch")


def _check_choices(chosen: dict[str, str]) -> bool:
    """Whether a Solver must serve these. Raises HostError for what does not go together or is not there."""
    device, integrator, engine = chosen["device"], chosen["integrator"], _engine(chosen)
    if engine not in ENGINES:
        raise HostError(CallError.OPTION, f"option engine is '{engine}': it must be one of {', '.join(ENGINES)}")
    if engine == "native":
        if device != "cpu" and integrator == "scipy":
            raise HostError(CallError.OPTION, f"integrator scipy is for engine torch on the device {device}")
        return integrator == "scipy"
    if integrator == "host":
        raise HostError(CallError.OPTION, "option integrator is 'host': engine torch has native and scipy alone")
    _require_device(device)
    return True


def _with_own_choices(error: ValueError, key: str) -> HostError:
    """The native core's error, with what it does not know of."""
    more = ", scipy" if key == "integrator" else ""
    return HostError(getattr(error, "code", CallError.OPTION), f"{error}{more}")


def _require_device(device: str) -> None:
    """Raise HostError unless torch is there and has the device."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise HostError(CallError.OPTION, f"engine torch: {error}; pip install 'pychemsurrogate[torch]'") from None
    try:
        torch.empty(1, device=device)
    except (AssertionError, RuntimeError) as error:  # AssertionError: a torch without CUDA
        raise HostError(CallError.OPTION, f"option device is '{device}': {error}") from None
