"""Processor time of a trajectory, by every way to make it. All on one core, of one run, so that ratios count."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from pychemsurrogate.network import Network

FloatArray = NDArray[np.float64]


def seconds_per_trajectory(call: Callable[[], object], trajectories: int) -> float:
    """Median processor time [s] of `call`, which makes this many trajectories, over the number of trajectories.

    Seven measurements, each of as many calls as last 50 ms; three of calls of more than a second, one of calls of more
    than ten. Processor time, not the clock on the wall: other work on the machine then hardly counts. Only for work on
    the CPU that is done when `call` returns, as torch's is there.
    """
    first = _seconds(call, 1)  # warms up caches as well
    if first > 10.0:
        return first / trajectories
    repeats, calls = (3, 1) if first > 1.0 else (7, max(1, round(0.05 / max(first, 1e-7))))
    return median(_seconds(call, calls) for _ in range(repeats)) / (calls * trajectories)


def timed_one_by_one(solve: Callable[[FloatArray], FloatArray], states: FloatArray) -> tuple[FloatArray, float]:
    """What `solve` makes of every state, stacked, and its median processor time [s]."""
    solved, seconds = [], []
    for state in states:
        start = time.process_time()
        solved.append(solve(state))
        seconds.append(time.process_time() - start)
    return np.stack(solved), median(seconds)


def _seconds(call: Callable[[], object], calls: int) -> float:
    start = time.process_time()
    for _ in range(calls):
        call()
    return time.process_time() - start


def plain_solve_ivp(
    network: Network,
    n0: FloatArray,
    times_s: FloatArray,
    temperature: float,
    zeta: float,
    rtol: float = 1e-4,
    atol: float = 1e-18,
) -> FloatArray:
    """One trajectory (times, S) in cm^-3 by scipy.integrate.solve_ivp with BDF, as a user would call it.

    That is the baseline of Sulzer & Buck (2023), who do not print their tolerances. No Jacobian is given: scipy
    differences the rates. rtol, atol [cm^-3]. Raises RuntimeError if scipy gives up.
    """
    k = network.rate_coefficients(temperature, {"zeta": zeta})
    solution = solve_ivp(
        lambda t, n: network.rhs(n, k),
        (0.0, float(times_s[-1])),
        n0,
        method="BDF",
        t_eval=times_s,
        rtol=rtol,
        atol=atol,
    )
    if not solution.success:
        raise RuntimeError(f"solve_ivp: {solution.message}")
    return np.asarray(solution.y.T)
