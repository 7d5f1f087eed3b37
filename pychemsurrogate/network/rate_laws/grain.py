"""Formation on grain surfaces: the rate is k n_H n(first reactant) [cm^-3 s^-1] with k = alpha (T / 300 K)^beta.

The grains' number is proportional to n_H, and every arrival counts: H + H -> H2 with alpha = 5.2e-17 cm^3/s and
beta = 0.5 is R = 3e-17 cm^3/s (T / 100 K)^(1/2) of Jura 1975, ApJ 197, 575. All reactants must be the same species.
"""

from __future__ import annotations

from collections.abc import Sequence

from pychemsurrogate.network.rate_laws.arrhenius import REFERENCE_TEMPERATURE_K
from pychemsurrogate.network.rate_laws.law import FloatArray, RateLaw, latex_number


def rate(parameters: FloatArray, temperature: FloatArray, conditions: Sequence[FloatArray]) -> FloatArray:
    """k [cm^3/s], broadcast over parameters (..., N) and temperature [K]; no condition is read."""
    k: FloatArray = parameters[..., 0] * (temperature / REFERENCE_TEMPERATURE_K) ** parameters[..., 1]
    return k


def latex(parameters: tuple[float, ...]) -> str:
    """The formula with its numbers."""
    return rf"{latex_number(parameters[0])} (T / 300\,\mathrm{{K}})^{{{parameters[1]:g}}}\,n_\mathrm{{H}}"


GRAIN = RateLaw(
    name="grain",
    number=7,
    parameters=("alpha", "beta"),
    conditions={},
    rate=rate,
    latex=latex,
    per_hydrogen=True,
)
