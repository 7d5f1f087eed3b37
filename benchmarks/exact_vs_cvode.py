#!/usr/bin/env python3
"""The native integrator against CVODE with KLU, on one core, in one run: speed and accuracy at a ladder of tolerances.

Usage: python benchmarks/exact_vs_cvode.py [--cells N] [--repeats N] [--seed N] [--output FILE]

Needs g++ and SUNDIALS (apt-get install libsundials-dev; `make bench` does it). Every solver gets the same cells
(workload.py); the truth is CVODE at rtol 1e-10, atol 1e-22, held against the native integrator at rtol 1e-9. Times
cover rate coefficients, loading and storing. The solvers take turns on blocks of the workload, so that whatever else
the machine does disturbs all of them alike; the processor's time is measured and the median of the repeats counts.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
from machine import describe_machine
from network_code import network_code
from numpy.typing import NDArray
from workload import STEPS_YR, Workload, cell_errors, dex_errors, workload

from pychemsurrogate import _native
from pychemsurrogate.network import Network, load_network

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build" / "benchmarks"
SUNDIALS = ["sundials_cvode", "sundials_nvecserial", "sundials_sunlinsolklu", "sundials_sunmatrixsparse"]
FLAGS = ["-std=c++20", "-O3", "-march=native", "-shared", "-fPIC"]

LADDER = (1e-2, 3e-3, 1e-3, 1e-4, 1e-6)
NATIVE_ATOL = 1e-15
CVODE_ATOL = (1e-14, 1e-15, 1e-17)
BLOCK = 1024  # cells

FloatArray = NDArray[np.float64]


@dataclass
class Run:
    """What one solver made of its cells."""

    n: FloatArray
    steps: int
    factorisations: int
    failed: int


@dataclass
class Entry:
    """A solver at one tolerance: how to run it, and what came out."""

    solver: str
    rtol: float
    atol: float
    advance: Callable[[Workload], Run]
    speeds: list[float] = field(default_factory=list)
    blocks: list[Run] = field(default_factory=list)

    @property
    def speed(self) -> float:
        """Median cells per second."""
        return float(np.median(self.speeds))

    @property
    def n(self) -> FloatArray:
        """The answers of the last repeat."""
        return np.concatenate([block.n for block in self.blocks])

    def total(self, count: str) -> int:
        """The sum of a count over the last repeat."""
        return sum(getattr(block, count) for block in self.blocks)


def measure(entries: list[Entry], cells: Workload) -> None:
    """One repeat: the solvers take turns on every block."""
    seconds = dict.fromkeys(range(len(entries)), 0.0)
    for entry in entries:
        entry.blocks.clear()
    for begin in range(0, len(cells), BLOCK):
        block = cells[begin : begin + BLOCK]
        for i, entry in enumerate(entries):
            start = time.process_time()
            run = entry.advance(block)
            seconds[i] += time.process_time() - start
            entry.blocks.append(run)
    for i, entry in enumerate(entries):
        entry.speeds.append(len(cells) / seconds[i])


def compile_cvode(network: Network) -> ctypes.CDLL:
    """Compile cvode_driver.cpp with the network's code and load it."""
    if not Path("/usr/include/cvode/cvode.h").exists():
        raise SystemExit("SUNDIALS is not installed: run `make bench`, or apt-get install libsundials-dev")
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "network_code.hpp").write_text(network_code(network), encoding="utf-8")
    library = BUILD / "libcvode_driver.so"
    includes = [f"-I{BUILD}", "-I/usr/include/suitesparse"]
    link = [f"-l{name}" for name in SUNDIALS]
    subprocess.run(["g++", *FLAGS, *includes, HERE / "cvode_driver.cpp", "-o", library, *link], check=True)
    return ctypes.CDLL(str(library))


def cvode(driver: ctypes.CDLL, rtol: float, atol: float) -> Callable[[Workload], Run]:
    """CVODE-KLU: BDF with the analytic sparse Jacobian."""

    def advance(cells: Workload) -> Run:
        n = cells.n.copy()
        counts = (ctypes.c_int64 * 3)()
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (n, cells.dt, cells.temperature, cells.zeta)]
        if driver.cvode_advance(
            ctypes.c_int64(len(n)), *pointers, ctypes.c_double(rtol), ctypes.c_double(atol), counts
        ):
            raise RuntimeError("CVODE could not be set up")
        return Run(n, counts[0], counts[1], counts[2])

    return advance


def native(network: Network, rtol: float, atol: float) -> Callable[[Workload], Run]:
    """The native Rosenbrock method on one thread."""
    tables = network.tables()
    solver = _native.Solver({item.name: getattr(tables, item.name) for item in fields(tables)})
    for key, value in {"rtol": rtol, "atol": atol, "threads": 1, "max_steps": 100_000}.items():
        solver.set_option(key, str(value))

    def advance(cells: Workload) -> Run:
        n, status = cells.n.copy(), np.zeros(len(cells), np.int8)
        zeta = np.ascontiguousarray(cells.zeta[:, None])
        report = solver.step(n, cells.dt, cells.temperature, zeta, status)
        steps = int(report["steps"])
        return Run(n, steps, steps, int(report["failed"]))

    return advance


