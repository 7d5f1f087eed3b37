"""Stress: states and steps beyond what a hydro code hands in. No cell may fail, go negative or lose matter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from workload import YEAR_S, Workload, workload

from pychemsurrogate.integrators import NativeRosenbrock, conservation_defect
from pychemsurrogate.network import Network

FloatArray = NDArray[np.float64]

SEED = 2024
SHORTEST_S, LONGEST_S = 1.0, 1e9 * YEAR_S


class Draw:
    """Random numbers for `count` cells."""

    def __init__(self, seed: int, count: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.count = count

    def log_uniform(self, low: float, high: float) -> FloatArray:
        return 10.0 ** self.rng.uniform(np.log10(low), np.log10(high), self.count)


def exact_zeros(osu: Network, cells: Workload, draw: Draw) -> Workload:
    total = cells.n.sum(axis=1, keepdims=True)
    return replace(cells, n=np.where(cells.n > 1e-7 * total, cells.n, 0.0), dt=draw.log_uniform(1.0, 1e8 * YEAR_S))


def cold_starts(osu: Network, cells: Workload, draw: Draw) -> Workload:
    n_H2, n = draw.log_uniform(1e2, 1e6), np.zeros_like(cells.n)
    carbon, ion = n_H2 * draw.log_uniform(1e-6, 1e-3), n_H2 * draw.log_uniform(1e-6, 1e-3)
    for name, value in {"H2": n_H2, "C": carbon, "C+": ion, "O": 4.0 * (carbon + ion), "e-": ion}.items():
        n[:, osu.species_index(name)] = value
    return replace(cells, n=n, dt=draw.log_uniform(1.0, 1e8 * YEAR_S))


def noise(osu: Network, cells: Workload, draw: Draw) -> Workload:
    n = cells.n * 10.0 ** draw.rng.normal(0.0, 0.3, cells.n.shape)
    return replace(cells, n=n, dt=draw.log_uniform(SHORTEST_S, LONGEST_S))


def shocks(osu: Network, cells: Workload, draw: Draw) -> Workload:
    hot = cells.temperature * draw.log_uniform(10.0, 30.0)
    return replace(cells, n=4.0 * cells.n, temperature=hot, dt=draw.log_uniform(SHORTEST_S, LONGEST_S))


def compressed(osu: Network, cells: Workload, draw: Draw, low: float, high: float) -> Workload:
    n_H = cells.n @ osu.tables().scale_weights
    return replace(
        cells, n=cells.n * (draw.log_uniform(low, high) / n_H)[:, None], temperature=draw.log_uniform(3.0, 1e5)
    )


def any_density(osu: Network, cells: Workload, draw: Draw) -> Workload:
    return replace(compressed(osu, cells, draw, 1e-4, 1e12), dt=draw.log_uniform(SHORTEST_S, LONGEST_S))


def dense_and_long(osu: Network, cells: Workload, draw: Draw) -> Workload:
    """Where round-off of the implicit step is largest."""
    return replace(compressed(osu, cells, draw, 1e10, 1e12), dt=draw.log_uniform(1e6 * YEAR_S, LONGEST_S))


def one_species_extreme(osu: Network, cells: Workload, draw: Draw) -> Workload:
    n = cells.n.copy()
    n[np.arange(len(n)), draw.rng.integers(0, osu.n_species, len(n))] *= draw.log_uniform(1e-20, 1e6)
    return replace(cells, n=n, dt=draw.log_uniform(SHORTEST_S, LONGEST_S))


def one_species_alone(osu: Network, cells: Workload, draw: Draw) -> Workload:
    """With H2 beside it where it has no H nuclei itself."""
    weights, n = osu.tables().scale_weights, np.zeros_like(cells.n)
    chosen, n_H = draw.rng.integers(0, osu.n_species, len(n)), cells.n @ weights
    n[np.arange(len(n)), chosen] = n_H
    without = weights[chosen] == 0
    n[without, osu.species_index("H2")] = n_H[without]
    return replace(cells, n=n, dt=draw.log_uniform(SHORTEST_S, LONGEST_S))


FAMILIES: list[Callable[[Network, Workload, Draw], Workload]] = [
    exact_zeros,
    cold_starts,
    noise,
    shocks,
    any_density,
    dense_and_long,
    one_species_extreme,
    one_species_alone,
]


def check(osu: Network, cells: Workload) -> None:
    n, status = NativeRosenbrock(osu).advance(cells.n, cells.dt, cells.temperature, cells.conditions)
    failed = np.flatnonzero(status < 0)
    first = cells[failed[:1]]
    assert failed.size == 0, f"{failed.size} of {len(cells)} failed; the first, status {status[failed[:1]]}: {first}"
    assert np.isfinite(n).all()
    assert (n >= 0).all()
    assert conservation_defect(n, cells.n, osu.tables().composition).max() <= 1e-12


@pytest.fixture(scope="module")
def base(osu: Network) -> Workload:
    return workload(osu, 500, SEED)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_thousands(osu: Network, base: Workload, family: Callable[[Network, Workload, Draw], Workload]) -> None:
    check(osu, family(osu, base, Draw(SEED, len(base))))


@pytest.mark.long
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_a_million(osu: Network, family: Callable[[Network, Workload, Draw], Workload]) -> None:
    """8 families of 125,000 cells."""
    for part in range(5):
        base = workload(osu, 25_000, SEED + 1 + part)
        check(osu, family(osu, base, Draw(SEED + 1 + part, len(base))))
