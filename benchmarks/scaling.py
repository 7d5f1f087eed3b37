#!/usr/bin/env python3
"""How the native integrator scales: threads, batch sizes, memory, and short steps.

Usage: python benchmarks/scaling.py [--repeats N] [--seed N] [--output FILE]

Needs g++ with OpenMP (`make bench` installs it). Threads: wall time of one and of two threads, taking turns with a pure
multiply-add loop (fma_loop.cpp) that shows what a second thread is worth on the machine then. Batches: a call of
Solver.step, and what Python adds to the native step. Short steps: hydro-like cells (step_paths.py), dt 0.1 to 100 yr.
All else is on one core, in the processor's time where not said otherwise, and the median of the repeats counts.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from machine import Table, describe_machine, repeated, timed, use_one_core
from step_paths import hydro_like
from workload import YEAR_S, Workload, cell_errors, workload

from pychemsurrogate import _native
from pychemsurrogate.integrators import NativeRosenbrock, open_network
from pychemsurrogate.network import Network, load_network
from pychemsurrogate.solver import Solver

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build" / "benchmarks"
FLAGS = ["-std=c++20", "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC"]
BATCHES = (1, 10, 100, 1_000, 10_000, 100_000)
SHORT_STEPS_YR = (0.1, 1.0, 10.0, 100.0)


def fma_loop() -> Callable[[int, int], None]:
    """Compile fma_loop.cpp; the result runs (threads, iterations)."""
    BUILD.mkdir(parents=True, exist_ok=True)
    library = BUILD / "libfma_loop.so"
    subprocess.run(["g++", *FLAGS, HERE / "fma_loop.cpp", "-o", library], check=True)
    function = ctypes.CDLL(str(library)).fma_loop
    function.restype = ctypes.c_double
    return lambda threads, iterations: function(threads, ctypes.c_int64(iterations))


def wall(action: Callable[[], object]) -> float:
    """Seconds that an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def threads(network: Network, cells: Workload, repeats: int) -> list[str]:
    """The gain by a second thread, of the integrator and of the loop."""
    if len(os.sched_getaffinity(0)) < 2:
        return ["threads: only one core is free for this process, nothing measured"]
    loop = fma_loop()
    solvers = {count: NativeRosenbrock(network, threads=count) for count in (1, 2)}
    iterations = 1_000_000

    def integrate(count: int) -> object:
        return solvers[count].advance(*cells.given)

    # The loop is to take as long as the integrator does.
    iterations = int(iterations * wall(lambda: integrate(1)) / wall(lambda: loop(1, iterations)))
    seconds: dict[tuple[str, int], list[float]] = {(name, count): [] for name in ("fma", "ours") for count in (1, 2)}
    for _ in range(repeats):
        for count in (1, 2):
            seconds["fma", count].append(wall(lambda count=count: loop(count, iterations)))
            seconds["ours", count].append(wall(lambda count=count: integrate(count)))
    lines = [f"threads ({len(cells)} cells of the workload, rtol 1e-2, wall time, {repeats} repeats)"]
    for name, statistic in (("median", np.median), ("best", np.min)):
        at = {key: float(statistic(values)) for key, values in seconds.items()}
        ours, fma = at["ours", 1] / at["ours", 2], at["fma", 1] / at["fma", 2]
        lines.append(
            f"  {name + ':':<8}{len(cells) / at['ours', 1]:>7.0f} and {len(cells) / at['ours', 2]:>7.0f} cells/s: gain "
            f"{ours:.2f}; multiply-add loop {128e-9 * iterations / at['fma', 1]:.1f} and "
            f"{128e-9 * iterations / at['fma', 2]:.1f} GFLOP/s: gain {fma:.2f}; ratio {ours / fma:.2f}"
        )
    return lines


def batches(solver: Solver, cells: Workload, repeats: int) -> list[str]:
    """A call of Solver.step for batches of several sizes, and what Python adds to the native step."""
    lines = ["batches (Solver.step, mode exact, rtol 1e-2, one thread)"]
    lines.append(f"  {'cells':>7}{'call':>14}{'beyond the native step':>25}{'cells/s':>10}")
    for size in BATCHES:
        batch = cells[np.resize(np.arange(len(cells)), size)]
        total, beyond = [], []
        for _ in range(max(3, min(100 * repeats, 20_000 // size))):
            start = time.perf_counter()
            (_, report), busy = timed(solver.step, batch.n, batch.dt, batch.temperature, **batch.conditions)
            total.append(busy)
            beyond.append(time.perf_counter() - start - report.seconds)  # wall time, as the report's
        call = float(np.median(total))
        lines.append(f"  {size:>7}{1e6 * call:>11.1f} us{1e6 * float(np.median(beyond)):>22.1f} us{size / call:>10.0f}")
    one = cells[:1]
    still = replace(one, dt=np.zeros(1))
    integrator = NativeRosenbrock(solver.network, threads=1)
    idle = np.median([wall(lambda: integrator.advance(*still.given)) for _ in range(100 * repeats)])
    lines.append(f"  NativeRosenbrock.advance of one cell that has nothing to do (dt = 0): {1e6 * idle:.1f} us")
    return lines


def memory(network: Network) -> list[str]:
    """The integrator's workspace."""
    solver = open_network(network)
    lines = []
    for kernels in ("auto", "tables"):
        solver.set_option("kernels", kernels)
        lines.append(f"memory of each thread, kernels {kernels}: {solver.workspace_bytes / 1000:.0f} kB")
    return lines


def short_steps(network: Network, cells: Workload, repeats: int) -> list[str]:
    """Cells per second where little happens."""
    lines = [f"short steps ({len(cells)} hydro-like cells, rtol 1e-2, one thread)"]
    lines.append(f"  {'dt [yr]':>8}{'cells/s':>10}{'steps':>7}{'cell med.':>11}{'cell p99':>10}{'max':>9}   [dex]")
    weights = network.tables().scale_weights
    fast, exact = NativeRosenbrock(network, threads=1), NativeRosenbrock(network, 1e-9, 1e-22, 100_000, threads=1)
    counting = Solver.load("osu_09_2008", mode="exact", threads=1)
    for dt_yr in SHORT_STEPS_YR:
        batch = replace(cells, dt=np.full(len(cells), dt_yr * YEAR_S))
        (n, _), seconds = repeated(repeats, fast.advance, *batch.given)
        error = cell_errors(n, exact.advance(*batch.given)[0], weights)
        _, report = counting.step(batch.n, batch.dt, batch.temperature, **batch.conditions)
        lines.append(
            f"  {dt_yr:>8g}{len(cells) / float(np.median(seconds)):>10.0f}{report.steps / len(cells):>7.2f}"
            f"{np.median(error):>11.1e}{np.quantile(error, 0.99):>10.1e}{error.max():>9.1e}"
        )
    return lines


def main() -> None:
    """Run the benchmark, print its tables and write them to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=HERE / "results" / "scaling.txt")
    options = parser.parse_args()

    say = Table()
    network = load_network("osu_09_2008")
    solver = Solver.load("osu_09_2008", mode="exact", threads=1)
    arbitrary, calm = workload(network, 4096, options.seed), hydro_like(network, 4096, options.seed)
    say(f"native integrator ({_native.isa()}): threads, batches, memory, short steps", *describe_machine())
    say(*threads(network, arbitrary, options.repeats))
    use_one_core()
    say(*batches(solver, arbitrary, options.repeats))
    say(*memory(network))
    say(*short_steps(network, calm, options.repeats))
    say.write(options.output)


if __name__ == "__main__":
    main()
