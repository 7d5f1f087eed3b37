"""Ion-polar law, KIDA's formula 5 (ionpol2), at T clamped to its range.

k = alpha beta (1 + 0.0967 gamma sqrt(300 K / T) + gamma^2 300 K / (10.526 T))

Su & Chesnavich's capture rate as Wakelam et al. 2012, ApJS 199 21 write it. alpha: branching ratio; beta: the
Langevin rate in cm^3/s; gamma: the dipole parameter; the range (temperature_range.py) in K.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pychemsurrogate.network.rate_laws.law import FloatArray, RateLaw, latex_number
from pychemsurrogate.network.rate_laws.temperature_range import RANGE_PARAMETERS, clamped, range_latex, within


def rate(parameters: FloatArray, temperature: FloatArray, conditions: Sequence[FloatArray]) -> FloatArray:
    """k [cm^3/s], broadcast over parameters (..., N) and temperature [K]; no condition is read."""
    alpha, beta, gamma = parameters[..., 0], parameters[..., 1], parameters[..., 2]
    s = gamma * np.sqrt(300.0 / clamped(parameters, temperature))
    return within(parameters, temperature, alpha * beta * (1.0 + 0.0967 * s + s * s / 10.526))


def latex(parameters: tuple[float, ...]) -> str:
    """The formula with its numbers and its range."""
    alpha, beta, gamma = parameters[:3]
    text = latex_number(alpha * beta)
    text += rf" (1 + 0.0967\,s + s^2 / 10.526),\ s = {gamma:g} \sqrt{{300\,\mathrm{{K}} / T}}"
    return text + range_latex(parameters)


IONPOL2 = RateLaw(
    name="ionpol2",
    number=4,
    parameters=("alpha", "beta", "gamma", *RANGE_PARAMETERS),
    conditions={},
    rate=rate,
    latex=latex,
)
