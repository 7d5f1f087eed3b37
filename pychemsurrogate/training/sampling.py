"""Where training states come from: initial states, histories of conditions, and mixtures.

A *run* is one parcel of gas that is followed through a history of temperature, density and ionisation rate. Runs come
in *families* of four that start from the same composition under different conditions: neighbours in a grid, so to say.
Three kinds of runs:

tracks   conditions jump, jitter or rest from segment to segment; time steps are log-uniform over the whole range
hydro    relaxed gas; T and n_H walk by 0.02 and 0.04 dex a step, steps of 1e3 to 1e4 yr
flow     relaxed gas that is compressed or expands for tens of steps of 1e2 to 1e4 yr while T follows, and that
         exchanges matter with its neighbours at every step, as in a hydro code

Advection mixes cells, and a map that never saw mixed gas fails on it, so a share of the segments begins with a mixture
(of any two runs, or of neighbours) or with a perturbed state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate.integrators.conserve import conserve
from pychemsurrogate.network import NetworkTables

YEAR_S = 3.15576e7  # Julian year

FloatArray = NDArray[np.float64]
Range = tuple[float, float]

KINDS = ("tracks", "hydro", "flow")
STARTS = ("track", "unrelated mixture", "neighbour mixture", "perturbed")
FAMILY = 4

# Probability that a segment begins with a mixture of unrelated runs, of neighbours, or with a perturbed state.
_MIXING = {"tracks": (0.10, 0.10, 0.10), "hydro": (0.0, 0.0, 0.0), "flow": (0.0, 0.30, 0.02)}


class SamplingError(ValueError):
    """The sampler cannot serve this network; the message says what it lacks."""


@dataclass(frozen=True)
class Ranges:
    """The supported range of a surrogate, both ends included.

    temperature [K], density n_H [cm^-3], conditions by name (zeta [1/s per H2]), dt [yr]; carbon: C nuclei per H
    nucleus, oxygen_per_carbon: O nuclei per C nucleus.
    """

    temperature: Range = (10.0, 300.0)
    density: Range = (1e2, 1e6)
    conditions: Mapping[str, Range] = field(default_factory=lambda: {"zeta": (1e-17, 1e-15)})
    dt_years: Range = (1.0, 1e5)
    carbon: Range = (5e-7, 5e-4)
    oxygen_per_carbon: Range = (0.7, 5.0)


@dataclass(frozen=True)
class History:
    """Conditions of N runs over G segments, and D ascending time steps [s] from the start of every segment.

    temperature [K], density [cm^-3] and each of conditions (G, N); dt (G, N, D); relax [s] (N): how long the gas rests
    under the first conditions before the history begins; recorded (G): which segments become training pairs.
    """

    temperature: FloatArray
    density: FloatArray
    conditions: Mapping[str, FloatArray]
    dt: FloatArray
    relax: FloatArray
    recorded: NDArray[np.bool_]


def log_uniform(rng: np.random.Generator, bounds: Range, size: int | tuple[int, ...]) -> FloatArray:
    """Log-uniform random numbers between the bounds."""
    return 10.0 ** rng.uniform(np.log10(bounds[0]), np.log10(bounds[1]), size)


def initial_abundances(tables: NetworkTables, ranges: Ranges, runs: int, rng: np.random.Generator) -> FloatArray:
    """Abundances x = n/n_H (runs, S) of H-C-O gas before any chemistry: molecular to atomic, neutral to ionised.

    The members of a family (FAMILY rows in a row) start alike. Electrons make the gas neutral.
    Raises SamplingError unless the network knows C, C+, O, H, H2 and the electron.
    """
    index = {name: i for i, name in enumerate(tables.species)}
    absent = [name for name in ("H", "H2", "C", "C+", "O", "e-") if name not in index]
    if absent:
        raise SamplingError(f"the sampler of interstellar gas needs the species {', '.join(absent)} in the network")

    count = -(-runs // FAMILY)
    # Traces are either all but absent or up to 1e-12, so that no trace marks the first call.
    x = log_uniform(rng, (1e-20, 1e-12), (count, len(tables.species)))
    x[rng.random(count) < 0.5] = 1e-20

    def amount(name: str, value: FloatArray) -> None:
        if name in index:
            x[:, index[name]] = value

    molecular = log_uniform(rng, (1e-6, 1e-2), count)
    atomic = log_uniform(rng, (1e-2, 1.0), count)
    choice = rng.random(count)
    hydrogen = np.where(choice < 0.4, molecular, np.where(choice < 0.7, rng.random(count), atomic))
    amount("H", hydrogen)
    amount("H2", 0.5 * (1.0 - hydrogen))

    carbon = log_uniform(rng, ranges.carbon, count)
    oxygen = carbon * log_uniform(rng, ranges.oxygen_per_carbon, count)
    in_co = np.where(rng.random(count) < 0.35, rng.random(count), 0.0) * np.minimum(carbon, oxygen)
    in_co = in_co if "CO" in index else np.zeros(count)
    amount("CO", in_co)
    choice = rng.random(count)
    ionised = np.where(choice < 0.35, 1.0 - 1e-6, np.where(choice < 0.6, 1e-6, rng.random(count)))
    amount("C+", ionised * (carbon - in_co))
    amount("C", (1.0 - ionised) * (carbon - in_co))
    oxygen_left = oxygen - in_co
    for name, atoms in (("H2O", 1), ("O2", 2), ("OH", 1)):
        if name in index:
            share = np.where(rng.random(count) < 0.15, rng.random(count), 0.0)
            amount(name, share * oxygen_left / atoms)
            oxygen_left = (1.0 - share) * oxygen_left
    amount("O", oxygen_left)
    for name, bounds in (("H+", (1e-9, 3e-4)), ("H3+", (1e-12, 1e-7)), ("HCO+", (1e-13, 1e-9))):
        if name in index:
            present = rng.random(count) < 0.4
            x[present, index[name]] = log_uniform(rng, bounds, int(present.sum()))

    electron = index["e-"]
    charge = tables.composition[-1]
    x[:, electron] = np.delete(x, electron, axis=1) @ np.delete(charge, electron)
    if np.any(x[:, electron] <= 0.0):
        raise SamplingError(
            "the sampled gas holds more negative than positive ions; the sampler does not serve this network"
        )
    x /= (x @ tables.scale_weights)[:, None]
    return np.repeat(x, FAMILY, axis=0)[:runs]


def history(kind: str, ranges: Ranges, runs: int, rng: np.random.Generator) -> History:
    """A random history of the given kind (KINDS) for `runs` runs."""
    return {"tracks": _tracks, "hydro": _hydro, "flow": _flow}[kind](ranges, runs, rng)


def _clip(values: FloatArray, bounds: Range) -> FloatArray:
    return np.clip(values, np.log10(bounds[0]), np.log10(bounds[1]))


def _start(ranges: Ranges, runs: int, rng: np.random.Generator) -> dict[str, FloatArray]:
    bounds = {"T": ranges.temperature, "n_H": ranges.density, **ranges.conditions}
    return {name: np.log10(log_uniform(rng, values, runs)) for name, values in bounds.items()}


def _tracks(ranges: Ranges, runs: int, rng: np.random.Generator) -> History:
    segments, steps = 10, 4
    bounds = {"T": ranges.temperature, "n_H": ranges.density, **ranges.conditions}
    spread = {"T": 0.08, "n_H": 0.15}  # dex a segment; 0.05 for the other conditions
    now = _start(ranges, runs, rng)
    rows: dict[str, list[FloatArray]] = {name: [] for name in now}
    isothermal = rng.random(runs) < 0.35
    for _ in range(segments):
        choice = rng.random(runs)
        jump = ~isothermal & (choice < 0.25)
        jitter = ~isothermal & (choice >= 0.25) & (choice < 0.70)
        fresh = _start(ranges, runs, rng)
        for name in now:
            walked = _clip(now[name] + rng.normal(0.0, spread.get(name, 0.05), runs), bounds[name])
            now[name] = np.where(jump, fresh[name], np.where(jitter, walked, now[name]))
            rows[name].append(now[name])
    hydro_step = rng.random((segments, runs, 1)) < 0.35
    dt = log_uniform(rng, ranges.dt_years, (segments, runs, steps))
    hydro = (max(1e2, ranges.dt_years[0]), min(1e4, ranges.dt_years[1]))
    dt = np.where(hydro_step, log_uniform(rng, hydro, (segments, runs, steps)), dt)
    # Half of the runs begin with their first state as it is, half after a rest.
    relax = np.where(rng.random(runs) < 0.5, 0.0, log_uniform(rng, (1e2, 1e6), runs))
    return _assemble(rows, np.sort(dt, axis=-1), relax, np.ones(segments, dtype=bool))


def _hydro(ranges: Ranges, runs: int, rng: np.random.Generator) -> History:
    segments = 16
    rows = _walk(ranges, runs, rng, segments, temperature=0.02, density=0.04)
    dt = log_uniform(rng, (1e3, 1e4), (segments, runs, 1))
    return _assemble(rows, dt, log_uniform(rng, (1e4, 1e6), runs), np.ones(segments, dtype=bool))


def _walk(
    ranges: Ranges, runs: int, rng: np.random.Generator, segments: int, temperature: float, density: float
) -> dict[str, list[FloatArray]]:
    now = _start(ranges, runs, rng)
    rows: dict[str, list[FloatArray]] = {name: [] for name in now}
    for _ in range(segments):
        now["T"] = _clip(now["T"] + rng.normal(0.0, temperature, runs), ranges.temperature)
        now["n_H"] = _clip(now["n_H"] + rng.normal(0.0, density, runs), ranges.density)
        for name, value in now.items():
            rows[name].append(value)
    return rows


def _flow(ranges: Ranges, runs: int, rng: np.random.Generator) -> History:
    segments = 40
    now = _start(ranges, runs, rng)
    # Neighbours share what is outside of the parcel, and differ by a little in density and temperature.
    leader = np.arange(runs) // FAMILY * FAMILY
    now = {name: value[leader] for name, value in now.items()}
    now["n_H"] = _clip(now["n_H"] + rng.normal(0.0, 0.3, runs), ranges.density)
    now["T"] = _clip(now["T"] + rng.normal(0.0, 0.1, runs), ranges.temperature)
    onset = rng.integers(0, segments, runs)[leader]
    duration = rng.integers(2, segments, runs)[leader]
    total = rng.uniform(-2.0, 3.5, runs)[leader]  # dex of compression
    slope = rng.uniform(-0.3, 0.8, runs)[leader]  # -d log T / d log n_H: cooling on compression
    rows: dict[str, list[FloatArray]] = {name: [] for name in now}
    for g in range(segments):
        active = (g >= onset) & (g < onset + duration)
        change = np.where(active, total / duration, 0.0) * rng.uniform(0.3, 1.7, runs) + rng.normal(0.0, 0.02, runs)
        density = _clip(now["n_H"] + change, ranges.density)
        change = density - now["n_H"]
        now["n_H"] = density
        now["T"] = _clip(now["T"] - slope * change + rng.normal(0.0, 0.01, runs), ranges.temperature)
        for name, value in now.items():
            rows[name].append(value)
    dt = log_uniform(rng, (1e2, 1e4), runs)[leader][None, :, None] * 10.0 ** rng.normal(0.0, 0.05, (segments, runs, 1))
    dt = np.clip(dt, *ranges.dt_years)
    return _assemble(rows, dt, log_uniform(rng, (1e4, 3e6), runs)[leader], np.arange(segments) % 2 == 0)


def _assemble(
    rows: Mapping[str, list[FloatArray]], dt_years: FloatArray, relax_years: FloatArray, recorded: NDArray[np.bool_]
) -> History:
    values = {name: 10.0 ** np.stack(value) for name, value in rows.items()}
    return History(
        temperature=values.pop("T"),
        density=values.pop("n_H"),
        conditions=values,
        dt=dt_years * YEAR_S,
        relax=relax_years * YEAR_S,
        recorded=recorded,
    )


def disturb(
    x: FloatArray, kind: str, tables: NetworkTables, rng: np.random.Generator
) -> tuple[FloatArray, NDArray[np.uint8]]:
    """Mix or perturb a share of the states x (N, S); returns the new states and how each one starts (STARTS).

    Mixtures are of masses, so elements and charge follow by themselves; perturbed states are brought back to the
    elements and charge that they had.
    """
    runs = len(x)
    unrelated, neighbour, perturbed = _MIXING[kind]
    choice = rng.random(runs)
    start = np.zeros(runs, dtype=np.uint8)
    start[choice < unrelated + neighbour + perturbed] = 3
    start[choice < unrelated + neighbour] = 2
    start[choice < unrelated] = 1
    result = x.copy()

    rows = np.flatnonzero(start == 1)
    share = np.where(rng.random(rows.size) < 0.5, rng.random(rows.size), log_uniform(rng, (1e-3, 1.0), rows.size))
    result[rows] += share[:, None] * (x[rng.integers(0, runs, rows.size)] - x[rows])

    rows = np.flatnonzero(start == 2)
    family = rows // FAMILY * FAMILY
    partner = np.minimum(family + rng.integers(0, FAMILY, rows.size), runs - 1)
    share = log_uniform(rng, (1e-2, 0.5), rows.size)
    result[rows] += share[:, None] * (x[partner] - x[rows])

    rows = np.flatnonzero(start == 3)
    noise = rng.normal(0.0, 1.0, (rows.size, x.shape[1])) * log_uniform(rng, (0.01, 0.3), rows.size)[:, None]
    result[rows] = conserve(x[rows] * 10.0**noise, x[rows], tables.composition)
    return result, start
