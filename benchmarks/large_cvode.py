#!/usr/bin/env python3
"""How many times as fast as CVODE-KLU at equal error, on networks of 69 to 736 species: one core, one run.

Usage: python benchmarks/large_cvode.py --umist PATH [--cells N] [--repeats N] [--seed N] [--output FILE]

Needs g++, SUNDIALS (apt-get install libsundials-dev) and the rate file of UMIST RATE22, of which the networks are cut.
Both solvers get the same cells (the workload "arbitrary" of large_networks.py) and pay for rate coefficients, loading
and storing; CVODE has its analytic Jacobian (cvode_network.hpp). First KLU's orderings are compared, on few cells, by
processor time; the best serves in what follows. Then both run a ladder of tolerances, CVODE at three absolute
tolerances, in turns; the processor's time is measured and the median of the repeats counts. The truth is CVODE at rtol
1e-8, held against the native integrator at rtol 1e-8. Five minutes on an idle core.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import fields
from itertools import zip_longest
from pathlib import Path

import numpy as np
from cvode import FLAGS, KLU_ORDERINGS, Answer, Cvode, sundials_version
from exact_integrator import Entry, interpolated_speed
from large_networks import CUTS, Cells, workload
from machine import describe_machine
from workload import cell_errors

from pychemsurrogate import _native
from pychemsurrogate.network import Network, load_network

HERE = Path(__file__).resolve().parent
NATIVE_RTOLS = (3e-2, 1e-2, 3e-3, 1e-3, 1e-4, 1e-5)
NATIVE_ATOL = 1e-15
CVODE_RTOLS = (1e-2, 1e-3, 1e-4)
CVODE_ATOLS = (1e-14, 1e-15, 1e-17)
TRUTH = (1e-8, 1e-20)  # rtol, atol
ORDERING_CELLS = 2
SUNDIALS_DEFAULT = ("COLAMD", True)
Solver = Callable[[Cells, float, float], Answer]


def native(network: Network) -> Solver:
    """The native Rosenbrock method on one thread."""
    tables = network.tables()
    solver = _native.Solver({item.name: getattr(tables, item.name) for item in fields(tables)})

    def advance(cells: Cells, rtol: float, atol: float) -> Answer:
        for key, value in {"rtol": rtol, "atol": atol, "threads": 1, "max_steps": 100_000}.items():
            solver.set_option(key, str(value))
        n, status = cells.n.copy(), np.zeros(len(cells.n), np.int8)
        conditions = np.stack([cells.conditions[name] for name in network.conditions], axis=1)
        report = solver.step(n, cells.dt, cells.temperature, conditions, status)
        steps = int(report["steps"])
        return Answer(n, steps, steps, int(report["failed"]), 0)

    return advance


def klu(network: Network, ordering: str, btf: bool) -> Solver:
    """CVODE with KLU so ordered."""
    driver = Cvode(network, ordering, btf)
    return lambda cells, rtol, atol: driver.advance(cells.n, cells.dt, cells.temperature, cells.conditions, rtol, atol)


def timed(solver: Solver, cells: Cells, rtol: float, atol: float) -> tuple[Answer, float]:
    """The answer and the processor's seconds."""
    start = time.process_time()
    answer = solver(cells, rtol, atol)
    return answer, time.process_time() - start


def first(cells: Cells, count: int) -> Cells:
    """The first `count` cells."""
    conditions = {name: values[:count] for name, values in cells.conditions.items()}
    return Cells(cells.n[:count], cells.dt[:count], cells.temperature[:count], conditions)


def best_ordering(network: Network, cells: Cells, say: Callable[[str], None]) -> Solver:
    """Times all of KLU's orderings and returns the fastest."""
    found = []
    for ordering in KLU_ORDERINGS:
        for btf in (True, False):
            solver = klu(network, ordering, btf)
            answer, seconds = timed(solver, cells, CVODE_RTOLS[0], CVODE_ATOLS[1])
            per_cell = 1e3 * seconds / len(cells.n)
            say(
                f"{network.n_species:5d} {ordering:10s} {'on' if btf else 'off':3s} {answer.factor_entries:9d} "
                f"{per_cell:10.2f} {answer.factorisations / len(cells.n):9.1f} {answer.failed:6d}"
            )
            found.append((seconds, ordering, btf, solver))
    default = next(seconds for seconds, ordering, btf, _ in found if (ordering, btf) == SUNDIALS_DEFAULT)
    seconds, ordering, btf, solver = min(found, key=lambda item: item[0])
    say(
        f"      fastest: {ordering}, block triangular form {'on' if btf else 'off'}; SUNDIALS' default "
        f"({SUNDIALS_DEFAULT[0]}, on) takes {default / seconds:.1f} times as long"
    )
    return solver


