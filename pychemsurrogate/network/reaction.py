"""Reactions: what turns into what, and how fast."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pychemsurrogate.network.rate_laws import N_PARAMETERS, RateLaw
from pychemsurrogate.network.species import NetworkError, Species

MAX_REACTANTS = 3


@dataclass(frozen=True)
class Reaction:
    """One reaction with its rate law; `parameters` holds the law's own parameters, without padding.

    Raises NetworkError if elements or charge are not conserved, or if the numbers of reactants or parameters are wrong.
    """

    reactants: tuple[Species, ...]
    products: tuple[Species, ...]
    law: RateLaw
    parameters: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.reactants) <= MAX_REACTANTS:
            raise NetworkError(f'reaction "{self.equation}": 1 to {MAX_REACTANTS} reactants, not {len(self.reactants)}')
        if not self.products:
            raise NetworkError(f'reaction "{self.equation}" has no product')
        if len(self.parameters) != len(self.law.parameters):
            raise NetworkError(
                f'reaction "{self.equation}": the law {self.law.name} takes {len(self.law.parameters)} parameters '
                f"({', '.join(self.law.parameters)}), not {len(self.parameters)}"
            )
        if not np.all(np.isfinite(self.parameters)):
            raise NetworkError(f'reaction "{self.equation}": a parameter is not finite: {self.parameters}')
        if (self.law.per_hydrogen or self.law.first_alone) and len(set(self.reactants)) > 1:
            raise NetworkError(
                f'reaction "{self.equation}": the law {self.law.name} takes one species alone, once or more often'
            )
        excess = self.imbalance()
        if excess:
            raise NetworkError(f'reaction "{self.equation}" is not balanced: {describe_imbalance(excess)}')

    @property
    def equation(self) -> str:
        """For example "C+ + e- -> C"."""
        return f"{_sum(s.name for s in self.reactants)} -> {_sum(s.name for s in self.products)}"

    @property
    def latex(self) -> str:
        """The equation in LaTeX math mode."""
        return rf"{_sum(s.latex for s in self.reactants)} \rightarrow {_sum(s.latex for s in self.products)}"

    @property
    def rate_latex(self) -> str:
        """The rate coefficient with its numbers, in LaTeX math mode."""
        return f"k = {self.law.latex(self.padded_parameters)}"

    @property
    def padded_parameters(self) -> tuple[float, ...]:
        """The parameters as a row of the table, N_PARAMETERS long."""
        return self.parameters + (0.0,) * (N_PARAMETERS - len(self.parameters))

    def rate(
        self, temperature: ArrayLike, conditions: Mapping[str, ArrayLike], n_H: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """The rate coefficient k in cm^(3(m-1))/s for m reactants.

        temperature [K], conditions (by name) and n_H [cm^-3], which only a formula may read, broadcast together.
        Raises KeyError if a condition is missing, ValueError if n_H is and the rate reads it.
        """
        if n_H is None and self.law.reads_density:
            raise ValueError(f'the rate of "{self.equation}" depends on n_H: give it')
        t = np.asarray(temperature, dtype=np.float64)
        values = [np.asarray(conditions[name], dtype=np.float64) for name in self.law.conditions]
        if self.law.formula is not None:
            values.append(np.asarray(1.0 if n_H is None else n_H, dtype=np.float64))
        k = self.law.rate(np.asarray(self.padded_parameters), t, values)
        shape = np.broadcast_shapes(t.shape, *(v.shape for v in values))
        rates: NDArray[np.float64] = np.broadcast_to(k, shape).copy()
        return rates

    def imbalance(self) -> dict[str, int]:
        """Products minus reactants of every element and of the charge that are not conserved; empty if balanced."""
        return imbalance(self.reactants, self.products)

    def __str__(self) -> str:
        return self.equation


def imbalance(reactants: Iterable[Species], products: Iterable[Species]) -> dict[str, int]:
    """Products minus reactants of every element and of the charge that are not conserved; empty if balanced."""
    excess: Counter[str] = Counter()
    for sign, side in ((1, products), (-1, reactants)):
        for species in side:
            for element, count in species.elements.items():
                excess[element] += sign * count
            excess["charge"] += sign * species.charge
    return {name: count for name, count in excess.items() if count}


def describe_imbalance(excess: Mapping[str, int]) -> str:
    """What `imbalance` found, as text."""
    return "products minus reactants: " + ", ".join(f"{name} {count:+d}" for name, count in excess.items())


def _sum(terms: Iterable[str]) -> str:
    return " + ".join(terms)
