"""Rates of a network in torch: coefficients, production and loss (the numbers of the laws are those of rate_laws/)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from pychemsurrogate.network import NetworkTables
from pychemsurrogate.network.rate_laws import ARRHENIUS, COSMIC_RAY
from pychemsurrogate.network.rate_laws.arrhenius import REFERENCE_TEMPERATURE_K


def _arrhenius(parameters: Tensor, temperature: Tensor, conditions: Sequence[Tensor]) -> Tensor:
    alpha, beta, gamma = parameters[..., :3].unbind(-1)
    return alpha * (temperature / REFERENCE_TEMPERATURE_K) ** beta * torch.exp(-gamma / temperature)


def _cosmic_ray(parameters: Tensor, temperature: Tensor, conditions: Sequence[Tensor]) -> Tensor:
    return parameters[..., 0] * conditions[0]


_LAWS: dict[int, Callable[[Tensor, Tensor, Sequence[Tensor]], Tensor]] = {
    ARRHENIUS.number: _arrhenius,
    COSMIC_RAY.number: _cosmic_ray,
}


class Rates(nn.Module):
    """Rate coefficients, production and loss frequency for batches of cells, in double precision."""

    def __init__(self, tables: NetworkTables) -> None:
        super().__init__()
        self.laws: list[tuple[int, list[int]]] = []  # number, columns of the conditions
        for number in sorted({int(law) for law in tables.law}):
            if number not in _LAWS:
                raise ValueError(f"rate law {number} has no torch form; add it to surrogates/rates.py")
            rows = (tables.law == number).nonzero()[0]
            self.laws.append((number, [int(c) for c in tables.law_conditions[rows[0]] if c >= 0]))
            self.register_buffer(f"rows_{number}", torch.as_tensor(rows))
            self.register_buffer(f"parameters_{number}", torch.as_tensor(tables.parameters[rows].copy()))
        reactions, species = len(tables.law), len(tables.species)
        # A missing reactant points to a column of ones behind the species.
        slots = torch.as_tensor(tables.reactants.copy()).long()
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
                for slot, reactant in enumerate(tables.reactants[reaction]):
                    if reactant == i:
                        takes[slot, reaction, i] = max(-net, 0) / left.count(i)
        self.register_buffer("makes", torch.as_tensor(makes))
        self.register_buffer("takes", torch.as_tensor(takes))

    def coefficients(self, temperature: Tensor, conditions: Tensor) -> Tensor:
        """k (B, R) from temperature (B) [K] and conditions (B, C), in the network's order."""
        k = temperature.new_zeros(len(temperature), self.makes.shape[0])
        for number, columns in self.laws:
            read = [conditions[:, column, None] for column in columns]
            value = _LAWS[number](getattr(self, f"parameters_{number}"), temperature[:, None], read)
            k[:, getattr(self, f"rows_{number}")] = value
        return k

    def production_loss(self, x: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """Production P and loss frequency L (B, S) of every species: dx/dt = P - L x."""
        factors = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)[:, self.slots]  # (B, R, 3)
        a, b, c = factors.unbind(-1)
        production = (k * a * b * c) @ self.makes
        loss = (k * b * c) @ self.takes[0] + (k * a * c) @ self.takes[1] + (k * a * b) @ self.takes[2]
        return production, loss
