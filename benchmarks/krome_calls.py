#!/usr/bin/env python3
"""What the KROME drop-in costs beside libpcs: krome() cell by cell and krome_batch() against pcs_step, one core.

Usage: python benchmarks/krome_calls.py [--cells N] [--repeats N] [--seed N] [--output FILE]

libkrome is generated for the shipped network and built as a user would; one C program calls it and libpcs in turns,
with the same cells, in mode exact, on one thread (krome_calls.c). A call from C passes one routine more than one from
Fortran. The ratios are medians over the turns of the processor's time, native over krome: 1 means that nothing is lost.
"""

from __future__ import annotations

import argparse
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import Table, describe_machine, use_one_core
from workload import YEAR_S, workload

from pychemsurrogate.krome import generate, read_source
from pychemsurrogate.krome.spelling import krome_order
from pychemsurrogate.network import load_network

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
NETWORK = "osu_09_2008"
TARGET = 0.9  # of the speed of pcs_step, cell by cell
STEPS_YR = (1.0, 1e2, 1e3, 1e4, 1e5)
RTOLS = ("1e-4", "1e-2")


def build(folder: Path) -> Path:
    """The program, linked to a libkrome made for this run and to libpcs of the build tree of the tests."""
    sys.path.insert(0, str(ROOT / "tests"))
    from native_build import build as build_native

    libpcs = build_native("pcs")
    generate(read_source(NETWORK), folder, ierr=True, mode="exact")
    libraries = f"-L{libpcs.libraries} -lpcs"
    subprocess.run(["make", "-s", "-C", folder, f"PCS_LIBS={libraries}", "FFLAGS=-O2", "CFLAGS=-O2"], check=True)
    rpath = [f"-Wl,-rpath,{path}" for path in (folder, libpcs.libraries)]
    include = [f"-I{path}" for path in (folder, *libpcs.includes)]
    command = ["gcc", "-std=c99", "-O2", *include, HERE / "krome_calls.c", "-o", folder / "krome_calls"]
    subprocess.run([*command, f"-L{folder}", "-lkrome", *libraries.split(), *rpath], check=True)
    return folder / "krome_calls"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=HERE / "results" / "krome_calls.txt")
    options = parser.parse_args()

    table = Table()
    network = load_network(NETWORK)
    cells = workload(network, options.cells, options.seed)
    order = krome_order(network)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = build(folder)
        use_one_core()
        table("krome() and krome_batch() of libkrome against pcs_step, mode exact, one thread", *describe_machine())
        turns = f"medians of {options.repeats} turns of the processor's time [us a cell]"
        table(f"{options.cells} cells, seed {options.seed}; {turns}")
        table("ratio: native / krome, the median of the turns' own ratios; 1: nothing is lost", "")
        table("  rtol  dt [yr]   pcs_step    krome  ratio   pcs_step (all)  krome_batch  ratio")
        worst = float("inf")
        for rtol in RTOLS:
            for step in STEPS_YR:
                with (folder / "cells.bin").open("wb") as file:
                    for n, temperature, zeta in zip(cells.n, cells.temperature, cells.zeta, strict=True):
                        head = [temperature, zeta, step * YEAR_S]
                        file.write(struct.pack("<3d", *head) + n[order].tobytes())
                command = [program, NETWORK, folder / "cells.bin", str(len(cells)), str(options.repeats), rtol]
                answer = subprocess.run(command, capture_output=True, text=True, check=True)
                a, b, c, d, one, batch = (float(word) for word in answer.stdout.split())
                worst = min(worst, one)
                table(f"{rtol:>6} {step:8.0e} {a:10.3f} {b:8.3f} {one:6.3f} {c:16.3f} {d:12.3f} {batch:6.3f}")
        verdict = "reached" if worst >= TARGET else "not reached"
        table("", f"krome() at {TARGET} x the speed of pcs_step or more: {verdict} (least ratio {worst:.3f})")
    table.write(options.output)


if __name__ == "__main__":
    main()
