#!/usr/bin/env python3
"""The native integrator in the setting in which KROME was measured: 2000 states, dt 1e2 to 1e5 yr, one core.

Usage: python benchmarks/krome_setting.py [--cells N] [--repeats N] [--seed N] [--output FILE]

KROME's figures are of another run on a similar machine: KROME of 2024-03-26 (upstream master) on the same network,
gfortran 12 -O3, one core, rtol 1e-4, atol 1e-20, its fastest correct form (rates once per call). KROME is not run here,
and its 2000 states were other ones. Ours are those of workload.py. The truth is the native integrator at rtol 1e-9.
"Equal error" is the largest rtol of LADDER at which neither the median nor the largest error exceeds KROME's, "equal
median" the largest at which the median does not.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from machine import Table, describe_machine, repeated, use_one_core
from numpy.typing import NDArray
from workload import YEAR_S, Workload, dex_errors, workload

from pychemsurrogate import _native
from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.network import Network, load_network

HERE = Path(__file__).resolve().parent
LADDER = np.geomspace(1e-2, 1e-5, 31).tolist()
TARGET = 15.0  # times KROME's speed


@dataclass(frozen=True)
class Figures:
    """Cells per second, and median and largest error [dex] over all species and cells."""

    speed: float
    median: float
    largest: float


KROME = {  # dt [yr]
    1e2: Figures(8731, 1.7e-6, 2.7e-4),
    1e3: Figures(6253, 5.0e-6, 1.4e-3),
    1e4: Figures(2885, 6.1e-6, 8.4e-4),
    1e5: Figures(1340, 3.3e-6, 6.5e-4),
}


def measure(network: Network, cells: Workload, truth: NDArray[np.float64], rtol: float, repeats: int) -> Figures:
    """The native integrator on one thread; the median of the processor's time."""
    integrator = NativeRosenbrock(network, rtol=rtol, threads=1)
    (n, status), seconds = repeated(repeats, integrator.advance, *cells.given)
    if np.any(status < 0):
        raise RuntimeError(f"{np.sum(status < 0)} cells failed at rtol {rtol:g}")
    errors = dex_errors(n, truth, network.tables().scale_weights)
    return Figures(len(cells) / float(np.median(seconds)), float(np.nanmedian(errors)), float(np.nanmax(errors)))


def main() -> None:
    """Run the benchmark, print its table and write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=HERE / "results" / "krome_setting.txt")
    options = parser.parse_args()
    use_one_core()
    say = Table()
    network = load_network("osu_09_2008")
    say(f"native integrator ({_native.isa()}) in KROME's setting, one core", *describe_machine())
    say(f"{options.cells} states, seed {options.seed}; {options.repeats} repeats, the median of the processor's time")
    say("KROME: NOT this run. Another run on a similar machine: KROME 2024-03-26, gfortran 12 -O3, rtol 1e-4,")
    say("       atol 1e-20, rates once per call (its fastest correct form), 2000 other states")
    say("errors in dex, median and max over all species with n/n_H > 1e-12; x: times KROME's cells/s")
    say()
    layout = "{:>7} {:<13}{:>9}{:>9}{:>10}{:>10}{:>8}"
    say(layout.format("dt [yr]", "", "rtol", "cells/s", "median", "max", "x"))

    def row(dt_yr: float, name: str, rtol: float, figures: Figures, ratio: str) -> None:
        errors = f"{figures.median:.1e}", f"{figures.largest:.1e}"
        say(layout.format(f"{dt_yr:.0e}", name, f"{rtol:.1e}", f"{figures.speed:.0f}", *errors, ratio))

    states = workload(network, options.cells, options.seed)
    ratios = {}
    for dt_yr, krome in KROME.items():
        cells = replace(states, dt=np.full(len(states), dt_yr * YEAR_S))
        tight = NativeRosenbrock(network, rtol=1e-9, atol=1e-22, max_steps=100_000, threads=1)
        truth, _ = tight.advance(*cells.given)
        row(dt_yr, "KROME, quoted", 1e-4, krome, "")
        tried = {rtol: measure(network, cells, truth, rtol, 1) for rtol in LADDER}
        medians = [rtol for rtol, figures in tried.items() if figures.median <= krome.median]
        choices = {
            "equal error": max(rtol for rtol in medians if tried[rtol].largest <= krome.largest),
            "equal median": max(medians),
            "default": LADDER[0],
        }
        for name, rtol in choices.items():
            figures = measure(network, cells, truth, rtol, options.repeats)
            ratios[name, dt_yr] = figures.speed / krome.speed
            row(dt_yr, name, rtol, figures, f"{ratios[name, dt_yr]:.1f}")
    say()
    for name in ("equal error", "equal median", "default"):
        short = [f"{dt:.0e} yr ({ratios[name, dt]:.1f} x)" for dt in KROME if ratios[name, dt] < TARGET]
        verdict = f"not reached at dt = {', '.join(short)}" if short else "reached at every dt"
        say(f"{name}: {TARGET:g} x KROME {verdict}")
    say.write(options.output)


if __name__ == "__main__":
    main()
