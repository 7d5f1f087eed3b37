#!/usr/bin/env python3
"""What does each part of the learned step cost, on one core, against the exact integrator's step in the same run?

Usage: python benchmarks/learned_step.py [--cells N] [--rounds N] [--seed N] [--model NAME] [--output FILE]

learned_step.cpp, compiled for this processor, times every verb of the multi-clock map alone, tile by tile, the fastest
of some rounds, and the nets of the jumps, whose whole step flow_map.py times. "small" is a net of 27 kFLOP a cell with
random weights whose guess is the analytic production-loss step: it shows what such a size costs, not what it is worth.
The peak is that of multiply-adds in registers; a net's GFLOP/s count its matrices alone, while its time includes the
activations. Cells are those of step_paths.py.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import os
import subprocess
import time
from pathlib import Path

import numpy as np
from machine import describe_machine
from step_paths import hydro_like
from workload import Workload, workload

from pychemsurrogate import _native
from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.solver import Solver

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parent / "native"
BUILD = HERE.parent / "build" / "benchmarks"
FLAGS = ["-std=c++20", "-O3", "-fno-math-errno", "-ffp-contract=fast", "-march=native", "-mprefer-vector-width=512"]
FLAGS += ["-shared", "-fPIC", "-DPCS_GENERATED"]
PARTS = ("scale", "encode", "advance", "decode", "conserve", "head", "read, box, write", "whole")
EXPERTS = ((16, (148, 60, 60, 29)), (6, (148, 200, 200, 200, 29)))  # of the shipped jumps, fast and accurate
NETS = ((89, 160, 160, 240), (69, 160, 160, 29), (64, 64, 48))


def compile_driver(model: Path) -> ctypes.CDLL:
    """Compile learned_step.cpp with the straight-line code of the model's network and load it."""
    generated = BUILD / "pcs_generated" / "network.inc"
    generated.parent.mkdir(parents=True, exist_ok=True)
    generated.write_text(_native.Solver.open(str(model)).generate_code(), encoding="utf-8")
    library = BUILD / "liblearned_step.so"
    parts = ("surrogate", "calibration", "model_file", "plan")
    sources = [HERE / "learned_step.cpp", *(SOURCES / "src" / f"{name}.cpp" for name in parts)]
    subprocess.run(["g++", *FLAGS, f"-I{SOURCES / 'include'}", f"-I{BUILD}", *sources, "-o", library], check=True)
    driver = ctypes.CDLL(str(library))
    for measured in (driver.peak_gflops, driver.mlp_gflops, driver.experts_gflops):
        measured.restype = ctypes.c_double
    return driver


def flops(model: ModelFile) -> int:
    """Of the matrices of a model's nets, per cell."""
    nets = ("encode", "decode", "head")
    return sum(
        2 * array.size
        for name, array in model.arrays.items()
        if name.startswith(tuple(f"surrogate/{net}_w" for net in nets))
    )


def small(model: ModelFile, path: Path) -> Path:
    """A model of the same kind with small random nets and a gate that accepts whatever is inside the box."""
    rng = np.random.default_rng(0)
    latent, clocks = 12, model.arrays["surrogate/clock_theta"].size + 1
    n_features, species = model.arrays["surrogate/feature_mean"].size, model.arrays["surrogate/decode_b2"].size
    conserved = model.arrays["network/composition"].shape[0]
    nets = {
        "encode": (n_features, 48, (1 + clocks) * latent),
        "decode": (latent + species, 48, species),
        "head": (latent + 2 * species + conserved, 32, 1),
    }
    for name in [name for name in model.arrays if name.startswith(tuple(f"surrogate/{net}_" for net in nets))]:
        del model.arrays[name]
    for net, sizes in nets.items():
        for layer, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
            weights = rng.normal(0, 1 / np.sqrt(inputs), (outputs, inputs)) * (net != "decode" or layer == 0)
            model.arrays[f"surrogate/{net}_w{layer}"] = weights.astype(np.float32)
            model.arrays[f"surrogate/{net}_b{layer}"] = np.zeros(outputs, np.float32)
    model.arrays["surrogate/latent"] = np.array(latent, np.int32)
    model.arrays["gate/thresholds"] = np.full_like(model.arrays["gate/thresholds"], 1e3)
    model.write(path)
    return path


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