def interpolated_speed(entries: list[Entry], errors: list[float], error: float) -> float:
    """Cells per second at a given error: log-log between the entries, at the ends the nearest entry."""
    order = np.argsort(errors)
    logs = np.log(np.array(errors)[order]), np.log([entries[i].speed for i in order])
    return float(np.exp(np.interp(np.log(error), *logs)))


def main() -> None:
    """Run the benchmark, print its tables and write them to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=HERE / "results" / "exact_vs_cvode.txt")
    options = parser.parse_args()

    lines: list[str] = []

    def say(text: str = "") -> None:
        print(text, flush=True)
        lines.append(text)

    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # one core for all of them
    network = load_network("osu_09_2008")
    weights = network.tables().scale_weights
    driver = compile_cvode(network)
    sundials = re.findall(r'SUNDIALS_VERSION "(.*?)"', Path("/usr/include/sundials/sundials_config.h").read_text())
    say(f"native integrator ({_native.isa()}) and CVODE-KLU (SUNDIALS {sundials[0]}, {' '.join(FLAGS)}), one core")
    for line in describe_machine():
        say(line)

    cells = workload(network, options.cells, options.seed)
    steps_yr = ", ".join(f"{dt:g}" for dt in STEPS_YR)
    say(f"workload: {len(cells)} cells, seed {options.seed}, dt {steps_yr} yr in turn; {options.repeats} repeats")
    truth = cvode(driver, 1e-10, 1e-22)(cells)
    check = native(network, 1e-9, 1e-22)(cells)
    difference = cell_errors(check.n, truth.n, weights)
    say(f"truth: CVODE rtol 1e-10, {truth.failed} failed; native at rtol 1e-9, {check.failed} failed, differs in a")
    say(f"       cell's worst species by {np.median(difference):.1e} (median), {difference.max():.1e} dex (max)")

    entries = [Entry("native", rtol, NATIVE_ATOL, native(network, rtol, NATIVE_ATOL)) for rtol in LADDER]
    entries += [Entry("cvode_klu", rtol, atol, cvode(driver, rtol, atol)) for atol in CVODE_ATOL for rtol in LADDER]
    for _ in range(options.repeats):
        measure(entries, cells)

    say()
    say("errors in dex over species with n/n_H > 1e-12; cell: the worst species of a cell; lu: factorisations a cell")
    header = (
        "solver",
        "rtol",
        "atol",
        "cells/s",
        "(range)",
        "steps",
        "lu",
        "sp. med.",
        "sp. p99",
        "cell med.",
        "cell p99",
    )
    say("{:<10}{:>6}{:>7}{:>9}{:>16}{:>7}{:>7}{:>9}{:>9}{:>10}{:>9}{:>9}{:>7}".format(*header, "max", "failed"))
    p99 = {}
    for entry in entries:
        species = dex_errors(entry.n, truth.n, weights)
        cell = cell_errors(entry.n, truth.n, weights)
        p99[id(entry)] = float(np.quantile(cell, 0.99))
        spread = f"({min(entry.speeds):.0f}-{max(entry.speeds):.0f})"
        say(
            f"{entry.solver:<10}{entry.rtol:>6.0e}{entry.atol:>7.0e}{entry.speed:>9.0f}{spread:>16}"
            f"{entry.total('steps') / len(cells):>7.1f}{entry.total('factorisations') / len(cells):>7.1f}"
            f"{np.nanmedian(species):>9.1e}{np.nanquantile(species, 0.99):>9.1e}"
            f"{np.median(cell):>10.1e}{p99[id(entry)]:>9.1e}{cell.max():>9.1e}{entry.total('failed'):>7}"
        )

    ours = [entry for entry in entries if entry.solver == "native"]
    theirs = [entry for entry in entries if entry.solver != "native"]
    say()
    say("equal rtol (CVODE with the faster atol)")
    for entry in ours:
        best = max((e for e in theirs if e.rtol == entry.rtol), key=lambda e: e.speed)
        ratio = f"{entry.speed / best.speed:.1f} x"
        say(f"  rtol {entry.rtol:.0e}: native {entry.speed:.0f}, CVODE {best.speed:.0f} cells/s: {ratio}")
    say("equal cell p99 (native: log-log interpolation between its rows)")
    for entry in theirs:
        speed = interpolated_speed(ours, [p99[id(e)] for e in ours], p99[id(entry)])
        say(
            f"  p99 {p99[id(entry)]:.1e} dex (CVODE rtol {entry.rtol:.0e}, atol {entry.atol:.0e}): native {speed:.0f}, "
            f"CVODE {entry.speed:.0f} cells/s: {speed / entry.speed:.1f} x"
        )
    say(f"load average at the end: {os.getloadavg()[0]:.2f}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