def compare(network: Network, cells: Cells, theirs: Solver, repeats: int) -> tuple[list[str], dict[float, float]]:
    """The table's lines for one network, and the least ratio at equal cell p99 for every rtol of CVODE."""
    S, count, ours = network.n_species, len(cells.n), native(network)
    weights = network.tables().scale_weights
    truth, check = theirs(cells, *TRUTH), ours(cells, *TRUTH)
    difference = cell_errors(check.n, truth.n, weights)
    lines = [
        f"{S:5d} truth: {truth.failed} failed; native at rtol 1e-8, {check.failed} failed, differs in a cell's worst "
        f"species by {np.median(difference):.1e} (median), {difference.max():.1e} dex (max)"
    ]
    mine = [Entry("native", rtol, NATIVE_ATOL, ours) for rtol in NATIVE_RTOLS]
    klus = [Entry("cvode_klu", rtol, atol, theirs) for rtol in CVODE_RTOLS for atol in CVODE_ATOLS]
    for _ in range(repeats):
        for entry in (turn for pair in zip_longest(mine, klus) for turn in pair if turn):
            answer, seconds = timed(entry.advance, cells, entry.rtol, entry.atol)
            entry.speeds.append(count / seconds)
            entry.blocks = [answer]
    for entry in [*mine, *klus]:
        cell = cell_errors(entry.n, truth.n, weights)
        entry.p99 = float(np.quantile(cell, 0.99))
        lines.append(
            f"{S:5d} {entry.solver:10s} {entry.rtol:6.0e} {entry.atol:6.0e} {entry.speed:9.1f} "
            f"{entry.per_cell('steps'):>7s} {entry.per_cell('factorisations'):>6s} {np.median(cell):9.1e} "
            f"{entry.p99:9.1e} {cell.max():9.1e} {entry.failed:5d}"
        )
    ratios: dict[float, float] = {}
    for entry in klus:
        ratio = interpolated_speed(mine, entry.p99) / entry.speed
        ratios[entry.rtol] = min(ratio, ratios.get(entry.rtol, np.inf))
    return lines, ratios


def main() -> None:
    """Run the benchmark, print its tables and write them to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--umist", required=True, help="the rate file of UMIST RATE22")
    parser.add_argument("--cells", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--max-species", type=int, default=1000, help="leave larger networks out")
    parser.add_argument("--output", type=Path, default=HERE / "results" / "large_cvode.txt")
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    lines: list[str] = []

    def say(line: str = "") -> None:
        print(line, flush=True)
        lines.append(line)

    say("Large networks: the native integrator and CVODE-KLU on one core (python benchmarks/large_cvode.py)")
    for line in describe_machine():
        say(line)
    say(f"instruction set {_native.isa()}; SUNDIALS {sundials_version()}, driver {' '.join(FLAGS)}")
    say(f"UMIST RATE22; {options.cells} cells, seed {options.seed}, {options.repeats} repeats")
    say()
    say(
        f"KLU's orderings on {ORDERING_CELLS} cells, rtol 1e-2, atol 1e-15; btf: block triangular form; entries of L, U"
    )
    say("    N ordering   btf   entries    ms/cell        lu failed")
    whole = load_network(options.umist)
    networks = [whole.restricted(elements.split() if elements else None, heavy) for elements, heavy in CUTS[1:]]
    ready = []
    for network in networks:
        if network.n_species <= options.max_species:
            cells = workload(network, options.cells, np.random.default_rng(options.seed), hydro_like=False)
            ready.append((network, cells, best_ordering(network, first(cells, ORDERING_CELLS), say)))
    say()
    say("errors in dex over species with n/n_H > 1e-12; cell: the worst species of a cell; lu: factorisations a cell")
    say("    N solver       rtol   atol   cells/s   steps     lu cell med.  cell p99       max failed")
    found = {}
    for network, cells, theirs in ready:
        table, found[network.n_species] = compare(network, cells, theirs, options.repeats)
        for line in table:
            say(line)
    say()
    say("times CVODE-KLU at equal cell p99 (native: log-log between its rows, at the ends the nearest row); of CVODE's")
    say("absolute tolerances the one with the least ratio")
    say("    N" + "".join(f"   CVODE rtol {rtol:.0e}" for rtol in CVODE_RTOLS))
    for species, ratios in found.items():
        say(f"{species:5d}" + "".join(f"{ratios[rtol]:16.1f} x" for rtol in CVODE_RTOLS))
    say(f"load average at the end: {os.getloadavg()[0]:.2f}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
