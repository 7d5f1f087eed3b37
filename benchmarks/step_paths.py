#!/usr/bin/env python3
"""Does the surrogate pay? The learned, the routed and the exact step on the same cells, on one core, in one run.

Usage: python benchmarks/step_paths.py [--cells N] [--repeats N] [--seed N] [--model NAME] [--output FILE]

Hydro-like cells have aged and then made three steps of 1e3..1e4 yr while T and n_H walked by 0.02 and 0.04 dex a step;
the fourth is timed. Arbitrary ones are those of workload.py. The truth is the exact integrator at rtol 1e-7. Ratios
are against the exact integrator at its default tolerance: the honest peer of a surrogate.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from machine import Table, describe_machine, repeated, use_one_core
from workload import YEAR_S, Workload, cell_errors, workload

from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.network import Network
from pychemsurrogate.solver import Solver

HERE = Path(__file__).resolve().parent
MODES = ("exact", "auto", "surrogate")
FLOOR = 1e-10  # n / n_H above which a surrogate's error counts


def hydro_like(network: Network, cells: int, seed: int) -> Workload:
    """Relaxed cells in the middle of a hydro run, within the shipped model's box."""
    rng = np.random.default_rng(seed)
    start = workload(network, cells, seed)
    exact = NativeRosenbrock(network, rtol=1e-5)
    temperature = np.clip(start.temperature, 10.0, 300.0)
    n, _ = exact.advance(start.n, 10.0 ** rng.uniform(4, 6, cells) * YEAR_S, temperature, start.conditions)
    for step in range(4):
        temperature = np.clip(temperature * 10.0 ** rng.normal(0, 0.02, cells), 10.0, 300.0)
        n = n * 10.0 ** rng.normal(0, 0.04, cells)[:, None]
        dt = 10.0 ** rng.uniform(3, 4, cells) * YEAR_S
        if step < 3:
            n, _ = exact.advance(n, dt, temperature, start.conditions)
    return Workload(n, dt, temperature, start.conditions)


def table(model: str, cells: int, repeats: int, seed: int) -> list[str]:
    """The lines of the report."""
    solvers = {mode: Solver.load(model, mode=mode, threads=1) for mode in MODES}
    network = solvers["exact"].network
    weights = network.tables().scale_weights
    lines = [
        f"{'cells':12s} {'mode':10s} {'cells/s':>9s} {'x exact':>8s} {'surrogate':>10s} {'median':>8s} {'p99':>8s} "
        f"{'max':>8s} {'accepted p99':>13s}"
    ]
    for name, make in (("hydro-like", hydro_like), ("arbitrary", workload)):
        batch = make(network, cells, seed)
        truth, _ = NativeRosenbrock(network, rtol=1e-7, atol=1e-20).advance(*batch.given)
        rates = {}
        for mode in MODES:
            columns = (batch.n, batch.dt, batch.temperature)
            (n, report), seconds = repeated(repeats, solvers[mode].step, *columns, **batch.conditions)
            rates[mode] = cells / float(np.median(seconds))
            error = cell_errors(n, truth, weights, FLOOR)
            accepted = error[report.status == 0]
            shown = f"{np.quantile(accepted, 0.99):13.4f}" if accepted.size and mode == "auto" else f"{'-':>13s}"
            lines.append(
                f"{name:12s} {mode:10s} {rates[mode]:9.0f} {rates[mode] / rates['exact']:8.2f} "
                f"{100 * report.surrogate / cells:8.1f} % {np.median(error):8.4f} {np.quantile(error, 0.99):8.4f} "
                f"{error.max():8.4f} {shown}"
            )
    return lines


def main() -> None:
    """Measure, print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=16384)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default="osu_09_2008")
    parser.add_argument("--output", type=Path, default=HERE / "results" / "step_paths.txt")
    options = parser.parse_args()
    use_one_core()
    say = Table()
    say(
        f"modes of the step, model {options.model}, one core, median of {options.repeats}; {options.cells} cells, "
        f"seed {options.seed}",
        *describe_machine(),
        f"errors in dex over species with n/n_H > {FLOOR:g}; cell: its worst species",
        "",
        *table(options.model, options.cells, options.repeats, options.seed),
    )
    say.write(options.output)


if __name__ == "__main__":
    main()
