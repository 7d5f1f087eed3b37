"""Photo-reactions in dusty gas: k = alpha G0 exp(-gamma A_V), in 1/s (McElroy et al. 2013, A&A 550 A36).

alpha: the rate in the unshielded standard field of the network's source, 1/s; G0: the field in units of that one;
A_V: visual extinction towards the source of the radiation, mag. No self-shielding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pychemsurrogate.network.rate_laws.law import FloatArray, RateLaw, latex_number


def rate(parameters: FloatArray, temperature: FloatArray, conditions: Sequence[FloatArray]) -> FloatArray:
    """k [1/s], broadcast over parameters (..., N) and conditions = (A_V [mag], G0); the temperature does not matter."""
    extinction, field = conditions
    k: FloatArray = parameters[..., 0] * field * np.exp(-parameters[..., 1] * extinction)
    return k


def latex(parameters: tuple[float, ...]) -> str:
    """The formula with its numbers."""
    return rf"{latex_number(parameters[0])}\,G_0 \exp({-parameters[1]:g}\,A_V)"


PHOTO = RateLaw(
    name="photo",
    number=6,
    parameters=("alpha", "gamma"),
    conditions={"A_V": None, "G0": 1},
    rate=rate,
    latex=latex,
)
