"""UMIST rate files, RATE12 and RATE22 (Millar et al. 2024, A&A 682, A109; McElroy et al. 2013, A&A 550, A36).

One reaction a line, fields separated by colons (quoted ones may hold colons): number, type, two reactants, four
products, number of temperature ranges; then, range by range, alpha, beta, gamma, T_min, T_max, source, accuracy, DOI,
reference.
"""

from __future__ import annotations

import csv
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
from pychemsurrogate.network.rate_laws import ARRHENIUS_RANGE, COSMIC_RAY, COSMIC_RAY_RANGE, PHOTO, RateLaw
from pychemsurrogate.network.species import NetworkError

# The cosmic-ray ionisation rate of the tabulated rates, 1/s (McElroy et al. 2013).
ZETA_0: Final = 1.36e-17

_PSEUDO_SPECIES: Final = {"CRP", "CRPHOT", "PHOTON"}
_FIRST_RANGE, _RANGE_FIELDS = 9, 9


def read(
    path: str | Path,
    *,
    name: str | None = None,
    outside: Outside = "clamp",
    omega: float = 0.5,
    h2_formation: float | None = H2_FORMATION,
    drop_unbalanced: bool = False,
) -> Network:
    """Read a UMIST file (.gz too). Conditions: zeta [1/s per H2], A_V [mag], G0 [the file's standard field].

    name             of the network (default: the file's name)
    outside          what a rate does outside its temperature range: clamp T, extrapolate, or zero; rates that do not
                     depend on T, and those of photons, have no range
    omega            albedo of the dust in the far ultraviolet, for photons that cosmic rays induce
    h2_formation     H2 formation on grains at 100 K, cm^3/s (database.py); None: none
    drop_unbalanced  leave reactions out that do not conserve elements and charge (the network's source lists them)

    NetworkError names the file and the line, or all lines that are not balanced; a missing file is an OSError.
    """
    if not 0 <= omega < 1:
        raise NetworkError(f"omega is {omega}: an albedo lies between 0 and 1")
    path = Path(path)
    found = Collector(str(path))
    for number, line in numbered_lines(path):
        fields = next(csv.reader([line], delimiter=":"))
        try:
            kind, reactants, products = fields[1], fields[2:4], fields[4:8]
            pieces = [_numbers(fields, i) for i in range(int(fields[8]))]
        except (IndexError, ValueError):
            raise NetworkError(f"{path}:{number}: not a reaction in UMIST's format: {line}") from None
        if not pieces:
            raise NetworkError(f"{path}:{number}: the reaction has no temperature range")
        try:
            rates = _rates(kind, set(reactants) & _PSEUDO_SPECIES, pieces, outside, omega)
        except NetworkError as error:
            raise NetworkError(f"{path}:{number}: {error}") from None
        real = [[s for s in side if s and s not in _PSEUDO_SPECIES] for side in (reactants, products)]
        found.add(number, real[0], real[1], rates)
    source = [
        f"{path.name}, UMIST database for astrochemistry (Millar et al. 2024, A&A 682, A109)",
        f"outside temperature ranges: {outside}; omega = {omega:g}; rates relative to zeta_0 = {ZETA_0:g} 1/s",
    ]
    return found.network(name or path.name.partition(".")[0], source, h2_formation, drop_unbalanced)


def _numbers(fields: list[str], index: int) -> tuple[float, float, float, float, float]:
    first = _FIRST_RANGE + _RANGE_FIELDS * index
    alpha, beta, gamma, low, high = (float(text) for text in fields[first : first + 5])
    return alpha, beta, gamma, low, high


def _rates(
    kind: str,
    pseudo: set[str],
    pieces: list[tuple[float, float, float, float, float]],
    outside: Outside,
    omega: float,
) -> list[tuple[RateLaw, tuple[float, ...]]]:
    expected = {"CP": {"CRP"}, "CR": {"CRPHOT"}, "PH": {"PHOTON"}}.get(kind, set())
    if pseudo != expected:
        raise NetworkError(
            f"type {kind} with the reactants {', '.join(sorted(pseudo)) or 'of a gas-phase reaction'}, "
            f"expected {', '.join(expected) or 'species alone'}"
        )
    if expected and len(pieces) != 1:
        raise NetworkError(f"type {kind} with {len(pieces)} temperature ranges, expected 1")
    alpha, beta, gamma, low, high = pieces[0]
    if kind == "PH":
        return [(PHOTO, (alpha, gamma))]
    if kind == "CP":
        return [(COSMIC_RAY, (alpha / ZETA_0,))]
    if kind == "CR":
        # k = alpha (T / 300 K)^beta gamma / (1 - omega) for zeta_0.
        relative = alpha * gamma / (1 - omega) / ZETA_0
        if beta == 0:
            return [(COSMIC_RAY, (relative,))]
        return arrhenius_rates([Piece(COSMIC_RAY_RANGE, (relative, beta, 0.0), low, high)], outside)
    return arrhenius_rates([Piece(ARRHENIUS_RANGE, piece[:3], *piece[3:]) for piece in pieces], outside)
