#!/usr/bin/env python3
"""What a call from C or Fortran costs beyond the chemistry, and what layouts and units cost.

Usage: python benchmarks/call_overhead.py [--cells N] [--repeats N] [--build FOLDER] [--output FILE]

Builds libpcs and a driver (call_overhead.cpp, call_overhead.f90) and runs it on the cells of workload.py, on one core
and one thread, in processor time. What is compared is timed in turns within one process; each figure is the least of
its repeats, since a shared machine only ever adds. Needs g++, gfortran and cmake.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from machine import Table, describe_machine, use_one_core
from workload import workload

from pychemsurrogate import _native
from pychemsurrogate.network import load_network

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MODEL = "osu_09_2008-multiclock"
OVERHEAD_US, LAYOUTS, FORTRAN = 2.0, 1.05, 0.98  # targets


def build_driver(folder: Path, build: Path) -> Path:
    """libpcs and its Fortran module by CMake, kept for the next run, and the driver."""
    tools = Path(sys.executable).parent
    cmake = shutil.which("cmake", path=f"{tools}{os.pathsep}{os.environ.get('PATH', '')}") or "cmake"
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    options = ["-DCMAKE_INSTALL_LIBDIR=lib", "-DPCS_FORTRAN=ON"]
    subprocess.run([cmake, "-S", ROOT, "-B", build, *options], **quiet)
    subprocess.run([cmake, "--build", build, "--target", "pcs", "pcs_fortran"], **quiet)
    module, driver, program = folder / "module.o", folder / "driver.o", folder / "call_overhead"
    subprocess.run(
        ["gfortran", "-O2", f"-I{build / 'fortran'}", f"-J{folder}", "-c", HERE / "call_overhead.f90", "-o", module],
        check=True,
    )
    flags = ["-std=c++20", "-O2", "-Wall", "-Wextra", "-Werror"]
    flags += [f"-I{ROOT / 'bindings' / 'c'}", f"-I{ROOT / 'native' / 'include'}"]
    subprocess.run(["g++", *flags, "-c", HERE / "call_overhead.cpp", "-o", driver], check=True)
    libraries = [build / "lib" / "libpcs_fortran.a", f"-L{build / 'lib'}", f"-Wl,-rpath,{build / 'lib'}", "-lpcs"]
    libraries += [build / "libpcs_core.a", "-lgfortran", "-fopenmp", "-ldl"]
    subprocess.run(["g++", driver, module, *libraries, "-o", program], check=True)
    return program


def write_cells(path: Path, cells: int) -> None:
    """What call_overhead.cpp reads."""
    network = load_network("osu_09_2008")
    given = workload(network, cells, seed=11)
    mass = np.array([species.mass_g for species in network.species])
    rho, n_H = given.n @ mass, given.n @ network.tables().scale_weights
    with path.open("wb") as file:
        np.array([cells, network.n_species, 1], dtype=np.int64).tofile(file)
        for array in (given.n, given.dt, given.temperature, given.zeta):
            array.tofile(file)
        for array in (given.n * mass / rho[:, None], rho, given.n / n_H[:, None], n_H):
            array.tofile(file)


def measure(program: Path, mode: str, cells: Path, repeats: int) -> dict[str, float]:
    """The least seconds a cell of everything that the driver times."""
    command = [program, ROOT / "pychemsurrogate" / "data" / "models" / f"{MODEL}.pcs", mode, cells, str(repeats)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    times = defaultdict(list)
    for line in output.splitlines():
        what, seconds = line.split()
        times[what].append(float(seconds))
    return {what: min(seconds) for what, seconds in times.items()}


def single_cell(least: dict[str, float]) -> list[str]:
    """The lines on calls of one cell."""
    solve = least["one_kernel"]
    rows = {
        "the integrator's kernel alone": "one_kernel",
        "Solver::step of the core": "one_core",
        "pcs_step": "one_c",
        "chemistry%step (Fortran)": "one_fortran",
        "pcs_step, units mass_fraction": "one_mass_fraction",
        "pcs_step, units hydrogen_fraction": "one_hydrogen_fraction",
    }
    lines = [f"{'one cell a call, mode exact':36s} {'us':>8s} {'beyond the solve':>18s}"]
    lines += [f"{name:36s} {1e6 * least[key]:8.3f} {1e6 * (least[key] - solve):15.3f} us" for name, key in rows.items()]
    nothing = {"pcs_step of a masked cell": "one_masked", "pcs_step of a cell with dt = 0": "one_dt_0"}
    nothing["pcs_n_species (handle and errors only)"] = "one_name"
    lines += [f"{name:36s} {1e6 * least[key]:8.3f}" for name, key in nothing.items()]
    overhead = 1e6 * (least["one_c"] - solve)
    verdict = "kept" if overhead <= OVERHEAD_US else "MISSED"
    return [*lines, f"target: pcs_step <= {OVERHEAD_US:g} us beyond the solve: {overhead:.3f} us, {verdict}"]


def batch(mode: str, least: dict[str, float]) -> list[str]:
    """The lines on a large batch."""
    plain = least["contiguous"]
    lines = [f"{f'batch, mode {mode}':36s} {'us/cell':>8s} {'of contiguous C':>18s}"]
    for key, name in {
        "contiguous": "contiguous [cell][species]",
        "gaps": "[cell][species] with 7 numbers between",
        "column_major": "[species][cell]",
        "fortran": "Fortran, n(species, cell)",
        "mass_fraction": "units mass_fraction",
        "hydrogen_fraction": "units hydrogen_fraction",
    }.items():
        lines.append(f"{name:36s} {1e6 * least[key]:8.3f} {least[key] / plain:18.3f}")
    worst, fortran = max(least["gaps"], least["column_major"]) / plain, plain / least["fortran"]
    return [
        *lines,
        f"target: layouts <= {LAYOUTS:g} x contiguous: {worst:.3f}, {'kept' if worst <= LAYOUTS else 'MISSED'}",
        f"target: Fortran >= {FORTRAN:g} x C's speed: {fortran:.3f}, {'kept' if fortran >= FORTRAN else 'MISSED'}",
    ]


def main() -> None:
    """Measure, print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "benchmarks", help="where CMake builds libpcs")
    parser.add_argument("--output", type=Path, default=HERE / "results" / "call_overhead.txt")
    options = parser.parse_args()
    use_one_core()
    say = Table()
    say(
        f"{MODEL}, {options.cells} cells of workload.py, one thread, instruction set {_native.isa()}; least of "
        f"{options.repeats} repeats (of {20 * options.repeats} for one cell), processor time",
        *describe_machine(),
    )
    with tempfile.TemporaryDirectory() as name:
        program = build_driver(Path(name), options.build.resolve())
        cells = Path(name) / "cells.bin"
        write_cells(cells, options.cells)
        exact = measure(program, "exact", cells, options.repeats)
        say("", *single_cell(exact), "", *batch("exact", exact))
        say("", *batch("surrogate", measure(program, "surrogate", cells, options.repeats)))
    say.write(options.output)


if __name__ == "__main__":
    main()
