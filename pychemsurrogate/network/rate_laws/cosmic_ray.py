"""Ionisation and dissociation by cosmic rays and by the photons that they induce: k = alpha zeta, in 1/s.

zeta: cosmic-ray ionisation rate per H2 molecule, 1/s; alpha: the yield relative to it
(the convention of the OSU and KIDA databases: Wakelam et al. 2012, ApJS 199 21).
"""

from __future__ import annotations

from collections.abc import Sequence

from pychemsurrogate.network.rate_laws.law import FloatArray, RateLaw, latex_number


def rate(parameters: FloatArray, temperature: FloatArray, conditions: Sequence[FloatArray]) -> FloatArray:
    """k [1/s], broadcast over parameters (..., N) and conditions = (zeta,) [1/s]; the temperature does not matter."""
    k: FloatArray = parameters[..., 0] * conditions[0]
    return k


def latex(parameters: tuple[float, ...]) -> str:
    """The formula with its numbers."""
    return rf"{latex_number(parameters[0])}\,\zeta"


COSMIC_RAY = RateLaw(
    name="cosmic_ray",
    number=1,
    parameters=("alpha",),
    conditions={"zeta": 1},
    rate=rate,
    latex=latex,
)
