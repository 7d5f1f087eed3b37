"""Rate laws: one file each. A new law is one more file and one more entry in RATE_LAWS."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pychemsurrogate.network.rate_laws.arrhenius import ARRHENIUS
from pychemsurrogate.network.rate_laws.cosmic_ray import COSMIC_RAY
from pychemsurrogate.network.rate_laws.law import N_PARAMETERS, RateLaw

RATE_LAWS: Final = (ARRHENIUS, COSMIC_RAY)

LAWS_BY_NAME: Final[Mapping[str, RateLaw]] = MappingProxyType({law.name: law for law in RATE_LAWS})

__all__ = ["ARRHENIUS", "COSMIC_RAY", "LAWS_BY_NAME", "N_PARAMETERS", "RATE_LAWS", "RateLaw"]
