#!/usr/bin/env python3
"""Clouds of many densities that age together, their cells dealt out to the ranks of an MPI run (mpi4py).

Usage: mpirun -n 2 python clouds.py [--cells N] [--steps N] [--audit SHARE] [--costs NUMBERS] [--output FILE]
       [--devices N]

Rank 0 makes the cells and deals them out in turn, so that every rank gets some of each density: cells that the model
refuses lie together in density, and blocks of the list would make the ranks unequal. The answers come back in the order
of the list. A cell's answer depends on that cell alone, so the file is the same, bit for bit, for any number of ranks,
as long as nothing is measured or audited along the way: --costs fixes what the router weighs, --audit 0 leaves the
thresholds of the gate where they are.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from pychemsurrogate.solver import Solver

YEAR_S = 3.15576e7


def young_clouds(solver: Solver, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Abundances [cm^-3] (cell, species) and temperatures [K] of molecular gas with ionised carbon, 1e2..1e6 cm^-3."""
    density = np.geomspace(1e2, 1e6, count)
    n = np.zeros((count, len(solver.species)))
    for name, per_h in {"H2": 0.5, "O": 2e-4, "C+": 1e-4, "e-": 1e-4}.items():
        n[:, solver.species.index(name)] = per_h * density
    return n, 10 + 290 / (1 + (density / 200) ** 0.6)


def local_device(world: MPI.Comm, devices: int) -> str:
    """This rank's device: those of a node are dealt out to its ranks. 0 devices: the CPU."""
    node = world.Split_type(MPI.COMM_TYPE_SHARED)
    local_rank = node.Get_rank()
    node.Free()
    return f"cuda:{local_rank % devices}" if devices else "cpu"


def on_device(n: NDArray[np.float64], device: str) -> Any:
    """The abundances where the solver wants them: a numpy array, or a torch tensor on the device."""
    if device == "cpu":
        return n
    import torch

    return torch.as_tensor(n, device=device)


def main() -> None:
    """Age the clouds, tell how equal the ranks were, and write the result on rank 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=4000)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--model", default="osu_09_2008")
    parser.add_argument("--audit", type=float, default=0.001)
    parser.add_argument("--costs", default="measure")
    parser.add_argument("--devices", type=int, default=0, help="accelerators of a node")
    parser.add_argument("--output", type=Path, default=Path("clouds.npy"))
    given = parser.parse_args()

    world = MPI.COMM_WORLD
    device = local_device(world, given.devices)
    solver = Solver.load(given.model, device=device, audit=given.audit, costs=given.costs)
    parts = None
    if world.Get_rank() == 0:
        n, temperature = young_clouds(solver, given.cells)
        parts = [(n[k :: world.Get_size()], temperature[k :: world.Get_size()]) for k in range(world.Get_size())]
    n, temperature = world.scatter(parts)

    seconds, exact = 0.0, 0
    state = on_device(n, device)
    for _ in range(given.steps):
        state, report = solver.step(state, 1e4 * YEAR_S, temperature, zeta=1e-16)
        seconds += report.seconds
        exact += report.exact

    shares = world.gather((state if device == "cpu" else state.cpu().numpy(), seconds, exact))
    if shares is None:
        return
    result = np.empty((given.cells, len(solver.species)))
    for k, (part, _, _) in enumerate(shares):
        result[k :: world.Get_size()] = part
    np.save(given.output, result)
    for name, values in (("seconds", [share[1] for share in shares]), ("exact cells", [share[2] for share in shares])):
        print(f"{name}: largest / mean over {len(values)} ranks {max(values) / max(np.mean(values), 1e-300):.2f}")


if __name__ == "__main__":
    main()
