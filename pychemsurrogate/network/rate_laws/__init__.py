"""Rate laws: one file each. A new law is one more file and one more entry in RATE_LAWS."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pychemsurrogate.network.rate_laws.arrhenius import ARRHENIUS
from pychemsurrogate.network.rate_laws.arrhenius_range import ARRHENIUS_RANGE
from pychemsurrogate.network.rate_laws.cosmic_ray import COSMIC_RAY
from pychemsurrogate.network.rate_laws.cosmic_ray_range import COSMIC_RAY_RANGE
from pychemsurrogate.network.rate_laws.expression import expression_law
from pychemsurrogate.network.rate_laws.grain import GRAIN
from pychemsurrogate.network.rate_laws.ionpol1 import IONPOL1
from pychemsurrogate.network.rate_laws.ionpol2 import IONPOL2
from pychemsurrogate.network.rate_laws.law import MAX_CONDITIONS, N_PARAMETERS, RateLaw
from pychemsurrogate.network.rate_laws.photo import PHOTO

# In the order of their numbers.
RATE_LAWS: Final = (ARRHENIUS, COSMIC_RAY, ARRHENIUS_RANGE, IONPOL1, IONPOL2, COSMIC_RAY_RANGE, PHOTO, GRAIN)

# The conditions that laws read, and their units.
CONDITION_UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {"zeta": "1/s per H2", "A_V": "mag", "G0": "the standard field of the network's source"}
)

LAWS_BY_NAME: Final[Mapping[str, RateLaw]] = MappingProxyType({law.name: law for law in RATE_LAWS})

__all__ = [
    "ARRHENIUS",
    "ARRHENIUS_RANGE",
    "CONDITION_UNITS",
    "COSMIC_RAY",
    "COSMIC_RAY_RANGE",
    "GRAIN",
    "IONPOL1",
    "IONPOL2",
    "LAWS_BY_NAME",
    "MAX_CONDITIONS",
    "N_PARAMETERS",
    "PHOTO",
    "RATE_LAWS",
    "RateLaw",
    "expression_law",
]
