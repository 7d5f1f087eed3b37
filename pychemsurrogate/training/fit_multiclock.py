"""The fit of a multi-clock map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pychemsurrogate.network import Network, NetworkTables
from pychemsurrogate.surrogates.mlp import mlp
from pychemsurrogate.surrogates.multiclock import MultiClock
from pychemsurrogate.training.fit import schedule_of, sharp_loss, uniform
from pychemsurrogate.training.minimise import minimise
from pychemsurrogate.training.prepare import prepare
from pychemsurrogate.training.recipe import MultiClockRecipe
from pychemsurrogate.training.truth import Pairs


def new_multi_clock(network: Network, recipe: MultiClockRecipe) -> MultiClock:
    """An untrained surrogate; its decoder begins as the analytic step (change = 0)."""
    torch.manual_seed(recipe.seed)
    tables = network.tables()
    species, features = len(tables.species), 3 * len(tables.species) + 1 + len(tables.conditions)
    decoder = mlp([recipe.latent + species, *recipe.decoder, species])
    for parameter in decoder[-1].parameters():
        torch.nn.init.zeros_(parameter)
    return MultiClock(
        tables,
        encoder=mlp([features, *recipe.encoder, (1 + recipe.clocks) * recipe.latent]),
        decoder=decoder,
        head=mlp([head_inputs(tables, recipe.latent, recipe.finish is not None), *recipe.head, 1]),
        latent=recipe.latent,
        clock_theta=np.geomspace(*recipe.clock_range, recipe.clocks - 1),
        clock_theta0=recipe.clock_theta0,
        feature_mean=np.zeros(features, dtype=np.float32),
        feature_std=np.ones(features, dtype=np.float32),
        finish=recipe.finish,
    )


def head_inputs(tables: NetworkTables, latent: int, finish: bool) -> int:
    """How many numbers the error head of a map with so many latent numbers reads, with or without a finish."""
    species = len(tables.species)
    return latent + 2 * species + len(tables.conserved) + (species + 1 if finish else 0)


def fit_multi_clock(
    surrogate: MultiClock,
    pairs: Pairs,
    network: Network,
    recipe: MultiClockRecipe,
    checkpoint: Path | None = None,
    progress: bool = True,
) -> None:
    """Train encoder and decoder in place on the pairs. Continues from `checkpoint` if that file exists.

    Raises CheckpointError for a checkpoint of another recipe or data set.
    """
    with torch.no_grad():
        data = prepare(pairs, surrogate, network)
    mean = data.features.mean(dim=0)
    std = data.features.std(dim=0).clamp(min=1e-3)
    surrogate.feature_mean.copy_(mean)
    surrogate.feature_std.copy_(std)
    data.features.sub_(mean).div_(std)

    def loss(rows: Tensor, done: float) -> Tensor:
        z = surrogate.encoder(data.features[rows]).unflatten(1, (-1, surrogate.latent))
        z = z[:, 0] + torch.einsum("bk,bkz->bz", data.clocks[rows], z[:, 1:])
        change = data.phi[rows] * surrogate.decoder(torch.cat([z, data.depth[rows]], dim=1))
        target = data.target[rows]
        return sharp_loss(data.base[rows] + change - target, target, done, recipe)

    nets = torch.nn.ModuleList([surrogate.encoder, surrogate.decoder])
    identity = {"recipe": recipe.of_map(), "pairs": len(pairs), "part": "map"}
    draw, schedule = uniform(len(data), recipe.batch), schedule_of(recipe, recipe.samples)
    minimise(nets, loss, draw, schedule, identity, checkpoint, "map" if progress else None)
