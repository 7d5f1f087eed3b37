"""Modified Arrhenius law with a temperature range: k = alpha (T / 300 K)^beta exp(-gamma / T) at the clamped T.

The ranges of the databases (McElroy et al. 2013, A&A 550 A36; Wakelam et al. 2012, ApJS 199 21).
alpha in cm^(3(m-1))/s for m reactants, beta dimensionless, gamma and the range (temperature_range.py) in K.
"""

from __future__ import annotations

from collections.abc import Sequence

from pychemsurrogate.network.rate_laws import arrhenius
from pychemsurrogate.network.rate_laws.law import FloatArray, RateLaw
from pychemsurrogate.network.rate_laws.temperature_range import RANGE_PARAMETERS, clamped, range_latex, within


def rate(parameters: FloatArray, temperature: FloatArray, conditions: Sequence[FloatArray]) -> FloatArray:
    """k, broadcast over parameters (..., N) and temperature [K]; no condition is read."""
    return within(parameters, temperature, arrhenius.rate(parameters, clamped(parameters, temperature), ()))


def latex(parameters: tuple[float, ...]) -> str:
    """The formula with its numbers and its range."""
    return arrhenius.latex(parameters) + range_latex(parameters)


ARRHENIUS_RANGE = RateLaw(
    name="arrhenius_range",
    number=2,
    parameters=("alpha", "beta", "gamma", *RANGE_PARAMETERS),
    conditions={},
    rate=rate,
    latex=latex,
)
