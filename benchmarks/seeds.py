#!/usr/bin/env python3
"""Speed and accuracy of the native integrator over many workloads: does what was tuned on some hold on others?

Usage: python benchmarks/seeds.py [--cells N] [--seeds N] [--output FILE]

Per seed and rtol: cells/s on one core (the processor's time, best of three), steps a cell, and the 99th percentile and
the maximum over cells of the worst species' error [dex] (n/n_H > 1e-12). The truth is the same integrator at rtol 1e-9.
The error control was tuned on seeds 1 to 4.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from machine import Table, describe_machine, repeated, use_one_core
from workload import cell_errors, workload

from pychemsurrogate import _native
from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.network import load_network
from pychemsurrogate.solver import Solver

HERE = Path(__file__).resolve().parent
LADDER = (1e-2, 1e-3, 1e-4)
REPEATS = 3


def main() -> None:
    """Measure, print the table and write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=4096)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--output", type=Path, default=HERE / "results" / "seeds.txt")
    options = parser.parse_args()
    use_one_core()
    say = Table()
    network = load_network("osu_09_2008")
    weights = network.tables().scale_weights
    say(f"native integrator ({_native.isa()}), {options.cells} cells a seed, one core", *describe_machine())
    say(f"{'seed':>5}{'rtol':>7}{'cells/s':>9}{'steps':>7}{'cell p99':>10}{'max':>9}")
    for seed in range(1, options.seeds + 1):
        cells = workload(network, options.cells, seed)
        tight = NativeRosenbrock(network, rtol=1e-9, atol=1e-22, max_steps=10**6, threads=1)
        truth, _ = tight.advance(*cells.given)
        for rtol in LADDER:
            solver = Solver.load("osu_09_2008", mode="exact", rtol=rtol, threads=1)
            columns = (cells.n, cells.dt, cells.temperature)
            (n, report), seconds = repeated(REPEATS, solver.step, *columns, **cells.conditions)
            if report.failed:
                raise RuntimeError(f"{report.failed} cells failed at seed {seed}, rtol {rtol:g}")
            error = cell_errors(n, truth, weights)
            say(
                f"{seed:>5}{rtol:>7.0e}{len(cells) / min(seconds):>9.0f}{report.steps / len(cells):>7.2f}"
                f"{np.quantile(error, 0.99):>10.1e}{error.max():>9.1e}"
            )
    say.write(options.output)


if __name__ == "__main__":
    main()
