#!/usr/bin/env python3
"""What kernels compiled for a user's own network cost and gain, on networks cut from UMIST's own file.

Usage: python benchmarks/compiled_kernels.py --umist PATH [--cells N] [--repeats N] [--seed N]

One core. Per network: the compiler's time, the size of the object, then cells/s of tables and of compiled kernels (in
turns, median of the repeats) on the two workloads of large_networks.py, and the largest difference between their
answers over species above 1e-12 n_H. Times are the processor's. The last network is one that is refused.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from large_networks import workload
from machine import Table, describe_machine, timed, use_one_core
from workload import dex_errors

from pychemsurrogate import _native
from pychemsurrogate.integrators import NativeRosenbrock, compile_kernels, open_network
from pychemsurrogate.network import Network, load_network

HERE = Path(__file__).resolve().parent

# Elements and most heavy atoms.
CUTS = (("H He C O", 1), ("H He C O", 2), ("H He C O S", 2), ("H He C O N S", 2))


def compiler_seconds() -> float:
    """Processor time of all child processes so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(network: Network, cells: int, repeats: int, seed: int, say: Callable[[str], None]) -> None:
    """One line a workload; one line alone if the network is too large."""
    before = compiler_seconds()
    try:
        path = compile_kernels(open_network(network))
    except ValueError as error:
        say(f"{network.n_species:5d} {error}")
        return
    compiling, size = compiler_seconds() - before, path.stat().st_size / 1024
    solvers = {name: NativeRosenbrock(network, threads=1, kernels=name) for name in ("tables", "compiled")}
    for label in ("arbitrary", "hydro-like"):
        batch = workload(network, cells, np.random.default_rng(seed), label == "hydro-like")
        times: dict[str, list[float]] = {name: [] for name in solvers}
        answers = {}
        for _ in range(repeats):
            for name, solver in solvers.items():
                (answers[name], _status), seconds = timed(solver.advance, *batch.given)
                times[name].append(seconds)
        tables, compiled = (cells / np.median(times[name]) for name in solvers)
        apart = np.nanmax(dex_errors(answers["compiled"], answers["tables"], network.tables().scale_weights))
        say(f"{network.n_species:5d} {network.n_reactions:6d} {label:10s} {compiling:8.1f} {size:8.0f} "
            f"{tables:9.0f} {compiled:9.0f} {compiled / tables:6.2f} {apart:9.1e}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--umist", required=True, help="the rate file of UMIST RATE22")
    parser.add_argument("--cells", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=HERE / "results" / "compiled_kernels.txt")
    chosen = parser.parse_args()
    use_one_core()
    say = Table()
    say("Kernels compiled for a user's own network, against tables, one core (python benchmarks/compiled_kernels.py)")
    say(*describe_machine())
    say(f"instruction set {_native.isa()}; {chosen.cells} cells, {chosen.repeats} repeats, seed {chosen.seed}")
    say("    N  react. workload    compiler   object    tables  compiled   gain     apart")
    say("                               [s]    [KiB]   cells/s   cells/s            [dex]")
    whole = load_network(chosen.umist, "umist")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PCS_KERNEL_CACHE"] = folder
        for elements, heavy in CUTS:
            network = whole.restricted(elements.split(), heavy)
            measure(network, chosen.cells, chosen.repeats, chosen.seed, say)
    say.write(chosen.output)


if __name__ == "__main__":
    main()
