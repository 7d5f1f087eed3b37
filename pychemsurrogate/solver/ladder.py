"""The native step and the rungs below it that Python serves."""

from __future__ import annotations

from dataclasses import dataclass
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
    integrator are added to it.
    """

    n: FloatArray
    dt: FloatArray
    temperature: FloatArray
    conditions: FloatArray
    status: NDArray[np.int8]
    mask: NDArray[np.int8] | None = None
    counts: NDArray[np.int32] | None = None

    def rows(self, chosen: NDArray[np.intp], n: FloatArray) -> Batch:
        """The chosen cells, with the states n."""

        def pick(values: FloatArray) -> FloatArray:
            return values if len(values) == 1 else values[chosen]

        columns = (pick(self.dt), pick(self.temperature), pick(self.conditions))
        return Batch(n, *columns, status=self.status[chosen])


class Ladder:
    """Native step -> scipy BDF for the cells that it gave up, or for all of the exact path if `reference_only`.

    surrogate_only: no other path may serve a cell; repair: as in `Solver.load`.
    """

    def __init__(
        self, native: _native.Solver, network: Network, *, reference_only: bool, surrogate_only: bool, repair: str
    ) -> None:
        self._native = native
        self._network = network
        self._scipy = ScipyBDF(network)
        self._reference_only = reference_only
        self._surrogate_only = surrogate_only
        self._repair = repair

    def step(self, batch: Batch) -> dict[str, Any]:
        """Advance the batch in place and return the figures of the report."""
        figures = self._native.step(
            batch.n, batch.dt, batch.temperature, batch.conditions, batch.status, batch.mask, batch.counts
        )
        start = perf_counter()
        if not (figures["failed"] or self._reference_only):
            return figures
        left = np.flatnonzero(self._left_to_scipy(batch.status))
        if left.size:
            self._advance_by_scipy(batch, left)
            seconds = perf_counter() - start
            figures["seconds"] += seconds
            figures["seconds_exact"] += seconds
        return figures

    def _left_to_scipy(self, status: NDArray[np.int8]) -> NDArray[np.bool_]:
        if self._surrogate_only:
            return np.zeros(len(status), dtype=np.bool_)
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
