#!/usr/bin/env python3
"""Work and precision of the native integrator, CVODE (KLU and dense) and scipy's BDF: one core, one run.

Usage: python benchmarks/exact_integrator.py [--cells N] [--repeats N] [--seed N] [--output FILE] [--figure FILE]

Needs g++, matplotlib and SUNDIALS (apt-get install libsundials-dev); `make bench` installs them. Every solver gets the
same cells (workload.py), scipy the first SCIPY_CELLS of them, once. The truth is CVODE at rtol 1e-10, atol 1e-22, held
against the native integrator at rtol 1e-9. Times cover rate coefficients, loading and storing. The compiled solvers
take turns on blocks of the workload, so that whatever else the machine does disturbs all of them alike; the processor's
time is measured and the median of the repeats counts.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from cvode import FLAGS, Cvode, sundials_version
from machine import Table, describe_machine, timed, use_one_core
from numpy.typing import NDArray
from solvers import Advance, cvode, native, scipy_bdf
from workload import STEPS_YR, Answer, Workload, cell_errors, dex_errors, workload

from pychemsurrogate import _native
from pychemsurrogate.network import load_network

HERE = Path(__file__).resolve().parent

LADDER = (1e-2, 3e-3, 1e-3, 1e-4, 1e-6)
NATIVE_ATOL = 1e-15
KLU_ATOL = (1e-14, 1e-15, 1e-17)
ATOL = 1e-15  # of CVODE dense, whose steps are those of KLU, and of scipy
BLOCK = 1024  # cells
SCIPY_CELLS = 256
EQUAL_P99 = (1e-4, 7e-2)  # dex: the range of the stated ratio

FloatArray = NDArray[np.float64]


@dataclass
class Entry:
    """A solver at one tolerance: how to run it, and what came out."""

    solver: str
    rtol: float
    atol: float
    advance: Advance
    speeds: list[float] = field(default_factory=list)
    blocks: list[Answer] = field(default_factory=list)
    p99: float = np.nan  # dex, the error that 99 % of the cells keep

    @property
    def speed(self) -> float:
        """Median cells per second."""
        return float(np.median(self.speeds))

    @property
    def n(self) -> FloatArray:
        """The answers of the last repeat."""
        return np.concatenate([block.n for block in self.blocks])

    @property
    def failed(self) -> int:
        """Cells of the last repeat that the solver gave up on."""
        return sum(block.failed for block in self.blocks)

    def per_cell(self, count: str) -> str:
        """A count of the last repeat per cell, "-" where the solver does not tell."""
        counts = [getattr(block, count) for block in self.blocks]
        return "-" if None in counts else f"{sum(counts) / len(self.n):.1f}"


def measure(entries: list[Entry], cells: Workload) -> None:
    """One repeat: the solvers take turns on every block."""
    seconds = dict.fromkeys(range(len(entries)), 0.0)
    for entry in entries:
        entry.blocks.clear()
    for begin in range(0, len(cells), BLOCK):
        block = cells[begin : begin + BLOCK]
        for i, entry in enumerate(entries):
            answer, taken = timed(entry.advance, block)
            seconds[i] += taken
            entry.blocks.append(answer)
    for i, entry in enumerate(entries):
        entry.speeds.append(len(cells) / seconds[i])


def interpolated_speed(entries: list[Entry], error: float) -> float:
    """Cells per second at a given cell p99: log-log between the entries, at the ends the nearest entry."""
    ordered = sorted(entries, key=lambda entry: entry.p99)
    logs = np.log([entry.p99 for entry in ordered]), np.log([entry.speed for entry in ordered])
    return float(np.exp(np.interp(np.log(error), *logs)))


def least_ratio(ours: list[Entry], curves: list[list[Entry]]) -> tuple[float, float]:
    """The least ratio of our speed to the fastest of the curves at equal cell p99 within EQUAL_P99, and that p99."""
    return min(
        (interpolated_speed(ours, error) / max(interpolated_speed(curve, error) for curve in curves), error)
        for error in np.geomspace(*EQUAL_P99, 50)
    )


def draw(path: Path, curves: dict[str, list[Entry]]) -> None:
    """The work-precision diagram: cell p99 error against cells per second; up and left is better."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    style = {"font.family": "serif", "font.size": 9, "mathtext.fontset": "cm", "axes.linewidth": 0.8}
    with pyplot.rc_context(style):
        figure, axes = pyplot.subplots(figsize=(5.0, 3.6), layout="constrained")
        above, below = ((-2, 7), "right"), ((0, -16), "center")  # above a rising line, below it
        looks = [
            ("o-", "#b2182b", above),
            ("s-", "#2166ac", above),
            ("D--", "#67a9cf", below),
            ("^:", "#555555", above),
        ]
        for (label, entries), (line, colour, (offset, side)) in zip(curves.items(), looks, strict=True):
            ordered = sorted(entries, key=lambda entry: entry.rtol)
            errors, speeds = [entry.p99 for entry in ordered], [entry.speed for entry in ordered]
            axes.loglog(errors, speeds, line, color=colour, markersize=4.5, linewidth=1.3)
            middle = (errors[2], speeds[2])
            axes.annotate(label, middle, offset, textcoords="offset points", ha=side, color=colour)
        axes.set_xlabel("error of the worst species, 99th percentile of cells [dex]")
        axes.set_ylabel(r"cells per second and core [s$^{-1}$]")
        axes.grid(True, which="major", linewidth=0.4, color="0.85")
        axes.set_axisbelow(True)
        axes.tick_params(which="both", direction="in", top=True, right=True)
        axes.set_ylim(top=3e5)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=200)
        pyplot.close(figure)


