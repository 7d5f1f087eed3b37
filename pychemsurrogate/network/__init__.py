"""Reaction networks: species, reactions and rate laws as objects, and as the plain arrays that the solvers read."""

from __future__ import annotations

from pychemsurrogate.network.formats.native_text import parse as parse_network
from pychemsurrogate.network.library import load_network, shipped_networks
from pychemsurrogate.network.network import Network, NetworkTables, Symmetry
from pychemsurrogate.network.rate_laws import CONDITION_UNITS, RATE_LAWS, RateLaw
from pychemsurrogate.network.reaction import Reaction
from pychemsurrogate.network.species import NetworkError, Species, species_from_formula

__all__ = [
    "CONDITION_UNITS",
    "RATE_LAWS",
    "Network",
    "NetworkError",
    "NetworkTables",
    "RateLaw",
    "Reaction",
    "Species",
    "Symmetry",
    "load_network",
    "parse_network",
    "shipped_networks",
    "species_from_formula",
]
