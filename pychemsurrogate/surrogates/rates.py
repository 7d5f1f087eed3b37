"""Rates of a network in torch: coefficients, production, loss, Jacobian (the laws' numbers are those of rate_laws/)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pychemsurrogate.network import NetworkTables
from pychemsurrogate.network.formula.program import LARGEST_EXPONENT, evaluate
from pychemsurrogate.network.rate_laws import (
    ARRHENIUS,
    ARRHENIUS_RANGE,
    COSMIC_RAY,
    COSMIC_RAY_RANGE,
    GRAIN,
    IONPOL1,
    IONPOL2,
    RATE_LAWS,
)
from pychemsurrogate.network.rate_laws import expression as expression_law
from pychemsurrogate.network.rate_laws.arrhenius import REFERENCE_TEMPERATURE_K


def _arrhenius(parameters: Tensor, temperature: Tensor, conditions: Sequence[Tensor]) -> Tensor:
    alpha, beta, gamma = parameters[..., :3].unbind(-1)
    return alpha * (temperature / REFERENCE_TEMPERATURE_K) ** beta * torch.exp(-gamma / temperature)


def _cosmic_ray(parameters: Tensor, temperature: Tensor, conditions: Sequence[Tensor]) -> Tensor:
    return parameters[..., 0] * conditions[0]


def _clamped(parameters: Tensor, temperature: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(temperature, parameters[..., 3]), parameters[..., 4])


def _within(parameters: Tensor, temperature: Tensor, rate: Tensor) -> Tensor:
    return torch.where((parameters[..., 5] <= temperature) & (temperature < parameters[..., 6]), rate, 0.0)


def _arrhenius_range(parameters: Tensor, temperature: Tensor, conditions: Sequence[Tensor]) -> Tensor:
    return _within(parameters, temperature, _arrhenius(parameters, _clamped(parameters, temperature), ()))


def _cosmic_ray_range(parameters: Tensor, temperature: Tensor, conditions: Sequence[Tensor]) -> Tensor:
    return conditions[0] * _arrhenius_range(parameters, temperature, ())


def _dipole(parameters: Tensor, temperature: Tensor) -> Tensor:
    return parameters[..., 2] * torch.sqrt(300.0 / _clamped(parameters, temperature))


def _ionpol1(parameters: Tensor, temperature: Tensor, conditions: Sequence[Tensor]) -> Tensor:
    s = _dipole(parameters, temperature)
    return _within(parameters, temperature, parameters[..., 0] * parameters[..., 1] * (0.62 + 0.4767 * s))


def _ionpol2(parameters: Tensor, temperature: Tensor, conditions: Sequence[Tensor]) -> Tensor:
    s = _dipole(parameters, temperature)
    factor = 1.0 + 0.0967 * s + s * s / 10.526
    return _within(parameters, temperature, parameters[..., 0] * parameters[..., 1] * factor)


def _grain(parameters: Tensor, temperature: Tensor, conditions: Sequence[Tensor]) -> Tensor:
    return parameters[..., 0] * (temperature / REFERENCE_TEMPERATURE_K) ** parameters[..., 1]


_LAWS: dict[int, Callable[[Tensor, Tensor, Sequence[Tensor]], Tensor]] = {
    ARRHENIUS.number: _arrhenius,
    COSMIC_RAY.number: _cosmic_ray,
    ARRHENIUS_RANGE.number: _arrhenius_range,
    IONPOL1.number: _ionpol1,
    IONPOL2.number: _ionpol2,
    COSMIC_RAY_RANGE.number: _cosmic_ray_range,
    GRAIN.number: _grain,
}


def _exp(x: Tensor) -> Tensor:
    inside = x.clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT).exp()
    return torch.where(x > LARGEST_EXPONENT, torch.inf, torch.where(x < -LARGEST_EXPONENT, 0.0, inside))


_OPERATIONS: Mapping[str, Callable[..., Tensor]] = MappingProxyType(
    {
        "+": torch.add,
        "-": torch.subtract,
        "*": torch.multiply,
        "/": torch.divide,
        "exp": _exp,
        "log": torch.log,
        "sqrt": torch.sqrt,
        "abs": torch.abs,
        "min": lambda a, b: torch.where(a < b, a, b),
        "max": lambda a, b: torch.where(a > b, a, b),
        "<": lambda a, b: (a < b).to(a.dtype),
        "<=": lambda a, b: (a <= b).to(a.dtype),
        "==": lambda a, b: (a == b).to(a.dtype),
        "select": lambda c, a, b: torch.where(c != 0.0, a, b),
    }
)


class Formulas(nn.Module):
    """The rate coefficients of a network that are formulas, in the reduced form: n_H is 1, conditions are over n_H."""

    rows: Tensor
    constants: Tensor
    factors: Tensor

    def __init__(self, tables: NetworkTables) -> None:
        super().__init__()
        rows = np.flatnonzero(np.isin(tables.law, expression_law.NUMBERS))
        self.register_buffer("rows", torch.as_tensor(rows))
        self.code = tables.expression_code
        self.values: list[int] = tables.parameters[rows, 1].astype(int).tolist()
        self.register_buffer("constants", torch.as_tensor(tables.expression_constants.copy()))
        self.register_buffer("factors", torch.as_tensor(tables.parameters[rows, 0].copy()))

    def forward(self, temperature: Tensor, conditions: Tensor) -> Tensor:
        """k (B, formulas) from temperature (B) [K] and conditions (B, C), in the network's order."""
        constants: Any = self.constants
        values = evaluate(
            self.code, constants, temperature, torch.ones_like(temperature), conditions.unbind(1), _OPERATIONS
        )
        return torch.stack([values[v].expand(temperature.shape) for v in self.values], dim=1) * self.factors

    def absent(self, temperature: Tensor, conditions: Tensor) -> Tensor:
        """Whether a formula is negative or not finite (B)."""
        k = self(temperature, conditions)
        return ~((k >= 0.0) & (k <= 1e300)).all(1)


