"""The temperature range of a rate: columns 3 to 6 of the parameter table, for every law with a range.

T_min, T_max    the formula is evaluated at T clamped to [T_min, T_max]
T_from, T_until the rate is 0 outside [T_from, T_until): the pieces of one rate in several ranges share the axis so
"""

from __future__ import annotations

from typing import Final

import numpy as np

from pychemsurrogate.network.rate_laws.law import FloatArray

RANGE_PARAMETERS: Final = ("T_min", "T_max", "T_from", "T_until")

# Stands for "no upper limit", far above every temperature that a solver accepts.
NO_LIMIT_K: Final = 1e10


def clamped(parameters: FloatArray, temperature: FloatArray) -> FloatArray:
    """The temperature [K] at which the formula is evaluated, broadcast over parameters (..., N)."""
    t: FloatArray = np.clip(temperature, parameters[..., 3], parameters[..., 4])
    return t


def within(parameters: FloatArray, temperature: FloatArray, rate: FloatArray) -> FloatArray:
    """The rate, and 0 outside [T_from, T_until)."""
    inside = (parameters[..., 5] <= temperature) & (temperature < parameters[..., 6])
    k: FloatArray = np.where(inside, rate, 0.0)
    return k


def range_latex(parameters: tuple[float, ...]) -> str:
    """The range after a formula, e.g. "; T in [10, 300] K" in LaTeX math mode; limits that are none are left out."""
    t_min, t_max, t_from, t_until = parameters[3:]
    text = ""
    if t_min > 0 or t_max < NO_LIMIT_K:
        text += rf";\ T \text{{ clamped to }} [{t_min:g}, {t_max:g}]\,\mathrm{{K}}"
    if t_from > 0 or t_until < NO_LIMIT_K:
        text += rf";\ {t_from:g} \le T / \mathrm{{K}} < {t_until:g}"
    return text
