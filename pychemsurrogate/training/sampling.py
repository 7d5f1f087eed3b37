"""Where training states come from: initial states, mixtures and perturbed states.

A *run* is one parcel of gas that is followed through a history of conditions (histories.py). Runs come in *families* of
four that start from the same composition under different conditions: neighbours in a grid, so to say.

Advection mixes cells, and a map that never saw mixed gas fails on it, so a share of the segments of a history begins
with a mixture (of any two runs, or of neighbours) or with a perturbed state.
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

UNUSUAL = ("fresh", "molecules", "ionised", "scaled", "single", "cooled", "blended", "limited", "floored")
STARTS = ("track", "unrelated mixture", "neighbour mixture", "perturbed", *UNUSUAL)
FAMILY = 4

# Probability that a segment begins with a mixture of unrelated runs, of neighbours, or with a perturbed state.
_MIXING = dict.fromkeys(("tracks", "steps", "brief"), (0.10, 0.10, 0.10)) | {"flow": (0.0, 0.30, 0.02)}
# Species that hold part of their elements at the start, and how often they do.
_CARRIERS = {"CO": 0.35, "N2": 0.35, "H2O": 0.15, "O2": 0.15, "OH": 0.15}
# Ions and how much of them 40 % of the initial states hold.
_IONS: Mapping[str, Range] = {"H+": (1e-9, 3e-2), "H3+": (1e-12, 1e-7), "HCO+": (1e-13, 1e-9)}
# Elements that starlight softer than 13.6 eV leaves neutral; the others are ionised together with carbon.
_NEUTRAL = ("He", "N", "O", "F", "Ne", "Ar")


class SamplingError(ValueError):
    """The sampler cannot serve this network or these ranges; the message says what is missing."""


@dataclass(frozen=True)
class Ranges:
    """The supported range of a surrogate, both ends included.

    temperature [K]; conditions by name (zeta [1/s per H2]), exactly those of the network; density_per_zeta: n_H/zeta
    [s cm^-3], on which, T and zeta dt alone a network without other conditions depends; density: n_H [cm^-3], read
    only where the network has no zeta; dt_years: time steps [yr]; ratios: of nuclei, "C/H" or "O/C", each element by
    one that an earlier ratio (or H) is known for; those of elements that the network lacks are not read.

    Of the defaults, C/H spans three decades below and around the solar 2.7e-4 (Asplund et al. 2009); the ratios of O,
    N and S to C a factor 30 or more, S depleted as in dense gas.
    """

    temperature: Range = (5.0, 1000.0)
    density_per_zeta: Range = (1e16, 1e23)
    density: Range = (1e2, 1e6)
    conditions: Mapping[str, Range] = field(default_factory=lambda: {"zeta": (1e-17, 1e-15)})
    dt_years: Range = (1.0 / YEAR_S, 1e6)
    ratios: Mapping[str, Range] = field(
        default_factory=lambda: {
            "C/H": (5e-7, 5e-4),
            "O/C": (0.3, 10.0),
            "N/C": (0.05, 1.5),
            "S/C": (3e-3, 0.1),
            "He/H": (0.08, 0.12),
        }
    )

    def walked(self) -> dict[str, Range]:
        """What a history walks in: T, n_H/zeta (n_H without zeta), and the conditions."""
        name = "n_H/zeta" if "zeta" in self.conditions else "n_H"
        density = self.density_per_zeta if "zeta" in self.conditions else self.density
        return {"T": self.temperature, name: density, **self.conditions}

    def check(self, tables: NetworkTables) -> None:
        """Raises SamplingError unless the conditions are those of the network and every element has its ratio."""
        if set(self.conditions) != set(tables.conditions):
            raise SamplingError(
                f"the ranges bound the conditions ({', '.join(self.conditions)}), but the network reads "
                f"({', '.join(tables.conditions)}); give Ranges(conditions=...) for those"
            )
        unknown = sorted(set(tables.conserved[:-1]) - {"H"} - {name.partition("/")[0] for name in self.ratios})
        if unknown:
            raise SamplingError(f'no abundance of {", ".join(unknown)}: add "{unknown[0]}/H" to Ranges.ratios')

    def ratios_of(self, tables: NetworkTables) -> dict[str, Range]:
        """The ratios of elements that the network has."""
        return {name: bounds for name, bounds in self.ratios.items() if name.partition("/")[0] in tables.conserved}


def log_uniform(rng: np.random.Generator, bounds: Range, size: int | tuple[int, ...]) -> FloatArray:
    """Log-uniform random numbers between the bounds."""
    return 10.0 ** rng.uniform(np.log10(bounds[0]), np.log10(bounds[1]), size)


def initial_abundances(tables: NetworkTables, ranges: Ranges, runs: int, rng: np.random.Generator) -> FloatArray:
    """Abundances x = n/n_H (runs, S) of gas before any chemistry: molecular to atomic, neutral to ionised.

    The members of a family (FAMILY rows in a row) start alike. Elements are exactly as drawn from ranges.ratios, and
    electrons make the gas neutral.
    Raises SamplingError unless the network knows H2, the electron and the atom of each of its elements, H among them,
    and the ranges are made for it.
    """
    index = {name: i for i, name in enumerate(tables.species)}
    elements = tables.conserved[:-1]
    absent = [name for name in (*sorted({*elements, "H"}), "H2", "e-") if name not in index]
    if absent:
        raise SamplingError(f"the sampler of interstellar gas needs the species {', '.join(absent)} in the network")
    ranges.check(tables)

    count = -(-runs // FAMILY)
    totals = {"H": np.ones(count)}
    for name, bounds in ranges.ratios_of(tables).items():
        element, _, other = name.partition("/")
        if other not in totals:
            raise SamplingError(f'Ranges.ratios: "{name}" stands before the abundance of {other}; change the order')
        totals[element] = totals[other] * log_uniform(rng, bounds, count)
    left = {element: total.copy() for element, total in totals.items()}

    # Traces are either all but absent or up to 1e-12, so that no trace marks the first call.
    x = log_uniform(rng, (1e-20, 1e-12), (count, len(tables.species)))
    x[rng.random(count) < 0.5] = 1e-20

    for name, probability in _CARRIERS.items():
        share = np.where(rng.random(count) < probability, rng.random(count), 0.0)
        if name in index:
            held = dict(zip(elements, tables.composition[:-1, index[name]], strict=True))
            heavy = {element: atoms for element, atoms in held.items() if atoms and element != "H"}
            amount = share * np.min([left[element] / atoms for element, atoms in heavy.items()], axis=0)
            x[:, index[name]] = np.maximum(amount, x[:, index[name]])
            for element, atoms in heavy.items():
                left[element] -= atoms * amount
    choice = rng.random(count)
    ionised = np.where(choice < 0.35, 1.0 - 1e-6, np.where(choice < 0.6, 1e-6, rng.random(count)))
    for element in elements:
        if element != "H":
            charged = np.zeros(count) if element in _NEUTRAL or f"{element}+" not in index else ionised * left[element]
            if charged.any():
                x[:, index[f"{element}+"]] = charged
            x[:, index[element]] = left[element] - charged
    for name, bounds in _IONS.items():
        if name in index:
            present = rng.random(count) < 0.4
            x[present, index[name]] = log_uniform(rng, bounds, int(present.sum()))

    molecular = log_uniform(rng, (1e-6, 1e-2), count)
    atomic = log_uniform(rng, (1e-2, 1.0), count)
    choice = rng.random(count)
    hydrogen = np.where(choice < 0.4, molecular, np.where(choice < 0.7, rng.random(count), atomic))
    neutral = 1.0 - (x[:, index["H+"]] if "H+" in index else 0.0)
    x[:, index["H"]] = hydrogen * neutral
    x[:, index["H2"]] = 0.5 * (1.0 - hydrogen) * neutral

    electron = index["e-"]
    charge = tables.composition[-1]
    x[:, electron] = np.delete(x, electron, axis=1) @ np.delete(charge, electron)
    if np.any(x[:, electron] <= 0.0):
        raise SamplingError(
            "the sampled gas holds more negative than positive ions; the sampler does not serve this network"
        )
    # Bring the elements, of which the ions and traces hold some too, to what was drawn.
    atoms_alone = np.zeros_like(x)
    for element, total in totals.items():
        atoms_alone[:, index[element]] = total
    x = conserve(x, atoms_alone, tables.composition)
    return np.repeat(x, FAMILY, axis=0)[:runs]


def disturb(
    x: FloatArray, kind: str, tables: NetworkTables, rng: np.random.Generator
) -> tuple[FloatArray, NDArray[np.uint8]]:
    """Mix or perturb a share of the states x (N, S); returns the new states and how each one starts (STARTS).

    Mixtures are of masses, so elements and charge follow by themselves; perturbed states are brought back to the
    elements and charge that they had. Runs of kinds that know no mixing are left as they are.
    """
    runs = len(x)
    unrelated, neighbour, perturbed = _MIXING.get(kind, (0.0, 0.0, 0.0))
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
