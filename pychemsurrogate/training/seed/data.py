"""The data of Sulzer & Buck 2023 (arXiv:2312.06015), made by our exact integrator: 500 trajectories x 100 times.

All trajectories share temperature, ionisation rate and density; they differ in two numbers, n_C and n_C+.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

import pychemsurrogate
from pychemsurrogate.integrators import NativeRosenbrock
from pychemsurrogate.network import Network, load_network
from pychemsurrogate.training.dataset import DatasetError

NETWORK = "osu_09_2008"
TEMPERATURE = 50.0  # K
ZETA = 1e-16  # 1/s per H2
N_TOTAL = 1e4  # cm^-3: H2 at the start
N_REF = 2.0 * N_TOTAL  # n_H, cm^-3
TRACE = 1e-20  # of N_TOTAL: every species that is not set
TIMES = 3.1536e7 * 10.0 ** (-6.0 + 14.0 * np.arange(100) / 99.0)  # s
# The published rows lie at these times after an integration that began at t = 1 s.
ELAPSED = TIMES - 1.0
# The published min and max of log10 n, by which every normalised error is measured (one unit: 10.72 dex).
PUBLISHED_RANGE = (-17.4404, 4.0)
TRAIN_SHARE = 0.9


@dataclass(frozen=True)
class Convention:
    """Initial values: log10 of the range of n_C and n_C+ over N_TOTAL, and n_O / (n_C + n_C+)."""

    carbon: tuple[float, float]
    oxygen: float


CONVENTIONS = {
    # What the authors' published data hold.
    "published": Convention(carbon=(-6.0, -4.0), oxygen=4.0),
    # What the paper's text says.
    "text": Convention(carbon=(-6.0, -3.0), oxygen=1.0),
}


@dataclass(frozen=True)
class SeedData:
    """initial (N, S): n at t = 0 [cm^-3]; log10_n (N, 100, S) at TIMES; species names; the convention and its seed.

    The first 90 % of the (randomly drawn) trajectories are for training, the rest is held out.
    """

    initial: NDArray[np.float64]
    log10_n: NDArray[np.float64]
    species: tuple[str, ...]
    convention: str
    seed: int

    @property
    def train(self) -> NDArray[np.float64]:
        """log10 n of the training trajectories."""
        return self.log10_n[: round(TRAIN_SHARE * len(self.log10_n))]

    @property
    def held_out(self) -> NDArray[np.float64]:
        """log10 n of the other trajectories."""
        return self.log10_n[round(TRAIN_SHARE * len(self.log10_n)) :]

    @property
    def identity(self) -> dict[str, Any]:
        """What tells these data from others: two data sets of one identity are equal."""
        return {"convention": self.convention, "trajectories": len(self.log10_n), "seed": self.seed}


def initial_states(network: Network, convention: str, trajectories: int, seed: int) -> NDArray[np.float64]:
    """n (N, S) [cm^-3] at t = 0: H2 = N_TOTAL, C and C+ log-uniform, O and e- tied to them, the rest TRACE N_TOTAL."""
    rule = CONVENTIONS[convention]
    carbon = N_TOTAL * 10.0 ** np.random.default_rng(seed).uniform(*rule.carbon, size=(trajectories, 2))
    return states_of(network, carbon[:, 0], carbon[:, 1], rule.oxygen)


def states_of(
    network: Network, carbon: NDArray[np.float64], carbon_ions: NDArray[np.float64], oxygen: float
) -> NDArray[np.float64]:
    """The initial states n (N, S) for n_C, n_C+ (N) [cm^-3] and n_O / (n_C + n_C+)."""
    n = np.full((len(carbon), network.n_species), TRACE * N_TOTAL)
    for name, value in {
        "H2": N_TOTAL,
        "C": carbon,
        "C+": carbon_ions,
        "O": oxygen * (carbon + carbon_ions),
        "e-": carbon_ions,
    }.items():
        n[:, network.species_index(name)] = value
    return n


def trajectories_of(network: Network, initial: NDArray[np.float64]) -> NDArray[np.float64]:
    """log10 n (N, 100, S) at TIMES from the initial states (N, S) [cm^-3], by the native integrator at rtol 1e-8.

    Some trajectories of the convention "text" (8 %) end in a limit cycle and go round it ever more often between two
    rows: from where that takes more steps than are allowed, a trajectory is continued with rtol 1e-6.
    Raises RuntimeError if the integrator gives up on a trajectory all the same.
    """
    tight, loose = (
        NativeRosenbrock(network, rtol=rtol, atol=1e-24, max_steps=max_steps)
        for rtol, max_steps in ((1e-8, 1000), (1e-6, 50_000))
    )
    log10_n = np.empty((len(initial), len(TIMES), network.n_species))
    n, before = initial.copy(), 0.0
    cycling = np.zeros(len(n), dtype=bool)

    def advance(integrator: NativeRosenbrock, rows: NDArray[np.bool_], dt: float) -> NDArray[np.bool_]:
        n[rows], status = integrator.advance(n[rows], dt, TEMPERATURE, {"zeta": ZETA})
        return status < 0  # these still hold their input

    for row, after in enumerate(ELAPSED):
        cycling[~cycling] = advance(tight, ~cycling, after - before)
        if (failed := advance(loose, cycling, after - before)).any():
            raise RuntimeError(f"the integrator gave up on {int(failed.sum())} trajectories at t = {after:.3g} s")
        log10_n[:, row] = np.log10(n)
        before = after
    return log10_n


def make(convention: str, path: str | Path, trajectories: int = 500, seed: int = 1) -> SeedData:
    """The data of a convention, kept in the HDF5 file `path`: read back if they are there, else computed (seconds).

    Raises DatasetError if the file holds other data.
    """
    path = Path(path)
    if path.exists():
        data = read(path)
        wanted = {"convention": convention, "trajectories": trajectories, "seed": seed}
        if data.identity != wanted:
            raise DatasetError(f"{path}: holds {data.identity}, not {wanted}; delete it, or name another file")
        return data
    network = load_network(NETWORK)
    initial = initial_states(network, convention, trajectories, seed)
    data = SeedData(initial, trajectories_of(network, initial), network.species_names, convention, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with h5py.File(temporary, "w") as file:
        file.attrs.update(
            {
                "identity": json.dumps(data.identity),
                "recipe": json.dumps(asdict(CONVENTIONS[convention])),
                "pychemsurrogate": pychemsurrogate.__version__,
                "network_hash": network.hash,
                "temperature_K": TEMPERATURE,
                "zeta_per_s": ZETA,
            }
        )
        file["species"] = list(data.species)
        for name, values, units in (
            ("initial", data.initial, "cm^-3"),
            ("log10_n", data.log10_n, "log10 of cm^-3"),
            ("elapsed", ELAPSED, "s"),
        ):
            file.create_dataset(name, data=values, compression="gzip").attrs["units"] = units
    temporary.replace(path)
    return data


def read(path: str | Path) -> SeedData:
    """The data that `make` wrote. Raises DatasetError for another file."""
    try:
        with h5py.File(path, "r") as file:
            identity = json.loads(file.attrs["identity"])
            species = tuple(file["species"].asstr()[:])
            return SeedData(file["initial"][:], file["log10_n"][:], species, identity["convention"], identity["seed"])
    except (KeyError, OSError) as error:
        raise DatasetError(f"{path}: is not a data set of the seed paper ({error}); delete it") from None