def main() -> None:
    """Run the benchmark, print its tables and write them to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=HERE / "results" / "exact_integrator.txt")
    parser.add_argument("--figure", type=Path, default=HERE.parent / "docs" / "figures" / "work_precision.png")
    options = parser.parse_args()
    use_one_core()
    say = Table()
    network = load_network("osu_09_2008")
    weights = network.tables().scale_weights
    driver = Cvode(network)
    theirs = f"SUNDIALS {sundials_version()}, {' '.join(FLAGS)}"
    say(f"native integrator ({_native.isa()}), CVODE ({theirs}), scipy BDF; one core", *describe_machine())

    cells = workload(network, options.cells, options.seed)
    steps_yr = ", ".join(f"{dt:g}" for dt in STEPS_YR)
    say(f"workload: {len(cells)} cells, seed {options.seed}, dt {steps_yr} yr in turn; {options.repeats} repeats")
    truth = cvode(driver, 1e-10, 1e-22)(cells)
    check = native(network, 1e-9, 1e-22)(cells)
    difference = cell_errors(check.n, truth.n, weights)
    say(f"truth: CVODE rtol 1e-10, {truth.failed} failed; native at rtol 1e-9, {check.failed} failed, differs in a")
    say(f"       cell's worst species by {np.median(difference):.1e} (median), {difference.max():.1e} dex (max)")

    ours = [Entry("native", rtol, NATIVE_ATOL, native(network, rtol, NATIVE_ATOL)) for rtol in LADDER]
    klu = {atol: [Entry("cvode_klu", rtol, atol, cvode(driver, rtol, atol)) for rtol in LADDER] for atol in KLU_ATOL}
    dense = [Entry("cvode_dense", rtol, ATOL, cvode(driver, rtol, ATOL, dense=True)) for rtol in LADDER]
    scipys = [Entry("scipy_bdf*", rtol, ATOL, scipy_bdf(network, rtol, ATOL)) for rtol in LADDER]
    klus = [entry for curve in klu.values() for entry in curve]
    for _ in range(options.repeats):
        measure([*ours, *klus, *dense], cells)
    measure(scipys, cells[:SCIPY_CELLS])

    say()
    say("errors in dex over species with n/n_H > 1e-12; cell: the worst species of a cell; lu: factorisations a cell")
    say(f"* scipy: the first {SCIPY_CELLS} cells alone, once; its percentiles are of these cells")
    layout = "{:<12}{:>6}{:>7}{:>9}{:>16}{:>7}{:>7}{:>9}{:>9}{:>10}{:>9}{:>9}{:>7}"
    counts = ("solver", "rtol", "atol", "cells/s", "(range)", "steps", "lu")
    say(layout.format(*counts, "sp. med.", "sp. p99", "cell med.", "cell p99", "max", "failed"))
    for entry in [*ours, *klus, *dense, *scipys]:
        expected = truth.n[: len(entry.n)]
        species = dex_errors(entry.n, expected, weights)
        cell = cell_errors(entry.n, expected, weights)
        entry.p99 = float(np.quantile(cell, 0.99))
        figures = (np.nanmedian(species), np.nanquantile(species, 0.99), np.median(cell), entry.p99, cell.max())
        say(
            layout.format(
                entry.solver,
                f"{entry.rtol:.0e}",
                f"{entry.atol:.0e}",
                f"{entry.speed:.0f}",
                f"({min(entry.speeds):.0f}-{max(entry.speeds):.0f})",
                entry.per_cell("steps"),
                entry.per_cell("factorisations"),
                *(f"{figure:.1e}" for figure in figures),
                entry.failed,
            )
        )

    say()
    say("equal rtol (KLU with the fastest atol)")
    for i, entry in enumerate(ours):
        peers = {
            "KLU": max(curve[i].speed for curve in klu.values()),
            "dense": dense[i].speed,
            "scipy": scipys[i].speed,
        }
        ratios = ", ".join(f"{entry.speed / speed:.1f} x {name} ({speed:.0f})" for name, speed in peers.items())
        say(f"  rtol {entry.rtol:.0e}: native {entry.speed:.0f} cells/s: {ratios}")
    say("equal cell p99 (native: log-log interpolation between its rows)")
    for entry in [*klus, *dense, *scipys]:
        speed = interpolated_speed(ours, entry.p99)
        say(
            f"  p99 {entry.p99:.1e} dex ({entry.solver} rtol {entry.rtol:.0e}, atol {entry.atol:.0e}): "
            f"native {speed:.0f}, {entry.solver} {entry.speed:.0f} cells/s: {speed / entry.speed:.1f} x"
        )
    say(f"least ratio at equal cell p99 between {EQUAL_P99[0]:.0e} and {EQUAL_P99[1]:.0e} dex, both sides interpolated")
    for name, curves in {"CVODE-KLU, its fastest atol": [*klu.values()], "CVODE dense": [dense]}.items():
        ratio, error = least_ratio(ours, curves)
        say(f"  {name}: {ratio:.1f} x, at {error:.1e} dex")
    named = {"pychemsurrogate, native": ours, "CVODE, KLU": klu[1e-15], "CVODE, dense": dense, "scipy BDF": scipys}
    draw(options.figure, named)
    say.write(options.output)


if __name__ == "__main__":
    main()
