#!/usr/bin/env python3
"""What the way through an embedded Python costs: libpcs_embed against libpcs, torch from C against it from Python.

Usage: python benchmarks/embed_calls.py [--cells N] [--repeats N] [--rounds N] [--modes MODE...] [--output FILE]

One pcs_step is timed from C (embed_calls.c), linked to libpcs and to libpcs_embed, and `Solver.step` in place from
Python, on one core, as processor time; medians, and the least beside them, since a shared machine only ever adds. The
runs of a row alternate, and each has a process of its own: what an allocator does depends on all that came before.
Native is mode exact; torch with and without its gate (audit and exact_every are off, so that all runs do the same
work). Needs gcc, g++ and torch.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from machine import Table, describe_machine, repeated, use_one_core
from workload import Workload, workload

from pychemsurrogate import Solver
from pychemsurrogate.network import load_network

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MODEL = ROOT / "pychemsurrogate" / "data" / "models" / "osu_09_2008-multiclock.pcs"
Times = tuple[float, float]  # median, least [s]
NATIVE = {"mode": "exact", "threads": "1"}
TORCH = {"engine": "torch", "audit": "0", "exact_every": "0", "threads": "1"}


def build_drivers(folder: Path) -> dict[str, Path]:
    """The libraries by CMake, kept for the next run, and the C program linked to each."""
    build = ROOT / "build" / "benchmarks"
    tools = Path(sys.executable).parent
    cmake = shutil.which("cmake", path=f"{tools}{os.pathsep}{os.environ.get('PATH', '')}") or "cmake"
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    options = ["-DCMAKE_INSTALL_LIBDIR=lib", f"-DPython_EXECUTABLE={sys.executable}"]
    subprocess.run([cmake, "-S", ROOT, "-B", build, *options], **quiet)
    subprocess.run([cmake, "--build", build, "--target", "pcs", "pcs_embed"], **quiet)
    programs, lib = {}, build / "lib"
    flags = ["-std=c99", "-O2", f"-I{ROOT / 'bindings' / 'c'}", f"-L{lib}", f"-Wl,-rpath,{lib}"]
    for name in ("pcs", "pcs_embed"):
        programs[name] = folder / name
        subprocess.run(["gcc", *flags, HERE / "embed_calls.c", "-o", programs[name], f"-l{name}"], check=True)
    return programs


def in_c(program: Path, cells: Workload, repeats: int, calls: int, options: dict[str, str]) -> tuple[float, ...]:
    """Median and least seconds of a call, and the cells that each path served."""
    words = [word for pair in options.items() for word in pair]
    states = program.with_suffix(".bin")
    np.concatenate([cells.dt, cells.temperature, cells.zeta, cells.n.ravel()]).tofile(states)
    command = [program, MODEL, states, str(len(cells)), str(repeats), str(calls), *words]
    environment = {**os.environ, "PCS_PYTHON": sys.executable}
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return tuple(map(float, output.split()))


def in_python(cells: Workload, repeats: int, options: dict[str, str]) -> Times:
    """The same from Python, in place."""
    numbers = {"audit": float, "exact_every": int, "threads": int}
    solver = Solver.load(MODEL, **{key: numbers.get(key, str)(value) for key, value in options.items()})
    states = [cells.n.copy() for _ in range(repeats + 1)]

    def call() -> None:
        n = states.pop()
        solver.step(n, cells.dt, cells.temperature, out=n, zeta=cells.zeta)

    call()
    _, seconds = repeated(repeats, call)
    return float(np.median(seconds)), min(seconds)


def in_a_process(cells: Workload, repeats: int, options: dict[str, str]) -> Times:
    """The times of `in_python` in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(1) as pool:
        return pool.apply(in_python, (cells, repeats, options))


def best(runs: list[Times]) -> Times:
    """Of several runs of a row the one with the least median."""
    return min(runs)


def table(cells: Workload, folder: Path, repeats: int, rounds: int, modes: list[str]) -> Iterator[str]:
    """The lines of the report."""
    programs = build_drivers(folder)
    yield f"{'cells':>7s}  {'what':30s} {'from':22s} {'median':>12s} {'least':>12s}  {'of the first, least':>19s}"

    def row(size: int, what: str, source: str, times: Times, first: Times) -> str:
        middle, least = (f"{1e6 * seconds:9.1f} us" for seconds in times)
        ratio = f"{times[1] / first[1]:.3f}, + {1e6 * (times[1] - first[1]):.1f} us"
        return f"{size:7d}  {what:30s} {source:22s} {middle:>12s} {least:>12s}  {ratio:>19s}"

    for size, calls in ((1, 2000), (len(cells), 1)):
        runs: dict[str, list[Times]] = {name: [] for name in programs}
        for _ in range(rounds):
            for name, program in programs.items():
                runs[name].append(in_c(program, cells[:size], repeats, calls, NATIVE)[:2])
        for name, times in runs.items():
            yield row(size, "native, mode exact", f"C, lib{name}", best(times), best(runs["pcs"]))
    for mode in modes:
        options = {"mode": mode, **TORCH}
        python, embedded = [], []
        for _ in range(rounds):
            python.append(in_a_process(cells, repeats, options))
            *times, surrogate, exact = in_c(programs["pcs_embed"], cells, repeats, 1, options)
            embedded.append((times[0], times[1]))
        what = f"torch, mode {mode}"
        yield row(len(cells), what, "Python", best(python), best(python))
        yield row(len(cells), what, "C, libpcs_embed", best(embedded), best(python))
        yield f"         ({surrogate:.0f} cells by the surrogate, {exact:.0f} by the integrator)"


def main() -> None:
    """Measure, print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--modes", nargs="*", default=["surrogate", "auto"])
    parser.add_argument("--output", type=Path, default=HERE / "results" / "embed_calls.txt")
    options = parser.parse_args()
    use_one_core()
    say = Table()
    with tempfile.TemporaryDirectory() as name:
        cells = workload(load_network("osu_09_2008"), options.cells, seed=11)
        say(
            "pcs_step through libpcs_embed, one core, processor time",
            *describe_machine(),
            "target: torch from C within 10 % of the same call from Python",
            "",
        )
        for line in table(cells, Path(name), options.repeats, options.rounds, options.modes):
            say(line)
    say.write(options.output)


if __name__ == "__main__":
    main()
