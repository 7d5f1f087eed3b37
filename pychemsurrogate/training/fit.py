"""The fit: the flow map first, then the head that predicts its error. Interrupted fits continue from their checkpoint.

The map is trained on log abundances with a Huber-like loss that sharpens while it runs: errors of slow species are tiny
per step and add up, so the loss must stay sharp below 0.01 dex. Matrices are trained by Muon (Jordan et al. 2024),
biases by AdamW, both with a warm-up and a cosine to zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import trange

from pychemsurrogate.network import Network, NetworkTables
from pychemsurrogate.surrogates.mlp import mlp
from pychemsurrogate.surrogates.multiclock import MultiClock
from pychemsurrogate.training.prepare import prepare, step_of
from pychemsurrogate.training.truth import Pairs

_CHUNK = 1024  # a cache full of cells: larger chunks cost 1.7 times as much
_SAVE_EVERY = 1000  # steps between checkpoints
# Species below this abundance do not count in a cell's error; the fit's own weights fall off further below.
X_MIN = 1e-10


@dataclass(frozen=True)
class FitRecipe:
    """Everything that decides a fit, beside its data.

    encoder, decoder, head: hidden widths; latent: Z; clocks: K (one of them the log clock), with time scales theta
    log-uniform over clock_range [s cm^-3]; clock_theta0: of the log clock. samples: seen by the map's fit (with
    repetition), batch: per step; muon_rate, adam_rate: peak learning rates; sharpness: where the loss turns from square
    to linear [dex], at the start and at the end. head_pairs, head_samples: the same for the head; quantile: of the
    error that the head predicts. finish_fraction, finish_steps: of the learned step's finish, whose result the head
    judges; a fraction of 0: none. tolerance [dex], alpha: what the gate is calibrated for.
    """

    encoder: tuple[int, ...] = (160, 160)
    decoder: tuple[int, ...] = (160, 160)
    head: tuple[int, ...] = (64, 32)
    latent: int = 40
    clocks: int = 5
    clock_range: tuple[float, float] = (1e10, 1e18)
    clock_theta0: float = 1e11
    samples: float = 9e7
    batch: int = 4096
    muon_rate: float = 0.04
    adam_rate: float = 2e-3
    sharpness: tuple[float, float] = (0.02, 0.002)
    head_pairs: int = 800_000
    head_samples: float = 1.2e7
    quantile: float = 0.8
    finish_fraction: float = 0.0
    finish_steps: int = 1
    tolerance: float = 0.1
    alpha: float = 0.01
    seed: int = 1

    def as_dict(self) -> dict[str, Any]:
        """The recipe as plain values, for provenance."""
        return asdict(self)

    def of_map(self) -> dict[str, Any]:
        """What of it decides the map's fit."""
        return {name: value for name, value in asdict(self).items() if name not in _OF_HEAD | _OF_GATE}

    def of_head(self) -> dict[str, Any]:
        """What of it decides the head's fit, the map included."""
        return {name: value for name, value in asdict(self).items() if name not in _OF_GATE}


_OF_HEAD = {"head", "head_pairs", "head_samples", "quantile", "finish_fraction", "finish_steps"}
_OF_GATE = {"tolerance", "alpha"}


class CheckpointError(ValueError):
    """A checkpoint of another recipe or data set; the message says what to do."""


def new_surrogate(network: Network, recipe: FitRecipe) -> MultiClock:
    """An untrained surrogate; its decoder begins as the analytic step (change = 0)."""
    torch.manual_seed(recipe.seed)
    tables = network.tables()
    species, features = len(tables.species), 3 * len(tables.species) + 1 + len(tables.conditions)
    decoder = mlp([recipe.latent + species, *recipe.decoder, species])
    finish = (recipe.finish_fraction, recipe.finish_steps) if recipe.finish_fraction else None
    for parameter in decoder[-1].parameters():
        torch.nn.init.zeros_(parameter)
    return MultiClock(
        tables,
        encoder=mlp([features, *recipe.encoder, (1 + recipe.clocks) * recipe.latent]),
        decoder=decoder,
        head=mlp([head_inputs(tables, recipe.latent, finish is not None), *recipe.head, 1]),
        latent=recipe.latent,
        clock_theta=np.geomspace(*recipe.clock_range, recipe.clocks - 1),
        clock_theta0=recipe.clock_theta0,
        feature_mean=np.zeros(features, dtype=np.float32),
        feature_std=np.ones(features, dtype=np.float32),
        finish=finish,
    )


