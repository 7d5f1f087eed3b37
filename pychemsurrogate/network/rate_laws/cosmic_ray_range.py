"""Cosmic-ray-induced rates that depend on T: k = zeta alpha (T / 300 K)^beta exp(-gamma / T) at the clamped T.

UMIST's form for photons that cosmic rays induce (McElroy et al. 2013, A&A 550 A36), its efficiency and albedo in
alpha. zeta: cosmic-ray ionisation rate per H2 molecule, 1/s; gamma and the range (temperature_range.py) in K.
"""

from __future__ import annotations

from collections.abc import Sequence

from pychemsurrogate.network.rate_laws import arrhenius_range
from pychemsurrogate.network.rate_laws.law import FloatArray, RateLaw
from pychemsurrogate.network.rate_laws.temperature_range import RANGE_PARAMETERS


def rate(parameters: FloatArray, temperature: FloatArray, conditions: Sequence[FloatArray]) -> FloatArray:
    """k [1/s], broadcast over parameters (..., N), temperature [K] and conditions = (zeta,) [1/s]."""
    k: FloatArray = conditions[0] * arrhenius_range.rate(parameters, temperature, ())
    return k


def latex(parameters: tuple[float, ...]) -> str:
    """The formula with its numbers and its range."""
    return rf"\zeta\,{arrhenius_range.latex(parameters)}"


COSMIC_RAY_RANGE = RateLaw(
    name="cosmic_ray_range",
    number=5,
    parameters=("alpha", "beta", "gamma", *RANGE_PARAMETERS),
    conditions={"zeta": 1},
    rate=rate,
    latex=latex,
)
