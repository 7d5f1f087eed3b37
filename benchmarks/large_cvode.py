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
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path

import numpy as np
from cvode import FLAGS, KLU_ORDERINGS, Cvode, sundials_version
from exact_integrator import Entry, interpolated_speed, measure
from large_networks import CUTS, workload
from machine import Table, describe_machine, timed, use_one_core
from solvers import cvode, native
from workload import Workload, cell_errors

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


def best_ordering(network: Network, cells: Workload, say: Callable[[str], None]) -> Cvode:
    """Times all of KLU's orderings and returns the driver with the fastest."""
    found = []
    for ordering in KLU_ORDERINGS:
        for btf in (True, False):
            driver = Cvode(network, ordering, btf)
            answer, seconds = timed(driver.advance, cells, CVODE_RTOLS[0], CVODE_ATOLS[1])
            per_cell = 1e3 * seconds / len(cells)
            say(
                f"{network.n_species:5d} {ordering:10s} {'on' if btf else 'off':3s} {answer.factor_entries:9d} "
                f"{per_cell:10.2f} {answer.factorisations / len(cells):9.1f} {answer.failed:6d}"
            )
            found.append((seconds, ordering, btf, driver))
    default = next(seconds for seconds, ordering, btf, _ in found if (ordering, btf) == SUNDIALS_DEFAULT)
    seconds, ordering, btf, driver = min(found, key=lambda item: item[0])
    say(
        f"      fastest: {ordering}, block triangular form {'on' if btf else 'off'}; SUNDIALS' default "
        f"({SUNDIALS_DEFAULT[0]}, on) takes {default / seconds:.1f} times as long"
    )
    return driver


def compare(network: Network, cells: Workload, driver: Cvode, repeats: int) -> tuple[list[str], dict[float, float]]:
    """The table's lines for one network, and the least ratio at equal cell p99 for every rtol of CVODE."""
    S, weights = network.n_species, network.tables().scale_weights
    truth, check = driver.advance(cells, *TRUTH), native(network, *TRUTH)(cells)
    difference = cell_errors(check.n, truth.n, weights)
    lines = [
        f"{S:5d} truth: {truth.failed} failed; native at rtol 1e-8, {check.failed} failed, differs in a cell's worst "
        f"species by {np.median(difference):.1e} (median), {difference.max():.1e} dex (max)"
    ]
    mine = [Entry("native", rtol, NATIVE_ATOL, native(network, rtol, NATIVE_ATOL)) for rtol in NATIVE_RTOLS]
    klus = [Entry("cvode_klu", rtol, atol, cvode(driver, rtol, atol)) for rtol in CVODE_RTOLS for atol in CVODE_ATOLS]
    turns = [entry for pair in zip_longest(mine, klus) for entry in pair if entry]
    for _ in range(repeats):
        measure(turns, cells)
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
    use_one_core()
    say = Table()
    say("Large networks: the native integrator and CVODE-KLU on one core (python benchmarks/large_cvode.py)")
    say(*describe_machine())
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
            ready.append((network, cells, best_ordering(network, cells[:ORDERING_CELLS], say)))
    say()
    say("errors in dex over species with n/n_H > 1e-12; cell: the worst species of a cell; lu: factorisations a cell")
    say("    N solver       rtol   atol   cells/s   steps     lu cell med.  cell p99       max failed")
    found = {}
    for network, cells, driver in ready:
        table, found[network.n_species] = compare(network, cells, driver, options.repeats)
        say(*table)
    say()
    say("times CVODE-KLU at equal cell p99 (native: log-log between its rows, at the ends the nearest row); of CVODE's")
    say("absolute tolerances the one with the least ratio")
    say("    N" + "".join(f"   CVODE rtol {rtol:.0e}" for rtol in CVODE_RTOLS))
    for species, ratios in found.items():
        say(f"{species:5d}" + "".join(f"{ratios[rtol]:16.1f} x" for rtol in CVODE_RTOLS))
    say.write(options.output)


if __name__ == "__main__":
    main()
