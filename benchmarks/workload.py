"""The workload of the integrator's benchmarks and tests: interstellar gas of random age within a hydro step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.network import Network

YEAR_S = 3.15576e7  # Julian year
STEPS_YR = (1e2, 1e3, 1e4, 1e5)

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Workload:
    """Cells and the step they are to make: n (cells, S) cm^-3; dt [s], temperature [K], conditions by name (cells,)."""

    n: FloatArray
    dt: FloatArray
    temperature: FloatArray
    conditions: dict[str, FloatArray]

    @property
    def zeta(self) -> FloatArray:
        """The ionisation rate [1/s] (cells,)."""
        return self.conditions["zeta"]

    @property
    def given(self) -> tuple[FloatArray, FloatArray, FloatArray, dict[str, FloatArray]]:
        """What an integrator's `advance` takes, in its order."""
        return self.n, self.dt, self.temperature, self.conditions

    def __len__(self) -> int:
        return len(self.n)

    def __getitem__(self, cells: object) -> Workload:
        conditions = {name: values[cells] for name, values in self.conditions.items()}
        return Workload(self.n[cells], self.dt[cells], self.temperature[cells], conditions)


@dataclass(frozen=True)
class Answer:
    """What a solver made of a workload: n (cells, S) in cm^-3, where failed cells keep their input, and its counts.

    steps, factorisations: None if the solver does not tell; factor_entries: of KLU's L and U.
    """

    n: FloatArray
    steps: int | None
    factorisations: int | None
    failed: int
    factor_entries: int = 0


def workload(network: Network, cells: int, seed: int) -> Workload:
    """Cells of the osu network (needs H2, C, C+, O, e-), each with one of the time steps STEPS_YR in turn.

    Molecular gas (n_H2 log-uniform 1e2..1e6 cm^-3; C and C+ log-uniform 1e-6..1e-3 n_H2; O = 4 (C + C+); traces 1e-20
    n_H2; T 10..300 K and zeta 1e-17..1e-15 1/s log-uniform) ages 1..1e6 yr; then T changes by a factor 0.7..1.4 and
    the density by 0.8..1.25.
    """
    rng = np.random.default_rng(seed)

    def log_uniform(low: float, high: float) -> FloatArray:
        return 10.0 ** rng.uniform(np.log10(low), np.log10(high), cells)

    n_H2 = log_uniform(1e2, 1e6)
    carbon, ion = n_H2 * log_uniform(1e-6, 1e-3), n_H2 * log_uniform(1e-6, 1e-3)
    n = np.repeat(1e-20 * n_H2[:, None], network.n_species, axis=1)
    for name, value in {"H2": n_H2, "C": carbon, "C+": ion, "O": 4.0 * (carbon + ion), "e-": ion}.items():
        n[:, network.species_index(name)] = value
    temperature, zeta = log_uniform(10.0, 300.0), log_uniform(1e-17, 1e-15)
    age = log_uniform(1.0, 1e6) * YEAR_S
    n, status = NativeRosenbrock(network, rtol=1e-6, atol=1e-20, max_steps=100_000).advance(
        n, age, temperature, {"zeta": zeta}
    )
    if np.any(status < 0):
        raise RuntimeError(f"{np.sum(status < 0)} cells of the workload could not be aged")
    return Workload(
        n=n * log_uniform(0.8, 1.25)[:, None],
        dt=np.resize(STEPS_YR, cells) * YEAR_S,
        temperature=temperature * log_uniform(0.7, 1.4),
        conditions={"zeta": zeta},
    )


def dex_errors(n: FloatArray, truth: FloatArray, scale_weights: FloatArray, floor: float = 1e-12) -> FloatArray:
    """|log10 n - log10 truth| (cells, S), NaN where the truth is not above floor n_H."""
    n_H = truth @ scale_weights
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.abs(np.log10(n) - np.log10(truth))
    return np.where(truth > floor * n_H[:, None], error, np.nan)


def cell_errors(n: FloatArray, truth: FloatArray, scale_weights: FloatArray, floor: float = 1e-12) -> FloatArray:
    """The worst species' dex error of every cell (cells,)."""
    worst: FloatArray = np.nanmax(dex_errors(n, truth, scale_weights, floor), axis=1)
    return worst
