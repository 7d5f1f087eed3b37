"""Recipes of fits: everything that decides a surrogate, beside its data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pychemsurrogate.network import Network

_OF_HEAD = {
    *("head", "head_pairs", "head_samples", "quantile", "weights", "finish_fraction", "finish_steps"),
    *("unusual_share", "known"),
}
_OF_GATE = {"targets", "alpha", "bins"}


@dataclass(frozen=True, kw_only=True)
class FitRecipe:
    """What the recipes of all kinds share.

    head: hidden widths of the error head; samples: seen by the map's fit (with repetition), batch: per step; muon_rate,
    adam_rate: peak learning rates; sharpness: where the loss turns from square to linear [dex], at the start and at the
    end; traces: log10 of the abundances below which a species hardly counts in the loss, and from which it counts in
    full. head_pairs, head_samples: the same for the head; quantile: of the error that the head predicts; unusual_share:
    of the head's batches that start from unusual gas, where a data set of it is given; known: share of the training
    states that the gate's distance takes for known.
    finish_fraction, finish_steps: of the learned step's finish, whose result the head judges; a fraction of 0: none.
    targets [dex], alpha: what the gate is calibrated for; bins: quantities and edges of the grid of bins that have
    thresholds of their own; weights: of species in a cell's error, 1 unless named.
    """

    head: tuple[int, ...] = (64, 32)
    samples: float
    batch: int
    muon_rate: float = 0.04
    adam_rate: float = 2e-3
    sharpness: tuple[float, float] = (0.02, 0.002)
    traces: tuple[float, float]
    head_pairs: int
    head_samples: float = 1.2e7
    quantile: float = 0.8
    unusual_share: float = 0.4
    known: float = 0.98
    finish_fraction: float = 0.0
    finish_steps: int = 1
    targets: tuple[float, ...] = (0.03, 0.1, 0.3)
    alpha: float = 0.01
    bins: tuple[tuple[str, tuple[float, ...]], ...] = (("T", (30.0, 100.0)), ("theta", (1e13, 1e15)))
    weights: tuple[tuple[str, float], ...] = ()
    seed: int = 1

    @property
    def finish(self) -> tuple[float, int] | None:
        """Fraction and steps of the finish; None without one."""
        return (self.finish_fraction, self.finish_steps) if self.finish_fraction else None

    def as_dict(self) -> dict[str, Any]:
        """The recipe as plain values, for provenance."""
        return asdict(self)

    def species_weights(self, network: Network) -> NDArray[np.float64]:
        """The weights (S) of the species in a cell's error. Raises KeyError for an unknown species."""
        weights = np.ones(network.n_species)
        for name, weight in self.weights:
            weights[network.species_index(name)] = weight
        return weights

    def of_map(self) -> dict[str, Any]:
        """What of it decides the map's fit."""
        return {name: value for name, value in asdict(self).items() if name not in _OF_HEAD | _OF_GATE}

    def of_head(self) -> dict[str, Any]:
        """What of it decides the head's fit, the map included."""
        return {name: value for name, value in asdict(self).items() if name not in _OF_GATE}


@dataclass(frozen=True, kw_only=True)
class MultiClockRecipe(FitRecipe):
    """Of a multi-clock map.

    encoder, decoder: hidden widths; latent: Z; clocks: K (one of them the log clock), with time scales theta
    log-uniform over clock_range [s cm^-3]; clock_theta0: of the log clock.
    """

    encoder: tuple[int, ...] = (160, 160)
    decoder: tuple[int, ...] = (160, 160)
    latent: int = 40
    clocks: int = 5
    clock_range: tuple[float, float] = (1e10, 1e18)
    clock_theta0: float = 1e11
    samples: float = 9e7
    batch: int = 4096
    traces: tuple[float, float] = (-16.0, -13.0)
    head_pairs: int = 800_000


