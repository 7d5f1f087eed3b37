#!/usr/bin/env python3
"""How fast is the seed paper's linear latent model natively? One trajectory of 100 outputs, and a batch, on one core.

Usage: python benchmarks/seed_speed.py [--batch N] [--repeats N] [--model PATH] [--output FILE]

The model has the paper's architecture (29-64-32-16-8-5, tanh, one constant slope); without --model it is trained here
on a hundred trajectories for a fiftieth of its usual epochs. That changes nothing about the nets' work, but the
projection on elements and charge takes more iterations than behind a well trained model. The whole call is timed, from
densities to densities, in C (seed_speed.c) and in Python, as processor time; medians, and the least beside them, since
a shared machine only ever adds. "nets alone" leaves out the projection, as the paper's models do. The paper's 450 us
(Sulzer & Buck 2023) are of another machine: an RTX 2080 Ti, batch 1.
Needs gcc, g++ and torch.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from machine import Table, describe_machine, repeated, use_one_core

from pychemsurrogate import _native
from pychemsurrogate.gate import Box, Gate
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import load_network
from pychemsurrogate.solver import Solver
from pychemsurrogate.training.seed.data import ELAPSED, N_REF, NETWORK, TEMPERATURE, ZETA, initial_states, make
from pychemsurrogate.training.seed.fit import fit
from pychemsurrogate.training.seed.kind import SeedRecipe

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PAPER_US = 450.0
TARGET_US, TARGET_RATE = 20.0, 5e6


def make_model(path: Path, folder: Path) -> None:
    """A linear model after a short fit, with a box on temperature, zeta/n_H and theta."""
    network = load_network(NETWORK)
    fitted = fit(SeedRecipe("linear", budget=0.02), make("published", folder / "data.h5", trajectories=100), folder)
    bounds = {
        "T": (TEMPERATURE, TEMPERATURE),
        "zeta/n_H": (ZETA / N_REF, ZETA / N_REF),
        "theta": (N_REF, N_REF * ELAPSED[-1]),
    }
    low, high = np.array(list(bounds.values())).T
    gate = Gate(Box(tuple(bounds), low * (1 - 1e-6), high * (1 + 1e-6), network.tables()))
    model = ModelFile.from_network(network)
    model.arrays |= fitted.model.arrays() | gate.to_arrays()
    model.write(path)


def build_driver(folder: Path) -> Path:
    """libpcs by CMake, kept for the next run, and the C program linked to it."""
    build = ROOT / "build" / "benchmarks"
    tools = Path(sys.executable).parent
    cmake = shutil.which("cmake", path=f"{tools}{os.pathsep}{os.environ.get('PATH', '')}") or "cmake"
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    subprocess.run([cmake, "-S", ROOT, "-B", build, "-DCMAKE_INSTALL_LIBDIR=lib"], **quiet)
    subprocess.run([cmake, "--build", build, "--target", "pcs"], **quiet)
    program, lib = folder / "seed_speed", build / "lib"
    flags = ["-std=c99", "-O2", f"-I{ROOT / 'bindings' / 'c'}", f"-L{lib}", f"-Wl,-rpath,{lib}"]
    subprocess.run(["gcc", *flags, HERE / "seed_speed.c", "-o", program, "-lpcs"], check=True)
    return program


def in_c(
    program: Path, model: Path, states: Path, size: int, conserve: bool, repeats: int, calls: int
) -> tuple[float, float]:
    """Median and least seconds of a call."""
    command = [program, model, states, str(size), str(int(conserve)), str(repeats), str(calls)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    middle, least, served = map(float, output.split())
    if served != size * len(ELAPSED):
        raise RuntimeError(f"the surrogate served {served:.0f} of {size * len(ELAPSED)} outputs")
    return middle, least


def in_python(model: Path, n: np.ndarray, conserve: bool, repeats: int, calls: int) -> tuple[float, float]:
    """The same from Python, into an array that is there already."""
    solver = Solver.load(model, mode="surrogate", threads=1)
    out = np.zeros((len(n), len(ELAPSED), n.shape[1]))

    def call() -> None:
        for _ in range(calls):
            solver.trajectory(n, ELAPSED, TEMPERATURE, zeta=ZETA, conserve=conserve, out=out)

    _, seconds = repeated(repeats, call)
    return float(np.median(seconds)) / calls, min(seconds) / calls


def table(model: Path, folder: Path, batch: int, repeats: int) -> list[str]:
    """The lines of the report."""
    program = build_driver(folder)
    n = initial_states(load_network(NETWORK), "published", batch, seed=7)
    states = folder / "states.bin"
    np.concatenate([[len(ELAPSED)], ELAPSED, [TEMPERATURE, ZETA], n.ravel()]).tofile(states)
    lines = [
        f"{'trajectories':>12s} {'from':7s} {'what':14s} {'median':>14s} {'least':>12s} {'outputs/s (median)':>19s}"
    ]
    for size, calls in ((1, 200), (batch, 1)):
        for conserve, what in ((False, "nets alone"), (True, "with projection")):
            for language, (middle, least) in (
                ("C", in_c(program, model, states, size, conserve, repeats, calls)),
                ("Python", in_python(model, n[:size], conserve, repeats, calls)),
            ):
                rate = size * len(ELAPSED) / middle
                lines.append(
                    f"{size:12d} {language:7s} {what:15s} {1e6 * middle:10.1f} us {1e6 * least:9.1f} us {rate:19.3g}"
                )
    return lines


def main() -> None:
    """Measure, print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--output", type=Path, default=HERE / "results" / "seed_speed.txt")
    options = parser.parse_args()
    use_one_core()
    say = Table()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = options.model or folder / "linear.pcs"
        if options.model is None:
            make_model(model, folder)
        say(
            f"linear latent model of the seed paper's architecture, {len(ELAPSED)} outputs a trajectory, one core, "
            f"instruction set {_native.isa()}",
            *describe_machine(),
            f"the paper: {PAPER_US:g} us for one trajectory (another machine: RTX 2080 Ti)",
            f"targets, nets alone from C: {TARGET_US:g} us for one; {TARGET_RATE:g} outputs/s in the batch (AVX-512)",
            "",
            *table(model, folder, options.batch, options.repeats),
        )
    say.write(options.output)


if __name__ == "__main__":
    main()
