"""The fit of a multi-clock map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pychemsurrogate.network import Network, NetworkTables
from pychemsurrogate.surrogates.mlp import mlp
from pychemsurrogate.surrogates.multiclock import MultiClock
from pychemsurrogate.training.fit import mixed, schedule_of, sharp_loss, uniform
from pychemsurrogate.training.minimise import Schedule, minimise
from pychemsurrogate.training.prepare import Prepared, prepare
from pychemsurrogate.training.recipe import ContinueRecipe, MultiClockRecipe
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
    surrogate.feature_mean.copy_(data.features.mean(dim=0))
    surrogate.feature_std.copy_(data.features.std(dim=0).clamp(min=1e-3))
    identity = {"recipe": recipe.of_map(), "pairs": len(pairs), "part": "map"}
    draw, schedule = uniform(len(data), recipe.batch), schedule_of(recipe, recipe.samples)
    _minimise(surrogate, data, draw, schedule, recipe, identity, checkpoint, progress)


def continue_multi_clock(
    surrogate: MultiClock,
    pairs: Pairs,
    logged: Pairs,
    network: Network,
    recipe: MultiClockRecipe,
    again: ContinueRecipe,
    checkpoint: Path,
    progress: bool = True,
) -> None:
    """Train encoder and decoder of a fitted map further, in place; the scaling of its features stays.

    logged: pairs that make up a share of each batch. Continues from `checkpoint` if that file exists.
    """
    samples = again.samples_of(recipe)
    with torch.no_grad():
        data = prepare(Pairs.concatenate([pairs, logged]), surrogate, network)
    identity = {"recipe": recipe.of_map(), "continued": again.as_dict(), "pairs": len(data), "part": "map"}
    sizes = np.array([len(pairs), len(logged)])
    draw = mixed(sizes, recipe.batch, [float(again.share_of(len(logged), samples))])
    schedule = schedule_of(recipe, samples, again.rate)
    _minimise(surrogate, data, draw, schedule, recipe, identity, checkpoint, progress)


def _minimise(
    surrogate: MultiClock,
    data: Prepared,
    draw: Callable[[torch.Generator], Tensor],
    schedule: Schedule,
    recipe: MultiClockRecipe,
    identity: dict[str, Any],
    checkpoint: Path | None,
    progress: bool,
) -> None:
    """Train on prepared pairs, whose features are scaled in place."""
    data.features.sub_(surrogate.feature_mean).div_(surrogate.feature_std)

    def loss(rows: Tensor, done: float) -> Tensor:
        z = surrogate.encoder(data.features[rows]).unflatten(1, (-1, surrogate.latent))
        z = z[:, 0] + torch.einsum("bk,bkz->bz", data.clocks[rows], z[:, 1:])
        change = data.phi[rows] * surrogate.decoder(torch.cat([z, data.depth[rows]], dim=1))
        target = data.target[rows]
        return sharp_loss(data.base[rows] + change - target, target, done, recipe)

    nets = torch.nn.ModuleList([surrogate.encoder, surrogate.decoder])
    minimise(nets, loss, draw, schedule, identity, checkpoint, "map" if progress else None)
