"""A cold molecular stream mixes with warm atomic gas: pyro2 moves the gas and 29 species, pychemsurrogate reacts them.

Code units: H nuclei, km/s, pc. So "density" is n_H and the species are number densities, all in cm^-3 (README.md).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from pyro import Pyro
from pyro import compressible_rk as pyro_compressible

from pychemsurrogate import Solver
from pychemsurrogate.integrators.conserve import conservation_defect, conserve

sys.path.append(str(Path(__file__).resolve().parents[1]))
from run_file import Tally, write_run  # what both hosts' examples count, print and save

YEAR_S, PC_CM, KM_CM = 3.15576e7, 3.0857e18, 1e5
TIME_S = PC_CM / KM_CM  # the code's unit of time, 0.98 Myr
GAMMA = 5 / 3
KELVIN = 2.33 * 1.6735e-24 * KM_CM**2 / 1.380649e-16  # T of p / rho = 1 (km/s)^2, with 10 % He by number: mu = 2.33

SIZE_PC = 0.5  # of the periodic square; the cold stream fills its middle half
COLD_N_H, WARM_N_H = 1000.0, 100.0  # cm^-3
PRESSURE_K_CM3 = 2e4  # n_H T: 20 K and 200 K
COLD_KM_S, WARM_KM_S = 0.4, -0.4
COLD_AGE_YR, WARM_AGE_YR = 5e5, 3e4  # of their chemistry at the start
ZETA_PER_S = 1e-16
ELEMENTS = ("C", "H", "O")


def composition(chemistry, n_h, age_yr):
    """Abundances n / n_H (species,) of gas that was H2, O and C+ age_yr ago."""
    n = np.full((1, len(chemistry.species)), 1e-20 * n_h)
    for name, abundance in {"H2": 0.5, "O": 3e-4, "C+": 1e-4, "e-": 1e-4}.items():
        n[0, chemistry.index(name)] = abundance * n_h
    _, report = chemistry.step(n, age_yr * YEAR_S, PRESSURE_K_CM3 / n_h, zeta=ZETA_PER_S, out=n)
    assert report.ok, report.advice()
    return n[0] / n_h


def initial_state(data, _parameters):
    """Fill pyro2's variables: two streams in pressure balance, with a wavy boundary 0.01 pc wide."""
    exact = Solver.load("osu_09_2008", mode="exact")
    x, y = data.grid.x2d / SIZE_PC, data.grid.y2d / SIZE_PC
    wave = 0.01 * (np.sin(4 * np.pi * x) + 0.7 * np.sin(6 * np.pi * x + 1) + 0.5 * np.sin(10 * np.pi * x + 2))
    edge = 0.02  # of the size
    cold = 0.5 * (np.tanh((y - 0.25 - wave) / edge) - np.tanh((y - 0.75 + wave) / edge))
    n_h = WARM_N_H + (COLD_N_H - WARM_N_H) * cold
    u_km_s = WARM_KM_S + (COLD_KM_S - WARM_KM_S) * cold
    share = (COLD_N_H * cold / n_h)[..., None]  # of the nuclei, those of the cold gas
    x_cold, x_warm = (composition(exact, n, a) for n, a in ((COLD_N_H, COLD_AGE_YR), (WARM_N_H, WARM_AGE_YR)))
    abundances = share * x_cold + (1 - share) * x_warm
    data.get_var("density")[:, :] = n_h
    data.get_var("x-momentum")[:, :] = n_h * u_km_s
    data.get_var("y-momentum")[:, :] = 0.0
    data.get_var("energy")[:, :] = PRESSURE_K_CM3 / KELVIN / (GAMMA - 1) + n_h * u_km_s**2 / 2
    for i, name in enumerate(exact.species):
        data.get_var(name)[:, :] = abundances[..., i] * n_h
    nuclei = abundances @ exact.network.tables().composition[:-1].T
    for i, element in enumerate(ELEMENTS):
        data.get_var(f"nuclei of {element}")[:, :] = nuclei[..., i] * n_h


