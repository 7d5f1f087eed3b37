"""Clouds of the guide's parallel programs (docs/hosts/mpi.md, openmp.md); the programs as a reader builds them."""

from __future__ import annotations

from pathlib import Path

import guide
import native_build
import numpy as np

from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.network import Network
from pychemsurrogate.solver import Solver


def mean_co_of_gas(steps: int, dt: float) -> float:
    """What the pages' serial programs print: mean n(CO)/n_H of 64 cells after `steps` exact steps of dt [s]."""
    solver = Solver.load("osu_09_2008", mode="exact")
    density = 100.0 * np.arange(1, 65)
    n = np.zeros((64, len(solver.species)))
    for name, share in {"H2": 0.5, "O": 2e-4, "C+": 1e-4, "e-": 1e-4}.items():
        n[:, solver.index(name)] = share * density
    for _ in range(steps):
        n, report = solver.step(n, dt, 20.0, zeta=1e-16)
        assert report.ok
    return float(np.mean(n[:, solver.index("CO")] / density))


def mean_co(network: Network, cells: int = 4000) -> float:
    """Mean n(CO) [cm^-3] of the clouds after 1e4 yr."""
    density = 10 ** (2 + 4 * np.arange(1, cells + 1) / cells)
    n = np.zeros((cells, network.n_species))
    for name, per_h in {"H2": 0.5, "O": 2e-4, "C+": 1e-4, "e-": 1e-4}.items():
        n[:, network.species_index(name)] = per_h * density
    temperature = 10 + 290 / (1 + (density / 200) ** 0.6)
    n, status = NativeRosenbrock(network).advance(n, 3.15576e11, temperature, {"zeta": 1e-16})
    assert (status > 0).all()
    return float(n[:, network.species_index("CO")].mean())


def built(page: str, source: str, folder: Path) -> Path:
    """The page's program, built by the page's commands (all but the last, which runs it)."""
    (folder / source).write_text(guide.block(page, "fortran"), encoding="utf-8")
    commands = guide.block(page, "sh").splitlines()
    native_build.run(["sh", "-e", "-c", "\n".join(commands[:-1])], {"PREFIX": str(native_build.install())}, cwd=folder)
    program = folder / Path(source).stem
    assert commands[-1].endswith(f"./{program.name}")
    return program
