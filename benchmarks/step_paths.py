#!/usr/bin/env python3
"""Does the surrogate pay? The learned, the routed and the exact step on the same cells, on one core, in one run.

Usage: python benchmarks/step_paths.py [--cells N] [--repeats N] [--seed N] [--model NAME] [--output FILE]

Hydro-like cells have aged and then made three steps of 1e3..1e4 yr while T and n_H walked by 0.02 and 0.04 dex a step;
the fourth is timed. Arbitrary ones are those of workload.py. The truth is the exact integrator at rtol 1e-7. Ratios
are against the exact integrator at its default tolerance: the honest peer of a surrogate.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
from machine import describe_machine
from workload import YEAR_S, Workload, cell_errors, workload

from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.network import Network
from pychemsurrogate.solver import Report, Solver

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
    return Workload(n, dt, temperature, start.zeta)


def timed(solver: Solver, cells: Workload, repeats: int) -> tuple[np.ndarray, Report, float]:
    """The result, its report, and the median of the processor's time in cells/s."""
    seconds = []
    for _ in range(repeats):
        begin = time.process_time()
        n, report = solver.step(cells.n, cells.dt, cells.temperature, zeta=cells.zeta)
        seconds.append(time.process_time() - begin)
    return n, report, len(cells) / float(np.median(seconds))


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
        truth, _ = NativeRosenbrock(network, rtol=1e-7, atol=1e-20).advance(
            batch.n, batch.dt, batch.temperature, batch.conditions
        )
        rates = {}
        for mode in MODES:
            n, report, rates[mode] = timed(solvers[mode], batch, repeats)
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
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    lines = [
        f"modes of the step, model {options.model}, one core, median of {options.repeats}; {options.cells} cells, "
        f"seed {options.seed}",
        *describe_machine(),
        f"errors in dex over species with n/n_H > {FLOOR:g}; cell: its worst species",
        "",
        *table(options.model, options.cells, options.repeats, options.seed),
    ]
    text = "\n".join(lines) + "\n"
    print(text, end="")
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
