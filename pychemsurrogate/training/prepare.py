"""From pairs to what the fit reads: everything that does not depend on the weights, computed once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pychemsurrogate.network import Network
from pychemsurrogate.surrogates.jump import Jump
from pychemsurrogate.surrogates.multiclock import MultiClock
from pychemsurrogate.surrogates.reduced import reduce_conditions
from pychemsurrogate.training.truth import FloatArray, Pairs

_CHUNK = 16384
_JUMPS = 1024  # with a matrix a pair: a cache full of them


@dataclass(frozen=True)
class Prepared:
    """B pairs ready for the fit, f32, log10 of abundances in dex.

    features (B, F) raw; clocks (B, K); depth, phi (B, S) as in MultiClock; base, target (B, S): log10(x + x_floor) of
    the analytic step and of the truth.
    """

    features: Tensor
    clocks: Tensor
    depth: Tensor
    phi: Tensor
    base: Tensor
    target: Tensor

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True)
class Step:
    """The surrogate's arguments for B pairs, f64: x (B, S), temperature (B), reduced conditions (B, C), theta (B)."""

    x: Tensor
    temperature: Tensor
    conditions: Tensor
    theta: Tensor


def step_of(pairs: Pairs, network: Network) -> Step:
    """The pairs' starts as the surrogate takes them."""
    start = pairs.start.astype(np.float64)
    return reduced(network, start, pairs.temperature, pairs.density, pairs.conditions, pairs.dt)


def reduced(
    network: Network,
    x: FloatArray,
    temperature: FloatArray,
    density: FloatArray,
    conditions: FloatArray,
    dt: FloatArray,
) -> Step:
    """x = n/n_H (B, S), T [K], n_H [cm^-3] (B), conditions (B, C), dt [s] (B) in the reduced form."""
    return Step(
        torch.as_tensor(x),
        torch.as_tensor(temperature),
        torch.as_tensor(reduce_conditions(network, conditions, density)),
        torch.as_tensor(density * dt),
    )


def prepare(pairs: Pairs, surrogate: MultiClock, network: Network) -> Prepared:
    """Prepare pairs; the surrogate's clocks and floors are used, its nets and feature scaling are not."""
    chunks: list[tuple[Tensor, ...]] = []
    for first in range(0, len(pairs), _CHUNK):
        part = pairs.where(np.arange(first, min(first + _CHUNK, len(pairs))))
        step = step_of(part, network)
        scaled = surrogate.start(step.x, step.temperature, step.conditions, step.theta)
        base = surrogate.log(surrogate.analytic_step(scaled))
        target = surrogate.log(torch.as_tensor(part.end.astype(np.float64)))
        depth = surrogate.depth(scaled.loss, step.theta).float()
        phi = surrogate.phi(scaled)
        features = scaled.features.float()
        chunks.append((features, surrogate.clocks(step.theta), depth, phi.float(), base.float(), target.float()))
    return Prepared(*(torch.cat(parts) for parts in zip(*chunks, strict=True)))


@dataclass(frozen=True)
class PreparedJumps:
    """B pairs ready for the fit of a jump, f32, log10 of abundances in dex.

    features (B, F) raw; phi (B, S); base, target (B, S): log10(x + x_floor) after the implicit steps and in truth.
    """

    features: Tensor
    phi: Tensor
    base: Tensor
    target: Tensor

    def __len__(self) -> int:
        return len(self.features)


def prepare_jumps(pairs: Pairs, surrogate: Jump, network: Network) -> PreparedJumps:
    """Prepare pairs; the nets, their centres and the scaling of the features are not used."""
    chunks: list[tuple[Tensor, ...]] = []
    for first in range(0, len(pairs), _JUMPS):
        part = pairs.where(np.arange(first, min(first + _JUMPS, len(pairs))))
        step = step_of(part, network)
        scaled = surrogate.scale(step.x, step.temperature, step.conditions, step.theta)
        z = surrogate.advance(surrogate.encode(scaled.features), step.theta)
        prepared = surrogate.prepare(scaled)
        target = surrogate.log(torch.as_tensor(part.end.astype(np.float64)))
        features = torch.cat([z, prepared.features], dim=1)
        chunks.append((features, surrogate.phi(scaled).float(), surrogate.log(prepared.x).float(), target.float()))
    return PreparedJumps(*(torch.cat(parts) for parts in zip(*chunks, strict=True)))