class ReactingFlow(pyro_compressible.Simulation):
    """pyro2's method-of-lines solver, with species and, after each step of the gas, chemistry."""

    chemistry: Solver  # set by run()
    chemistry_on = True

    def initialize(self, **options):
        """Add the species, and the nuclei of the elements, to the variables that pyro2 moves."""
        names = [*self.chemistry.species, *(f"nuclei of {element}" for element in ELEMENTS)]
        super().initialize(extra_vars=names, **options)
        grid = self.cc_data.grid
        self.tally = Tally(np.pad(np.ones((grid.nx, grid.ny), dtype=np.int8), grid.ng))
        self.worst_defect = 0.0  # of an element in a cell, by a step of pyro2's transport

    def evolve(self):
        """Move the gas and what is in it, then react."""
        super().evolve()
        started = time.process_time()
        u = np.asarray(self.cc_data.data)  # [x, y, variable], ghost cells too
        kelvin = self.temperature_k().ravel()
        mask, dt_s = self.tally.interior.ravel(), self.dt * TIME_S
        n = u.reshape(-1, u.shape[-1])[:, 4 : 4 + len(self.chemistry.species)]  # n[cell, species], a view
        self.mend(n, mask > 0)
        if self.chemistry_on:
            called = time.process_time()
            _, report = self.chemistry.step(n, dt_s, kelvin, zeta=ZETA_PER_S, out=n, mask=mask, statistics=True)
            self.tally.count(report, "C", started, called)

    def mend(self, n, real):
        """Give the species the elements that pyro2 moved beside them, and no net charge.

        Each variable has slopes of its own, so the species of a cell no longer add up to its elements.
        """
        wanted = np.zeros((real.sum(), n.shape[1]))  # a state with these elements: bare atoms
        for element in ELEMENTS:
            nuclei = np.asarray(self.cc_data.get_var(f"nuclei of {element}"))
            wanted[:, self.chemistry.index(element)] = nuclei.ravel()[real]
        matrix = self.chemistry.network.tables().composition
        self.worst_defect = max(self.worst_defect, conservation_defect(n[real], wanted, matrix)[:, :-1].max())
        n[real] = conserve(n[real], wanted, matrix)

    def temperature_k(self):
        """From the pressure, (x, y) with ghost cells [K]."""
        density, pressure = (np.asarray(self.cc_data.get_var(name)) for name in ("density", "pressure"))
        return KELVIN * pressure / density


def run(cells, end_kyr, mode, chemistry_on=True):
    """Simulate on cells x cells; returns pyro2's simulation object."""
    ReactingFlow.chemistry, ReactingFlow.chemistry_on = Solver.load("osu_09_2008", mode=mode), chemistry_on
    pyro = Pyro("compressible_rk")
    pyro.solver = SimpleNamespace(Simulation=ReactingFlow)
    pyro.add_problem("mixing_layer", initial_state)
    sides = dict.fromkeys(("mesh.xlboundary", "mesh.xrboundary", "mesh.ylboundary", "mesh.yrboundary"), "periodic")
    mesh = {"mesh.nx": cells, "mesh.ny": cells, "mesh.xmax": SIZE_PC, "mesh.ymax": SIZE_PC, **sides}
    gas = {"eos.gamma": GAMMA, "compressible.temporal_method": "TVD2", "driver.cfl": 0.8}
    end = {"driver.tmax": end_kyr * 1e3 * YEAR_S / TIME_S, "driver.max_steps": 10**6}
    pyro.initialize_problem("mixing_layer", inputs_dict={**mesh, **gas, **end})
    pyro.run_sim()
    return pyro.get_sim()


def main():
    """Run by options, print the tally and save the fields."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=128, help="along each side")
    parser.add_argument("--end-kyr", type=float, default=600.0)
    parser.add_argument("--mode", default="auto", help="auto, surrogate, exact; off: gas alone")
    parser.add_argument("--output", default="mixing_layer.npz")
    asked = parser.parse_args()
    off = asked.mode == "off"
    flow = run(asked.cells, asked.end_kyr, "exact" if off else asked.mode, chemistry_on=not off)
    inner = (slice(flow.cc_data.grid.ng, -flow.cc_data.grid.ng),) * 2
    u, kelvin = np.asarray(flow.cc_data.data)[inner], flow.temperature_k()[inner]
    n = np.moveaxis(u[..., 4 : 4 + len(flow.chemistry.species)], -1, 0)
    print(f"pyro2's transport changed an element of a cell by at most {flow.worst_defect:.1e} a step; mended")
    extent_pc = [0, SIZE_PC, 0, SIZE_PC]
    write_run(asked.output, u[..., 0], kelvin, n, flow.chemistry, flow.tally, asked.end_kyr, extent_pc)


if __name__ == "__main__":
    main()
