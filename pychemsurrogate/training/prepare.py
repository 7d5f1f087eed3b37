"""From pairs to what the fit reads: everything that does not depend on the weights, computed once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pychemsurrogate.network import Network
from pychemsurrogate.surrogates.multiclock import MultiClock, Scaled, reduce_conditions
from pychemsurrogate.training.truth import Pairs

_CHUNK = 16384


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
    reduced = reduce_conditions(network, pairs.conditions, pairs.density)
    return Step(
        torch.as_tensor(pairs.start.astype(np.float64)),
        torch.as_tensor(pairs.temperature),
        torch.as_tensor(reduced),
        torch.as_tensor(pairs.density * pairs.dt),
    )


def prepare(pairs: Pairs, surrogate: MultiClock, network: Network) -> Prepared:
    """Prepare pairs; the surrogate's clocks and floors are used, its nets and feature scaling are not."""
    chunks: list[tuple[Tensor, ...]] = []
    for first in range(0, len(pairs), _CHUNK):
        part = pairs.where(np.arange(first, min(first + _CHUNK, len(pairs))))
        step = step_of(part, network)
        rates = surrogate.rates
        k = rates.coefficients(step.temperature, step.conditions)
        production, loss = rates.production_loss(step.x, k)
        raw = surrogate.raw_features(step.x, production, loss, step.temperature, step.conditions)
        scaled = Scaled(step.x, step.theta, k, production, loss, raw)
        base = torch.log10(surrogate.analytic_step(scaled) + surrogate.x_floor)
        target = torch.log10(torch.as_tensor(part.end.astype(np.float64)) + surrogate.x_floor)
        depth = surrogate.depth(loss, step.theta)
        phi = surrogate.phi(scaled)
        chunks.append((raw.float(), surrogate.clocks(step.theta), depth, phi.float(), base.float(), target.float()))
    return Prepared(*(torch.cat(parts) for parts in zip(*chunks, strict=True)))
