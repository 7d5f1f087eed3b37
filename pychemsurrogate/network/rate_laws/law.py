"""What every rate law tells about itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

# Columns of the parameter table; a law with fewer parameters leaves the rest 0.
N_PARAMETERS: Final = 3

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class RateLaw:
    """One rate law: data and one function.

    name, number      its name in network files; its number in the tables (never reused)
    parameters        names of its parameters, at most N_PARAMETERS
    condition         the condition beside the temperature that it reads, or None
    condition_power   p if k is proportional to condition^p; None if it depends on it in another way
    rate              rate(parameters (..., N_PARAMETERS), temperature, condition) -> k (...), all broadcast together;
                      T in K; k in cm^(3(m-1))/s for m reactants
    latex             latex(parameters (N_PARAMETERS,)) -> the formula with its numbers, LaTeX math mode
    """

    name: str
    number: int
    parameters: tuple[str, ...]
    condition: str | None
    condition_power: int | None
    rate: Callable[[FloatArray, FloatArray, FloatArray | None], FloatArray]
    latex: Callable[[tuple[float, ...]], str]


def latex_number(value: float) -> str:
    r"""A number in LaTeX math mode: 4.95e-17 -> 4.95 \times 10^{-17}."""
    mantissa, _, exponent = f"{value:.4g}".partition("e")
    return rf"{mantissa} \times 10^{{{int(exponent)}}}" if exponent else mantissa
