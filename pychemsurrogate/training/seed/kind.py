"""What decides a fit: its kind (architecture and training; one file each in `kinds/`) and its seed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Kind:
    """A model of the seed paper's family, and how it is trained.

    dynamics: "polynomial" | "neural_ode"; degree K of the polynomial; encoded: its directions come from the encoder;
    latent: Z; widths: hidden layers of the encoder (the decoder's are their mirror image); ode: hidden layers of the
    neural ODE. activation: "tanh" | "silu"; output: "tanh" | "linear" (both nets). per_species: each species has its
    own mean and scale, else all share one min and max, as in the paper. start: the kind whose trained encoder and
    decoder it begins with, and whose slope the neural ODE begins as.
    losses: "paper" (L0 to L4) | "code" (as the published code computes them) | "trajectory" (L0, and L1 of the first
    row); optimiser: "adam" | "soap"; epochs of batches of `batch` trajectories, with `rows` of their 100 rows each
    (all for "paper" and "code"); rates: learning rate at the start and at the end, by a cosine; warm_up: epochs;
    adjoint: gradients of the neural ODE as in the paper. widening: hidden units with random weights that the decoder's
    last hidden layer gets in the end, when its output layer is solved for by least squares (0: left as trained).
    """

    name: str
    sentence: str
    dynamics: str = "polynomial"
    degree: int = 1
    encoded: bool = False
    latent: int = 5
    widths: tuple[int, ...] = (64, 32, 16, 8)
    ode: tuple[int, ...] = (64,) * 5
    activation: str = "tanh"
    output: str = "tanh"
    per_species: bool = False
    start: str | None = None
    losses: str = "trajectory"
    optimiser: str = "soap"
    epochs: int = 500
    batch: int = 32
    rows: int = 100
    rates: tuple[float, float] = (1e-2, 0.0)
    warm_up: int = 10
    adjoint: bool = False
    widening: int = 0


@dataclass(frozen=True)
class SeedRecipe:
    """Which kind, with which seed; degree, latent: None for the kind's own; budget: the share of its epochs."""

    kind: str = "linear"
    seed: int = 1
    degree: int | None = None
    latent: int | None = None
    budget: float = 1.0

    @property
    def resolved(self) -> Kind:
        """The kind with what the recipe changes. Raises KeyError for a kind that does not exist."""
        from pychemsurrogate.training.seed.kinds import KINDS

        kind = KINDS[self.kind]
        return replace(
            kind,
            degree=self.degree if self.degree is not None else kind.degree,
            latent=self.latent if self.latent is not None else kind.latent,
            epochs=max(1, round(self.budget * kind.epochs)),
        )

    @property
    def label(self) -> str:
        """A name for files and progress bars, such as "polynomial-d3-z5-seed1"."""
        kind = self.resolved
        degree = f"-d{kind.degree}" if kind.dynamics == "polynomial" else ""
        share = f"-{self.budget:g}" if self.budget != 1.0 else ""
        return f"{kind.name}{degree}-z{kind.latent}-seed{self.seed}{share}"

    def as_dict(self) -> dict[str, Any]:
        """The recipe with all that it implies, as plain values, for provenance."""
        return {**asdict(self), "resolved": asdict(self.resolved)}
