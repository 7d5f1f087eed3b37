"""The reference integrator: scipy's BDF with analytic Jacobian.

The method is that of Shampine & Reichelt 1997, SIAM J. Sci. Comput. 18, 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import BDF

from pychemsurrogate.integrators.cells import Cells
from pychemsurrogate.integrators.conserve import conserve
from pychemsurrogate.network import Network
from pychemsurrogate.status import STATUS_MESSAGES, Status

FloatArray = NDArray[np.float64]


class ScipyBDF:
    """Advance cells one by one, in x = n / n_H.

    rtol, atol: relative tolerance, and absolute tolerance on x; max_steps: steps a cell.
    """

    def __init__(self, network: Network, rtol: float = 1e-8, atol: float = 1e-22, max_steps: int = 20000) -> None:
        self.network = network
        self.rtol = rtol
        self.atol = atol
        self.max_steps = max_steps

    def advance(
        self, n: ArrayLike, dt: ArrayLike, temperature: ArrayLike, conditions: Mapping[str, ArrayLike]
    ) -> tuple[FloatArray, NDArray[np.int8]]:
        """Advance every cell by its dt and return (n_new (cells, S) in cm^-3, status (cells,)).

        n (cells, S) in cm^-3; dt [s], temperature [K] and the conditions are scalars or one value a cell.
        Status EXACT_SCIPY, or UNCHANGED for dt = 0; a failed cell keeps its input and has a negative status.
        Elements and charge are conserved to round-off.
        Raises ValueError for wrong shapes, KeyError for missing or unknown conditions.
        """
        cells = Cells.of(self.network, n, dt, temperature, conditions)
        status = cells.first_verdict(self.network)
        n_new = cells.n.copy()
        for i in np.flatnonzero(status == Status.EXACT_REQUESTED):
            at = {name: float(values[i]) for name, values in cells.conditions.items()}
            times = cells.dt[i : i + 1]
            solution, status[i] = self._solve(cells.n[i], times, float(cells.temperature[i]), at)
            if solution is not None:
                n_new[i] = solution[0]
        return n_new, status

    def trajectory(
        self, n0: ArrayLike, times_s: ArrayLike, temperature: float, conditions: Mapping[str, float]
    ) -> FloatArray:
        """The states (times, S) in cm^-3 of one cell at ascending times after the state n0 (S,), at fixed conditions.

        Raises ValueError for bad input, RuntimeError if the integration fails.
        """
        times = np.asarray(times_s, dtype=np.float64)
        if times.ndim != 1 or not times.size or times[0] < 0 or np.any(np.diff(times) <= 0):
            raise ValueError("times_s must be a non-empty, ascending list of times in s, from 0 on")
        cells = Cells.of(self.network, np.asarray(n0)[None], times[-1], temperature, conditions)
        verdict = Status(int(cells.first_verdict(self.network)[0]))
        if verdict < 0:
            raise ValueError(STATUS_MESSAGES[verdict])
        solution, status = self._solve(cells.n[0], times, temperature, conditions)
        if solution is None:
            raise RuntimeError(STATUS_MESSAGES[status])
        return solution

    def _solve(
        self, n0: FloatArray, times: FloatArray, temperature: float, conditions: Mapping[str, float]
    ) -> tuple[FloatArray | None, Status]:
        network = self.network
        n_H = float(network.tables().scale_weights @ n0)
        k = network.rate_coefficients(temperature, conditions, n_H)
        if not network.has_rates(k):
            return None, Status.UNSUPPORTED
        x = np.empty((len(times), network.n_species))
        x[times == 0] = n0 / n_H
        with np.errstate(all="ignore"):  # a step that overflows is rejected by its error estimate
            try:
                solver = BDF(
                    lambda t, x: network.rhs(x * n_H, k) / n_H,
                    0.0,
                    n0 / n_H,
                    float(times[-1]),
                    jac=lambda t, x: network.jacobian(x * n_H, k),
                    rtol=self.rtol,
                    atol=self.atol,
                )
                for _ in range(self.max_steps):
                    solver.step()
                    if solver.status == "failed":
                        return None, Status.NON_FINITE
                    passed = (solver.t_old < times) & (times <= solver.t)
                    if passed.any():
                        x[passed] = solver.dense_output()(times[passed]).T
                    if solver.status == "finished":
                        break
                else:
                    return None, Status.STEP_LIMIT
            except ValueError:  # scipy's factorisation refuses a Jacobian that is not finite
                return None, Status.NON_FINITE
        n = np.maximum(x * n_H, 0.0)
        if not np.all(np.isfinite(n)):
            return None, Status.NON_FINITE
        return conserve(n, np.broadcast_to(n0, n.shape), network.tables().composition), Status.EXACT_SCIPY
