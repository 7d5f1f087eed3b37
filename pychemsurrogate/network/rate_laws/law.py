"""What every rate law tells about itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate.network.formula.tree import Node

# Columns of the parameter table, alpha (what the rate is proportional to) first; a law with fewer leaves the rest 0.
N_PARAMETERS: Final = 7

# Conditions that one law may read.
MAX_CONDITIONS: Final = 2

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class RateLaw:
    """One rate law: data and one function.

    name, number      its name in network files; its number in the tables (never reused)
    parameters        names of its parameters, at most N_PARAMETERS
    conditions        the conditions beside the temperature that it reads, at most MAX_CONDITIONS unless it has a
                      formula; for each of them the power p if k is proportional to condition^p (at most one of them),
                      None if it depends on it in another way
    rate              rate(parameters (..., N_PARAMETERS), temperature, conditions) -> k (...), all broadcast together;
                      T in K, conditions in the law's order; k in cm^(3(m-1))/s for m reactants
    latex             latex(parameters (N_PARAMETERS,)) -> the formula with its numbers, LaTeX math mode
    per_hydrogen      the rate is k n_H n(first reactant), not k times all reactants; k in cm^3/s
    first_alone       the rate is k n(first reactant), not k times all reactants; k in 1/s
    formula           of a law that is one formula (expression.py): k; `rate` takes n_H behind the conditions then
    density_power     the power p if k is proportional to n_H^p, None if it depends on n_H in another way
    """

    name: str
    number: int
    parameters: tuple[str, ...]
    conditions: Mapping[str, int | None] = field(hash=False)
    rate: Callable[[FloatArray, FloatArray, Sequence[FloatArray]], FloatArray] = field(compare=False)
    latex: Callable[[tuple[float, ...]], str] = field(compare=False)
    per_hydrogen: bool = False
    first_alone: bool = False
    formula: Node | None = field(default=None, hash=False)
    density_power: int | None = 0

    @property
    def reads_density(self) -> bool:
        """Whether k depends on n_H."""
        return self.density_power != 0


def latex_number(value: float) -> str:
    r"""A number in LaTeX math mode: 4.95e-17 -> 4.95 \times 10^{-17}."""
    mantissa, _, exponent = f"{value:.4g}".partition("e")
    return rf"{mantissa} \times 10^{{{int(exponent)}}}" if exponent else mantissa
