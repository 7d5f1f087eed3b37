"""A stream hits two molecular clouds: PyClaw moves the gas and 29 species, pychemsurrogate reacts them (README.md).

Code units: H nuclei, km/s, pc. So q[0] is n_H and q[4:] are the number densities of the species, all in cm^-3.
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from clawpack import pyclaw

from pychemsurrogate import Solver

sys.path.append(str(Path(__file__).resolve().parents[1]))
from run_file import Tally, write_run  # what both hosts' examples count, print and save

YEAR_S, PC_CM, KM_CM = 3.15576e7, 3.0857e18, 1e5
TIME_S = PC_CM / KM_CM  # the code's unit of time, 0.98 Myr
GAMMA = 5 / 3
KELVIN = 2.33 * 1.6735e-24 * KM_CM**2 / 1.380649e-16  # T of p / rho = 1 (km/s)^2, with 10 % He by number: mu = 2.33
LEAST_K = 8.0

STREAM_N_H, CLOUD_N_H = 100.0, 1500.0  # cm^-3
STREAM_KM_S = 4.0
CLOUDS_PC = ((1.2, 0.15, 0.40), (2.1, -0.45, 0.22))  # x, y, radius
LENGTH_PC, HEIGHT_PC = 4.0, 2.0
ZETA_PER_S = 1e-16
AGE_YR = 2e5  # of the chemistry at the start


def balanced_temperature_k(n_h):
    """Where heating balances cooling [K]: 105 in the stream, 13 in the clouds."""
    return 10 + 190 / (1 + (n_h / 100) ** 1.5)


def cooling_time_s(n_h):
    """How fast the temperature relaxes to that balance [s]: a stand-in for line cooling."""
    return 6e4 * YEAR_S * 100 / n_h


def temperature_k(q):
    """From the pressure [K]; q (4 + species, ...). In cold, fast gas that is a small difference of large energies."""
    return np.maximum(KELVIN * (GAMMA - 1) * (q[3] - (q[1] ** 2 + q[2] ** 2) / (2 * q[0])) / q[0], LEAST_K)


def set_temperature(q, kelvin):
    """Change the energy so that the gas has this temperature [K]."""
    q[3] = q[0] * kelvin / (KELVIN * (GAMMA - 1)) + (q[1] ** 2 + q[2] ** 2) / (2 * q[0])


def compiled_riemann_solver():
    """euler_species.f90 as PyClaw takes a Riemann solver in Fortran: an object that holds a C pointer to its rpn2."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "euler_species.so"
        source = Path(__file__).with_suffix("").with_name("euler_species.f90")
        options = ["-O3", "-march=native", "-fPIC", "-shared", "-J", folder, "-o", library]
        subprocess.run(["gfortran", *options, source], check=True)
        code = ctypes.CDLL(str(library))
    ctypes.c_double.in_dll(code, "euler_species_gamma").value = GAMMA
    ctypes.c_double.in_dll(code, "euler_species_least_pressure").value = LEAST_K / KELVIN
    capsule = ctypes.pythonapi.PyCapsule_New
    capsule.restype, capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    pointer = capsule(ctypes.cast(code.euler_species_rpn2, ctypes.c_void_p), None, None)
    return SimpleNamespace(__name__="euler_species", library=code, rpn2=SimpleNamespace(_cpointer=pointer))


def initial_state(x_pc, y_pc, chemistry):
    """q (4 + species, x, y): clouds at rest in the stream, each gas with the chemistry of its density and age."""
    cloud = np.zeros(x_pc.shape)
    for x, y, radius in CLOUDS_PC:
        cloud += 1 / (1 + np.exp((np.hypot(x_pc - x, y_pc - y) - radius) / 0.02))
    n_h = STREAM_N_H + (CLOUD_N_H - STREAM_N_H) * cloud
    n = np.full((n_h.size, len(chemistry.species)), 1e-20) * n_h.reshape(-1, 1)
    for name, abundance in {"H2": 0.5, "O": 3e-4, "C+": 1e-4, "e-": 1e-4}.items():
        n[:, chemistry.index(name)] = abundance * n_h.ravel()
    kelvin = balanced_temperature_k(n_h)
    _, report = chemistry.step(n, AGE_YR * YEAR_S, kelvin.ravel(), zeta=ZETA_PER_S, out=n)
    assert report.ok, report.advice()
    momentum = n_h * STREAM_KM_S * (1 - cloud).clip(0)
    q = np.stack([n_h, momentum, 0 * n_h, 0 * n_h, *n.T.reshape(-1, *n_h.shape)])
    set_temperature(q, kelvin)
    return q


