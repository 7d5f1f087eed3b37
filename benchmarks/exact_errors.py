#!/usr/bin/env python3
"""Rare errors of the exact integrator: random starts of several kinds, at the default and at a target's tolerances.

Usage: python benchmarks/exact_errors.py [--cells N] [--seed N] [--output FILE]

A cell's error is that of its worst species above 1e-12 n_H, in dex. The truth is the same integrator at rtol 1e-6, atol
1e-22; tests/test_exact_errors.py holds it against scipy. A cell is ill-conditioned if 1 % of any input (T, zeta, dt,
all densities, all carbon or all oxygen) moves the truth by more than 0.1 dex: such cells are counted apart.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from machine import Table, describe_machine
from numpy.typing import NDArray
from workload import YEAR_S, Workload, cell_errors, workload

from pychemsurrogate import _native
from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.network import Network, load_network
from pychemsurrogate.solver import Solver

HERE = Path(__file__).resolve().parent
BATCH = 20_000  # cells at a time
LIMITS = (0.1, 0.3, 1.0)  # dex
STEP = 0.01  # of an input, for the condition
SETTINGS: dict[str, dict[str, Any]] = {"default": {}, "target 0.1": {"target_error_dex": 0.1}}

FloatArray = NDArray[np.float64]


def reference(network: Network) -> NativeRosenbrock:
    """The integrator whose answers are the truth."""
    return NativeRosenbrock(network, rtol=1e-6, atol=1e-22, max_steps=10**6)


class Draw:
    """Starts of the osu network, of which each kind fills in abundances per H; electrons close the charge."""

    def __init__(self, network: Network, cells: int, seed: int) -> None:
        self.network, self.cells = network, cells
        self.rng = np.random.default_rng(seed)
        self.x: FloatArray = np.zeros((cells, network.n_species))

    def log_uniform(self, low: float, high: float) -> FloatArray:
        """One number a cell."""
        return 10.0 ** self.rng.uniform(np.log10(low), np.log10(high), self.cells)

    def put(self, values: float | FloatArray, *names: str) -> None:
        """Give every cell the abundance under one of the names."""
        chosen = [self.network.species_index(name) for name in names]
        self.x[np.arange(self.cells), self.rng.choice(chosen, self.cells)] = values

    def put_hydrogen(self, *names: str) -> None:
        """All hydrogen in one of the names, of H, H2, H+."""
        self.put(1.0, *names)
        self.x[:, self.network.species_index("H2")] *= 0.5

    def starts(self) -> Workload:
        """n_H 1e2..1e6 cm^-3, T 8..1000 K, zeta 1e-17..1e-15 1/s, dt 1..1e6 yr, log-uniform."""
        x = neutral(self.network, self.x)
        n_H = x @ self.network.tables().scale_weights
        return Workload(
            x * (self.log_uniform(1e2, 1e6) / n_H)[:, None],
            self.log_uniform(1.0, 1e6) * YEAR_S,
            self.log_uniform(8.0, 1000.0),
            {"zeta": self.log_uniform(1e-17, 1e-15)},
        )


def neutral(network: Network, n: FloatArray) -> FloatArray:
    """The densities with as many electrons as there are charges (this network has singly charged cations alone)."""
    n = n.copy()
    ions = [i for i, name in enumerate(network.tables().species) if name.endswith("+")]
    n[:, network.species_index("e-")] = n[:, ions].sum(axis=1)
    return n


def ionised(draw: Draw) -> None:
    """H+ C+ O+."""
    draw.put_hydrogen("H+")
    draw.put(draw.log_uniform(1e-6, 1e-3), "C+")
    draw.put(draw.log_uniform(1e-6, 1e-3), "O+")


def molecular(draw: Draw) -> None:
    """H2 CO O, with one of H2O, C+, O2, CH4."""
    draw.put_hydrogen("H2")
    draw.put(draw.log_uniform(1e-6, 3e-4), "CO")
    draw.put(draw.log_uniform(1e-6, 1e-3), "O")
    draw.put(draw.log_uniform(1e-7, 1e-4), "H2O", "C+", "O2", "CH4")


def metal_rich(draw: Draw) -> None:
    """C and O 1e-4..3e-2 per H."""
    draw.put_hydrogen("H", "H2", "H+")
    draw.put(draw.log_uniform(1e-4, 3e-2), "C", "C+")
    draw.put(draw.log_uniform(1e-4, 3e-2), "O", "O+")


def random(draw: Draw) -> None:
    """Every species 1e-12..1e-2 per H."""
    draw.x[:] = 10.0 ** draw.rng.uniform(-12.0, -2.0, draw.x.shape)
    draw.put_hydrogen("H", "H2", "H+")


def simple(draw: Draw) -> None:
    """Hydrogen, carbon and oxygen in one species each."""
    draw.put_hydrogen("H", "H2", "H+")
    draw.put(draw.log_uniform(1e-6, 1e-3), "C", "C+", "CO")
    draw.put(draw.log_uniform(1e-6, 1e-3), "O", "O+", "O2", "H2O")


def starts_of(fill: Callable[[Draw], None]) -> Callable[[Network, int, int], Workload]:
    """A kind as a function of network, cells and seed, as `workload` is one."""

    def make(network: Network, cells: int, seed: int) -> Workload:
        draw = Draw(network, cells, seed)
        fill(draw)
        return draw.starts()

    return make


KINDS: dict[str, Callable[[Network, int, int], Workload]] = {
    **{fill.__name__: starts_of(fill) for fill in (ionised, molecular, metal_rich, random, simple)},
    "workload": workload,
}


def perturbed(network: Network, cells: Workload) -> Iterator[Workload]:
    """The cells with each input changed by 1 %, up and down."""
    species = network.tables().species
    for factor in (1.0 + STEP, 1.0 - STEP):
        yield replace(cells, temperature=factor * cells.temperature)
        yield replace(cells, dt=factor * cells.dt)
        yield replace(cells, n=factor * cells.n)
        for name, values in cells.conditions.items():
            yield replace(cells, conditions={**cells.conditions, name: factor * values})
        for element in "CO":
            holds = np.array([element in name for name in species])
            yield replace(cells, n=neutral(network, np.where(holds, factor, 1.0) * cells.n))


def condition(network: Network, cells: Workload, truth: FloatArray) -> FloatArray:
    """By how much 1 % of an input moves the truth at most [dex] (cells,)."""
    exact, weights = reference(network), network.tables().scale_weights
    moved = np.zeros(len(cells))
    for others in perturbed(network, cells):
        moved = np.maximum(moved, cell_errors(exact.advance(*others.given)[0], truth, weights))
    return moved


@dataclass
class Tally:
    """Errors of one kind at one setting: all that are large, and the condition of their cells."""

    cells: int = 0
    large: FloatArray = field(default_factory=lambda: np.empty(0))
    conditions: FloatArray = field(default_factory=lambda: np.empty(0))
    largest_small: float = 0.0  # of the errors up to LIMITS[0]

    def add(self, network: Network, cells: Workload, truth: FloatArray, n: FloatArray) -> None:
        """Count a batch."""
        error = cell_errors(n, truth, network.tables().scale_weights)
        large = ~(error <= LIMITS[0])
        self.cells += len(cells)
        self.largest_small = max(self.largest_small, float(error[~large].max(initial=0.0)))
        if large.any():
            self.large = np.append(self.large, error[large])
            self.conditions = np.append(self.conditions, condition(network, cells[large], truth[large]))

    def well_conditioned(self) -> FloatArray:
        """The errors above LIMITS[0] of cells that are not counted apart."""
        return self.large[self.conditions <= LIMITS[0]]

    def line(self) -> str:
        """Shares, and the worst, of well-conditioned cells; then the others that err."""
        well = self.well_conditioned()
        apart = self.large[self.conditions > LIMITS[0]]
        shares = "".join(f"{np.sum(well > limit) / self.cells:>10.1e}" for limit in LIMITS)
        worst = well.max(initial=self.largest_small)
        return f"{self.cells:>9}{shares}{worst:>8.3f}{len(apart):>8}{apart.max(initial=0.0):>8.2f}"


def campaign(network: Network, kind: str, cells: int, seed: int) -> dict[str, Tally]:
    """The errors of `cells` cells of a kind at every setting. Raises RuntimeError if a cell fails."""
    exact = reference(network)
    tallies = {name: Tally() for name in SETTINGS}
    solvers = {name: Solver.load("osu_09_2008", mode="exact", **options) for name, options in SETTINGS.items()}
    for number, begin in enumerate(range(0, cells, BATCH)):
        batch = KINDS[kind](network, min(BATCH, cells - begin), seed + 1000 * number)
        truth, status = exact.advance(*batch.given)
        if np.any(status < 0):
            raise RuntimeError(f"{np.sum(status < 0)} cells of kind {kind} have no truth")
        for name, solver in solvers.items():
            n, report = solver.step(batch.n, batch.dt, batch.temperature, zeta=batch.zeta)
            if report.failed:
                raise RuntimeError(f"{report.failed} cells of kind {kind} failed at {name}")
            tallies[name].add(network, batch, truth, n)
    return tallies


def main() -> None:
    """Measure, print the table and write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=200_000, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=HERE / "results" / "exact_errors.txt")
    options = parser.parse_args()
    network = load_network("osu_09_2008")
    say = Table()
    title = f"native integrator ({_native.isa()}), {options.cells} cells of each kind, seed {options.seed}"
    say(title, *describe_machine())
    say("shares of cells that err by more than so many dex, and the worst; ill-conditioned ones that err by more than")
    say("0.1 dex apart: their number, and the worst of them")
    head = "".join(f"{f'> {limit:g}':>10}" for limit in LIMITS)
    say(f"{'kind':<12}{'tolerances':<12}{'cells':>9}{head}{'worst':>8}{'apart':>8}{'worst':>8}")
    for kind in KINDS:
        for name, tally in campaign(network, kind, options.cells, options.seed).items():
            say(f"{kind:<12}{name:<12}{tally.line()}")
    say.write(options.output)


if __name__ == "__main__":
    main()