class Rates(nn.Module):
    """Rate coefficients, production and loss frequency for batches of cells, in double precision."""

    slots: Tensor
    makes: Tensor
    takes: Tensor
    net: Tensor
    jacobian_terms: Tensor

    def __init__(self, tables: NetworkTables) -> None:
        super().__init__()
        self.laws: list[tuple[int, list[int]]] = []  # number, columns of the conditions
        self.formulas = Formulas(tables) if tables.expression_code.size else None
        for number in sorted({int(law) for law in tables.law} - set(expression_law.NUMBERS)):
            if number not in _LAWS:
                raise ValueError(f"rate law {number} has no torch form; add it to surrogates/rates.py")
            rows = (tables.law == number).nonzero()[0]
            self.laws.append((number, [int(c) for c in tables.law_conditions[rows[0]] if c >= 0]))
            self.register_buffer(f"rows_{number}", torch.as_tensor(rows))
            self.register_buffer(f"parameters_{number}", torch.as_tensor(tables.parameters[rows].copy()))
        reactions, species = len(tables.law), len(tables.species)
        # In x = n/n_H a reaction on grains has its first reactant alone for a factor.
        on_grains = np.isin(
            tables.law, [*(law.number for law in RATE_LAWS if law.per_hydrogen), expression_law.NUMBER_ON_GRAINS]
        )
        factors = tables.reactants.copy()
        factors[on_grains, 1:] = -1
        # A missing reactant points to a column of ones behind the species.
        slots = torch.as_tensor(factors).long()
        self.register_buffer("slots", torch.where(slots < 0, species, slots))
        # Net stoichiometry: a catalyst is neither made nor taken. takes holds, for every slot, the share of the net
        # consumption that falls to it, so that the rate without that slot's factor gives L.
        makes = np.zeros((reactions, species))
        takes = np.zeros((slots.shape[1], reactions, species))
        for reaction in range(reactions):
            left = [int(i) for i in tables.reactants[reaction] if i >= 0]
            right = [int(i) for i in tables.products[reaction] if i >= 0]
            for i in set(left + right):
                net = right.count(i) - left.count(i)
                makes[reaction, i] = max(net, 0)
                here = np.flatnonzero(factors[reaction] == i)
                takes[here, reaction, i] = max(-net, 0) / max(len(here), 1)
        self.register_buffer("makes", torch.as_tensor(makes))
        self.register_buffer("takes", torch.as_tensor(takes))
        net = makes - takes.sum(axis=0)
        self.register_buffer("net", torch.as_tensor(net))
        # What the derivative of a reaction's rate by the factor in one of its slots adds to the Jacobian, (S S, 3 R).
        filled = np.argwhere(factors >= 0)
        of, slot = np.repeat(filled, species, axis=0).T
        changed, by = np.tile(np.arange(species), len(filled)), factors[of, slot]
        values = net[of, changed]
        places = np.array([changed * species + by, slot * reactions + of])[:, values != 0.0]
        matrix = torch.sparse_coo_tensor(
            torch.as_tensor(places),
            torch.as_tensor(values[values != 0.0]),
            (species**2, slots.shape[1] * reactions),
            check_invariants=True,
        ).coalesce()
        self.register_buffer("jacobian_terms", matrix)

    def make_dense(self) -> None:
        """The Jacobian's terms as a dense matrix: dearer on a CPU, but all that a CUDA graph can hold."""
        self.jacobian_terms = self.jacobian_terms.to_dense()

    def coefficients(self, temperature: Tensor, conditions: Tensor) -> Tensor:
        """k (B, R) from temperature (B) [K] and conditions (B, C), in the network's order."""
        k = temperature.new_zeros(len(temperature), self.makes.shape[0])
        for number, columns in self.laws:
            read = [conditions[:, column, None] for column in columns]
            value = _LAWS[number](getattr(self, f"parameters_{number}"), temperature[:, None], read)
            k[:, getattr(self, f"rows_{number}")] = value
        if self.formulas is not None:
            k[:, self.formulas.rows] = self.formulas(temperature, conditions)
        return k

    def production_loss(self, x: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """Production P and loss frequency L (B, S) of every species: dx/dt = P - L x."""
        a, b, c = self._factors(x)
        production = (k * a * b * c) @ self.makes
        loss = (k * b * c) @ self.takes[0] + (k * a * c) @ self.takes[1] + (k * a * b) @ self.takes[2]
        return production, loss

    def change(self, x: Tensor, k: Tensor) -> Tensor:
        """dx/dt (B, S)."""
        a, b, c = self._factors(x)
        return (k * a * b * c) @ self.net

    def jacobian(self, x: Tensor, k: Tensor) -> Tensor:
        """d(dx_i/dt)/dx_j (B, S, S)."""
        a, b, c = self._factors(x)
        partials = torch.cat([k * b * c, k * a * c, k * a * b], dim=1)
        species = x.shape[1]
        if self.jacobian_terms.is_sparse:
            return torch.sparse.mm(self.jacobian_terms, partials.T).T.reshape(-1, species, species)
        return (partials @ self.jacobian_terms.T).view(-1, species, species)

    def _factors(self, x: Tensor) -> list[Tensor]:
        """The three reactants of every reaction (B, R); 1 where there is none."""
        return list(torch.cat([x, torch.ones_like(x[:, :1])], dim=1)[:, self.slots].unbind(-1))