@dataclass(frozen=True, kw_only=True)
class JumpRecipe(FitRecipe):
    """Of a jump.

    experts: how many nets; widths: their hidden layers; shares: of the implicit steps before them. The map is for cells
    that cost the exact integrator some steps (Pairs.steps): those with at least `costly` are all kept, of the others
    easy_share, and drawn in proportion to steps^cost_power. coarse: share of the fit that computes in bfloat16. tours:
    rounds in which states that the map itself visits are added, of visited_units units each, and fresh_blocks blocks of
    pairs that no earlier round saw (training.stream, behind the data set). pool_pairs: the most pairs that a round
    draws from, about 1 kB each for 29 species; the oldest leave.
    """

    experts: int = 16
    widths: tuple[int, ...] = (60, 60)
    shares: tuple[float, ...] = (0.08, 0.23, 0.69)
    costly: int = 3
    easy_share: float = 0.12
    cost_power: float = 0.5
    coarse: float = 0.8
    tours: int = 2
    visited_units: int = 16
    fresh_blocks: int = 0
    pool_pairs: int = 4_000_000
    samples: float = 6e8
    batch: int = 8192
    traces: tuple[float, float] = (-12.0, -10.0)
    head_pairs: int = 400_000
    finish_fraction: float = 0.6
    finish_steps: int = 2


@dataclass(frozen=True, kw_only=True)
class ContinueRecipe:
    """How a model learns on from logged states; all else is its own recipe's.

    samples: seen by the map's fit, None: a fifth of the first fit's; rate: share of the first fit's learning rates.
    share: of each batch that is logged pairs, less where they would be seen more than `repeats` times each.
    fresh_blocks: of training pairs beside those of the data set, that no earlier fit saw (training.stream); None: 20
    without a data set, 0 with one. block_rows: neighbouring states of the log that belong together, so that none of
    them is in another split.
    """

    samples: float | None = None
    rate: float = 0.5
    share: float = 1.0 / 3.0
    repeats: float = 1000.0
    fresh_blocks: int | None = None
    block_rows: int = 1000
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0.0 < self.share < 1.0:
            raise ValueError("share: between 0 and 1, of each batch")

    def as_dict(self) -> dict[str, Any]:
        """The recipe as plain values, for provenance."""
        return asdict(self)

    def samples_of(self, recipe: FitRecipe) -> float:
        """How many samples the map of a model of that recipe sees."""
        return recipe.samples / 5.0 if self.samples is None else self.samples

    def share_of(self, logged: Any, samples: float) -> Any:
        """The share of so many logged pairs (a number or an array of numbers) in a fit that sees so many samples."""
        return np.minimum(self.share, self.repeats * logged / samples)


def recipe_from(kind: type[FitRecipe], given: dict[str, Any]) -> FitRecipe:
    """The recipe of a kind that a model's provenance holds. Raises ValueError for one of another version."""
    unknown = sorted(given.keys() - {item.name for item in fields(kind)})
    if unknown:
        raise ValueError(f"its recipe has {', '.join(unknown)}, which this version does not know")
    return kind(**{name: _tuples(value) for name, value in given.items()})


def _tuples(value: Any) -> Any:
    """JSON has lists where recipes have tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


# The shipped models, fast and accurate: at most 30 and 250 kFLOP a cell.
RECIPES: dict[str, FitRecipe] = {
    "fast": JumpRecipe(),
    "accurate": JumpRecipe(
        experts=6,
        widths=(200, 200, 200),
        shares=tuple(2.0**i / 15.0 for i in range(4)),
        samples=3e8,
        batch=6144,
    ),
    # For 100 species and more: there the implicit steps are what costs, and larger nets come nearly for free.
    "large": JumpRecipe(
        experts=4,
        widths=(256, 256),
        shares=(1.0,),
        samples=3e7,
        batch=4096,
        tours=1,
        visited_units=2,
        finish_fraction=0.5,
        finish_steps=1,
    ),
    "multiclock": MultiClockRecipe(),
}
