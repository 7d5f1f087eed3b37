"""Unusual gas: states that hosts start from or break, and that no run of training passes through.

Kinds (sampling.UNUSUAL), each made of the gas of a run:

fresh      its elements in a few carriers at random, hydrogen molecular, atomic or ionised, all else at one trace floor
molecules  all of each element in one species
ionised    relaxed gas with protons and electrons added, 1e-8 to 1 per H nucleus
scaled     every species of relaxed gas times a factor of its own, 0.01 to 100
single     one species of relaxed gas at 0, or times a factor of 1e-4 to 1e4
cooled     relaxed gas under the conditions of another run (as a third of all other kinds)
blended    two or three unrelated relaxed gases, by mass
limited    relaxed gas with errors of a per cent in every species, as a host's limiters leave them
floored    relaxed gas whose traces are all at one floor, as hosts set them

Traces lie anywhere between 0 and 1e-8: what is below 1e-12 per H nucleus is round-off of a host, and no answer may hang
on it. Electrons make all of it neutral.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate.network import NetworkTables
from pychemsurrogate.training.sampling import UNUSUAL, FloatArray, Range, log_uniform

_FLOORS: Final[Range] = (1e-30, 1e-8)
_TRACE: Final = 1e-12  # what lies below is a host's floor
_CARRIERS: Final = 3  # of an element, at most
_PROTONS: Final[Range] = (1e-8, 1.0)


def unusual(
    relaxed: FloatArray, tables: NetworkTables, rng: np.random.Generator
) -> tuple[FloatArray, NDArray[np.uint8]]:
    """One unusual state for each of the relaxed ones, x = n/n_H (N, S), and its kind (N), an index of UNUSUAL.

    The network must have H+, e- and the atoms of its elements. Scaling changes the ratios of elements; x is per H
    nucleus again.
    """
    kind = rng.integers(0, len(UNUSUAL), len(relaxed)).astype(np.uint8)
    makers: dict[str, Callable[[FloatArray], FloatArray]] = {
        "fresh": lambda x: _carried(x, tables, _CARRIERS, rng),
        "molecules": lambda x: _carried(x, tables, 1, rng),
        "ionised": lambda x: _ionised(x, tables, rng),
        "scaled": lambda x: x * 10.0 ** rng.uniform(-2.0, 2.0, x.shape),
        "single": lambda x: _single(x, rng),
        "cooled": lambda x: x,
        "blended": lambda x: _blended(x, relaxed, rng),
        "floored": lambda x: _floored(x, rng),
        "limited": lambda x: x * (1.0 + rng.normal(0.0, 0.01, x.shape)).clip(0.9, 1.1),
    }
    made = np.empty_like(relaxed)
    for code, name in enumerate(UNUSUAL):
        rows = np.flatnonzero(kind == code)
        made[rows] = makers[name](relaxed[rows])
    return per_hydrogen(neutral(made, tables), tables), kind


def neutral(x: FloatArray, tables: NetworkTables) -> FloatArray:
    """x (N, S) with the electrons that its ions ask for; where negative ions prevail, protons make up for them."""
    electron, proton = tables.species.index("e-"), tables.species.index("H+")
    charge = tables.composition[-1]
    ions = np.delete(x, electron, axis=1) @ np.delete(charge, electron)
    result: FloatArray = x.copy()
    result[:, proton] += np.maximum(1e-30 - ions, 0.0)
    result[:, electron] = np.maximum(ions, 1e-30)
    return result


def per_hydrogen(x: FloatArray, tables: NetworkTables) -> FloatArray:
    """x (N, S) over its H nuclei (N)."""
    scaled: FloatArray = x / (x @ tables.composition[tables.conserved.index("H")])[:, None]
    return scaled


def _carried(given: FloatArray, tables: NetworkTables, most: int, rng: np.random.Generator) -> FloatArray:
    """The elements of `given` in at most so many carriers each, in no order; what is left over stays in atoms."""
    holds, charge = tables.composition[:-1], tables.composition[-1]
    hydrogen = tables.conserved.index("H")
    heavy = [e for e in range(len(holds)) if e != hydrogen]
    light = holds[heavy].sum(axis=0) == 0
    atoms = [tables.species.index(name) for name in tables.conserved[:-1]]
    result = np.empty_like(given)
    for made, x in zip(result, given, strict=True):
        left = holds @ x
        spread = rng.choice([0.0, 1.0, 3.0])
        made[:] = log_uniform(rng, _FLOORS, 1) * 10.0 ** rng.uniform(-spread, 0.0, len(x)) * (rng.random() < 0.9)
        for element in (*rng.permutation(heavy), hydrogen):
            total = left[element]
            fits = np.flatnonzero((holds[element] > 0) & (charge >= 0) & (light | (element != hydrogen)))
            carriers = rng.permutation(fits)[: rng.integers(1, most + 1)]
            for carrier, share in zip(carriers, rng.dirichlet(np.full(len(carriers), 0.5)), strict=True):
                needs = holds[:, carrier]
                held = needs > 0
                amount = min(share * total / needs[element], (left[held] / needs[held]).min())
                made[carrier] += amount
                left -= amount * needs
            made[atoms[element]] += max(0.0, left[element])
            left[element] = 0.0
    return result


def _ionised(x: FloatArray, tables: NetworkTables, rng: np.random.Generator) -> FloatArray:
    added: FloatArray = x.copy()
    added[:, tables.species.index("H+")] += log_uniform(rng, _PROTONS, len(x))
    return added


def _single(x: FloatArray, rng: np.random.Generator) -> FloatArray:
    changed: FloatArray = x.copy()
    rows, species = np.arange(len(x)), rng.integers(0, x.shape[1], len(x))
    factor = np.where(rng.random(len(x)) < 0.5, 0.0, log_uniform(rng, (1e-4, 1e4), len(x)))
    changed[rows, species] *= factor
    return changed


def _floored(x: FloatArray, rng: np.random.Generator) -> FloatArray:
    floor = log_uniform(rng, (1e-30, _TRACE), len(x)) * (rng.random(len(x)) < 0.7)
    floored: FloatArray = np.where(x < _TRACE, floor[:, None], x)
    return floored


def _blended(x: FloatArray, others: FloatArray, rng: np.random.Generator) -> FloatArray:
    blended: FloatArray = x.copy()
    for _ in range(2):
        share = log_uniform(rng, (1e-4, 1.0), len(x))[:, None] * rng.integers(0, 2, (len(x), 1))
        blended += share * (others[rng.integers(0, len(others), len(x))] - blended)
    return blended
