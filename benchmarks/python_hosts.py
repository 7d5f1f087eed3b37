"""What chemistry costs in PyClaw and in pyro2: its share of a step, and the exact mode against the routed one.

Needs the extra `hosts`. Runs the examples at moderate size, alternating the modes; the fastest of three counts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from machine import Table, describe_machine

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "benchmarks" / "results" / "python_hosts.txt"
REPEATS = 3
CASES = {
    "PyClaw, 128 x 64 cells": ("pyclaw/shock_cloud.py", "--cells", "128", "--end-kyr", "400"),
    "pyro2, 64 x 64 cells": ("pyro2/mixing_layer.py", "--cells", "64", "--end-kyr", "60"),
}


def simulate(folder: Path, example: str, *options: str) -> tuple[int, np.ndarray]:
    """Cell steps that were timed, and seconds of gas, of the coupling and of the library, on one thread."""
    environment = os.environ | {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "examples" / example), *options, "--output", "run.npz"]
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    with np.load(folder / "run.npz") as run:
        return int((run["calls"] - 1) * run["n_H"].size), run["seconds"]


def main() -> None:
    say = Table()
    say(
        "Chemistry in hosts that others wrote: processor's time on one thread, fastest of three runs without first step"
    )
    say(*describe_machine())
    say()
    say(f"{'':<32}us a cell and step")
    say(f"{'host':<24}{'mode':<8}{'gas':>8}{'library':>9}{'around it':>11}{'chemistry in the step':>23}")
    for host, (example, *options) in CASES.items():
        best: dict[str, np.ndarray] = {}
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(REPEATS):
                for mode in ("exact", "auto"):
                    cell_steps, seconds = simulate(Path(folder), example, *options, "--mode", mode)
                    micro = 1e6 * seconds / cell_steps
                    best[mode] = np.minimum(best.get(mode, micro), micro)
        for mode, (gas, coupling, library) in best.items():
            share = coupling / (gas + coupling)
            say(f"{host:<24}{mode:<8}{gas:>8.2f}{library:>9.2f}{coupling - library:>11.2f}{share:>23.0%}")
        say(f"{host:<24}library, exact over auto: {best['exact'][2] / best['auto'][2]:.2f}")
    say()
    say.write(OUTPUT)


if __name__ == "__main__":
    main()
