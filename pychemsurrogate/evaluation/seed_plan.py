"""What `pychemsurrogate reproduce` runs: models, seeds, sizes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from pychemsurrogate.evaluation.seed_table import BATCHES
from pychemsurrogate.training.seed.kind import SeedRecipe

QUICK_SHARE: Final = 0.5
"""Of the epochs, in a quick run."""


@dataclass(frozen=True)
class Plan:
    """What is to be run.

    models: name in the table -> recipe, each fitted for all of `seeds` (its own seed does not count); the first seed's
    fits are drawn and kept as model files. references: those of them of which the loss curves alone are drawn.
    latent_sweep, degree_sweep: recipes of growing size, at the first seed.
    trajectories: of a data set, nine of ten for training. scipy_trajectories: how many scipy solves. batches: of the
    timings.
    """

    seeds: tuple[int, ...]
    models: dict[str, SeedRecipe]
    latent_sweep: tuple[SeedRecipe, ...]
    degree_sweep: tuple[SeedRecipe, ...]
    references: tuple[str, ...] = ()
    convention: str = "published"
    trajectories: int = 500
    scipy_trajectories: int = 3
    batches: tuple[int, ...] = BATCHES

    def jobs(self) -> list[SeedRecipe]:
        """Every fit once, with the fits that others begin with."""
        recipes = [replace(recipe, seed=seed) for seed in self.seeds for recipe in self.models.values()]
        recipes += [replace(recipe, seed=self.seeds[0]) for recipe in (*self.latent_sweep, *self.degree_sweep)]
        recipes += [first for recipe in recipes if (first := start_of(recipe)) is not None]
        return list({recipe.label: recipe for recipe in recipes}.values())


def start_of(recipe: SeedRecipe) -> SeedRecipe | None:
    """The fit that this one begins with: made before it, so that two workers do not make it at once."""
    kind = recipe.resolved
    return None if kind.start is None else SeedRecipe(kind.start, recipe.seed, latent=kind.latent, budget=recipe.budget)


MODELS: Final = {
    "linear latent, trained as in the paper": "linear_paper",
    "latent neural ODE, trained as in the paper": "neural_ode_paper",
    "linear latent": "linear",
    "polynomial latent, degree 7": "polynomial",
    "latent neural ODE": "neural_ode",
    "best of latent dimension 5": "best_five",
    "best": "best",
}
"""Name in the table -> kind of `training.seed`."""
REFERENCES: Final = tuple(MODELS)[:2]


def full_plan(convention: str, seeds: int) -> Plan:
    """Everything: all models over the seeds, latent dimensions 1 to 8, degrees 1 to 7."""
    return _plan(convention, seeds, 1.0, range(1, 9), range(1, 8))


def quick_plan(convention: str, seeds: int) -> Plan:
    """The same models with a share of the epochs, and fewer sizes."""
    return _plan(convention, seeds, QUICK_SHARE, (1, 2, 3, 5, 8), (1, 3, 7))


def _plan(convention: str, seeds: int, share: float, latents: Iterable[int], degrees: Iterable[int]) -> Plan:
    return Plan(
        seeds=tuple(range(1, seeds + 1)),
        models={name: SeedRecipe(kind, budget=share) for name, kind in MODELS.items()},
        latent_sweep=tuple(SeedRecipe("linear", latent=latent, budget=share) for latent in latents),
        degree_sweep=tuple(SeedRecipe("polynomial", degree=degree, budget=share) for degree in degrees),
        references=REFERENCES,
        convention=convention,
    )
