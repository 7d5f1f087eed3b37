"""The most accurate model of any latent dimension."""

from pychemsurrogate.training.seed.kind import Kind

BEST = Kind(
    name="best",
    sentence="As best_five, in a latent space of 16 dimensions.",
    degree=7,
    encoded=True,
    latent=16,
    widths=(64, 64, 64),
    activation="silu",
    output="linear",
    per_species=True,
    epochs=2000,
    widening=2048,
)