def learned(driver: ctypes.CDLL, model: Path, cells: Workload, rounds: int, tables_only: bool) -> list[float]:
    """Nanoseconds a cell for PARTS."""
    arrays = [np.ascontiguousarray(a) for a in (cells.n, cells.temperature, cells.zeta, cells.dt)]
    seconds = np.zeros(len(PARTS) - 1)
    driver.learned_parts(
        str(model).encode(),
        ctypes.c_int64(len(cells)),
        *(pointer(array) for array in arrays),
        rounds,
        int(tables_only),
        pointer(seconds),
    )
    *verbs, whole = 1e9 * seconds
    return [*verbs, whole - sum(verbs), whole]


def exact(solver: Solver, cells: Workload, repeats: int) -> float:
    """Nanoseconds a cell for the exact integrator at its default tolerance."""
    seconds = []
    for _ in range(repeats):
        begin = time.process_time()
        solver.step(cells.n, cells.dt, cells.temperature, zeta=cells.zeta)
        seconds.append(time.process_time() - begin)
    return 1e9 * min(seconds) / len(cells)


def table(name: str, cells: int, rounds: int, seed: int) -> list[str]:
    """The lines of the report."""
    model = ModelFile.read(name)
    network = model.network()
    path = model.path
    driver = compile_driver(path)
    peak = driver.peak_gflops()
    lines = [f"peak of single precision: {peak:.1f} GFLOP/s", "", f"{'net':26s} {'GFLOP/s':>8s} {'of peak':>8s}"]
    for sizes in NETS:
        speed = driver.mlp_gflops(len(sizes) - 1, pointer(np.array(sizes, np.int32)))
        lines.append(f"{'-'.join(map(str, sizes)):26s} {speed:8.1f} {100 * speed / peak:6.0f} %")
    for experts, sizes in EXPERTS:
        speed = driver.experts_gflops(experts, len(sizes) - 1, pointer(np.array(sizes, np.int32)))
        shape = f"{experts} x {'-'.join(map(str, sizes))}"
        lines.append(f"{shape:26s} {speed:8.1f} {100 * speed / peak:6.0f} %")
    small_path = small(ModelFile.read(name), BUILD / "small.pcs")
    solver = Solver.load(name, mode="exact", threads=1)
    batches = {"hydro-like": hydro_like(network, cells, seed), "arbitrary": workload(network, cells, seed)}
    columns: dict[str, list[float]] = {}
    for cells_name, batch in batches.items():
        columns[cells_name] = [*learned(driver, path, batch, rounds, False), exact(solver, batch, rounds)]
        columns[f"{cells_name}, small"] = [*learned(driver, small_path, batch, rounds, False), float("nan")]
    columns["arbitrary, tables"] = [*learned(driver, path, batches["arbitrary"], rounds, True), float("nan")]
    lines += ["", f"{'ns a cell':20s} " + " ".join(f"{column:>18s}" for column in columns)]
    for row, part in enumerate((*PARTS, "exact integrator")):
        values = (values[row] for values in columns.values())
        lines.append(f"{part:20s} " + " ".join(f"{v:18.0f}" if v == v else f"{'':18s}" for v in values))
    sizes = [flops(each) / 1e3 for each in (model, ModelFile.read(small_path))]
    lines += [
        "",
        f"nets of {sizes[0]:.0f} and {sizes[1]:.0f} (small) kFLOP a cell; exact integrator: mode exact at its",
    ]
    return [*lines, "default tolerance, on all cells, the call from Python included"]


def main() -> None:
    """Measure, print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default="osu_09_2008-multiclock")
    parser.add_argument("--output", type=Path, default=HERE / "results" / "learned_step.txt")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    lines = [
        f"parts of the learned step, model {options.model}, one core, kernels for {_native.isa()}; fastest of "
        f"{options.rounds} rounds; {options.cells} cells, seed {options.seed}",
        *describe_machine(),
        "",
        *table(options.model, options.cells, options.rounds, options.seed),
    ]
    text = "\n".join(lines) + "\n"
    print(text, end="")
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
