"""KROME's spelling of species, and the order in which it has them."""

from __future__ import annotations

import re

from pychemsurrogate.network import Network
from pychemsurrogate.network.species import ELECTRON_NAME, Species

_ISOMER = re.compile(r"^([clt])-")


def krome_name(species: Species) -> str:
    """KROME's name of a species: "E" for the electron, else upper case, with c_ for cyclic isomers: "C_C3H2"."""
    return "E" if species.name == ELECTRON_NAME else _ISOMER.sub(r"\1_", species.name).upper()


def krome_tag(name: str) -> str:
    """What follows krome_idx_: "H+" -> "Hj", "H-" -> "Hk", "O(1D)" -> "O_1D", "[13C]O" -> "13CO"."""
    for sign, letter in {"+": "j", "-": "k", "(": "_", ")": "", "[": "", "]": ""}.items():
        name = name.replace(sign, letter)
    return re.sub(r"\W", "_", name)


def krome_order(network: Network) -> list[int]:
    """The network's species as KROME orders them: by charge, then in order of their first appearance in a reaction."""
    seen: dict[str, None] = {}
    for reaction in network.reactions:
        seen |= dict.fromkeys(s.name for s in (*reaction.reactants, *reaction.products))
    seen |= dict.fromkeys(network.species_names)  # those in no reaction come last
    first = {name: place for place, name in enumerate(seen)}
    return sorted(range(network.n_species), key=lambda i: (network.species[i].charge, first[network.species_names[i]]))
