"""Species: what a particle is made of.

Atomic weights: the abridged standard atomic weights of 2021 (Prohaska et al. 2022, Pure Appl. Chem. 94, 573), in u.
u and the electron mass: CODATA 2022 (Mohr et al. 2025, Rev. Mod. Phys. 97, 025002).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

ATOMIC_MASS_UNIT_G: Final = 1.66053906892e-24
ELECTRON_MASS_G: Final = 9.1093837139e-28

ATOMIC_WEIGHTS_U: Final[Mapping[str, float]] = MappingProxyType(
    {
        "H": 1.0080,
        "D": 2.0141,
        "He": 4.0026,
        "Li": 6.94,
        "Be": 9.0122,
        "B": 10.81,
        "C": 12.011,
        "N": 14.007,
        "O": 15.999,
        "F": 18.998,
        "Ne": 20.180,
        "Na": 22.990,
        "Mg": 24.305,
        "Al": 26.982,
        "Si": 28.085,
        "P": 30.974,
        "S": 32.06,
        "Cl": 35.45,
        "Ar": 39.95,
        "K": 39.098,
        "Ca": 40.078,
        "Ti": 47.867,
        "Fe": 55.845,
        "Ni": 58.693,
    }
)

ELECTRON_NAME: Final = "e-"

# c-, l-, t-: cyclic, linear and trans isomers.
_FORMULA = re.compile(r"(?:[clt]-)?((?:[A-Z][a-z]?\d*)+)(\++|-+)?")
_ATOM = re.compile(r"([A-Z][a-z]?)(\d*)")


# What names are made of (plan.cpp has the same for model files): they go into generated code, makefiles and pages.
_GRAMMAR: Final[Mapping[str, tuple[str, int, str]]] = MappingProxyType(
    {
        "species": (
            r"[A-Za-z0-9_+\-()\[\]]*[A-Za-z0-9][A-Za-z0-9_+\-()\[\]]*",
            40,
            "letters, digits and _ + - ( ) [ ]",
        ),
        "element": (r"[A-Za-z0-9_]*[A-Za-z][A-Za-z0-9_]*", 40, "letters, digits and _"),
        "condition": (r"[A-Za-z][A-Za-z0-9_]*", 40, "a letter, then letters, digits and _"),
        "network": (
            r"[A-Za-z0-9][A-Za-z0-9_.,+\-()= ]*",
            100,
            "a letter or digit, then these, blanks and _ . , + - ( ) =",
        ),
    }
)
MOST_ATOMS: Final = 10_000
"""Nuclei of one element in a species, and charges, at most."""


class NetworkError(ValueError):
    """A network, or the file that it comes from, is not usable; the message says where and why."""


def check_name(kind: str, name: str) -> str:
    """The name of a "species", "element", "condition" or "network", if it is one; NetworkError says what names are."""
    pattern, most, told = _GRAMMAR[kind]
    if len(name) > most or not re.fullmatch(pattern, name, re.ASCII):
        shown = name if len(name) <= most else name[:most] + "..."
        raise NetworkError(f"{shown!r} is no name of a {kind}: names are {told}, {most} at most")
    return name


@dataclass(frozen=True)
class Species:
    """One chemical species.

    `elements` counts the nuclei of each element, `charge` is in elementary charges, `mass_g` in g;
    `latex` is the name in LaTeX math mode. The electron is "e-": no elements, charge -1.
    """

    name: str
    elements: Mapping[str, int] = field(hash=False)
    charge: int
    mass_g: float
    latex: str

    def __str__(self) -> str:
        return self.name


def species_from_formula(name: str) -> Species:
    """Read a species from its chemical formula: "H2", "HCO+", "CH3+", "He+", "e-", "c-C3H2".

    Raises NetworkError for a name that is not a formula, or for an element without a tabulated weight.
    """
    check_name("species", name)
    if name == ELECTRON_NAME:
        return Species(name, {}, -1, ELECTRON_MASS_G, r"\mathrm{e^{-}}")
    match = _FORMULA.fullmatch(name)
    if match is None:
        raise NetworkError(
            f'species "{name}" is not a chemical formula such as H2O or HCO+; '
            f'declare what it is made of with a line "define: {name} X=1 mass_g=1e-24"'
        )
    elements: dict[str, int] = {}
    for symbol, count in _ATOM.findall(match[1]):
        if symbol not in ATOMIC_WEIGHTS_U:
            raise NetworkError(f'species "{name}": no atomic weight is tabulated for the element "{symbol}"')
        elements[symbol] = elements.get(symbol, 0) + int(count or 1)
        if not 0 < elements[symbol] <= MOST_ATOMS:
            raise NetworkError(f'species "{name}": {elements[symbol]} nuclei of {symbol} are beyond any sense')
    charge = (match[2] or "").count("+") - (match[2] or "").count("-")
    mass = sum(ATOMIC_WEIGHTS_U[e] * count for e, count in elements.items()) * ATOMIC_MASS_UNIT_G
    mass -= charge * ELECTRON_MASS_G
    isomer = rf"\text{{{name[: match.start(1)]}}}" if match.start(1) else ""
    return Species(name, elements, charge, mass, isomer + _formula_latex(match[1], charge))


def declared_species(name: str, elements: Mapping[str, int], charge: int, mass_g: float) -> Species:
    """A species whose composition is declared, not spelt by its name (toy networks); `mass_g` in g.

    Raises NetworkError for names that are none, negative or absurd counts, and a mass that is none.
    """
    check_name("species", name)
    for element, count in elements.items():
        check_name("element", element)
        if not 0 < count <= MOST_ATOMS:
            raise NetworkError(f'species "{name}": {element}={count}: give 1 to {MOST_ATOMS} nuclei, or leave it out')
    if abs(charge) > MOST_ATOMS:
        raise NetworkError(f'species "{name}": a charge of {charge} is beyond any sense')
    if not 0.0 <= mass_g < math.inf:
        raise NetworkError(f'species "{name}": mass_g={mass_g}: give a finite mass in g, 0 or above')
    return Species(name, dict(elements), charge, mass_g, rf"\mathrm{{{name}}}")


def _formula_latex(atoms: str, charge: int) -> str:
    body = re.sub(r"(\d+)", r"_{\1}", atoms)
    if charge:
        size = str(abs(charge)) if abs(charge) > 1 else ""
        body += f"^{{{size}{'+' if charge > 0 else '-'}}}"
    return rf"\mathrm{{{body}}}"
