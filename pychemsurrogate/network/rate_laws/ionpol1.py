"""Ion-polar law, KIDA's formula 4 (ionpol1), at T clamped to its range.

k = alpha beta (0.62 + 0.4767 gamma sqrt(300 K / T))

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
    return within(parameters, temperature, alpha * beta * (0.62 + 0.4767 * s))


def latex(parameters: tuple[float, ...]) -> str:
    """The formula with its numbers and its range."""
    alpha, beta, gamma = parameters[:3]
    text = latex_number(alpha * beta)
    text += rf" (0.62 + 0.4767 \times {gamma:g} \sqrt{{300\,\mathrm{{K}} / T}})"
    return text + range_latex(parameters)


IONPOL1 = RateLaw(
    name="ionpol1",
    number=3,
    parameters=("alpha", "beta", "gamma", *RANGE_PARAMETERS),
    conditions={},
    rate=rate,
    latex=latex,
)
