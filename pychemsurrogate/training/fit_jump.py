"""The fit of a jump: the pairs that are costly for the exact integrator, every expert on its own share of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor

from pychemsurrogate.network import Network
from pychemsurrogate.surrogates.experts import Experts
from pychemsurrogate.surrogates.jump import Jump
from pychemsurrogate.surrogates.mlp import mlp
from pychemsurrogate.training.dataset import load, save
from pychemsurrogate.training.fit import schedule_of, sharp_loss
from pychemsurrogate.training.minimise import minimise
from pychemsurrogate.training.prepare import PreparedJumps, prepare_jumps, reduced
from pychemsurrogate.training.recipe import ContinueRecipe, JumpRecipe
from pychemsurrogate.training.stream import fresh_pairs
from pychemsurrogate.training.truth import FloatArray, Pairs, Recipe, unit_split, visit

_CLUSTERED = 40_000  # pairs that the centres are made from
_CLUSTER_ITERATIONS = 25
# The first round's share of the samples; the tours share the rest, at half its learning rates.
_FIRST_ROUND = 0.6
_LATER_RATE = 0.5


def new_jump(network: Network, recipe: JumpRecipe) -> Jump:
    """An untrained map: its nets are alike, and begin with no change to what the implicit steps make."""
    torch.manual_seed(recipe.seed)
    tables = network.tables()
    species, conditions = len(tables.species), len(tables.conditions)
    features = 5 * species + 2 + conditions
    experts = Experts(recipe.experts, [features, *recipe.widths, species])
    with torch.no_grad():
        for parameter in experts.parameters():
            parameter.copy_(parameter[:1].expand_as(parameter).clone())
        experts.weights[-1].zero_()
        experts.biases[-1].zero_()
    report = species + 1 if recipe.finish is not None else 0
    return Jump(
        tables,
        experts=experts,
        centres=np.zeros((recipe.experts, species), dtype=np.float32),
        shares=recipe.shares,
        head=mlp([3 * species + 2 + conditions + len(tables.conserved) + report, *recipe.head, 1]),
        feature_mean=np.zeros(features, dtype=np.float32),
        feature_std=np.ones(features, dtype=np.float32),
        finish=recipe.finish,
    )


def fit_jump(
    surrogate: Jump,
    pairs: Pairs,
    network: Network,
    recipe: JumpRecipe,
    truth: Recipe,
    folder: Path,
    progress: bool = True,
) -> None:
    """Train the experts in place, in rounds: on the pairs, then also on states that the map itself visits.

    truth: of the pairs, the visits and fresh pairs. folder: of the checkpoints, visited states and fresh pairs; an
    interrupted fit continues from what is there. Raises CheckpointError for checkpoints of another recipe or data set.
    """
    first = newest(costly(pairs, recipe), recipe)
    data = _prepared(first, surrogate, network)
    standardise(surrogate, data)
    pool = Pool.of(data, first, surrogate, recipe)
    for tour in range(recipe.tours + 1):
        if tour:
            joining = [costly(_visited(surrogate, network, recipe, truth, tour, folder), recipe)]
            if recipe.fresh_blocks:
                joining.append(_fresh(recipe, truth, tour, folder))
            for new in joining:
                added = Pool.of(_prepared(new, surrogate, network), new, surrogate, recipe)
                pool = pool.joined(added, recipe.pool_pairs)
        share = _FIRST_ROUND if tour == 0 and recipe.tours else (1.0 - _FIRST_ROUND) / max(1, recipe.tours)
        samples = recipe.samples * (share if recipe.tours else 1.0)
        schedule = schedule_of(recipe, samples, _LATER_RATE if tour else 1.0)
        identity = {"recipe": recipe.of_map(), "pairs": len(pairs), "tour": tour}
        checkpoint, label = folder / f"map_{tour}.pt", f"map, round {tour + 1}" if progress else None
        loss, draw = pool.loss(surrogate, recipe), pool.draw(surrogate, recipe)
        minimise(surrogate.experts, loss, draw, schedule, identity, checkpoint, label)


def continue_jump(
    surrogate: Jump,
    pairs: Pairs,
    logged: Pairs,
    network: Network,
    recipe: JumpRecipe,
    again: ContinueRecipe,
    checkpoint: Path,
    progress: bool = True,
) -> None:
    """Train the experts of a fitted map further, in place; their centres and the scaling of the features stay.

    pairs: the costly ones; logged: a share of what each expert that serves any of them draws. Continues from
    `checkpoint` if that file exists.
    """
    samples = again.samples_of(recipe)
    pool, others = (Pool.of(_prepared(part, surrogate, network), part, surrogate, recipe) for part in (pairs, logged))
    served = torch.bincount(others.expert, minlength=len(surrogate.experts)).double()
    pool = pool.mixed(others, torch.as_tensor(again.share_of(served.numpy(), samples / len(served))))
    identity = {"recipe": recipe.of_map(), "continued": again.as_dict(), "pairs": len(pool)}
    schedule, label = schedule_of(recipe, samples, again.rate), "map" if progress else None
    loss, draw = pool.loss(surrogate, recipe), pool.draw(surrogate, recipe)
    minimise(surrogate.experts, loss, draw, schedule, identity, checkpoint, label)


def costly(pairs: Pairs, recipe: JumpRecipe) -> Pairs:
    """The pairs that the map is for, and a share of the others."""
    lucky = np.random.default_rng(recipe.seed).random(len(pairs)) < recipe.easy_share
    return pairs.where((pairs.steps >= recipe.costly) | lucky)


def newest(pairs: Pairs, recipe: JumpRecipe) -> Pairs:
    """As many of the last pairs as a pool may hold."""
    return pairs.where(np.arange(max(0, len(pairs) - recipe.pool_pairs), len(pairs)))


def _prepared(pairs: Pairs, surrogate: Jump, network: Network) -> PreparedJumps:
    with torch.no_grad():
        return prepare_jumps(pairs, surrogate, network)


def standardise(surrogate: Jump, data: PreparedJumps) -> None:
    """Give the map the mean and standard deviation of these features, and centres for its experts."""
    surrogate.feature_mean.copy_(data.features.mean(dim=0))
    surrogate.feature_std.copy_(data.features.std(dim=0).clamp(min=1e-3))
    depth = surrogate.depth(data.features[:_CLUSTERED]).numpy()
    centres, _ = kmeans2(depth, len(surrogate.experts), iter=_CLUSTER_ITERATIONS, minit="++", seed=1)
    surrogate.centres.copy_(torch.as_tensor(centres))


@dataclass(frozen=True)
class Pool:
    """B prepared pairs with scaled features, how often each is drawn for its expert (B), and the experts (B)."""

    data: PreparedJumps
    weight: Tensor
    expert: Tensor

    @classmethod
    def of(cls, data: PreparedJumps, pairs: Pairs, surrogate: Jump, recipe: JumpRecipe) -> Pool:
        """From pairs and what was prepared of them, whose features are scaled in place; drawn by steps^cost_power."""
        expert = torch.cat([surrogate.route(part) for part in surrogate.depth(data.features).split(_CLUSTERED)])
        data.features.sub_(surrogate.feature_mean).div_(surrogate.feature_std)
        return cls(data, torch.as_tensor(pairs.steps).double() ** recipe.cost_power, expert)

    def __len__(self) -> int:
        return len(self.expert)

    def joined(self, other: Pool, most: int) -> Pool:
        """These pairs and those, the first of them left out where there are more than `most`."""
        ours, theirs = self._newest(most - len(other)), other._newest(most)
        parts = zip(vars(ours.data).values(), vars(theirs.data).values(), strict=True)
        return Pool(
            PreparedJumps(*(torch.cat(part) for part in parts)),
            torch.cat([ours.weight, theirs.weight]),
            torch.cat([ours.expert, theirs.expert]),
        )

    def mixed(self, other: Pool, share: Tensor) -> Pool:
        """These pairs and those; of what expert e draws, share[e] (E) are those, if it serves any."""
        ours, theirs = (torch.bincount(pool.expert, pool.weight, len(share)) for pool in (self, other))
        scale = torch.where(ours > 0.0, share / (1.0 - share) * ours / theirs, 1.0)
        return self.joined(replace(other, weight=other.weight * scale[other.expert]), len(self) + len(other))

    def _newest(self, count: int) -> Pool:
        first = len(self) - min(max(0, count), len(self))
        data = PreparedJumps(*(column[first:] for column in vars(self.data).values()))
        return Pool(data, self.weight[first:], self.expert[first:])

    def draw(self, surrogate: Jump, recipe: JumpRecipe) -> Callable[[torch.Generator], Tensor]:
        """Draws as many rows (E, N) for every expert, by their weights; from all, for one that serves none of them."""
        own_rows = [torch.nonzero(self.expert == e)[:, 0] for e in range(len(surrogate.experts))]
        rows = [own if len(own) else torch.arange(len(self)) for own in own_rows]
        sums = [torch.cumsum(self.weight[own], dim=0) for own in rows]
        each = max(1, recipe.batch // len(rows))

        def draw(random: torch.Generator) -> Tensor:
            chosen = []
            for own, total in zip(rows, sums, strict=True):
                where = torch.rand(each, generator=random, dtype=torch.float64) * total[-1]
                chosen.append(own[torch.searchsorted(total, where).clamp(max=len(own) - 1)])
            return torch.stack(chosen)

        return draw

    def loss(self, surrogate: Jump, recipe: JumpRecipe) -> Callable[[Tensor, float], Tensor]:
        """The loss of rows (E, N), where expert e serves row e."""
        data = self.data

        def loss(rows: Tensor, done: float) -> Tensor:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=done < recipe.coarse):
                output = surrogate.experts(data.features[rows])
            target = data.target[rows]
            return sharp_loss(data.base[rows] + data.phi[rows] * output.float() - target, target, done, recipe)

        return loss


def _fresh(recipe: JumpRecipe, truth: Recipe, tour: int, folder: Path) -> Pairs:
    """The costly ones of pairs that are in no other round; kept in the folder."""
    path = folder / f"fresh_{tour}.h5"
    skip = (tour - 1) * recipe.fresh_blocks
    return fresh_pairs(truth, skip, recipe.fresh_blocks, lambda pairs: costly(pairs, recipe), path)


def _visited(surrogate: Jump, network: Network, recipe: JumpRecipe, truth: Recipe, tour: int, folder: Path) -> Pairs:
    """Pairs from states that the map visits on its own; kept in the folder."""
    path = folder / f"visited_{tour}.h5"
    if not path.exists():

        def step(x: FloatArray, T: FloatArray, n_H: FloatArray, at: FloatArray, dt: FloatArray) -> FloatArray:
            given = reduced(network, x, T, n_H, at, dt)
            with torch.no_grad():
                moved: FloatArray = surrogate(given.x, given.temperature, given.conditions, given.theta)[0].numpy()
            return moved

        units = islice((unit for unit in count() if unit_split(unit) == "train"), recipe.visited_units)
        made = [visit(truth, step, unit, tour) for unit in units]
        save(Pairs.concatenate([pairs for pairs, _ in made]), path, truth, sum(dropped for _, dropped in made))
    return load(path)
