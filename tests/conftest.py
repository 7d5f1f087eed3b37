"""Networks and data that several tests use."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from inline import Inline
from native_build import EITHER_LIBRARY, NativeBuild, build
from numpy.typing import NDArray

from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.network import Network, load_network, parse_network
from pychemsurrogate.training.dataset import generate
from pychemsurrogate.training.truth import UNITS_PER_CYCLE, Recipe

# Two workers share the cores (Makefile): threads that wait for work must not take the other's time. Read by libgomp.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

DATA = Path(__file__).parent / "data"
YEAR_S = 3.15576e7
COUNT = 300  # of cells: several tiles of any instruction set, the last one partial

DECAY_CHAIN = """pychemsurrogate network 1
name: decay_chain
source: Bateman 1910, Proc. Camb. Phil. Soc. 15, 423
species: A B C
define: A X=1 charge=0 mass_g=1e-24
define: B X=1 charge=0 mass_g=1e-24
define: C X=1 charge=0 mass_g=1e-24
reactions:
A -> B | arrhenius | 3e-10 0 0
B -> C | arrhenius | 5e-8 0 0
"""

ROBERTSON = """pychemsurrogate network 1
name: robertson
source: Robertson 1966, in Numerical Analysis: An Introduction (ed. J. Walsh), p. 178
species: A B C
define: A X=1 charge=0 mass_g=1e-24
define: B X=1 charge=0 mass_g=1e-24
define: C X=1 charge=0 mass_g=1e-24
reactions:
A -> B | arrhenius | 0.04 0 0
B + B -> C + B | arrhenius | 3e7 0 0
B + C -> A + C | arrhenius | 1e4 0 0
"""


@pytest.fixture(autouse=True)
def torch_on_one_thread() -> None:
    """Small tensors, many operations: threads that wait for each other would take most of the time."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def osu() -> Network:
    return load_network("osu_09_2008")


@pytest.fixture(scope="session")
def molecular_co(osu: Network) -> float:
    """n(CO) [cm^-3] that the hosts of tests/consumer must find."""
    n = np.zeros((1, osu.n_species))
    for name, value in {"H2": 5e3, "C+": 1.0, "e-": 1.0, "O": 3.0}.items():
        n[0, osu.species_index(name)] = value
    n, _ = NativeRosenbrock(osu).advance(n, 3.15576e11, 20.0, {"zeta": 1e-16})
    return float(n[0, osu.species_index("CO")])


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with every kind and split."""
    recipe = Recipe(units=UNITS_PER_CYCLE, runs_per_unit=4, seed=7, rtol=1e-2, atol=1e-15)
    return generate(recipe, tmp_path_factory.mktemp("data") / "tiny.h5", executor=Inline(), progress=False)


@pytest.fixture(scope="session")
def decay_chain() -> Network:
    return parse_network(DECAY_CHAIN)


@pytest.fixture(scope="session")
def robertson() -> Network:
    return parse_network(ROBERTSON)


@dataclass(frozen=True)
class Published:
    """Trajectories of Sulzer & Buck 2023: log10_n (trajectories, times, S), n0 (trajectories, S), cm^-3 and s."""

    times: NDArray[np.float64]
    n0: NDArray[np.float64]
    log10_n: NDArray[np.float64]
    temperature: float
    zeta: float


@pytest.fixture(scope="session")
def published(osu: Network) -> Published:
    with h5py.File(DATA / "osu_published.h5") as file:
        assert tuple(file["species"].asstr()[:]) == osu.species_names
        log10_n = file["log10_n"][:].astype(np.float64)
        n_total, trace = file.attrs["n_total_cm3"], file.attrs["trace_of_n_total"]
        # Row 0 lies 30 s after the start: n_C, n_C+ have not moved yet, the others follow from the stated conditions.
        row = dict(zip(osu.species_names, 10.0 ** log10_n[:, 0].T, strict=True))
        n0 = np.full((len(log10_n), osu.n_species), trace * n_total)
        for name, value in {
            "H2": n_total,
            "C": row["C"],
            "C+": row["C+"],
            "e-": row["C+"],
            "O": file.attrs["n_O_per_carbon"] * (row["C"] + row["C+"]),
        }.items():
            n0[:, osu.species_index(name)] = value
        return Published(
            times=file["elapsed_s"][:],
            n0=n0,
            log10_n=log10_n,
            temperature=float(file.attrs["temperature_K"]),
            zeta=float(file.attrs["zeta_per_s"]),
        )


@pytest.fixture(scope="session")
def cells(osu: Network) -> tuple[NDArray[np.float64], ...]:
    """Relaxed cells after a hydro-like change: n, dt, T (300), zeta (300, 1), within the shipped model's box."""
    rng = np.random.default_rng(5)
    density = 10 ** rng.uniform(2.2, 5.8, COUNT)
    carbon = 10 ** rng.uniform(-5, -3.6, COUNT) * density
    ionised = rng.uniform(0.05, 0.95, COUNT)
    n = np.full((COUNT, osu.n_species), 1e-20) * density[:, None]
    start = {
        "H2": density / 2,
        "C": (1 - ionised) * carbon,
        "C+": ionised * carbon,
        "e-": ionised * carbon,
        "O": 2 * carbon,
    }
    for name, value in start.items():
        n[:, osu.species_index(name)] = value
    temperature, zeta = 10 ** rng.uniform(1.1, 2.3, COUNT), 10 ** rng.uniform(-16.9, -15.1, COUNT)
    age = 10 ** rng.uniform(3, 6, COUNT) * YEAR_S
    n, status = NativeRosenbrock(osu, rtol=1e-4).advance(n, age, temperature, {"zeta": zeta})
    assert (status > 0).all()
    temperature = np.clip(temperature * rng.uniform(0.9, 1.1, COUNT), 10, 300)
    n *= rng.uniform(0.9, 1.1, COUNT)[:, None]
    return n, 10 ** rng.uniform(0.5, 4.5, COUNT) * YEAR_S, temperature, zeta[:, None]


@pytest.fixture(scope="session")
def libpcs() -> NativeBuild:
    """libpcs, built by CMake."""
    return build("pcs")


@pytest.fixture(scope="session")
def libpcs_embed() -> NativeBuild:
    """libpcs_embed, the same interface served by Python."""
    return replace(build("pcs_embed"), name="pcs_embed")


@pytest.fixture(scope="session", params=EITHER_LIBRARY)
def host_library(request: pytest.FixtureRequest) -> NativeBuild:
    """Either library: a host must not see which one it is linked to."""
    return replace(build(request.param), name=request.param)
