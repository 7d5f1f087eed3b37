#!/usr/bin/env python3
"""The example hydro code under mpirun: is a rank as fast as a process, two ranks as two threads, how equal are they?

Usage: python benchmarks/mpi_scaling.py [--repeats N] [--steps N] [--prefix FOLDER] [--output FILE]

Needs gfortran and Open MPI (tools/setup.sh fortran mpi). The first steps of the colliding flows (128 x 128 cells), by
the program without MPI and by the one with it, which take turns. Milliseconds are wall time a step, of the slowest
rank; the best of the repeats counts, since whatever else the machine does only adds to it; the median stands beside it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from machine import Table, describe_machine

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ROOT / "build" / "benchmarks" / "mpi"
AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
# Where the surrogate serves most cells. No threshold moves and there is no router: every row computes the same bits.
MODEL = "osu_09_2008-multiclock"
OPTIONS = '"audit=0"'


@dataclass(frozen=True)
class Row:
    """One way to start the program. threads 0: what OpenMP chooses for the cores that the process may use."""

    name: str
    launch: tuple[str, ...]  # before the program; empty: without MPI
    threads: int


ROWS = (
    Row("process, 1 thread", (), 1),
    Row("process, 2 threads", (), 2),
    Row("1 rank, 1 thread", ("mpirun", "-n", "1"), 1),
    Row("1 rank, bound by mpirun", ("mpirun", "-n", "1"), 0),
    Row("1 rank, --bind-to none, 2 threads", ("mpirun", "-n", "1", "--bind-to", "none"), 2),
    Row("2 ranks, 1 thread each", ("mpirun", "-n", "2"), 1),
    Row("2 ranks, bound by mpirun", ("mpirun", "-n", "2"), 0),
)


def cmake(*words: object) -> None:
    """Run cmake silently."""
    subprocess.run(["cmake", *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def install() -> Path:
    """Build libpcs and return where it is installed."""
    prefix, folder = BUILD / "prefix", BUILD / "libpcs"
    cmake("-S", ROOT, "-B", folder, "-G", "Ninja", "-DPCS_FORTRAN=ON", f"-DCMAKE_INSTALL_PREFIX={prefix}")
    cmake("--build", folder, "--target", "install")
    return prefix


def build(prefix: Path, mpi: bool) -> Path:
    """Compile the program with or without MPI."""
    folder = BUILD / ("with" if mpi else "without")
    options = [f"-DCMAKE_PREFIX_PATH={prefix}", f"-DEXAMPLE_MPI={'ON' if mpi else 'OFF'}"]
    cmake("-S", ROOT / "fortran_example", "-B", folder, "-G", "Ninja", *options)
    cmake("--build", folder)
    return folder / "cloud_hydro"


def run(row: Row, program: Path, case: Path, mode: str, folder: Path) -> dict[str, float]:
    """The figures of one run's summary."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"} | AS_ROOT
    if row.threads:
        environment["OMP_NUM_THREADS"] = str(row.threads)
    command = [*row.launch, program, case, "--model", MODEL, "--mode", mode, "--output", folder]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    lines = [line.split() for line in (folder / "summary.txt").read_text(encoding="utf-8").splitlines()]
    return {name: float(value) for name, value in lines if name != "mode"}


def measure(mode: str, programs: dict[bool, Path], case: Path, repeats: int) -> list[str]:
    """A line for every row: milliseconds a step, gain over the process with one thread, imbalance."""
    found: dict[str, list[dict[str, float]]] = {row.name: [] for row in ROWS}
    abundances = set()
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(repeats):
            for row in ROWS:
                figures = run(row, programs[bool(row.launch)], case, mode, Path(scratch))
                found[row.name].append(figures)
                abundances.add(figures["mean_x_CO"])
    if len(abundances) != 1:
        raise SystemExit(f"mode {mode}: the rows differ in their answers: {abundances}")

    def per_step(row: Row, name: str) -> list[float]:
        return [1000 * figures[f"{name}_seconds"] / figures["steps"] for figures in found[row.name]]

    first = found[ROWS[0].name][0]
    lines = [
        f"mode {mode}: {100 * first['surrogate_share']:.1f} % of the cells by the surrogate, ms a step; imbalance: "
        "slowest rank / mean, integrated cells likewise",
        f"  {'':<36}{'chemistry':>10}{'median':>8}{'gain':>6}{'hydro':>8}{'gain':>6}{'imbalance':>18}",
    ]
    for row in ROWS:
        chemistry, hydro = per_step(row, "chemistry"), per_step(row, "hydro")
        best = found[row.name][int(np.argmin(chemistry))]
        balance = ""
        if "ranks" in best:
            balance = f"{best['imbalance_seconds']:.3f}, {best['imbalance_exact']:.3f}"
        lines.append(
            f"  {row.name:<36}{min(chemistry):>10.2f}{np.median(chemistry):>8.2f}"
            f"{min(per_step(ROWS[0], 'chemistry')) / min(chemistry):>6.2f}"
            f"{min(hydro):>8.2f}{min(per_step(ROWS[0], 'hydro')) / min(hydro):>6.2f}{balance:>18}"
        )
    return lines


def cores(launch: tuple[str, ...]) -> str:
    """What `nproc` says on every rank: how many threads OpenMP would start there."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"} | AS_ROOT
    done = subprocess.run([*launch, "nproc"], check=True, env=environment, capture_output=True, text=True)
    return " and ".join(done.stdout.split())


def main() -> None:
    """Print the table and write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--prefix", type=Path, help="an installed libpcs, instead of one that is built here")
    parser.add_argument("--output", type=Path, default=HERE / "results" / "mpi_scaling.txt")
    given = parser.parse_args()
    prefix = given.prefix or install()
    programs = {mpi: build(prefix, mpi) for mpi in (False, True)}
    mpirun = subprocess.run(["mpirun", "--version"], check=True, capture_output=True, text=True).stdout.splitlines()[0]
    table = Table()
    table(*describe_machine(), mpirun, f"colliding flows, 128 x 128 cells, the first {given.steps} steps; {MODEL}")
    table(f"best of {given.repeats} runs that take turns; every row computes the same bits")
    table()
    table("cores that a rank may use, hence threads that it starts unless OMP_NUM_THREADS says otherwise:")
    for launch in dict.fromkeys(row.launch for row in ROWS):
        table(f"  {' '.join(launch) or 'without mpirun':<36}{cores(launch)}")
    case = (ROOT / "fortran_example" / "cases" / "colliding_flows.nml").read_text(encoding="utf-8")
    case = case.replace("&case", f"&case\n  run%max_steps = {given.steps}\n  chemistry%options = {OPTIONS}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "case.nml"
        path.write_text(case, encoding="utf-8")
        for mode in ("exact", "auto"):
            table()
            table(*measure(mode, programs, path, given.repeats))
    table.write(given.output)


if __name__ == "__main__":
    main()