def head_inputs(tables: NetworkTables, latent: int, finish: bool) -> int:
    """How many numbers the error head of a map with so many latent numbers reads, with or without a finish."""
    species = len(tables.species)
    return latent + 2 * species + len(tables.conserved) + (species + 1 if finish else 0)


def fit_map(
    surrogate: MultiClock,
    pairs: Pairs,
    network: Network,
    recipe: FitRecipe,
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
        start, end = recipe.sharpness
        return sharp_loss(data.base[rows] + change - target, target, start * (end / start) ** done)

    nets = torch.nn.ModuleList([surrogate.encoder, surrogate.decoder])
    identity = {"recipe": recipe.of_map(), "pairs": len(pairs), "part": "map"}
    _train(nets, loss, len(data), recipe, recipe.samples, identity, checkpoint, "map" if progress else None)


def sharp_loss(error: Tensor, log_target: Tensor, sharpness: float) -> Tensor:
    """Mean of sqrt(e^2 + s^2) - s over species, weighted; e [dex] (B, S), log_target = log10(x + x_floor).

    The weight is 1 down to x = 1e-13 and falls linearly in the logarithm to 0.02 at 1e-16: such traces matter to no
    one, yet are the hardest to fit.
    """
    weight = (1.0 + 0.98 / 3.0 * (log_target + 13.0)).clamp(0.02, 1.0)
    return (weight * (torch.sqrt(error * error + sharpness * sharpness) - sharpness)).mean()


def fit_head(
    surrogate: MultiClock,
    pairs: Pairs,
    network: Network,
    recipe: FitRecipe,
    checkpoint: Path | None = None,
    progress: bool = True,
) -> None:
    """Train the error head in place: a quantile of log10 of the cell error (pinball loss, Koenker & Bassett 1978).

    The map is left as it is. Continues from `checkpoint` if that file exists.
    """
    chosen = np.random.default_rng(recipe.seed).permutation(len(pairs))[: recipe.head_pairs]
    outcome = evaluate(surrogate, pairs.where(np.sort(chosen)), network)
    # Below 1e-3 dex any error is as good as none; above 10 dex (or infinite, for a species at 0) as bad as any.
    inputs, target = outcome.head_inputs, torch.as_tensor(np.log10(np.clip(outcome.error, 1e-3, 10.0))).float()
    mean, std = inputs.mean(dim=0), inputs.std(dim=0).clamp(min=1e-3)
    inputs = (inputs - mean) / std

    def loss(rows: Tensor, done: float) -> Tensor:
        missing = target[rows] - surrogate.head(inputs[rows])[:, 0]
        return torch.maximum(recipe.quantile * missing, (recipe.quantile - 1.0) * missing).mean()

    identity = {"recipe": recipe.of_head(), "pairs": len(pairs), "part": "head"}
    head = torch.nn.ModuleList([surrogate.head])
    _train(head, loss, len(target), recipe, recipe.head_samples, identity, checkpoint, "head" if progress else None)
    # The head of the model file takes its inputs as they are: fold the scaling into its first layer.
    weight, bias = surrogate.head[0].parameters()
    with torch.no_grad():
        scaled = weight.double() / std.double()
        bias.copy_(bias.double() - scaled @ mean.double())
        weight.copy_(scaled)


@dataclass(frozen=True)
class Outcome:
    """What the surrogate makes of B pairs.

    error, error_traces: the cell's error [dex] over x > X_MIN and over x > 1e-13, (B) f64; predicted: log10 of the
    former as the head expects it, infinite for a cell that is not conserved, (B) f64; head_inputs (B, H) f32.
    """

    error: NDArray[np.float64]
    error_traces: NDArray[np.float64]
    predicted: NDArray[np.float64]
    head_inputs: Tensor


def evaluate(surrogate: MultiClock, pairs: Pairs, network: Network) -> Outcome:
    """The whole learned step, conservation included, on every pair, without the gate."""
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
        errors.append(cell_error(x, truth, X_MIN))
        traces.append(cell_error(x, truth, 1e-13))
    return Outcome(
        np.concatenate(errors),
        np.concatenate(traces),
        np.concatenate(predicted),
        torch.cat(inputs),
    )


def cell_error(x: NDArray[np.float64], truth: NDArray[np.float64], x_min: float) -> NDArray[np.float64]:
    """max |log10 x - log10 truth| [dex] (B) over species with truth > x_min; x, truth (B, S). Infinite where x is 0."""
    with np.errstate(divide="ignore"):
        error = np.abs(np.log10(x) - np.log10(np.maximum(truth, 1e-300)))
    worst: NDArray[np.float64] = np.where(truth > x_min, error, 0.0).max(axis=1)
    return worst


def _train(
    nets: torch.nn.Module,
    loss: Callable[[Tensor, float], Tensor],
    rows: int,
    recipe: FitRecipe,
    samples: float,
    identity: dict[str, Any],
    checkpoint: Path | None,
    label: str | None,
) -> None:
    """Minimise loss(rows, share done) over random batches; save to and continue from the checkpoint."""
    steps = max(1, round(samples / recipe.batch))
    parameters = list(nets.parameters())
    matrices = [p for p in parameters if p.ndim == 2]
    vectors = [p for p in parameters if p.ndim != 2]
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(matrices, lr=recipe.muon_rate, weight_decay=0.0),
        torch.optim.AdamW(vectors, lr=recipe.adam_rate, weight_decay=0.0),
    ]
    peaks = [recipe.muon_rate, recipe.adam_rate]
    random = torch.Generator().manual_seed(recipe.seed)
    first = 0
    if checkpoint is not None and checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        if saved["identity"] != identity:
            raise CheckpointError(
                f"{checkpoint}: belongs to another recipe or data set; delete it, or name another file"
            )
        nets.load_state_dict(saved["nets"])
        for optimiser, state in zip(optimisers, saved["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        random.set_state(saved["random"])
        first = saved["step"]

    def save(step: int) -> None:
        if checkpoint is None:
            return
        state = {
            "identity": identity,
            "nets": nets.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in optimisers],
            "random": random.get_state(),
            "step": step,
        }
        temporary = checkpoint.with_name(checkpoint.name + ".tmp")
        torch.save(state, temporary)
        temporary.replace(checkpoint)

    mean_loss = math.nan
    with trange(first, steps, initial=first, total=steps, desc=label, disable=label is None) as bar:
        for step in bar:
            rate = min(1.0, (step + 1) / (0.02 * steps)) * 0.5 * (1.0 + math.cos(math.pi * step / steps))
            for optimiser, peak in zip(optimisers, peaks, strict=True):
                optimiser.param_groups[0]["lr"] = peak * rate
                optimiser.zero_grad()
            value = loss(torch.randint(0, rows, (recipe.batch,), generator=random), step / steps)
            value.backward()
            for optimiser in optimisers:
                optimiser.step()
            if step % 50 == 0:
                current = float(value.detach())
                if not math.isfinite(current):
                    raise FloatingPointError(
                        f"the loss of the {label or 'fit'} is {current} at step {step}; lower muon_rate"
                    )
                mean_loss = current if math.isnan(mean_loss) else 0.9 * mean_loss + 0.1 * current
                bar.set_postfix(loss=f"{mean_loss:.5f}")
            if (step + 1) % _SAVE_EVERY == 0:
                save(step + 1)
    save(steps)
