"""Histories of conditions: what temperature, density and ionisation rate a run of gas goes through, and its steps.

Kinds for training, calibration and test:

tracks   conditions jump, jitter or rest from segment to segment; time steps are log-uniform from a year to the longest
steps    the same with time steps of a hydro code, 1e2 to 1e4 yr
brief    the same with time steps up to a year
hydro    relaxed gas; T and n_H walk by 0.02 and 0.04 dex a step, steps of 1e3 to 1e4 yr
flow     relaxed gas that is compressed or expands for tens of steps of 1e2 to 1e4 yr while T follows, and that
         exchanges matter with its neighbours at every step, as in a hydro code

Kinds that a surrogate is tested with and never trained on:

collapse one zone in free fall, with the temperature that observed clouds of its density have
shock    gas that is compressed and heated at once, then cools and is compressed further
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate.training.sampling import FAMILY, YEAR_S, FloatArray, Range, Ranges, log_uniform

_G = 6.67430e-8  # cm^3 g^-1 s^-2, CODATA 2018
_GRAMS_PER_H = 1.4 * 1.6735575e-24  # H with 10 % He by number
_HYDRO_YEARS = (1e2, 1e4)


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


Logs = dict[str, FloatArray]  # log10 of what is walked in (Ranges.walked), (N) each


def history(kind: str, ranges: Ranges, runs: int, rng: np.random.Generator, segments: int | None = None) -> History:
    """A random history of the given kind for `runs` runs; segments: of hydro and flow (default: 16 and 40).

    Raises ValueError for an unknown kind.
    """
    shortest, longest = ranges.dt_years
    match kind:
        case "tracks":
            return _tracks(ranges, runs, rng, (max(1.0, shortest), longest))
        case "steps":
            return _tracks(ranges, runs, rng, _clipped(_HYDRO_YEARS, ranges.dt_years))
        case "brief":
            return _brief(ranges, runs, rng)
        case "hydro":
            return _hydro(ranges, runs, rng, segments or 16)
        case "flow":
            return _flow(ranges, runs, rng, segments or 40)
        case "collapse":
            return _collapse(ranges, runs, rng)
        case "shock":
            return _shock(ranges, runs, rng)
    raise ValueError(f'no kind of history "{kind}"')


def _clip(values: FloatArray, bounds: Range) -> FloatArray:
    return np.clip(values, np.log10(bounds[0]), np.log10(bounds[1]))


def _clipped(bounds: Range, within: Range) -> Range:
    return max(bounds[0], within[0]), min(bounds[1], within[1])


def _density_name(now: Mapping[str, object]) -> str:
    return "n_H" if "n_H" in now else "n_H/zeta"


def _start(ranges: Ranges, runs: int, rng: np.random.Generator) -> Logs:
    return {name: np.log10(log_uniform(rng, values, runs)) for name, values in ranges.walked().items()}


def _random_walk(ranges: Ranges, runs: int, rng: np.random.Generator, segments: int) -> list[Logs]:
    bounds = ranges.walked()
    spread = {"T": 0.08, _density_name(bounds): 0.15}  # dex a segment; 0.05 for the conditions
    now = _start(ranges, runs, rng)
    rows = []
    isothermal = rng.random(runs) < 0.35
    for _ in range(segments):
        choice = rng.random(runs)
        jump = ~isothermal & (choice < 0.25)
        jitter = ~isothermal & (choice >= 0.25) & (choice < 0.70)
        fresh = _start(ranges, runs, rng)
        following = {}
        for name, value in now.items():
            walked = _clip(value + rng.normal(0.0, spread.get(name, 0.05), runs), bounds[name])
            following[name] = np.where(jump, fresh[name], np.where(jitter, walked, value))
        now = following
        rows.append(now)
    return rows


def _rest(runs: int, rng: np.random.Generator) -> FloatArray:
    """Half of the runs begin with their first state as it is, half after a rest [yr]."""
    return np.where(rng.random(runs) < 0.5, 0.0, log_uniform(rng, (1e2, 1e6), runs))


def _tracks(ranges: Ranges, runs: int, rng: np.random.Generator, dt_years: Range) -> History:
    segments, steps = 10, 4
    rows = _random_walk(ranges, runs, rng, segments)
    dt = np.sort(log_uniform(rng, dt_years, (segments, runs, steps)), axis=-1)
    return _assemble(rows, dt, _rest(runs, rng), np.ones(segments, dtype=bool))


def _brief(ranges: Ranges, runs: int, rng: np.random.Generator) -> History:
    segments, steps = 20, 4
    rows = _random_walk(ranges, runs, rng, segments)
    recorded = np.arange(segments) % 2 == 1
    # Between two recorded segments the gas goes on for long, or all would begin with the same state.
    long = log_uniform(rng, (1.0, ranges.dt_years[1]), (segments, runs, steps))
    brief = log_uniform(rng, _clipped((0.0, 1.0), ranges.dt_years), (segments, runs, steps))
    dt = np.sort(np.where(recorded[:, None, None], brief, long), axis=-1)
    return _assemble(rows, dt, _rest(runs, rng), recorded)


def _hydro(ranges: Ranges, runs: int, rng: np.random.Generator, segments: int) -> History:
    bounds = ranges.walked()
    density = _density_name(bounds)
    now = _start(ranges, runs, rng)
    rows = []
    for _ in range(segments):
        temperature = _clip(now["T"] + rng.normal(0.0, 0.02, runs), bounds["T"])
        now = now | {"T": temperature, density: _clip(now[density] + rng.normal(0.0, 0.04, runs), bounds[density])}
        rows.append(now)
    dt = log_uniform(rng, _clipped((1e3, 1e4), ranges.dt_years), (segments, runs, 1))
    return _assemble(rows, dt, log_uniform(rng, (1e4, 1e6), runs), np.ones(segments, dtype=bool))


def _flow(ranges: Ranges, runs: int, rng: np.random.Generator, segments: int) -> History:
    bounds = ranges.walked()
    name = _density_name(bounds)
    now = _start(ranges, runs, rng)
    # Neighbours share what is outside of the parcel, and differ by a little in density and temperature.
    leader = np.arange(runs) // FAMILY * FAMILY
    now = {name: value[leader] for name, value in now.items()}
    now[name] = _clip(now[name] + rng.normal(0.0, 0.3, runs), bounds[name])
    now["T"] = _clip(now["T"] + rng.normal(0.0, 0.1, runs), bounds["T"])
    onset = rng.integers(0, segments, runs)[leader]
    duration = rng.integers(2, max(3, segments), runs)[leader]
    total = rng.uniform(-2.0, 3.5, runs)[leader]  # dex of compression
    slope = rng.uniform(-0.3, 0.8, runs)[leader]  # -d log T / d log n_H: cooling on compression
    rows = []
    for g in range(segments):
        active = (g >= onset) & (g < onset + duration)
        change = np.where(active, total / duration, 0.0) * rng.uniform(0.3, 1.7, runs) + rng.normal(0.0, 0.02, runs)
        density = _clip(now[name] + change, bounds[name])
        change = density - now[name]
        temperature = _clip(now["T"] - slope * change + rng.normal(0.0, 0.01, runs), bounds["T"])
        now = now | {"T": temperature, name: density}
        rows.append(now)
    dt = log_uniform(rng, _HYDRO_YEARS, runs)[leader] * 10.0 ** rng.normal(0.0, 0.05, (segments, runs))
    dt = np.clip(dt, *ranges.dt_years)[..., None]
    return _assemble(rows, dt, log_uniform(rng, (1e4, 3e6), runs)[leader], np.arange(segments) % 2 == 0)


def free_fall_years(density: FloatArray) -> FloatArray:
    """Free-fall time [yr] of gas of n_H [cm^-3]: sqrt(3 pi / (32 G rho))."""
    return np.sqrt(3.0 * math.pi / (32.0 * _G * _GRAMS_PER_H * density)) / YEAR_S


def larson_temperature(density: FloatArray) -> FloatArray:
    """Temperature [K] of cloud gas of n_H [cm^-3] (Larson 2005, MNRAS 359, 211, eqs. 1 and 2).

    T = 4.4 K (rho / 1e-18 g cm^-3)^-0.27 below that density, and the same with the power 0.07 above.
    """
    scaled = _GRAMS_PER_H * density / 1e-18
    return np.where(scaled < 1.0, 4.4 * scaled**-0.27, 4.4 * scaled**0.07)


def _collapse(ranges: Ranges, runs: int, rng: np.random.Generator) -> History:
    """One zone: d rho / dt = rho / (r t_ff) (Omukai et al. 2005, ApJ 626, 627, eq. 1), r = 1 to 3.

    From n_H = 1e2..1e4 in steps of 0.05 to 0.3 of t_ff; the temperature is 1.2 to 5 times that of Larson (2005).
    """
    segments = 60
    density = log_uniform(rng, (1e2, 1e4), runs)
    delay = rng.uniform(1.0, 3.0, runs)
    part = log_uniform(rng, (0.05, 0.3), runs)
    warm = log_uniform(rng, (1.2, 5.0), runs)
    rows, dt = [], []
    constant = _constant_conditions(ranges, runs, rng)
    for _ in range(segments):
        rows.append(_within(ranges, larson_temperature(density) * warm, density, constant))
        dt.append(np.clip(part * free_fall_years(density), *ranges.dt_years))
        # With t_ff ~ rho^-1/2 the solution is rho (1 - dt / (2 r t_ff))^-2.
        density = density * (1.0 - part / (2.0 * delay)) ** -2
    return _assemble(rows, np.stack(dt)[..., None], log_uniform(rng, (1e5, 3e6), runs), np.ones(segments, dtype=bool))


def _shock(ranges: Ranges, runs: int, rng: np.random.Generator) -> History:
    """Gas at rest, then n_H jumps by 4 to 16 and T to 300..1000 K.

    T falls to 8..50 K in a cooling time of 1e2..1e5 yr and n_H rises with T^-a, a = 0 (magnetic support) to 1 (constant
    pressure), by a factor 30 at most.
    """
    segments = 60
    before, cold = log_uniform(rng, (1e2, 1e4), runs), log_uniform(rng, (10.0, 100.0), runs)
    jump, hot = rng.uniform(4.0, 16.0, runs), rng.uniform(300.0, 1000.0, runs)
    floor, cooling = log_uniform(rng, (8.0, 50.0), runs), log_uniform(rng, (1e2, 1e5), runs)
    power, onset = rng.uniform(0.0, 1.0, runs), rng.integers(2, 12, runs)
    dt = log_uniform(rng, (1e1, 1e4), runs) * 10.0 ** rng.normal(0.0, 0.05, (segments, runs))
    constant = _constant_conditions(ranges, runs, rng)
    rows, age = [], np.zeros(runs)
    for g in range(segments):
        shocked = g >= onset
        temperature = np.where(shocked, floor + (hot - floor) * np.exp(-age / cooling), cold)
        squeezed = before * jump * np.minimum((hot / temperature) ** power, 30.0)
        rows.append(_within(ranges, temperature, np.where(shocked, squeezed, before), constant))
        age = np.where(shocked, age + dt[g], age)
    relax = log_uniform(rng, (1e5, 3e6), runs)
    return _assemble(rows, np.clip(dt, *ranges.dt_years)[..., None], relax, np.ones(segments, dtype=bool))


def _constant_conditions(ranges: Ranges, runs: int, rng: np.random.Generator) -> Logs:
    return {name: np.log10(log_uniform(rng, bounds, runs)) for name, bounds in ranges.conditions.items()}


def _within(ranges: Ranges, temperature: FloatArray, density: FloatArray, conditions: Logs) -> Logs:
    """T [K] and n_H [cm^-3] as what is walked in, inside the ranges."""
    bounds = ranges.walked()
    name = _density_name(bounds)
    scale = conditions["zeta"] if name == "n_H/zeta" else 0.0
    return {
        "T": _clip(np.log10(temperature), bounds["T"]),
        name: _clip(np.log10(density) - scale, bounds[name]),
        **conditions,
    }


def _assemble(rows: list[Logs], dt_years: FloatArray, relax_years: FloatArray, recorded: NDArray[np.bool_]) -> History:
    values = {name: 10.0 ** np.stack([row[name] for row in rows]) for name in rows[0]}
    temperature = values.pop("T")
    density = values.pop("n_H") if "n_H" in values else values.pop("n_H/zeta") * values["zeta"]
    return History(
        temperature=temperature,
        density=density,
        conditions=values,
        dt=dt_years * YEAR_S,
        relax=relax_years * YEAR_S,
        recorded=recorded,
    )
