#!/usr/bin/env python3
"""What each tolerance of the native integrator means in dex: the table behind the option target_error_dex.

Usage: python benchmarks/error_table.py [--cells N] [--seeds N]

Prints, for every rtol, the 99th percentile over cells of the worst species' error (n/n_H > 1e-12) on the workload of
workload.py, the largest of all seeds. The truth is the same integrator at rtol 1e-10, atol 1e-22. The rows belong into
`measured_errors` in native/src/solver.cpp.
"""

from __future__ import annotations

import argparse

import numpy as np
from workload import cell_errors, workload

from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.network import load_network

LADDER = (3e-2, 2e-2, 1.5e-2, 1e-2, 5e-3, 2e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 5e-7)


def atol(rtol: float) -> float:
    """The absolute tolerance that target_error_dex pairs with rtol: species at 1e-12 n_H keep a tenth of rtol."""
    return min(1e-15, 1e-13 * rtol)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=4096)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    network = load_network("osu_09_2008")
    weights = network.tables().scale_weights
    sets = [workload(network, options.cells, seed) for seed in range(1, options.seeds + 1)]
    truths = [
        NativeRosenbrock(network, rtol=1e-10, atol=1e-22, max_steps=10**6).advance(*cells.given)[0] for cells in sets
    ]
    print(f"{'rtol':>8} {'atol':>8} {'cell p99 [dex]':>15}")
    for rtol in LADDER:
        integrator = NativeRosenbrock(network, rtol=rtol, atol=atol(rtol), max_steps=100_000)
        worst = 0.0
        for cells, truth in zip(sets, truths, strict=True):
            n, status = integrator.advance(*cells.given)
            if np.any(status < 0):
                raise RuntimeError(f"{np.sum(status < 0)} cells failed at rtol {rtol:g}")
            worst = max(worst, float(np.quantile(cell_errors(n, truth, weights), 0.99)))
        print(f"{rtol:>8.1e} {atol(rtol):>8.0e} {worst:>15.1e}", flush=True)


if __name__ == "__main__":
    main()
