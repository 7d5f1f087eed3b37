"""Modified Arrhenius (Kooij) law: k = alpha (T / 300 K)^beta exp(-gamma / T).

The form and the reference temperature are those of the astrochemical databases
(McElroy et al. 2013, A&A 550 A36, eq. 1).
alpha in cm^(3(m-1))/s for m reactants, beta dimensionless, gamma in K.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pychemsurrogate.network.rate_laws.law import FloatArray, RateLaw, latex_number

REFERENCE_TEMPERATURE_K = 300.0


def rate(parameters: FloatArray, temperature: FloatArray, conditions: Sequence[FloatArray]) -> FloatArray:
    """k, broadcast over parameters (..., N) and temperature [K]; no condition is read."""
    alpha, beta, gamma = parameters[..., 0], parameters[..., 1], parameters[..., 2]
    k: FloatArray = alpha * (temperature / REFERENCE_TEMPERATURE_K) ** beta * np.exp(-gamma / temperature)
    return k


def latex(parameters: tuple[float, ...]) -> str:
    """The formula with its numbers; factors that are 1 are left out."""
    alpha, beta, gamma = parameters[:3]
    text = latex_number(alpha)
    if beta:
        text += rf" (T / 300\,\mathrm{{K}})^{{{beta:g}}}"
    if gamma:
        text += rf" \exp({-gamma:g}\,\mathrm{{K}} / T)"
    return text


ARRHENIUS = RateLaw(
    name="arrhenius",
    number=0,
    parameters=("alpha", "beta", "gamma"),
    conditions={},
    rate=rate,
    latex=latex,
)
