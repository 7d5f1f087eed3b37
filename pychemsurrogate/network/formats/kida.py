"""KIDA network files, such as kida.uva.2024 (Wakelam et al. 2024, A&A 689, A63; formulas: 2012, ApJS 199, 21).

Fixed width: three reactants of 11 characters, from column 35 on five products of 11; then, separated by blanks, A, B,
C, two uncertainties and their kind, reaction type, T_min, T_max, formula, number, and two columns that are not read.
A row whose formula cannot be the one it names is mended and listed in the network's source.
Rows of one number are pieces of one rate; rows of different numbers add up. Lines that begin with ! are comments.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pychemsurrogate.network.formats.database import (
    H2_FORMATION,
    Collector,
    Outside,
    Piece,
    arrhenius_rates,
    numbered_lines,
)
from pychemsurrogate.network.network import Network
from pychemsurrogate.network.rate_laws import ARRHENIUS, ARRHENIUS_RANGE, COSMIC_RAY, IONPOL1, IONPOL2, PHOTO, RateLaw
from pychemsurrogate.network.rate_laws.temperature_range import NO_LIMIT_K
from pychemsurrogate.network.species import NetworkError, declared_species

# What a row is, by its type: cosmic rays 1, photons that they induce 2, photons 3. Types 10 and 11 are KIDA's H2
# formation through H on grains (XH), whose rate needs a model of the grains: h2_formation stands for it.
_COSMIC_RAYS, _PHOTONS, _H2_ON_GRAINS = (1, 2), 3, (10, 11)
_PSEUDO_SPECIES: Final = {"CR", "CRP", "Photon"}
_FORMULAS: Final = {3: ARRHENIUS_RANGE, 4: IONPOL1, 5: IONPOL2}
_NO_RANGE: Final = (-9999.0, 9999.0)

# A row of formula 3 with alpha above this [cm^3/s] and beta below it is one of formula 5 by mistake: no gas-phase rate
# comes near alpha, and beta is a capture rate, not a power of T. kida.uva.2024 has one, t-C3H2 + H3O+ with 1 cm^3/s,
# whose neighbours (t-C3H2 with H3+ and HCO+) all have formula 5.
_NOT_KOOIJ: Final = 1e-3

# Grains of 0.1 um radius and 3 g/cm^3.
_GRAIN_MASS_G: Final = 1.26e-14
_GRAINS: Final = {
    name: declared_species(name, {"GRAIN": 1}, charge, _GRAIN_MASS_G)
    for name, charge in (("GRAIN0", 0), ("GRAIN-", -1), ("GRAIN+", 1))
}


def read(
    path: str | Path,
    *,
    name: str | None = None,
    outside: Outside = "clamp",
    h2_formation: float | None = H2_FORMATION,
    drop_unbalanced: bool = False,
) -> Network:
    """Read a KIDA file (.gz too). Conditions: zeta [1/s per H2], A_V [mag], G0 [the file's standard field].

    name             of the network (default: the file's name)
    outside          what a rate does outside its temperature range: clamp T, extrapolate, or zero
    h2_formation     H2 formation on grains at 100 K, cm^3/s (database.py), in place of KIDA's rows with XH; None: none
    drop_unbalanced  leave reactions out that do not conserve elements and charge (the network's source lists them)

    NetworkError names the file and the line, or all lines that are not balanced; a missing file is an OSError.
    """
    path = Path(path)
    found = Collector(str(path), declared=dict(_GRAINS))
    mended: list[str] = []
    several: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[tuple[int, Piece]]] = {}
    for number, line in numbered_lines(path):
        if line.startswith("!"):
            continue
        reactants = [s for i in range(3) if (s := line[11 * i : 11 * i + 11].strip())]
        products = [s for i in range(5) if (s := line[34 + 11 * i : 45 + 11 * i].strip())]
        fields = line[89:].split()
        try:
            coefficients = (float(fields[0]), float(fields[1]), float(fields[2]))
            kind, formula = int(fields[6]), int(fields[9])
            limits = (float(fields[7]), float(fields[8]))
            identity = fields[10]
        except (IndexError, ValueError):
            raise NetworkError(f"{path}:{number}: not a reaction in KIDA's format: {line}") from None
        if kind in _H2_ON_GRAINS:
            continue
        left = tuple(s for s in reactants if s not in _PSEUDO_SPECIES)
        right = tuple(s for s in products if s not in _PSEUDO_SPECIES)
        alpha, beta, gamma = coefficients
        if kind in _COSMIC_RAYS:
            found.add(number, left, right, [(COSMIC_RAY, (alpha,))])
        elif kind == _PHOTONS:
            found.add(number, left, right, [(PHOTO, (alpha, gamma))])
        elif formula == 0:  # ions and electrons on grains, as species
            found.add(number, left, right, [(ARRHENIUS, (alpha, beta, gamma))])
        elif formula in _FORMULAS:
            if formula == 3 and alpha > _NOT_KOOIJ and 0 < beta < _NOT_KOOIJ:
                formula = 5
                mended.append(f"line {number}: formula 3 with alpha {alpha:g}, beta {beta:g} read as formula 5")
            low, high = (0.0, NO_LIMIT_K) if limits == _NO_RANGE else limits
            piece = Piece(_FORMULAS[formula], coefficients, low, high)
            several.setdefault((identity, left, right), []).append((number, piece))
        else:
            raise NetworkError(
                f"{path}:{number}: formula {formula} of type {kind} is not known; the formulas are 0 to 5"
            )
    for (_, left, right), rows in several.items():
        first = rows[0][0]
        try:
            rates: list[tuple[RateLaw, tuple[float, ...]]] = arrhenius_rates([piece for _, piece in rows], outside)
        except NetworkError as error:
            raise NetworkError(f"{path}:{first}: {error}") from None
        found.add(first, left, right, rates)
    source = [
        f"{path.name}, kinetic database for astrochemistry (Wakelam et al. 2024, A&A 689, A63)",
        f"outside temperature ranges: {outside}",
        *mended,
    ]
    return found.network(name or path.name.partition(".dat")[0], source, h2_formation, drop_unbalanced)