def run(cells, end_kyr, mode, chemistry_on=True):
    """Simulate on cells x cells / 2. Returns PyClaw's solver and its state, the chemistry and the tally of the run."""
    chemistry = Solver.load("osu_09_2008", mode=mode)
    claw = pyclaw.ClawSolver2D(compiled_riemann_solver())
    claw.num_eqn, claw.num_waves, claw.fwave = 4 + len(chemistry.species), 3, False
    claw.limiters = pyclaw.limiters.tvd.minmod
    claw.cfl_desired, claw.cfl_max, claw.dt_initial, claw.max_steps = 0.45, 0.5, 1e-4, 10**6
    domain = pyclaw.Domain([0, -HEIGHT_PC / 2], [LENGTH_PC, HEIGHT_PC / 2], [cells, cells // 2])
    state = pyclaw.State(domain, claw.num_eqn)
    state.q[...] = initial_state(*state.grid.p_centers, Solver.load("osu_09_2008", mode="exact"))
    inflow = state.q[:, 0, 0].copy()
    claw.bc_lower, claw.bc_upper = [pyclaw.BC.custom, pyclaw.BC.extrap], [pyclaw.BC.extrap] * 2

    def stream_in(_state, _dim, _t, qbc, _auxbc, num_ghost):
        qbc[:, :num_ghost] = inflow[:, None, None]

    interior = np.pad(np.ones((cells, cells // 2), dtype=np.int8), claw.num_ghost)  # 0 in ghost cells
    tally = Tally(interior)

    def react(claw, state, dt):
        """PyClaw's source step, after each gas step: state.q is then the interior of claw.qbc."""
        started = time.process_time()
        dt_s, kelvin, mask = dt * TIME_S, temperature_k(claw.qbc).ravel(order="F"), interior.ravel(order="F")
        n = claw.qbc[4:].reshape(len(chemistry.species), -1, order="F").T  # n[cell, species], a view
        if chemistry_on:
            called = time.process_time()
            _, report = chemistry.step(n, dt_s, kelvin, zeta=ZETA_PER_S, out=n, mask=mask, statistics=True)
            tally.count(report, "F", started, called)
        balance = balanced_temperature_k(state.q[0])
        hot = (temperature_k(state.q) - balance) * np.exp(-dt_s / cooling_time_s(state.q[0]))
        set_temperature(state.q, balance + hot)

    claw.step_source, claw.user_bc_lower = react, stream_in
    claw.evolve_to_time(pyclaw.Solution(state, domain), end_kyr * 1e3 * YEAR_S / TIME_S)
    return claw, state, chemistry, tally


def main():
    """Run by options, print the tally and save the fields."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=256, help="along the stream; half as many across")
    parser.add_argument("--end-kyr", type=float, default=800.0)
    parser.add_argument("--mode", default="auto", help="auto, surrogate, exact; off: gas alone")
    parser.add_argument("--output", default="shock_cloud.npz")
    asked = parser.parse_args()
    off = asked.mode == "off"
    _, state, chemistry, tally = run(asked.cells, asked.end_kyr, "exact" if off else asked.mode, chemistry_on=not off)
    extent_pc = [0, LENGTH_PC, -HEIGHT_PC / 2, HEIGHT_PC / 2]
    write_run(asked.output, state.q[0], temperature_k(state.q), state.q[4:], chemistry, tally, asked.end_kyr, extent_pc)


if __name__ == "__main__":
    main()
