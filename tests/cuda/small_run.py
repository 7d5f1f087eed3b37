#!/usr/bin/env python3
"""A few cells through every kind of step on a GPU, for compute-sanitizer: numpy and libpcs_cuda alone.

Usage: [compute-sanitizer --tool memcheck] python tests/cuda/small_run.py [CELLS]

Prints a line a step; exit code 1 if an answer is not the CPU's.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from pychemsurrogate.model_file import ModelFile
from pychemsurrogate.network import load_network
from pychemsurrogate.solver import Solver

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from large_network import gas, hydrocarbons

YEAR_S = 3.15576e7
FIRST = (1e6, 1e6, 0.0, 1.0, 1.0)  # costs that send every cell to the learned paths
STEPS = {
    "exact": {"mode": "exact"},
    "exact, tables": {"mode": "exact", "kernels": "tables"},
    "fast": {"mode": "surrogate", "path": "fast"},
    "accurate": {"mode": "surrogate", "path": "accurate"},
    "auto": {"mode": "auto", "costs": FIRST, "audit": 0.1},
    "routed": {"mode": "auto", "costs": (0.1, 4.0, 0.5, 1.0, 2.5), "audit": 0.0},
}


def main() -> int:
    """Run them."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 97
    rng = np.random.default_rng(1)
    network = load_network("osu_09_2008")
    density = 10.0 ** rng.uniform(2.2, 5.8, count)
    n = 1e-20 * np.repeat(density[:, None], network.n_species, axis=1)
    carbon = 1e-4 * density
    for name, value in {
        "H2": density / 2,
        "C": carbon / 2,
        "C+": carbon / 2,
        "e-": carbon / 2,
        "O": 2 * carbon,
    }.items():
        n[:, network.species_index(name)] = value
    temperature, dt = 10.0 ** rng.uniform(1.1, 2.3, count), 10.0 ** rng.uniform(2, 4, count) * YEAR_S
    n, _ = Solver.load("osu_09_2008", mode="exact").step(n, 1e4 * YEAR_S, temperature, zeta=1e-16)
    wrong = 0
    for name, options in STEPS.items():
        here, told = Solver.load("osu_09_2008", **options).step(n, dt, temperature, zeta=1e-16)
        there, report = Solver.load("osu_09_2008", device="cuda", **options).step(n, dt, temperature, zeta=1e-16)
        same = report.status == told.status
        error = float(np.abs(np.log10(there[same] / here[same])[here[same] > 1e-12 * density[same, None]]).max())
        print(f"{name}: {same.sum()} of {count} statuses, {error:.1e} dex", flush=True)
        wrong += not (same.all() and error < 1e-5)
    times = np.array([0.0, 1e9, 1e11])
    for mode in ("surrogate", "exact"):
        given = (n[:33], times, temperature[:33])
        here, _ = Solver.load("osu_09_2008", mode=mode).trajectory(*given, zeta=1e-16)
        there, _ = Solver.load("osu_09_2008", mode=mode, device="cuda").trajectory(*given, zeta=1e-16)
        seen = here > 1e-12 * here.sum(axis=2, keepdims=True)
        error = float(np.abs(np.log10(there[seen] / here[seen])).max())
        print(f"trajectory, {mode}: {error:.1e} dex", flush=True)
        wrong += not error < 1e-5
    with tempfile.TemporaryDirectory() as folder:
        network, model = hydrocarbons(), Path(folder) / "large.pcs"
        ModelFile.from_network(network).write(model)
        cells = gas(network, 9, 1)
        given = (cells.n, cells.dt, cells.temperature)
        here, told = Solver.load(model, mode="exact").step(*given, **cells.conditions)
        there, report = Solver.load(model, mode="exact", device="cuda").step(*given, **cells.conditions)
        seen = here > 1e-12 * here.sum(axis=1, keepdims=True)
        error = float(np.abs(np.log10(there[seen] / here[seen])).max())
        same = report.status == told.status
        print(f"{network.n_species} species: {same.sum()} of {len(cells)} statuses, {error:.1e} dex", flush=True)
        wrong += not (same.all() and error < 1e-5)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
