#!/usr/bin/env python3
"""The native integrator on networks of tens to hundreds of species, cut from UMIST's and KIDA's own files.

Usage: python benchmarks/large_networks.py --umist PATH [--kida PATH] [--cells N] [--errors N] [--repeats N] [--seed N]

One core. Per database: set-up (read, close, tables, plan; target 5 s). Per network two workloads, each at three
tolerances: cells/s (the processor's time, median of the repeats, rate coefficients and projection included) and errors
of the first cells (--errors) against the same method at rtol 1e-6; and the power of N by which a cell's cost grows. In
batches of few cells the last ones leave lanes idle: of 96 cells each takes up to a fifth longer than of 384. Then cold
starts from atoms in dark-cloud, diffuse and photo-dissociation conditions.

arbitrary   atoms and H2, abundances scattered by 0.5 dex, age 1..1e6 yr at n_H 1e2..1e6 cm^-3, T 10..300 K, zeta
            1e-17..1e-15 1/s; then T x 0.7..1.4, n x 0.8..1.25 and dt = 1e3, 1e4 or 1e5 yr
hydro-like  the same aged 1e4..1e6 yr, then three steps of 1e3..1e4 yr between which T moves by 0.02 dex and n by 0.04
            dex (standard deviations), and one more such step that counts
A_V = 10 mag and G0 = 1 in both.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from machine import Table, describe_machine, repeated, timed, use_one_core
from numpy.typing import NDArray
from solvers import native
from workload import YEAR_S, Workload, dex_errors

from pychemsurrogate import _native
from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.network import Network, load_network

HERE = Path(__file__).resolve().parent
FloatArray = NDArray[np.float64]

# Elements and most heavy atoms; None: all.
CUTS: tuple[tuple[str | None, int | None], ...] = (
    ("H He C O", 1),
    ("H He C O", 2),
    ("H He C O N S", 2),
    ("H He C O N S", 3),
    ("H He C O N S Si Fe Mg Na", 5),
    (None, None),
)
# n/n_H of atoms and ions in diffuse gas, metals depleted ("low-metal": Graedel et al. 1982, ApJS 48, 321).
ABUNDANCES = {
    "He": 0.14, "C+": 7.3e-5, "O": 1.76e-4, "N": 2.14e-5, "S+": 8e-8, "Si+": 8e-9, "Fe+": 3e-9, "Na+": 2e-9,
    "Mg+": 7e-9, "P+": 3e-9, "Cl+": 4e-9, "F": 2e-8, "GRAIN0": 1.8e-12,
}  # fmt: skip
RTOLS = (1e-2, 5e-2, 1e-1)
# name, n_H [cm^-3], T [K], zeta [1/s], A_V [mag], G0, n(H2)/n_H
REGIMES = (
    ("dark cloud", 2e4, 10.0, 1.3e-17, 10.0, 1.0, 0.5),
    ("diffuse", 1e2, 70.0, 2e-16, 1.0, 1.0, 0.1),
    ("PDR", 1e4, 300.0, 1e-16, 0.5, 1e3, 0.0),
    ("dense hot PDR", 1e6, 1000.0, 1e-15, 0.0, 1e5, 0.0),
)


def atoms(network: Network, rng: np.random.Generator, cells: int, scatter_dex: float, h2: FloatArray) -> FloatArray:
    """Neutral states (cells, S) in n/n_H: what the network has of ABUNDANCES, H, and h2 = n(H2)/n_H (cells,)."""
    x = np.zeros((cells, network.n_species))
    for name, value in ABUNDANCES.items():
        if name in network.species_names:
            x[:, network.species_index(name)] = value * 10.0 ** rng.uniform(-scatter_dex, scatter_dex, cells)
    x[:, network.species_index("H2")] = h2
    x[:, network.species_index("H")] = 1.0 - 2.0 * h2
    x[:, network.species_index("e-")] = x @ network.tables().composition[-1]
    return x


def advance(network: Network, n: FloatArray, dt: FloatArray, T: FloatArray, at: dict[str, FloatArray]) -> FloatArray:
    """Advance for the making of a workload, tighter than what is measured; RuntimeError if a cell fails."""
    n, status = NativeRosenbrock(network, rtol=1e-3, atol=1e-17, max_steps=100_000, threads=1).advance(n, dt, T, at)
    if np.any(status < 0):
        raise RuntimeError(f"{np.sum(status < 0)} cells could not be prepared")
    return n


def workload(network: Network, cells: int, rng: np.random.Generator, hydro_like: bool) -> Workload:
    """Cells of one of the two workloads."""

    def log_uniform(low: float, high: float) -> FloatArray:
        return 10.0 ** rng.uniform(np.log10(low), np.log10(high), cells)

    density, T = log_uniform(1e2, 1e6), log_uniform(10.0, 300.0)
    every = {"zeta": log_uniform(1e-17, 1e-15), "A_V": np.full(cells, 10.0), "G0": np.ones(cells)}
    at = {name: every[name] for name in network.conditions}
    n = density[:, None] * atoms(network, rng, cells, 0.5, rng.uniform(0.05, 0.5, cells))
    n = advance(network, n, log_uniform(1e4 if hydro_like else 1.0, 1e6) * YEAR_S, T, at)
    if not hydro_like:
        dt = np.resize((1e3, 1e4, 1e5), cells) * YEAR_S
        return Workload(n * log_uniform(0.8, 1.25)[:, None], dt, T * log_uniform(0.7, 1.4), at)
    dt = log_uniform(1e3, 1e4) * YEAR_S
    for step in range(4):
        T, n = T * 10.0 ** rng.normal(0, 0.02, cells), n * 10.0 ** rng.normal(0, 0.04, cells)[:, None]
        if step < 3:
            n = advance(network, n, dt, T, at)
    return Workload(n, dt, T, at)


def measure(
    network: Network, cells: Workload, errors: int, repeats: int, say: Callable[[str], None], label: str
) -> list[float]:
    """One line a tolerance: cells/s, steps a cell, errors of the first cells. Returns the cells/s by tolerance."""
    speeds = []
    truth = native(network, 1e-6, 1e-20)(cells[:errors])
    for rtol in RTOLS:
        answer, seconds = repeated(repeats, native(network, rtol), cells)
        speeds.append(len(cells) / float(np.median(seconds)))
        error = dex_errors(answer.n[:errors], truth.n, network.tables().scale_weights)
        worst, every = np.nanmax(error, axis=1), error[np.isfinite(error)]
        say(
            f"{network.n_species:5d} {label:10s} {rtol:6.0e} {speeds[-1]:9.0f} "
            f"{answer.steps / len(cells):6.2f} {np.percentile(every, 99):9.4f} {np.median(worst):9.4f} "
            f"{np.percentile(worst, 99):8.4f} {worst.max():8.4f} {answer.failed + truth.failed:4d}"
        )
    return speeds


def cost_slope(sizes: list[int], speeds: list[float]) -> float:
    """p of cost ~ N^p: the least-squares line through the logarithms."""
    return float(-np.polyfit(np.log(sizes), np.log(speeds), 1)[0])


def cold_starts(network: Network, say: Callable[[str], None]) -> None:
    """Atoms to 10..1e7 yr in each regime: failures, and errors against rtol 1e-5."""
    rng, dt = np.random.default_rng(0), np.geomspace(10.0, 1e7, 16) * YEAR_S
    for label, density, T, zeta, extinction, field, h2 in REGIMES:
        n = density * atoms(network, rng, len(dt), 0.0, np.full(len(dt), h2))
        given = {"zeta": zeta, "A_V": extinction, "G0": field}
        at = {name: given[name] for name in network.conditions}
        (found, status), seconds = timed(NativeRosenbrock(network, threads=1).advance, n, dt, T, at)
        speed = len(dt) / seconds
        tight = NativeRosenbrock(network, rtol=1e-5, atol=1e-18, max_steps=100_000, threads=1)
        truth, _ = tight.advance(n, dt, T, at)
        worst = np.nanmax(dex_errors(found, truth, network.tables().scale_weights), axis=1)
        say(f"{network.name:18s} {label:14s} {speed:7.0f} {np.median(worst):9.4f} {worst.max():9.4f} "
            f"{np.sum(status < 0):6d} {found.min():9.1e}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--umist", required=True, help="the rate file of UMIST RATE22")
    parser.add_argument("--kida", help="the file of kida.uva.2024")
    parser.add_argument("--cells", type=int, default=384)
    parser.add_argument("--errors", type=int, default=96, help="cells whose errors are measured")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=HERE / "results" / "large_networks.txt")
    chosen = parser.parse_args()
    use_one_core()
    say = Table()
    say("Large networks: the native integrator on one core (python benchmarks/large_networks.py)", *describe_machine())
    say(f"instruction set {_native.isa()}; {chosen.cells} cells, errors of the first {chosen.errors}, "
        f"{chosen.repeats} repeats, seed {chosen.seed}")  # fmt: skip
    whole: list[Network] = []
    for label, path in (("umist", chosen.umist), ("kida", chosen.kida)):
        if path is None:
            continue
        start = time.process_time()
        network = load_network(path, label)
        read = time.process_time() - start
        closed = network.restricted()
        NativeRosenbrock(closed)
        say(f"{network!r}; closed: {closed.n_species} species; read {read:.2f} s, "
            f"ready to step {time.process_time() - start:.2f} s")  # fmt: skip
        whole.append(closed)
    say("")
    say("Errors in dex against rtol 1e-6, over species above 1e-12 n_H; cell: the worst species of a cell.")
    say("    N workload     rtol   cells/s  steps   species      cell     cell     cell fail")
    say("                                               p99    median      p99      max")
    sizes: list[int] = []
    speeds: dict[str, list[list[float]]] = {"arbitrary": [], "hydro-like": []}
    for elements, heavy in CUTS:
        cut = whole[0].restricted(elements.split() if elements else None, heavy)
        sizes.append(cut.n_species)
        for label, found in speeds.items():
            cells = workload(cut, chosen.cells, np.random.default_rng(chosen.seed), label == "hydro-like")
            found.append(measure(cut, cells, chosen.errors, chosen.repeats, say, label))
    for label, found in speeds.items():
        for rtol, of_rtol in zip(RTOLS, zip(*found[1:], strict=True), strict=True):
            slope = cost_slope(sizes[1:], list(of_rtol))
            say(f"cost of a cell, {label}, rtol {rtol:.0e}, fitted over N = {sizes[1]}..{sizes[-1]}: N^{slope:.2f}")
    for network in whole[1:]:
        say(f"{network.name}:")
        for hydro_like in (False, True):
            cells = workload(network, chosen.cells, np.random.default_rng(chosen.seed), hydro_like)
            measure(network, cells, chosen.errors, chosen.repeats, say, "hydro-like" if hydro_like else "arbitrary")
    say("")
    say("Cold starts from atoms, 16 cells to 10..1e7 yr, rtol 1e-2; errors in dex against rtol 1e-5.")
    say("network            regime         cells/s  cell med  cell max failed  lowest n")
    for network in whole:
        cold_starts(network, say)
    say.write(chosen.output)


if __name__ == "__main__":
    main()
