"""The native step and the rungs below it that Python serves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate import _native
from pychemsurrogate.integrators import ScipyBDF
from pychemsurrogate.network import Network
from pychemsurrogate.status import Status

FloatArray = NDArray[np.float64]


@dataclass
class Batch:
    """Cells on the host.

    n (B, S) [cm^-3] and status (B) are changed in place; dt [s], temperature [K] (B or 1), conditions (B or 1, C),
    mask (B) or None. counts (B, 3), or None if nobody asked: steps, rejected steps, factorisations of the native
    integrator are added to it. error_dex (B), or None if the host keeps none: carried on in place.
    """

    n: FloatArray
    dt: FloatArray
    temperature: FloatArray
    conditions: FloatArray
    status: NDArray[np.int8]
    mask: NDArray[np.int8] | None = None
    counts: NDArray[np.int32] | None = None
    error_dex: FloatArray | None = None

    def rows(self, chosen: NDArray[np.intp], n: FloatArray) -> Batch:
        """The chosen cells, with the states n."""

        def pick(values: FloatArray) -> FloatArray:
            return values if len(values) == 1 else values[chosen]

        columns = (pick(self.dt), pick(self.temperature), pick(self.conditions))
        return Batch(n, *columns, status=self.status[chosen])


class Ladder:
    """Native step -> scipy BDF for the cells that it gave up, or for all of the exact path if `reference_only`.

    surrogate_only: no other path may serve a cell; exact_only: the native step leaves the surrogate out, whatever its
    mode; repair: as in `Solver.load`.
    """

    def __init__(
        self,
        native: _native.Solver,
        network: Network,
        *,
        reference_only: bool,
        surrogate_only: bool,
        exact_only: bool,
        repair: str,
    ) -> None:
        self._native = native
        self._network = network
        self._scipy = ScipyBDF(network)
        self._reference_only = reference_only
        self._surrogate_only = surrogate_only
        self._exact_only = exact_only
        self._repair = repair

    def step(self, batch: Batch) -> dict[str, Any]:
        """Advance the batch in place and return the figures of the report."""
        figures = self._native.step(
            batch.n,
            batch.dt,
            batch.temperature,
            batch.conditions,
            batch.status,
            batch.mask,
            batch.counts,
            error_dex=batch.error_dex,
            exact=self._exact_only,
        )
        start = perf_counter()
        if self._surrogate_only or not (figures["failed"] or self._reference_only):
            return figures
        left = np.flatnonzero(self._left_to_scipy(batch.status))
        if left.size:
            self._advance_by_scipy(batch, left)
            seconds = perf_counter() - start
            figures["seconds"] += seconds
            figures["seconds_exact"] += seconds
        return figures

    def trajectory(
        self,
        batch: Batch,
        times: FloatArray,
        out: FloatArray,
        status: NDArray[np.int8],
        mode: str,
        conserve: bool = True,
        mask: NDArray[np.int8] | None = None,
    ) -> dict[str, Any]:
        """States (B, T, S) [cm^-3] at the times [s] into out, status (B, T); mask (B, T) or None. The batch stays."""
        figures = self._native.trajectory(
            batch.n, batch.temperature, batch.conditions, times, out, status, mode, conserve, mask
        )
        if mode == "surrogate" or not (figures["failed"] or self._reference_only):
            return figures
        start = perf_counter()
        left = self._left_to_scipy(status)
        state, elapsed = batch.n.copy(), np.zeros(len(batch.n))
        for k in np.flatnonzero(left.any(axis=0)):
            rows = np.flatnonzero(left[:, k])
            leg = replace(
                batch, n=state, dt=times[k] - elapsed, status=status[:, k], mask=None, counts=None, error_dex=None
            )
            self._advance_by_scipy(leg, rows)
            solved, lost = rows[leg.status[rows] >= 0], rows[leg.status[rows] < 0]
            out[solved, k], elapsed[solved] = state[solved], times[k]
            # What lies behind a failure is out of reach.
            behind = left[lost, k + 1 :]
            status[lost, k + 1 :] = np.where(behind, status[lost, k, None], status[lost, k + 1 :])
            left[lost] = False
        seconds = perf_counter() - start
        figures["seconds"] += seconds
        figures["seconds_exact"] += seconds
        return figures

    def _left_to_scipy(self, status: NDArray[np.int8]) -> NDArray[np.bool_]:
        left = np.isin(status, [Status.STEP_LIMIT, Status.NON_FINITE])
        if self._reference_only:
            left |= status >= Status.EXACT_REQUESTED
        return left

    def _advance_by_scipy(self, batch: Batch, rows: NDArray[np.intp]) -> None:
        cells = batch.rows(rows, self._repaired(batch.n[rows]))
        conditions = {name: cells.conditions[:, k] for k, name in enumerate(self._network.conditions)}
        advanced, status = self._scipy.advance(cells.n, cells.dt, cells.temperature, conditions)
        solved = status == Status.EXACT_SCIPY
        batch.n[rows[solved]] = advanced[solved]
        # Where scipy fails too, the native integrator's reason stands, if there is one.
        batch.status[rows] = np.where(solved | (cells.status >= 0), status, cells.status)

    def _repaired(self, n: FloatArray) -> FloatArray:
        """Cells as `repair` mends them when they are read (the native step has checked that they can be)."""
        if "floor" in self._repair:
            n = np.maximum(n, 0.0)
        if "electrons" in self._repair:
            electron = self._network.species_names.index("e-")
            charge = self._network.tables().composition[-1].copy()
            charge[electron] = 0.0
            n[:, electron] = n @ charge
        return n
