"""What fits of all kinds share: the loss, the head that predicts the map's error, and how well a map does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pychemsurrogate.network import Network
from pychemsurrogate.surrogates.reduced import ReducedMap
from pychemsurrogate.training.minimise import Schedule, minimise
from pychemsurrogate.training.populations import X_TRACES, cell_error
from pychemsurrogate.training.prepare import step_of
from pychemsurrogate.training.recipe import FitRecipe
from pychemsurrogate.training.served import Judged
from pychemsurrogate.training.truth import Pairs

_CHUNK = 1024  # a cache full of cells: larger chunks cost 1.7 times as much


def sharp_loss(error: Tensor, log_target: Tensor, done: float, recipe: FitRecipe) -> Tensor:
    """Mean of sqrt(e^2 + s^2) - s over species, weighted; e [dex] (..., S), log_target = log10(x + x_floor).

    s falls from the recipe's sharpness at the start (done = 0) to that at the end: errors of slow species are tiny per
    step and add up. The weight falls linearly in the logarithm, from 1 to 0.02 over the recipe's range of traces: they
    matter to no one, yet are the hardest to fit.
    """
    low, high = recipe.traces
    start, end = recipe.sharpness
    sharpness = start * (end / start) ** done
    weight = (1.0 + 0.98 / (high - low) * (log_target - high)).clamp(0.02, 1.0)
    return (weight * (torch.sqrt(error * error + sharpness * sharpness) - sharpness)).mean()


def schedule_of(recipe: FitRecipe, samples: float, share: float = 1.0) -> Schedule:
    """The schedule of a fit that sees so many samples, with that share of the recipe's learning rates."""
    steps = max(1, round(samples / recipe.batch))
    return Schedule(steps, share * recipe.muon_rate, share * recipe.adam_rate, recipe.seed)


def fit_head(
    surrogate: ReducedMap,
    pairs: Pairs,
    network: Network,
    recipe: FitRecipe,
    checkpoint: Path | None = None,
    progress: bool = True,
    others: Sequence[tuple[Pairs, float]] = (),
) -> None:
    """Train the error head in place: a quantile of log10 of the cell error (pinball loss, Koenker & Bassett 1978).

    The map is left as it is. Continues from `checkpoint` if that file exists. others: pairs, each with the share of the
    batches that they make up.
    """
    some = [_some(part, recipe) for part in (pairs, *(part for part, _ in others))]
    outcome = evaluate(surrogate, Pairs.concatenate(some), network, recipe.species_weights(network))
    # A cell that is not conserved is refused without asking the head. Below 1e-3 dex any error is as good as none;
    # above 10 dex (or infinite, for a species at 0) as bad as any.
    judged = np.isfinite(outcome.predicted)
    inputs = outcome.head_inputs[torch.as_tensor(judged)]
    target = torch.as_tensor(np.log10(np.clip(outcome.error[judged], 1e-3, 10.0))).float()
    mean, std = inputs.mean(dim=0), inputs.std(dim=0).clamp(min=1e-3)
    inputs = (inputs - mean) / std

    def loss(rows: Tensor, done: float) -> Tensor:
        missing = target[rows] - surrogate.head(inputs[rows])[:, 0]
        return torch.maximum(recipe.quantile * missing, (recipe.quantile - 1.0) * missing).mean()

    identity = {"recipe": recipe.of_head(), "pairs": len(pairs), "part": "head"}
    identity |= {"others": [len(part) for part, _ in others]} if others else {}
    nets = torch.nn.ModuleList([surrogate.head])
    schedule = schedule_of(recipe, recipe.head_samples)
    of_part = np.repeat(np.arange(len(some)), [len(part) for part in some])[judged]
    draw = mixed(np.bincount(of_part, minlength=len(some)), recipe.batch, [share for _, share in others])
    minimise(nets, loss, draw, schedule, identity, checkpoint, "head" if progress else None)
    # The head of the model file takes its inputs as they are: fold the scaling into its first layer.
    weight, bias = surrogate.head[0].parameters()
    with torch.no_grad():
        scaled = weight.double() / std.double()
        bias.copy_(bias.double() - scaled @ mean.double())
        weight.copy_(scaled)


def _some(pairs: Pairs, recipe: FitRecipe) -> Pairs:
    """As many of the pairs as the head reads, at random."""
    chosen = np.random.default_rng(recipe.seed).permutation(len(pairs))[: recipe.head_pairs]
    return pairs.where(np.sort(chosen))


def mixed(sizes: NDArray[np.int64], batch: int, shares: Sequence[float]) -> Callable[[torch.Generator], Tensor]:
    """Draws `batch` rows of parts of these sizes that follow each other; shares: of all parts but the first."""
    late = [round(share * batch) if size else 0 for share, size in zip(shares, sizes[1:].tolist(), strict=True)]
    counts = [batch - sum(late), *late]
    begins = np.concatenate([[0], np.cumsum(sizes)[:-1]]).tolist()
    parts = [
        (begin, uniform(size, count))
        for begin, size, count in zip(begins, sizes.tolist(), counts, strict=True)
        if count
    ]
    return lambda random: torch.cat([begin + draw(random) for begin, draw in parts])


def uniform(rows: int, batch: int) -> Callable[[torch.Generator], Tensor]:
    """Draws `batch` of `rows` rows, each as likely as the others."""
    return lambda random: torch.randint(0, rows, (batch,), generator=random)


@dataclass(frozen=True)
class Outcome(Judged):
    """What the surrogate makes of B pairs in torch; head_inputs (B, H) f32."""

    head_inputs: Tensor


def evaluate(
    surrogate: ReducedMap, pairs: Pairs, network: Network, weights: NDArray[np.float64] | None = None
) -> Outcome:
    """The whole learned step, conservation included, on every pair, without the gate. weights (S): see cell_error."""
    errors, traces, predicted, inputs = [], [], [], []
    for first in range(0, len(pairs), _CHUNK):
        part = pairs.where(np.arange(first, min(first + _CHUNK, len(pairs))))
        step = step_of(part, network)
        with torch.no_grad():
            made = surrogate(step.x, step.temperature, step.conditions, step.theta)
            moved, _, z, decoded, multiplier, finished = made
            expected = surrogate.predict_error(z, decoded, multiplier, finished).double()
            # As in the step itself, a cell that the projection could not close is never accepted.
            expected[~surrogate.is_conserved(moved, step.x)] = torch.inf
            predicted.append(expected.numpy())
            inputs.append(surrogate.head_inputs(z, decoded, multiplier, finished))
        truth = part.end.astype(np.float64)
        x = moved.numpy()
        errors.append(cell_error(x, truth, weights))
        traces.append(cell_error(x, truth, weights, X_TRACES))
    return Outcome(
        np.concatenate(errors),
        np.concatenate(traces),
        np.concatenate(predicted),
        torch.cat(inputs),
    )
