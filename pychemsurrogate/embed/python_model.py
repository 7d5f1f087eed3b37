"""Models that only Python has: any object with species, conditions and a step."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate.embed.errors import HostError
from pychemsurrogate.embed.model import Figures, FloatArray, Served, SolverModel
from pychemsurrogate.solver import Solver
from pychemsurrogate.solver.ladder import Batch
from pychemsurrogate.status import CallError, Status

PREFIX = "python:"


class HostModel(Protocol):
    """What `pcs_open("python:package.module:name")` needs of the object that the function `name` returns.

    species, conditions: names, in the order of the host's arrays.

    step: as that of `pychemsurrogate.Solver`: abundances (cells, species) [cm^-3], dt [s] and temperature [K] (cells,)
    or (1,), the conditions by name likewise, mask (cells,) or None, error_dex (only if the host keeps one). It writes
    the new abundances into out, which is the abundances, or returns others, and a report whose `status` (cells,) holds
    a `pychemsurrogate.Status` a cell. Cells of a status below 0 and masked ones keep their input. The arrays are the
    host's memory and end with the call: keep copies. Threads of the host may call it at the same time.

    It may have more: equilibrium, trajectory (as of Solver), set_option(key, value) (of strings; ValueError for what it
    does not take), network (a `Network`, for the composition), close() (the host does not hear what it raises).
    """

    species: Sequence[str]
    conditions: Sequence[str]

    def step(
        self,
        abundances: FloatArray,
        dt: FloatArray,
        temperature: FloatArray,
        *,
        out: FloatArray,
        mask: NDArray[np.int8] | None,
        **conditions: FloatArray,
    ) -> tuple[Any, Any]:
        """Advance every cell; returns (abundances, report)."""
        ...


def open_python_model(name: str) -> Served:
    """The model that the function of "package.module:name" makes. Its errors are the host's, with their traceback."""
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise HostError(CallError.FILE, f"'{PREFIX}{name}': write {PREFIX}package.module:name of a function")
    made: Any = import_module(module)
    for part in attribute.split("."):
        made = getattr(made, part)
    model = made()
    return SolverModel(model) if isinstance(model, Solver) else PythonModel(model, name)


class PythonModel(Served):
    """An object with the protocol of HostModel."""

    def __init__(self, model: Any, name: str) -> None:
        missing = [part for part in ("species", "conditions", "step") if not hasattr(model, part)]
        if missing:
            raise TypeError(f"{name} returned {type(model).__name__}, which has no {', '.join(missing)} (HostModel)")
        self._model = model
        self._name = name
        self.species, self.conditions = list(model.species), list(model.conditions)
        if (network := getattr(model, "network", None)) is not None:
            tables = network.tables()
            self.conserved, self.composition = tables.conserved, tables.composition

    def set_option(self, key: str, value: str) -> None:
        """As `Served.set_option`."""
        if key == "species":
            if value.split(",") != list(self.species):
                raise HostError(CallError.OPTION, f"the host's species are not those of {self._name}: {self.species}")
        elif hasattr(self._model, "set_option"):
            try:
                self._model.set_option(key, value)
            except ValueError as error:
                raise HostError(CallError.OPTION, f"option {key}: {error}") from None
        else:
            raise HostError(CallError.OPTION, f"unknown option '{key}': {self._name} has the option species alone")

    def step(self, batch: Batch) -> Figures:
        """As `Served.step`."""
        more = {} if batch.error_dex is None else {"error_dex": batch.error_dex}
        n, dt, T = batch.n, batch.dt, batch.temperature
        made = self._model.step(n, dt, T, out=n, mask=batch.mask, **more, **self._conditions(batch))
        return self._place(batch, made)

    def equilibrium(self, batch: Batch, tolerance: float, duration: float) -> Figures:
        """As `Served.equilibrium`."""
        settle = self._optional("equilibrium")
        limits = {"tolerance": tolerance, "duration": duration}
        n, T = batch.n, batch.temperature
        return self._place(batch, settle(n, T, out=n, mask=batch.mask, **limits, **self._conditions(batch)))

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
        follow = self._optional("trajectory")
        made, report = follow(batch.n, times, batch.temperature, conserve=conserve, **self._conditions(batch))
        status[...] = report.status
        if mask is not None:
            status[mask == 0] = Status.MASKED
        served = ((status >= 0) & (status != Status.MASKED))[..., None]
        np.copyto(out, np.where(served, np.asarray(made), batch.n[:, None]))
        return figures_of(report, status)

    def close(self) -> None:
        """As `Served.close`."""
        if hasattr(self._model, "close"):
            self._model.close()

    def _optional(self, verb: str) -> Any:
        if not hasattr(self._model, verb):
            raise HostError(CallError.OPTION, f"{self._name} has no {verb}")
        return getattr(self._model, verb)

    def _conditions(self, batch: Batch) -> dict[str, FloatArray]:
        return {name: batch.conditions[:, k] for k, name in enumerate(self.conditions)}

    def _place(self, batch: Batch, returned: Any) -> Figures:
        """Take status and, unless they are in place, abundances over from what the model returned."""
        made, report = returned
        status = np.asarray(report.status)
        if status.shape != batch.status.shape:
            raise ValueError(f"{self._name} returned statuses of shape {status.shape}, not {batch.status.shape}")
        batch.status[...] = status
        if made is not batch.n:
            served = (batch.status >= 0) & (batch.status != Status.MASKED)
            np.copyto(batch.n, np.asarray(made), where=served[:, None])
        return figures_of(report, batch.status)


def figures_of(report: Any, status: NDArray[np.int8]) -> Figures:
    """The numbers of a report, those that follow from the statuses counted where the model does not give them."""
    counted = {
        "cells": status.size,
        "surrogate": np.count_nonzero(status == Status.SURROGATE),
        "unchanged": np.count_nonzero(status == Status.UNCHANGED),
        "masked": np.count_nonzero(status == Status.MASKED),
        "exact": np.count_nonzero(status >= Status.EXACT_REQUESTED),
        "failed": np.count_nonzero(status < 0),
    }
    return {**counted, **{name: value for name, value in vars(report).items() if name not in counted}}
